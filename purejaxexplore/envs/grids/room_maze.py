"""RoomMaze: square rooms in a square, one-cell doors between some of them, and one reward in the farthest corner.

FourRooms of Sutton, Precup and Singh (1999, "Between MDPs and semi-MDPs") with any number of rooms a side: which rooms
are connected is a random maze (:mod:`.mazes`), where a door stands along its wall is drawn too, and the goal is the
cell that is farthest from the start. The world of four by four rooms of five by five measures 25 x 25 cells:
415 cells, and in 1,000 levels the goal lay 64 to 130 moves away, median 92. Two by two rooms of eleven with one loop
are FourRooms of that size. Four moves; a bump into a wall costs its step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice, whole_number
from purejaxexplore.envs.grids import tiles
from purejaxexplore.envs.grids.mazes import DOWN, RIGHT, braid, perfect_maze
from purejaxexplore.envs.grids.squares import crop, displacement, distances

OBSERVATIONS = ("place", "one_hot", "egocentric")
FLOOR, WALL, GOAL = range(3)
_VIEW = 2  # the egocentric view reaches this far in each direction


class RoomMazeState(NamedTuple):
    """What changes during an episode, all i32.

    Attributes:
        y, x: row and column of the agent; (1, 1) is the upper left cell of the first room.
        time: steps since the start of the episode.
    """

    y: jax.Array
    x: jax.Array
    time: jax.Array


@struct.dataclass
class RoomMazeParams(environment.EnvParams):
    """A level: the time limit in steps (at most 65,535, so that a packed clock fits), doors and goal.

    Attributes:
        passages: bool[2, k, k], whether a room is connected with the one on its right (first) and below (second).
        doors: i32[2, k, k], in [0, size), how far along its wall each door stands.
        goal: i32[2], row and column of the goal.
    """

    max_steps_in_episode: int = 200
    passages: jax.Array | None = None
    doors: jax.Array | None = None
    goal: jax.Array | None = None


class RoomMaze(environment.Environment[RoomMazeState, RoomMazeParams]):
    """``num_rooms x num_rooms`` rooms of ``size x size`` cells. Actions 0 to 3: up, right, down, left.

    Args:
        num_rooms: k, rooms a side, 2 or more.
        size: cells a side of a room, 2 or more; the map has at most 255 rows.
        loops: doors beyond those of a tree of rooms, 0 to ``(num_rooms - 1)^2``.
        observation: ``"place"`` (row and column, f32[2]), ``"one_hot"`` (the cell, f32[num_states]) or
            ``"egocentric"`` (floor, wall, goal around the agent, f32[5, 5, 3]).

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(self, num_rooms: int = 4, size: int = 5, loops: int = 0, observation: str = "place"):
        super().__init__()
        whole_number("size", size, 2, 126)
        whole_number("num_rooms", num_rooms, 2, 254 // (size + 1))
        whole_number("loops", loops, 0, (num_rooms - 1) ** 2)
        choice("observation", observation, OBSERVATIONS)
        self.num_rooms, self.size, self.loops, self.observation = num_rooms, size, loops, observation
        self.side = num_rooms * (size + 1) + 1
        self.start = (1, 1)

    @property
    def default_params(self) -> RoomMazeParams:
        """The level of key 0."""
        return self.sample_params(jax.random.key(0), RoomMazeParams())

    def sample_params(self, key: jax.Array, params: RoomMazeParams) -> RoomMazeParams:
        """``params`` with another maze, and the goal in the cell that is farthest from the start there."""
        key_maze, key_loops, key_doors = jax.random.split(key, 3)
        passages = perfect_maze(key_maze, self.num_rooms)
        if self.loops:
            passages = braid(key_loops, passages, self.loops)
        doors = jax.random.randint(key_doors, passages.shape, 0, self.size)
        away = self.distances(params.replace(passages=passages, doors=doors))
        farthest = jnp.argmax(jnp.where(away < away.size, away, -1))
        goal = jnp.stack([farthest // self.side, farthest % self.side]).astype(jnp.int32)
        return params.replace(passages=passages, doors=doors, goal=goal)

    def distances(self, params: RoomMazeParams) -> jax.Array:
        """Moves from the start to every cell, i32[side, side]; ``side^2`` for walls."""
        start = np.zeros((self.side, self.side), bool)
        start[self.start] = True
        return distances(~self.walls(params), jnp.asarray(start))

    def walls(self, params: RoomMazeParams) -> jax.Array:
        """bool[side, side]."""
        y, x = np.mgrid[: self.side, : self.side]
        return self._is_wall(y, x, params)

    def reset_env(self, key: jax.Array, params: RoomMazeParams) -> tuple[jax.Array, RoomMazeState]:
        """A fresh episode in the upper left corner: ``key -> (observation, state)``."""
        state = RoomMazeState(*map(jnp.int32, self.start), jnp.int32(0))
        return self.get_obs(state, params), state

    def step_env(
        self, key: jax.Array, state: RoomMazeState, action: jax.Array, params: RoomMazeParams
    ) -> tuple[jax.Array, RoomMazeState, jax.Array, jax.Array, dict[str, Any]]:
        """One move without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the goal was reached by this move) and ``state_id`` of the successor.
        """
        down, right = displacement(action)
        free = ~self._is_wall(state.y + down, state.x + right, params)
        state = RoomMazeState(state.y + down * free, state.x + right * free, state.time + 1)
        success = self.is_terminated(state, params)
        info = {"success": success, "state_id": self.state_id(state, params)}
        return self.get_obs(state, params), state, success.astype(jnp.float32), success, info

    def is_terminated(self, state: RoomMazeState, params: RoomMazeParams) -> jax.Array:
        """Whether the agent stands on the goal."""
        return (state.y == params.goal[0]) & (state.x == params.goal[1])

    def get_obs(self, state: RoomMazeState, params: RoomMazeParams, key=None) -> jax.Array:
        """The observation of ``state``, in the form chosen at construction."""
        if self.observation == "place":
            return jnp.stack([state.y, state.x]).astype(jnp.float32)
        if self.observation == "one_hot":
            return (np.arange(self.num_states) == self.state_id(state, params)).astype(jnp.float32)
        view = crop(self._tiles(params), state.y, state.x, _VIEW, WALL)
        return (view[..., None] == np.arange(3)).astype(jnp.float32)

    @property
    def num_states(self) -> int:
        """Cells of the map row by row, walls included: every level has the same ids."""
        return self.side**2

    @property
    def num_reachable(self) -> int:
        """Cells of the rooms, and doors."""
        return self.num_rooms**2 * (self.size**2 + 1) - 1 + self.loops

    def state_id(self, state: RoomMazeState, params: RoomMazeParams | None = None) -> jax.Array:
        """The i32 id of the agent's cell in [0, num_states)."""
        return state.y * self.side + state.x

    def room(self, y: jax.Array, x: jax.Array) -> jax.Array:
        """The i32 number of a cell's room in [0, num_rooms^2); a door belongs to the room above it or on its left."""
        row, column = ((jnp.asarray(z, jnp.int32) - 1) // (self.size + 1) for z in (y, x))
        return row * self.num_rooms + column

    def pack(self, state: RoomMazeState) -> jax.Array:
        """u8[4]: row, column, low and high byte of the time."""
        return jnp.stack([state.y, state.x, state.time & 255, state.time >> 8], axis=-1).astype(jnp.uint8)

    def unpack(self, packed: jax.Array, params: RoomMazeParams | None = None) -> RoomMazeState:
        """The state that :meth:`pack` stored."""
        fields = packed.astype(jnp.int32)
        return RoomMazeState(fields[..., 0], fields[..., 1], fields[..., 2] | fields[..., 3] << 8)

    def render(self, state: RoomMazeState, params: RoomMazeParams) -> jax.Array:
        """The world as ``u8[16 side, 16 side, 3]``."""
        return tiles.draw_agent(self.map_background(params), state.y, state.x)

    def map_background(self, params: RoomMazeParams) -> jax.Array:
        """The world without the agent, ``u8[16 side, 16 side, 3]``: the ground of a coverage map."""
        return tiles.compose(np.stack([tiles.floor(), tiles.wall(), tiles.treasure()]), self._tiles(params))

    def position_map(self, values: jax.Array, params: RoomMazeParams | None = None) -> jax.Array:
        """``values: f32[num_states]`` laid out as ``f32[side, side]``."""
        return jnp.reshape(values, (self.side, self.side))

    @property
    def num_actions(self) -> int:
        return 4

    def action_space(self, params: RoomMazeParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(4)

    def observation_space(self, params: RoomMazeParams | None = None) -> spaces.Box:
        if self.observation == "place":
            return spaces.Box(1.0, self.side - 2.0, (2,), jnp.float32)
        shape = (self.num_states,) if self.observation == "one_hot" else (2 * _VIEW + 1, 2 * _VIEW + 1, 3)
        return spaces.Box(0.0, 1.0, shape, jnp.float32)

    def state_space(self, params: RoomMazeParams) -> spaces.Dict:
        limit = spaces.Discrete(params.max_steps_in_episode + 1)
        return spaces.Dict({"y": spaces.Discrete(self.side), "x": spaces.Discrete(self.side), "time": limit})

    def _is_wall(self, y, x, params: RoomMazeParams) -> jax.Array:
        """Whether cells of the map are walls; rows and columns of walls stand ``size + 1`` apart."""
        row, down = (y - 1) // (self.size + 1), y % (self.size + 1)
        column, right = (x - 1) // (self.size + 1), x % (self.size + 1)
        edge = (y <= 0) | (x <= 0) | (y >= self.side - 1) | (x >= self.side - 1)
        row, column = (jnp.clip(z, 0, self.num_rooms - 1) for z in (row, column))

        def shut(kind, along):
            return ~params.passages[kind, row, column] | (params.doors[kind, row, column] != along - 1)

        beside, below = (right == 0) & shut(RIGHT, down), (down == 0) & shut(DOWN, right)
        return edge | (right == 0) & (down == 0) | beside | below

    def _tiles(self, params: RoomMazeParams) -> jax.Array:
        chart = jnp.where(self.walls(params), WALL, FLOOR)
        return chart.at[params.goal[0], params.goal[1]].set(GOAL)
