"""Maximising a cheap function over the unit box by a fixed amount of work: points, the best of them, steps uphill.

Also the Pareto front of two criteria among points, by comparing all pairs.
"""

from collections.abc import Callable
from functools import lru_cache
from math import inf
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_at_least, require_between


@flax.struct.dataclass
class SearchConfig:
    """Attributes:
    num_candidates: points at which the function is first looked at, an even number.
    num_starts: of them, from which steps uphill are taken.
    num_steps: steps uphill.
    radius: (0, 1], largest deviation of the points about the best one known; the smallest is a hundredth of it.
    """

    num_candidates: int = flax.struct.field(pytree_node=False, default=1024)
    num_starts: int = flax.struct.field(pytree_node=False, default=8)
    num_steps: int = flax.struct.field(pytree_node=False, default=20)
    radius: float = 0.3


class Maxima(NamedTuple):
    """Attributes:
    x: f32[num_starts, d], the ends of the ways uphill.
    value: f32[num_starts].
    """

    x: jax.Array
    value: jax.Array


def require_search(config: SearchConfig) -> None:
    """Raises ValueError where a setting is out of range."""
    require_at_least(1, num_starts=config.num_starts, num_steps=config.num_steps)
    require_at_least(config.num_starts, num_candidates=config.num_candidates)
    if config.num_candidates % 2:
        raise ValueError(f"num_candidates={config.num_candidates}: expected an even number, half lie about the best")
    require_between(1e-6, 1.0, radius=config.radius)


def box_points(key: jax.Array, centre: jax.Array, config: SearchConfig) -> jax.Array:
    """f32[num_candidates, d]: half fill the box evenly, half lie about ``centre`` f32[d] at all scales.

    The first half is a Halton sequence, shifted at random around the torus (Cranley and Patterson 1976); the others
    are normal, with deviations spread evenly over two orders of magnitude, and those outside are moved to the wall.
    """
    key_shift, key_near = jax.random.split(key)
    half, d = config.num_candidates // 2, centre.shape[0]
    even = (_halton(half, d) + jax.random.uniform(key_shift, (d,))) % 1.0
    radius = config.radius * jnp.logspace(-2.0, 0.0, half)[:, None]
    near = jnp.clip(centre + radius * jax.random.normal(key_near, (half, d)), 0.0, 1.0)
    return jnp.concatenate([even, near])


def maximise(
    key: jax.Array, value: Callable[[jax.Array], jax.Array], points: jax.Array, step: jax.Array, config: SearchConfig
) -> Maxima:
    """Ways uphill from ``points`` f32[M, d] in the unit box.

    Starts are drawn without replacement with odds ``exp(standardised value)``, the best point always among them. A step
    goes along the gradient, whatever its size; it is kept where the value grows, and then the next is half as long
    again, else half as long.

    Args:
        key: consumed.
        value: ``f32[B, d] -> f32[B]``, each row by itself, differentiable.
        points: at least ``num_starts``.
        step: f32[], length of the first step.
        config: sizes.
    """
    height = value(points)
    odds = (height - height.mean()) / jnp.maximum(height.std(), 1e-9) + jax.random.gumbel(key, height.shape)
    starts = points[jax.lax.top_k(odds.at[height.argmax()].set(inf), config.num_starts)[1]]

    def with_gradient(x):
        height, pull = jax.vjp(value, x)
        return height, pull(jnp.ones_like(height))[0]

    def uphill(carry, _):
        x, height, gradient, step = carry
        leaves = ((x <= 0) & (gradient < 0)) | ((x >= 1) & (gradient > 0))
        along = jnp.where(leaves, 0.0, gradient)
        along = along / jnp.maximum(jnp.linalg.norm(along, axis=1, keepdims=True), 1e-30)
        tried = jnp.clip(x + step[:, None] * along, 0.0, 1.0)
        tried_height, tried_gradient = with_gradient(tried)
        better = tried_height > height
        return (
            jnp.where(better[:, None], tried, x),
            jnp.where(better, tried_height, height),
            jnp.where(better[:, None], tried_gradient, gradient),
            jnp.where(better, 1.5, 0.5) * step,
        ), None

    start = (starts, *with_gradient(starts), jnp.full(config.num_starts, step))
    (x, height, _, _), _ = jax.lax.scan(uphill, start, length=config.num_steps)
    return Maxima(x, height)


def pareto_front(first: jax.Array, second: jax.Array) -> jax.Array:
    """bool[M]: no other point is as large in both criteria f32[M] and larger in one; of equal points all are."""
    no_less = (first >= first[:, None]) & (second >= second[:, None])
    larger = (first > first[:, None]) | (second > second[:, None])
    return ~(no_less & larger).any(1)


@lru_cache
def _halton(num: int, dim: int) -> np.ndarray:
    from scipy.stats import qmc

    return qmc.Halton(dim, scramble=False).random(num).astype(np.float32)
