"""PPO training: environment steps a second over all seeds, ours against rejax and against PureJaxRL's algorithm.

All contenders train the same network (64-64 tanh, separate towers) with the same rollouts, epochs and minibatches, and
none evaluates. rejax 0.1.3 runs through an adapter, PureJaxRL as it is written anew in ``peers.py``. Ours is
``make_train(ppo(...))`` as a user gets it: its value targets bootstrap through truncation, which costs one more pass of
the critic; ``ours_truncation_as_termination`` leaves that out, as the peers do.

A configuration is one process in which the contenders and a 2048 matrix product take turns; in addition every contender
compiles and runs once in a process of its own, for its compile time and its peak memory. ``fraction_of_gemm`` is the
counted work, (3 epochs + 1) passes of both towers a step, over the measured rate of that matrix product. One JSON line
a configuration goes to ``experiments/results/benchmarks/ppo.jsonl``.

    python experiments/benchmarks/ppo.py --envs CartPole-v1 --num-envs 4 64 --num-seeds 1 16
"""

import timing  # first: gymnax starts the backend when it is imported

# isort: split
import dataclasses
import itertools
import sys
import time
from typing import Any, NamedTuple

import gymnax
import jax
import tyro
from peers import PUREJAXRL_COMMIT, flat_size, purejaxrl_ppo, rejax_ppo

from purejaxexplore import make_train
from purejaxexplore.learners.ppo import PPOConfig, ppo

ENVS = {"CartPole-v1": {}, "Breakout-MinAtar": {}, "DeepSea-bsuite": {"size": 16}}


def ours(env, env_params, config, num_updates):
    return make_train(ppo(env, env_params, config), num_updates)


def ours_truncation_as_termination(env, env_params, config, num_updates):
    return ours(env, env_params, config.replace(bootstrap_truncation=False), num_updates)


CONTENDERS = {
    "ours": ours,
    "ours_truncation_as_termination": ours_truncation_as_termination,
    "rejax": rejax_ppo,
    "purejaxrl": purejaxrl_ppo,
}
PEERS = ("rejax", "purejaxrl")


@dataclasses.dataclass(frozen=True)
class Args:
    """What to measure."""

    envs: tuple[str, ...] = tuple(ENVS)
    """of CartPole-v1, Breakout-MinAtar, DeepSea-bsuite (size 16)"""
    num_envs: tuple[int, ...] = (4, 64, 1024)
    """environments of a seed"""
    num_seeds: tuple[int, ...] = (1, 16)
    """seeds trained at once"""
    contenders: tuple[str, ...] = ("ours", "rejax", "purejaxrl")
    """also: ours_truncation_as_termination"""
    min_steps: int = 2**18
    """least environment steps of a timed run, over all seeds"""
    rounds: int = 5
    """timed runs of each contender"""
    alone: bool = True
    """also compile and run each contender in its own process: cold compile time and peak memory"""
    smoke: bool = False
    """seconds only: one tiny configuration, nothing written"""


class Setting(NamedTuple):
    """One configuration; 128 steps of each environment an update, 32 from 1,024 environments on."""

    env_name: str
    num_envs: int
    num_seeds: int
    min_steps: int

    @property
    def config(self) -> PPOConfig:
        return PPOConfig(num_envs=self.num_envs, rollout_length=32 if self.num_envs >= 1024 else 128)

    @property
    def steps_per_update(self) -> int:
        return self.num_seeds * self.num_envs * self.config.rollout_length

    @property
    def num_updates(self) -> int:
        return max(2, -(-self.min_steps // self.steps_per_update))

    @property
    def steps(self) -> int:
        return self.num_updates * self.steps_per_update


def compile_contender(name: str, setting: Setting) -> tuple[timing.Compiled, timing.Turn]:
    """The compiled training of one contender and its turn, over all seeds of the setting."""
    env, env_params = gymnax.make(setting.env_name, **ENVS[setting.env_name])
    train = CONTENDERS[name](env, env_params, setting.config, setting.num_updates)
    keys = jax.random.split(jax.random.key(0), setting.num_seeds)
    over_seeds = jax.vmap(train) if setting.num_seeds > 1 else lambda keys: train(keys[0])
    compiled = timing.compile_ahead(over_seeds, keys)
    return compiled, timing.Turn(lambda: (keys,), compiled.call)


def flop_per_step(setting: Setting) -> int:
    """Multiplications and additions of the dense layers for one environment step: acting and, per epoch, a pass and its
    gradient."""
    env, env_params = gymnax.make(setting.env_name, **ENVS[setting.env_name])
    sizes = (flat_size(env, env_params), *setting.config.hidden_sizes)
    hidden = sum(2 * a * b for a, b in itertools.pairwise(sizes))
    towers = 2 * hidden + 2 * sizes[-1] * (env.action_space(env_params).n + 1)
    return towers * (1 + 3 * setting.config.num_epochs)


def run_alone(name: str, setting: Setting) -> dict[str, float]:
    """One cold start: what the first training of a session costs."""
    jax.block_until_ready(jax.random.key(0))
    compiled, turn = compile_contender(name, setting)
    start = time.perf_counter()
    timing.seconds(turn)
    total = compiled.compile_seconds + time.perf_counter() - start
    return {
        "compile_seconds": compiled.compile_seconds,
        "xla_seconds": compiled.xla_seconds,
        "steps_per_second_with_compile": setting.steps / total,
        "planned_mb": compiled.planned_mb,
        "peak_rss_mb": timing.peak_rss_mb(),
    }


def run_together(names: tuple[str, ...], setting: Setting, rounds: int) -> dict[str, Any]:
    """The contenders' turns in this process."""
    turns = {"gemm": timing.gemm()} | {name: compile_contender(name, setting)[1] for name in names}
    times = timing.interleave(turns, rounds)
    gemm = timing.rate(timing.GEMM_FLOP, times["gemm"])
    row: dict[str, Any] = {"gemm_gflop_per_second": gemm / 1e9, "flop_per_step": flop_per_step(setting)}
    for name in names:
        speed = timing.rate(setting.steps, times[name])
        row[name] = {"steps_per_second": speed, "fraction_of_gemm": speed * row["flop_per_step"] / gemm}
    for own, peer in itertools.product(names, PEERS):
        if own not in PEERS and peer in names:
            row[f"{own}_over_{peer}"] = timing.ratio(times[own], times[peer])
    return row


def main(args: Args) -> None:
    if args.smoke:
        args = dataclasses.replace(
            args, envs=("CartPole-v1",), num_envs=(4,), num_seeds=(2,), min_steps=1, rounds=1, alone=False
        )
    for sizes in itertools.product(args.envs, args.num_envs, args.num_seeds):
        setting = Setting(*sizes, args.min_steps)
        row = timing.in_fresh_process(run_together, args.contenders, setting, args.rounds)
        for name in args.contenders if args.alone else ():
            row[name] |= timing.in_fresh_process(run_alone, name, setting)
        timing.emit(
            "ppo",
            args.smoke,
            env=setting.env_name,
            num_envs=setting.num_envs,
            num_seeds=setting.num_seeds,
            rollout_length=setting.config.rollout_length,
            updates=setting.num_updates,
            rounds=args.rounds,
            peers={"rejax": timing.package_version("rejax"), "purejaxrl": PUREJAXRL_COMMIT},
            **row,
        )
        ratios = ", ".join(f"{name} {row[name]:.2f}" for name in row if "_over_" in name)
        print(f"{setting.env_name} {setting.num_envs} x {setting.num_seeds}: {ratios}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
