"""PointMaze: a point that moves freely through the corridors of a random perfect maze, without any reward.

The maze of Gallouédec and Dellandréa (2023), "Cell-free latent go-explore", in which methods are compared by how many
unit cells they have visited. There is exactly one way between any two cells, so most of them are far away: by moves of
random direction a walk stays near the start. An action is a displacement, shortened to length 1 where it is longer; a
move whose straight path crosses a wall is cancelled. The y axis points down, as in the picture.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import require_at_least
from purejaxexplore.envs.control import drawing
from purejaxexplore.envs.grids.mazes import DOWN, RIGHT, perfect_maze
from purejaxexplore.envs.grids.tiles import FLOOR_COLOUR, WALL_COLOUR

_PIXELS = 16  # a unit
_HALF_WALL = 2  # pixels of a wall on either side of it


class PointMazeState(NamedTuple):
    """What changes during an episode.

    Attributes:
        x, y: f32, the place, each in [-size / 2, size / 2].
        time: i32, steps since the start of the episode.
    """

    x: jax.Array
    y: jax.Array
    time: jax.Array


@struct.dataclass
class PointMazeParams(environment.EnvParams):
    """A level: the time limit in steps, and the passages.

    Attributes:
        passages: bool[2, size, size], whether the cell in a row and column is open to its right neighbour (first) and
            to the one below (second).
    """

    max_steps_in_episode: int = 100
    passages: jax.Array | None = None


class PointMaze(environment.Environment[PointMazeState, PointMazeParams]):
    """A maze of ``size x size`` unit cells around the origin. Actions: displacements, f32[2] in [-1, 1].

    Args:
        size: 2 or more cells a side.
        noise_dims: numbers from N(0, 1), drawn anew at every step, that the observation holds beside the place: a test
            of methods that learn what matters.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(self, size: int = 24, noise_dims: int = 0):
        super().__init__()
        require_at_least(2, size=size)
        require_at_least(0, noise_dims=noise_dims)
        self.size, self.noise_dims = size, noise_dims

    @property
    def default_params(self) -> PointMazeParams:
        """The maze of key 0."""
        return PointMazeParams(passages=perfect_maze(jax.random.key(0), self.size))

    def sample_params(self, key: jax.Array, params: PointMazeParams) -> PointMazeParams:
        """``params`` with another maze."""
        return params.replace(passages=perfect_maze(key, self.size))

    def reset_env(self, key: jax.Array, params: PointMazeParams) -> tuple[jax.Array, PointMazeState]:
        """A fresh episode in the middle of the central cell: ``key -> (observation, state)``."""
        middle = jnp.float32(0.5 if self.size % 2 == 0 else 0.0)
        state = PointMazeState(middle, middle, jnp.int32(0))
        return self.get_obs(state, params, key), state

    def step_env(
        self, key: jax.Array, state: PointMazeState, action: jax.Array, params: PointMazeParams
    ) -> tuple[jax.Array, PointMazeState, jax.Array, jax.Array, dict[str, Any]]:
        """One move without auto-reset: ``(observation, state, reward 0, terminated False, info)``.

        ``info`` holds ``state_id`` of the successor.
        """
        move = action / jnp.maximum(1.0, jnp.sqrt(jnp.sum(jnp.square(action))))
        x, y = state.x + move[0], state.y + move[1]
        free = self._is_free(state, x, y, params.passages)
        after = PointMazeState(jnp.where(free, x, state.x), jnp.where(free, y, state.y), state.time + 1)
        observation = self.get_obs(after, params, key)
        return observation, after, jnp.float32(0.0), jnp.bool_(False), {"state_id": self.state_id(after, params)}

    def is_terminated(self, state: PointMazeState, params: PointMazeParams) -> jax.Array:
        """Never."""
        return jnp.bool_(False)

    def get_obs(
        self, state: PointMazeState, params: PointMazeParams | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        """f32[2 + noise_dims]: x, y and noise, which takes a key."""
        place = jnp.stack([state.x, state.y])
        if not self.noise_dims:
            return place
        return jnp.concatenate([place, jax.random.normal(key, (self.noise_dims,))])

    @property
    def num_states(self) -> int:
        """Unit cells, row by row; with time enough all can be reached."""
        return self.size**2

    @property
    def num_reachable(self) -> int:
        return self.num_states

    def state_id(self, state: PointMazeState, params: PointMazeParams | None = None) -> jax.Array:
        """The i32 id in [0, num_states) of the point's cell."""
        return self._index(state.y) * self.size + self._index(state.x)

    def cell_key(self, state: PointMazeState, params: PointMazeParams | None = None) -> jax.Array:
        """The same id, for archives."""
        return self.state_id(state, params)

    def pack(self, state: PointMazeState) -> jax.Array:
        """f32[3]: x, y and time."""
        return jnp.stack([state.x, state.y, state.time.astype(jnp.float32)], axis=-1)

    def unpack(self, packed: jax.Array, params: PointMazeParams | None = None) -> PointMazeState:
        """The state that :meth:`pack` stored."""
        return PointMazeState(packed[..., 0], packed[..., 1], packed[..., 2].astype(jnp.int32))

    def render(self, state: PointMazeState, params: PointMazeParams) -> jax.Array:
        """The world as ``u8[16 size, 16 size, 3]``."""
        x, y = ((z + self.size / 2) * _PIXELS for z in (state.x, state.y))
        return drawing.disc(self.map_background(params), x, y, 0.28 * _PIXELS, drawing.AGENT_COLOUR)

    def map_background(self, params: PointMazeParams) -> jax.Array:
        """The maze without the point, ``u8[16 size, 16 size, 3]``: the ground of a coverage map."""
        cell, pixel = np.divmod(np.arange(self.size * _PIXELS), _PIXELS)
        before, behind = pixel < _HALF_WALL, pixel >= _PIXELS - _HALF_WALL
        closed = ~params.passages
        left = jnp.pad(closed[RIGHT, :, :-1], ((0, 0), (1, 0)), constant_values=True)
        above = jnp.pad(closed[DOWN, :-1], ((1, 0), (0, 0)), constant_values=True)
        left, right, above, below = (
            sides[cell[:, None], cell] for sides in (left, closed[RIGHT], above, closed[DOWN])
        )
        edge = before | behind
        wall = left & before | right & behind | above & before[:, None] | below & behind[:, None]
        wall = wall | edge & edge[:, None]
        return jnp.where(wall[..., None], np.array(WALL_COLOUR), np.array(FLOOR_COLOUR)).astype(jnp.uint8)

    def position_map(self, values: jax.Array, params: PointMazeParams | None = None) -> jax.Array:
        """``values: f32[num_states]`` laid out as ``f32[size, size]``."""
        return jnp.reshape(values, (self.size, self.size))

    def action_space(self, params: PointMazeParams | None = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (2,), jnp.float32)

    def observation_space(self, params: PointMazeParams | None = None) -> spaces.Box:
        bound = np.array([self.size / 2] * 2 + [np.inf] * self.noise_dims, np.float32)
        return spaces.Box(-bound, bound, bound.shape, jnp.float32)

    def state_space(self, params: PointMazeParams) -> spaces.Dict:
        place = spaces.Box(-self.size / 2, self.size / 2, (), jnp.float32)
        return spaces.Dict({"x": place, "y": place, "time": spaces.Discrete(params.max_steps_in_episode + 1)})

    def _index(self, z: jax.Array) -> jax.Array:
        """Row or column of a coordinate; the upper border belongs to the last."""
        return jnp.clip(jnp.floor(z + self.size / 2).astype(jnp.int32), 0, self.size - 1)

    def _is_free(self, state: PointMazeState, x: jax.Array, y: jax.Array, passages: jax.Array) -> jax.Array:
        """Whether no wall lies on the straight path to ``(x, y)``, which meets at most one grid line of each kind."""
        half = self.size / 2
        column, row = self._index(state.x), self._index(state.y)
        to_column, to_row = (jnp.floor(z + half).astype(jnp.int32) for z in (x, y))
        inside = (to_column >= 0) & (to_column < self.size) & (to_row >= 0) & (to_row < self.size)
        inside &= (abs(to_column - column) <= 1) & (abs(to_row - row) <= 1)

        def is_open(kind, row, column, crossed):
            return ~crossed | passages[kind, jnp.clip(row, 0, self.size - 1), jnp.clip(column, 0, self.size - 1)]

        sideways, lengthways = to_column != column, to_row != row
        west, north = jnp.minimum(column, to_column), jnp.minimum(row, to_row)
        # Which line comes first: (line - state.x) / (x - state.x) against the same for y, multiplied out.
        to_vertical = abs(jnp.maximum(column, to_column) - half - state.x) * abs(y - state.y)
        to_horizontal = abs(jnp.maximum(row, to_row) - half - state.y) * abs(x - state.x)
        vertical_first = to_vertical <= to_horizontal
        return (
            inside
            & is_open(RIGHT, jnp.where(vertical_first, row, to_row), west, sideways)
            & is_open(DOWN, north, jnp.where(vertical_first, to_column, column), lengthways)
        )
