"""Ten arms with uniform means: do eight policies regret what a published table says they do?

Ten Bernoulli arms with means drawn uniformly from [0, 1] for every seed, 500 pulls. The table is a third party's; which
settings and samplers it used is not stated, so only two figures are judged and the others shown. It is also a warning:
greed, after one pull of each arm, regrets least of all here.

Criterion, written before the run, on means over 2,000 seeds: UCB1 regrets more than twice what Beta Thompson sampling
does, and Thompson sampling's regret is within 15 % of the table's 28.9.

    python experiments/uniform_ten.py            # half a minute on two CPU cores
"""

import dataclasses
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.analysis.style import FULL_WIDTH, INK
from purejaxexplore.envs.bandits import bernoulli, uniform_means
from purejaxexplore.runner.cache import enable_compilation_cache

HORIZON, TIMES, WITHIN = 500, 2.0, 0.15
STATED = {
    "Random": 204.0, "UCB1": 86.8, "Tsallis-INF": 46.5, "MBE": 36.2, "UCB-tuned": 31.7, "KL-UCB": 29.6,
    "Thompson": 28.9, "Greedy": 19.7,
}  # fmt: skip
CRITERION = "mean regret of 500 pulls: UCB1 > 2 times Beta Thompson, and Beta Thompson within 15 % of 28.9"


@dataclasses.dataclass(frozen=True)
class Args:
    """Ten arms with uniform means.

    Attributes:
        seeds: seeds of every policy, each with means of its own.
        first_seed: number of the first seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 2_000
    first_seed: int = 0
    smoke: bool = False
    results: Path = Path("experiments/results")


def policies(spec) -> dict[str, b.Policy]:
    """The table's policies, with the constants of their papers."""
    return {
        "Random": b.epsilon_greedy(spec, b.EpsilonGreedyConfig(1.0)),
        "UCB1": b.ucb1(spec, b.UCB1Config()),
        "Tsallis-INF": b.tsallis_inf(spec),
        "MBE": b.mbe(spec, b.MBEConfig()),
        "UCB-tuned": b.ucb_tuned(spec),
        "KL-UCB": b.kl_ucb(spec, b.KLUCBConfig()),
        "Thompson": b.beta_thompson(spec, b.BetaThompsonConfig()),
        "Greedy": b.epsilon_greedy(spec, b.EpsilonGreedyConfig(0.0)),
    }


def draw(regrets: dict[str, np.ndarray]):
    """Mean regret of every policy beside the table's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH * 0.62, 2.7))
        FigureCanvasAgg(figure)
        ax = figure.subplots()
        looks = analysis.looks(STATED)
        for place, (name, runs) in enumerate(regrets.items()):
            estimate = analysis.bootstrap_interval(runs, statistic=np.mean)
            error = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
            ax.barh(place, estimate.value, 0.6, color=looks[name].color, alpha=0.85)
            ax.errorbar(estimate.value, place, xerr=error, color=INK, capsize=2.5, elinewidth=1)
            ax.plot(STATED[name], place, "D", color="white", markeredgecolor=INK, markersize=5, zorder=4)
            ax.annotate(
                f"{estimate.value:.1f}", (max(estimate.high, STATED[name]), place), (7, 0),
                textcoords="offset points", va="center", fontsize=8,
            )  # fmt: skip
        ax.plot([], [], "D", color="white", markeredgecolor=INK, markersize=5, label="Published table")
        ax.set(xlabel=f"Regret of {HORIZON} pulls", xlim=(0, 230))
        ax.set_yticks(range(len(regrets)), list(regrets))
        ax.grid(axis="y", visible=False)
        ax.invert_yaxis()
        ax.legend(loc="lower right")
    return figure


def main(args: Args) -> None:
    """Runs the policies, prints them beside the table, draws the figure and writes the ledger."""
    enable_compilation_cache()
    seeds, pulls = (4, 20) if args.smoke else (args.seeds, HORIZON)
    world = bernoulli(uniform_means(10), horizon=HORIZON)
    regrets = {}
    for name, policy in policies(world.spec).items():
        if args.smoke and name not in ("Random", "UCB1", "Thompson"):
            continue
        algorithm = b.bandit(policy, world, pulls=pulls)
        run = pjx.run(algorithm, seeds, 1, first_seed=args.first_seed, progress=False)
        regrets[name] = np.asarray(run.metrics["regret"], np.float64)[:, -1]
        print(f"{name:<12} {regrets[name].mean():6.1f}   table {STATED[name]:6.1f}", flush=True)
    args.results.mkdir(parents=True, exist_ok=True)
    draw(regrets).savefig(args.results / "uniform_ten.png", dpi=200)
    print("written:", args.results / "uniform_ten.png")
    if args.smoke or args.first_seed + seeds > 10_000:
        return
    means = {name: float(runs.mean()) for name, runs in regrets.items()}
    ratio, off = means["UCB1"] / means["Thompson"], means["Thompson"] / STATED["Thompson"] - 1
    holds = ratio > TIMES and abs(off) <= WITHIN
    reason = "the criterion as written" if holds else f"UCB1 {ratio:.2f} of Thompson, Thompson {off:+.0%} of the table"
    path = analysis.record(
        name="uniform_ten",
        claim="Policies on ten arms with uniform means regret what a published table says.",
        source="Auer, Cesa-Bianchi and Fischer (2002), Finite-time analysis of the multiarmed bandit problem;"
        " figures of a third party's table",
        criterion=CRITERION,
        env_steps=HORIZON,
        baselines={"UCB1": "alpha = 2", "Random": "uniform"},
        tuning_seeds=[],
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=analysis.paired_bootstrap(regrets["UCB1"], regrets["Thompson"], statistic=np.mean),
        statistic=f"regret of UCB1 less that of Thompson, ratio {ratio:.2f}; Thompson {off:+.1%} of the table; "
        + ", ".join(f"{name} {mean:.1f} (table {STATED[name]:g})" for name, mean in means.items()),
        verdict=("holds" if holds else "does not hold") if seeds >= 20 else "not judged",
        reason=reason if seeds >= 20 else "fewer than 20 seeds",
        command=f"python experiments/uniform_ten.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bandits",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
