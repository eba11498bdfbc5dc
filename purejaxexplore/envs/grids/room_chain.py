"""RoomChain: square rooms in a row, one-cell doors that alternate between bottom and top, one reward at the end.

The plainest world in which a random walk fails. Every room is crossed from corner to corner, so the chance that a
uniform walk reaches the goal within an episode shrinks by two to three orders of magnitude with every two rooms of
4 x 4. The world with four rooms::

    #####################      S  start
    #S...#.........#...G#      G  goal: reward 1, ends the episode
    #....#....#....#....#
    #....#....#....#....#      time limit 200 moves
    #.........#.........#
    #####################

Four moves; a bump into a wall costs its step. Cells, shortest path and the exact probability that a uniform walk
succeeds within 200 moves (by the transition matrix), for num_rooms x size: (4, 4) 67 cells, 30 moves, 8.8e-3;
(6, 4) 101 cells, 46 moves, 4.0e-5; (8, 4) 135 cells, 62 moves, 3.3e-8; (6, 6) 221 cells, 70 moves, 2.4e-9.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.envs.grids import tiles

OBSERVATIONS = ("one_hot", "egocentric", "image")
UP, RIGHT, DOWN, LEFT = range(4)
FLOOR, WALL, GOAL = range(3)
_VIEW = 2  # the egocentric view reaches this far in each direction
_AGENT_GREY = 1.0
_GREYS = np.array([0.85, 0.2, 0.6], np.float32)


class RoomChainState(NamedTuple):
    """What changes during an episode.

    Attributes:
        y: i32, row of the agent; 1 at the top of the rooms, 0 is the wall above.
        x: i32, column of the agent; 1 on the left of the first room.
        time: i32, steps since the start of the episode.
        door_rows: i32[num_rooms - 1], this episode's layout; None where the layout stands in the parameters.
    """

    y: jax.Array
    x: jax.Array
    time: jax.Array
    door_rows: jax.Array | None = None


@struct.dataclass
class RoomChainParams(environment.EnvParams):
    """A level: time limit in steps (at most 65,535, so that a packed clock fits), doors and goal.

    Attributes:
        door_rows: i32[num_rooms - 1], the row of the door in each inner wall, 1 (top) to size (bottom).
        goal_row: i32, the row of the goal in the last column.
    """

    max_steps_in_episode: int = 200
    door_rows: jax.Array | None = None
    goal_row: int = 1


class RoomChain(environment.Environment[RoomChainState, RoomChainParams]):
    """``num_rooms`` rooms of ``size x size`` cells in a row. Actions 0 to 3: up, right, down, left.

    Args:
        num_rooms: 1 or more rooms.
        size: side of a room in cells, 2 or more; a row of the map has at most 255 cells.
        resample: draw the door rows anew in every episode (the episode's layout then stands in the state); otherwise
            they stand in the parameters, where :meth:`sample_params` can draw them once for a lifetime.
        observation: ``"one_hot"`` (the cell, f32[num_states]), ``"egocentric"`` (floor, wall, goal around the agent,
            f32[5, 5, 3]) or ``"image"`` (grey, two pixels a tile, f32[2 H, 2 W, 1] in [0, 1]).

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(
        self, num_rooms: int = 6, size: int = 4, resample: bool = False, observation: str = "one_hot"
    ):
        super().__init__()
        if num_rooms < 1:
            raise ValueError(f"num_rooms={num_rooms}: expected 1 or more")
        if size < 2:
            raise ValueError(f"size={size}: expected rooms of 2 x 2 cells or larger")
        if num_rooms * (size + 1) + 1 > 255:
            most = 254 // (size + 1)
            raise ValueError(f"num_rooms={num_rooms}: expected at most {most} rooms of size={size}")
        if observation not in OBSERVATIONS:
            raise ValueError(f"observation={observation!r}: expected one of {OBSERVATIONS}")
        self.num_rooms, self.size, self.resample, self.observation = num_rooms, size, resample, observation
        self.height, self.width = size + 2, num_rooms * (size + 1) + 1
        self.start = (1, 1)

    @property
    def default_params(self) -> RoomChainParams:
        """Doors at the bottom, top, bottom, ... and the goal on the side that the last door is not."""
        sides = [self.size if wall % 2 == 0 else 1 for wall in range(self.num_rooms)]
        return RoomChainParams(door_rows=jnp.array(sides[:-1], jnp.int32), goal_row=sides[-1])

    def sample_params(self, key: jax.Array, params: RoomChainParams) -> RoomChainParams:
        """``params`` with the row of every door drawn uniformly."""
        return params.replace(door_rows=self._sample_door_rows(key))

    def reset_env(self, key: jax.Array, params: RoomChainParams) -> tuple[jax.Array, RoomChainState]:
        """A fresh episode: ``key -> (observation, state)``."""
        door_rows = self._sample_door_rows(key) if self.resample else None
        y, x = self.start
        state = RoomChainState(jnp.int32(y), jnp.int32(x), jnp.int32(0), door_rows)
        return self.get_obs(state, params), state

    def step_env(
        self, key: jax.Array, state: RoomChainState, action: jax.Array, params: RoomChainParams
    ) -> tuple[jax.Array, RoomChainState, jax.Array, jax.Array, dict[str, Any]]:
        """One move without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the goal was reached by this move) and ``state_id`` of the successor.
        """
        state = self._walk(state, action, params)
        success = self.is_terminated(state, params)
        info = {"success": success, "state_id": self.state_id(state, params)}
        return self.get_obs(state, params), state, success.astype(jnp.float32), success, info

    def is_terminated(self, state: RoomChainState, params: RoomChainParams) -> jax.Array:
        """Whether the agent stands on the goal."""
        return (state.y == params.goal_row) & (state.x == self.width - 2)

    def get_obs(self, state: RoomChainState, params: RoomChainParams, key=None) -> jax.Array:
        """The observation of ``state``, in the form chosen at construction."""
        if self.observation == "one_hot":
            return (np.arange(self.num_states) == self.state_id(state, params)).astype(jnp.float32)
        if self.observation == "egocentric":
            offset = np.arange(-_VIEW, _VIEW + 1)
            columns = jax.lax.dynamic_slice(self._columns(state, params), (state.x,), (2 * _VIEW + 1,))
            view = self._tiles(state.y + offset[:, None], state.x + offset, columns, params)
            return (view[..., None] == np.arange(3)).astype(jnp.float32)
        y, x = np.arange(2 * self.height)[:, None] // 2, np.arange(2 * self.width) // 2
        columns = self._columns(state, params)[_VIEW + x]
        grey = jnp.asarray(_GREYS)[self._tiles(y, x, columns, params)]
        return jnp.where((y == state.y) & (x == state.x), _AGENT_GREY, grey)[..., None]

    @property
    def num_states(self) -> int:
        """Cells, doors included. They have the same ids in every layout, and all can be reached."""
        return self.num_rooms * (self.size**2 + 1) - 1

    @property
    def num_reachable(self) -> int:
        return self.num_states

    def state_id(self, state: RoomChainState, params: RoomChainParams | None = None) -> jax.Array:
        """The i32 id of the agent's cell in [0, num_states): room by room, row by row, then the room's door."""
        room, column = (state.x - 1) // (self.size + 1), (state.x - 1) % (self.size + 1)
        in_room = jnp.where(column == self.size, self.size**2, (state.y - 1) * self.size + column)
        return room * (self.size**2 + 1) + in_room

    def pack(self, state: RoomChainState) -> jax.Array:
        """u8[4]: row, column, low and high byte of the time; with ``resample`` also the door rows."""
        fields = jnp.stack([state.y, state.x, state.time & 255, state.time >> 8], axis=-1)
        if self.resample:
            fields = jnp.concatenate([fields, state.door_rows], axis=-1)
        return fields.astype(jnp.uint8)

    def unpack(self, packed: jax.Array, params: RoomChainParams | None = None) -> RoomChainState:
        """The state that :meth:`pack` stored."""
        fields = packed.astype(jnp.int32)
        time = fields[..., 2] | fields[..., 3] << 8
        return RoomChainState(fields[..., 0], fields[..., 1], time, fields[..., 4:] if self.resample else None)

    def render(self, state: RoomChainState, params: RoomChainParams) -> jax.Array:
        """The world as ``u8[16 H, 16 W, 3]``."""
        return tiles.draw_agent(self._picture(state, params), state.y, state.x)

    def map_background(self, params: RoomChainParams) -> jax.Array:
        """The world of ``params`` without the agent, ``u8[16 H, 16 W, 3]``: the ground of a coverage map."""
        return self._picture(RoomChainState(0, 0, 0, params.door_rows), params)

    def positions(self, params: RoomChainParams) -> jax.Array:
        """Row and column of each state id in the layout of ``params``, ``i32[num_states, 2]``."""
        room, cell = np.divmod(np.arange(self.num_states), self.size**2 + 1)
        is_door = cell == self.size**2
        door_rows = jnp.append(params.door_rows, 1)[room]
        y = jnp.where(is_door, door_rows, 1 + cell // self.size)
        x = room * (self.size + 1) + np.where(is_door, self.size + 1, 1 + cell % self.size)
        return jnp.stack([y, jnp.asarray(x, jnp.int32)], axis=-1)

    def position_map(self, values: jax.Array, params: RoomChainParams | None = None) -> jax.Array:
        """``values: f32[num_states]`` laid out as ``f32[H, W]`` (by default in the standard layout)."""
        y, x = self.positions(self.default_params if params is None else params).T
        return jnp.zeros((self.height, self.width)).at[y, x].add(jnp.asarray(values))

    @property
    def num_actions(self) -> int:
        return 4

    def action_space(self, params: RoomChainParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(4)

    def observation_space(self, params: RoomChainParams | None = None) -> spaces.Box:
        shapes = {
            "one_hot": (self.num_states,),
            "egocentric": (2 * _VIEW + 1, 2 * _VIEW + 1, 3),
            "image": (2 * self.height, 2 * self.width, 1),
        }
        return spaces.Box(0.0, 1.0, shapes[self.observation], jnp.float32)

    def state_space(self, params: RoomChainParams) -> spaces.Dict:
        limit = spaces.Discrete(params.max_steps_in_episode + 1)
        return spaces.Dict({"y": spaces.Discrete(self.height), "x": spaces.Discrete(self.width), "time": limit})

    def _sample_door_rows(self, key: jax.Array) -> jax.Array:
        return jax.random.randint(key, (self.num_rooms - 1,), 1, self.size + 1)

    def _walk(self, state: Any, action: jax.Array, params: RoomChainParams) -> Any:
        """The state, of any type with a place, a time and door rows, after a move; no action from 4 on moves."""
        down = (action == DOWN) * 1 - (action == UP)
        right = (action == RIGHT) * 1 - (action == LEFT)
        column = self._columns(state, params).at[state.x + right + _VIEW].get(mode="promise_in_bounds")
        free = ~self._is_wall(state.y + down, column)
        return state._replace(y=state.y + down * free, x=state.x + right * free, time=state.time + 1)

    def _columns(self, state: RoomChainState, params: RoomChainParams) -> jax.Array:
        """For each column of the map: 0 all floor, r only the door in row r, -1 all wall. i32[W + 2 _VIEW], padded."""
        door_rows = state.door_rows if self.resample else params.door_rows
        x = np.arange(-_VIEW, self.width + _VIEW)
        inside = (x > 0) & (x < self.width - 1)
        # Where each column's code stands in [0, -1, door rows]: a gather by constants.
        source = np.where(~inside, 1, np.where(x % (self.size + 1) == 0, 1 + x // (self.size + 1), 0))
        return jnp.concatenate([jnp.array([0, -1], jnp.int32), door_rows])[source]

    def _is_wall(self, y, column):
        return (y < 1) | (y > self.size) | (column != 0) & (y != column)

    def _tiles(self, y, x, column, params: RoomChainParams) -> jax.Array:
        goal = (y == params.goal_row) & (x == self.width - 2)
        return jnp.where(self._is_wall(y, column), WALL, jnp.where(goal, GOAL, FLOOR))

    def _picture(self, state: RoomChainState, params: RoomChainParams) -> jax.Array:
        y, x = np.mgrid[: self.height, : self.width]
        columns = self._columns(state, params)[_VIEW + x]
        sprites = np.stack([tiles.floor(), tiles.wall(), tiles.treasure()])  # FLOOR, WALL, GOAL
        return tiles.compose(sprites, self._tiles(y, x, columns, params))
