"""AEGiS: four asynchronous workers minimise three functions, some choices greedy, some by a draw, some for the front.

Branin, Ackley and Styblinski-Tang in 2, 5 and 5 dimensions, 60 evaluations with the 2 d of a Latin hypercube, jobs of
half-normal durations. Against AEGiS: Thompson sampling, expected improvement with the Kriging believer, GP-BUCB, the
ablations of AEGiS (uniform points in place of the Pareto set, AEGiS-RS; epsilon = 0, greedy but for choices two to
five), and random search. All share the Gaussian process, the search of its maxima, the first points and the
durations; all settings are those of the papers, but for the search with 512 candidates and 512 cosines a draw, and
none was tuned. De Ath et al. evaluate 200 points on 15 functions with 4, 8 and 16 workers and 51 seeds: this is small.

Criterion, written before the run, on the smallest regret after 60 evaluations, 20 seeds of each function: the mean rank
of AEGiS among all methods over the 60 pairs of function and seed is below those of Thompson sampling and of random
search, each with p < 0.05 in a one-sided paired Wilcoxon test of the logarithms; the geometric mean of its regrets is
at most 1.1 times that of expected improvement; and on Ackley the greedy ablation is worse than AEGiS in at least 60 %
of the seeds.

    python experiments/aegis_landscapes.py            # four minutes on two CPU cores
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads cost more than they bring on matrices of 60 x 60

import dataclasses
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.bandits.bayes_opt import Rule
from purejaxexplore.blocks.box_search import SearchConfig
from purejaxexplore.envs.bandits import landscape_world
from purejaxexplore.runner.cache import enable_compilation_cache

ACKLEY = "Ackley, d = 5"
FUNCTIONS = {"Branin, d = 2": ("branin", 2), ACKLEY: ("ackley", 5), "Styblinski-Tang, d = 5": ("styblinski_tang", 5)}
WORKERS, FLOOR = 4, 1e-6
CRITERION = (
    "after 60 evaluations, over function and seed: mean rank of AEGiS below Thompson sampling and below random search,"
    " Wilcoxon p < 0.05 each; geometric mean of the regrets at most 1.1 times that of expected improvement; greedy is"
    " worse than AEGiS on Ackley in at least 60 % of the seeds"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Asynchronous Bayesian optimisation of functions with known minima.

    Attributes:
        seeds: seeds of each method on each function.
        first_seed: number of the first seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    smoke: bool = False
    results: Path = Path("experiments/results")


def rules(search: SearchConfig, num_features: int) -> dict[str, Rule]:
    """Name -> rule."""
    sizes = {"num_features": num_features, "search": search}
    return {
        "AEGiS": b.aegis(b.AEGiSConfig(**sizes)),
        "AEGiS-RS": b.aegis(b.AEGiSConfig(explore="uniform", **sizes)),
        "Greedy": b.aegis(b.AEGiSConfig(epsilon=0.0, **sizes)),
        "Thompson": b.gp_thompson(b.GPThompsonConfig(**sizes)),
        "Kriging believer": b.expected_improvement(b.ExpectedImprovementConfig(search=search)),
        "GP-BUCB": b.gp_ucb(b.GPUCBConfig(search=search)),
        "Random": b.random_search(),
    }


def regrets(rule, function: tuple[str, int], seeds: int, first_seed: int, budget: int) -> np.ndarray:
    """Smallest regret so far f64[seeds, budget - D + 1], after the design and after every evaluation."""
    algorithm = b.bayes_opt(rule, landscape_world(*function), b.BayesOptConfig(budget=budget, workers=WORKERS))
    steps = budget - 2 * function[1] + WORKERS
    run = pjx.run(algorithm, seeds, steps, first_seed=first_seed, progress=False)
    return np.asarray(run.metrics["simple_regret"], np.float64)[:, WORKERS - 1 :]


def wilcoxon(ours: np.ndarray, theirs: np.ndarray) -> float:
    """p-value of the one-sided signed-rank test that ours are smaller."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(ours, theirs, alternative="less").pvalue)


def mean_ranks(last: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean rank of each method over pairs of function and seed, 1 the best; equal ones share theirs."""
    from scipy.stats import rankdata

    return dict(zip(last, rankdata(np.stack(list(last.values())), axis=0).mean(1).tolist(), strict=True))


def draw(curves: dict[str, dict[str, np.ndarray]], budget: int):
    """Geometric mean of the smallest regret over evaluations, one panel a function."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.0))
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(curves), squeeze=False)[0]
        for ax, (title, lines) in zip(panels, curves.items(), strict=True):
            for name, look in analysis.looks(lines).items():
                logs = np.log(np.maximum(lines[name], FLOOR))
                mean, error = logs.mean(0), 1.96 * logs.std(0, ddof=1) / np.sqrt(len(logs))
                at = np.arange(budget - logs.shape[1] + 1, budget + 1)
                width = 2.8 if name == "AEGiS" else 1.4
                ax.plot(at, np.exp(mean), color=look.color, linestyle=look.linestyle, linewidth=width, label=name)
                low, high = np.exp(mean - error), np.exp(mean + error)
                ax.fill_between(at, low, high, color=look.color, alpha=0.12, linewidth=0)
            ax.set(title=title, xlabel="Evaluations", yscale="log", xlim=(0, budget))
            low, high = ax.get_ylim()
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0)))
            ax.yaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_major_formatter("{x:g}")
        panels[0].set_ylabel("Smallest regret\n(geometric mean)")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def main(args: Args) -> None:
    """Runs every method on every function, draws the figure and writes the ledger."""
    enable_compilation_cache()
    seeds, budget = (2, 12) if args.smoke else (args.seeds, 60)
    methods = rules(SearchConfig(16, 2, 2), 16) if args.smoke else rules(SearchConfig(512, 8, 20), 512)
    curves: dict[str, dict[str, np.ndarray]] = {}
    for title in list(FUNCTIONS)[:1] if args.smoke else FUNCTIONS:
        curves[title] = {}
        for name in ("AEGiS", "Kriging believer", "Random") if args.smoke else methods:
            curves[title][name] = regrets(methods[name], FUNCTIONS[title], seeds, args.first_seed, budget)
            last = np.maximum(curves[title][name][:, -1], FLOOR)
            print(f"{title:<24} {name:<18} {np.exp(np.log(last).mean()):.3g}", flush=True)
    args.results.mkdir(parents=True, exist_ok=True)
    draw(curves, budget).savefig(args.results / "aegis_landscapes.png", dpi=200)
    print("written:", args.results / "aegis_landscapes.png")
    if args.smoke:
        return
    logs = {
        name: np.concatenate([np.log10(np.maximum(lines[name][:, -1], FLOOR)) for lines in curves.values()])
        for name in methods
    }
    ranks = mean_ranks(logs)
    p = {name: wilcoxon(logs["AEGiS"], logs[name]) for name in methods if name != "AEGiS"}
    ratio = float(10 ** (logs["AEGiS"].mean() - logs["Kriging believer"].mean()))
    worse = float((curves[ACKLEY]["Greedy"][:, -1] > curves[ACKLEY]["AEGiS"][:, -1]).mean())
    told = (
        f"mean ranks {', '.join(f'{name} {rank:.2f}' for name, rank in ranks.items())}; Wilcoxon p"
        f" {', '.join(f'{name} {value:.2g}' for name, value in p.items())}; regret over that of expected improvement"
        f" {ratio:.2f}; greedy worse on Ackley in {worse:.2f}"
    )
    print(told)
    if args.first_seed + seeds > 1000:
        return
    parts = {
        f"not better than {name} (p = {p[name]:.2g})": ranks["AEGiS"] >= ranks[name] or p[name] >= 0.05
        for name in ("Thompson", "Random")
    } | {
        f"regret {ratio:.2f} times that of expected improvement, above 1.1": ratio > 1.1,
        f"greedy is worse on Ackley in {worse:.0%} of the seeds, below 60 %": worse < 0.6,
    }
    failed = [name for name, fails in parts.items() if fails]
    path = analysis.record(
        name="aegis_landscapes",
        claim="Asynchronous workers that mix greedy choices, posterior draws and the Pareto set of mean and deviation"
        " find smaller values than posterior draws alone.",
        source="De Ath, Everson and Fieldsend (2021), Asynchronous epsilon-greedy Bayesian optimisation",
        criterion=CRITERION,
        env_steps=budget,
        baselines={
            "Thompson": "posterior draws only", "Kriging believer": "expected improvement", "GP-BUCB": "beta / 5",
            "AEGiS-RS": "uniform points for the Pareto set", "Greedy": "epsilon = 0", "Random": "uniform",
        },
        tuning_seeds=[],
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=analysis.paired_bootstrap(logs["Thompson"], logs["AEGiS"], statistic=np.mean),
        statistic="log10 of the regret of Thompson sampling less that of AEGiS, mean over function and seed; " + told
        + "; De Ath et al. use 15 functions, 200 evaluations, up to 16 workers and 51 seeds",
        verdict=("does not hold" if failed else "holds") if seeds >= 20 else "not judged",
        reason=("; ".join(failed) or "the criterion as written") if seeds >= 20 else "fewer than 20 seeds",
        command=f"python experiments/aegis_landscapes.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bandits",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
