"""Contextual bandits: a network where rewards are not linear, what it costs where they are, and handwritten digits.

Two worlds of four arms with eight features each, 1,000 pulls: means ``cos(3 x^T theta)`` and, as a control, ``x^T
theta``, both with noise of standard deviation 0.1. A third, not judged, is scikit-learn's digits as a bandit: an image
of 64 pixels, ten arms, reward 1 for the right digit, 2,000 pulls. LinUCB, linear Thompson sampling and SquareCB over a
ridge regression are linear; NeuralUCB, neural Thompson sampling and SquareCB over a network are not. The width factors
are the best of 0.01, 0.1 and 1 on tuning seeds, for every policy and world (SquareCB: gamma 10, 100, 1,000).

Criterion, written before the run, on 20 seeds, paired: NeuralUCB's mean regret is at most 0.7 times that of LinUCB on
the cosine, and at most 1.3 times on the linear control.

    python experiments/neural_bandits.py            # two minutes on two CPU cores
    python experiments/neural_bandits.py --tune     # the table of tuning
"""

import dataclasses
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.envs.bandits import cosine, digits, linear
from purejaxexplore.runner.cache import enable_compilation_cache

TUNING_SEEDS = (1000, 1001, 1002)
WORLDS = {
    "Cosine": lambda: cosine(4, 8, horizon=1000),
    "Linear": lambda: linear(4, 8, horizon=1000),
    "Digits": lambda: digits(horizon=2000),
}
POLICIES: dict[str, tuple[tuple[float, ...], Callable]] = {
    "LinUCB": ((0.01, 0.1, 1.0), lambda spec, x: b.lin_ucb(spec, b.LinUCBConfig(alpha=x))),
    "Linear Thompson": ((0.01, 0.1, 1.0), lambda spec, x: b.linear_thompson(spec, b.LinearThompsonConfig(scale=x))),
    "SquareCB, ridge": (
        (10.0, 100.0, 1000.0),
        lambda spec, x: b.square_cb(spec, b.SquareCBConfig(x), b.ridge_regressor(spec)),
    ),
    "SquareCB, network": (
        (10.0, 100.0, 1000.0),
        lambda spec, x: b.square_cb(
            spec, b.SquareCBConfig(x), b.network_regressor(spec, b.NetworkRegressorConfig())
        ),
    ),
    "NeuralUCB": ((0.01, 0.1, 1.0), lambda spec, x: b.neural_ucb(spec, b.NeuralConfig(nu=x))),
    "Neural Thompson": ((0.01, 0.1, 1.0), lambda spec, x: b.neural_thompson(spec, b.NeuralConfig(nu=x))),
}
CHOSEN = {
    "Cosine": dict(zip(POLICIES, (1.0, 0.1, 100.0, 1000.0, 0.01, 0.01), strict=True)),
    "Linear": dict(zip(POLICIES, (0.1, 0.01, 1000.0, 1000.0, 0.01, 0.01), strict=True)),
    "Digits": dict(zip(POLICIES, (0.1, 0.1, 100.0, 100.0, 0.1, 0.01), strict=True)),
}
CRITERION = "mean regret of NeuralUCB over that of LinUCB: <= 0.7 on the cosine, <= 1.3 on the linear control"


@dataclasses.dataclass(frozen=True)
class Args:
    """Linear and neural policies in three contextual worlds.

    Attributes:
        seeds: seeds of each policy in each world.
        first_seed: number of the first seed.
        tune: prints the mean regret of every setting on seeds 1000 to 1002, and writes nothing.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


def regrets(title: str, name: str, setting: float, seeds: int, first_seed: int, pulls: int | None = None) -> np.ndarray:
    """Regret f64[seeds, points] of a policy."""
    world = WORLDS[title]()
    points = 20
    pulls = world.spec.horizon if pulls is None else pulls
    algorithm = b.bandit(POLICIES[name][1](world.spec, setting), world, pulls=pulls // points)
    run = pjx.run(algorithm, seeds, points, first_seed=first_seed, progress=False)
    return np.asarray(run.metrics["regret"], np.float64)


def tune() -> None:
    """Prints the table that ``CHOSEN`` is read from."""
    for title in WORLDS:
        for name, (settings, _) in POLICIES.items():
            means = {x: regrets(title, name, x, len(TUNING_SEEDS), TUNING_SEEDS[0])[:, -1].mean() for x in settings}
            told = ", ".join(f"{x:g}: {mean:.1f}" for x, mean in means.items())
            print(f"{title:<8} {name:<18} {told}   best {min(means, key=means.get):g}", flush=True)


def draw(curves: dict[str, dict[str, np.ndarray]], pulls: dict[str, int]):
    """Mean regret over pulls in every world."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        looks = analysis.looks(POLICIES)
        figure = Figure(figsize=(FULL_WIDTH, 3.2))
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(curves), squeeze=False)[0]
        for ax, (title, lines) in zip(panels, curves.items(), strict=True):
            for name, runs in lines.items():
                at, look = np.arange(1, runs.shape[1] + 1) * pulls[title] / runs.shape[1], looks[name]
                mean, error = runs.mean(0), 1.96 * runs.std(0) / math.sqrt(len(runs))
                ax.plot(at, mean, color=look.color, linestyle=look.linestyle, label=name)
                ax.fill_between(at, mean - error, mean + error, color=look.color, alpha=0.2, linewidth=0)
            ax.set(title=title, xlabel="Pulls", xlim=(0, pulls[title]), ylim=(0, None))
        panels[0].set_ylabel("Regret")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def main(args: Args) -> None:
    """Runs the policies, prints the table, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune()
        return
    seeds = 2 if args.smoke else args.seeds
    worlds = [title for title in WORLDS if title != "Digits" or importlib.util.find_spec("sklearn")]
    curves, pulls = {}, {}
    for title in worlds[:1] if args.smoke else worlds:
        pulls[title] = 40 if args.smoke else WORLDS[title]().spec.horizon
        curves[title] = {}
        for name in ("LinUCB", "NeuralUCB") if args.smoke else POLICIES:
            curves[title][name] = regrets(title, name, CHOSEN[title][name], seeds, args.first_seed, pulls[title])
            last = curves[title][name][:, -1]
            print(f"{title:<8} {name:<18} regret {last.mean():7.1f} +- {1.96 * last.std(ddof=1) / seeds**0.5:.1f}")
    args.results.mkdir(parents=True, exist_ok=True)
    draw(curves, pulls).savefig(args.results / "neural_bandits.png", dpi=200)
    print("written:", args.results / "neural_bandits.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return
    last = {title: {name: runs[:, -1] for name, runs in lines.items()} for title, lines in curves.items()}
    ratio = {title: last[title]["NeuralUCB"].mean() / last[title]["LinUCB"].mean() for title in ("Cosine", "Linear")}
    holds = ratio["Cosine"] <= 0.7 and ratio["Linear"] <= 1.3
    path = analysis.record(
        name="neural_bandits",
        claim="NeuralUCB learns rewards that are not linear, and pays little where they are.",
        source="Zhou, Li and Gu (2020), Neural contextual bandits with UCB-based exploration",
        criterion=CRITERION,
        env_steps=1000,
        baselines={"LinUCB": f"alpha {CHOSEN['Cosine']['LinUCB']}, {CHOSEN['Linear']['LinUCB']}, the best of three"},
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=analysis.paired_bootstrap(last["Cosine"]["LinUCB"], last["Cosine"]["NeuralUCB"], statistic=np.mean),
        statistic="regret of LinUCB less that of NeuralUCB on the cosine; ratios "
        + ", ".join(f"{title} {value:.2f}" for title, value in ratio.items())
        + "; mean regrets "
        + "; ".join(
            f"{title}: " + ", ".join(f"{name} {x.mean():.1f}" for name, x in rows.items())
            for title, rows in last.items()
        ),
        verdict=("holds" if holds else "does not hold") if seeds >= 20 else "not judged",
        reason="the criterion as written" if seeds >= 20 else "fewer than 20 seeds",
        command=f"python experiments/neural_bandits.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bandits",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
