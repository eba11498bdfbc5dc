"""Every stochastic bandit policy against the lower bound of Lai and Robbins, and the slopes that theory promises.

Two instances with five Bernoulli arms, in another order for each seed: one good arm (0.75 and four of 0.25), and rare
rewards (0.1, 0.05, 0.05, 0.02, 0.02), where a policy that does not know that small means vary little pays several times
the bound. The figure shows all policies for 10,000 pulls. Two entries, with criteria written before the run; the slope
of a regret curve is ``(R(T) - R(T / 10)) / ln 10``.

* ``bandit_slopes``, T = 40,000, at least 200 seeds: with C the constant of Lai and Robbins, IMED and KL-UCB have
  slopes in [0.6 C, 1.8 C] on both instances; on rare rewards UCB with alpha = 1/2 has at least 4 C and Gaussian
  Thompson sampling at least 2 C.
* ``bandit_asymptotics``, T = 100,000, 2,000 seeds (KL-UCB and Thompson sampling 500): UCB1, KL-UCB, MOSS and Beta
  Thompson sampling have slopes within 15 % of what theory says they tend to, ``2 sum 1 / gap``, C, ``sum 1 / gap``
  (MOSS, by two horizons) and C, on both instances.

Nothing is tuned: every constant is that of its paper, but for KL-UCB's and Bayes-UCB's c = 0, which their authors
recommend.

    python experiments/stochastic_bandits.py            # about eight minutes on two CPU cores
"""

import dataclasses
import math
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.analysis.statistics import Estimate
from purejaxexplore.analysis.style import FULL_WIDTH, INK
from purejaxexplore.bandits import oracles
from purejaxexplore.envs.bandits import bernoulli, shuffled
from purejaxexplore.runner.cache import enable_compilation_cache

INSTANCES = {"One good arm": (0.75, 0.25, 0.25, 0.25, 0.25), "Rare rewards": (0.1, 0.05, 0.05, 0.02, 0.02)}
GOOD, RARE = INSTANCES
DEAR = ("Bayes-UCB", "IDS")  # fewer seeds
SLOPES = (
    "T = 40,000: IMED and KL-UCB in [0.6 C, 1.8 C] on both instances; on rare rewards UCB(1/2) >= 4 C, Gaussian"
    " Thompson >= 2 C"
)
ASYMPTOTICS = (
    "T = 100,000: slopes of UCB1, KL-UCB, MOSS and Beta Thompson within 15 % of 2 sum 1/gap, C, sum 1/gap and C, on"
    " both instances"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Stochastic bandits against the lower bound.

    Attributes:
        seeds: seeds of the asymptotic slopes; the figure has 200, its two dearest policies 40, KL-UCB and
            Thompson sampling a quarter.
        first_seed: number of the first seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 2_000
    first_seed: int = 0
    smoke: bool = False
    results: Path = Path("experiments/results")


def policies(spec, horizon: int) -> dict[str, b.Policy]:
    """Every policy for independent rewards in [0, 1]."""
    return {
        "Explore first": b.explore_first(spec, b.ExploreFirstConfig(horizon)),
        "Greedy 0.1": b.epsilon_greedy(spec, b.EpsilonGreedyConfig(0.1)),
        "Greedy, decaying": b.decaying_epsilon_greedy(spec),
        "Elimination": b.successive_elimination(spec, b.SuccessiveEliminationConfig(horizon)),
        "UCB1": b.ucb1(spec, b.UCB1Config()),
        "UCB(1/2)": b.ucb1(spec, b.UCB1Config(0.5)),
        "UCB-tuned": b.ucb_tuned(spec),
        "UCB-V": b.ucb_v(spec, b.UCBVConfig()),
        "MOSS": b.moss(spec, b.MOSSConfig(horizon)),
        "KL-UCB": b.kl_ucb(spec, b.KLUCBConfig()),
        "IMED": b.imed(spec),
        "Bayes-UCB": b.bayes_ucb(spec, b.BayesUCBConfig(horizon)),
        "Thompson, Beta": b.beta_thompson(spec, b.BetaThompsonConfig()),
        "Thompson, Gauss": b.gaussian_thompson(spec, b.GaussianThompsonConfig()),
        "IDS": b.ids(spec, b.IDSConfig(100)),
        "MBE": b.mbe(spec, b.MBEConfig()),
    }


def regret(policy: b.Policy, world, horizon: int, points: int, seeds: int, args: Args) -> np.ndarray:
    """Regret after every ``horizon / points`` pulls, f32[seeds, points]."""
    algorithm = b.bandit(policy, world, pulls=horizon // points)
    run = pjx.run(algorithm, seeds, points, first_seed=args.first_seed, progress=False)
    return np.asarray(run.metrics["regret"])


def slope(curves: np.ndarray, tenths: int) -> Estimate:
    """``(R(T) - R(T / 10)) / ln 10`` where T is ``tenths`` tenths of the run, with a normal interval over seeds."""
    points = curves.shape[1]
    return mean_interval((curves[:, points * tenths // 10 - 1] - curves[:, points * tenths // 100 - 1]) / math.log(10))


def mean_interval(x: np.ndarray) -> Estimate:
    """Mean of many runs with its 95 % interval."""
    error = 1.96 * x.std(ddof=1) / math.sqrt(x.size)
    return Estimate(float(x.mean()), float(x.mean() - error), float(x.mean() + error))


def draw(curves: dict[str, dict[str, np.ndarray]], horizon: int):
    """Mean regret with intervals, both axes logarithmic, a panel an instance, beside the slope of the bound."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 4.6))
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(curves), squeeze=False)[0]
        for ax, (instance, arms) in zip(axes, curves.items(), strict=True):
            looks = analysis.looks(arms)
            for name, runs in arms.items():
                points = np.arange(1, runs.shape[1] + 1) * (horizon // runs.shape[1])
                kept = np.unique(np.geomspace(1, points.size, 60).astype(int) - 1)
                mean = runs[:, kept].mean(0)
                error = 1.96 * runs[:, kept].std(0) / math.sqrt(runs.shape[0])
                look = looks[name]
                ax.plot(points[kept], mean, color=look.color, linestyle=look.linestyle, linewidth=1.2, label=name)
                ax.fill_between(points[kept], mean - error, mean + error, color=look.color, alpha=0.15, linewidth=0)
            time = np.geomspace(100, horizon, 50)
            bound = oracles.lai_robbins(INSTANCES[instance]) * np.log(time / 100)
            ax.plot(time[5:], bound[5:], color=INK, linewidth=2.2, label="Lai-Robbins slope")
            ax.set(xscale="log", yscale="log", title=instance, xlabel="Pulls", xlim=(10, horizon))
        axes[0].set(ylabel="Regret (expected reward lost)")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def judge(args: Args, name: str, criterion: str, found: list, seeds: int, steps: int, **fields) -> None:
    """Writes an entry from ``(policy, instance, estimate, lowest, highest)``, each asked to lie within its bounds."""
    told = "; ".join(
        f"{policy}, {instance.lower()}: {estimate.value:.3g} +- {estimate.high - estimate.value:.2g}"
        f" (asked {low:.3g} to {high:.3g})"
        for policy, instance, estimate, low, high in found
    )
    holds = all(low <= estimate.value <= high for *_, estimate, low, high in found)
    path = analysis.record(
        name=name,
        criterion=criterion,
        env_steps=steps,
        tuning_seeds=[],
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=found[0][2],
        statistic=f"slope of {found[0][0]}, {found[0][1].lower()}; {told}",
        verdict="holds" if holds else "does not hold",
        reason="the criterion as written",
        command=f"python experiments/stochastic_bandits.py --seeds {args.seeds} --first-seed {args.first_seed}",
        family="bandits",
        directory=args.results,
        **fields,
    )
    print("written:", path)


def main(args: Args) -> None:
    """Runs all policies, draws the figure, measures the slopes and writes the ledger."""
    enable_compilation_cache()
    short, long = (200, 200) if args.smoke else (10_000, 100_000)
    few, many = (4, 4) if args.smoke else (200, args.seeds)
    quarter = max(many // 4, 2)
    args.results.mkdir(parents=True, exist_ok=True)
    curves, found = {}, {}
    for instance, means in INSTANCES.items():
        if args.smoke and instance == RARE:
            continue
        world = bernoulli(shuffled(means))
        C, total = oracles.lai_robbins(means), oracles.ucb_slope(means, 1.0)
        curves[instance] = {
            name: regret(policy, world, short, short // 10, few // 5 if name in DEAR else few, args)
            for name, policy in policies(world.spec, short).items()
            if not args.smoke or name in ("IMED", "MBE")
        }
        for name, runs in curves[instance].items():
            print(f"{instance}, {name:<16} regret {runs[:, -1].mean():8.1f}", flush=True)
        limits = {"UCB1": 2 * total, "KL-UCB": C, "Thompson, Beta": C, "MOSS": total, "IMED": C}
        limits |= {"UCB(1/2)": total / 2, "Thompson, Gauss": total / 2}
        for name, limit in limits.items():
            if args.smoke and name != "UCB1":
                continue
            seeds = {"UCB1": many, "MOSS": many, "KL-UCB": quarter, "Thompson, Beta": quarter}.get(name, few)
            runs = regret(policies(world.spec, long)[name], world, long, 100, seeds, args)
            found[name, instance] = {tenths: slope(runs, tenths) for tenths in (4, 10)}
            if name == "MOSS":  # its slope is between runs of two horizons
                tenth = regret(policies(world.spec, long // 10)[name], world, long // 10, 10, seeds, args)
                found[name, instance][10] = mean_interval((runs[:, -1] - tenth[:, -1]) / math.log(10))
            at = found[name, instance]
            print(
                f"{instance}, {name:<16} slope {at[4].value:.2f} at {long * 4 // 10:,}, {at[10].value:.2f} +-"
                f" {at[10].high - at[10].value:.2f} at {long:,}; limit {limit:.2f}; C {C:.2f}",
                flush=True,
            )
            found[name, instance]["limit"] = limit
    draw(curves, short).savefig(args.results / "stochastic_bandits.png", dpi=200)
    print("written:", args.results / "stochastic_bandits.png")
    if args.smoke or args.first_seed + args.seeds > 10_000 or args.seeds < 200:
        return
    c = {instance: oracles.lai_robbins(means) for instance, means in INSTANCES.items()}
    asked = [("KL-UCB", i, found["KL-UCB", i][4], 0.6 * c[i], 1.8 * c[i]) for i in INSTANCES]
    asked += [("IMED", i, found["IMED", i][4], 0.6 * c[i], 1.8 * c[i]) for i in INSTANCES]
    asked += [("UCB(1/2)", RARE, found["UCB(1/2)", RARE][4], 4 * c[RARE], math.inf)]
    asked += [("Thompson, Gauss", RARE, found["Thompson, Gauss", RARE][4], 2 * c[RARE], math.inf)]
    judge(
        args, "bandit_slopes", SLOPES, asked, few, 40_000,
        claim="Policies that know Bernoulli rewards have the regret slope of Lai and Robbins, others a multiple of it.",
        source="Lai and Robbins (1985), Asymptotically efficient adaptive allocation rules",
        baselines={"UCB(1/2)": "alpha = 1/2", "Thompson, Gauss": "sigma = 1/2"},
    )  # fmt: skip
    names = ("UCB1", "KL-UCB", "MOSS", "Thompson, Beta")
    asked = []
    for name, instance in ((name, instance) for name in names for instance in INSTANCES):
        limit = found[name, instance]["limit"]
        asked.append((name, instance, found[name, instance][10], 0.85 * limit, 1.15 * limit))
    judge(
        args, "bandit_asymptotics", ASYMPTOTICS, asked, many, long,
        claim="After 100,000 pulls the regret of UCB1, KL-UCB, MOSS and Thompson sampling has its asymptotic slope.",
        source="Auer et al. (2002); Garivier and Cappe (2011); Audibert and Bubeck (2009); Kaufmann et al. (2012)",
        baselines={"limits": "2 sum 1/gap (UCB1), sum 1/gap (MOSS), C (KL-UCB and Thompson sampling)"},
    )  # fmt: skip


if __name__ == "__main__":
    main(analysis.arguments(Args))
