"""Grey pictures of the pyramid under a linear map, for instance averaged over areas, without drawing them.

A picture is a room, the objects that are still there, what the agent carries, and up to three sprites. A linear map of
it is the sum of the maps of these parts, most of which can be computed beforehand; only what the sprites hide is looked
up pixel by pixel. The result equals the map of :func:`.pyramid_pictures.frame` up to rounding.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.envs.grids import pyramid_pictures as pictures
from purejaxexplore.envs.grids import pyramid_rules as rules
from purejaxexplore.envs.grids import pyramid_tables as tables
from purejaxexplore.envs.grids.pyramid_pictures import HEAD, SIZE, TILE, UNIT
from purejaxexplore.envs.grids.pyramid_tables import pyramid

_TALL = 9  # rows of the agent's sprites
_DARK = tables.ROWS * tables.COLUMNS  # number of the room that nobody can see


class Layers(NamedTuple):
    """The parts of all pictures in grey levels.

    Attributes:
        night: where there is nothing.
        rooms: f32[37, 72, 84], rooms without objects; the last one is dark.
        numbers: i32[37, K], the objects of a room, 0 for none.
        images: i32[37, K], their rows in ``objects``.
        objects: f32[n, 72, 84], what an object adds to its room; the first one adds nothing.
        icons: f32[14, 12, 84], what each thing in hand adds to the head of the picture.
        pixels: i32[37 * 72 * 84], of each pixel the grey without objects, with them in bits 8 to 15, and from bit 16 on
            1 + the column of ``numbers`` of its object, 0 for none.
        agents: f32[8, 9, 6], the agent's poses, then mirrored; -1 where nothing is drawn.
        creatures: f32[2, 6, 6], likewise.
    """

    night: float
    rooms: np.ndarray
    numbers: np.ndarray
    images: np.ndarray
    objects: np.ndarray
    icons: np.ndarray
    pixels: np.ndarray
    agents: np.ndarray
    creatures: np.ndarray


def shrinking(rows: jax.Array, columns: jax.Array) -> Callable[[Any], jax.Array]:
    """``PyramidState -> rows @ frame(state) @ columns.T``.

    What does not depend on the state is computed here, once for all states.

    Args:
        rows: f32[h, 84], weights of the 84 rows of pixels.
        columns: f32[w, 84], weights of the 84 columns.

    Returns:
        ``PyramidState -> f32[h, w]``.
    """
    layers = _layers()
    with jax.ensure_compile_time_eval():  # at once where the weights are known, else as part of the program
        rooms, objects, icons, tall, wide = _shrunk_layers(jnp.asarray(rows), jnp.asarray(columns))
        pixels = jnp.asarray(layers.pixels)

    def shrink(state):
        tick, lit = rules.room_now(state.room, state.level, state.time), rules.lit(state)
        room = jnp.where(lit, state.room, _DARK)
        number = jnp.asarray(layers.numbers)[room]
        there = (number > 0) & ~pictures.gone(number, tick, state.taken)
        there_bits = jnp.sum(there << np.arange(1, 1 + there.size))

        def behind(top, left, height):
            """What a sprite hides of the room, f32[height, 6]."""
            y, x = top + np.arange(height)[:, None], left + np.arange(TILE)
            word = pixels.at[(room * pictures.ROOM + y) * SIZE + x].get(mode="clip")
            return jnp.where(there_bits >> (word >> 16) & 1, word >> 8 & 255, word & 255).astype(jnp.float32)

        hidden = behind((state.y - 2) * UNIT, state.x * UNIT, _TALL)
        changes, weights = [], []
        for slot in (0, 1):
            x, y, alive = rules.creature(tick, slot, state.slain)
            sprite = jnp.asarray(layers.creatures)[tick >> tables.SPIDERS + slot & 1]
            sprite = jnp.where(alive & lit, sprite, -1.0)
            y, x = jnp.clip(y, 2, tables.HEIGHT - 1), jnp.clip(x, 0, tables.MAX_X)
            changed = jnp.where(sprite >= 0, sprite - behind((y - 1) * UNIT, x * UNIT, TILE), 0.0)
            changes.append(changed @ wide[x])
            weights.append(tall[y - 2, UNIT:])
            hidden = _cover(hidden, sprite, (state.y - y - 1) * UNIT, (state.x - x) * UNIT)
        agent = jnp.asarray(layers.agents)[pictures.pose(state)]
        changes.append(jnp.where(agent >= 0, agent - hidden, 0.0) @ wide[state.x])
        weights.append(tall[state.y - 2])

        flat = rooms[room] + there.astype(jnp.float32) @ objects[jnp.asarray(layers.images)[room]]
        flat += pictures.in_hand(state).astype(jnp.float32) @ icons
        sprites = jnp.concatenate(weights).T @ jnp.concatenate(changes)
        return flat.reshape(sprites.shape) + sprites

    return shrink


def _shrunk_layers(rows: jax.Array, columns: jax.Array) -> tuple[jax.Array, ...]:
    """Rooms, objects and icons shrunk, f32[n, h * w], and the weights of the pixels that a sprite covers.

    These are f32[22, 9, h] for each of its highest rows and f32[27, 6, w] for each of its left columns, in units.
    """
    layers = _layers()

    def shrunk(parts, top):
        part_rows = rows[:, top : top + parts.shape[1]]
        return jnp.einsum("hy,nyx,wx->nhw", part_rows, parts, columns).reshape(len(parts), -1)

    head = layers.night * jnp.outer(rows[:, :HEAD].sum(1), columns.sum(1))
    tall = jnp.stack([rows[:, HEAD + UNIT * y :][:, :_TALL].T for y in range(tables.HEIGHT - 2)])
    wide = jnp.stack([columns[:, UNIT * x :][:, :TILE].T for x in range(tables.MAX_X + 1)])
    return shrunk(layers.rooms, HEAD) + head.ravel(), shrunk(layers.objects, HEAD), shrunk(layers.icons, 0), tall, wide


@cache
def small() -> Callable[[Any], jax.Array]:
    """``state -> f32[14, 14]``, the grey picture with one pixel a tile, 0 to 255."""
    mean = np.kron(np.eye(SIZE // TILE, dtype=np.float32), np.full((1, TILE), 1 / TILE, np.float32))
    return shrinking(mean, mean)


def _cover(hidden: jax.Array, sprite: jax.Array, down: jax.Array, right: jax.Array) -> jax.Array:
    """``hidden`` with a creature drawn on it; its pixel [0, 0] lies at [down, right] of the creature's."""
    y, x = down + np.arange(_TALL)[:, None], right + np.arange(TILE)
    inside = (y >= 0) & (y < TILE) & (x >= 0) & (x < TILE)
    drawn = sprite.ravel().at[y * TILE + x].get(mode="clip")
    return jnp.where(inside & (drawn >= 0), drawn, hidden)


@cache
def _layers() -> Layers:
    grey = pictures.palettes()[1].astype(np.int32)
    night = int(grey[0, 0])
    row = np.arange(_DARK)[:, None, None] // tables.COLUMNS
    full = grey[pictures.rooms(), row]
    number = pyramid().objects.repeat(TILE, 1).repeat(TILE, 2)
    empty = np.where(number > 0, night, full)

    found = [np.unique(drawn[drawn > 0]) for drawn in pyramid().objects]
    numbers = np.zeros((_DARK + 1, max(map(len, found))), np.int32)
    images, position = np.zeros_like(numbers), np.zeros_like(number)
    objects = [np.zeros(full.shape[1:])]
    for room, present in enumerate(found):
        for k, n in enumerate(present):
            mine = number[room] == n
            numbers[room, k], images[room, k] = n, len(objects)
            objects.append(mine * (full[room] - empty[room]))
            position[room][mine] = k + 1

    def dark(rooms, value):
        return np.concatenate([rooms, np.full((1, *rooms.shape[1:]), value)])

    pixels = dark(empty, night) | dark(full, night) << 8 | dark(position, 0) << 16
    icons = np.zeros((len(pictures.icons()), HEAD, SIZE))
    for i, icon in enumerate(pictures.icons()):
        icons[i, UNIT : UNIT + TILE, TILE * i : TILE * (i + 1)] = grey[icon, 0] - night
    agents, creatures = (np.where(drawn > 0, grey[drawn, 0], -1) for drawn in pictures.sprites())
    f32 = np.float32
    return Layers(
        float(night), dark(empty, night).astype(f32), numbers, images, np.stack(objects).astype(f32),
        icons.astype(f32), pixels.astype(np.int32).ravel(), agents.astype(f32), creatures.astype(f32),
    )  # fmt: skip
