"""Adversarial surprise in four rooms, by turns dark and noisy, where noise can be switched off: nothing is rewarded.

Fickinger, Jaques, Parajuli, Chang, Rhinehart, Berseth, Russell and Levine (2021), "Explore and control with adversarial
surprise". Who seeks surprise should be caught by the noise of the second room, who shuns it by the dark of the first;
of two players, one of which seeks the other's surprise, the pair should get through. Episodes of 64 steps, two rounds
of 16 steps for each player. The same density model, shown to the policy, pays one policy of PPO for surprise (entropy)
or for its absence (control only); the last is a uniform walk. 16 environments, one hidden layer of 64 units, 50,000
steps. A plan of 400,000 steps was cut, to fit into minutes.

Criterion, written before the run, of episodes after training (IQMs over seeds, paired intervals of 95 %):

* rooms visited: at least 1.0 more than control only, interval above 0, and no fewer than entropy;
* share of time spent in noise that is not switched off: at least 0.15 below that of entropy, interval above 0;
* switches pressed: more than by a uniform walk, interval above 0.

The learning rate of each arm is the best of three on seeds 1000 to 1002 (``--tune``), by the rooms visited; judged on
seeds 0 to 19.

    python experiments/adversarial_surprise_rooms.py            # minutes on two CPU cores
    python experiments/adversarial_surprise_rooms.py --tune     # the three learning rates on the tuning seeds
    python experiments/adversarial_surprise_rooms.py --smoke    # seconds
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import Algorithm
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.bonuses.categorical_surprise import (
    CategoricalSurpriseConfig,
    categorical_surprise,
    frequencies_and_size,
)
from purejaxexplore.bonuses.sofe import expose
from purejaxexplore.envs.wrappers import Wrapper
from purejaxexplore.learners.adversarial_surprise import AdversarialSurpriseConfig, adversarial_surprise
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.learners.random_policy import random_policy
from purejaxexplore.runner.cache import enable_compilation_cache

EPISODE = 64
TUNING_SEEDS = (1000, 1001, 1002)
RATES = [3e-4, 1e-3, 3e-3]
CHOSEN = {"Adversarial": 3e-3, "Entropy": 3e-4, "Control only": 3e-4, "Random": 0.0}
MEASURES = ("rooms", "noise", "pressed")
CRITERION = (
    "rooms visited: >= 1.0 more than control only (interval above 0) and no fewer than entropy; share of time in noise "
    ">= 0.15 below entropy's (interval above 0); switches pressed more than by a uniform walk (interval above 0)"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Adversarial surprise in dark and noisy rooms.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of each seed.
        tune: print how each learning rate does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 50_000
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


class MeasuredState(NamedTuple):
    """``rooms`` bool[R], visited in this episode; ``noise`` i32[], steps in noise; ``pressed`` i32[], switches."""

    env_state: Any
    rooms: jax.Array
    noise: jax.Array
    pressed: jax.Array

    @property
    def time(self):
        return self.env_state.time


@struct.dataclass
class MeasuredParams:
    """``inner``: of the world; ``pays``: i32, which of ``MEASURES`` an episode returns. Nobody learns from it."""

    inner: Any
    pays: int = 0


class Measured(Wrapper):
    """The world with a measure of the whole episode as the reward of its last step."""

    @property
    def default_params(self):
        return MeasuredParams(self._env.default_params)

    def inner_state(self, state):
        return state.env_state

    def inner_params(self, params):
        return params.inner

    def reset_env(self, key, params):
        obs, env_state = super().reset_env(key, params)
        first = jnp.arange(self.num_rooms) == 0
        return obs, MeasuredState(env_state, first, jnp.int32(0), jnp.int32(0))

    def step_env(self, key, state, action, params):
        obs, env_state, _, terminated, info = super().step_env(key, state, action, params)
        rooms = state.rooms | (jnp.arange(self.num_rooms) == info["room"])
        state = MeasuredState(env_state, rooms, state.noise + info["in_noise"], info["num_pressed"])
        measures = jnp.stack([rooms.sum(), state.noise / EPISODE, state.pressed]).astype(jnp.float32)
        reward = jnp.where(self.is_truncated(state, params), measures[params.pays], 0.0)
        return obs, state, reward, terminated, info


def arms(env) -> dict[str, tuple[Callable[[Any, PPOConfig], Algorithm], PPOConfig]]:
    """Name -> (``(params of Measured, settings) -> Algorithm``, its settings but for the learning rate)."""
    config = PPOConfig(num_envs=16, rollout_length=EPISODE, num_warmup_steps=EPISODE, hidden_sizes=(64,))
    seeking, shunning = (
        expose(categorical_surprise(CategoricalSurpriseConfig(seek=seek)), frequencies_and_size)
        for seek in (True, False)
    )

    def paid(bonus):
        stream = Stream("bonus", bonus)
        return lambda params, settings: ppo(env, params, settings, streams=(stream,))

    def two_players(params, settings):
        return adversarial_surprise(env, params, AdversarialSurpriseConfig(ppo=settings, num_rounds=4))

    return {
        "Adversarial": (two_players, config.replace(num_minibatches=2)),
        "Entropy": (paid(seeking), config),
        "Control only": (paid(shunning), config),
        "Random": (lambda params, settings: random_policy(env, params, rollout_length=EPISODE), config),
    }


def evaluate(make, params: MeasuredParams, settings: PPOConfig, state, first_seed: int, seeds: int, games: int):
    """The means of the measures over ``games`` more iterations of each seed, f64[measures, seeds].

    Which measure is returned changes nothing else, so all are of the same episodes.
    """

    def of_seed(pays, key, state):
        algorithm = make(params.replace(pays=pays), settings)
        _, metrics = jax.lax.scan(lambda s, k: algorithm.step(k, s), state, jax.random.split(key, games))
        return metrics["episode_return"].mean()

    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(1), first_seed + jnp.arange(seeds))
    measured = jax.vmap(jax.vmap(of_seed, (None, 0, 0)), (0, None, None))
    return np.asarray(jax.jit(measured)(jnp.arange(len(MEASURES)), keys, state), np.float64)


def figure_of(runs: dict, measured: dict[str, np.ndarray]):
    """Rooms visited during training, and noise and switches after it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.7))
        FigureCanvasAgg(figure)
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))
        analysis.learning_curves(runs, "episode_return", num_points=60, ax=left)
        left.get_legend().remove()
        left.set(ylabel="Rooms visited an episode", ylim=(0.9, 4.1))
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=5, columnspacing=1.2)
        for ax, row, label in ((middle, 1, "Share of time in noise"), (right, 2, "Switches pressed")):
            analysis.score_bars({name: values[row] for name, values in measured.items()}, label=label, ax=ax)
            ax.set_xlim(left=-0.04 * ax.get_xlim()[1])
        right.set_yticklabels([])
    return figure


def tune(env, params: MeasuredParams, iterations: int) -> None:
    """Prints the rooms visited in the last tenth of training with each learning rate."""
    for name, (make, config) in arms(env).items():
        if name == "Random":
            continue
        grid = pjx.sweep(
            lambda settings, make=make: make(params, settings), config, {"learning_rate": RATES},
            len(TUNING_SEEDS), iterations, first_seed=TUNING_SEEDS[0], progress=False,
        )  # fmt: skip
        rooms = np.asarray(grid.metrics["episode_return"])[..., -iterations // 10 :].mean((-2, -1))
        print(f"{name:<14}", *(f"{rate}: {x:.2f}" for rate, x in zip(RATES, rooms, strict=True)), flush=True)


def main(args: Args) -> None:
    """Runs all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    inner, inner_params = pjx.make("DarkNoisyRooms", max_steps_in_episode=EPISODE)
    env, params = Measured(inner), MeasuredParams(inner_params)
    iterations = 2 if args.smoke else args.env_steps // (16 * EPISODE)
    seeds, games = (2, 1) if args.smoke else (args.seeds, 5)
    if args.tune:
        tune(env, params, iterations)
        return
    runs, measured = {}, {}
    for name, (make, config) in arms(env).items():
        if args.smoke and name not in ("Adversarial", "Random"):
            continue
        settings = config.replace(learning_rate=CHOSEN[name])
        runs[name] = pjx.run(make(params, settings), seeds, iterations, first_seed=args.first_seed, name=name)
        measured[name] = evaluate(make, params, settings, runs[name].state, args.first_seed, seeds, games)
        numbers = ", ".join(f"{m} {x:.2f}" for m, x in zip(MEASURES, measured[name].mean(1), strict=True))
        print(f"{name:<14} {numbers}", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    figure_of(runs, measured).savefig(args.results / "adversarial_surprise_rooms.png", dpi=200)
    print("written:", args.results / "adversarial_surprise_rooms.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return

    ours = measured["Adversarial"]
    over_control = analysis.paired_bootstrap(ours[0], measured["Control only"][0])
    over_entropy = analysis.paired_bootstrap(ours[0], measured["Entropy"][0])
    less_noise = analysis.paired_bootstrap(measured["Entropy"][1], ours[1])
    pressed = analysis.paired_bootstrap(ours[2], measured["Random"][2])
    met = {
        "rooms": over_control.value >= 1.0 and over_control.low > 0 and over_entropy.value >= 0,
        "noise": less_noise.value >= 0.15 and less_noise.low > 0,
        "switches": pressed.low > 0,
    }
    enough = seeds >= 20
    told = ", ".join(f"{part} {'met' if yes else 'not met'}" for part, yes in met.items())
    numbers = "; ".join(
        f"{name} " + ", ".join(f"{analysis.iqm(x):.2f}" for x in values) for name, values in measured.items()
    )
    path = analysis.record(
        name="adversarial_surprise_rooms",
        claim="Two players at odds about surprise visit more rooms than control alone and avoid the noise that holds "
        "an entropy seeker.",
        source="Fickinger, Jaques, Parajuli, Chang, Rhinehart, Berseth, Russell and Levine (2021), Explore and control "
        "with adversarial surprise",
        criterion=CRITERION,
        env_steps=iterations * 16 * EPISODE,
        baselines={name: f"learning rate {CHOSEN[name]} of {RATES}" for name in ("Entropy", "Control only")}
        | {"Random": "a uniform walk"},
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=over_control,
        statistic=f"more rooms visited than by control alone (IQM); than by entropy {over_entropy.value:.2f} "
        f"[{over_entropy.low:.2f}, {over_entropy.high:.2f}]; noise below entropy's {less_noise.value:.2f} "
        f"[{less_noise.low:.2f}, {less_noise.high:.2f}]; switches above a uniform walk's {pressed.value:.2f} "
        f"[{pressed.low:.2f}, {pressed.high:.2f}]; IQMs of rooms, noise and switches: {numbers}",
        verdict=("holds" if all(met.values()) else "does not hold") if enough else "not judged",
        reason=f"the criterion as written, an eighth of the planned steps: {told}" if enough else "fewer than 20 seeds",
        command=f"python experiments/adversarial_surprise_rooms.py --seeds {seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
