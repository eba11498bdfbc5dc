"""Random houses: rooms by binary space partition, every wall with one door, so that all rooms are connected.

Walls stand in even rows and columns and doors in odd ones: no later wall can end at an earlier door.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MAX_ROOMS, MIN_SIDE = 8, 5


class House(NamedTuple):
    """Attributes:
    walls: bool[side, side].
    rooms: i32[8, 4], first row and column and last row and column of each room, walls left out.
    num_rooms: i32[], 4 to 8; the others are empty.
    parent: i32[8], the room that each was cut from and shares a door with; 0 for the first.
    """

    walls: jax.Array
    rooms: jax.Array
    num_rooms: jax.Array
    parent: jax.Array


@partial(jax.jit, static_argnames="side")
def build_house(key: jax.Array, side: int) -> House:
    """A house of ``side x side`` cells, ``side`` odd and at least 23: the largest room is cut until there are enough.

    A room is cut across its longer side, at a uniform even line that leaves five cells on either side.
    """
    key_number, key_cut, key_door = jax.random.split(key, 3)
    num_rooms = jax.random.randint(key_number, (), 4, MAX_ROOMS + 1)
    cut_at, door_at = jax.random.uniform(key_cut, (MAX_ROOMS,)), jax.random.uniform(key_door, (MAX_ROOMS,))
    y, x = np.mgrid[:side, :side]
    walls = jnp.asarray((y == 0) | (y == side - 1) | (x == 0) | (x == side - 1))
    rooms = jnp.zeros((MAX_ROOMS, 4), jnp.int32).at[0].set(jnp.array([1, 1, side - 2, side - 2]))

    def cut(number, carry):
        walls, rooms, parent = carry
        extent = rooms[:, 2:] - rooms[:, :2] + 1
        cuttable = (extent.max(1) >= 2 * MIN_SIDE + 1) & (np.arange(MAX_ROOMS) < number)
        chosen = jnp.argmax(jnp.where(cuttable, extent[:, 0] * extent[:, 1], -1))
        going = (number < num_rooms) & cuttable.any()
        first, last = rooms[chosen, :2], rooms[chosen, 2:]
        axis = (extent[chosen, 1] > extent[chosen, 0]).astype(jnp.int32)  # 0: a wall along a row
        # Even lines from first + 5 to last - 5 (first and last are odd), and odd places along the wall.
        lines = (last[axis] - first[axis] - 2 * MIN_SIDE) // 2 + 1
        line = first[axis] + MIN_SIDE + 2 * (cut_at[number] * lines).astype(jnp.int32)
        along, end = first[1 - axis], last[1 - axis]
        door = along + 2 * (door_at[number] * ((end - along) // 2 + 1)).astype(jnp.int32)
        across, beside = (jnp.where(axis == 0, a, b) for a, b in ((y, x), (x, y)))
        wall = (across == line) & (beside >= along) & (beside <= end) & (beside != door)
        far = rooms[chosen].at[axis].set(line + 1)
        near = rooms[chosen].at[2 + axis].set(line - 1)
        rooms = jnp.where(going, rooms.at[number].set(far).at[chosen].set(near), rooms)
        parent = parent.at[number].set(jnp.where(going, chosen, 0).astype(jnp.int32))
        return walls | wall & going, rooms, parent

    start = (walls, rooms, jnp.zeros(MAX_ROOMS, jnp.int32))
    walls, rooms, parent = jax.lax.fori_loop(1, MAX_ROOMS, cut, start)
    return House(walls, rooms, (rooms[:, 2] > 0).sum(dtype=jnp.int32), parent)
