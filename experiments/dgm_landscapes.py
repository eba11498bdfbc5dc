"""The parent selection of the Darwin Gödel Machine on landscapes of bits: where patience pays, and where it does not.

Zhang, Hu, Lu, Lange and Clune (2025), "Darwin Gödel Machine". Four rules choose the parents of an archive that keeps
every variant: the paper's, always the best, always the last (the paper's baseline without open-ended exploration), and
all alike. NK(32, 6) and concatenated traps are rugged; on the skill ladder every step upwards begins with a step down;
on NK with breakage 30 % of the children are worthless, and so are all their descendants. Two children an iteration; 400
children on NK and traps, 600 on the ladder, where the operator changes exactly one bit and scores are not rescaled.

Criterion, written before the run, on the best score ever, paired by seed (same landscape), one-sided Wilcoxon tests:
the paper's rule is above always-the-best on the ladder and below it on NK, and above always-the-last on NK, with and
without breakage, each p < 0.01. Nothing was tuned.

    python experiments/dgm_landscapes.py            # seconds
"""

import dataclasses
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.go_explore.bit_landscapes import nk, skill_ladder, trap
from purejaxexplore.go_explore.dgm import DGMConfig, dgm
from purejaxexplore.runner.cache import enable_compilation_cache

NAMES = {"dgm": "DGM", "best": "Best", "last": "Last", "uniform": "Uniform"}
CRITERION = "best score, paired by seed, one-sided Wilcoxon p < 0.01 each: " + "; ".join(
    ("DGM > best on the ladder", "best > DGM on NK", "DGM > last on NK", "DGM > last on NK with 30 % breakage")
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Four rules of parent selection on four landscapes.

    Attributes:
        seeds: seeds of each rule on each landscape.
        first_seed: number of the first seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 40
    first_seed: int = 0
    smoke: bool = False
    results: Path = Path("experiments/results")


def worlds(smoke: bool) -> dict:
    """Name -> (landscape, settings, iterations)."""
    shared = DGMConfig(capacity=8 if smoke else 601)
    broken = shared.replace(break_probability=0.3)
    iterations = (3, 3) if smoke else (200, 300)
    return {
        "NK(32, 6)": (nk(32, 6), shared, iterations[0]),
        "Traps": (trap(8), shared, iterations[0]),
        "Skill ladder": (skill_ladder(), shared.replace(rate_spread=0.0, rescale=False), iterations[1]),
        "NK, breakage": (nk(32, 6), broken, iterations[0]),
    }


def draw(runs: dict[str, dict]):
    """Best score against variants evaluated, a panel a landscape."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 4.4))
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, 2)
        for ax, (world, arms) in zip(axes.flat, runs.items(), strict=True):
            analysis.learning_curves(arms, "best_score", title=world, ax=ax)
            ax.set(xlabel="Variants evaluated", ylabel="Best score")
            if ax is not axes.flat[0]:
                ax.get_legend().remove()
    return figure


def main(args: Args) -> None:
    """Runs all rules everywhere, draws the curves and writes the ledger."""
    from scipy.stats import wilcoxon

    enable_compilation_cache()
    seeds = 4 if args.smoke else args.seeds
    runs, best = {}, {}
    for world, (landscape, config, iterations) in worlds(args.smoke).items():
        runs[world] = {
            name: pjx.run(
                dgm(landscape, config, rule=rule), seeds, iterations, first_seed=args.first_seed, progress=False
            )
            for rule, name in NAMES.items()
        }
        best[world] = {name: np.asarray(run.metrics["best_score"])[:, -1] for name, run in runs[world].items()}
        print(f"{world:<14}", *(f"{name} {scores.mean():.3f}" for name, scores in best[world].items()), flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    draw(runs).savefig(args.results / "dgm_landscapes.png", dpi=200)
    print("written:", args.results / "dgm_landscapes.png")
    if args.smoke:
        return

    comparisons = (("Skill ladder", "DGM", "Best"), ("NK(32, 6)", "Best", "DGM"), ("NK(32, 6)", "DGM", "Last"))
    comparisons += (("NK, breakage", "DGM", "Last"),)
    p = [
        float(wilcoxon(best[world][a], best[world][b], alternative="greater").pvalue) for world, a, b in comparisons
    ]
    told = "; ".join(
        f"{world}: {a} {best[world][a].mean():.3f}, {b} {best[world][b].mean():.3f}, p = {value:.2g}"
        for (world, a, b), value in zip(comparisons, p, strict=True)
    )
    enough = seeds >= 20
    ladder = best["Skill ladder"]
    path = analysis.record(
        name="dgm_landscapes",
        claim="DGM's parent selection beats greed where every step up begins with a step down, and loses to it on NK.",
        source="Zhang, Hu, Lu, Lange and Clune (2025), Darwin Gödel Machine: the selection rule alone",
        criterion=CRITERION,
        env_steps=601,
        baselines={"Best": "always the best variant", "Last": "always the last variant", "Uniform": "all alike"},
        tuning_seeds=[],
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=analysis.paired_bootstrap(ladder["DGM"], ladder["Best"], statistic=np.mean),
        statistic=f"difference of mean best scores on the ladder, DGM less best; {told}",
        verdict=("holds" if max(p) < 0.01 else "does not hold") if enough else "not judged",
        reason="the criterion as written" if enough else "fewer than 20 seeds",
        command=f"python experiments/dgm_landscapes.py --seeds {seeds} --first-seed {args.first_seed}",
        family="go_explore",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
