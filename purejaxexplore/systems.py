"""What the package can run: the tables behind ``purejaxexplore list``, which imports none of it."""

SYSTEMS: dict[str, tuple[str, str]] = {
    "backward": (
        "purejaxexplore.go_explore.backward",
        "Go-Explore's second phase: demonstrations become a policy that survives noise",
    ),
    "cma_mae": (
        "purejaxexplore.quality_diversity.cma_mae",
        "CMA-ES emitters ranked by thresholds that are annealed towards the elites",
    ),
    "cma_me": (
        "purejaxexplore.quality_diversity.cma_me",
        "CMA-ES emitters ranked by how much they improve an archive",
    ),
    "cma_mega": (
        "purejaxexplore.quality_diversity.cma_mega",
        "gradients of fitness and descriptor, their coefficients searched by CMA-ES",
    ),
    "deep_ga": (
        "purejaxexplore.learners.deep_ga",
        "mutation and truncation selection on network weights, by reward or by novelty",
    ),
    "dgm": (
        "purejaxexplore.go_explore.dgm",
        "keep every variant, and return to good ones that had few children",
    ),
    "go_explore": (
        "purejaxexplore.go_explore.explore",
        "return to a promising cell of an archive, then explore",
    ),
    "imitation": ("purejaxexplore.go_explore.imitation", "maximum-likelihood imitation of demonstrations"),
    "intelligent_go_explore": (
        "purejaxexplore.go_explore.intelligent",
        "a judge picks the state to return to, the action, and what to keep",
    ),
    "latent_go_explore": (
        "purejaxexplore.go_explore.latent",
        "Go-Explore without cells: explore from states whose learned embedding is rare",
    ),
    "map_elites": (
        "purejaxexplore.quality_diversity.map_elites",
        "the best solution of every cell of a descriptor space, varied at random",
    ),
    "policy_go_explore": (
        "purejaxexplore.go_explore.policy_based",
        "a goal-conditioned policy returns along stored routes, then explores: nothing is restored",
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
