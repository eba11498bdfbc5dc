"""Which actions a problem of restless arms allows, asked of one action at a time: for problems without a table.

An oracle lets nothing through that is not allowed. That of hours is exact. Packing and round trips are hard in general:
``packs`` and ``trip`` show one way to do it, and refuse where their way fails: of the sets that the exact tables of
:mod:`purejaxexplore.envs.bandits.restless_sets` hold, 0.3 % where 5 workers pack 12 arms, and none of 3 workers or of
round trips through 5 places of a 4 x 5 grid.
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def served(action: jax.Array, asked: jax.Array, hours: jax.Array) -> jax.Array:
    """bool[], no set of slots is asked for more hours than it has; exact by Hall's theorem.

    Args:
        action: bool[J], arms.
        asked: f32[J, Z], hours that an arm asks for in each of Z sets of slots and can have nowhere else.
        hours: f32[Z], of workers in every set.
    """
    return (action.astype(jnp.float32) @ asked <= hours).all()


def fillings(costs: Sequence[int], most: int) -> np.ndarray:
    """i64[P, len(costs)], how many things of every cost a bin of room ``most`` can hold, from the fullest to empty.

    Of equally full bins those with fewer things come first.
    """
    counts = itertools.product(*(range(most // cost + 1) for cost in costs))
    held = np.array([count for count in counts if np.dot(count, costs) <= most])
    return held[np.lexsort((held.sum(1), -(held @ np.asarray(costs))))]


def packs(kinds: jax.Array, room: jax.Array, costs: Sequence[int], held: np.ndarray) -> jax.Array:
    """bool[], the things fit if bin after bin, the smallest first, is filled as far as the things left can fill it.

    Args:
        kinds: i32[C], things of each cost.
        room: i32[W], of the bins; at most that of ``held``.
        costs: of a thing, C of them.
        held: i64[P, C], from :func:`fillings`.
    """
    full = jnp.asarray(held @ np.asarray(costs))
    held = jnp.asarray(held, jnp.int32)

    def fill(left, space):
        possible = (held <= left).all(-1) & (full <= space)
        return left - held[possible.argmax()], None

    return (jax.lax.scan(fill, kinds, jnp.sort(room))[0] == 0).all()


def trip(action: jax.Array, distance: jax.Array, most: int) -> jax.Array:
    """i32[], the length of a round trip from place 0 through all places, at most ``most``, by farthest insertion.

    From place 0 to another and back; then again and again the place that is farthest from the way is put where the
    detour is least. The shortest of the trips with each of the places as the first.

    Args:
        action: bool[J], places; of more than ``most`` the first are visited.
        distance: i32[J, J], of a metric.
        most: places.
    """
    wanted, place = jax.lax.top_k(action.astype(jnp.int32), most)
    stops = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.where(wanted > 0, place, 0)])  # going to place 0 is free
    between = distance[stops[:, None], stops]
    row = jnp.arange(most + 1)
    far = jnp.iinfo(jnp.int32).max

    def insert(carry, _):
        after, length = carry  # after[i]: the stop after stop i, -1 where it is not yet on the way
        on = after >= 0
        away = jnp.where(on[:, None], between, far).min(0)
        j = jnp.where(on, -1, away).argmax()
        follower = jnp.maximum(after, 0)
        detour = jnp.where(on, between[:, j] + between[j, follower] - between[row, follower], far)
        i = detour.argmin()
        after = jnp.where(row == j, after[i], jnp.where(row == i, j, after))
        return (after, length + detour[i]), None

    def begun(first):
        after = jnp.where(row == 0, first, jnp.where(row == first, 0, -1))
        return jax.lax.scan(insert, (after, 2 * between[0, first]), length=most - 1)[0][1]

    return jax.vmap(begun)(jnp.arange(1, most + 1)).min()
