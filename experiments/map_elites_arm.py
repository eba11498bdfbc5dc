"""MAP-Elites on the planar arm: random search, Gaussian variation and iso-line variation, in that order.

Mouret and Clune (2015), "Illuminating search spaces by mapping elites"; Vassiliades and Mouret (2018), "Discovering the
elite hypervolume by leveraging interspecies correlation". An arm of 10 joints, 50 x 50 cells, 500 batches of 128
evaluations after the first, 20 seeds. Random search draws every joint uniformly, Gaussian variation has standard
deviation 0.01, iso-line variation 0.01 and 0.2.

The criterion, written before the run: coverage of the square and QD-score both rank random search < Gaussian <
iso-line, the 95 % intervals of the interquartile means not overlapping, and the coverage of iso-line lies in
[0.77, 0.81] (the disc that the arm reaches has 0.785 of the square, and the cells that its edge cuts count too).

Nothing is tuned: the settings are those of the papers.

    python experiments/map_elites_arm.py            # seconds
"""

import dataclasses
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.envs.domains import PlanarArm
from purejaxexplore.quality_diversity import MAPElitesConfig, map_elites, variation
from purejaxexplore.runner.cache import enable_compilation_cache

ARMS = {
    "Iso-line": variation.iso_line(0.01, 0.2),
    "Gaussian": variation.gaussian(0.01),
    "Random": variation.uniform(0.0, 1.0),
}
CRITERION = (
    "coverage and QD-score both rank random < Gaussian < iso-line with 95 % intervals that do not overlap, and iso-line"
    " coverage in [0.77, 0.81]"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """MAP-Elites on the planar arm.

    Attributes:
        seeds: seeds of each variation.
        first_seed: number of the first seed.
        batches: batches of 128 evaluations after the first.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figures and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    batches: int = 500
    smoke: bool = False
    results: Path = Path("experiments/results")


def main(args: Args) -> None:
    """Runs the three, draws the curves and the archives and writes the ledger entry."""
    enable_compilation_cache()
    domain = PlanarArm(10)
    config = MAPElitesConfig(offset=domain.fitness_range[0], bins=(50, 50), batch_size=128)
    seeds, batches = (2, 5) if args.smoke else (args.seeds, args.batches)
    cells = config.bins[0] * config.bins[1]
    runs, scores = {}, {}
    for name, operator in ARMS.items():
        algorithm = map_elites(domain, config, variation=operator)
        runs[name] = pjx.run(algorithm, seeds, batches, first_seed=args.first_seed, name=name)
        scores[name] = np.asarray(runs[name].state.repertoire.archive.score)
    ever = analysis.illumination(np.concatenate(list(scores.values())), config.offset)
    measured = {}
    for row, name in enumerate(ARMS):
        mine = {metric: analysis.final_scores(runs[name], metric) for metric in ("coverage", "qd_score")}
        coverage, quality = (analysis.bootstrap_interval(values) for values in mine.values())
        measured[name] = {"coverage": coverage, "qd_score": quality}
        union = [np.mean(values[row * seeds : (row + 1) * seeds]) for values in ever]
        print(
            f"{name:<10} coverage {coverage.value:.3f} [{coverage.low:.3f}, {coverage.high:.3f}], QD-score"
            f" {quality.value:.0f} ({quality.value / cells:.3f} a cell); against the union of all runs: performance"
            f" {union[0]:.3f}, reliability {union[1]:.3f}, precision {union[2]:.3f}, coverage {union[3]:.3f}"
        )

    args.results.mkdir(parents=True, exist_ok=True)
    for metric, label in (("coverage", "Cells filled (fraction)"), ("qd_score", "QD-score (fitness + 0.5)")):
        figure = analysis.learning_curves(runs, metric, title="Planar arm, 10 joints")
        figure.axes[0].set(xlabel="Evaluations", ylabel=label)
        figure.savefig(args.results / f"map_elites_arm_{metric}.png", dpi=200)
    maps = {name: table[0].reshape(config.bins) for name, table in scores.items()}
    figure = analysis.archive_maps(
        maps, (domain.low, domain.high), labels=("Hand, horizontal", "Hand, vertical"), label="Fitness (-std of joints)"
    )
    figure.savefig(args.results / "map_elites_arm_archives.png", dpi=200)
    print("written:", *sorted(str(path) for path in args.results.glob("map_elites_arm_*.png")), sep="\n  ")
    if args.smoke or args.first_seed + seeds > 1000:
        return

    order = ("Random", "Gaussian", "Iso-line")
    apart = all(
        measured[worse][metric].high < measured[better][metric].low
        for metric in ("coverage", "qd_score")
        for worse, better in zip(order, order[1:], strict=False)
    )
    inside = 0.77 <= measured["Iso-line"]["coverage"].value <= 0.81
    enough = seeds >= 20
    numbers = "; ".join(
        f"{name} {values['coverage'].value:.3f} / {values['qd_score'].value / cells:.3f}"
        for name, values in measured.items()
    )
    a, b = (analysis.final_scores(runs[name], "coverage") for name in ("Iso-line", "Gaussian"))
    path = analysis.record(
        name="map_elites_arm",
        claim="On the planar arm MAP-Elites with iso-line variation covers more than with Gaussian variation, and that"
        " more than random search.",
        source="Vassiliades and Mouret (2018), Discovering the elite hypervolume by leveraging interspecies"
        " correlation",
        criterion=CRITERION,
        env_steps=config.batch_size * (batches + 1),
        baselines={"Gaussian": "standard deviation 0.01", "Random": "uniform joints, the same evaluations"},
        tuning_seeds=[],
        judging_seeds=list(range(args.first_seed, args.first_seed + seeds)),
        effect=analysis.paired_bootstrap(a, b),
        statistic=f"coverage, iso-line minus Gaussian; coverage / QD-score a cell: {numbers}; iso-line reaches"
        f" {measured['Iso-line']['coverage'].value:.3f} of the square",
        verdict=("holds" if apart and inside else "does not hold") if enough else "not judged",
        reason="the criterion as written" if enough else "fewer than 20 seeds",
        command=f"python experiments/map_elites_arm.py --seeds {seeds} --first-seed {args.first_seed}",
        family="quality_diversity",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
