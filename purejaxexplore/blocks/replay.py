"""A replay buffer of N environments in lockstep, with n-step returns of K reward streams at sampling.

A ring of whole rows, one row a step of all N environments, so that the n steps after a drawn transition are the next
rows of its column. Returns are built when a minibatch is drawn, not when it is stored: K discounts, episodic and
endless streams and rewards recomputed by a bonus share one buffer. flashbax, the library of such buffers, is not among
the package's dependencies; its trajectory buffer would store the same rows, and what is below :func:`push` would stay.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.checks import require_at_least


class Replay(NamedTuple):
    """The newest L rows; when full, a new row replaces the oldest.

    Attributes:
        data: pytree of [L, N, ...] arrays.
        head: i32[], the row that is written next.
        size: i32[], rows written so far, at most L.
    """

    data: Any
    head: jax.Array
    size: jax.Array


class NStep(NamedTuple):
    """What a value target is made of: ``returns + discounts * V(where the window ends)``.

    Attributes:
        returns: f32[B, K], discounted rewards up to the end of the window, or of the episode for episodic streams.
        discounts: f32[B, K], weight of the value bootstrapped there; 0 after termination in episodic streams.
        last: i32[B], index in the window of the last step that counts for episodic streams.
    """

    returns: jax.Array
    discounts: jax.Array
    last: jax.Array


def require_replay(capacity: int, num_envs: int, batch_size: int, n_step: int, num_rows: int) -> None:
    """Raises ValueError unless a buffer of ``capacity`` transitions can serve such batches.

    Args:
        capacity: transitions; a multiple of ``num_envs``.
        num_envs: N.
        batch_size: transitions of a minibatch.
        n_step: n; a window is n + 1 rows, the last one for the observation bootstrapped from.
        num_rows: rows pushed at once.
    """
    sizes = {"replay_capacity": capacity, "num_envs": num_envs, "batch_size": batch_size, "n_step": n_step}
    require_at_least(1, **sizes, num_rows=num_rows)
    if capacity % num_envs:
        nearest = max(round(capacity / num_envs), 1) * num_envs
        raise ValueError(
            f"replay_capacity={capacity}: expected a multiple of num_envs={num_envs}, for instance {nearest}"
        )
    if capacity < batch_size:
        raise ValueError(f"replay_capacity={capacity}: expected at least batch_size={batch_size}")
    least = max(n_step + 1, num_rows)
    if capacity // num_envs < least:
        raise ValueError(
            f"replay_capacity={capacity}: expected at least {least * num_envs}, which is {least} steps of"
            f" {num_envs} environments (n_step + 1, and what is pushed at once)"
        )


def init_replay(row: Any, num_rows: int) -> Replay:
    """An empty buffer of ``num_rows`` rows like ``row``, a pytree of [N, ...] arrays."""
    data = jax.tree.map(lambda x: jnp.zeros((num_rows, *x.shape), x.dtype), row)
    return Replay(data, jnp.int32(0), jnp.int32(0))


def push(replay: Replay, rows: Any) -> Replay:
    """Adds ``rows``, a pytree of [T, N, ...] arrays in the order of time.

    Raises:
        ValueError: more rows than the buffer has.
    """
    capacity, count = (jax.tree.leaves(tree)[0].shape[0] for tree in (replay.data, rows))
    if count > capacity:
        raise ValueError(f"rows: {count} at once, expected at most the {capacity} that the buffer holds")
    at = (replay.head + jnp.arange(count)) % capacity
    data = jax.tree.map(lambda stored, x: stored.at[at].set(x), replay.data, rows)
    return Replay(data, (replay.head + count) % capacity, jnp.minimum(replay.size + count, capacity))


def sample_windows(key: jax.Array, replay: Replay, batch_size: int, length: int) -> tuple[jax.Array, jax.Array]:
    """Draws windows of consecutive steps of one environment, uniformly among all that the buffer holds.

    Args:
        key: consumed.
        replay: at least ``length`` rows were pushed.
        batch_size: B, drawn with replacement.
        length: rows of a window.

    Returns:
        rows i32[B, length] in the order of time, and lanes i32[B].
    """
    capacity, num_envs = jax.tree.leaves(replay.data)[0].shape[:2]
    key_start, key_lane = jax.random.split(key)
    age = jax.random.randint(key_start, (batch_size,), 0, replay.size - length + 1)
    rows = (replay.head - replay.size + age)[:, None] + jnp.arange(length)
    return rows % capacity, jax.random.randint(key_lane, (batch_size,), 0, num_envs)


def n_step(rewards, terminated, truncated, gammas, episodic) -> NStep:
    """Returns of windows of n steps.

    An episodic stream ends with the episode, and bootstraps there after truncation and not after termination; an
    endless stream runs on into the next episode.

    Args:
        rewards: f32[B, n, K].
        terminated, truncated: bool[B, n].
        gammas: f32[K].
        episodic: tuple of K static bools.
    """
    done = terminated | truncated
    length = done.shape[1]
    running = jnp.cumprod(~done[:, :-1], axis=1, dtype=jnp.int32)
    running = jnp.concatenate([jnp.ones_like(done[:, :1], jnp.int32), running], axis=1)
    last = running.sum(1) - 1
    powers = jnp.cumprod(jnp.broadcast_to(gammas, (length, *gammas.shape)), axis=0)  # gamma^1 ... gamma^n
    weights = jnp.concatenate([jnp.ones_like(powers[:1]), powers[:-1]])
    episodic = jnp.asarray(episodic)
    counted = jnp.where(episodic, running[..., None], 1)
    ended = jnp.take_along_axis(terminated, last[:, None], axis=1)
    discounts = jnp.where(episodic, jnp.where(ended, 0.0, powers[last]), powers[-1])
    return NStep((counted * weights * rewards).sum(1), discounts, last)
