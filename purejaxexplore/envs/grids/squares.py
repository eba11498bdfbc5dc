"""What grid worlds share: the four moves, a view around the agent, and distances on a map."""

import jax
import jax.numpy as jnp
import numpy as np

UP, RIGHT, DOWN, LEFT = range(4)
DOWN_RIGHT = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)], np.int32)
"""Rows and columns that each move adds, i32[4, 2]."""


def displacement(action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rows and columns that an action adds, i32 each; zero for every action that is none of the four moves."""
    return (action == DOWN) * 1 - (action == UP), (action == RIGHT) * 1 - (action == LEFT)


def crop(chart: jax.Array, y: jax.Array, x: jax.Array, reach: int, outside: int) -> jax.Array:
    """The part of ``chart: [H, W]`` around ``(y, x)``, ``[2 reach + 1, 2 reach + 1]``; ``outside`` beyond the map."""
    offset = np.arange(-reach, reach + 1)
    rows, columns = y + offset[:, None], x + offset
    height, width = chart.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    flat = jnp.clip(rows, 0, height - 1) * width + jnp.clip(columns, 0, width - 1)
    return jnp.where(inside, chart.reshape(-1).at[flat].get(mode="promise_in_bounds"), outside)


def neighbours(mask: jax.Array) -> jax.Array:
    """Which cells of ``mask: bool[H, W]`` or their four neighbours are set, bool[H, W]."""
    padded = jnp.pad(mask, 1)
    return mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]


def distances(free: jax.Array, sources: jax.Array) -> jax.Array:
    """Moves from the nearest source to every cell, i32[H, W], by breadth-first search under ``jit`` and ``vmap``.

    Args:
        free: bool[H, W], cells that can be entered.
        sources: bool[H, W], cells at distance 0, whether free or not.

    Returns:
        Distances; H W for cells that cannot be reached.
    """
    far = free.size

    def spread(carry):
        reached, _, distance, step = carry
        front = neighbours(reached) & free & ~reached
        return reached | front, front.any(), jnp.where(front, step, distance), step + 1

    start = (sources, jnp.bool_(True), jnp.where(sources, 0, far), jnp.int32(1))
    return jax.lax.while_loop(lambda carry: carry[1], spread, start)[2]
