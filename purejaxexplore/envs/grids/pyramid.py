"""Pyramid: 24 rooms of ladders, ropes, belts, creatures, lights, doors and darkness; a random policy scores nothing.

Our own world in the manner of Montezuma's Revenge, the game on which Ecoffet, Huizinga, Lehman, Stanley and Clune
(2019, "Go-Explore: a New Approach for Hard-Exploration Problems") measured exploration. The drawing of all rooms is
:mod:`purejaxexplore.envs.grids.pyramid_rooms`; they stand in rows of 3, 5, 7 and 9, the apex is the start::

                      [03][04][05]              one step is four frames, the usual action repeat: the agent walks 4
                  [12][13][14][15][16]          pixels of a room of 112 x 96, falls 8, jumps 12 high and 24 far;
              [21][22][23][24][25][26][27]      everything is deterministic, and hazards follow the clock alone
          [30][31][32][33][34][35][36][37][38]

    key 100             a door takes one and opens for the rest of the level: 300
    sword 100           the next creature that touches the agent dies of it: skull 2,000, spider 3,000
    torch 3,000         the bottom row is dark without it: only what is observed changes
    amulet 200          creatures do no harm for 100 steps
    gem 1,000           five on the way, and four in each round of the treasure room

Death comes from a creature, a lit light gate, fire, and from falling more than 24 pixels; it costs a life, and the
agent starts again where it entered the room, unharmed by creatures for 8 steps. The treasure room has no exit: who
leaves it on one side comes in on the other, and its gems lie there again. After 100 steps in it the next level begins
at the apex with everything back in its place and hands empty; the hazards of level 1 are 1.5 times as fast as those of
level 0, and twice as fast from level 2 on.

A jump takes six steps and cannot be steered; one reaches three tiles far or one tile up. Ropes are caught in the air,
climbed, and left by jumping to a side. Ladders are climbed where the agent stands exactly on their column.
"""

from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice
from purejaxexplore.envs.grids import pyramid_pictures as pictures
from purejaxexplore.envs.grids import pyramid_rules as rules
from purejaxexplore.envs.grids import pyramid_shrunk as shrunk
from purejaxexplore.envs.grids import pyramid_tables as tables
from purejaxexplore.envs.grids.pyramid_rules import ACTIONS, FALL, ON_LADDER, ON_ROPE, STAND
from purejaxexplore.envs.grids.pyramid_tables import HEIGHT, MAX_X, TOP, WIDTH, pyramid

OBSERVATIONS = ("symbolic", "frame", "small")
GRACE = 8  # steps without harm after a death
TREASURE_STEPS = 100
_MAX_LEVEL = 255
_NUM_FEATURES = 125


class PyramidState(NamedTuple):
    """What changes during an episode; every field is an i32 scalar.

    What the agent carries follows from what it took: its keys are those taken less the doors opened, its swords those
    taken less the creatures slain, and the torch, once taken, is kept for the level.

    Attributes:
        room: 9 * row + column in the grid of rooms.
        y: the lowest row of the agent in units of 4 pixels, 2 to 23.
        x: its left column in the same units, 0 to 26.
        mode: 0 standing, 1 on a ladder, 2 on a rope, 3 jumping, 4 falling.
        phase: steps done of a jump, or units fallen.
        drift: -1, 0 or 1, direction of a jump.
        taken: bit i is set once item or door i is taken or open.
        slain: bit 2 lair + slot is set once that creature is dead.
        shield: steps for which creatures do no harm.
        entry: where the agent entered the room, (32 y + x) 8 + mode.
        lives: left, the present one included.
        level: treasure rooms completed.
        bonus: steps left in the treasure room, 0 elsewhere.
        time: steps since the start of the episode.
    """

    room: jax.Array
    y: jax.Array
    x: jax.Array
    mode: jax.Array
    phase: jax.Array
    drift: jax.Array
    taken: jax.Array
    slain: jax.Array
    shield: jax.Array
    entry: jax.Array
    lives: jax.Array
    level: jax.Array
    bonus: jax.Array
    time: jax.Array


@struct.dataclass
class PyramidParams(environment.EnvParams):
    """Lives (1 to 255), time limit in steps of four frames (at most 65,535), amulet's steps (8 to 255), rewards."""

    max_steps_in_episode: int = 4500
    lives: int = 5
    amulet_steps: int = 100
    key_reward: float = 100.0
    door_reward: float = 300.0
    sword_reward: float = 100.0
    amulet_reward: float = 200.0
    torch_reward: float = 3000.0
    gem_reward: float = 1000.0
    skull_reward: float = 2000.0
    spider_reward: float = 3000.0


# Bytes of each field in a packed state.
_BYTES = dict.fromkeys(PyramidState._fields, 1) | {"taken": 4, "slain": 4, "entry": 2, "time": 2}


class Pyramid(environment.Environment[PyramidState, PyramidParams]):
    """The pyramid. Actions 0 to 17 are those of the Atari set (``ACTIONS``; others modulo 18); fire is the jump.

    Args:
        observation: ``"symbolic"`` (one-hot room, row, column and mode, what the agent carries, what is taken, the
            creatures and lights of the room: f32[125]), ``"frame"`` (grey, ``u8[84, 84, 1]``, as from Atari) or
            ``"small"`` (the mean of the frame over each tile, ``f32[14, 14, 1]`` in [0, 1], much cheaper).

    Raises:
        ValueError: an unknown observation.
    """

    def __init__(self, observation: str = "symbolic"):
        super().__init__()
        choice("observation", observation, OBSERVATIONS)
        self.observation = observation

    @property
    def default_params(self) -> PyramidParams:
        return PyramidParams()

    def reset_env(self, key: jax.Array, params: PyramidParams) -> tuple[jax.Array, PyramidState]:
        """A fresh episode, always the same: ``key -> (observation, state)``."""
        y, x = pyramid().start
        fields = dict.fromkeys(PyramidState._fields, 0) | {"room": tables.START_ROOM, "y": y, "x": x}
        state = PyramidState(**{name: jnp.int32(value) for name, value in fields.items()})
        state = state._replace(entry=jnp.int32(_start_entry()), lives=jnp.asarray(params.lives, jnp.int32))
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: PyramidState, action: jax.Array, params: PyramidParams
    ) -> tuple[jax.Array, PyramidState, jax.Array, jax.Array, dict[str, Any]]:
        """Four frames without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (this step completed a level) and ``state_id`` of the successor.
        """
        successor, reward, success = self._advance(state, jnp.asarray(action, jnp.int32), params)
        # A remainder that changes nothing: XLA computes it once, instead of the whole step again for each feature of
        # the observation, and unlike an optimization barrier it outlives the fusion of operations on a CPU.
        successor = jax.tree.map(lambda field: jax.lax.rem(field, jnp.int32(2**31 - 1)), successor)
        info = {"success": success, "state_id": self.state_id(successor)}
        return self.get_obs(successor), successor, reward, successor.lives <= 0, info

    def is_terminated(self, state: PyramidState, params: PyramidParams) -> jax.Array:
        """Whether the last life is lost."""
        return state.lives <= 0

    def _advance(self, state: PyramidState, action: jax.Array, params: PyramidParams):
        """The successor, its reward and whether a level was completed."""
        place, fell, opened = rules.move(state, action)
        entered = place.room != state.room
        word = rules.word_at(place.room, place.y, place.x)
        tick = rules.room_now(place.room, state.level, state.time + 1)

        item = word >> tables.ITEM & 31
        kind = (word >> tables.KIND & 7) * (place.taken >> item & 1 ^ 1)
        taken = place.taken | (kind > 0) << item
        shield = jnp.where(kind == tables.AMULET, params.amulet_steps, jnp.maximum(state.shield - 1, 0))
        met = [rules.meets(tick, slot, place, state.slain) for slot in (0, 1)]
        touched = jnp.where(shield > 0, 0, met[0] | met[1] << 1)
        armed = rules.swords(taken, state.slain) > 0
        first = touched & -touched  # a sword serves for one creature
        kill = jnp.where(armed, first, 0)
        slain = state.slain | kill << 2 * (tick >> tables.LAIR)
        # The bits of the light gates at a place stand in the order in which the tick says which are lit.
        burnt = (word >> 5 & tick >> tables.LIT & 3 != 0) | (word & tables.FIRE != 0)
        died = (fell > rules.SAFE_FALL) | burnt | (touched != kill)

        mode = jnp.where(place.mode == ON_LADDER, ON_LADDER, jnp.where(place.mode == ON_ROPE, ON_ROPE, FALL))
        entry = jnp.where(entered, (place.y * 32 + place.x) * 8 + mode, state.entry)
        in_treasure = place.room == tables.TREASURE_ROOM
        bonus = jnp.where(in_treasure, jnp.where(entered, TREASURE_STEPS, state.bonus - 1), 0)
        completed = in_treasure & (bonus <= 0)
        # A death and the next level both put the agent somewhere else, at rest.
        moved = died | completed
        entry = jnp.where(completed, _start_entry(), entry)
        successor = PyramidState(
            room=jnp.where(completed, tables.START_ROOM, place.room),
            y=jnp.where(moved, entry >> 8, place.y),
            x=jnp.where(moved, entry >> 3 & 31, place.x),
            mode=jnp.where(moved, entry & 7, place.mode),
            phase=jnp.where(moved, 0, place.phase),
            drift=jnp.where(moved, 0, place.drift),
            taken=jnp.where(completed, 0, taken),
            slain=jnp.where(completed, 0, slain),
            shield=jnp.where(died, jnp.maximum(shield, GRACE), shield),
            entry=entry,
            lives=state.lives - died,
            level=jnp.minimum(state.level + completed, _MAX_LEVEL),
            bonus=jnp.where(completed, 0, bonus),
            time=state.time + 1,
        )
        rewards = (0.0, params.key_reward, params.sword_reward, params.amulet_reward, params.torch_reward)
        reward = jnp.float32(0)
        for number, value in enumerate((*rewards, params.gem_reward)):
            reward = jnp.where(kind == number, jnp.float32(value), reward)
        spider = (tick >> tables.SPIDERS & kill) != 0
        prize = jnp.where(spider, jnp.float32(params.spider_reward), jnp.float32(params.skull_reward))
        reward = reward + opened * jnp.float32(params.door_reward) + jnp.where(kill != 0, prize, 0.0)
        return successor, reward, completed

    def get_obs(self, state: PyramidState, params: PyramidParams | None = None, key=None) -> jax.Array:
        """The observation of ``state``, in the form chosen at construction."""
        if self.observation == "frame":
            return pictures.frame(state)[..., None]
        if self.observation == "small":
            return shrunk.small()(state)[..., None] / 255
        tick = rules.room_now(state.room, state.level, state.time)
        shown = rules.lit(state)
        creatures = []
        for slot in (0, 1):
            x, y, alive = rules.creature(tick, slot, state.slain)
            seen = alive & shown
            creatures += [seen * 1.0, seen * (x - state.x) / WIDTH, seen * (y - state.y) / HEIGHT]
        held = jnp.minimum(jnp.stack([rules.keys(state.taken), rules.swords(state.taken, state.slain)]), 4) / 4
        rest = [state.phase / 6, state.drift, state.shield / 255, state.lives / 8, state.level / 8, state.bonus / 100]
        lights = (tick >> tables.LIT & np.array([1, 2])) != 0
        return jnp.concatenate(
            [
                np.array(list(pyramid().names)) == state.room,
                np.arange(TOP, HEIGHT) == state.y,
                np.arange(MAX_X + 1) == state.x,
                np.arange(5) == state.mode,
                state.taken >> np.arange(1, 32) & 1,
                lights,
                held,
                jnp.stack([*creatures, *rest]),
            ]
        ).astype(jnp.float32)

    @property
    def num_states(self) -> int:
        """State ids: one for each tile of the 24 rooms, stone included; about a third can be entered."""
        return tables.NUM_ROOMS * tables.TILES_Y * tables.TILES_X

    def state_id(self, state: PyramidState, params: PyramidParams | None = None) -> jax.Array:
        """The i32 id of the tile where the agent is, in [0, num_states)."""
        number = jnp.asarray(self._room_numbers).at[state.room].get(mode="promise_in_bounds")
        return (number * tables.TILES_Y + (state.y >> 1)) * tables.TILES_X + (state.x >> 1)

    def cell_key(self, state: PyramidState, params: PyramidParams | None = None) -> jax.Array:
        """The cell of Go-Explore with domain knowledge, i32[3]: level, place to 8 pixels, keys, swords and torch."""
        swords, torch = rules.swords(state.taken, state.slain), rules.has_torch(state.taken)
        carried = rules.keys(state.taken) << 4 | swords << 1 | torch
        return jnp.stack([state.level, self.state_id(state), carried])

    def knowledge(self, state: PyramidState, params: PyramidParams | None = None) -> tuple[jax.Array, ...]:
        """What Go-Explore's weights with domain knowledge use of the cell of a state.

        Returns:
            ``(level, place, keys, neighbours i32[2, 3], exists bool[2])``: its state id, the keys in hand, the cells of
            the tiles to the left and to the right with the same things carried, and whether the world has those tiles.
        """
        level, place, carried = self.cell_key(state)
        column = place % tables.TILES_X
        step = np.array([-1, 1])
        beside = column + step
        leaves = (beside < 0) | (beside >= tables.TILES_X)
        room = state.room + jnp.where(leaves, step, 0)
        row_of_rooms = state.room // tables.COLUMNS
        there = jnp.isin(room, np.array(list(pyramid().names))) & (room // tables.COLUMNS == row_of_rooms)
        number = jnp.asarray(self._room_numbers).at[room].get(mode="clip")
        row = place // tables.TILES_X % tables.TILES_Y
        places = (number * tables.TILES_Y + row) * tables.TILES_X + beside % tables.TILES_X
        neighbours = jnp.stack([jnp.full(2, level), places, jnp.full(2, carried)], axis=-1)
        return level, place, rules.keys(state.taken), neighbours, there

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of the grey frame."""
        return pictures.SIZE, pictures.SIZE

    def shrinking(self, rows: jax.Array, columns: jax.Array):
        """``state -> rows @ frame @ columns.T`` without drawing the grey frame, for cells of shrunk frames.

        Args:
            rows: f32[h, 84].
            columns: f32[w, 84].
        """
        return shrunk.shrinking(rows, columns)

    def pack(self, state: PyramidState) -> jax.Array:
        """u8[22]: the fields in order, those beyond a byte with the low byte first."""
        columns = [
            getattr(state, name) + (name == "drift") >> 8 * byte & 255
            for name, size in _BYTES.items()
            for byte in range(size)
        ]
        return jnp.stack(columns, axis=-1).astype(jnp.uint8)

    def unpack(self, packed: jax.Array, params: PyramidParams | None = None) -> PyramidState:
        """The state that :meth:`pack` stored."""
        columns, at, fields = jnp.moveaxis(packed.astype(jnp.int32), -1, 0), 0, {}
        for name, size in _BYTES.items():
            fields[name] = sum(columns[at + byte] << 8 * byte for byte in range(size)) - (name == "drift")
            at += size
        return PyramidState(**fields)

    def render(self, state: PyramidState, params: PyramidParams | None = None) -> jax.Array:
        """What the agent sees, in colour and enlarged: ``u8[336, 336, 3]``."""
        return pictures.colour(state)

    def map_background(self, params: PyramidParams | None = None) -> np.ndarray:
        """The whole pyramid, ``u8[288, 756, 3]``, 6 pixels a tile: the ground of a coverage map."""
        return pictures.whole_pyramid()

    def positions(self, params: PyramidParams | None = None) -> np.ndarray:
        """Row and column in the 48 x 126 tiles of the whole pyramid of each state id, ``i32[num_states, 2]``."""
        room, y, x = np.unravel_index(
            np.arange(self.num_states), (tables.NUM_ROOMS, tables.TILES_Y, tables.TILES_X)
        )
        row, column = np.divmod(np.array(list(pyramid().names))[room], tables.COLUMNS)
        return np.stack([row * tables.TILES_Y + y, column * tables.TILES_X + x], 1).astype(np.int32)

    def position_map(self, values: jax.Array, params: PyramidParams | None = None) -> jax.Array:
        """``values: f32[num_states]`` laid out over the whole pyramid, ``f32[48, 126]``."""
        y, x = self.positions().T
        shape = (tables.ROWS * tables.TILES_Y, tables.COLUMNS * tables.TILES_X)
        return jnp.zeros(shape).at[y, x].add(jnp.asarray(values))

    def rooms_visited(self, visited: Any) -> np.ndarray:
        """Which of the 24 rooms hold a visited state: ``bool[..., num_states]`` -> ``bool[..., 24]``."""
        visited = np.asarray(visited)
        return visited.reshape(*visited.shape[:-1], tables.NUM_ROOMS, -1).any(-1)

    @property
    def num_actions(self) -> int:
        return len(ACTIONS)

    def action_space(self, params: PyramidParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(len(ACTIONS))

    def observation_space(self, params: PyramidParams | None = None) -> spaces.Box:
        if self.observation == "frame":
            return spaces.Box(0, 255, (pictures.SIZE, pictures.SIZE, 1), jnp.uint8)
        if self.observation == "small":
            return spaces.Box(0.0, 1.0, (tables.TILES_X, tables.TILES_X, 1), jnp.float32)
        return spaces.Box(-1.0, 32.0, (_NUM_FEATURES,), jnp.float32)

    def state_space(self, params: PyramidParams) -> spaces.Dict:
        sizes = {name: 256**size for name, size in _BYTES.items()}
        return spaces.Dict({name: spaces.Discrete(size) for name, size in sizes.items()})

    @cached_property
    def _room_numbers(self) -> np.ndarray:
        numbers = np.zeros(tables.ROWS * tables.COLUMNS, np.int32)
        numbers[list(pyramid().names)] = np.arange(tables.NUM_ROOMS)
        return numbers


def _start_entry() -> int:
    y, x = pyramid().start
    return (y * 32 + x) * 8 + STAND
