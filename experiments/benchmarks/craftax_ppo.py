"""PPO with RND on Craftax-Classic: environment steps a second, stepping of the world included.

Networks and sizes are those of the public JAX baseline for Craftax (``ppo_rnd.py`` of Matthews et al., 2024): three
tanh layers of 512, 64 steps of each environment an update, 4 epochs of 8 minibatches; RND's nets have three layers of
256 and 512 outputs, and are fitted in one epoch. On two cores of this kind it trained with 1,388 steps/s (64
environments) and 1,659 (256). Two things differ: both values share the critic's tower, where the baseline has one for
each (59 instead of 85 million operations a step), and worlds are made once a rollout, a quarter of the number of
environments (:class:`~purejaxexplore.envs.starts.StartPool`), where the baseline makes a sixteenth at every step.

PPO alone, PPO with each bonus, and the bare stepping of random actions with the same resets take turns in one process
with a 2048 matrix product. ``floor`` is the rate if the counted operations of the dense layers ran at that product's
speed and stepping took as long as alone. In addition every contender compiles and runs once in a process of its own,
for its compile time and its peak memory. One JSON line a number of environments goes to
``experiments/results/benchmarks/craftax_ppo.jsonl``.

    python experiments/benchmarks/craftax_ppo.py --num-envs 64 256 --bonuses rnd e3b icm
"""

import timing  # first: gymnax starts the backend when it is imported

# isort: split
import dataclasses
import itertools
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import tyro

import purejaxexplore as pjx
from purejaxexplore.blocks.rollout import Lanes, reset_lanes, rollout
from purejaxexplore.bonuses.build import make_bonus
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.envs.starts import StartPool
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo

RND = RNDConfig(
    learning_rate=3e-4, feature_dim=512, target_sizes=(256,) * 3, predictor_sizes=(256,) * 3, num_minibatches=8
)
BASELINE = {64: 1388.0, 256: 1659.0}


@dataclasses.dataclass(frozen=True)
class Args:
    """What to measure."""

    num_envs: tuple[int, ...] = (64, 256)
    """environments of the one seed"""
    bonuses: tuple[str, ...] = ("rnd",)
    """names of registered bonuses; those but rnd are as they come"""
    rounds: int = 5
    """timed updates of each contender"""
    alone: bool = True
    """also compile and run each contender in its own process: compile time and peak memory"""
    smoke: bool = False
    """seconds only: a small world instead of Craftax, nothing written"""


class Setting(NamedTuple):
    """One configuration."""

    world: str
    num_envs: int

    @property
    def config(self) -> PPOConfig:
        return PPOConfig(
            num_envs=self.num_envs, rollout_length=64, num_minibatches=8, num_warmup_steps=64, hidden_sizes=(512,) * 3,
            learning_rate=2e-4, gae_lambda=0.8, max_grad_norm=1.0,
        )  # fmt: skip

    @property
    def steps(self) -> int:
        return self.num_envs * self.config.rollout_length

    def make(self):
        """The environment, its resets shared, and its parameters."""
        env = StartPool(pjx.make(self.world)[0], max(1, self.num_envs // 4))
        return env, env.default_params


def stepping(setting: Setting) -> tuple[timing.Compiled, timing.Turn]:
    """A rollout of random actions whose observations are consumed by a sum."""
    env, env_params = setting.make()

    def act(key, carry, lanes: Lanes):
        keys = jax.random.split(key, setting.num_envs)
        return carry + lanes.obs.sum(), jax.vmap(env.action_space(env_params).sample)(keys), ()

    def play(key, lanes):
        length = setting.config.rollout_length
        lanes, total, steps, *_ = rollout(key, env, env_params, lanes, jnp.float32(0), act, length)
        return lanes, total, steps.reward.sum()

    lanes = jax.jit(lambda key: reset_lanes(key, env, env_params, setting.num_envs))(jax.random.key(0))
    compiled = timing.compile_ahead(play, jax.random.key(1), lanes)
    return compiled, timing.Turn(lambda: (jax.random.key(2), lanes), compiled.call)


def training(bonus: str, setting: Setting) -> tuple[timing.Compiled, timing.Turn]:
    """One update of a learner that has made one; ``bonus`` may be empty."""
    env, env_params = setting.make()
    streams = [Stream("extrinsic", gamma=0.99, lam=0.8)]
    if bonus:
        made = rnd(RND) if bonus == "rnd" else make_bonus(bonus, env, env_params)
        streams.append(Stream(bonus, made, gamma=0.99, lam=0.8, coef=0.01, episodic=False))
    algorithm = ppo(env, env_params, setting.config, streams=streams)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    compiled = timing.compile_ahead(algorithm.step, jax.random.key(1), state)
    state, _ = compiled.call(jax.random.key(1), state)
    return compiled, timing.Turn(lambda: (jax.random.key(2), state), compiled.call)


def contender(name: str, setting: Setting) -> tuple[timing.Compiled, timing.Turn]:
    """``"stepping"``, ``"ppo"`` or ``"ppo_BONUS"``."""
    return stepping(setting) if name == "stepping" else training(name.removeprefix("ppo").removeprefix("_"), setting)


def dense_flop(sizes: tuple[int, ...]) -> tuple[int, int]:
    """Operations of one row in dense layers of these sizes: of a forward pass, and of a pass with its gradient.

    The gradient costs two more products a layer, but nobody needs that of the first layer's input.
    """
    layers = [2 * a * b for a, b in itertools.pairwise(sizes)]
    return sum(layers), 3 * sum(layers) - layers[0]


def flop_per_step(name: str, setting: Setting) -> int:
    """Counted operations of an environment step: each net once forward, and once with its gradient each epoch."""
    env, env_params = setting.make()
    size, num_actions = env.observation_space(env_params).shape[0], env.action_space(env_params).n
    config, with_bonus = setting.config, name != "ppo"
    total = 0
    for outputs in (num_actions, 1 + with_bonus):
        forward, trained = dense_flop((size, *config.hidden_sizes, outputs))
        total += forward + config.num_epochs * trained
    if name == "ppo_rnd":
        forward, _ = dense_flop((size, *RND.target_sizes, RND.feature_dim))
        predicted, trained = dense_flop((size, *RND.predictor_sizes, RND.feature_dim))
        total += forward + predicted + RND.num_epochs * (forward + trained)
    return total


def run_alone(name: str, setting: Setting) -> dict[str, float]:
    """One cold start; the initialisation, another program, is not in the compile time."""
    compiled, turn = contender(name, setting)
    timing.seconds(turn)
    return {
        "compile_seconds": compiled.compile_seconds,
        "planned_mb": compiled.planned_mb,
        "peak_rss_mb": timing.peak_rss_mb(),
    }


def run_together(names: tuple[str, ...], setting: Setting, rounds: int) -> dict[str, Any]:
    """The contenders' turns in this process."""
    turns = {"gemm": timing.gemm()} | {name: contender(name, setting)[1] for name in names}
    times = timing.interleave(turns, rounds)
    gemm = timing.rate(timing.GEMM_FLOP, times["gemm"])
    row: dict[str, Any] = {"gemm_gflop_per_second": gemm / 1e9}
    for name in names:
        row[name] = {"steps_per_second": timing.rate(setting.steps, times[name])}
    for name in ("ppo", "ppo_rnd"):
        if name in row:
            flop = flop_per_step(name, setting)
            floor = 1.0 / (flop / gemm + 1.0 / row["stepping"]["steps_per_second"])
            speed = row[name]["steps_per_second"]
            row[name] |= {"flop_per_step": flop, "floor_steps_per_second": floor, "share_of_floor": speed / floor}
    if "ppo_rnd" in row and setting.num_envs in BASELINE:
        row["ppo_rnd_over_baseline_of_limits"] = row["ppo_rnd"]["steps_per_second"] / BASELINE[setting.num_envs]
    return row


def main(args: Args) -> None:
    world = "craftax/Craftax-Classic-Symbolic-v1"
    if args.smoke:
        args, world = dataclasses.replace(args, num_envs=(4,), bonuses=("rnd",), rounds=1, alone=False), "RoomChain"
    names = ("stepping", "ppo", *(f"ppo_{bonus}" for bonus in args.bonuses))
    for num_envs in args.num_envs:
        setting = Setting(world, num_envs)
        row = timing.in_fresh_process(run_together, names, setting, args.rounds)
        for name in names if args.alone else ():
            row[name] |= timing.in_fresh_process(run_alone, name, setting)
        timing.emit(
            "craftax_ppo",
            args.smoke,
            env=world,
            num_envs=num_envs,
            rollout_length=setting.config.rollout_length,
            rounds=args.rounds,
            craftax=timing.package_version("craftax"),
            **row,
        )
        rates = ", ".join(f"{name} {row[name]['steps_per_second']:.0f}" for name in names)
        print(f"{num_envs} environments, steps/s: {rates}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
