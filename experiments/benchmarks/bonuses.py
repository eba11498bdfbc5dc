"""PPO with each registered bonus against PPO alone: environment steps a second.

RoomChain(6, 4), 64 environments x 128 steps, networks of 64-64 for PPO and 64 wide for the bonuses. One process, in
which PPO alone and PPO with each bonus take turns; a bonus's figure is the median over the rounds of the ratio within a
round. A deferrable bonus should keep at least 0.6 of the rate of PPO alone; the others are scored inside the rollout.
One JSON line a bonus goes to ``experiments/results/benchmarks/bonuses.jsonl``.

    python experiments/benchmarks/bonuses.py --bonuses rnd re3
"""

import timing  # first: gymnax starts the backend when it is imported

# isort: split
import dataclasses
import functools
import statistics
import sys

import jax
import tyro

import purejaxexplore as pjx
from purejaxexplore.bonuses.build import make_bonus, widths
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.systems import BONUSES

WIDTH = 64
TARGET = 0.6


@dataclasses.dataclass(frozen=True)
class Args:
    """What to measure."""

    bonuses: tuple[str, ...] = tuple(BONUSES)
    """names of registered bonuses"""
    num_envs: int = 64
    """environments of the one seed"""
    rounds: int = 7
    """timed updates of each contender"""
    smoke: bool = False
    """seconds only: one bonus, few environments, nothing written"""


def contender(env, env_params, config: PPOConfig, streams) -> timing.Turn:
    """One update of a learner that has made one."""
    algorithm = ppo(env, env_params, config, streams=streams)
    step = timing.compile_ahead(algorithm.step, jax.random.key(1), jax.eval_shape(algorithm.init, jax.random.key(0)))
    state, _ = step.call(jax.random.key(1), jax.jit(algorithm.init)(jax.random.key(0)))
    return timing.Turn(lambda: (jax.random.key(2), state), step.call)


def main(args: Args) -> None:
    env, env_params = pjx.make("RoomChain", num_rooms=6, size=4)
    names = ("counts",) if args.smoke else args.bonuses
    config = PPOConfig(num_envs=4 if args.smoke else args.num_envs, hidden_sizes=(WIDTH, WIDTH))
    extrinsic = Stream("extrinsic")
    made = {name: make_bonus(name, env, env_params, **widths(name, WIDTH)) for name in names}
    build = functools.partial(contender, env, env_params, config)
    turns = {"": build((extrinsic,)), **{name: build((extrinsic, Stream(name, b))) for name, b in made.items()}}
    times = timing.interleave(turns, 1 if args.smoke else args.rounds)
    steps = config.num_envs * config.rollout_length
    for name, bonus in made.items():
        ratio = timing.ratio(times[name], times[""])
        timing.emit(
            "bonuses",
            args.smoke,
            bonus=name,
            env=env.name,
            num_envs=config.num_envs,
            rollout_length=config.rollout_length,
            width=WIDTH,
            rounds=args.rounds,
            deferrable=bonus.defer,
            ppo_env_steps_per_second=timing.rate(steps, times[""]),
            env_steps_per_second=timing.rate(steps, times[name]),
            update_milliseconds=1e3 * statistics.median(times[name]),
            ratio_to_ppo_alone=ratio,
            reaches_target=ratio >= TARGET if bonus.defer else None,
        )
        print(f"{name}: {ratio:.2f} of PPO alone", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
