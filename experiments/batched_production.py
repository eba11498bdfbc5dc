"""Generations of a contextual bandit in production: inverse-gap weighting, and the saw-tooth of a short memory.

Ten arms, eight features, rewards from a logistic model with squares that no linear model fits. A generation is 3,000
pulls with one frozen ridge regression an arm; the next is fitted on the last batch alone, or on the last five. Rules:
uniform, epsilon-greedy (0.05), inverse-gap weighting (gamma = 100 and 1,000). As a control the world is made linear in
the log-odds. Every number is a mean over generations 6 to 20 of one seed; a flip is a change of sign between
successive differences of the greedy policy's regret, of which independent numbers have 2/3.

Criterion, written before the run, 40 seeds: (i) with gamma = 1,000 and one batch of memory the mean rate of flips less
1.65 standard errors is above 0.70; (ii) with five batches it is below 0.68 and the greedy policy's regret is at most
half; (iii) with gamma = 100 the online regret is below that of epsilon-greedy and of uniform play; (iv) in the control
the rate of flips is below 0.70 and the greedy policy's regret is at most 0.4 of that in the world with squares.

    python experiments/batched_production.py            # a minute on two CPU cores
"""

import dataclasses
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.envs.bandits import logistic, with_missing_arms
from purejaxexplore.runner.cache import enable_compilation_cache

GENERATIONS, SETTLED = 20, 5
SHORT, LONG, CONTROL = "IGW 1000", "IGW 1000, memory 5", "IGW 1000, linear world"
CRITERION = (
    "(i) gamma 1000: flip rate - 1.65 s.e. > 0.70; (ii) memory 5: flip rate < 0.68, greedy regret <= 0.5 of memory 1;"
    " (iii) gamma 100: online regret below epsilon-greedy and uniform; (iv) linear world: flip rate < 0.70, greedy"
    " regret <= 0.4"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Exploration rules over generations of a model.

    Attributes:
        seeds: worlds, each with all rules.
        first_seed: number of the first seed.
        missing: probability with which an arm is missing from a round.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 40
    first_seed: int = 0
    missing: float = 0.0
    smoke: bool = False
    results: Path = Path("experiments/results")


def arms() -> dict[str, tuple]:
    """Name -> (rule, memory, curvature of the world)."""
    return {
        "Uniform": (b.epsilon_greedy_rule(1.0), 1, 1.0),
        "Epsilon-greedy": (b.epsilon_greedy_rule(0.05), 1, 1.0),
        "IGW 100": (b.inverse_gap_rule(100.0), 1, 1.0),
        SHORT: (b.inverse_gap_rule(1000.0), 1, 1.0),
        LONG: (b.inverse_gap_rule(1000.0), 5, 1.0),
        CONTROL: (b.inverse_gap_rule(1000.0), 1, 0.0),
    }


def flip_rate(series: np.ndarray) -> np.ndarray:
    """f64[seeds], share of changes of sign among successive differences of f64[seeds, generations]."""
    rising = np.diff(series, axis=1) > 0
    return (rising[:, 1:] != rising[:, :-1]).mean(1)


def draw(metrics: dict[str, dict[str, np.ndarray]]):
    """The greedy policy's regret over generations: of one seed, and means over seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = ["Uniform", "Epsilon-greedy", "IGW 100", SHORT, LONG]
    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.0))
        FigureCanvasAgg(figure)
        alone, mean_of_all = figure.subplots(1, 2)
        looks = analysis.looks(shown)
        for name in shown:
            runs, look = metrics[name]["greedy_regret"], looks[name]
            line = {"color": look.color, "linestyle": look.linestyle}
            generation = np.arange(runs.shape[1])
            if name in (SHORT, LONG):
                alone.plot(generation, runs[0], marker="o", markersize=3, **line)
            online = metrics[name]["regret"]
            mean, error = online.mean(0), 1.96 * online.std(0) / np.sqrt(len(online))
            mean_of_all.plot(generation, mean, label=name, **line)
            mean_of_all.fill_between(generation, mean - error, mean + error, color=look.color, alpha=0.2, linewidth=0)
        alone.set(title="One seed", xlabel="Generation", ylabel="Regret of the greedy policy", ylim=(0, None))
        mean_of_all.set(title="Mean of seeds", xlabel="Generation", ylabel="Online regret a pull", ylim=(0, None))
        for ax in (alone, mean_of_all):
            ax.set_xticks(range(0, runs.shape[1], 5))
        figure.legend(*mean_of_all.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def main(args: Args) -> None:
    """Runs the rules, prints the table, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.smoke:
        args = dataclasses.replace(args, seeds=2)
    metrics = {}
    for name, (rule, memory, curvature) in arms().items():
        world = logistic(10, 8, curvature=curvature)
        if args.missing:
            world = with_missing_arms(world, args.missing)
        config = b.GenerationsConfig(batch_size=60 if args.smoke else 3000, memory=memory)
        run = pjx.run(
            b.generations(world, config, rule), args.seeds, GENERATIONS, first_seed=args.first_seed, progress=False
        )
        metrics[name] = {key: np.asarray(value, np.float64) for key, value in run.metrics.items()}
        settled = {key: value[:, SETTLED:] for key, value in metrics[name].items()}
        print(
            f"{name:<24} online regret {settled['regret'].mean():.3f}  greedy {settled['greedy_regret'].mean():.3f}"
            f"  flips {flip_rate(settled['greedy_regret']).mean():.2f}  entropy {settled['entropy'].mean():.2f}"
            f"  sample size {settled['effective_sample_size'].mean():.3f}",
            flush=True,
        )
    args.results.mkdir(parents=True, exist_ok=True)
    draw(metrics).savefig(args.results / "batched_production.png", dpi=200)
    print("written:", args.results / "batched_production.png")
    if args.smoke or args.missing or args.first_seed + args.seeds > 1000:
        return
    greedy = {name: rows["greedy_regret"][:, SETTLED:].mean(1) for name, rows in metrics.items()}
    online = {name: rows["regret"][:, SETTLED:].mean(1) for name, rows in metrics.items()}
    flips = {name: flip_rate(rows["greedy_regret"][:, SETTLED:]) for name, rows in metrics.items()}
    error = flips[SHORT].std(ddof=1) / np.sqrt(args.seeds)
    parts = {
        "i": flips[SHORT].mean() - 1.65 * error > 0.70,
        "ii": flips[LONG].mean() < 0.68 and greedy[LONG].mean() <= 0.5 * greedy[SHORT].mean(),
        "iii": online["IGW 100"].mean() < min(online["Epsilon-greedy"].mean(), online["Uniform"].mean()),
        "iv": flips[CONTROL].mean() < 0.70 and greedy[CONTROL].mean() <= 0.4 * greedy[SHORT].mean(),
    }
    failed = [part for part, held in parts.items() if not held]
    path = analysis.record(
        name="batched_production",
        claim="Refitted on the last batch alone, a bandit in production oscillates from one generation to the next.",
        source="Vangara and Egg (2025), Contextual bandits in payment processing: non-uniform exploration and"
        " supervised learning",
        criterion=CRITERION,
        env_steps=GENERATIONS * 3000,
        baselines={"Uniform": "all arms alike", "Epsilon-greedy": "epsilon = 0.05"},
        tuning_seeds=[1000, 1001, 1002],
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=analysis.bootstrap_interval(flips[SHORT], np.mean),
        statistic="mean flip rate with gamma = 1000 and one batch, bootstrap interval; flip rates "
        + ", ".join(f"{name} {value.mean():.3f}" for name, value in flips.items())
        + "; greedy regrets "
        + ", ".join(f"{name} {value.mean():.3f}" for name, value in greedy.items())
        + "; online regrets "
        + ", ".join(f"{name} {value.mean():.3f}" for name, value in online.items()),
        verdict=("does not hold" if failed else "holds") if args.seeds >= 20 else "not judged",
        reason=f"parts that fail: {', '.join(failed)}" if failed else "the criterion as written",
        command=f"python experiments/batched_production.py --seeds {args.seeds} --first-seed {args.first_seed}",
        family="bandits",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
