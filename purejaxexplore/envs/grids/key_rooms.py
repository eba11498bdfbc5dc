"""KeyRooms: rooms in a snake, pits, keys that open doors, a treasure behind the last door.

A small deterministic stand-in for the first level of Montezuma's Revenge, the game on which Ecoffet, Huizinga,
Lehman, Stanley and Clune (2019, "Go-Explore: a New Approach for Hard-Exploration Problems") showed why an agent
should return to what it has reached before it explores further. The default world::

    ###################      S        start
    #S....#.....#.....#      a, b, c  keys: reward 1 each
    #.o.o.#.o.o.#.o.o.#      A, B, C  their doors: reward 2 each
    #.................#      T        treasure: reward 10, ends the episode
    #.o.o.#.o.o.#.o.o.#      o        pit: ends the episode without reward
    #c....#....a#.....#
    ###############A###      time limit 400 moves
    #.....#b....#.....#
    #.o.o.#.o.o.#.o.o.#      1,321 reachable states (position, keys, doors)
    #.................#
    #.o.o.#.o.o.#.o.o.#      68 moves from S to T on the shortest route,
    #.....#.....#.....#      which collects all 19 points
    ###B###############
    #.....#.....#.....#
    #.o.o.#.o.o.#.o.o.#
    #...........C.....#
    #.o.o.#.o.o.#.o.o.#
    #.....#.....#....T#
    ###################

Four moves. A move into a wall, or into a closed door without its key, leaves the agent where it is and costs its
step. A key is taken by stepping on it and kept for the rest of the episode; stepping on a closed door with its key
opens it for good.
"""

from functools import cached_property
from math import ceil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.envs.grids import tiles

OBSERVATIONS = ("symbolic", "grid", "image")
UP, RIGHT, DOWN, LEFT = range(4)
FLOOR, WALL, PIT, KEY, DOOR, TREASURE, AGENT = range(7)
_GREYS = np.array([0.85, 0.2, 0.0, 0.55, 0.4, 0.7, 1.0], np.float32)
_BLOCK = 6  # a 5 x 5 room and one wall
_MAX_ROOMS, _MAX_KEYS = 42, 8  # a coordinate, and a set of keys, fit one byte

# What a move does is one word: 2 bits for the step down + 1, 2 bits for the step right + 1, 8 bits for the key that
# lies there, 8 bits for the door that stands there, then whether the episode ends and whether with the treasure.
_KEY, _DOOR, _ENDS, _WINS = 4, 12, 1 << 20, 1 << 21


class KeyRoomsState(NamedTuple):
    """What changes during an episode; every field is an i32 scalar.

    Attributes:
        y: row of the agent, 0 at the top.
        x: column of the agent, 0 on the left.
        keys: bit k is set once key k has been taken.
        doors: bit k is set once door k has been opened.
        time: steps since the start of the episode.
        last_action: the action that was last carried out, -1 before the first; None without sticky actions.
    """

    y: jax.Array
    x: jax.Array
    keys: jax.Array
    doors: jax.Array
    time: jax.Array
    last_action: jax.Array | None = None


@struct.dataclass
class KeyRoomsParams(environment.EnvParams):
    """Time limit in steps (at most 65,535, so that a packed clock fits) and rewards."""

    max_steps_in_episode: int = 400
    key_reward: float = 1.0
    door_reward: float = 2.0
    treasure_reward: float = 10.0


class KeyRooms(environment.Environment[KeyRoomsState, KeyRoomsParams]):
    """A snake of ``num_rooms x num_rooms`` rooms with ``num_keys`` locked doors.

    Actions 0 to 3: up, right, down, left (others modulo 4).

    The doors stand at equal distances along the snake, the last one before the treasure's room. Key k lies in the
    middle room between door k - 1 and door k; the last key lies in the start room, where a hasty agent leaves it.

    Args:
        num_rooms: rooms along each side, 2 to 42; the map has ``6 * num_rooms + 1`` rows and columns.
        num_keys: keys and doors, 1 to 8, fewer than rooms.
        sticky: probability in [0, 1) that the last action is repeated instead of the chosen one (Machado et al.,
            2018, "Revisiting the Arcade Learning Environment"). At 0 no random number is drawn.
        max_noops: an episode starts after 0 to ``max_noops`` idle steps, drawn uniformly. Nothing moves by itself
            here, so they only spend time.
        observation: ``"symbolic"`` (one-hot row, one-hot column, key bits, door bits: f32[H + W + 2 K], 44 at the
            default size), ``"grid"`` (one-hot tiles, f32[H, W, 7]: floor, wall, pit, key, closed door, treasure,
            agent) or ``"image"`` (grey, two pixels a tile, f32[2 H, 2 W, 1] in [0, 1]).

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(
        self,
        num_rooms: int = 3,
        num_keys: int = 3,
        sticky: float = 0.0,
        max_noops: int = 0,
        observation: str = "symbolic",
    ):
        super().__init__()
        if not 2 <= num_rooms <= _MAX_ROOMS:
            raise ValueError(f"num_rooms={num_rooms}: expected 2 to {_MAX_ROOMS} rooms along each side")
        if not 1 <= num_keys <= min(_MAX_KEYS, num_rooms**2 - 1):
            most = min(_MAX_KEYS, num_rooms**2 - 1)
            raise ValueError(f"num_keys={num_keys}: expected 1 to {most} with num_rooms={num_rooms}")
        if not 0.0 <= sticky < 1.0:
            raise ValueError(f"sticky={sticky}: expected a probability in [0, 1)")
        if max_noops < 0:
            raise ValueError(f"max_noops={max_noops}: expected 0 or more")
        if observation not in OBSERVATIONS:
            raise ValueError(f"observation={observation!r}: expected one of {OBSERVATIONS}")
        self.num_rooms, self.num_keys = num_rooms, num_keys
        self.sticky, self.max_noops, self.observation = sticky, max_noops, observation
        self.height = self.width = _BLOCK * num_rooms + 1
        self.start = (1, 1)
        self.doors, self.keys, self.treasure = _place(num_rooms, num_keys)

    @property
    def default_params(self) -> KeyRoomsParams:
        return KeyRoomsParams()

    @property
    def max_return(self) -> float:
        """The highest undiscounted return of an episode under the default rewards."""
        params = self.default_params
        return self.num_keys * (params.key_reward + params.door_reward) + params.treasure_reward

    def reset_env(self, key: jax.Array, params: KeyRoomsParams) -> tuple[jax.Array, KeyRoomsState]:
        """A fresh episode: ``key -> (observation, state)``."""
        time = jax.random.randint(key, (), 0, self.max_noops + 1) if self.max_noops else jnp.int32(0)
        last_action = jnp.int32(-1) if self.sticky else None
        y, x = self.start
        state = KeyRoomsState(jnp.int32(y), jnp.int32(x), jnp.int32(0), jnp.int32(0), time, last_action)
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: KeyRoomsState, action: jax.Array, params: KeyRoomsParams
    ) -> tuple[jax.Array, KeyRoomsState, jax.Array, jax.Array, dict[str, Any]]:
        """One move without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the treasure was reached by this move) and ``state_id`` of the successor.
        """
        action = jnp.asarray(action, jnp.int32)
        if self.sticky:
            repeat = jax.random.bernoulli(key, self.sticky) & (state.last_action >= 0)
            action = jnp.where(repeat, state.last_action, action)
        index = (state.y * self.width + state.x) * 4 + (action & 3)
        move = jnp.asarray(self._moves).at[index].get(mode="promise_in_bounds")
        y, x, keys, doors = self._apply(move, state.y, state.x, state.keys, state.doors)
        last_action = action if self.sticky else None
        successor = KeyRoomsState(y, x, keys, doors, state.time + 1, last_action)
        success, terminated = (move & _WINS) != 0, (move & _ENDS) != 0
        reward = (
            (keys != state.keys) * jnp.float32(params.key_reward)
            + (doors != state.doors) * jnp.float32(params.door_reward)
            + success * jnp.float32(params.treasure_reward)
        )
        info = {"success": success, "state_id": self.state_id(successor, params)}
        return self.get_obs(successor), successor, reward, terminated, info

    def is_terminated(self, state: KeyRoomsState, params: KeyRoomsParams) -> jax.Array:
        """Whether the agent fell into a pit or holds the treasure."""
        return self._is_pit(state.y, state.x) | self._at(state.y, state.x, self.treasure)

    def get_obs(self, state: KeyRoomsState, params: KeyRoomsParams | None = None, key=None) -> jax.Array:
        """The observation of ``state``, in the form chosen at construction."""
        if self.observation == "grid":
            return (self._tiles(state)[..., None] == jnp.arange(7)).astype(jnp.float32)
        if self.observation == "image":
            return jnp.asarray(_GREYS)[self._tiles(state, zoom=2)][..., None]
        ones = self.height + self.width
        feature = np.arange(ones + 2 * self.num_keys)
        own_bit = np.where(feature < ones, 0, 1 << np.maximum(feature - ones, 0))
        bits = state.keys | state.doors << self.num_keys
        on = (feature == state.y) | (feature == self.height + state.x) | (bits & own_bit != 0)
        return on.astype(jnp.float32)

    @property
    def num_states(self) -> int:
        """State ids: one for each reachable non-terminal state, and a last one for all terminal states."""
        return self.num_reachable + 1

    @property
    def num_reachable(self) -> int:
        """Reachable non-terminal (position, keys, doors); coverage counts the ids below this number."""
        return self._reachable.size

    def state_id(self, state: KeyRoomsState, params: KeyRoomsParams | None = None) -> jax.Array:
        """The i32 id of (position, keys, doors) in [0, num_states), ``num_states - 1`` for every terminal state."""
        code = self._compact(state.y, state.x, state.keys, state.doors)
        return jnp.asarray(self._id_table).at[code].get(mode="promise_in_bounds")

    def cell_key(self, state: KeyRoomsState, params: KeyRoomsParams | None = None) -> jax.Array:
        """The i32 code ``((y W + x) 2^K + keys) 2^K + doors``, unique also among unreachable states."""
        bits = self.num_keys
        return ((state.y * self.width + state.x << bits) + state.keys << bits) + state.doors

    def pack(self, state: KeyRoomsState) -> jax.Array:
        """u8[6]: row, column, keys, doors, low and high byte of the time; u8[7] with the last action if sticky."""
        fields = [state.y, state.x, state.keys, state.doors, state.time & 255, state.time >> 8]
        if self.sticky:
            fields.append(state.last_action & 255)
        return jnp.stack(fields, axis=-1).astype(jnp.uint8)

    def unpack(self, packed: jax.Array, params: KeyRoomsParams | None = None) -> KeyRoomsState:
        """The state that :meth:`pack` stored."""
        y, x, keys, doors, low, high, *rest = jnp.moveaxis(packed.astype(jnp.int32), -1, 0)
        last_action = jnp.where(rest[0] == 255, -1, rest[0]) if self.sticky else None
        return KeyRoomsState(y, x, keys, doors, low | high << 8, last_action)

    def render(self, state: KeyRoomsState, params: KeyRoomsParams | None = None) -> jax.Array:
        """The world as ``u8[16 H, 16 W, 3]``; taken keys are gone, open doors show their posts."""
        return tiles.draw_agent(self._picture(state.keys, state.doors), state.y, state.x)

    def map_background(self, params: KeyRoomsParams | None = None) -> jax.Array:
        """The untouched world without the agent, ``u8[16 H, 16 W, 3]``: the ground of a coverage map."""
        return self._picture(jnp.int32(0), jnp.int32(0))

    def positions(self, params: KeyRoomsParams | None = None) -> np.ndarray:
        """Row and column of each state id, ``i32[num_states, 2]``; -1 for the id of the terminal states."""
        cell = self._reachable // ((self.num_keys + 1) << self.num_keys)
        return np.vstack([np.stack([cell // self.width, cell % self.width], 1), [[-1, -1]]]).astype(np.int32)

    def position_map(self, values: jax.Array, params: KeyRoomsParams | None = None) -> jax.Array:
        """Sums ``values: f32[num_states]`` over keys and doors, terminal states left out: ``f32[H, W]``."""
        y, x = self.positions()[:-1].T
        return jnp.zeros((self.height, self.width)).at[y, x].add(jnp.asarray(values)[:-1])

    @property
    def num_actions(self) -> int:
        return 4

    def action_space(self, params: KeyRoomsParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(4)

    def observation_space(self, params: KeyRoomsParams | None = None) -> spaces.Box:
        shapes = {
            "symbolic": (self.height + self.width + 2 * self.num_keys,),
            "grid": (self.height, self.width, 7),
            "image": (2 * self.height, 2 * self.width, 1),
        }
        return spaces.Box(0.0, 1.0, shapes[self.observation], jnp.float32)

    def state_space(self, params: KeyRoomsParams) -> spaces.Dict:
        sets = spaces.Discrete(1 << self.num_keys)
        limit = spaces.Discrete(params.max_steps_in_episode + 1)
        rows, columns = spaces.Discrete(self.height), spaces.Discrete(self.width)
        return spaces.Dict({"y": rows, "x": columns, "keys": sets, "doors": sets, "time": limit})

    @cached_property
    def _moves(self) -> np.ndarray:
        """The word of each (position, action), ``i32[4 H W]``: one lookup a step, after which little is left to do."""
        y, x, action = np.mgrid[: self.height, : self.width, :4]
        down, right = (action == DOWN) * 1 - (action == UP), (action == RIGHT) * 1 - (action == LEFT)
        free = ~self._is_wall(y + down, x + right)
        down, right = down * free, right * free
        y, x = y + down, x + right
        won = self._at(y, x, self.treasure)
        words = (down + 1) | (right + 1) << 2 | (won | self._is_pit(y, x)) * _ENDS | won * _WINS
        for bit, (item, door) in enumerate(zip(self.keys, self.doors, strict=True)):
            words |= self._at(y, x, item) << _KEY + bit | self._at(y, x, door) << _DOOR + bit
        return words.astype(np.int32).ravel()

    def _apply(self, move, y, x, keys, doors):
        """The successor's (y, x, keys, doors). Operators only: for JAX in ``step_env``, for NumPy in the search."""
        door = move >> _DOOR & 255
        passes = (door & ~keys) == 0
        y, x = y + ((move & 3) - 1) * passes, x + ((move >> 2 & 3) - 1) * passes
        return y, x, keys | move >> _KEY & 255, doors | door & keys

    def _at(self, y, x, place):
        return (y == place[0]) & (x == place[1])

    def _is_wall(self, y, x):
        last = self.height - 1
        side = (x % _BLOCK == 0) & ((y % _BLOCK != 3) | (x == 0) | (x == last))
        # The snake turns on the right below even rows of rooms and on the left below odd ones.
        turn = 3 + (last - _BLOCK) * (y % (2 * _BLOCK) == _BLOCK)
        level = (y % _BLOCK == 0) & ((x != turn) | (y == 0) | (y == last))
        return side | level

    def _is_pit(self, y, x):
        y, x = y % _BLOCK, x % _BLOCK
        return ((y == 2) | (y == 4)) & ((x == 2) | (x == 4))

    def _compact(self, y, x, keys, doors):
        """A smaller :meth:`cell_key`: the doors of a snake open in order, so their number says which."""
        num_open = sum(doors >> bit & 1 for bit in range(self.num_keys))
        return ((y * self.width + x << self.num_keys) + keys) * (self.num_keys + 1) + num_open

    @cached_property
    def _reachable(self) -> np.ndarray:
        """The sorted compact codes of all reachable non-terminal states, by breadth-first search."""
        seen = np.zeros(self.height * self.width * (self.num_keys + 1) << self.num_keys, bool)
        frontier = np.array([[*self.start, 0, 0]]).T
        actions = np.arange(4)[:, None]
        while frontier.size:
            seen[self._compact(*frontier)] = True
            index = (frontier[0] * self.width + frontier[1]) * 4 + actions
            successors = self._apply(self._moves[index], *frontier[:, None])
            y, x, keys, doors = (field.ravel() for field in successors)
            code, first = np.unique(self._compact(y, x, keys, doors), return_index=True)
            y, x = y[first], x[first]
            new = ~(seen[code] | self._is_pit(y, x) | self._at(y, x, self.treasure))
            frontier = np.stack([y, x, keys[first], doors[first]])[:, new]
        return np.flatnonzero(seen)

    @cached_property
    def _id_table(self) -> np.ndarray:
        size = self.height * self.width * (self.num_keys + 1) << self.num_keys
        table = np.full(size, self._reachable.size, np.int32)
        table[self._reachable] = np.arange(self._reachable.size)
        return table

    @cached_property
    def _level(self) -> tuple[np.ndarray, np.ndarray]:
        """The tiles of the untouched world and the bit of each key and door in keys | doors << K (-1: neither)."""
        y, x = np.mgrid[: self.height, : self.width]
        tile = np.where(self._is_wall(y, x), WALL, np.where(self._is_pit(y, x), PIT, FLOOR))
        tile[self.treasure] = TREASURE
        bit = np.full(tile.shape, -1)
        for number, place in enumerate(self.keys + self.doors):
            tile[place] = KEY if number < self.num_keys else DOOR
            bit[place] = number
        return tile.astype(np.int32), bit.astype(np.int32)

    def _tiles(self, state: KeyRoomsState, zoom: int = 1) -> jax.Array:
        """The tile at each place, i32[zoom H, zoom W], the agent included."""
        tile, bit = (np.kron(array, np.ones((zoom, zoom), np.int32)) for array in self._level)
        y, x = np.arange(self.height * zoom)[:, None] // zoom, np.arange(self.width * zoom) // zoom
        gone = (bit >= 0) & ((state.keys | state.doors << self.num_keys) >> np.maximum(bit, 0) & 1 == 1)
        return jnp.where((y == state.y) & (x == state.x), AGENT, jnp.where(gone, FLOOR, tile))

    def _picture(self, keys: jax.Array, doors: jax.Array) -> jax.Array:
        tile, bit = self._level
        numbers = range(self.num_keys)
        plain = {FLOOR: tiles.floor(), WALL: tiles.wall(), PIT: tiles.pit(), TREASURE: tiles.treasure()}
        items = [tiles.key(n) for n in numbers] + [tiles.closed_door(n) for n in numbers]
        gone = [tiles.floor() for _ in numbers] + [tiles.open_door(n) for n in numbers]
        index = sum((tile == kind) * place for place, kind in enumerate(plain)) + (bit >= 0) * (len(plain) + bit)
        used = (bit >= 0) & ((keys | doors << self.num_keys) >> np.maximum(bit, 0) & 1 == 1)
        return tiles.compose(np.stack([*plain.values(), *items, *gone]), index + used * len(items))


def _place(num_rooms: int, num_keys: int) -> tuple[list, list, tuple[int, int]]:
    """The places (row, column) of the doors, of the keys and of the treasure."""
    snake = [(r, c if r % 2 == 0 else num_rooms - 1 - c) for r in range(num_rooms) for c in range(num_rooms)]

    def in_room(number, row, column):
        return _BLOCK * snake[number][0] + row, _BLOCK * snake[number][1] + column

    # Passage i joins the rooms i and i + 1 of the snake; its door stands midway between their centres.
    passages = [ceil((k + 1) * (len(snake) - 1) / num_keys) - 1 for k in range(num_keys)]
    centres = [(in_room(i, 3, 3), in_room(i + 1, 3, 3)) for i in passages]
    doors = [((a[0] + b[0]) // 2, (a[1] + b[1]) // 2) for a, b in centres]
    first_rooms = [0] + [i + 1 for i in passages[:-1]]
    middle_rooms = [(first + last) // 2 for first, last in zip(first_rooms, passages, strict=True)]
    corners = [(5, 5) if k % 2 == 0 else (1, 1) for k in range(num_keys)]
    keys = [in_room(room, *corner) for room, corner in zip(middle_rooms[:-1], corners, strict=False)]
    return doors, [*keys, in_room(0, 5, 1)], in_room(len(snake) - 1, 5, 5)
