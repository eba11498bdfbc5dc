"""Pictures of grid worlds: tiles of 16 x 16 pixels, drawn once in NumPy, laid out by an index map under ``jit``.

The colours follow Okabe and Ito (2008, "Color Universal Design"): they stay apart for colour-blind readers.
"""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

TILE = 16
FLOOR_COLOUR = (240, 237, 229)
WALL_COLOUR = (58, 66, 82)
COLOURS = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (120, 94, 60),
    (90, 90, 90),
)
_GOLD, _GOLD_LIGHT, _GOLD_DARK = (240, 196, 25), (255, 235, 140), (176, 124, 0)
_INK = (33, 37, 46)

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]


def compose(sprites: np.ndarray, index: jax.Array) -> jax.Array:
    """Lays sprites out on a map: ``u8[S, 16, 16, 3]``, ``i32[H, W]`` -> ``u8[16 H, 16 W, 3]``."""
    height, width = index.shape
    tiles = jnp.asarray(sprites)[index]
    return tiles.transpose(0, 2, 1, 3, 4).reshape(height * TILE, width * TILE, 3)


def draw_agent(image: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Draws the agent on tile ``(y, x)`` of ``image: u8[16 H, 16 W, 3]``, over whatever lies there."""
    colour, alpha = agent()
    corner = (y * TILE, x * TILE, 0)
    below = jax.lax.dynamic_slice(image, corner, (TILE, TILE, 3))
    blended = jnp.round(below * (1 - alpha) + colour * alpha).astype(jnp.uint8)
    return jax.lax.dynamic_update_slice(image, blended, corner)


def floor() -> np.ndarray:
    """A floor tile ``u8[16, 16, 3]`` with a faint grid line."""
    tile = _plain(FLOOR_COLOUR)
    tile[-1, :] = tile[:, -1] = np.array(FLOOR_COLOUR) - 13
    return _pixels(tile)


def wall() -> np.ndarray:
    """A wall tile ``u8[16, 16, 3]``: two courses of bricks, lit from above."""
    tile = _plain(WALL_COLOUR)
    for top, joint in ((0, 3), (8, 11)):
        tile[top] += 22
        tile[top + 7] -= 18
        tile[top : top + 8, joint] -= 18
    return _pixels(tile)


def pit() -> np.ndarray:
    """A pit ``u8[16, 16, 3]``: a round hole that darkens inwards."""
    tile = floor().astype(np.float64)
    rings = ((0.45, (150, 143, 132)), (0.41, (84, 78, 76)), (0.34, (48, 45, 48)), (0.25, (22, 21, 25)))
    for radius, colour in rings:
        tile = _paint(tile, _disc(0.5, 0.5, radius), colour)
    return _pixels(tile)


def treasure() -> np.ndarray:
    """A treasure ``u8[16, 16, 3]``: a cut gem of gold."""
    tile = floor().astype(np.float64)
    tile = _paint(tile, _diamond(0.46), _GOLD_DARK)
    tile = _paint(tile, _diamond(0.39), _GOLD)
    tile = _paint(tile, lambda v, u: _diamond(0.39)(v, u) & (v < 0.5) & (u < 0.5), _GOLD_LIGHT)
    return _pixels(_paint(tile, _diamond(0.18), (255, 248, 214)))


def slab(colour: tuple[int, int, int]) -> np.ndarray:
    """A floor tile of a colour, ``u8[16, 16, 3]``."""
    tile = _plain(colour)
    tile[-1, :] = tile[:, -1] = np.array(colour) * 0.93
    return _pixels(tile)


def lava() -> np.ndarray:
    """Lava, ``u8[16, 16, 3]``: bright ripples on vermilion."""

    def ripples(v, u):
        return abs((3 * v + 0.12 * np.sin(4 * np.pi * u)) % 1 - 0.5) < 0.13

    return _pixels(_paint(_plain(COLOURS[1]), ripples, (255, 190, 92)))


def ball(colour: tuple[int, int, int]) -> np.ndarray:
    """A ball on the floor, ``u8[16, 16, 3]``, lit from the upper left."""
    light = tuple(np.array(colour) + (255 - np.array(colour)) * 0.5)
    tile = _paint(floor().astype(np.float64), _disc(0.5, 0.5, 0.34), colour)
    return _pixels(_paint(tile, _disc(0.4, 0.4, 0.12), light))


def boulder(ground: tuple[int, int, int], colour: tuple[int, int, int]) -> np.ndarray:
    """A rounded boulder on ground of a colour, ``u8[16, 16, 3]``."""
    tile = slab(ground).astype(np.float64)
    light, shade = np.array(colour) + (255 - np.array(colour)) * 0.22, np.array(colour) * 0.72

    def rounded(v, u):
        return abs(v - 0.5) ** 4 + abs(u - 0.5) ** 4 < 0.46**4

    tile = _paint(tile, rounded, tuple(shade))
    return _pixels(_paint(_paint(tile, _disc(0.45, 0.45, 0.38), colour), _disc(0.36, 0.38, 0.16), tuple(light)))


def switch(on: bool) -> np.ndarray:
    """A button in the floor, ``u8[16, 16, 3]``, green when it is pressed."""
    tile = _paint(floor().astype(np.float64), _disc(0.5, 0.5, 0.4), WALL_COLOUR)
    return _pixels(_paint(tile, _disc(0.5, 0.5, 0.22 if on else 0.29), COLOURS[2] if on else COLOURS[1]))


def key(number: int) -> np.ndarray:
    """Key ``number`` on the floor, ``u8[16, 16, 3]``."""
    colour = COLOURS[number]
    tile = floor().astype(np.float64)
    tile = _paint(tile, lambda v, u: _disc(0.5, 0.31, 0.21)(v, u) & ~_disc(0.5, 0.31, 0.09)(v, u), colour)
    for part in (_box(0.44, 0.56, 0.48, 0.92), _box(0.5, 0.75, 0.82, 0.92), _box(0.5, 0.7, 0.66, 0.75)):
        tile = _paint(tile, part, colour)
    return _pixels(tile)


def closed_door(number: int) -> np.ndarray:
    """The closed door of key ``number``, ``u8[16, 16, 3]``: a panel with a keyhole."""
    colour = np.array(COLOURS[number])
    tile = _plain(tuple(colour * 0.55))
    tile = _paint(tile, _box(0.1, 0.9, 0.1, 0.9), tuple(colour))
    tile = _paint(tile, _box(0.1, 0.17, 0.1, 0.9), tuple(colour + (255 - colour) * 0.4))

    def slot(v, u):
        return (abs(u - 0.5) < 0.16 * v - 0.04) & (v > 0.45) & (v < 0.74)

    for part in (_disc(0.43, 0.5, 0.12), slot):
        tile = _paint(tile, part, (255, 250, 235))
    return _pixels(tile)


def open_door(number: int) -> np.ndarray:
    """The open door of key ``number``, ``u8[16, 16, 3]``: floor with four posts."""

    def posts(v, u):
        return (abs(v - 0.5) > 0.26) & (abs(u - 0.5) > 0.26)

    return _pixels(_paint(floor().astype(np.float64), posts, COLOURS[number]))


@cache
def agent() -> tuple[np.ndarray, np.ndarray]:
    """The agent: colour ``f32[16, 16, 3]`` and opacity ``f32[16, 16, 1]`` in [0, 1]."""
    colour = _plain(_INK)
    colour = _paint(colour, _disc(0.47, 0.5, 0.36), (236, 72, 92))
    colour = _paint(colour, _disc(0.36, 0.42, 0.15), (246, 128, 140))
    for eye in (0.37, 0.63):
        colour = _paint(colour, _disc(0.47, eye, 0.115), (255, 255, 255))
        colour = _paint(colour, _disc(0.5, eye, 0.06), _INK)
    return colour.astype(np.float32), _cover(_disc(0.48, 0.5, 0.44)).astype(np.float32)


def _plain(colour: tuple[float, float, float]) -> np.ndarray:
    return np.tile(np.array(colour, np.float64), (TILE, TILE, 1))


def _paint(tile: np.ndarray, shape: Shape, colour: tuple[float, float, float]) -> np.ndarray:
    cover = _cover(shape)
    return tile * (1 - cover) + np.array(colour) * cover


def _cover(shape: Shape, samples: int = 8) -> np.ndarray:
    """The share of each pixel inside ``shape(v, u)``, ``f64[16, 16, 1]``; v down and u right, both in [0, 1]."""
    points = (np.arange(TILE * samples) + 0.5) / (TILE * samples)
    inside = shape(points[:, None], points[None, :]) & np.ones((TILE * samples,) * 2, bool)
    return inside.reshape(TILE, samples, TILE, samples).mean((1, 3))[..., None]


def _disc(centre_v: float, centre_u: float, radius: float) -> Shape:
    return lambda v, u: (v - centre_v) ** 2 + (u - centre_u) ** 2 < radius**2


def _diamond(radius: float) -> Shape:
    return lambda v, u: abs(u - 0.5) + abs(v - 0.5) < radius


def _box(top: float, bottom: float, left: float, right: float) -> Shape:
    return lambda v, u: (v > top) & (v < bottom) & (u > left) & (u < right)


def _pixels(tile: np.ndarray) -> np.ndarray:
    return np.round(np.clip(tile, 0, 255)).astype(np.uint8)
