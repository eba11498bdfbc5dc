"""BYOL-Explore in rooms that look alike: does it find the goal, and what do noise and the parts of the method do to it?

Guo et al. (2022), "BYOL-Explore: exploration by bootstrapped prediction". RoomChain(6, 4) seen through a window of
5 x 5 tiles, so that rooms look the same; PPO (16 environments x 128 steps) whose actor and critic share a recurrent
core of 64 units, with one value head for the goal's reward and one for the bonus. BYOL-Explore predicts one or four
steps ahead (K), fits its models once to each rollout, and has networks 64 wide. Further arms: K = 4 with a screen in
the second room that shows one of 64 pictures, another at every step (NoisyTV, "cell", categorical); K = 4 without the
slow target (the online encoder is its own target, alpha = 0); and K = 4 without prioritisation (errors below the
average are paid too).

Criterion, written before the run, over 20 seeds (paired, 95 % intervals):

* success: the share of successful episodes in the last fifth of the training, K = 4 less PPO alone, is >= 0.4 with its
  interval above 0 (means);
* learning: with K = 4 the prediction loss falls at least fivefold from the first rollout to the last tenth (medians);
* noise: the share of time in the second room is larger with the screen in it than without, interval above 0 (the known
  weakness must be seen);
* collapse: without the slow target the variance of the features' directions falls below 0.001 of what it is after the
  first rollout (median).

Each part has an entry of the ledger. PPO alone has the best of five entropy coefficients, BYOL-Explore (K = 4) the best
of five weights of the bonus (``--tune``, share of successful episodes, seeds 1000 to 1002); the other arms share the
latter. Judged on seeds 0 to 19.

    python experiments/byol_explore_rooms.py            # half an hour on one CPU core
    python experiments/byol_explore_rooms.py --tune
    python experiments/byol_explore_rooms.py --smoke    # seconds
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.bonuses.build import make_bonus, widths
from purejaxexplore.envs.noisy_tv import NoisyTV
from purejaxexplore.envs.wrappers import Flatten
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.runner.cache import enable_compilation_cache

SIZE, ROOM = 4, 1
TUNING_SEEDS = (1000, 1001, 1002)
WEIGHTS, ENTROPIES = [0.01, 0.03, 0.1, 0.3, 1.0], [3e-4, 1e-3, 3e-3, 1e-2, 3e-2]
PPO = PPOConfig(
    num_envs=16, rollout_length=128, gamma=0.999, learning_rate=1e-3, entropy_coef=1e-3, normalise_advantages=False,
    hidden_sizes=(64,), gru_size=64,
)  # fmt: skip


class Arm(NamedTuple):
    """``bonus``: settings of BYOL-Explore, None without it; ``screen``: whether one is in the second room."""

    bonus: dict[str, Any] | None
    screen: bool = False


ALONE, BYOL, ONE, SCREEN, NO_EMA, ALL_PAID = (
    "PPO alone", "K = 4", "K = 1", "K = 4, screen", "K = 4, no slow target", "K = 4, no prioritisation",
)  # fmt: skip
ARMS = {
    ALONE: Arm(None),
    BYOL: Arm({"horizon": 4}),
    ONE: Arm({"horizon": 1}),
    SCREEN: Arm({"horizon": 4}, screen=True),
    NO_EMA: Arm({"horizon": 4, "ema": 0.0}),
    ALL_PAID: Arm({"horizon": 4, "prioritise": False}),
}
CRITERIA = {
    "success": "successful episodes in the last fifth, K = 4 less PPO alone: >= 0.4, 95 % interval above 0",
    "learning": "prediction loss of the first rollout over that of the last tenth (medians over seeds), K = 4: >= 5",
    "noise": "share of time in the second room, with a screen there less without: 95 % interval above 0",
    "collapse": "variance of the features' directions without slow target, last over first (median): < 0.001",
}
CLAIMS = {
    "success": "BYOL-Explore finds the goal of six rooms that look alike, which PPO alone does not.",
    "learning": "BYOL-Explore learns to predict the rooms that it visits.",
    "noise": "A screen of pictures at random holds BYOL-Explore in its room.",
    "collapse": "Without its slow target the features of BYOL-Explore collapse.",
}


@dataclasses.dataclass(frozen=True)
class Args:
    """BYOL-Explore in rooms that look alike.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 are for tuning.
        env_steps: environment steps of each seed.
        tune: print how each coefficient does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        out: directory of the stored runs (resumable); by default they stay in memory.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 150_000
    tune: bool = False
    smoke: bool = False
    out: Path | None = None
    results: Path = Path("experiments/results")


@struct.dataclass
class Settings:
    """What is tuned."""

    weight: float = 0.1
    entropy_coef: float = 1e-3


CHOSEN = {ALONE: Settings(entropy_coef=3e-4)}
"""What ``--tune`` chose, where it is not the default."""


def make_world(screen: bool):
    """``(env, env_params)``: windows as vectors, f32[75], and eight channels of the screen."""
    env, env_params = pjx.make("RoomChain", num_rooms=6, size=SIZE, observation="egocentric")
    env = Flatten(env)
    if screen:
        env = NoisyTV(env, "cell", "categorical", channels=8, cells=cells_of_room())
        env_params = env.default_params
    return env, env_params


def cells_of_room() -> list[int]:
    """The states of the room in which the screen is."""
    first = ROOM * (SIZE**2 + 1)
    return list(range(first, first + SIZE**2))


def learner(arm: Arm, config: PPOConfig, settings: Settings) -> pjx.Algorithm:
    """PPO with ``arm``'s bonus; its metric ``in_room`` is the share of environments that are in the room."""
    env, env_params = make_world(arm.screen)
    config = config.replace(entropy_coef=settings.entropy_coef)
    streams = [Stream("extrinsic", gamma=0.999, lam=0.95, coef=2.0)]
    if arm.bonus is not None:
        small = {**widths("byol_explore", 64), "num_epochs": 1, "learning_rate": 1e-3}
        bonus = make_bonus("byol_explore", env, env_params, **{**small, **arm.bonus})
        streams.append(Stream("byol", bonus, gamma=0.99, episodic=False, coef=settings.weight))
    inner = ppo(env, env_params, config, streams=streams)
    room = np.isin(np.arange(env.num_states), cells_of_room())

    def step(key, state):
        state, metrics = inner.step(key, state)
        ids = jax.vmap(env.state_id, in_axes=(0, None))(state.lanes.env_state, env_params)
        return state, metrics | {"in_room": jax.numpy.asarray(room)[ids].mean()}

    return pjx.Algorithm(inner.init, step)


def late(values: np.ndarray, share: float) -> np.ndarray:
    """f64[seeds], the mean over the last ``share`` of the iterations."""
    values = np.asarray(values, np.float64)
    return values[:, -max(int(share * values.shape[1]), 1) :].mean(1)


def late_success(metrics) -> np.ndarray:
    """f64[seeds], share of the episodes of the last fifth that reached the goal."""
    episodes, success = (np.asarray(metrics[name], np.float64) for name in ("episodes", "success"))
    last = max(episodes.shape[1] // 5, 1)
    won = (episodes * success)[:, -last:].sum(1)
    return won / np.maximum(episodes[:, -last:].sum(1), 1)


def tune(args: Args) -> None:
    """Prints the share of successful episodes over the training for each coefficient."""
    iterations = args.env_steps // (PPO.num_envs * PPO.rollout_length)
    for name, over in ((ALONE, {"entropy_coef": ENTROPIES}), (BYOL, {"weight": WEIGHTS})):
        runs = pjx.sweep(
            functools.partial(learner, ARMS[name], PPO), Settings(), over, len(TUNING_SEEDS), iterations,
            first_seed=TUNING_SEEDS[0], progress=False,
        )  # fmt: skip
        (values,) = over.values()
        for i, value in enumerate(values):
            metrics = {k: np.asarray(v)[i] for k, v in runs.metrics.items()}
            share = (metrics["episodes"] * metrics["success"]).sum(1) / metrics["episodes"].sum(1)
            print(f"{name:<10} {value:<6} success {share.mean():.3f}, coverage {metrics['coverage'].mean():.3f}")


def draw(table: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """Success, prediction loss, time in the second room and variance of the features, IQM against steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {
        "success": ("Share of successful episodes", (ALONE, BYOL, ONE, ALL_PAID)),
        "byol_prediction_loss": ("Prediction loss (4 at most)", (BYOL, ONE, SCREEN, NO_EMA)),
        "in_room": ("Share of time in the second room", (ALONE, BYOL, SCREEN)),
        "byol_feature_variance": ("Variance of features' directions", (BYOL, SCREEN, NO_EMA)),
    }
    looks = analysis.looks(table)
    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 5.0))
        FigureCanvasAgg(figure)
        drawn = {}
        for ax, (metric, (label, names)) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
            for name in names:
                if name not in table:
                    continue
                band = analysis.iqm_bands(smooth(np.asarray(table[name][metric], np.float64)))
                steps, look = np.asarray(table[name]["env_steps"])[0] / 1e3, looks[name]
                (drawn[name],) = ax.plot(steps, band.value, color=look.color, linestyle=look.linestyle)
                ax.fill_between(steps, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
            ax.set(xlabel="Environment steps (thousands)", ylabel=label, ylim=(0, None))
            ax.margins(x=0.01)
        figure.legend(drawn.values(), drawn.keys(), loc="outside upper left", ncols=3)
        figure.savefig(path, dpi=200)


def smooth(values: np.ndarray, width: int = 5) -> np.ndarray:
    """Running means of ``width`` iterations, shorter at the start: f64[seeds, iterations]."""
    total = np.cumsum(np.nan_to_num(values), 1)
    lagged = np.pad(total, ((0, 0), (width, 0)))[:, : values.shape[1]]
    return (total - lagged) / np.minimum(np.arange(1, values.shape[1] + 1), width)


def verdicts(table: dict[str, dict[str, np.ndarray]]) -> dict[str, tuple[Any, str, bool]]:
    """Part -> (effect, statistic, whether it holds)."""
    success = {name: late_success(metrics) for name, metrics in table.items()}
    gain = analysis.paired_bootstrap(success[BYOL], success[ALONE], statistic=np.mean)
    shares = ", ".join(f"{name} {value.mean():.2f}" for name, value in success.items())
    loss = np.asarray(table[BYOL]["byol_prediction_loss"], np.float64)
    falls = loss[:, 0] / late(loss, 0.1)
    fall = analysis.bootstrap_interval(falls, statistic=np.median)
    stay = {name: late(table[name]["in_room"], 1.0) for name in (ALONE, BYOL, SCREEN)}
    held = analysis.paired_bootstrap(stay[SCREEN], stay[BYOL], statistic=np.mean)
    left = {}
    for name in (BYOL, NO_EMA):
        variance = np.asarray(table[name]["byol_feature_variance"], np.float64)
        left[name] = late(variance, 0.1) / variance[:, 0]
    kept = analysis.bootstrap_interval(left[NO_EMA], statistic=np.median)
    return {
        "success": (
            gain, f"difference of mean shares of successful episodes in the last fifth; shares: {shares}",
            gain.value >= 0.4 and gain.low > 0,
        ),
        "learning": (
            fall, f"first over last loss, median over seeds; K = 4 {loss[:, 0].mean():.3f} at first and "
            f"{late(loss, 0.1).mean():.3f} in the end (means)",
            fall.value >= 5,
        ),
        "noise": (
            held, "difference of mean shares of time in the second room; "
            + ", ".join(f"{name} {share.mean():.3f}" for name, share in stay.items()),
            held.low > 0,
        ),
        "collapse": (
            kept, "variance of the directions, last over first, median over seeds; "
            + ", ".join(f"{name} {np.median(x):.3g}" for name, x in left.items()),
            kept.value < 0.001,
        ),
    }  # fmt: skip


def main(args: Args) -> None:
    """Trains all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune(args)
        return
    config, seeds, env_steps, names = PPO, args.seeds, args.env_steps, tuple(ARMS)
    if args.smoke:
        config = PPO.replace(num_envs=4, rollout_length=16, num_warmup_steps=16, hidden_sizes=(8,), gru_size=8)
        seeds, env_steps, names = 2, 4 * 4 * 16, (BYOL,)
    iterations = env_steps // (config.num_envs * config.rollout_length)
    table = {}
    for name in names:
        run = pjx.run(
            learner(ARMS[name], config, CHOSEN.get(name, Settings())), seeds, iterations, first_seed=args.first_seed,
            name=name, progress=False, out=None if args.out is None else args.out / name.replace(" ", ""),
        )  # fmt: skip
        table[name] = run.metrics
        print(
            f"{name:<26} successful episodes {late_success(run.metrics).mean():.3f}, in the second room "
            f"{late(run.metrics['in_room'], 1.0).mean():.3f}, coverage {late(run.metrics['coverage'], 1.0).mean():.3f}",
            flush=True,
        )
    args.results.mkdir(parents=True, exist_ok=True)
    draw(table, args.results / "byol_explore_rooms.png")
    print("written:", args.results / "byol_explore_rooms.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return

    enough = seeds >= 20 and args.env_steps >= 150_000
    for part, (effect, statistic, holds) in verdicts(table).items():
        path = analysis.record(
            name=f"byol_explore_{part}",
            claim=CLAIMS[part],
            source="Guo et al. (2022), BYOL-Explore: exploration by bootstrapped prediction",
            criterion=CRITERIA[part],
            env_steps=iterations * config.num_envs * config.rollout_length,
            baselines={"PPO alone": "the same recurrent PPO, entropy coefficient the best of five"},
            tuning_seeds=TUNING_SEEDS,
            judging_seeds=range(args.first_seed, args.first_seed + seeds),
            effect=effect,
            statistic=statistic,
            verdict=("holds" if holds else "does not hold") if enough else "not judged",
            reason="the criterion as written" if enough else "it needs 20 seeds and 150,000 steps",
            command=f"python experiments/byol_explore_rooms.py --seeds {seeds} --first-seed {args.first_seed}",
            family="bonuses",
            directory=args.results,
        )
        print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
