"""Rankers: by what the samples of an evolution strategy are ordered.

A ranker is ``(score f32[B], InsertInfo) -> tuple of f32 or i32[B]``, the values to compare, the most important first;
:func:`ranks` turns them into ranks. All values are those against the archive as it was before the batch.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from purejaxexplore.archives.archive import InsertInfo

Ranker = Callable[[jax.Array, InsertInfo], tuple[jax.Array, ...]]

_PAIRWISE_LIMIT = 512  # samples that are ranked by comparing all pairs; beyond it sorting is cheaper


def objective(score: jax.Array, info: InsertInfo) -> tuple[jax.Array, ...]:
    """The fitness alone: an ordinary evolution strategy."""
    return (score,)


def improvement(score: jax.Array, info: InsertInfo) -> tuple[jax.Array, ...]:
    """How far the sample lies above what its cell had, or above the cell's threshold.

    For archives with finite thresholds: without them the value of a new cell is the score itself, on another scale.
    """
    return (info.value,)


def two_stage(score: jax.Array, info: InsertInfo) -> tuple[jax.Array, ...]:
    """New cells first, then improved ones, then the rest; within each by improvement."""
    return info.status, info.value


def ranks(values: tuple[jax.Array, ...]) -> jax.Array:
    """i32[B], the rank of each sample: 0 for the largest, later values break ties, then lower lanes come first.

    NaN counts as -inf.
    """
    values = tuple(jnp.where(jnp.isnan(value), -jnp.inf, value) for value in values)
    size = values[0].shape[0]
    lane = jnp.arange(size)
    if size > _PAIRWISE_LIMIT:
        order = jnp.lexsort(tuple(-value for value in reversed(values)))
        return jnp.zeros(size, jnp.int32).at[order].set(lane, unique_indices=True)
    ahead = lane[:, None] < lane  # [i, j]: i comes before j
    for value in reversed(values):
        ahead = (value[:, None] > value) | ((value[:, None] == value) & ahead)
    return ahead.sum(0, dtype=jnp.int32)
