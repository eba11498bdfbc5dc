"""Return, length and success of the running episodes, and which states a seed has ever visited."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Episodes(NamedTuple):
    """Running episodes of N environments and the averages of the last rollout in which any ended.

    Attributes:
        returns: f32[N], undiscounted extrinsic return so far.
        lengths: i32[N], steps so far.
        last: dict of f32[], ``episode_return``, ``episode_length`` and ``success`` averaged over the episodes that
            ended in the most recent rollout in which any did (0 before the first).
    """

    returns: jax.Array
    lengths: jax.Array
    last: dict[str, jax.Array]


class Finished(NamedTuple):
    """What :func:`advance` reports for one step: the totals including it, and whether it ended the episode.

    Attributes:
        done: bool[N].
        returns: f32[N].
        lengths: i32[N].
        success: bool[N], the environment's ``info["success"]`` at this step.
    """

    done: jax.Array
    returns: jax.Array
    lengths: jax.Array
    success: jax.Array


def init_episodes(num_envs: int) -> Episodes:
    """Bookkeeping for ``num_envs`` fresh episodes."""
    last = {name: jnp.float32(0.0) for name in ("episode_return", "episode_length", "success")}
    return Episodes(jnp.zeros(num_envs), jnp.zeros(num_envs, jnp.int32), last)


def advance(episodes: Episodes, reward: jax.Array, done: jax.Array, success: jax.Array) -> tuple[Episodes, Finished]:
    """Adds one step of N environments; a finished episode starts again from zero."""
    returns = episodes.returns + reward
    lengths = episodes.lengths + 1
    running = episodes._replace(returns=jnp.where(done, 0.0, returns), lengths=jnp.where(done, 0, lengths))
    return running, Finished(done, returns, lengths, success)


def summarise(episodes: Episodes, finished: Finished) -> tuple[Episodes, dict[str, jax.Array]]:
    """Averages over the episodes that ended in a rollout (``finished`` with axes [T, N]).

    Returns:
        The bookkeeping with ``last`` renewed, and the metrics ``episodes`` (i32, how many ended),
        ``episode_return``, ``episode_length`` and ``success`` (f32, the last known averages).
    """
    count = finished.done.sum()
    totals = {
        "episode_return": jnp.where(finished.done, finished.returns, 0.0).sum(),
        "episode_length": jnp.where(finished.done, finished.lengths, 0).sum().astype(jnp.float32),
        "success": (finished.done & finished.success).sum().astype(jnp.float32),
    }
    last = {k: jnp.where(count > 0, total / jnp.maximum(count, 1), episodes.last[k]) for k, total in totals.items()}
    return episodes._replace(last=last), {"episodes": count.astype(jnp.int32), **last}


def first_episodes(finished: Finished) -> dict[str, jax.Array]:
    """``start_success`` and ``start_return`` f32[] of the first episode of each lane (``finished`` with axes [T, N]).

    One episode a lane, because within a fixed number of steps the short ones, often the failures, would come up more
    often. A lane whose first episode has not ended counts as a failure that returned nothing.
    """
    num_lanes = finished.done.shape[1]
    first = finished.done & (jnp.cumsum(finished.done, 0) == 1)
    return {
        "start_success": (first & finished.success).sum() / num_lanes,
        "start_return": jnp.where(first, finished.returns, 0.0).sum() / num_lanes,
    }


def first_success(first: jax.Array, finished: Finished, steps_before: jax.Array) -> jax.Array:
    """Environment steps at the first success ever, i32[]; -1 before it.

    Args:
        first: i32[], the result for the rollouts before this one.
        finished: of this rollout, with axes [T, N].
        steps_before: i32[], environment steps before this rollout; a row of N counts as N steps.
    """
    num_lanes = finished.success.shape[1]
    successful = finished.success.any(1)
    steps = steps_before + num_lanes * (jnp.argmax(successful).astype(jnp.int32) + 1)
    return jnp.where((first < 0) & successful.any(), steps, first)


def no_state_visited(env) -> jax.Array:
    """bool[num_states], all False; bool[0] where ``env`` does not number its states."""
    return jnp.zeros(env.num_states if hasattr(env, "state_id") else 0, bool)


def mark_visited(visited: jax.Array, state_ids: jax.Array) -> jax.Array:
    """Sets ``visited: bool[S]`` at ``state_ids: i32[...]``; ids of S and above are ignored."""
    return visited.at[state_ids.reshape(-1)].set(True, mode="drop")


def coverage(env, visited: jax.Array) -> jax.Array:
    """f32[], visited share of the ``num_reachable`` states (of all numbered ones where ``env`` does not say).

    An id that all ends of episodes share is visited without being reachable; it cannot lift the share above 1.
    """
    return jnp.minimum(visited.sum() / getattr(env, "num_reachable", env.num_states), 1.0)
