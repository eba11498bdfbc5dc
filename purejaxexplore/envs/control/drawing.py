"""Pictures of continuous worlds, in the colours of the grid worlds, with smooth edges."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.envs.grids.tiles import COLOURS, FLOOR_COLOUR, WALL_COLOUR

AGENT_COLOUR, NOSE_COLOUR = (236, 72, 92), (255, 255, 255)
_START_COLOUR, _GOAL_COLOUR = (110, 116, 128), COLOURS[2]
_WALL_WIDTH = 2.5


def distances(x: np.ndarray, y: np.ndarray, walls: np.ndarray) -> np.ndarray:
    """Distance of every point to the nearest wall, ``f64`` of the points' shape; ``walls: f64[W, 4]``."""
    nearest = np.full(np.broadcast(x, y).shape, np.inf)
    for x0, y0, x1, y1 in walls:
        ex, ey = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * ex + (y - y0) * ey) / (ex**2 + ey**2), 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - x0 - along * ex, y - y0 - along * ey))
    return nearest


def maze(
    walls: np.ndarray,
    shape: tuple[int, int],
    pixels: int,
    start: tuple[float, float],
    goal: tuple[float, float],
    goal_radius: float,
    discs: Iterable[tuple[float, float, float]] = (),
) -> np.ndarray:
    """Walls, start, goal and further discs ``(x, y, radius)``, ``u8[H, W, 3]``.

    Args:
        walls: f64[W, 4].
        shape: ``(H, W)`` of the picture.
        pixels: a unit of the world.
        start, goal: places.
        goal_radius: within which the goal is reached.
        discs: each in a colour of its own.
    """
    y, x = (np.mgrid[: shape[0], : shape[1]] + 0.5) / pixels
    image = np.tile(np.array(FLOOR_COLOUR, np.float64), (*shape, 1))

    def paint(away, radius, colour, opacity=1.0):
        nonlocal image
        cover = opacity * np.clip((radius - away) * pixels + 0.5, 0, 1)[..., None]
        image = image * (1 - cover) + np.array(colour) * cover

    for number, (disc_x, disc_y, radius) in enumerate(discs):
        paint(np.hypot(x - disc_x, y - disc_y), radius, COLOURS[number], 0.35)
    to_goal, to_start = np.hypot(x - goal[0], y - goal[1]), np.hypot(x - start[0], y - start[1])
    paint(to_goal, goal_radius, _GOAL_COLOUR, 0.45)
    paint(to_goal, 0.3 * goal_radius, _GOAL_COLOUR)
    paint(abs(to_start - 4.0), 1.0, _START_COLOUR)
    paint(distances(x, y, walls), _WALL_WIDTH / 2, WALL_COLOUR)
    return np.round(image).astype(np.uint8)


def disc(image: jax.Array, x: jax.Array, y: jax.Array, radius: float, colour: tuple[int, int, int]) -> jax.Array:
    """Draws a disc over ``image: u8[H, W, 3]``; centre and radius in pixels."""
    row, column = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return _over(image, radius - jnp.hypot(column - x, row - y), colour)


def stroke(
    image: jax.Array, start: tuple, end: tuple, width: float, colour: tuple[int, int, int]
) -> jax.Array:
    """Draws a line with round ends over ``image: u8[H, W, 3]`` from ``start`` to ``end``, both (x, y) in pixels."""
    row, column = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    ex, ey = end[0] - start[0], end[1] - start[1]
    along = ((column - start[0]) * ex + (row - start[1]) * ey) / jnp.maximum(ex**2 + ey**2, 1e-6)
    along = jnp.clip(along, 0.0, 1.0)
    away = jnp.hypot(column - start[0] - along * ex, row - start[1] - along * ey)
    return _over(image, width / 2 - away, colour)


def box(image: jax.Array, low: tuple, high: tuple, colour: tuple[int, int, int]) -> jax.Array:
    """Draws a rectangle over ``image: u8[H, W, 3]`` from corner ``low`` to ``high``, both (x, y) in pixels."""
    row, column = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    sideways = jnp.minimum(column - low[0], high[0] - column)
    return _over(image, jnp.minimum(sideways, jnp.minimum(row - low[1], high[1] - row)), colour)


def ground(height: int, width: int) -> jax.Array:
    """Empty floor, ``u8[height, width, 3]``."""
    return jnp.broadcast_to(np.array(FLOOR_COLOUR, np.uint8), (height, width, 3))


def _over(image: jax.Array, depth: jax.Array, colour: tuple[int, int, int]) -> jax.Array:
    """``colour`` over the pixels that lie at least half a pixel deep in a shape, smooth at its edge."""
    cover = jnp.clip(depth + 0.5, 0.0, 1.0)[..., None]
    return jnp.round(image * (1 - cover) + jnp.asarray(colour) * cover).astype(jnp.uint8)
