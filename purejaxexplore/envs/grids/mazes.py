"""Random mazes as passages between the cells of a square: trees, and trees with some circles."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

RIGHT, DOWN = 0, 1


@partial(jax.jit, static_argnames="size")
def perfect_maze(key: jax.Array, size: int) -> jax.Array:
    """Passages bool[2, size, size] that connect all cells without a circle, by depth-first search with random turns.

    ``passages[RIGHT, row, column]`` opens a cell to its right neighbour, ``passages[DOWN, row, column]`` to the one
    below. Each of the ``size^2 - 1`` passages is walked there and back, one a step.
    """
    steps = 2 * (size**2 - 1)
    preference = jax.random.uniform(key, (steps, 4))

    def walk(step, carry):
        cell, came_from, visited, passages = carry
        row, column = cell // size, cell % size
        rows = row + np.array([0, 0, 1, -1])
        columns = column + np.array([1, -1, 0, 0])
        inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        neighbours = rows * size + columns
        fresh = inside & ~visited.at[neighbours].get(mode="fill", fill_value=True)
        turn = jnp.argmax(jnp.where(fresh, preference[step], -1.0))
        forwards = fresh[turn]
        following = jnp.where(forwards, neighbours[turn], came_from[cell])
        # The wall between two cells belongs to the upper or the left one.
        owner = jnp.minimum(cell, following)
        opened = jnp.where(forwards, jnp.where(turn < 2, RIGHT, DOWN), 2)
        passages = passages.at[opened, owner // size, owner % size].set(True, mode="drop")
        came_from = came_from.at[jnp.where(forwards, following, size**2)].set(cell, mode="drop")
        return following, came_from, visited.at[following].set(True), passages

    visited = jnp.zeros(size**2, bool).at[0].set(True)
    start = (jnp.int32(0), jnp.zeros(size**2, jnp.int32), visited, jnp.zeros((2, size, size), bool))
    return jax.lax.fori_loop(0, steps, walk, start)[3]


def braid(key: jax.Array, passages: jax.Array, loops: int) -> jax.Array:
    """``passages: bool[2, size, size]`` with ``loops`` more of them, drawn uniformly among the inner walls.

    Of a perfect maze at most ``(size - 1)^2`` walls are left to open.
    """
    size = passages.shape[-1]
    row, column = np.mgrid[:size, :size]
    inner = np.stack([column < size - 1, row < size - 1])
    chance = jnp.where(inner & ~passages, jax.random.uniform(key, passages.shape), -1.0)
    return passages.reshape(-1).at[jax.lax.top_k(chance.reshape(-1), loops)[1]].set(True).reshape(passages.shape)


def walks(passages: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """Passages to walk through from one cell to every other, i32[size, size]; ``size^2`` where none lead."""
    size = passages.shape[-1]
    right, down = passages[RIGHT, :, :-1], passages[DOWN, :-1]

    def spread(carry):
        reached, _, distance, step = carry
        front = jnp.zeros_like(reached)
        front = front.at[:, 1:].max(reached[:, :-1] & right).at[:, :-1].max(reached[:, 1:] & right)
        front = front.at[1:].max(reached[:-1] & down).at[:-1].max(reached[1:] & down)
        front &= ~reached
        return reached | front, front.any(), jnp.where(front, step, distance), step + 1

    first = jnp.zeros((size, size), bool).at[row, column].set(True)
    start = (first, jnp.bool_(True), jnp.where(first, 0, size**2), jnp.int32(1))
    return jax.lax.while_loop(lambda carry: carry[1], spread, start)[2]
