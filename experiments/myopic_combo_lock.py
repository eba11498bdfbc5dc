"""Myopic multitask exploration on ComboLock: epsilon-greedy opens a lock of twelve levels where tasks are diverse.

Xu, Xu, Wang, Jain and Liu (2024), "Sample efficient myopic exploration through multitask reinforcement learning with
diverse tasks". One secret action of four a level, all others are death; task m is paid for reaching level m. Twelve
episodes a round for 3,000 rounds, epsilon = 1/12, every arm with the same model-based learner and pooled data:

* Diverse: the tasks of all levels 1 to 12.       * Single: twelve times the deepest.
* Shallow: four times each of 1, 2 and 3; the deepest is judged by the pooled model, without exploring.
* Optimism: twelve times the deepest, with a bonus of 0.1 / sqrt(n).

Criterion, written before the run, over 100 seeds, each with its own secret: the greedy policy of the deepest task
succeeds at the end in >= 95 % of the diverse runs, and in none of single and of shallow; with 6, 8, 12, 16 and 24
levels (epsilon 1/H) the median number of rounds to the first success of the diverse runs grows with a log-log slope
<= 2, while single succeeds in < 50 % of its runs from 12 levels on. Nothing is tuned. Judged on seeds 0 to 99.

    python experiments/myopic_combo_lock.py            # some minutes on two CPU cores
    python experiments/myopic_combo_lock.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import per_seed
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.learners.myopic import MyopicConfig, myopic_multitask
from purejaxexplore.runner.cache import enable_compilation_cache

DEPTH, DEPTHS, BONUS = 12, (6, 8, 12, 16, 24), 0.1
CRITERION = (
    "12 levels: the deepest task solved in >= 95 % of diverse runs, in none of single and of shallow; rounds to the"
    " first success over 6 to 24 levels with log-log slope <= 2 for diverse, single < 50 % solved from 12 levels on"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Myopic multitask exploration on ComboLock.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed.
        rounds: of as many episodes as there are levels.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 100
    first_seed: int = 0
    rounds: int = 3_000
    smoke: bool = False
    results: Path = Path("experiments/results")


def tasks_of(arm: str, depth: int) -> np.ndarray:
    """The level that each of the tasks is paid for, i64[tasks]; the last one is judged."""
    if arm == "Diverse":
        return 1 + np.arange(depth)
    if arm == "Shallow":
        return np.append(1 + np.arange(depth) % 3, depth)
    return np.full(depth, depth)


def solved(arm: str, depth: int, args: Args, rounds: int) -> np.ndarray:
    """bool[seeds, rounds], whether the greedy policy of the deepest task succeeds."""
    env, env_params = pjx.make("ComboLock", num_levels=depth)
    tasks = tasks_of(arm, depth)
    config = MyopicConfig(
        epsilon=1.0 / depth,
        horizon=depth,
        optimism=BONUS if arm == "Optimism" else 0.0,
        num_exploring=depth,
    )

    def make(params):
        return myopic_multitask(env, jax.vmap(lambda m: params.replace(task=m))(jnp.asarray(tasks)), config)

    algorithm = per_seed(lambda key: env.sample_params(key, env_params), make)
    run = pjx.run(algorithm, args.seeds, rounds, first_seed=args.first_seed, name=f"{arm}, {depth} levels")
    return np.asarray(run.metrics["solved"], bool)


def first(success: np.ndarray) -> np.ndarray:
    """Rounds f64[seeds] to the first success; inf where there is none."""
    return np.where(success.any(1), success.argmax(1) + 1.0, np.inf)


def draw(runs: dict[str, np.ndarray], times: dict[str, dict[int, np.ndarray]]):
    """Share of the seeds that solve the deepest task, and rounds to that against the depth."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.9), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        looks = analysis.looks(runs)
        for name, success in runs.items():
            look = looks[name]
            rounds = 1 + np.arange(success.shape[1])
            bands = [analysis.binomial_interval(int(count), len(success)) for count in success.sum(0)]
            value, low, high = np.transpose(bands)
            left.plot(rounds, value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
            left.fill_between(rounds, low, high, color=look.color, alpha=0.18, linewidth=0)
        left.set(
            xscale="log", xlabel="Rounds of 12 episodes", ylabel="Seeds that open it", ylim=(-0.03, 1.03),
            title="ComboLock, 12 levels",
        )  # fmt: skip
        for name, by_depth in times.items():
            look = looks[name]
            known = {depth: time for depth, time in by_depth.items() if np.isfinite(np.median(time))}
            if not known:
                continue
            low, median, high = np.transpose([np.quantile(time, (0.25, 0.5, 0.75)) for time in known.values()])
            right.plot(list(known), median, color=look.color, marker=look.marker, label=name, zorder=3)
            right.fill_between(
                list(known), low, np.minimum(high, 1e5), color=look.color, alpha=0.18, linewidth=0
            )
        right.set(xscale="log", yscale="log", xlabel="Levels", ylabel="Rounds to the first success")
        right.set_title("Median and quartiles")
        right.set_xticks(list(DEPTHS), [str(depth) for depth in DEPTHS])
        right.xaxis.set_minor_formatter(NullFormatter())
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def main(args: Args) -> None:
    """Runs all arms and depths, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.smoke:
        args = dataclasses.replace(args, seeds=2, rounds=3)
    depths = (6,) if args.smoke else DEPTHS
    runs = {
        arm: solved(arm, DEPTH, args, args.rounds)
        for arm in (("Diverse",) if args.smoke else ("Diverse", "Single", "Shallow", "Optimism"))
    }
    for arm, success in runs.items():
        time = np.median(first(success))
        print(f"{arm:<9} solved at the end {success[:, -1].mean():.2f}, median round {time:.0f}", flush=True)
    times = {}
    for arm in [name for name in ("Diverse", "Single", "Optimism") if name in runs]:
        times[arm] = {
            depth: first(runs[arm] if depth == DEPTH else solved(arm, depth, args, min(args.rounds, 600)))
            for depth in depths
        }
        print(arm, {depth: float(np.median(time)) for depth, time in times[arm].items()}, flush=True)
    args.results.mkdir(parents=True, exist_ok=True)
    draw(runs, times).savefig(args.results / "myopic_combo_lock.png", dpi=200)
    print("written:", args.results / "myopic_combo_lock.png")
    if args.smoke:
        return

    final = {arm: int(success[:, -1].sum()) for arm, success in runs.items()}
    medians = {arm: {d: float(np.median(time)) for d, time in by.items()} for arm, by in times.items()}
    slope = float(np.polyfit(np.log(DEPTHS), np.log(list(medians["Diverse"].values())), 1)[0])
    stuck = max(np.isfinite(times["Single"][depth]).mean() for depth in DEPTHS if depth >= DEPTH)
    seeds = args.seeds
    holds = final["Diverse"] >= 0.95 * seeds and final["Single"] == final["Shallow"] == 0
    holds = bool(holds and slope <= 2 and stuck < 0.5)
    enough = seeds >= 100 and args.rounds >= 3_000
    path = analysis.record(
        name="myopic_combo_lock",
        claim="Epsilon-greedy opens a lock of twelve levels where diverse tasks share its data, and else does not.",
        source="Xu, Xu, Wang, Jain and Liu (2024), Sample efficient myopic exploration through multitask reinforcement"
        " learning with diverse tasks",
        criterion=CRITERION,
        env_steps=DEPTH * DEPTH * args.rounds,
        baselines={
            "Single": "twelve episodes of the deepest task a round",
            "Shallow": "four episodes of each of the tasks of levels 1, 2 and 3 a round",
            "Optimism": f"Single with a bonus of {BONUS} / sqrt(n)",
        },
        tuning_seeds=(),
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=analysis.proportion_difference(final["Diverse"], seeds, final["Single"], seeds),
        statistic="difference of shares of seeds that solve the deepest task, diverse less single; solved at the end by"
        f" {', '.join(f'{arm} {count}' for arm, count in final.items())} of {seeds}; median rounds to the first success"
        f" by levels: {medians['Diverse']} for diverse, {medians['Optimism']} for optimism; log-log slope {slope:.2f};"
        f" single solved in at most {stuck:.0%} of the runs with 12 levels or more",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason="the criterion as written" if enough else "it needs 100 seeds and 3,000 rounds",
        command=f"python experiments/myopic_combo_lock.py --seeds {seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
