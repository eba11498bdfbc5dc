"""DrM on MountainCarContinuous, where doing nothing is a local optimum: a thermostat of noise, resets and exploitation.

Xu et al. (2024), "DrM: mastering visual reinforcement learning through dormant ratio minimization", reduced to states:
no pixels, no augmentation. All arms are one DDPG with twin critics, n = 3, two layers of 32 units, 8 environments, 8
updates of 32 transitions every 64 steps and uniform actions for the first 2000 steps. DDPG has a falling noise; DrM
adds its three mechanisms, and three arms each lack one of them. The random thermostat is DrM whose every decision reads
a dormant ratio that DrM recorded in a run drawn at random among its seeds, at the same iteration: the same noise,
resets and weights on the whole, but deaf to its own network. Weights are perturbed every tenth of the training (every
1e5 updates in the paper, of millions). The sheet asks for width 256; that would take hours on a CPU.

Manipulation check, written before the run: in at least half of the seeds the dormant ratio of DrM's actor is above 0.2
on average over what follows the uniform actions within the first 5000 steps. If not, the mechanism is inactive and the
claim does not hold whatever else is seen. Criterion, written before the run: a seed succeeds when the greedy policy's
return, mean over the last two of twenty evaluations of 8 episodes each, is above 80; DrM's share of successes is at
least 0.3 above DDPG's (Fisher's exact test, p < 0.05), and its final return above the random thermostat's (paired
bootstrap of the mean, 95 % interval above 0).

DDPG's noise and DrM's noise once awake were tuned alike, with ``--tune``, over the same four schedules on seeds 1000 to
1002, where no schedule of either ended with a success: the ones with the highest final returns were taken. Arms without
the thermostat have DDPG's, the others DrM's. Judged on seeds 0 to 19.

    python experiments/drm_mountain_car.py            # four minutes on one CPU core
    python experiments/drm_mountain_car.py --tune     # the four schedules on the tuning seeds
    python experiments/drm_mountain_car.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import Algorithm
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.envs.wrappers import Scale
from purejaxexplore.learners.ddpg import ddpg, falling_noise
from purejaxexplore.learners.ddpg_config import DDPGConfig
from purejaxexplore.learners.evaluation import with_evaluation
from purejaxexplore.learners.plasticity import Plasticity, awaken, drm
from purejaxexplore.nets import MLP
from purejaxexplore.runner.cache import enable_compilation_cache

TUNING_SEEDS = (1000, 1001, 1002)
EVALUATIONS, EPISODES, HORIZON = 20, 8, 1000
AWAKE_BELOW, SUCCESS = 0.2, 80.0
CONFIG = DDPGConfig(
    num_envs=8, rollout_length=8, num_updates=8, batch_size=32, num_warmup_steps=250, hidden_sizes=(32, 32),
    replay_capacity=65536,
)  # fmt: skip
ITERATION = CONFIG.num_envs * CONFIG.rollout_length
SCHEDULES = [(0.1, 15_000.0), (0.1, 60_000.0), (0.5, 15_000.0), (0.5, 60_000.0)]
CHOSEN = {"DDPG": SCHEDULES[1], "DrM": SCHEDULES[2]}
CRITERION = (
    "dormant ratio > 0.2 in >= 50 % of seeds within 5000 steps, else inactive; success (greedy return > 80): DrM less "
    "DDPG >= 0.3 with Fisher's p < 0.05; final return of DrM above the random thermostat's (95 % interval above 0)"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """DrM, DDPG, DrM without each of its mechanisms, and with another run's thermostat.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of each seed.
        tune: print how each schedule does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 60_000
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


class Arm(NamedTuple):
    """What an arm is.

    Attributes:
        thermostat, perturb, exploit: 1 where the mechanism is on, and 0.
        last_noise, noise_steps: of the noise, which falls from 1; from the beginning where the thermostat is off, and
            else from awaking.
    """

    thermostat: float
    perturb: float
    exploit: float
    last_noise: float
    noise_steps: float


@struct.dataclass
class Row:
    """``number``: which of the arms that are trained together."""

    number: int = 0


MECHANISMS = {
    "DrM": (1.0, 1.0, 1.0),
    "DDPG": (0.0, 0.0, 0.0),
    "No thermostat": (0.0, 1.0, 1.0),
    "No perturbation": (1.0, 0.0, 1.0),
    "No exploitation": (1.0, 1.0, 0.0),
}
REPLAYED = "Random thermostat"


def thermostat(arm: Arm, iterations: int) -> Plasticity:
    """DrM with the mechanisms of ``arm`` alone."""
    schedule = CONFIG.replace(last_noise=arm.last_noise, noise_steps=arm.noise_steps)
    return drm(
        lambda age: arm.thermostat * falling_noise(schedule, ITERATION * age),
        max(iterations // 10, 1),
        awake_below=AWAKE_BELOW,
        most_noise=0.8 * arm.thermostat,
        most_kept=1.0 - 0.1 * arm.perturb,
        least_kept=1.0 - 0.8 * arm.perturb,
        most_exploited=0.6 * arm.exploit,
    )


def agent(env, env_params, rule: Plasticity, arm: Arm) -> Algorithm:
    """DDPG with ``rule``, evaluated without noise."""
    off = 1.0 - arm.thermostat
    config = CONFIG.replace(first_noise=off, last_noise=off * arm.last_noise, noise_steps=arm.noise_steps)
    network = MLP(config.hidden_sizes, 1, config.activation, 1.0)

    def policy(key, state, obs):
        return jnp.tanh(network.apply(state.params.actor, obs))

    learner = ddpg(env, env_params, config, plasticity=rule)
    return with_evaluation(learner, env, env_params, policy, EPISODES, HORIZON)


def replaying(env, env_params, rule: Plasticity, arm: Arm, records: np.ndarray) -> Algorithm:
    """The agent whose thermostat reads ``records f32[seeds, iterations]`` of a run drawn at random, not its network."""
    records = jnp.asarray(records)

    def observe(ps, activations):
        state, donor = ps
        return awaken(state, records[donor, state.t], AWAKE_BELOW), donor

    deaf = rule._replace(
        init=lambda: (rule.init(), jnp.int32(0)),
        observe=observe,
        updates=lambda ps, num_updates: rule.updates(ps[0], num_updates),
        noise=lambda ps: rule.noise(ps[0]),
        keep=lambda ps: rule.keep(ps[0]),
        exploit=lambda ps: rule.exploit(ps[0]),
    )
    algorithm = agent(env, env_params, deaf, arm)

    def init(key):
        key_init, key_donor = jax.random.split(key)
        state = algorithm.init(key_init)
        donor = jax.random.randint(key_donor, (), 0, records.shape[0])
        return state._replace(plasticity=(state.plasticity[0], donor))

    return algorithm._replace(init=init)


def train(arms: list[Arm], seeds: int, first_seed: int, env_steps: int, records: np.ndarray | None = None):
    """Greedy returns f64[arms, seeds, evaluations], and the metrics [arms, seeds, iterations].

    The thermostats read ``records`` where they are given, and else their own networks.
    """
    env, env_params = pjx.make("gymnax/MountainCarContinuous-v0")
    env = Scale(env, -1.0, 1.0)
    every = max(env_steps // (EVALUATIONS * ITERATION), 1)
    iterations = every * min(EVALUATIONS, max(env_steps // ITERATION, 1))
    columns = [jnp.asarray(column) for column in zip(*arms, strict=True)]

    def make(row):
        arm = Arm(*(column[row.number] for column in columns))
        rule = thermostat(arm, iterations)
        if records is None:
            return agent(env, env_params, rule, arm)
        return replaying(env, env_params, rule, arm, records)

    runs = pjx.sweep(
        make, Row(), {"number": list(range(len(arms)))}, seeds, iterations, first_seed=first_seed,
        evaluate_every=every, progress=False,
    )  # fmt: skip
    return np.asarray(runs.evaluations["start_return"], np.float64), runs.metrics


def tune(args: Args) -> None:
    """Prints the final greedy returns with each schedule."""
    arms = [Arm(*MECHANISMS[name], *schedule) for name in ("DDPG", "DrM") for schedule in SCHEDULES]
    returns, metrics = train(arms, len(TUNING_SEEDS), TUNING_SEEDS[0], args.env_steps)
    for arm, row, rho in zip(arms, returns, np.asarray(metrics["dormant_ratio"]), strict=True):
        name = "DrM" if arm.thermostat else "DDPG"
        final = ", ".join(f"{x:.1f}" for x in row[:, -2:].mean(1))
        print(f"{name:<5} to {arm.last_noise} in {arm.noise_steps:,.0f}: final returns {final}, mean of all"
              f" evaluations {row.mean():.1f}, dormant ratio at first {rho[:, :50].mean():.2f}")  # fmt: skip


def found_goal(metrics) -> np.ndarray:
    """Whether an episode of the training has ended with a positive return by then, bool[arms, seeds, iterations]."""
    return np.maximum.accumulate(np.asarray(metrics["episode_return"]) > 0.0, axis=-1)


def figure_of(found: dict[str, np.ndarray], success: dict[str, np.ndarray], rho: dict[str, np.ndarray], steps):
    """Shares of seeds that ever reached the goal, shares that learned to, and dormant ratios."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.7))
        FigureCanvasAgg(figure)
        curves, dormancy, bars = figure.subplots(1, 3)
        looks = analysis.looks(found)
        for name, reached in found.items():
            curves.plot(steps / 1e3, reached.mean(0), color=looks[name].color, linewidth=1.4)
        curves.set(xlabel="Environment steps\n(thousands)", ylabel="Seeds (share)", title="Goal ever reached")
        curves.set(ylim=(-0.03, 1.03))
        size = min(10, len(steps))
        blocks = len(steps) // size * size
        for name, values in rho.items():
            band = analysis.iqm_bands(values[:, :blocks].reshape(len(values), -1, size).mean(2))
            at = steps[:blocks].reshape(-1, size).mean(1) / 1e3
            dormancy.plot(at, band.value, color=looks[name].color, linewidth=1.4, zorder=3)
            dormancy.fill_between(at, band.low, band.high, color=looks[name].color, alpha=0.18, linewidth=0)
        dormancy.axhline(AWAKE_BELOW, color="0.35", linewidth=1.0, linestyle="--", zorder=1)
        dormancy.set(xlabel="Environment steps\n(thousands)", ylabel="Share of the units", title="Dormant in the actor")
        dormancy.set(ylim=(0.0, None))
        for row, (name, won) in enumerate(success.items()):
            share = analysis.binomial_interval(int(won.sum()), len(won))
            bars.plot([share.low, share.high], [row, row], color=looks[name].color, linewidth=4, alpha=0.3)
            bars.plot(share.value, row, looks[name].marker, color=looks[name].color, label=name, clip_on=False)
        bars.set(yticks=[], xlim=(-0.03, 1.03), ylim=(len(success) - 0.5, -0.5), title="Solved at the end")
        bars.set(xlabel="Seeds with a greedy\nreturn above 80 (share)")
        figure.legend(*bars.get_legend_handles_labels(), loc="outside upper left", ncols=3, columnspacing=1.2)
    return figure


def main(args: Args) -> None:
    """Trains all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune(args)
        return
    seeds, budget = (2, 2 * ITERATION) if args.smoke else (args.seeds, args.env_steps)
    arms = [Arm(*on, *CHOSEN["DrM" if on[0] else "DDPG"]) for on in MECHANISMS.values()]
    found, metrics = train(arms, seeds, args.first_seed, budget)
    returns = dict(zip(MECHANISMS, found, strict=True))
    dormant = dict(zip(MECHANISMS, np.asarray(metrics["dormant_ratio"], np.float64), strict=True))
    steps, reached = np.asarray(metrics["env_steps"])[0, 0], dict(zip(MECHANISMS, found_goal(metrics), strict=True))
    (returns[REPLAYED],), metrics = train(arms[:1], seeds, args.first_seed, budget, dormant["DrM"])
    reached[REPLAYED] = found_goal(metrics)[0]
    final = {name: found[:, -2:].mean(1) for name, found in returns.items()}
    success = {name: found > SUCCESS for name, found in final.items()}
    for name in returns:
        print(f"{name:<18} {success[name].sum()}/{seeds} seeds succeed, final return {final[name].mean():.1f}, goal"
              f" reached in training in {reached[name][:, -1].sum()}")  # fmt: skip

    args.results.mkdir(parents=True, exist_ok=True)
    shown = {name: dormant[name] for name in ("DrM", "DDPG")}
    figure_of(reached, success, shown, steps).savefig(args.results / "drm_mountain_car.png", dpi=200)
    print("written:", args.results / "drm_mountain_car.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return

    early = dormant["DrM"][:, steps <= 5000].mean(1)
    asleep = float((early > AWAKE_BELOW).mean())
    won = {name: int(found.sum()) for name, found in success.items()}
    effect = analysis.proportion_difference(won["DrM"], seeds, won["DDPG"], seeds)
    p = analysis.fisher_exact(won["DrM"], seeds, won["DDPG"], seeds)
    control = analysis.paired_bootstrap(final["DrM"], final[REPLAYED], np.mean)
    met = {
        "mechanism active": asleep >= 0.5,
        "above DDPG": effect.value >= 0.3 and p < 0.05,
        "above the random thermostat": control.low > 0,
    }
    parts = ", ".join(f"{part}: {'met' if yes else 'not met'}" for part, yes in met.items())
    reason = parts if met["mechanism active"] else f"mechanism inactive; {parts}"
    enough = seeds >= 20
    path = analysis.record(
        name="drm_mountain_car",
        claim="DrM's three mechanisms, steered by dormant units, make DDPG solve MountainCarContinuous more often.",
        source="Xu et al. (2024), DrM: mastering visual reinforcement learning through dormant ratio minimization",
        criterion=CRITERION,
        env_steps=int(steps[-1]),
        baselines={
            "DDPG": "noise from 1 to {} over {:,.0f} steps, the best of four schedules".format(*CHOSEN["DDPG"]),
            REPLAYED: "DrM that reads the dormant ratio of another run",
            **{name: "DrM without this mechanism" for name in MECHANISMS if name.startswith("No ")},
        },
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=effect,
        statistic=f"share of successful seeds, DrM less DDPG (Fisher's p {p:.2g}); dormant ratio above 0.2 early in "
        f"{asleep:.0%} of seeds (mean {early.mean():.2f}); final return over the random thermostat "
        f"{control.value:.2g} ({control.low:.2g} to {control.high:.2g}); successes of {seeds} (goal ever reached): "
        + ", ".join(f"{name} {count} ({reached[name][:, -1].sum()})" for name, count in won.items()),
        verdict=("holds" if all(met.values()) else "does not hold") if enough else "not judged",
        reason=f"{reason}; width 32, not 256; an update every 8 steps, not 2" if enough else "fewer than 20 seeds",
        command=f"python experiments/drm_mountain_car.py --seeds {seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
