"""One-dimensional k-means: Lloyd (1982), "Least squares quantization in PCM"."""

import jax
import jax.numpy as jnp

from purejaxexplore.checks import require_at_least


def kmeans1d(x: jax.Array, mask: jax.Array, k: int, num_iterations: int = 32) -> jax.Array:
    """Clusters i32[M] of numbers, from the lowest (0) to the highest (k - 1).

    Lloyd's iterations from centres at the quantiles ``(i + 1/2) / k``, hence deterministic. A cluster that nothing is
    nearest to stays empty; a number half-way between two centres belongs to the lower.

    Args:
        x: f32[M].
        mask: bool[M], which numbers count; the others get ``k``.
        k: clusters, at least 1.
        num_iterations: at least 1.

    Raises:
        ValueError: ``k`` or ``num_iterations`` is not positive.
    """
    require_at_least(1, k=k, num_iterations=num_iterations)
    ordered = jnp.sort(jnp.where(mask, x, jnp.inf))
    count = mask.sum()
    quantile = jnp.floor((jnp.arange(k) + 0.5) / k * count).astype(jnp.int32)
    centres = ordered[jnp.clip(quantile, 0, jnp.maximum(count - 1, 0))]

    def nearest(centres):
        return jnp.abs(x[:, None] - centres).argmin(1)

    def move(_, centres):
        member = jax.nn.one_hot(nearest(centres), k) * mask[:, None]
        size = member.sum(0)
        mean = (member * jnp.where(mask, x, 0.0)[:, None]).sum(0) / jnp.maximum(size, 1.0)
        return jnp.where(size > 0, mean, centres)

    centres = jax.lax.fori_loop(0, num_iterations, move, centres)
    return jnp.where(mask, nearest(centres), k).astype(jnp.int32)
