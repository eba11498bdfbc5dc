"""The rooms of :mod:`pyramid_rooms` as tables: one word for every place of the agent, one for every tick of a room.

A room is 28 x 24 units, two units a tile. The agent is 2 units wide and 3 high; its place is its left column and its
lowest row.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from purejaxexplore.envs.grids.pyramid_rooms import ROOMS

ROWS, COLUMNS = 4, 9  # of the grid that the pyramid's 24 rooms stand in
TILES_Y, TILES_X = 12, 14  # of a room
HEIGHT, WIDTH = 2 * TILES_Y, 2 * TILES_X  # of a room, in units
MAX_X, TOP = WIDTH - 2, 2  # the rightmost place, and the highest of them
NUM_ROOMS = 24
PERIOD = 64  # ticks after which every hazard is where it was
START_ROOM, TREASURE_ROOM = 4, 3 * COLUMNS + 4
SKULL, SPIDER = range(2)
KEY, SWORD, AMULET, TORCH, GEM = range(1, 6)
_ITEMS = {"k": KEY, "s": SWORD, "a": AMULET, "t": TORCH, "g": GEM}
NOWHERE = 31  # the row of a hazard that a room lacks

# What a place is, in one word.
FREE, STANDS, LADDER, LADDER_BELOW, ROPE, LIGHT_A, LIGHT_B, FIRE = (1 << bit for bit in range(8))
BELT, ITEM, KIND, DOOR = 8, 10, 15, 18  # shifts: 2 bits for the push + 1, 5 for an item, 3 for its kind, 5 for a door

# What a room does at a tick: x and y of two hazards at 0, 5, 10 and 15, then whether they are spiders, which of the
# two groups of lights is lit, and the lair, a number of the rooms with hazards.
SPIDERS, LIT, LAIR = 20, 22, 24


class Pyramid(NamedTuple):
    """The world as tables.

    Attributes:
        tiles: the characters of the rooms, ``U1[36, 12, 14]``; all stone where the grid has no room.
        names: room -> name, for the 24 rooms.
        places: i32[36 * 24 * 28], the word of each room, y and x.
        ticks: i32[36 * 64], the word of each room and tick.
        objects: i32[36, 12, 14], number of the item or door on a tile, 0 for none; 32 and 33 for the two lights.
        masks: kind of item -> bits of its items in ``taken``; ``"door"`` for the doors.
        treasure: bits of the gems in the treasure room.
        start: y, x of the agent in the start room.
    """

    tiles: np.ndarray
    names: dict[int, str]
    places: np.ndarray
    ticks: np.ndarray
    objects: np.ndarray
    masks: dict
    treasure: int
    start: tuple[int, int]


@cache
def pyramid() -> Pyramid:
    """Reads the drawing once."""
    tiles, names = _read()
    objects, masks = _number_objects(tiles)
    ((_, row, column),) = np.argwhere(tiles == "@")
    ticks, lair = np.zeros((len(tiles), PERIOD), np.int64), 0
    for room, drawn in enumerate(tiles):
        has_hazard = np.isin(drawn, ("o", "w")).any()
        ticks[room] = _ticks(drawn) | lair * has_hazard << LAIR
        lair += has_hazard
    treasure = sum(1 << int(gem) for gem in np.unique(objects[TREASURE_ROOM]) if gem)
    places, ticks = _places(tiles, objects).astype(np.int32).ravel(), ticks.astype(np.int32).ravel()
    start = (2 * int(row) + 1, 2 * int(column))
    return Pyramid(tiles, names, places, ticks, objects, masks, treasure, start)


def _read() -> tuple[np.ndarray, dict[int, str]]:
    tiles, names = np.full((ROWS * COLUMNS, TILES_Y, TILES_X), "#"), {}
    lines = ROOMS.strip().splitlines()
    for first in range(0, len(lines), TILES_Y + 1):
        number, name = lines[first].split(" ", 1)
        room = int(number[0]) * COLUMNS + int(number[1])
        tiles[room] = [list(line) for line in lines[first + 1 : first + 1 + TILES_Y]]
        names[room] = name
    return tiles, names


def _number_objects(tiles: np.ndarray) -> tuple[np.ndarray, dict]:
    """Items by their order in the drawing, from 1 on; then doors, a column of tiles each."""
    objects = np.zeros(tiles.shape, np.int64)
    masks = dict.fromkeys([*_ITEMS.values(), "door"], 0)
    found = np.argwhere(np.isin(tiles, list(_ITEMS)))
    for number, place in enumerate(map(tuple, found), 1):
        objects[place] = number
        masks[_ITEMS[tiles[place]]] |= 1 << number
    number = len(found)
    for room, row, column in np.argwhere(tiles == "D"):
        above = int(objects[room, row - 1, column])
        number += above == 0
        objects[room, row, column] = above or number
        masks["door"] |= 1 << number
    objects[tiles == "L"], objects[tiles == "l"] = 32, 33
    return objects, masks


def _places(tiles: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """The words of all places of all rooms, i64[36, 24, 28]."""
    tiles, objects = (array.repeat(2, 1).repeat(2, 2) for array in (tiles, objects))

    def shifted(array, down, right):
        """What lies ``down`` and ``right`` of each unit, 0 beyond the room."""
        room = np.pad(array, ((0, 0), (2, 2), (0, 2)))
        return room[:, 2 + down : 2 + down + HEIGHT, right : right + WIDTH]

    def body(array):
        """The largest value that the agent covers at each place."""
        return np.max([shifted(array, down, right) for down in (-2, -1, 0) for right in (0, 1)], 0)

    solid, ladder, bottom = np.isin(tiles, ("#", "<", ">")), tiles == "H", np.arange(HEIGHT)[:, None] % 2 == 1
    push = (tiles == ">") * 1 - (tiles == "<")
    firm = shifted(solid | (tiles == "D"), 1, 0) | shifted(ladder, 1, 0) & ~ladder
    aligned = np.arange(WIDTH) % 2 == 0
    words = FREE * ~body(solid) | STANDS * ((firm | shifted(firm, 0, 1)) & bottom)
    words |= LADDER * (ladder & aligned) | LADDER_BELOW * (shifted(ladder, 1, 0) & aligned & bottom)
    words |= ROPE * (shifted(tiles == "|", -1, 0) & aligned) | FIRE * body(tiles == "^")
    words |= LIGHT_A * body(tiles == "L") | LIGHT_B * body(tiles == "l")
    words |= np.sign(shifted(push, 1, 0) + shifted(push, 1, 1)) * bottom + 1 << BELT
    kinds = sum((tiles == tile) * kind for tile, kind in _ITEMS.items())
    return words | body(objects * (kinds > 0)) << ITEM | body(kinds) << KIND | body(objects * (tiles == "D")) << DOOR


def _ticks(tiles: np.ndarray) -> np.ndarray:
    """The words of a room, i64[64]: hazards pace to and fro, lights alternate."""
    t = np.arange(PERIOD)
    hazards = [(np.zeros(PERIOD, int), np.full(PERIOD, NOWHERE), SKULL)] * 2
    paths = [(mark, np.argwhere(tiles == mark)) for mark in "ow"]
    for slot, (mark, ends) in enumerate((mark, ends) for mark, ends in paths if len(ends)):
        (top, left), (bottom, right) = ends
        length = 2 * (bottom - top + right - left)
        cycle = PERIOD
        while cycle // 2 >= 2 * length:
            cycle //= 2
        way = np.round(length * (1 - np.abs(2 * (t % cycle) / cycle - 1))).astype(int)
        down, across = way * (mark == "w"), way * (mark == "o")
        hazards[slot] = (2 * left + across, 2 * top + 1 + down, SPIDER if mark == "w" else SKULL)
    words = np.where(t % 32 < 16, 1, 2) << LIT
    for slot, (x, y, kind) in enumerate(hazards):
        words |= x << 10 * slot | y << 10 * slot + 5 | kind << SPIDERS + slot
    return words
