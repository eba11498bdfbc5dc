"""Temporally extended epsilon-greedy against epsilon-greedy in RoomChain(4, 4): 67 cells, 30 moves to the reward.

Dabney, Ostrovski and Barreto (2021), "Temporally-extended epsilon-greedy exploration". The same DQN (one hidden layer
of 64 units, one-hot observations, 8 environments) explores by single random actions, or by random actions that are
repeated for n steps, ``P(n) ~ n^-2``. A uniform walk reaches the goal in 8.8e-3 of its episodes of 200 steps.

Criterion, written before the run: the first success comes after >= 30 % fewer environment steps with ez-greedy (IQM
over seeds of the logarithm of the steps; seeds without success count with the whole budget), and the 95 % interval of
the paired difference excludes 0.

epsilon of each arm is the best of three on seeds 1000 to 1002 (``--tune``), by the mean of that logarithm; judged on
seeds 0 to 19.

    python experiments/ez_greedy_room_chain.py            # a minute or two on two CPU cores
    python experiments/ez_greedy_room_chain.py --tune     # the three values of epsilon on the tuning seeds
    python experiments/ez_greedy_room_chain.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.learners.dqn import DQNConfig, dqn
from purejaxexplore.learners.explorers import ez_greedy, uniform_mixture
from purejaxexplore.runner.cache import enable_compilation_cache

TUNING_SEEDS = (1000, 1001, 1002)
EPSILONS = [0.05, 0.2, 0.5]
EXPLORERS = {"ez-greedy": ez_greedy, "Epsilon-greedy": uniform_mixture}
CHOSEN = {"ez-greedy": 0.5, "Epsilon-greedy": 0.5}
CRITERION = "first success after >= 30 % fewer steps (IQM of logarithms), 95 % interval of the difference above 0"


@struct.dataclass
class Settings:
    """Attributes:
    epsilon: probability of a random action, or of starting to repeat one.
    """

    epsilon: float = 0.2


@dataclasses.dataclass(frozen=True)
class Args:
    """ez-greedy in RoomChain.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of each seed.
        tune: print how each value of epsilon does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 60_000
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


def run_arm(name: str, epsilons: list[float], seeds: int, first_seed: int, env_steps: int):
    """Metrics [epsilons, seeds, iterations] of an arm."""
    env, env_params = pjx.make("RoomChain", num_rooms=4, size=4)
    config = DQNConfig(
        num_envs=8, rollout_length=8, num_warmup_steps=16, num_updates=2, batch_size=32, replay_capacity=16384,
        hidden_sizes=(64,), n_step=3, target_period=100.0, learning_rate=5e-4,
    )  # fmt: skip
    iterations = max(env_steps // (config.num_envs * config.rollout_length), 1)

    def make(settings):
        return dqn(env, env_params, config, explorer=EXPLORERS[name](settings.epsilon))

    return pjx.sweep(
        make, Settings(), {"epsilon": epsilons}, seeds, iterations, first_seed=first_seed, progress=False
    ).metrics


def first_success(metrics) -> np.ndarray:
    """Environment steps [..., seeds] until an iteration in which an episode succeeded; all of them where none did."""
    success, steps = np.asarray(metrics["success"]), np.asarray(metrics["env_steps"])
    first = np.where((success > 0).any(-1), (success > 0).argmax(-1), success.shape[-1] - 1)
    return np.take_along_axis(steps, first[..., None], -1)[..., 0].astype(float)


def figure_of(times: dict[str, np.ndarray], budget: int):
    """Share of seeds that have succeeded at least once against environment steps, with 95 % score intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH / 2, 2.6))
        FigureCanvasAgg(figure)
        ax = figure.subplots()
        at = np.geomspace(200, budget, 200)
        for name, look in analysis.looks(times).items():
            counts = (times[name][:, None] < np.minimum(at, budget - 1)).sum(0)
            bands = [analysis.binomial_interval(int(count), len(times[name])) for count in counts]
            value, low, high = np.transpose(bands)
            ax.plot(at, value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
            ax.fill_between(at, low, high, color=look.color, alpha=0.18, linewidth=0)
        ax.set(
            xscale="log", xlabel="Environment steps", ylabel="Seeds that found the goal", ylim=(-0.03, 1.03),
            title="RoomChain, four rooms",
        )  # fmt: skip
        ax.margins(x=0.01)
        ax.legend(loc="upper left")
    return figure


def main(args: Args) -> None:
    """Runs both arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        for name in EXPLORERS:
            times = first_success(run_arm(name, EPSILONS, 3, TUNING_SEEDS[0], args.env_steps))
            for epsilon, row in zip(EPSILONS, times, strict=True):
                print(f"{name:<14} epsilon {epsilon}: first success after {np.exp(np.log(row).mean()):.0f}", flush=True)
        return
    seeds, budget = (2, 640) if args.smoke else (args.seeds, args.env_steps)
    times = {}
    for name in EXPLORERS:
        times[name] = first_success(run_arm(name, [CHOSEN[name]], seeds, args.first_seed, budget))[0]
        print(f"{name:<14} first success: median {np.median(times[name]):.0f} steps", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    figure_of(times, budget).savefig(args.results / "ez_greedy_room_chain.png", dpi=200)
    print("written:", args.results / "ez_greedy_room_chain.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return

    effect = analysis.paired_bootstrap(*(np.log(times[name]) for name in ("Epsilon-greedy", "ez-greedy")))
    enough, fewer = seeds >= 20, 1.0 - np.exp(-effect.value)
    holds = fewer >= 0.3 and effect.low > 0
    medians = ", ".join(f"{name} {np.median(row):.0f}" for name, row in times.items())
    path = analysis.record(
        name="ez_greedy_room_chain",
        claim="Repeating random actions finds the goal of RoomChain(4, 4) sooner than single random actions.",
        source="Dabney, Ostrovski and Barreto (2021), Temporally-extended epsilon-greedy exploration",
        criterion=CRITERION,
        env_steps=budget,
        baselines={"Epsilon-greedy": f"the same DQN, epsilon {CHOSEN['Epsilon-greedy']}, the best of {EPSILONS}"},
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=effect,
        statistic=f"difference of IQMs of log steps to the first success, epsilon-greedy less ez-greedy: {fewer:.0%}"
        f" fewer steps; medians {medians}; ez-greedy with epsilon {CHOSEN['ez-greedy']}",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason="the criterion as written" if enough else "fewer than 20 seeds",
        command=f"python experiments/ez_greedy_room_chain.py --seeds {seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
