"""LESSON against single strategies of exploration: two worlds that need it, and one where it is in the way.

Kim, Kim and Sung (2023), "LESSON: learning to integrate exploration strategies for reinforcement learning via an option
framework". RoomChain(4, 4) has 30 moves to its reward, Spiral(11) has 48 along one corridor, CartPole pays every step.
DQN explores epsilon-greedily, with repeated actions (ez-greedy), or epsilon-greedily with RND paid beside the task
(RND-greedy); LESSON learns which of such strategies acts when, and once more with options drawn uniformly. Networks,
replay, updates and steps are the same: one hidden layer of 64 units, 8 environments, 32 minibatches of 64 every 64
steps. Every twentieth of the training the greedy policy of the task's values plays four episodes; the score is the mean
of these evaluations (success; on CartPole the return over 500). The sheet asks for 150,000 steps; here: 100,000.

Criterion, written before the run: on each task LESSON's score (IQM over seeds) is at least 0.9 of the best single
strategy's, and its rank among the four, averaged over the tasks, is below that of each (paired intervals of 95 % below
0); the greedy option's share of the steps rises by at least 0.2 from the first to the last tenth of the training, on
every task that LESSON solves (mean of the last two evaluations at least 0.5); and LESSON's score is above that of
uniform options on at least two tasks.

Each arm has the best of the three settings that ``--tune`` compares by the mean score over the tasks on seeds 1000 to
1002: epsilon, the weight of the curiosity reward, or for both kinds of LESSON its weight in the options' values. The
number of updates was chosen before, by CartPole and epsilon-greedy. Judged on seeds 0 to 19.

    python experiments/lesson_strategies.py            # forty minutes on one CPU core
    python experiments/lesson_strategies.py --tune     # the three settings of each arm on the tuning seeds
    python experiments/lesson_strategies.py --smoke    # seconds
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import Algorithm
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.learners.dqn import DQNConfig, dqn
from purejaxexplore.learners.evaluation import Policy, greedy_policy, with_evaluation
from purejaxexplore.learners.explorers import ez_greedy, uniform_mixture
from purejaxexplore.learners.lesson import LessonConfig, lesson
from purejaxexplore.learners.streams import Stream
from purejaxexplore.nets import ActionValues
from purejaxexplore.runner.cache import enable_compilation_cache

TASKS = {
    "RoomChain": ("RoomChain", {"num_rooms": 4, "size": 4}),
    "Spiral": ("Spiral", {"size": 11}),
    "CartPole": ("gymnax/CartPole-v1", {}),
}
EPISODE = {"RoomChain": 200, "Spiral": 200, "CartPole": 500}
TUNING_SEEDS = (1000, 1001, 1002)
GRID = {
    "Epsilon-greedy": [0.05, 0.2, 0.5],
    "ez-greedy": [0.05, 0.2, 0.5],
    "RND-greedy": [0.001, 0.01, 0.1],
    "LESSON": [0.01, 0.1, 1.0],
    "Uniform options": [0.01, 0.1, 1.0],
}
CHOSEN = {"Epsilon-greedy": 0.2, "ez-greedy": 0.05, "RND-greedy": 0.01, "LESSON": 1.0, "Uniform options": 0.01}
SINGLE = ("Epsilon-greedy", "ez-greedy", "RND-greedy")
EVALUATIONS = 20
CRITERION = (
    "LESSON's score >= 0.9 of the best single strategy's on each of three tasks; mean rank below each (intervals below "
    "0); greedy option's share rises >= 0.2 on solved tasks; score above uniform options' on >= 2 of 3 tasks"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """LESSON against single strategies.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of each seed on each task.
        tune: print how each setting does on the tuning seeds, and nothing else.
        smoke: tiny sizes and one task, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 100_000
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


@struct.dataclass
class Setting:
    """``value``: the number that an arm is tuned by, see ``GRID``."""

    value: float = 0.1


SHARED = {
    "num_envs": 8, "rollout_length": 8, "num_updates": 32, "batch_size": 64, "replay_capacity": 16384,
    "num_warmup_steps": 16, "hidden_sizes": (64,), "learning_rate": 1e-3, "target_period": 100.0,
}  # fmt: skip
ITERATION = SHARED["num_envs"] * SHARED["rollout_length"]


def arms(task: str) -> dict[str, Callable[[Setting], Algorithm]]:
    """Name -> ``setting -> Algorithm``."""
    world, options = TASKS[task]
    env, params = pjx.make(world, **options)
    curiosity = rnd(RNDConfig(predictor_sizes=(128,)))
    extrinsic = Stream("extrinsic")

    def evaluated(algorithm: Algorithm, policy: Policy) -> Algorithm:
        return with_evaluation(algorithm, env, params, policy, 4, EPISODE[task])

    def by_dqn(explorer, *streams):
        config = DQNConfig(**SHARED)
        algorithm = dqn(env, params, config, streams=streams, explorer=explorer)
        return evaluated(algorithm, greedy_policy(env, params, config, len(streams)))

    def by_options(**settings):
        config = LessonConfig(**SHARED, **settings)
        network = ActionValues(int(env.action_space(params).n), 2, 1, config.hidden_sizes)

        def greedy(key, state, obs):
            return network.apply(state.params.actions, obs, jnp.zeros((len(obs), 0)))[..., 0].argmax(-1)

        return evaluated(lesson(env, params, config, bonus=curiosity), greedy)

    return {
        "Epsilon-greedy": lambda setting: by_dqn(uniform_mixture(setting.value), extrinsic),
        "ez-greedy": lambda setting: by_dqn(ez_greedy(setting.value), extrinsic),
        "RND-greedy": lambda setting: by_dqn(
            uniform_mixture(0.05), extrinsic, Stream("rnd", curiosity, coef=setting.value)
        ),
        "LESSON": lambda setting: by_options(intrinsic_coef=setting.value),
        "Uniform options": lambda setting: by_options(intrinsic_coef=setting.value, sharpness=0.0),
    }


def run_arm(task: str, name: str, values: list[float], seeds: int, first_seed: int, env_steps: int):
    """Scores f64[values, seeds, evaluations], and the greedy option's share f64[values, seeds, iterations] or None."""
    every = max(env_steps // (EVALUATIONS * ITERATION), 1)
    iterations = every * min(EVALUATIONS, max(env_steps // ITERATION, 1))
    runs = pjx.sweep(
        arms(task)[name], Setting(), {"value": values}, seeds, iterations, first_seed=first_seed,
        evaluate_every=every, progress=False,
    )  # fmt: skip
    found = runs.evaluations
    score = found["start_return"] / 500.0 if task == "CartPole" else found["start_success"]
    usage = np.asarray(runs.metrics["option_greedy"], np.float64) if "option_greedy" in runs.metrics else None
    return np.asarray(score, np.float64), usage


def ranks(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rank of every arm among all on one task, 1 the best, f64[seeds]; ties share the mean of their ranks."""
    table = np.stack(list(scores.values()))
    better = (table[None] > table[:, None]).sum(1)
    equal = (table[None] == table[:, None]).sum(1)
    return dict(zip(scores, better + (equal + 1) / 2, strict=True))


def figure_of(scores: dict[str, dict[str, np.ndarray]], steps: np.ndarray):
    """Score of the greedy policy against environment steps on each task: IQMs with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.5))
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
        for ax, (task, found) in zip(axes, scores.items(), strict=True):
            for name, look in analysis.looks(found).items():
                band = analysis.iqm_bands(found[name])
                ax.plot(steps / 1e3, band.value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
                ax.fill_between(steps / 1e3, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
            ax.set(title=task, xlabel="Environment steps\n(thousands)", ylim=(-0.03, 1.03))
            ax.margins(x=0.01)
        axes[0].set_ylabel("Success, or return / 500")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=5, columnspacing=1.2)
    return figure


def tune(args: Args) -> None:
    """Prints the mean score over the tasks with each setting, then by task."""
    for name, values in GRID.items():
        scores = [run_arm(task, name, values, 3, TUNING_SEEDS[0], args.env_steps)[0].mean((1, 2)) for task in TASKS]
        for value, row in zip(values, np.transpose(scores), strict=True):
            print(f"{name:<16} {value}: {row.mean():.3f} ({', '.join(f'{x:.3f}' for x in row)})", flush=True)


def judge(scores: dict[str, dict[str, np.ndarray]], usage: dict[str, np.ndarray]) -> tuple[dict[str, bool], Any, str]:
    """``(parts of the criterion, difference of mean ranks to the best single strategy, the numbers in words)``."""
    means = {task: {name: x.mean(1) for name, x in found.items()} for task, found in scores.items()}
    iqms = {task: {name: analysis.iqm(x) for name, x in found.items()} for task, found in means.items()}
    rivals = [ranks({name: found[name] for name in (*SINGLE, "LESSON")}) for found in means.values()]
    mean_ranks = {name: np.mean([r[name] for r in rivals], 0) for name in rivals[0]}
    behind = [analysis.paired_bootstrap(mean_ranks["LESSON"], mean_ranks[name], np.mean) for name in SINGLE]
    rise = {}
    for task, share in usage.items():
        tenth = max(share.shape[1] // 10, 1)
        rise[task] = float((share[:, -tenth:].mean(1) - share[:, :tenth].mean(1)).mean())
    solved = [task for task, found in scores.items() if found["LESSON"][:, -2:].mean() >= 0.5]
    met = {
        "near the best": all(row["LESSON"] >= 0.9 * max(row[name] for name in SINGLE) for row in iqms.values()),
        "best rank": all(difference.high < 0 for difference in behind),
        "greedy option grows": bool(solved) and all(rise[task] >= 0.2 for task in solved),
        "above uniform options": sum(row["LESSON"] > row["Uniform options"] for row in iqms.values()) >= 2,
    }
    told = "; ".join(f"{task}: " + ", ".join(f"{n} {x:.3f}" for n, x in row.items()) for task, row in iqms.items())
    told += "; mean ranks " + ", ".join(f"{name} {x.mean():.2f}" for name, x in mean_ranks.items())
    told += "; rise of the greedy option " + ", ".join(f"{task} {x:.2f}" for task, x in rise.items())
    return met, max(behind, key=lambda difference: difference.value), told


def main(args: Args) -> None:
    """Runs all arms on all tasks, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune(args)
        return
    seeds, budget = (2, 2 * ITERATION) if args.smoke else (args.seeds, args.env_steps)
    scores, usage = {}, {}
    for task in ("RoomChain",) if args.smoke else TASKS:
        scores[task] = {}
        for name in ("Epsilon-greedy", "LESSON") if args.smoke else GRID:
            score, share = run_arm(task, name, [CHOSEN[name]], seeds, args.first_seed, budget)
            scores[task][name] = score[0]
            if name == "LESSON":
                usage[task] = share[0]
            print(f"{task:<10} {name:<16} {score.mean():.3f}", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    points = next(iter(scores.values()))["LESSON"].shape[1]
    figure_of(scores, budget * np.arange(1, points + 1) / points).savefig(
        args.results / "lesson_strategies.png", dpi=200
    )
    print("written:", args.results / "lesson_strategies.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return

    met, effect, told = judge(scores, usage)
    enough = seeds >= 20
    parts = ", ".join(f"{part}: {'met' if yes else 'not met'}" for part, yes in met.items())
    path = analysis.record(
        name="lesson_strategies",
        claim="Options between strategies of exploration, learned, do as well as the best single one on three tasks.",
        source="Kim, Kim and Sung (2023), LESSON: learning to integrate exploration strategies for reinforcement "
        "learning via an option framework",
        criterion=CRITERION,
        env_steps=budget,
        baselines={name: f"{CHOSEN[name]}, of {GRID[name]}" for name in (*SINGLE, "Uniform options")},
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=effect,
        statistic=f"LESSON's mean rank over three tasks less that of the nearest single strategy; scores (IQM) {told}",
        verdict=("holds" if all(met.values()) else "does not hold") if enough else "not judged",
        reason=f"100,000 of 150,000 steps: {parts}" if enough else "fewer than 20 seeds",
        command=f"python experiments/lesson_strategies.py --seeds {seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
