"""Which cell to return to: the selection weights of Go-Explore's exploration phase, compared in KeyRooms.

Ecoffet, Huizinga, Lehman, Stanley and Clune (2019, 2021) prefer cells that were seen seldom: by 1 / sqrt(seen + 1) in
2021, by a sum of terms of the visit counters in 2019. Here both are compared with uniform selection and with never
returning at all (every rollout starts a new episode), on a world with three keys, three doors and a treasure: 300
iterations of 16 rollouts of 30 steps, actions repeated with probability 0.8 and 0.9. Nothing was tuned.

The criterion, written before the run, on seeds 0 to 31: with the weights of 2021 and repetition 0.8 the treasure is
found in >= 28 of 32 seeds and the median seed visits >= 1,150 of the 1,321 states; without returning in 0 of 32; and at
repetition 0.9 uniform selection finds it in fewer seeds than the weights of 2021 (Fisher's exact test, one-sided,
p < 0.05).

    python experiments/go_explore_weights.py
"""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.archives import weights
from purejaxexplore.go_explore.explore import GoExploreConfig, go_explore
from purejaxexplore.runner.cache import enable_compilation_cache

RULES = {
    "2021: 1 / sqrt(seen + 1)": weights.no_knowledge,
    "2019: sum of sub-scores": weights.sub_scores,
    "Uniform": weights.uniform,
    "Never returning": weights.start,
}
REPEATS = (0.8, 0.9)
CONFIG = GoExploreConfig(num_lanes=16, horizon=30, capacity=4096, num_iterations=300)
CRITERION = (
    "weights of 2021: treasure in >= 28 of 32 seeds and median states visited >= 1,150 at repetition 0.8; without"
    " returning in 0 of 32; at 0.9 uniform selection in fewer seeds, Fisher p < 0.05"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Four rules of selection at two probabilities of repeating an action.

    Attributes:
        seeds: seeds of each.
        first_seed: number of the first seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figures and of the ledger.
    """

    seeds: int = 32
    first_seed: int = 0
    smoke: bool = False
    results: Path = Path("experiments/results")


@struct.dataclass
class Arm:
    """Attributes:
    rule: number of the rule in ``RULES``.
    repeat: probability that an action is the last one again.
    """

    rule: int = 0
    repeat: float = 0.8


def make(arm: Arm) -> pjx.Algorithm:
    """One program for all arms: the weights of every rule, of which the arm's is taken."""
    env, env_params = pjx.make("KeyRooms")

    def weight(archive):
        return jnp.stack([rule(archive) for rule in RULES.values()])[arm.rule]

    return go_explore(env, env_params, CONFIG.replace(action_repeat=arm.repeat), weight=weight)


def main(args: Args) -> None:
    """Runs all arms, prints the table, draws the figures and writes the ledger."""
    enable_compilation_cache()
    args = dataclasses.replace(args, seeds=2) if args.smoke else args
    steps = 10 if args.smoke else CONFIG.num_iterations
    over = {"rule": list(range(len(RULES))), "repeat": list(REPEATS)}
    run = pjx.sweep(make, Arm(), over, args.seeds, steps, first_seed=args.first_seed, name="go_explore_weights")
    reachable = pjx.make("KeyRooms")[0].num_reachable
    final = run.metrics.isel(step=-1)
    found = np.asarray(final["success"]).astype(int).sum(-1)
    states = np.asarray(final["coverage"]) * reachable
    for i, name in enumerate(RULES):
        for j, repeat in enumerate(REPEATS):
            seen = np.median(states[i, j])
            print(f"{name:<26} repeat {repeat}: treasure {found[i, j]}/{args.seeds}, states {seen:.0f}")

    args.results.mkdir(parents=True, exist_ok=True)
    for j, repeat in enumerate(REPEATS):
        shown = {
            name: {metric: np.asarray(run.metrics[metric])[i, j] for metric in ("coverage", "env_steps")}
            for i, name in enumerate(RULES)
        }
        figure = analysis.learning_curves(shown, "coverage", title=f"KeyRooms, repetition {repeat}")
        path = args.results / f"go_explore_weights_{round(100 * repeat)}.png"
        figure.savefig(path, dpi=200)
        print("written:", path)
    if not args.smoke and args.first_seed + args.seeds <= 1000:
        print("written:", judge(found, states, int(np.median(final["env_steps"])), args))


def judge(found: np.ndarray, states: np.ndarray, env_steps: int, args: Args) -> Path:
    """Writes the ledger entry: seeds with the treasure i64[rules, repeats], states f64[rules, repeats, seeds]."""
    n, (newest, _, uniform, never) = args.seeds, range(len(RULES))
    p = analysis.fisher_exact(int(found[newest, 1]), n, int(found[uniform, 1]), n, "greater")
    holds = found[newest, 0] >= 28 and np.median(states[newest, 0]) >= 1150 and found[never].max() == 0 and p < 0.05
    middle = np.median(states, axis=-1)
    counts = "; ".join(
        f"{name} {found[i, 0]} and {found[i, 1]}, states {middle[i, 0]:.0f} and {middle[i, 1]:.0f}"
        for i, name in enumerate(RULES)
    )
    return analysis.record(
        name="go_explore_weights",
        claim="In KeyRooms Go-Explore finds the treasure where it returns to cells seen seldom, more often than with"
        " uniform selection and never without returning.",
        source="Ecoffet, Huizinga, Lehman, Stanley and Clune (2021), First return, then explore",
        criterion=CRITERION,
        env_steps=env_steps,
        baselines={name: "the same program with another selection" for name in [*RULES][1:]},
        tuning_seeds=[],
        judging_seeds=list(range(args.first_seed, args.first_seed + n)),
        effect=analysis.proportion_difference(int(found[newest, 1]), n, int(found[uniform, 1]), n),
        statistic=f"difference of shares of seeds with the treasure at repetition 0.9, 2021 minus uniform, p = {p:.2g};"
        f" seeds with the treasure of {n} and median states at 0.8 and 0.9: {counts}",
        verdict=("holds" if holds else "does not hold") if n == 32 else "not judged",
        reason="the criterion as written" if n == 32 else "not the 32 seeds of the criterion",
        command=f"python experiments/go_explore_weights.py --seeds {n} --first-seed {args.first_seed}",
        family="go_explore",
        directory=args.results,
    )


if __name__ == "__main__":
    main(analysis.arguments(Args))
