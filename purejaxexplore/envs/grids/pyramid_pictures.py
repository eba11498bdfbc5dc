"""Pictures of the pyramid: 84 x 84 pixels of a few colours, six to a tile, for the grey and the colour view.

Twelve rows of what the agent carries stand above the 72 of the room.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.envs.grids import pyramid_rules as rules
from purejaxexplore.envs.grids import pyramid_tables as tables
from purejaxexplore.envs.grids.pyramid_tables import pyramid

SIZE, TILE, UNIT = 84, 6, 3
HEAD, ROOM = 12, 72  # rows of the picture: what the agent carries, and the room
ENLARGED = 4
_SYMBOLS = ".#=:HhrRbBkKdDsSaAtTgGfFvVwWpPcCeE"
_COLOURS = {
    ".": (16, 14, 24), "H": (206, 164, 96), "h": (138, 100, 52), "r": (222, 200, 150), "R": (160, 134, 90),
    "b": (92, 104, 120), "B": (196, 208, 220), "k": (250, 206, 48), "K": (196, 148, 16), "d": (60, 132, 214),
    "D": (30, 78, 146), "s": (226, 236, 244), "S": (150, 110, 70), "a": (64, 210, 190), "A": (250, 226, 120),
    "t": (255, 172, 48), "T": (140, 90, 44), "g": (236, 60, 112), "G": (255, 176, 200), "f": (255, 122, 32),
    "F": (255, 220, 90), "v": (120, 240, 255), "V": (52, 140, 220), "w": (236, 232, 216), "W": (20, 18, 28),
    "p": (232, 52, 60), "P": (248, 196, 150), "c": (156, 84, 196), "C": (70, 34, 96), "e": (255, 255, 255),
    "E": (60, 44, 40),
}  # fmt: skip
_STONES = (
    ((196, 132, 74), (150, 94, 50), (226, 166, 104)),  # sandstone at the top
    ((96, 148, 92), (64, 106, 66), (132, 184, 120)),
    ((90, 116, 176), (60, 80, 132), (128, 154, 210)),
    ((136, 92, 150), (96, 62, 110), (172, 126, 186)),
)

_ART = {
    "#": "#####= #####= ====== ##=### ##=### ======",
    "H": "H....H HhhhhH H....H H....H HhhhhH H....H",
    "|": "..rR.. ..Rr.. ..rR.. ..Rr.. ..rR.. ..Rr..",
    "<": "bBbbBb BbbBbb bBbbBb bbbbbb .b..b. bbbbbb",
    ">": "bBbbBb bbBbbB bBbbBb bbbbbb .b..b. bbbbbb",
    "^": "...f.. .f.ff. .ffFf. fFfFff fFFFFf FFFFFF",
    "D": "DddddD DdkkdD DddddD DddddD DdkkdD DddddD",
    "k": "...... .kkk.. .k.kkk .kkk.K .....K ......",
    "s": "....s. ...ss. ..ss.. S.s... .SS... S.S...",
    "a": ".A..A. ..AA.. ..aa.. .aaaa. .aaaa. ..aa..",
    "t": "..F... .tFt.. ..t... ..T... ..T... ..T...",
    "g": "...... ..GG.. .GGgg. .gggg. ..gg.. ......",
    "L": "..vV.. ..Vv.. ..vV.. ..Vv.. ..vV.. ..Vv..",
    "l": "..Vv.. ..vV.. ..Vv.. ..vV.. ..Vv.. ..vV..",
}
_CREATURES = (
    ".wwww. wwwwww wWwwWw wwwwww .wWWw. .w.w.w",
    "c....c .cCCc. cCeeCc .CCCC. c.CC.c c....c",
)
_AGENT = {
    "stand": "..pppp .pppp. ..PP.. ..PP.. .eeee. .PeePe ..ee.. ..EE.. ..EE..",
    "walk": "..pppp .pppp. ..PP.. ..PP.. .eeee. P.ee.P ..ee.. .E..E. E....E",
    "climb": "..pppp .pppp. P.PP.. P.PP.. .eeeeP ..ee.P ..ee.. ..E.E. .E....",
    "jump": "..pppp .pppp. P.PP.P .PPPP. ..ee.. ..ee.. .EeeE. E....E ......",
}
_HATS = "...... ..pppp .pppp. ..PP.. ..PP.. ......"
_LEVEL = "...... ...... ..AA.. ..AA.. ...... ......"
_SHIELD = ".A..A. ..AA.. ..aa.. .aaaa. .aaaa. ..aa.."
# What the agent carries, above the room: drawings and how often each fits.
_ICONS = ((_HATS, 4), (_ART["k"], 4), (_ART["s"], 2), (_ART["t"], 1), (_SHIELD, 1), (_LEVEL, 2))


def frame(state) -> jax.Array:
    """What the agent sees in grey, ``u8[84, 84]``."""
    return jnp.asarray(palettes()[1])[_symbols(state), state.room // tables.COLUMNS]


def colour(state) -> jax.Array:
    """What the agent sees in colour, each pixel four times as large, ``u8[336, 336, 3]``."""
    picture = jnp.asarray(palettes()[0])[_symbols(state), state.room // tables.COLUMNS]
    return picture.repeat(ENLARGED, 0).repeat(ENLARGED, 1)


@cache
def whole_pyramid() -> np.ndarray:
    """All rooms as they are at the start, lit, in their places, ``u8[288, 756, 3]``; night around them."""
    palette = palettes()[0]
    drawn = np.stack([palette[symbols, room // tables.COLUMNS] for room, symbols in enumerate(rooms())])
    absent = [room for room in range(len(drawn)) if room not in pyramid().names]
    drawn[absent] = (236, 232, 222)
    grid = drawn.reshape(tables.ROWS, tables.COLUMNS, *drawn.shape[1:]).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(grid.reshape(tables.ROWS * drawn.shape[1], -1, 3))


def _symbols(state) -> jax.Array:
    """The picture as numbers of symbols, ``u8[84, 84]``."""
    tick, (agent, creatures) = rules.room_now(state.room, state.level, state.time), sprites()
    lit = rules.lit(state)
    room = jnp.asarray(rooms())[state.room]
    number = jnp.asarray(pyramid().objects.astype(np.int32))[state.room]
    absent = gone(number, tick, state.taken).repeat(TILE, 0).repeat(TILE, 1)
    picture = jnp.where(absent | ~lit, jnp.uint8(0), room)
    for slot in (0, 1):
        x, y, alive = rules.creature(tick, slot, state.slain)
        sprite = jnp.asarray(creatures)[tick >> tables.SPIDERS + slot & 1]
        picture = _draw(picture, sprite, (y - 1) * UNIT, x * UNIT, alive & lit)
    picture = _draw(picture, jnp.asarray(agent)[pose(state)], (state.y - 2) * UNIT, state.x * UNIT, jnp.bool_(True))
    return jnp.concatenate([_head(state), picture])


def gone(number: jax.Array, tick: jax.Array, taken: jax.Array) -> jax.Array:
    """Which objects, by their number in ``Pyramid.objects``, are taken, open or dark; never number 0."""
    dark_lights = ~(tick >> tables.LIT)
    return jnp.where(number >= 32, dark_lights >> (number & 1), taken >> (number & 31)) & (number > 0) == 1


def pose(state) -> jax.Array:
    """The row of the agent's drawing in :func:`sprites`."""
    walking = (state.mode == rules.STAND) & (state.x & 1 == 1)
    climbing = (state.mode == rules.ON_LADDER) | (state.mode == rules.ON_ROPE)
    drawing = jnp.where(climbing, 2, jnp.where(state.mode >= rules.JUMP, 3, walking * 1))
    mirrored = jnp.where(climbing, state.y & 1 == 1, state.drift < 0)
    return drawing + len(_AGENT) * mirrored


def _draw(picture: jax.Array, sprite: jax.Array, top, left, shown) -> jax.Array:
    """Draws a sprite where it is not empty."""
    corner = (jnp.clip(top, 0, picture.shape[0] - sprite.shape[0]), left)
    below = jax.lax.dynamic_slice(picture, corner, sprite.shape)
    return jax.lax.dynamic_update_slice(picture, jnp.where((sprite > 0) & shown, sprite, below), corner)


def _head(state) -> jax.Array:
    """Lives, keys, swords, torch, amulet and level, ``u8[12, 84]``."""
    row = jnp.asarray(icons()) * in_hand(state)[:, None, None]
    row = row.transpose(1, 0, 2).reshape(TILE, SIZE).astype(jnp.uint8)
    return jnp.pad(row, ((UNIT, UNIT), (0, 0)))


def in_hand(state) -> jax.Array:
    """Which of :func:`icons` are shown, bool[14]."""
    lives, keys, swords = state.lives - 1, rules.keys(state.taken), rules.swords(state.taken, state.slain)
    counts = (lives, keys, swords, rules.has_torch(state.taken), (state.shield > 0) * 1, state.level)
    return jnp.concatenate([np.arange(size) < count for (_, size), count in zip(_ICONS, counts, strict=True)])


@cache
def icons() -> np.ndarray:
    """The drawings above the room from left to right, ``u8[14, 6, 6]``."""
    return np.concatenate([_sprites(drawn).repeat(size, 0) for drawn, size in _ICONS])


@cache
def sprites() -> tuple[np.ndarray, np.ndarray]:
    """The agent in four poses, then mirrored, ``u8[8, 9, 6]``, and the creatures, ``u8[2, 6, 6]``; 0 is see-through."""
    agent = _sprites(*_AGENT.values())
    return np.concatenate([agent, agent[..., ::-1]]), _sprites(*_CREATURES)


@cache
def rooms() -> np.ndarray:
    """Every room with all its items, doors and lights, ``u8[36, 72, 84]``."""
    art = {name: _sprites(rows)[0] for name, rows in _ART.items()}
    empty = np.zeros((TILE, TILE), np.uint8)
    tiles = np.array([[[art.get(tile, empty) for tile in row] for row in room] for room in pyramid().tiles])
    height, width = tables.TILES_Y * TILE, tables.TILES_X * TILE
    return tiles.transpose(0, 1, 3, 2, 4).reshape(-1, height, width)


def _sprites(*drawn: str) -> np.ndarray:
    """Drawings as numbers of symbols, ``u8[n, rows, 6]``."""
    return np.array([[[_SYMBOLS.index(c) for c in row] for row in art.split()] for art in drawn], np.uint8)


@cache
def palettes() -> tuple[np.ndarray, np.ndarray]:
    """Colour ``u8[symbols, 4, 3]`` and grey ``u8[symbols, 4]`` of each symbol in each row of the pyramid."""
    colours = np.zeros((len(_SYMBOLS), tables.ROWS, 3))
    for number, symbol in enumerate(_SYMBOLS):
        for row in range(tables.ROWS):
            stone = "#=:".find(symbol)
            colours[number, row] = _STONES[row][stone] if stone >= 0 else _COLOURS[symbol]
    grey = colours @ np.array([0.299, 0.587, 0.114])
    return colours.astype(np.uint8), np.round(grey).astype(np.uint8)
