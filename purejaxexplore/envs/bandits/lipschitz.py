"""Bandits on an interval: an action is a point of [0, 1], and near points pay alike.

Kleinberg, Slivkins and Upfal (2008), "Multi-armed bandits in metric spaces". Rewards are Bernoulli of a mean that
changes by at most ``L |x - y|``.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, World, require_spec

_GRID = 4097


class IntervalState(NamedTuple):
    """Attributes:
    instance: f32[], where the peak is.
    best: f32[], the largest mean.
    t: i32[], pulls.
    """

    instance: jax.Array
    best: jax.Array
    t: jax.Array


def interval(mean: Callable[[jax.Array, jax.Array], jax.Array], *, horizon: int | None = None) -> World:
    """Bernoulli rewards of mean ``mean(x, peak)`` in [0, 1], elementwise in x; the peak is drawn uniformly at reset.

    The best mean is that of a grid of 4,097 points, and nothing is regretted above it.

    Raises:
        ValueError: the mean of a point is no single number.
    """
    shape = jax.eval_shape(mean, jnp.zeros(3), jnp.float32(0.5)).shape
    if shape != (3,):
        raise ValueError(f"mean of 3 points of shape {shape}: expected (3,), one for each point")
    spec = require_spec(Spec(1, "point", low=(0.0,), high=(1.0,), stationary=False, horizon=horizon))

    def reset(key):
        peak = jax.random.uniform(key)
        return IntervalState(peak, mean(jnp.linspace(0.0, 1.0, _GRID), peak).max(), jnp.int32(0))

    def observe(state):
        return Observation(jnp.zeros((1, 0)), jnp.ones(1, bool), state.t)

    def step(uniform, state, action):
        expected = mean(action, state.instance)
        value = (uniform < expected).astype(jnp.float32)
        feedback = Feedback(value, jnp.ones(1, bool), value[0], jnp.zeros(0), jnp.bool_(False))
        return state._replace(t=state.t + 1), feedback, jnp.maximum(state.best - expected[0], 0.0)

    return World(
        spec, reset, observe, step, lambda state: state.best[None], lambda key, n: jax.random.uniform(key, (n,))
    )


def peaked(*, top: float = 0.9, width: float = 0.1, base: float = 0.4, horizon: int | None = None) -> World:
    """A tent of half-width ``width`` and height ``top`` on a plain of ``base``.

    Raises:
        ValueError: not 0 <= base < top <= 1, or the width is not in (0, 1].
    """
    require_between(0.0, 1.0, top=top, base=base)
    require_between(1e-3, 1.0, width=width)
    if base >= top:
        raise ValueError(f"base={base!r}: expected less than top={top!r}")

    def mean(x, peak):
        return base + (top - base) * jnp.maximum(1 - jnp.abs(x - peak) / width, 0.0)

    return interval(mean, horizon=horizon)


def even_points(number: int) -> jax.Array:
    """f32[number], the middles of as many equal parts of [0, 1]."""
    require_at_least(1, number=number)
    return (jnp.arange(number) + 0.5) / number
