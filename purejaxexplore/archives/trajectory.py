"""How an archive remembers the way to each of its records: 4 bytes a rollout, whatever its length.

A record must not point at its parent *record*, which a better one may overwrite later. So rollouts are
numbered, and a rollout's actions are a pure function of its key: rollout ``lane`` of iteration ``t`` uses
``lane_key(step_key(seed_key, t), lane)``. All that is stored is ``parent[t, lane]``, the node from which it
started,

    node = (t * B + lane) * k + j        the state after action j of that rollout of at most k actions,

or ``START`` for the beginning of an episode. A record keeps its node; the way to it is found by walking
parents back to the start and replaying forwards, actions and environment randomness included.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.archives.packing import key_data, like

START = -1  # the node of an episode's first state
UNLOGGED = -2  # the node of a state reached after the log was full: it cannot be replayed
_SELECT, _EXPLORE, _CELLS = range(3)


def select_key(step_key: jax.Array) -> jax.Array:
    """The key of an iteration for everything but its rollouts."""
    return jax.random.fold_in(step_key, _SELECT)


def cells_key(step_key: jax.Array) -> jax.Array:
    """The key of an iteration for cells that change during a run."""
    return jax.random.fold_in(step_key, _CELLS)


def explore_key(step_key: jax.Array) -> jax.Array:
    """The key of an iteration for all its rollouts."""
    return jax.random.fold_in(step_key, _EXPLORE)


def lane_key(step_key: jax.Array, lane: jax.Array) -> jax.Array:
    """The key of one rollout of an iteration."""
    return jax.random.fold_in(explore_key(step_key), lane)


def split_lane_key(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A rollout's key -> (key of its actions, key of its environment; step ``j`` uses ``fold_in`` of the latter)."""
    key_actions, key_env = jax.random.split(key)
    return key_actions, key_env


def random_actions(key: jax.Array, space: Any, k: int) -> jax.Array:
    """``k`` uniform actions [k, ...] of a ``Discrete`` space (it has ``n``) or a ``Box`` (``low`` and ``high``)."""
    if hasattr(space, "n"):
        word = jax.random.bits(key, (k,), jnp.uint32)
        n = jnp.uint32(space.n)
        # floor(word * n / 2^32) in two halves: half the cost of randint, biased by less than n / 2^32.
        low = (word & 0xFFFF) * n
        return (((word >> 16) * n + (low >> 16)) >> 16).astype(jnp.int32)
    low, high = jnp.broadcast_to(space.low, space.shape), jnp.broadcast_to(space.high, space.shape)
    return jax.random.uniform(key, (k, *space.shape), jnp.float32, low, high)


def repeat_actions(key: jax.Array, space: Any, k: int, repeat: jax.Array | float) -> jax.Array:
    """``k`` random actions [k, ...], each the last one again with probability ``repeat``: mean run 1 / (1 - repeat)."""
    key_renew, key_action = jax.random.split(key)
    # The barrier keeps XLA from folding the whole segment, slowly, where it can see that ``repeat`` is 0.
    renew = jax.lax.optimization_barrier(jax.random.uniform(key_renew, (k,)) >= repeat)
    origin = jax.lax.cummax(jnp.where(renew, jnp.arange(k), 0))
    return random_actions(key_action, space, k)[origin]


def require_bounded(space: Any) -> None:
    """Refuses an action space without a uniform distribution.

    Raises:
        ValueError: neither a ``Discrete`` space of 1 to 65535 actions nor a ``Box`` with finite bounds.
    """
    if hasattr(space, "n"):
        if not 0 < space.n < 2**16:
            raise ValueError(f"action space of {space.n} actions: expected 1 to {2**16 - 1}")
    elif not hasattr(space, "low") or not np.all(np.isfinite([np.min(space.low), np.max(space.high)])):
        raise ValueError(f"action space {space!r}: expected a Discrete space or a Box with finite bounds")


def extract(parent: Any, node: int, horizon: int) -> np.ndarray:
    """The rollouts that lead from the start of an episode to a node, found on the host.

    Args:
        parent: i32[T, B], the log of one seed.
        node: the node of a record.
        horizon: ``k``.

    Returns:
        i64[n, 3], rows ``(iteration, lane, number of actions)`` from the start on; empty for the start
        itself.

    Raises:
        ValueError: the node was reached when the log was full, or it is not in the log.
    """
    parent = np.asarray(parent)
    node, segments = int(node), []
    while node != START:
        rollout, step = divmod(node, horizon)
        if node == UNLOGGED:
            raise ValueError(f"node={node}: reached after the log of {parent.shape[0]} iterations was full")
        if not 0 <= rollout < parent.size:
            raise ValueError(f"node={node}: expected -1 or a node of a log of {parent.size} rollouts x {horizon} steps")
        segments.append((*divmod(rollout, parent.shape[1]), step + 1))
        node = int(parent.flat[rollout])
    return np.array(segments[::-1], np.int64).reshape(-1, 3)


class Replay(NamedTuple):
    """A trajectory of ``L`` steps, replayed.

    Attributes:
        actions: [L, ...].
        rewards: f32[L].
        states: pytree of [L + 1, ...], whole environment states, the first included; typed keys as their
            data.
    """

    actions: np.ndarray
    rewards: np.ndarray
    states: Any


def replay(
    env: Any, env_params: Any, start: Any, segments: np.ndarray, step_keys: Any, horizon: int, repeat: float
) -> Replay:
    """Steps the environment once more along extracted rollouts.

    Args:
        env: gymnax environment; stepped by ``step_env``, so nothing is reset.
        env_params: its parameters.
        start: the environment state at the start of the episode.
        segments: i64[n, 3] from :func:`extract`.
        step_keys: ``iteration -> key``, for instance ``lambda t: step_key(seed_key, t)``.
        horizon: ``k``, the length of a rollout when it was made: the actions depend on it.
        repeat: the repeat probability when it was made.

    Returns:
        The :class:`Replay`, on the host.
    """
    states, actions, rewards = [jax.tree.map(lambda x: np.asarray(x)[None], key_data(start))], [], []
    state = start
    for iteration, lane, steps in segments:
        key = lane_key(step_keys(int(iteration)), int(lane))
        made = _run_segment(env, env_params, state, key, horizon, repeat)
        state = jax.tree.map(lambda x, last=int(steps) - 1: x[last], made[0])
        visited = jax.tree.map(np.asarray, (key_data(made[0]), made[1], made[2]))
        for store, value in zip((states, actions, rewards), visited, strict=True):
            store.append(jax.tree.map(lambda x, n=int(steps): x[:n], value))
    space = env.action_space(env_params)
    return Replay(
        actions=np.concatenate(actions) if actions else np.zeros((0, *space.shape)),
        rewards=np.concatenate(rewards) if rewards else np.zeros(0, np.float32),
        states=jax.tree.map(lambda *parts: np.concatenate(parts), *states),
    )


def retrace(
    env: Any,
    env_params: Any,
    start: Any,
    parent: jax.Array,
    node: jax.Array,
    explore_keys: Callable[[jax.Array], jax.Array],
    horizon: int,
    repeat: jax.Array | float,
) -> Any:
    """The environment state at a node, reached by stepping from the start: :func:`replay` inside a compiled program.

    The parents are walked again for each of the n rollouts on the way, n^2 / 2 look-ups beside up to n k steps, so that
    there is no table of the longest possible way. Under ``vmap`` the ways of all lanes are stepped side by side until
    the longest is done.

    Args:
        env: gymnax environment.
        env_params: its parameters.
        start: the environment state at the start of the episode.
        parent: i32[T, B], the log.
        node: i32, ``START`` or a node of the log; ``UNLOGGED`` counts as the start.
        explore_keys: ``iteration i32 -> key``, those of :func:`explore_key`.
        horizon: ``k``.
        repeat: the repeat probability.
    """
    log, num_lanes, space = parent.ravel(), parent.shape[1], env.action_space(env_params)

    def earlier(node):
        return log[node // horizon]

    _, depth = jax.lax.while_loop(
        lambda carry: carry[0] >= 0, lambda carry: (earlier(carry[0]), carry[1] + 1), (node, jnp.int32(0))
    )

    def follow(i, state):
        end = jax.lax.fori_loop(0, depth - 1 - i, lambda _, later: earlier(later), node)
        iteration, lane = jnp.divmod(end // horizon, num_lanes)
        key_actions, key_env = split_lane_key(jax.random.fold_in(explore_keys(iteration), lane))
        actions = repeat_actions(key_actions, space, horizon, repeat)

        def step(j, state):
            following = env.step_env(jax.random.fold_in(key_env, j), state, actions[j], env_params)[1]
            return like(following, state)

        return jax.lax.fori_loop(0, end % horizon + 1, step, state)

    return jax.lax.fori_loop(0, depth, follow, start)


@partial(jax.jit, static_argnames=("env", "horizon"))
def _run_segment(env, env_params, state, key, horizon, repeat):
    key_actions, key_env = split_lane_key(key)
    actions = repeat_actions(key_actions, env.action_space(env_params), horizon, repeat)

    def step(state, inputs):
        j, action = inputs
        _, following, reward, _, _ = env.step_env(jax.random.fold_in(key_env, j), state, action, env_params)
        following = like(following, state)
        return following, (following, jnp.asarray(reward, jnp.float32))

    _, (states, rewards) = jax.lax.scan(step, state, (jnp.arange(horizon), actions))
    return states, actions, rewards
