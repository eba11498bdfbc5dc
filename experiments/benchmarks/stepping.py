"""Raw stepping: random actions a second, automatic resets as shipped, every observation consumed by a sum.

- ``worlds``: our KeyRooms and RoomChain against gymnax's CartPole, the usual yardstick of cheap environments.
- ``navix``, ``craftax``: our adapters against the same environments through their own interface. Craftax's auto-reset
  builds a world at every step; ``fixed_level`` is our adapter with one level, the cheapest reset there is.

All keys and actions of a run are drawn in two bulk calls before its loop, as ``blocks.rollout`` does, and count in the
time; ``keys_only`` is that drawing alone: what is left when a world costs nothing. All of a group take turns in one
process, with a 2048 matrix product for the state of the machine. One JSON line a group and number of lanes goes to
``experiments/results/benchmarks/stepping.jsonl``.

    python experiments/benchmarks/stepping.py --groups worlds navix
"""

import timing  # first: gymnax starts the backend when it is imported

# isort: split
import dataclasses
import itertools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnax
import jax
import jax.numpy as jnp
import tyro

import purejaxexplore as pjx


class World(NamedTuple):
    """A world whose functions take one lane.

    Attributes:
        num_actions: of its discrete action space.
        reset: ``key -> state``.
        step: ``(key, state, action) -> (observation, reward, state)``, with automatic reset.
    """

    num_actions: int
    reset: Callable[[jax.Array], Any]
    step: Callable[[jax.Array, Any, jax.Array], tuple[Any, jax.Array, Any]]


def six_values(env: Any, env_params: Any) -> World:
    """gymnax 1.x and everything of ours."""

    def step(key, state, action):
        observation, state, reward, *_ = env.step(key, state, action, env_params)
        return observation, reward, state

    return World(env.num_actions, lambda key: env.reset(key, env_params)[1], step)


def keys_only() -> World:
    def step(key, state, action):
        return action, jax.random.key_data(key)[0] & 1, state

    return World(2, lambda key: jnp.uint32(0), step)


def native_navix(name: str) -> World:
    import navix

    env = navix.make(name)

    def step(key, timestep, action):
        timestep = env.step(timestep, action)
        return timestep.observation, timestep.reward, timestep

    return World(len(env.action_set), env.reset, step)


def native_craftax(name: str) -> World:
    from craftax.craftax_env import make_craftax_env_from_name

    env = make_craftax_env_from_name(name, auto_reset=True)
    params = env.default_params

    def step(key, state, action):
        observation, state, reward, *_ = env.step(key, state, action, params)
        return observation, reward, state

    return World(env.action_space(params).n, lambda key: env.reset(key, params)[1], step)


def fixed_level(name: str) -> World:
    from purejaxexplore.envs.starts import FixedLevel

    env, env_params = pjx.make(name)
    env = FixedLevel(env)
    return six_values(env, env.sample_params(jax.random.key(0), env_params))


CRAFTAX = "Craftax-Classic-Symbolic-v1"
EMPTY, DOOR_KEY = "Navix-Empty-8x8-v0", "Navix-DoorKey-8x8-v0"
GROUPS: dict[str, dict[str, Callable[[], World]]] = {
    "worlds": {
        "keys_only": keys_only,
        "gymnax_cartpole": lambda: six_values(*gymnax.make("CartPole-v1")),
        "key_rooms": lambda: six_values(*pjx.make("KeyRooms")),
        "room_chain": lambda: six_values(*pjx.make("RoomChain")),
    },
    "navix": {
        "native_empty": lambda: native_navix(EMPTY),
        "adapter_empty": lambda: six_values(*pjx.make(f"navix/{EMPTY}")),
        "native_door_key": lambda: native_navix(DOOR_KEY),
        "adapter_door_key": lambda: six_values(*pjx.make(f"navix/{DOOR_KEY}")),
    },
    "craftax": {
        "native_craftax": lambda: native_craftax(CRAFTAX),
        "adapter_craftax": lambda: six_values(*pjx.make(f"craftax/{CRAFTAX}")),
        "fixed_level_craftax": lambda: fixed_level(f"craftax/{CRAFTAX}"),
    },
}
RATIOS = {
    "worlds": (("key_rooms", "gymnax_cartpole"), ("room_chain", "gymnax_cartpole")),
    "navix": (("adapter_empty", "native_empty"), ("adapter_door_key", "native_door_key")),
    "craftax": (("adapter_craftax", "native_craftax"), ("fixed_level_craftax", "native_craftax")),
}
SHARE = {"worlds": 1.0, "navix": 1 / 16, "craftax": 1 / 1024}


@dataclasses.dataclass(frozen=True)
class Args:
    """What to measure."""

    groups: tuple[str, ...] = ("worlds",)
    """of worlds, navix, craftax (the last takes minutes, and hours at 4,096 lanes)"""
    lanes: tuple[int, ...] = (1, 64, 4096)
    """environments stepped at once"""
    steps_per_lane: int = 2**16
    """steps of one lane in a timed run, fewer above 64 lanes and in the dearer groups"""
    rounds: int = 5
    """timed runs of each contender"""
    smoke: bool = False
    """seconds only: one lane count, few steps, nothing written"""


def compile_world(world: World, lanes: int, num_steps: int) -> tuple[timing.Compiled, timing.Turn]:
    """``num_steps`` random steps of ``lanes`` environments, from states that are reset outside of the timed part."""
    reset = jax.vmap(world.reset)
    step = jax.vmap(world.step)

    def run(key, state):
        def advance(carry, action_keys):
            state, total = carry
            action, keys = action_keys
            observation, reward, state = step(keys, state, action)
            consumed = sum(jax.vmap(jnp.sum)(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(observation))
            return (state, total + consumed + reward), None

        key_action, key_step = jax.random.split(key)
        bits = jax.random.bits(key_action, (num_steps, lanes))
        actions = (bits % world.num_actions).astype(jnp.int32)
        keys = jax.random.split(key_step, (num_steps, lanes))
        return jax.lax.scan(advance, (state, jnp.zeros(lanes)), (actions, keys))[0]

    key = jax.random.key(0)
    state = jax.tree.map(jnp.asarray, jax.jit(reset)(jax.random.split(key, lanes)))
    # A step may promote a Python number of the reset: the carry takes the step's types.
    action = jnp.zeros(lanes, jnp.int32)
    _, _, after = jax.eval_shape(step, jax.random.split(key, lanes), state, action)
    state = jax.tree.map(lambda x, y: x if x.dtype == y.dtype else x.astype(y.dtype), state, after)
    compiled = timing.compile_ahead(run, key, state)
    return compiled, timing.Turn(lambda: (key, state), compiled.call)


def run_together(group: str, lanes: int, num_steps: int, rounds: int) -> dict[str, Any]:
    """The turns of a group in this process."""
    programs = {name: compile_world(make(), lanes, num_steps) for name, make in GROUPS[group].items()}
    turns = {"gemm": timing.gemm()} | {name: turn for name, (_, turn) in programs.items()}
    times = timing.interleave(turns, rounds)
    row: dict[str, Any] = {"gemm_gflop_per_second": timing.rate(timing.GEMM_FLOP, times["gemm"]) / 1e9}
    for name, (compiled, _) in programs.items():
        row[name] = {
            "steps_per_second": timing.rate(lanes * num_steps, times[name]),
            "compile_seconds": compiled.compile_seconds,
            "planned_mb": compiled.planned_mb,
        }
    for own, peer in RATIOS[group]:
        row[f"{own}_over_{peer}"] = timing.ratio(times[own], times[peer])
    return row | {"peak_rss_mb": timing.peak_rss_mb()}


def main(args: Args) -> None:
    if args.smoke:
        args = dataclasses.replace(args, lanes=(64,), steps_per_lane=256, rounds=1)
    for group, lanes in itertools.product(args.groups, args.lanes):
        num_steps = max(8, int(args.steps_per_lane * SHARE[group] * min(1.0, 64 / lanes)))
        row = timing.in_fresh_process(run_together, group, lanes, num_steps, args.rounds)
        peers = {name: timing.package_version(name) for name in ("gymnax", "navix", "craftax")}
        timing.emit(
            "stepping",
            args.smoke,
            group=group,
            lanes=lanes,
            steps=lanes * num_steps,
            rounds=args.rounds,
            peers=peers,
            **row,
        )
        ratios = ", ".join(f"{name} {row[name]:.2f}" for name in row if "_over_" in name)
        print(f"{group} x {lanes}: {ratios}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
