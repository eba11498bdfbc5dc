"""The best arms of many linear bandits that share two hidden dimensions of sixteen.

M = 5, 20 or 100 tasks with the same 40 arms of length 1 in R^16 and parameters in one unknown plane, noise of standard
deviation 1; each task's best arm is better by 0.1 or more where one of 64 candidates was. DouExpDes learns the plane
with all tasks together and then eliminates in two dimensions; against it the same elimination by each task alone in 16
dimensions (eight tasks, with the confidence that M tasks need), and with the plane known. Two controls at M = 20: k = d
= 16, where there is nothing to share, and arms half of which crowd together, where the designs are compared with
pulling all arms equally often.

Criterion, written before the run, on means over 20 seeds: with M = 100 DouExpDes needs at most 0.25 of the pulls per
task of independent elimination, and at most a share 0.05 of its tasks drop their best arm; that ratio falls from M = 5
to 20 to 100; with k = d it is 0.8 to 1.3; on the crowded arms the designs need at most 0.9 of the pulls of uniform
allocation; and at least 95 % of all tasks are solved.

    python experiments/double_design.py            # two minutes on two CPU cores
"""

import dataclasses
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.algorithm import per_seed
from purejaxexplore.analysis.style import FULL_WIDTH, INK, PALETTE, REFERENCE
from purejaxexplore.envs.bandits import linear_tasks
from purejaxexplore.runner.cache import enable_compilation_cache

DIM, RANK, ARMS, PHASES, DELTA = 16, 2, 40, 7, 0.05
SIZES, ALONE = (5, 20, 100), 8
CRITERION = (
    "pulls per task: DouExpDes <= 0.25 of independent elimination at M = 100, with errors <= 0.05, and the ratio falls"
    " with M; 0.8 to 1.3 with k = d; designed <= 0.9 of uniform on crowded arms; >= 95 % of the tasks solved"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Shared designs for many linear bandits.

    Attributes:
        seeds: seeds, each with arms and tasks of its own.
        first_seed: number of the first seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    smoke: bool = False
    results: Path = Path("experiments/results")


def final(args: Args, seeds: int, tasks: int, rank: int = RANK, crowded: float = 0.0, **settings):
    """Last metrics of every seed, name -> f32[seeds]."""
    steps, phases = (10, 2) if args.smoke else (200, PHASES)
    draw = linear_tasks(tasks, DIM, rank, ARMS, crowded=crowded)
    config = b.DoubleDesignConfig(rank, design_steps=steps, **settings)
    algorithm = per_seed(draw, lambda drawn: b.double_design(drawn, config))
    run = pjx.run(algorithm, seeds, phases, first_seed=args.first_seed, progress=False)
    found = {name: np.asarray(run.metrics[name])[:, -1] for name in run.metrics}
    print(
        f"M = {tasks}, k = {rank}, crowded {crowded:g}, {settings}: {found['pulls_per_task'].mean():.3g} pulls a task,"
        f" {found['feature_pulls'].mean():.3g} of them shared, errors {found['error'].mean():.3f}, solved"
        f" {found['solved'].mean():.3f}, projector error {found['projector_error'].mean():.3f}",
        flush=True,
    )
    return found


def draw(shared, alone, known, controls):
    """Pulls per task against the number of tasks; the two controls as ratios."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.9))
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
        curves = {
            "Each task alone": {M: found["pulls_per_task"] for M, found in alone.items()},
            "DouExpDes": {M: found["pulls_per_task"] for M, found in shared.items()},
            "of which shared": {M: found["feature_pulls"] for M, found in shared.items()},
            "Representation known": {M: found["pulls_per_task"] for M, found in known.items()},
        }
        looks = analysis.looks(curves)
        for name, points in curves.items():
            estimates = [analysis.bootstrap_interval(pulls, statistic=np.mean) for pulls in points.values()]
            look = looks[name]
            left.plot(
                list(points),
                [e.value for e in estimates],
                color=look.color,
                marker=look.marker,
                markersize=5,
                label=name,
            )
            left.fill_between(
                list(points), [e.low for e in estimates], [e.high for e in estimates], color=look.color, alpha=0.2,
                linewidth=0,
            )  # fmt: skip
        left.set(xlabel="Tasks M", ylabel="Pulls per task", xscale="log", yscale="log")
        left.set_xticks(list(shared), [str(M) for M in shared])
        left.minorticks_off()
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        for place, (ours, theirs) in enumerate(controls.values()):
            logs = analysis.bootstrap_interval(np.log(ours / theirs), statistic=np.mean)
            ratio = analysis.Estimate(*np.exp(logs))
            right.bar(place, ratio.value, width=0.55, color=PALETTE[place])
            right.errorbar(
                place, ratio.value, [[ratio.value - ratio.low], [ratio.high - ratio.value]], color=INK, capsize=3
            )
        right.axhline(1, color=REFERENCE, linewidth=0.8, linestyle="--")
        right.set(ylabel="Ratio of pulls per task\n(geometric mean)")
        right.set_xticks(range(len(controls)), list(controls), fontsize=8)
        right.grid(axis="x", visible=False)
    return figure


def main(args: Args) -> None:
    """Runs all sizes and controls, draws the figure and writes the ledger."""
    enable_compilation_cache()
    seeds, sizes = (2, (5,)) if args.smoke else (args.seeds, SIZES)
    shared = {M: final(args, seeds, M) for M in sizes}
    known = {M: final(args, seeds, M, representation="known") for M in sizes}
    # A task alone needs the confidence of M: delta is shared out among as many.
    alone = {
        M: final(args, seeds, min(M, ALONE), representation="none", delta=DELTA * min(1, ALONE / M)) for M in sizes
    }
    if args.smoke:
        full = crowd = shared[5], alone[5]
    else:
        full = (
            final(args, seeds, 20, rank=DIM),
            final(args, seeds, ALONE, rank=DIM, representation="none", delta=DELTA * ALONE / 20),
        )
        crowd = final(args, seeds, 20, crowded=0.5), final(args, seeds, 20, crowded=0.5, allocation="uniform")
    controls = {
        "k = d:\nshared /\nalone": tuple(found["pulls_per_task"] for found in full),
        "crowded arms:\ndesigned /\nuniform": tuple(found["pulls_per_task"] for found in crowd),
    }
    args.results.mkdir(parents=True, exist_ok=True)
    draw(shared, alone, known, controls).savefig(args.results / "double_design.png", dpi=200)
    print("written:", args.results / "double_design.png")
    if args.smoke or args.first_seed + seeds > 1000:
        return
    ratio = {M: float(shared[M]["pulls_per_task"].mean() / alone[M]["pulls_per_task"].mean()) for M in sizes}
    control, designed = (float(ours.mean() / theirs.mean()) for ours, theirs in controls.values())
    error = float(shared[100]["error"].mean())
    solved = min(float(found["solved"].mean()) for found in (*shared.values(), *alone.values(), *full, *crowd))
    parts = {
        "ratio at M = 100 above 0.25": ratio[100] > 0.25,
        "too many errors": error > DELTA,
        "ratio does not fall with M": not ratio[5] > ratio[20] > ratio[100],
        f"with k = d it costs {control:.2f} times as much, beyond 1.3": not 0.8 <= control <= 1.3,
        "designs above 0.9 of uniform": designed > 0.9,
        "too few tasks solved": solved < 0.95,
    }
    failed = [name for name, fails in parts.items() if fails]
    path = analysis.record(
        name="double_design",
        claim="Linear bandits that share a plane learn it together; each then pays for two dimensions, not sixteen.",
        source="Du, Huang and Sun (2023), Multi-task representation learning for pure exploration in linear bandits",
        criterion=CRITERION,
        env_steps=int(100 * shared[100]["pulls_per_task"].mean()),
        baselines={
            "independent": "the same elimination in 16 dimensions, 8 tasks, delta shared out among M",
            "known": "the true plane", "uniform": "all arms equally often in both stages",
        },
        tuning_seeds=range(1000, 1004),  # of the default number of batches
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=analysis.bootstrap_interval(
            shared[100]["pulls_per_task"] / alone[100]["pulls_per_task"], statistic=np.mean
        ),
        statistic="pulls per task over those of each task alone, M = 100, mean of the ratios; ratio of the means "
        + ", ".join(f"{value:.3f} (M = {M})" for M, value in ratio.items())
        + f"; error {error:.4f}; k = d {control:.2f}; designed over uniform {designed:.2f}; solved {solved:.3f}",
        verdict=("does not hold" if failed else "holds") if seeds >= 20 else "not judged",
        reason=("; ".join(failed) or "the criterion as written") if seeds >= 20 else "fewer than 20 seeds",
        command=f"python experiments/double_design.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bandits",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
