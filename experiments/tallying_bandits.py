"""Arms that pay better the more they are played: elimination needs a burn-in before it measures.

Ten arms with a memory of m = 20 pulls: one loses 0.9 - 0.7 y, the others 0.35 + 0.15 y, with y the share of the last 20
pulls that were spent on the arm, and noise of standard deviation 0.1. Repeating the first arm is the best of all
sequences, and the regret is against that (complete policy regret). A policy that does not repeat itself finds that arm
to be the worst.

Elimination by repeated exposure is told a bound M of the memory: 10 (too small), 20, 40 or 80 pulls. UCB has
alpha = 1/2, EXP3 plays pull by pull or in blocks of 20, greedy is epsilon-greedy with epsilon = 0.

Criterion, written before the run, on mean regrets after 5,000 pulls over 40 seeds: elimination with M = 20 has at most
0.3 times the regret of the best of UCB, EXP3, EXP3 in blocks and greedy; its regret with M = 80 is 1.2 to 5 times that
with M = 20; and without a burn-in (M = 0) it is worse than UCB.

    python experiments/tallying_bandits.py            # 20 seconds on two CPU cores
"""

import dataclasses
import math
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.analysis.style import HALF_WIDTH
from purejaxexplore.envs.bandits import improves_with_exposure, rescaled
from purejaxexplore.runner.cache import enable_compilation_cache

ARMS, MEMORY = 10, 20
BASELINES = ("UCB(1/2)", "EXP3", "EXP3 in blocks", "Greedy")
CRITERION = (
    "mean complete policy regret after 5,000 pulls: elimination with M = 20 <= 0.3 of the best baseline; M = 80 over"
    " M = 20 in [1.2, 5]; without burn-in above UCB"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Elimination by repeated exposure against policies that do not repeat.

    Attributes:
        seeds: seeds of each policy.
        first_seed: number of the first seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 40
    first_seed: int = 0
    smoke: bool = False
    results: Path = Path("experiments/results")


def policies(horizon: int):
    """Name -> (policy, world)."""
    world = improves_with_exposure(ARMS, MEMORY, horizon=horizon)
    unit = rescaled(world, 0.0, 1.0, clip=True)
    exp3 = b.exp3(unit.spec, b.ExponentialConfig(horizon))
    blocks = b.in_blocks(b.exp3(unit.spec, b.ExponentialConfig(horizon / MEMORY)), MEMORY)
    known = {
        "UCB(1/2)": (b.ucb1(unit.spec, b.UCB1Config(0.5)), unit),
        "EXP3": (exp3, unit),
        "EXP3 in blocks": (blocks, unit),
        "Greedy": (b.epsilon_greedy(unit.spec, b.EpsilonGreedyConfig(0.0)), unit),
    }
    for memory in (0, 10, 20, 40, 80):
        config = b.RepeatedExposureConfig(horizon, memory=memory)
        known[f"Elimination, M = {memory}"] = (b.repeated_exposure(world.spec, config), world)
    return known


def draw(arms: dict[str, np.ndarray], horizon: int):
    """Mean regret with its interval."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [name for name in arms if name not in ("Elimination, M = 10", "Elimination, M = 40")]
    with analysis.style():
        figure = Figure(figsize=(HALF_WIDTH, 3.6))
        FigureCanvasAgg(figure)
        ax = figure.subplots()
        looks = analysis.looks({name: arms[name] for name in shown})
        for name in shown:
            runs, look = arms[name], looks[name]
            pulls = np.arange(1, runs.shape[1] + 1) * (horizon // runs.shape[1])
            mean, error = runs.mean(0), 1.96 * runs.std(0) / math.sqrt(len(runs))
            ax.plot(pulls, mean, color=look.color, linestyle=look.linestyle, label=name)
            ax.fill_between(pulls, mean - error, mean + error, color=look.color, alpha=0.2, linewidth=0)
        ax.set(xlabel="Pulls", ylabel="Complete policy regret", xlim=(0, horizon), ylim=(0, None))
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def main(args: Args) -> None:
    """Runs the policies, draws the figure and writes the ledger."""
    enable_compilation_cache()
    horizon, points = (400, 10) if args.smoke else (5000, 50)
    seeds = 4 if args.smoke else args.seeds
    arms = {}
    for name, (policy, world) in policies(horizon).items():
        if args.smoke and name not in ("UCB(1/2)", "Elimination, M = 20"):
            continue
        algorithm = b.bandit(policy, world, pulls=horizon // points)
        run = pjx.run(algorithm, seeds, points, first_seed=args.first_seed, progress=False)
        arms[name] = np.asarray(run.metrics["regret"])
        last = arms[name][:, -1]
        print(f"{name:<22} regret {last.mean():7.1f} +- {1.96 * last.std(ddof=1) / math.sqrt(seeds):.1f}", flush=True)
    args.results.mkdir(parents=True, exist_ok=True)
    draw(arms, horizon).savefig(args.results / "tallying_bandits.png", dpi=200)
    print("written:", args.results / "tallying_bandits.png")
    if args.smoke or args.first_seed + seeds > 1000:
        return
    means = {name: float(runs[:, -1].mean()) for name, runs in arms.items()}
    best = min(BASELINES, key=means.get)
    ours = means["Elimination, M = 20"]
    ratios = {
        f"M = 20 / {best}": ours / means[best],
        "M = 80 / M = 20": means["Elimination, M = 80"] / ours,
        "M = 0 / UCB": means["Elimination, M = 0"] / means["UCB(1/2)"],
    }
    first, second, third = ratios.values()
    holds = first <= 0.3 and 1.2 <= second <= 5 and third > 1
    path = analysis.record(
        name="tallying_bandits",
        claim="Where arms improve with exposure, elimination finds the best one if it lets the memory fade first.",
        source="Malik, Igoe, Li and Singh (2023), Weighted tallying bandits",
        criterion=CRITERION,
        env_steps=horizon,
        baselines={"UCB(1/2)": "alpha = 1/2", "EXP3": "rate of the bound", "EXP3 in blocks": "blocks of 20 pulls"},
        tuning_seeds=[],
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=analysis.paired_bootstrap(
            arms[best][:, -1], arms["Elimination, M = 20"][:, -1], statistic=np.mean
        ),
        statistic=f"regret of {best} less that of elimination with M = 20; "
        + "; ".join(f"{name} {value:.2f}" for name, value in ratios.items()),
        verdict=("holds" if holds else "does not hold") if seeds >= 20 else "not judged",
        reason="the criterion as written" if seeds >= 20 else "fewer than 20 seeds",
        command=f"python experiments/tallying_bandits.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bandits",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
