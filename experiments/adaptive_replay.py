"""Adaptive replay ratio: few updates a step until the critic's active units have settled, then many.

Ma et al. (2024), "Revisiting plasticity in visual reinforcement learning: data, modules and training stages", without
pixels: DQN on Acrobot and DDPG on Pendulum, two layers of 64 units. An iteration is 16 steps (4 of 4 environments); the
high replay ratio is 32 updates of it, the low one 8, which are the authors' 2 and 0.5 updates a step. The adaptive arm
goes from low to high, once, when the mean share of active units of ten iterations differs by at most 0.001 from that of
the ten before; the random arm does so at an iteration drawn uniformly from the whole training. Every twentieth of the
training the policy plays eight episodes without noise; the score is the mean return of these evaluations. The sheet's
80,000 steps, high ratio of 4 and width of 256 would take hours on a CPU: here it is 30,000 steps and width 64. All
updates are computed in all arms and the surplus discarded, so a low ratio saves no time here.

Manipulation check, written before the run: on both tasks the share of active units falls by at least 5 % (of its mean
in the first tenth of the training, to that in the last) at the high static ratio. Where it does not, the mechanism is
inactive, and the claim does not hold. Criterion, written before the run, on each task (IQM over seeds of the score,
return measured from the worst possible, -500 on Acrobot and -1700 on Pendulum): the adaptive score is at least 0.95 of
the better static arm's; it is above the worse static arm's (paired bootstrap, 95 % interval above 0), and above the
random switch's (likewise).

The learners' settings were chosen on seeds 1000 to 1002, DQN's target among four by the static arms. Judged on seeds 0
to 19.

    python experiments/adaptive_replay.py            # a quarter of an hour on one CPU core
    python experiments/adaptive_replay.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import Algorithm
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.envs.wrappers import Scale
from purejaxexplore.learners.ddpg import ddpg
from purejaxexplore.learners.ddpg_config import DDPGConfig
from purejaxexplore.learners.dqn import DQNConfig, dqn
from purejaxexplore.learners.evaluation import greedy_policy, with_evaluation
from purejaxexplore.learners.explorers import uniform_mixture
from purejaxexplore.learners.plasticity import Plasticity, adaptive_replay_ratio
from purejaxexplore.nets import MLP
from purejaxexplore.runner.cache import enable_compilation_cache

ARMS = ("Low", "High", "Adaptive", "Random switch")
HIGH, LOW, PERIOD, TOLERANCE = 32, 8, 10, 1e-3
ITERATION, EVALUATIONS, EPISODES = 16, 20, 8
SHARED = {
    "num_envs": 4, "rollout_length": 4, "num_updates": HIGH, "batch_size": 32, "replay_capacity": 32768,
    "hidden_sizes": (64, 64), "n_step": 3, "learning_rate": 1e-3,
}  # fmt: skip
WORST = {"Acrobot": -500.0, "Pendulum": -1700.0}
HORIZON = {"Acrobot": 500, "Pendulum": 200}
CRITERION = (
    "share of active units falls >= 5 % at the high ratio on both tasks, else inactive; on each, adaptive score >= "
    "0.95 of the better static ratio's, above the worse one's and a random switch's (95 % paired intervals above 0)"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Low, high, adaptive and randomly switched replay ratios.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of each seed on each task.
        smoke: tiny sizes and one task, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 30_000
    smoke: bool = False
    results: Path = Path("experiments/results")


@struct.dataclass
class Row:
    """``number``: which of ``ARMS``."""

    number: int = 0


def rule_of(number: jax.Array) -> Plasticity:
    """The rule of an arm; its state is that of the adaptive one, and the iteration of the random switch."""
    adaptive = adaptive_replay_ratio(LOW, PERIOD, TOLERANCE)

    def updates(ps, num_updates):
        settling, switch = ps
        high = jnp.stack([jnp.bool_(False), jnp.bool_(True), settling.high, settling.t >= switch])[number]
        return jnp.where(high, num_updates, LOW)

    return adaptive._replace(
        init=lambda: (adaptive.init(), jnp.int32(0)),
        observe=lambda ps, activations: (adaptive.observe(ps[0], activations), ps[1]),
        updates=updates,
    )


def agent(env, env_params, task: str, number: jax.Array, iterations: int) -> Algorithm:
    """The learner of ``task`` with the rule of an arm, evaluated without noise."""
    rule = rule_of(number)
    if task == "Acrobot":
        config = DQNConfig(**SHARED, target_period=1.0, target_rate=0.005, num_warmup_steps=64)
        algorithm = dqn(env, env_params, config, explorer=uniform_mixture(0.1), plasticity=rule)
        policy = greedy_policy(env, env_params, config)
    else:
        config = DDPGConfig(**SHARED, noise_steps=10_000.0, num_warmup_steps=64)
        algorithm = ddpg(env, env_params, config, plasticity=rule)
        network = MLP(config.hidden_sizes, 1, config.activation, 1.0)

        def policy(key, state, obs):
            return 2.0 * jnp.tanh(network.apply(state.params.actor, obs))

    def init(key):
        key_init, key_switch = jax.random.split(key)
        state = algorithm.init(key_init)
        switch = jax.random.randint(key_switch, (), 0, iterations)
        return state._replace(plasticity=(state.plasticity[0], switch))

    return with_evaluation(Algorithm(init, algorithm.step), env, env_params, policy, EPISODES, HORIZON[task])


def train(task: str, seeds: int, first_seed: int, env_steps: int):
    """Environment steps; by arm returns f64[seeds, evaluations], active shares and updates f64[seeds, iterations]."""
    env, env_params = pjx.make(f"gymnax/{task}-v1")
    env = Scale(env, -1.0, 1.0)
    every = max(env_steps // (EVALUATIONS * ITERATION), 1)
    iterations = every * min(EVALUATIONS, max(env_steps // ITERATION, 1))
    runs = pjx.sweep(
        lambda row: agent(env, env_params, task, row.number, iterations), Row(),
        {"number": list(range(len(ARMS)))}, seeds, iterations, first_seed=first_seed, evaluate_every=every,
        progress=False,
    )  # fmt: skip
    found = runs.evaluations["start_return"], runs.metrics["active_fraction"], runs.metrics["updates"]
    return int(runs.metrics["env_steps"].max()), *(dict(zip(ARMS, np.float64(x), strict=True)) for x in found)


def figure_of(returns: dict[str, dict[str, np.ndarray]], active: dict[str, dict[str, np.ndarray]], env_steps: int):
    """Returns without noise above, shares of active units below, a column a task."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.9))
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, len(returns), sharex=True, squeeze=False)
        for column, task in zip(axes.T, returns, strict=True):
            for ax, found in zip(column, (returns[task], active[task]), strict=True):
                for name, look in analysis.looks(found).items():
                    values = found[name]
                    if ax is column[1]:
                        length = values.shape[1] - values.shape[1] % PERIOD or 1
                        values = values[:, :length].reshape(len(values), -1, min(PERIOD, length)).mean(2)
                    band = analysis.iqm_bands(values)
                    at = env_steps * np.arange(1, values.shape[1] + 1) / values.shape[1] / 1e3
                    ax.plot(at, band.value, color=look.color, label=name, zorder=3)
                    ax.fill_between(at, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
                ax.margins(x=0.01)
            column[0].set(title=task)
            column[1].set(xlabel="Environment steps (thousands)")
        axes[0, 0].set_ylabel("Return, greedy")
        axes[1, 0].set_ylabel("Active units (share)")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=4, columnspacing=1.2)
    return figure


def judge(task: str, returns: dict[str, np.ndarray], active: dict[str, np.ndarray]):
    """``(parts of the criterion, adaptive less the better static score, the numbers in words)`` on one task."""
    scores = {name: found.mean(1) - WORST[task] for name, found in returns.items()}
    iqms = {name: float(analysis.iqm(score)) for name, score in scores.items()}
    worse, better = sorted(("Low", "High"), key=iqms.get)
    above = {name: analysis.paired_bootstrap(scores["Adaptive"], scores[name]) for name in (better, worse, ARMS[3])}
    high = active["High"]
    tenth = max(high.shape[1] // 10, 1)
    fall = 1.0 - high[:, -tenth:].mean() / high[:, :tenth].mean()
    met = {
        "mechanism active": fall >= 0.05,
        "near the better": iqms["Adaptive"] >= 0.95 * iqms[better],
        "above the worse": above[worse].low > 0,
        "above a random switch": above[ARMS[3]].low > 0,
    }
    told = f"{task}: " + ", ".join(f"{name} {x + WORST[task]:.0f}" for name, x in iqms.items())
    told += f"; active share falls {fall:.1%}; adaptive less random {above[ARMS[3]].value:.0f} "
    told += f"({above[ARMS[3]].low:.0f} to {above[ARMS[3]].high:.0f})"
    return met, above[better], told


def main(args: Args) -> None:
    """Trains all arms on both tasks, draws the figure and writes the ledger."""
    enable_compilation_cache()
    seeds, budget = (2, 2 * ITERATION) if args.smoke else (args.seeds, args.env_steps)
    returns, active, judged = {}, {}, {}
    for task in ("Pendulum",) if args.smoke else WORST:
        steps, returns[task], active[task], updates = train(task, seeds, args.first_seed, budget)
        judged[task] = judge(task, returns[task], active[task])
        switched = np.mean([(row == HIGH).any() for row in updates["Adaptive"]])
        print(f"{judged[task][2]}; adaptive switched in {switched:.0%} of seeds", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    figure_of(returns, active, steps).savefig(args.results / "adaptive_replay.png", dpi=200)
    print("written:", args.results / "adaptive_replay.png")
    if args.smoke or args.first_seed + seeds > 1000:
        return

    failed = [f"{task}: {part}" for task, (met, *_) in judged.items() for part, yes in met.items() if not yes]
    inactive = any("active" in part for part in failed)
    reason = "not met: " + ", ".join(failed) if failed else "all parts met"
    reason = f"mechanism inactive; {reason}" if inactive else reason
    enough = seeds >= 20
    path = analysis.record(
        name="adaptive_replay",
        claim="Raising the replay ratio once the critic's active units settle is as good as the better static ratio.",
        source="Ma et al. (2024), Revisiting plasticity in visual reinforcement learning: data, modules and training "
        "stages",
        criterion=CRITERION,
        env_steps=steps,
        baselines={"Low": "1/2 update a step", "High": "2 updates a step", "Random switch": "at a random iteration"},
        tuning_seeds=(1000, 1001, 1002),
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=judged["Pendulum"][1],
        statistic="mean greedy return (IQM) over the training on Pendulum, adaptive less the better static ratio; "
        + "; ".join(told for *_, told in judged.values()),
        verdict=("does not hold" if failed else "holds") if enough else "not judged",
        reason=f"{reason}; 30,000 of 80,000 steps, width 64 of 256, high ratio 2 of 4"
        if enough
        else "fewer than 20 seeds",
        command=f"python experiments/adaptive_replay.py --seeds {seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
