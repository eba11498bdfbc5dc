"""The filled slots of an archive as a list, in the order in which they were found.

A uniform draw from it costs one gather; a draw by weights (:mod:`purejaxexplore.blocks.sampling`) reads the whole
archive.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.archives.archive import InsertInfo


class Filled(NamedTuple):
    """Attributes:
    slots: i32[C], the first ``count`` are the filled slots.
    count: i32.
    """

    slots: jax.Array
    count: jax.Array


def none_filled(capacity: int) -> Filled:
    """The list of an empty archive of ``capacity`` slots."""
    return Filled(jnp.zeros(capacity, jnp.int32), jnp.int32(0))


def append(filled: Filled, info: InsertInfo) -> Filled:
    """The list after an insertion: every slot that was empty before it is added, lower lanes first."""
    found = info.win & (info.status == 2)
    place = filled.count + jnp.cumsum(found, dtype=jnp.int32) - 1
    # Distinct indices also for the lanes that are dropped, so that unique_indices states the truth.
    index = jnp.where(found, place, filled.slots.size + jnp.arange(found.size, dtype=jnp.int32))
    slots = filled.slots.at[index].set(info.slot, mode="drop", unique_indices=True)
    return Filled(slots, filled.count + found.sum(dtype=jnp.int32))


def draw(filled: Filled, uniform: jax.Array) -> jax.Array:
    """A filled slot i32[B] for each of ``uniform`` f32[B] in [0, 1), all equally likely; slot 0 if none is filled."""
    place = jnp.floor(uniform * filled.count).astype(jnp.int32)
    return filled.slots[jnp.clip(place, 0, jnp.maximum(filled.count - 1, 0))]
