"""Bernoulli bandits whose means change while they are played: in jumps or by drifting.

Both are restless: the arms change whatever is played, and the regret is against the best arm of each round (the
dynamic oracle). Garivier and Moulines (2011), "On upper-confidence bound policies for switching bandit problems";
Besbes, Gur and Zeevi (2014), "Stochastic multi-armed-bandit problem with non-stationary rewards".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec, World, require_spec, reveal_one, without_context


class PiecewiseState(NamedTuple):
    """Attributes:
    pieces: f32[Upsilon + 1, K], the means of each piece.
    t: i32[], pulls.
    """

    pieces: jax.Array
    t: jax.Array


class DriftingState(NamedTuple):
    """Attributes:
    means: f32[K], now.
    t: i32[], pulls.
    """

    means: jax.Array
    t: jax.Array


def piecewise(num_arms: int, horizon: int, changes: int, *, low: float = 0.1, high: float = 0.9) -> World:
    """Means drawn uniformly from [low, high] at the start and at ``changes`` evenly spaced rounds.

    After the horizon the last piece goes on. With 0 changes it is a stationary control.

    Raises:
        ValueError: fewer than two arms, a piece without a round, or [low, high] not within [0, 1].
    """
    require_at_least(0, changes=changes)
    require_at_least(1, horizon=horizon)
    _require_within_unit(low, high)
    if horizon <= changes:
        raise ValueError(f"changes={changes}: expected less than the {horizon} pulls of the horizon")
    spec = require_spec(Spec(num_arms, stationary=False, horizon=horizon))

    def reset(key):
        pieces = jax.random.uniform(key, (changes + 1, num_arms), minval=low, maxval=high)
        return PiecewiseState(pieces, jnp.int32(0))

    def means(state):
        piece = state.t // max(1, -(-horizon // (changes + 1)))
        return state.pieces[jnp.minimum(piece, changes)]

    def step(uniform, state, action):
        now = means(state)
        value = (uniform < now[action]).astype(jnp.float32)
        return state._replace(t=state.t + 1), reveal_one(spec, action, value), now.max() - now[action]

    return World(spec, reset, lambda state: without_context(spec, state.t), step, means, _one_uniform)


def drifting(num_arms: int, *, sd: float = 0.01, low: float = 0.1, high: float = 0.9, horizon=None) -> World:
    """Means that start uniform in [low, high] and then take a normal step of ``sd`` each round, reflected at both ends.

    Raises:
        ValueError: fewer than two arms, ``sd`` negative, or [low, high] not within [0, 1].
    """
    _require_within_unit(low, high)
    require_between(0.0, (high - low) / 4, sd=sd)
    spec = require_spec(Spec(num_arms, stationary=False, horizon=horizon))

    def reset(key):
        return DriftingState(jax.random.uniform(key, (num_arms,), minval=low, maxval=high), jnp.int32(0))

    def step(noise, state, action):
        uniform, normal = noise
        value = (uniform < state.means[action]).astype(jnp.float32)
        moved = state.means + sd * normal
        moved = jnp.where(moved < low, 2 * low - moved, jnp.where(moved > high, 2 * high - moved, moved))
        feedback = reveal_one(spec, action, value)
        return DriftingState(moved, state.t + 1), feedback, state.means.max() - state.means[action]

    def noise(key, n):
        key_value, key_step = jax.random.split(key)
        return jax.random.uniform(key_value, (n,)), jax.random.normal(key_step, (n, num_arms))

    return World(spec, reset, lambda state: without_context(spec, state.t), step, lambda state: state.means, noise)


def _require_within_unit(low, high) -> None:
    if not 0 <= low <= high <= 1:
        raise ValueError(f"low={low!r}, high={high!r}: expected 0 <= low <= high <= 1")


def _one_uniform(key, n):
    return jax.random.uniform(key, (n,))
