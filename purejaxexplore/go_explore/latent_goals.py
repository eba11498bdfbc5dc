"""Goals in a latent space: the sub-goals that an episode gives, how they are passed, and steps with virtual goals.

The pieces of :mod:`purejaxexplore.go_explore.latent_policy` that know nothing of networks.
"""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_MAX_ACTIONS = 81  # of a continuous space: four components with three values each


class Played(NamedTuple):
    """Episodes; what lies beyond ``length`` is void.

    Attributes:
        observations: f32[E, T + 1, d], the first included.
        actions: i32[E, T], numbers of actions.
        goals: f32[E, T, d], the sub-goal that was pursued; while exploring, the state itself.
        terminated: bool[E], the last step ended the episode by the world's rules.
        length: i32[E], steps.
    """

    observations: jax.Array
    actions: jax.Array
    goals: jax.Array
    terminated: jax.Array
    length: jax.Array


class Steps(NamedTuple):
    """A minibatch of the learner: f32[n, d] each but ``action`` i32[n] and ``failed`` bool[n], ended by the world."""

    before: jax.Array
    action: jax.Array
    after: jax.Array
    goal: jax.Array
    failed: jax.Array


def thin(latent: jax.Array, last: jax.Array, least: jax.Array) -> jax.Array:
    """Which states of an episode are sub-goals on the way to its state ``last``: bool[P].

    From ``last`` backwards, a state is dropped while it is nearer than ``least`` to the one kept after it.

    Args:
        latent: f32[P, L].
        last: i32 in [0, P).
        least: latent distance.
    """

    def back(kept_after, inputs):
        number, z = inputs
        kept = (number == last) | ((number < last) & (jnp.linalg.norm(z - kept_after) >= least))
        return jnp.where(kept, z, kept_after), kept

    return jax.lax.scan(back, latent[-1], (jnp.arange(latent.shape[0]), latent), reverse=True)[1]


def advance(latent: jax.Array, goals: jax.Array, number: jax.Array, place: jax.Array, distance, window) -> jax.Array:
    """The next sub-goal, i32, of who stands at ``latent`` f32[L] and has had ``place`` of ``goals`` f32[P, L].

    Being within ``distance`` of any of the next ``window`` of the ``number`` sub-goals counts for all before it.
    """
    index = jnp.arange(goals.shape[0])
    near = jnp.linalg.norm(goals - latent, axis=-1) < distance
    near &= (index >= place) & (index < jnp.minimum(place + window, number))
    return jnp.maximum(place, jnp.max(jnp.where(near, index + 1, 0)))


def hindsight(key: jax.Array, played: Played, num_steps: int, share, future: int) -> Steps:
    """``num_steps`` stored steps, drawn alike, a ``share`` of them with a goal met 1 to ``future`` steps later."""
    key_step, key_share, key_goal = jax.random.split(key, 3)
    ends = jnp.cumsum(played.length)
    drawn = jax.random.randint(key_step, (num_steps,), 0, jnp.maximum(ends[-1], 1))
    episode = jnp.searchsorted(ends, drawn, side="right")
    length = played.length[episode]
    t = drawn - (ends[episode] - length)
    ahead = jnp.minimum(length - t, future)
    later = t + 1 + jax.random.randint(key_goal, (num_steps,), 0, jnp.maximum(ahead, 1))
    virtual = jax.random.uniform(key_share, (num_steps,)) < share
    goal = jnp.where(virtual[:, None], played.observations[episode, later], played.goals[episode, t])
    failed = played.terminated[episode] & (t == length - 1)
    return Steps(played.observations[episode, t], played.actions[episode, t], played.observations[episode, t + 1],
                 goal, failed)  # fmt: skip


def goal_targets(reached: jax.Array, failed: jax.Array, following: jax.Array, gamma) -> jax.Array:
    """Targets f32[n] from the values ``following`` f32[n] of the successors: discounted steps to the goal, negative."""
    worst = -1.0 / (1.0 - gamma)
    beyond = -1.0 + gamma * jnp.clip(following, worst, 0.0)
    return jnp.where(reached, 0.0, jnp.where(failed, worst, beyond))


def possible_actions(space: Any) -> jax.Array:
    """The actions that the policy has: [A] numbers, or [A, ...] with each component at its least, middle or greatest.

    Raises:
        ValueError: more than 81 would be needed for a continuous space.
    """
    if hasattr(space, "n"):
        return jnp.arange(space.n)
    size = math.prod(space.shape)
    if 3**size > _MAX_ACTIONS:
        raise ValueError(f"action space of {size} components: expected at most 4, or a Discrete space")
    low, high = (np.broadcast_to(np.asarray(x, np.float32), space.shape).ravel() for x in (space.low, space.high))
    grid = itertools.product(*np.stack([low, (low + high) / 2, high], 1))
    return jnp.asarray(list(grid), jnp.float32).reshape(-1, *space.shape)
