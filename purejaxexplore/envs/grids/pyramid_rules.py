"""The rules of the pyramid: how the agent moves in one step of four frames, and what stands in its way.

Everything is integer arithmetic on the words of :mod:`pyramid_tables`, four look-ups a step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.envs.grids import pyramid_tables as tables
from purejaxexplore.envs.grids.pyramid_tables import HEIGHT, MAX_X, TOP, WIDTH, pyramid

STAND, ON_LADDER, ON_ROPE, JUMP, FALL = range(5)
SAFE_FALL = 6  # units
_JUMP_STEPS = 6

# The Atari set, and what each action asks for: 2 bits for right + 1, 2 bits for down + 1, and the jump.
ACTIONS = (
    "noop", "fire", "up", "right", "left", "down", "upright", "upleft", "downright", "downleft", "upfire", "rightfire",
    "leftfire", "downfire", "uprightfire", "upleftfire", "downrightfire", "downleftfire",
)  # fmt: skip
_RIGHT, _DOWN, _FIRE = (
    np.array([(plus in name) - (minus in name) for name in ACTIONS])
    for plus, minus in (("right", "left"), ("down", "up"), ("fire", "nothing"))
)
_ASKED = (_RIGHT + 1 | _DOWN + 1 << 2 | _FIRE << 4).astype(np.int32)


class Place(NamedTuple):
    """Where a move ends: the fields of the state that it changes, i32 scalars."""

    room: jax.Array
    y: jax.Array
    x: jax.Array
    mode: jax.Array
    phase: jax.Array
    drift: jax.Array
    taken: jax.Array


def move(state: Any, action: jax.Array) -> tuple[Place, jax.Array, jax.Array]:
    """The agent's own movement in one step, creatures and lights aside.

    Args:
        state: a ``PyramidState``.
        action: i32.

    Returns:
        ``(place, fell, opened)``: units of a fall that ended in this step, else 0; and whether a door was opened.
    """
    asked = _look_up(_ASKED, action % len(ACTIONS))
    right, down, fire = (asked & 3) - 1, (asked >> 2 & 3) - 1, asked >> 4 != 0
    mode, word = state.mode, word_at(state.room, state.y, state.x)
    standing, on_rope = mode == STAND, mode == ON_ROPE

    jumps = fire & (standing | on_rope & (right != 0))
    grabs = standing & ~fire & _grabs(word, down)
    climbing = ((mode == ON_LADDER) | on_rope) & ~jumps | grabs
    jumping, falling = (mode == JUMP) | jumps, mode == FALL
    phase, drift = jnp.where(jumps, 0, state.phase), jnp.where(jumps, right, state.drift)

    # Two ticks up or down: a jump rises 2, 1, 0, 0 units and sinks 1, 2; a fall takes 2 a step, a climb 1.
    first = jnp.where(jumping, (phase >= 5) * 1 - (phase < 2), falling * 1)
    second = jnp.where(jumping, (phase >= 4) * 1 - (phase < 1), jnp.where(climbing, down, falling * 1))
    room, y, word, sunk_first = _tick(state.room, state.y, state.x, word, first, climbing)
    room, y, word, sunk_second = _tick(room, y, state.x, word, second, climbing)

    # Then at most one unit to a side, in the last of the four frames.
    landed = (jumping & (phase >= 4) | falling) & (word & tables.STANDS != 0)
    walk = jnp.clip(right + (word >> tables.BELT & 3) - 1, -1, 1) * standing
    steps_off = right * ((down == 0) & (word & tables.LADDER != 0))
    sideways = jnp.where(jumping, drift * ~landed, jnp.where(climbing, steps_off, walk))
    beside = state.x + sideways
    leaves = (beside < 0) | (beside > MAX_X)
    turns = leaves & (room == tables.TREASURE_ROOM)
    across = room + sideways * (leaves & ~turns)
    beside = jnp.where(beside < 0, MAX_X, jnp.where(beside > MAX_X, 0, beside))
    target = word_at(across, y, beside)
    door = target >> tables.DOOR & 31
    closed = (door > 0) & (state.taken >> door & 1 == 0)
    free = (target & tables.FREE != 0) & (~closed | (keys(state.taken) > 0))
    free &= ~climbing | (target & tables.STANDS != 0)
    room, x, word = jnp.where(free, across, room), jnp.where(free, beside, state.x), jnp.where(free, target, word)
    taken = state.taken | (free & closed) << door
    taken = jnp.where(free & turns, taken & ~pyramid().treasure, taken)

    roped = word & tables.ROPE != 0
    lands = (word & tables.STANDS != 0) & (~jumping | (phase >= 4))
    holds = climbing | (jumping | falling) & roped
    flies = jnp.where(jumping & (phase < _JUMP_STEPS - 1), JUMP, FALL)
    mode = jnp.where(lands, STAND, jnp.where(holds, jnp.where(roped, ON_ROPE, ON_LADDER), flies))
    fallen = falling * (state.phase + sunk_first + sunk_second)
    phase = jnp.where(mode == JUMP, phase + 1, jnp.where(mode == FALL, fallen, 0))
    place = Place(room, y, x, mode, phase, jnp.where(mode == JUMP, drift, 0), taken)
    return place, jnp.where(mode == STAND, fallen, 0), free & closed


def _tick(room, y, x, word, down, climbing):
    """One unit up or down, where that is possible: ``(room, y, word, units moved)``."""
    down = jnp.where((down > 0) & ~climbing & (word & tables.STANDS != 0), 0, down)
    beneath, below, above = y + down, y + down >= HEIGHT, y + down < TOP
    there = room + tables.COLUMNS * (below * 1 - above * 1)
    beneath = jnp.where(below, TOP, jnp.where(above, HEIGHT - 1, beneath))
    target = word_at(there, beneath, x)
    holds = target & (tables.LADDER | tables.ROPE | tables.STANDS) != 0
    free = (target & tables.FREE != 0) & (~climbing | holds)
    return jnp.where(free, there, room), jnp.where(free, beneath, y), jnp.where(free, target, word), down * free


def word_at(room: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """What the place is, see :mod:`pyramid_tables`."""
    return _look_up(pyramid().places, (room * HEIGHT + y) * WIDTH + x)


def _grabs(word, down):
    """Whether one who stands takes hold of a ladder or a rope."""
    upwards = (down < 0) & (word & (tables.LADDER | tables.ROPE) != 0)
    return upwards | (down > 0) & (word & tables.LADDER_BELOW != 0)


def room_now(room: jax.Array, level: jax.Array, time: jax.Array) -> jax.Array:
    """The word of what moves in a room at a time; the clock runs faster in later levels."""
    clock = time * (2 + jnp.minimum(level, 2)) >> 1
    return _look_up(pyramid().ticks, room * tables.PERIOD + (clock & tables.PERIOD - 1))


def creature(tick: jax.Array, slot: int, slain: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """``(x, y, alive)`` of a creature of the room, in the agent's units; not alive where there is none."""
    x, y = tick >> 10 * slot & 31, tick >> 10 * slot + 5 & 31
    return x, y, (y != tables.NOWHERE) & (slain >> 2 * (tick >> tables.LAIR) + slot & 1 == 0)


def meets(tick: jax.Array, slot: int, place: Place, slain: jax.Array) -> jax.Array:
    """i32, 1 where a living creature touches the agent."""
    x, y, alive = creature(tick, slot, slain)
    beside, above = jnp.abs(x - place.x), place.y - y
    return (alive & (beside < 2) & (above >= -1) & (above <= 2)) * jnp.int32(1)


def keys(taken: jax.Array) -> jax.Array:
    """Keys in hand: those taken less one for each open door."""
    masks = pyramid().masks
    return _count(taken & masks[tables.KEY]) - _count(taken & masks["door"])


def swords(taken: jax.Array, slain: jax.Array) -> jax.Array:
    """Swords in hand: those taken less one for each slain creature."""
    return _count(taken & pyramid().masks[tables.SWORD]) - _count(slain)


def has_torch(taken: jax.Array) -> jax.Array:
    """i32, 1 once the torch is taken."""
    return (taken & pyramid().masks[tables.TORCH] != 0) * jnp.int32(1)


def lit(state: Any) -> jax.Array:
    """Whether the room can be seen: it is not a dark one, or the agent has the torch."""
    dark = (state.room >= 3 * tables.COLUMNS) & (state.room != tables.TREASURE_ROOM)
    return ~dark | (has_torch(state.taken) != 0)


def _look_up(table: np.ndarray, index: jax.Array) -> jax.Array:
    return jnp.asarray(table).at[index].get(mode="promise_in_bounds")


def _count(bits: jax.Array) -> jax.Array:
    return jax.lax.population_count(jnp.asarray(bits, jnp.int32))
