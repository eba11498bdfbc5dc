"""Linear bandits that are not quite linear: ``f(a) = phi(a)^T theta + nu(a)``, theta sparse and ``|nu| <= epsilon``.

Dong and Yang (2023), "Does sparsity help in learning misspecified linear bandits?". Uniform errors are harmless to
least squares on random instances; :func:`misleading` is built so that they add up.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.checks import require_at_least, require_between


class SparseProblem(NamedTuple):
    """Attributes:
    features: f32[A, d], of every action.
    values: f32[A], expected rewards, observed without noise.
    parameter: f32[d], theta, of which one entry is not 0.
    ordinary: bool[A], False for the planted action, of which nobody should learn by a design over all actions.
    """

    features: jax.Array
    values: jax.Array
    parameter: jax.Array
    ordinary: jax.Array


def misleading(
    dim: int, num_actions: int = 2000, *, epsilon: float = 0.05
) -> Callable[[jax.Array], SparseProblem]:
    """``key -> SparseProblem``: errors that least squares takes for a direction, and an action that lies in it.

    Features are random signs, the error is ``epsilon sign(phi^T v)`` with random signs v, which least squares explains
    by a parameter along v of ``0.8 epsilon / sqrt(d)`` an entry: too small to see in one entry, and ``0.8 epsilon
    sqrt(d)`` together. The last action is planted: v itself, but wrong in the entry of theta. With ``|theta| = R = 0.9
    (0.4 sqrt(d) - 1.4) epsilon`` it looks best to least squares, and is among the worst.

    Raises:
        ValueError: fewer than 16 dimensions (R would not be positive), fewer actions than dimensions, or ``epsilon``
            negative.
    """
    require_at_least(16, dim=dim)
    require_at_least(dim, num_actions=num_actions)
    require_between(1e-9, math.inf, epsilon=epsilon)

    def draw(key):
        key_features, key_direction, key_entry, key_sign = jax.random.split(key, 4)
        features = jax.random.rademacher(key_features, (num_actions, dim), jnp.float32)
        direction = jax.random.rademacher(key_direction, (dim,), jnp.float32)
        entry = jnp.arange(dim) == jax.random.randint(key_entry, (), 0, dim)
        sign = jax.random.rademacher(key_sign, (), jnp.float32)
        planted = jnp.where(entry, -sign, direction)
        features = jnp.concatenate([features, planted[None]])
        parameter = jnp.where(entry, sign * radius_of(dim, epsilon), 0.0)
        values = features @ parameter + epsilon * jnp.sign(features @ direction)
        return SparseProblem(features, values, parameter, jnp.arange(num_actions + 1) < num_actions)

    return draw


def radius_of(dim: int, epsilon: float) -> float:
    """The norm R of the parameter of :func:`misleading`."""
    return 0.9 * (0.4 * math.sqrt(dim) - 1.4) * epsilon
