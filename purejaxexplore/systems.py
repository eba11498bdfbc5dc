"""What the package can run: the tables behind ``purejaxexplore list``, which imports none of it."""

SYSTEMS: dict[str, tuple[str, str]] = {
    "go_explore": (
        "purejaxexplore.go_explore.explore",
        "return to a promising cell of an archive, then explore",
    ),
    "intelligent_go_explore": (
        "purejaxexplore.go_explore.intelligent",
        "a judge picks the state to return to, the action, and what to keep",
    ),
    "ppo": ("purejaxexplore.learners.ppo", "proximal policy optimization with any number of reward streams"),
    "random_policy": (
        "purejaxexplore.learners.random_policy",
        "uniform actions, the baseline of every claim",
    ),
}
"""Name -> (module of the factory, one line)."""

BONUSES: dict[str, tuple[str, str]] = {
    "counts": (
        "purejaxexplore.bonuses.counts",
        "1/sqrt(n) for the n-th visit of a state, per episode or lifelong",
    ),
    "rnd": (
        "purejaxexplore.bonuses.rnd",
        "random network distillation: the error of predicting a random network",
    ),
    "sofe": (
        "purejaxexplore.bonuses.sofe",
        "stationary objectives: the statistics of a bonus become observations",
    ),
}
"""Name -> (module, one line)."""
