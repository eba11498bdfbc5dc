"""Bandits with a structure to use: near points pay alike, a budget runs out, sets share their arms.

Three problems of Slivkins (2019), "Introduction to multi-armed bandits", chapters 4, 7 and 10, each with the policy
that uses the structure and one that does not:

* an interval of arms with a peak of height 0.9 and half-width 0.1 on a plain of 0.4 (Lipschitz constant 5), somewhere
  new for every seed, 10,000 pulls: zooming against UCB1 on the book's 31 evenly spaced points, and on 20 or 62;
* dynamic pricing, six prices, 5,000 customers and goods for a quarter of them: UcbBwK and LagrangeBwK, and UCB1, which
  does not know that goods run out. What is earned is a share of the value of the linear programme that knows all;
* the 70 shortest ways through a 5 x 5 grid of crossings, streets whose quality is Bernoulli of a uniform mean, 10,000
  trips: CombUCB1, which sees every street, against UCB1 and EXP3 with the ways as arms.

Criteria, written before the judged run, on means over seeds, with the 95 % bootstrap interval on the right side:

1. zooming's regret is at most 0.8 of that of UCB1 on the 31 points;
2. LagrangeBwK earns at least 0.9 of the programme's value;
3. UcbBwK earns more than LagrangeBwK;
4. CombUCB1 regrets at most half of what UCB1 on the ways does, and with its paper's constant stays within its bound
   (which at this horizon is above any possible regret, so that this half of the criterion tests little).

Every policy has one constant, the width of its confidence or its rate of learning, which is the best of nine or seven
values on seeds 1000 to 1019 (``--tune``). The narrowest are far below those of the theorems. On those seeds LagrangeBwK
earned 0.72 of the programme's value, and 0.87 of it with ten times as many customers and goods; and 62 even points came
within 10 % of zooming's regret, so what it is worth depends on how well the number of points is known.

    python experiments/structured_bandits.py            # minutes on two CPU cores
    python experiments/structured_bandits.py --tune     # the constants
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.analysis.style import FULL_WIDTH, INK
from purejaxexplore.bandits import oracles
from purejaxexplore.bandits.lipschitz import best_number_of_points
from purejaxexplore.blocks.mixtures import best_mixture
from purejaxexplore.envs.bandits import combinatorial, grid_paths, peaked, pricing, uniform_means
from purejaxexplore.runner.cache import enable_compilation_cache

TUNING_SEEDS = range(1000, 1020)
LIPSCHITZ, PRICES, CROSSINGS = 5.0, np.linspace(0.1, 1.0, 6), 5
WIDTHS, RATES = (0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0), (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
CRITERIA = {
    "zooming": "mean regret of zooming <= 0.8 of UCB1's on the book's even grid, after 10,000 pulls (upper end of the"
    " 95 % interval)",
    "lagrange_bwk": "mean reward of LagrangeBwK >= 0.9 of the linear programme's value, at T = 5,000 (lower end of the"
    " 95 % interval)",
    "ucb_bwk": "UcbBwK earns more than LagrangeBwK at T = 5,000 (lower end of the 95 % interval of the difference)",
    "comb_ucb": "mean regret of CombUCB1 <= 0.5 of that of UCB1 with the ways as arms (upper end of the 95 % interval),"
    " and with the paper's constant within its bound, after 10,000 trips",
}


@dataclasses.dataclass(frozen=True)
class Args:
    """Bandits with a structure.

    Attributes:
        seeds: seeds of each policy.
        first_seed: number of the first seed; 1000 to 1019 were used for tuning.
        tune: print how the constants do on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 100
    first_seed: int = 0
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


class Arm(NamedTuple):
    """A policy with its one constant.

    Attributes:
        make: constant -> policy.
        grid: constants to choose from.
        chosen: the best of them on the tuning seeds, or the paper's.
    """

    make: Callable[[float], b.Policy]
    grid: tuple[float, ...]
    chosen: float


class Problem(NamedTuple):
    """A world and who plays in it.

    Attributes:
        world, horizon: pulls of it.
        measure: ``metrics of a run -> f64[seeds, points]``, regret, or the share of what could be earned.
        arms: name -> policy.
    """

    world: Any
    horizon: int
    measure: Callable[[Any], np.ndarray]
    arms: dict[str, Arm]


def regret(metrics) -> np.ndarray:
    """f64[seeds, points]."""
    return np.asarray(metrics["regret"], np.float64)


def interval_problem(horizon: int) -> Problem:
    """A peak somewhere on an interval. The width alpha of zooming is that of UCB1, ``sqrt(alpha ln T / n)``."""
    world = peaked(horizon=horizon)

    def zooming(alpha):
        return b.zooming(world.spec, b.ZoomingConfig(horizon, LIPSCHITZ, float(np.sqrt(alpha / 8))))

    def even(number):
        return lambda alpha: b.discretised(world.spec, number, lambda spec: b.ucb1(spec, b.UCB1Config(alpha)))

    book = best_number_of_points(horizon, LIPSCHITZ)
    arms = {
        "Zooming": Arm(zooming, WIDTHS, 0.5),
        "Even grid": Arm(even(book), WIDTHS, 0.12),
        "Even grid of 20": Arm(even(20), WIDTHS, 0.12),
        "Even grid of 62": Arm(even(62), WIDTHS, 0.06),
    }
    return Problem(world, horizon, regret, arms)


def pricing_problem(horizon: int) -> Problem:
    """Goods for a quarter of the customers; a price of p is accepted with probability 1 - p."""
    budget = horizon // 4
    world = pricing(PRICES, 1 - PRICES, budget=budget, horizon=horizon)
    value = horizon * float(best_mixture(PRICES * (1 - PRICES), 1 - PRICES, budget / horizon).value)
    config = b.KnapsackConfig(horizon, budget)

    def share(metrics):
        return np.asarray(metrics["reward"], np.float64) * np.asarray(metrics["env_steps"]) / value

    arms = {
        "UcbBwK": Arm(lambda rate: b.ucb_bwk(world.spec, config.replace(rate=rate)), WIDTHS, 0.015),
        "LagrangeBwK": Arm(lambda rate: b.lagrange_bwk(world.spec, config.replace(rate=rate)), RATES, 2.0),
        "UCB1, blind": Arm(lambda alpha: b.ucb1(world.spec, b.UCB1Config(alpha)), WIDTHS, 0.12),
    }
    return Problem(world, horizon, share, arms)


def path_problem(horizon: int) -> Problem:
    """The shortest ways from corner to corner."""
    ways = grid_paths(CROSSINGS, CROSSINGS)
    world = combinatorial(uniform_means(ways.shape[1]), ways, horizon=horizon)

    def as_arms(make):
        return b.sets_as_arms(world.spec, ways, make)

    def comb(alpha):
        return b.comb_ucb1(world.spec, b.CombUCBConfig(alpha), ways)

    arms = {
        "CombUCB1": Arm(comb, WIDTHS, 0.06),
        "CombUCB1, paper's": Arm(comb, (1.5,), 1.5),
        "UCB1 on ways": Arm(lambda alpha: as_arms(lambda spec: b.ucb1(spec, b.UCB1Config(alpha))), WIDTHS, 0.008),
        "EXP3 on ways": Arm(
            lambda rate: as_arms(lambda spec: b.exp3(spec, b.ExponentialConfig(horizon, rate))), RATES, 4.0
        ),
    }
    return Problem(world, horizon, regret, arms)


def play(problem: Problem, policy: b.Policy, seeds: int, first_seed: int, points: int) -> np.ndarray:
    """What is measured of every seed, f64[seeds, points]."""
    algorithm = b.bandit(policy, problem.world, pulls=problem.horizon // points)
    return problem.measure(pjx.run(algorithm, seeds, points, first_seed=first_seed, progress=False).metrics)


def tune(problems: dict[str, Problem]) -> None:
    """Prints what every constant of every policy comes to on the tuning seeds."""
    for title, problem in problems.items():
        for name, arm in problem.arms.items():
            for constant in arm.grid:
                last = play(problem, arm.make(constant), len(TUNING_SEEDS), TUNING_SEEDS[0], 1)[:, -1]
                print(f"{title}: {name:<16} {constant:7.3f}: {last.mean():9.3f}", flush=True)


def draw(problems: dict[str, Problem], found: dict[str, dict[str, np.ndarray]]):
    """A panel a problem: means against pulls, with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.3))
        FigureCanvasAgg(figure)
        for ax, (title, problem) in zip(figure.subplots(1, len(problems)), problems.items(), strict=True):
            looks = analysis.looks(problem.arms)
            for name, runs in found[title].items():
                pulls = np.arange(1, runs.shape[1] + 1) * (problem.horizon // runs.shape[1]) / 1000
                mean, error = runs.mean(0), 1.96 * runs.std(0) / np.sqrt(len(runs))
                ax.plot(pulls, mean, color=looks[name].color, linestyle=looks[name].linestyle, label=name)
                ax.fill_between(
                    pulls, mean - error, mean + error, color=looks[name].color, alpha=0.2, linewidth=0
                )
            by_share = problem.measure is not regret
            if by_share:
                ax.axhline(0.9, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
            wide = max(runs.max() for runs in found[title].values()) > 5_000
            ax.set(title=title, xlabel="Pulls (thousands)", xlim=(0, None), yscale="log" if wide else "linear")
            ax.set(ylabel="Earned (share of the best)" if by_share else "Regret")
            if not wide:
                ax.set_ylim(0, None)
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), fontsize=7.5)
    return figure


def judge(found, horizons, args: Args, seeds: int) -> None:
    """Writes the four entries of the ledger."""
    zoom, prices, ways = ({name: runs[:, -1] for name, runs in arms.items()} for arms in found.values())
    told = [
        ", ".join(f"{name} {runs.mean():.4g}" for name, runs in arms.items()) for arms in (zoom, prices, ways)
    ]

    def gain(a, b):
        return analysis.paired_bootstrap(a, b, statistic=np.mean)

    grid, lagrange = zoom["Even grid"], analysis.bootstrap_interval(prices["LagrangeBwK"], statistic=np.mean)
    bound = oracles.comb_ucb1_bound(2 * CROSSINGS * (CROSSINGS - 1), 2 * (CROSSINGS - 1), horizons[2])
    more = gain(prices["UcbBwK"], prices["LagrangeBwK"])
    within = ways["CombUCB1, paper's"].mean() <= bound
    spare = gain(ways["CombUCB1"], 0.5 * ways["UCB1 on ways"])
    medians = ", ".join(f"{name} {np.median(ways[name]):.0f}" for name in ("CombUCB1", "UCB1 on ways"))
    zoom_ratio = zoom["Zooming"].mean() / grid.mean()
    way_ratio = ways["CombUCB1"].mean() / ways["UCB1 on ways"].mean()
    entries = {
        "zooming": (
            "Zooming regrets at most 0.8 of what UCB1 does on an even grid of an interval, where the mean has a peak.",
            "Kleinberg, Slivkins and Upfal (2008), Multi-armed bandits in metric spaces; Slivkins (2019), section 4.3",
            horizons[0], zoom["Zooming"], grid, gain(zoom["Zooming"], 0.8 * grid).high <= 0,
            f"regret of zooming less that of UCB1 on 31 even points, ratio {zoom_ratio:.2f}; {told[0]}",
        ),
        "lagrange_bwk": (
            "LagrangeBwK earns 0.9 of what the linear programme that knows all means would.",
            "Immorlica, Sankararaman, Schapire and Slivkins (2019), Adversarial bandits with knapsacks",
            horizons[1], prices["LagrangeBwK"], None, lagrange.low >= 0.9,
            f"share of the linear programme's value that LagrangeBwK earns; {told[1]}",
        ),
        "ucb_bwk": (
            "UcbBwK earns more than LagrangeBwK.",
            "Agrawal and Devanur (2014), Bandits with concave rewards and convex knapsacks; Slivkins (2019), 10",
            horizons[1], prices["UcbBwK"], prices["LagrangeBwK"], more.low > 0,
            f"UcbBwK less LagrangeBwK, shares of the linear programme's value; {told[1]}",
        ),
        "comb_ucb": (
            "CombUCB1, which sees the arms of a set, regrets at most half of what UCB1 does with the sets as arms.",
            "Kveton, Wen, Ashkan and Szepesvari (2015), Tight regret bounds for stochastic combinatorial semi-bandits",
            horizons[2], ways["CombUCB1"], ways["UCB1 on ways"],
            spare.high <= 0 and within,
            f"regret of CombUCB1 less that of UCB1 on ways, ratio {way_ratio:.2f}; less half of it {spare.value:.0f},"
            f" interval {spare.low:.0f} to {spare.high:.0f}; {told[2]}; medians {medians}; the bound is {bound:.3g}",
        ),
    }  # fmt: skip
    reasons = {
        "zooming": f"the ratio is {zoom_ratio:.2f}",
        "lagrange_bwk": f"the lower end is {lagrange.low:.2f}",
        "ucb_bwk": f"the lower end of the difference is {more.low:.2f}",
        "comb_ucb": f"the ratio of means is {way_ratio:.2f}, the upper end less half of the other {spare.high:.0f}",
    }
    constants = {
        name: f"constant {arm.chosen:g} of {arm.grid}"
        for problem in problems_of(horizons).values()
        for name, arm in problem.arms.items()
    }
    groups = {"zooming": zoom, "lagrange_bwk": prices, "ucb_bwk": prices, "comb_ucb": ways}
    for name, (claim, source, env_steps, ours, other, holds, statistic) in entries.items():
        path = analysis.record(
            name=name,
            claim=claim,
            source=source,
            criterion=CRITERIA[name],
            env_steps=env_steps,
            baselines={arm: constants[arm] for arm in groups[name]},
            tuning_seeds=TUNING_SEEDS,
            judging_seeds=range(args.first_seed, args.first_seed + seeds),
            effect=lagrange if other is None else gain(ours, other),
            statistic=statistic,
            verdict=("holds" if holds else "does not hold") if seeds >= 20 else "not judged",
            reason=f"the criterion as written: {reasons[name]}" if seeds >= 20 else "fewer than 20 seeds",
            command=f"python experiments/structured_bandits.py --seeds {seeds} --first-seed {args.first_seed}",
            family="bandits",
            directory=args.results,
        )
        print("written:", path)


def problems_of(horizons: tuple[int, int, int]) -> dict[str, Problem]:
    """Title -> problem, of these numbers of pulls."""
    return {
        "Peak on an interval": interval_problem(horizons[0]),
        "Prices and a budget": pricing_problem(horizons[1]),
        "Ways through a grid": path_problem(horizons[2]),
    }


def main(args: Args) -> None:
    """Runs all policies, draws the figure and writes the ledger."""
    enable_compilation_cache()
    horizons, points = ((400, 200, 200), 4) if args.smoke else ((10_000, 5_000, 10_000), 100)
    problems = problems_of(horizons)
    if args.tune:
        tune(problems)
        return
    seeds = 3 if args.smoke else args.seeds
    found = {}
    for title, problem in problems.items():
        found[title] = {}
        for name, arm in list(problem.arms.items())[: 1 if args.smoke else None]:
            runs = play(problem, arm.make(arm.chosen), seeds, args.first_seed, points)
            found[title][name] = runs
            error = 1.96 * runs[:, -1].std() / np.sqrt(seeds)
            print(f"{title}, {name:<16} {runs[:, -1].mean():9.3f} +- {error:.3f}", flush=True)
    args.results.mkdir(parents=True, exist_ok=True)
    draw(problems, found).savefig(args.results / "structured_bandits.png", dpi=200)
    print("written:", args.results / "structured_bandits.png")
    if not args.smoke and args.first_seed + seeds <= TUNING_SEEDS[0]:
        judge(found, horizons, args, seeds)


if __name__ == "__main__":
    main(analysis.arguments(Args))
