"""Reactive exploration on a torus where good things turn bad: no resets, and a flip of the rewards every 59,392 steps.

Steinparz, Schmied, Paischer, Dinu, Patil, Bitto-Nemling, Eghbal-zadeh and Hochreiter (2022), "Reactive exploration to
cope with non-stationarity in lifelong reinforcement learning". A reward model and a curiosity module (ICM) err most
after a change; the agent is paid for the errors, and so looks again when the world has changed::

    r = (1 - c1 - c2) r_ext + c1 r_icm + c2 r_rm,      c1 = c2 = 0.15

as three streams with one discount, whose advantages are added with these weights. JellyLite, 16 environments that share
the clock, four phases. The others are PPO with the world's reward alone, the same with RND, DQN, and as a control the
reactive agent whose reward model is fitted to shuffled rewards, so that its error says nothing about the change.

Criterion, written before the run (IQMs over seeds, paired intervals of 95 %): mean reward of a step in the first fifth
of a phase after a flip is higher with reactive exploration than with PPO (interval above 0) and than with the control;
in the first 2,048 steps after a flip the reward model's error is at least three times that of the last 10,240 steps
before it; and PPO is back at 80 % of its rate before the flip (the last 10,240 steps) sooner than DQN (interval below
0). A seed that is not back within a phase, or had no positive rate, counts with the whole phase.

Each arm has the best of four learning rates for seeds 1000 to 1002 (``--tune``), the control that of the reactive
agent; judged on seeds 0 to 19. Other shifts run with ``--shift`` and are not judged.

    python experiments/reactive_jelly.py            # tens of minutes on two CPU cores
    python experiments/reactive_jelly.py --tune     # the four learning rates on the tuning seeds
    python experiments/reactive_jelly.py --smoke    # seconds
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import Algorithm
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.bonuses.bonus import Bonus
from purejaxexplore.bonuses.icm import ICMConfig, icm
from purejaxexplore.bonuses.reward_model import RewardModelConfig, reward_model
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.learners.dqn import DQNConfig, dqn
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.runner.cache import enable_compilation_cache

NUM_ENVS, LENGTH = 16, 128
BIN = NUM_ENVS * LENGTH  # steps of a PPO iteration, and of a point of every curve
PHASE = 29  # bins between two shifts
TUNING_SEEDS = (1000, 1001, 1002)
RATES = [3e-4, 1e-3, 3e-3, 1e-2]
TUNED = {"Reactive": 1e-2, "PPO": 3e-3, "PPO+RND": 1e-2, "DQN": 1e-2, "Shuffled rewards": 1e-2}
MIX = 0.15
EARLY, LATE = 6, 5  # bins after a shift (a fifth of a phase), and before one
CRITERION = (
    "mean reward in the first fifth after a flip: reactive above PPO (interval above 0) and above shuffled rewards; "
    "reward model's error after a flip >= 3 x before; steps to 80 % of the old rate: PPO below DQN (interval below 0)"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Reactive exploration in JellyLite.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        phases: between shifts, 59,392 steps each.
        shift: what changes; only the flip of rewards is judged.
        tune: print how each learning rate does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    phases: int = 4
    shift: Literal["sign_flip", "gradual", "colour_swap", "rotation"] = "sign_flip"
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


def with_shuffled_rewards(bonus: Bonus) -> Bonus:
    """The bonus, which learns from the rollout with its rewards shuffled among the steps."""

    def update(key, state, batch):
        key_shuffle, key_update = jax.random.split(key)
        reward = batch.steps.reward
        shuffled = jax.random.permutation(key_shuffle, reward.reshape(-1)).reshape(reward.shape)
        return bonus.update(key_update, state, batch._replace(steps=batch.steps._replace(reward=shuffled)))

    return bonus._replace(update=update)


def arms(env, params) -> dict[str, tuple[Callable[[Any], Algorithm], Any, int]]:
    """Name -> (``settings -> Algorithm``, settings, steps of an iteration)."""
    config = PPOConfig(
        num_envs=NUM_ENVS, rollout_length=LENGTH, num_warmup_steps=LENGTH, num_minibatches=8, entropy_coef=0.0,
        hidden_sizes=(64,),
    )  # fmt: skip
    values = DQNConfig(num_envs=NUM_ENVS, rollout_length=4, num_updates=2, batch_size=128, hidden_sizes=(64,))
    errors = reward_model(RewardModelConfig(env.num_actions))
    curiosity = icm(ICMConfig(env.num_actions, normalise=False))

    def reactive(model):
        return (
            Stream("extrinsic", coef=1.0 - 2 * MIX), Stream("icm", curiosity, coef=MIX), Stream("rm", model, coef=MIX)
        )  # fmt: skip

    def by_ppo(*streams):
        return (lambda settings: ppo(env, params, settings, streams=streams), config, BIN)

    return {
        "Reactive": by_ppo(*reactive(errors)),
        "PPO": by_ppo(Stream("extrinsic")),
        "PPO+RND": by_ppo(
            Stream("extrinsic", coef=1.0 - MIX), Stream("rnd", rnd(RNDConfig(predictor_sizes=(128,))), coef=MIX)
        ),
        "DQN": (lambda settings: dqn(env, params, settings), values, NUM_ENVS * values.rollout_length),
        "Shuffled rewards": by_ppo(*reactive(with_shuffled_rewards(errors))),
    }


def binned(metrics, name: str, num_bins: int) -> np.ndarray:
    """A metric as f64[..., num_bins], means over bins of 2,048 environment steps; NaN where a warm-up fills a bin."""
    values = np.asarray(metrics[name], np.float64)
    steps = np.asarray(metrics["env_steps"]).reshape(-1, values.shape[-1])[0]
    bins = (steps - 1) // BIN
    columns = [values[..., bins == i].mean(-1) if (bins == i).any() else None for i in range(num_bins)]
    return np.stack([np.full(values.shape[:-1], np.nan) if c is None else c for c in columns], -1)


def after_shifts(rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Early rate f64[seeds], and steps to 80 % of the rate before, f64[seeds]: means over the shifts."""
    early, recovery = [], []
    for shift in range(PHASE, rates.shape[-1], PHASE):
        phase = rates[:, shift : shift + PHASE]
        before = rates[:, shift - LATE : shift].mean(1)
        early.append(phase[:, :EARLY].mean(1))
        back = analysis.steps_to(BIN * np.arange(1, PHASE + 1), phase, np.where(before > 0, 0.8 * before, np.inf))
        recovery.append(np.minimum(back, BIN * PHASE))
    return np.mean(early, 0), np.mean(recovery, 0)


def surprise_ratio(errors: np.ndarray) -> np.ndarray:
    """The reward model's error in the bin after a shift over that before it, f64[seeds], mean over the shifts."""
    shifts = range(PHASE, errors.shape[-1], PHASE)
    return np.mean([errors[:, s] / errors[:, s - LATE : s].mean(1) for s in shifts], 0)


def told_as(estimate: analysis.Estimate) -> str:
    """``value [low, high]``."""
    return "{:.4g} [{:.4g}, {:.4g}]".format(*estimate)


def figure_of(rates: dict[str, np.ndarray], errors: np.ndarray):
    """Reward and the reward model's error against environment steps: IQMs with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.6))
        FigureCanvasAgg(figure)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        chosen = analysis.looks(rates)
        for ax, shown in ((top, rates), (bottom, {"Reactive": errors})):
            for name, values in shown.items():
                at = (np.arange(values.shape[1]) + 0.5) * BIN / 1e3
                look, band = chosen[name], analysis.iqm_bands(values)
                ax.plot(at, band.value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
                ax.fill_between(at, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
            for shift in range(PHASE, values.shape[1], PHASE):
                ax.axvline(shift * BIN / 1e3, color="#444444", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            ax.margins(x=0.01)
        top.set_ylabel("Reward a step")
        bottom.set(xlabel="Environment steps (thousands)", ylabel="Reward\nmodel's error", ylim=(0, None))
        figure.legend(*top.get_legend_handles_labels(), loc="outside upper left", ncols=5, columnspacing=1.2)
        figure.align_ylabels()
    return figure


def tune(env, params, num_bins: int) -> None:
    """Prints the mean reward of a step with each learning rate."""
    for name, (make, config, width) in arms(env, params).items():
        if name == "Shuffled rewards":
            continue
        grid = pjx.sweep(
            make, config, {"learning_rate": RATES}, len(TUNING_SEEDS), num_bins * BIN // width,
            first_seed=TUNING_SEEDS[0], progress=False,
        )  # fmt: skip
        reward = np.nanmean(binned(grid.metrics, "extrinsic_reward", num_bins), (-2, -1))
        print(f"{name:<18}", *(f"{rate}: {x:.4f}" for rate, x in zip(RATES, reward, strict=True)), flush=True)


def main(args: Args) -> None:
    """Runs all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    env, params = pjx.make("JellyLite", shift=args.shift, shift_every=PHASE * LENGTH)
    num_bins = 4 if args.smoke else PHASE * args.phases
    if args.tune:
        tune(env, params, num_bins)
        return
    seeds = 2 if args.smoke else args.seeds
    rates, runs = {}, {}
    for name, (make, config, width) in arms(env, params).items():
        if args.smoke and name not in ("Reactive", "DQN"):
            continue
        settings = config.replace(learning_rate=TUNED[name])
        if args.smoke:
            settings = settings.replace(hidden_sizes=(4,))
        iterations = num_bins * BIN // width
        runs[name] = pjx.run(make(settings), seeds, iterations, first_seed=args.first_seed, name=name).metrics
        rates[name] = binned(runs[name], "extrinsic_reward", num_bins)
        print(f"{name:<18} mean reward of a step {np.nanmean(rates[name]):.4f}", flush=True)
    errors = binned(runs["Reactive"], "rm_reward", num_bins)

    args.results.mkdir(parents=True, exist_ok=True)
    name = "reactive_jelly" if args.shift == "sign_flip" else f"reactive_jelly_{args.shift}"
    figure_of(rates, errors).savefig(args.results / f"{name}.png", dpi=200)
    print("written:", args.results / f"{name}.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0] or args.shift != "sign_flip":
        return

    early, recovery = ({arm: after_shifts(r)[i] for arm, r in rates.items()} for i in range(2))
    over_ppo = analysis.paired_bootstrap(early["Reactive"], early["PPO"])
    over_control = analysis.paired_bootstrap(early["Reactive"], early["Shuffled rewards"])
    sooner = analysis.paired_bootstrap(recovery["PPO"], recovery["DQN"])
    spike = analysis.bootstrap_interval(surprise_ratio(errors))
    met = {
        "faster than PPO": over_ppo.low > 0,
        "faster than the control": over_control.value > 0,
        "the error rises threefold": spike.value >= 3,
        "PPO recovers sooner than DQN": sooner.high < 0,
    }
    enough = seeds >= 20 and args.phases == 4
    told = ", ".join(f"{part}: {'met' if yes else 'not met'}" for part, yes in met.items())
    weights = {"extrinsic": 1.0 - 2 * MIX, "icm": MIX, "rm": MIX}
    sizes = {s: w * np.abs(np.asarray(runs["Reactive"][f"{s}_reward"])).mean() for s, w in weights.items()}
    shares = ", ".join(f"{s} {size:.4f}" for s, size in sizes.items())
    numbers = ", ".join(f"{arm} {analysis.iqm(x):.4f}" for arm, x in early.items())
    times = ", ".join(f"{arm} {analysis.iqm(x):.0f}" for arm, x in recovery.items())
    path = analysis.record(
        name="reactive_jelly",
        claim="Paying the errors of a reward model and of curiosity makes PPO adapt faster where rewards flip.",
        source="Steinparz, Schmied, Paischer, Dinu, Patil, Bitto-Nemling, Eghbal-zadeh and Hochreiter (2022), Reactive "
        "exploration to cope with non-stationarity in lifelong reinforcement learning",
        criterion=CRITERION,
        env_steps=num_bins * BIN,
        baselines={arm: f"learning rate {TUNED[arm]}" for arm in rates if arm != "Reactive"},
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=over_ppo,
        statistic=f"reward a step more than PPO's early after a flip (IQM); more than with shuffled rewards "
        f"{told_as(over_control)}; early rates {numbers}; the reward model's error rises {told_as(spike)} x; steps to "
        f"recover {times}; PPO less DQN {told_as(sooner)}; realised mean size of the weighted rewards {shares}",
        verdict=("holds" if all(met.values()) else "does not hold") if enough else "not judged",
        reason=told if enough else "it needs 20 seeds and 4 phases",
        command=f"python experiments/reactive_jelly.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bonuses",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
