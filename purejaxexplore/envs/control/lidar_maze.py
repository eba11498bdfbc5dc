"""LidarMaze: a point robot that sees a maze by 32 range finders only, and looks for the place of a given scan.

A small stand-in for the open world of Shah, Eysenbach, Rhinehart and Levine (2021), "Rapid exploration for open-world
navigation with latent goal models": what is known of the goal is the observation there, another maze is another world,
and some numbers of the observation mean nothing. The maze is that of :mod:`.point_maze` with some circles; a step is at
most a third of a cell, so that ten by ten cells are thirty by thirty steps. Where the straight path is blocked, the
robot slides along the wall, and its wheels tell how far it came. Corridors are as alike as photographs never are: so
each wall reflects light in a strength of its own, which the range finders measure too. +1 within 0.4 cells of the goal,
which ends the episode.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import spaces

from purejaxexplore.checks import whole_number
from purejaxexplore.envs.control import drawing
from purejaxexplore.envs.control.point_maze import PointMaze, PointMazeParams
from purejaxexplore.envs.grids.mazes import DOWN, RIGHT, braid, perfect_maze, walks
from purejaxexplore.envs.grids.tiles import COLOURS

NUM_RAYS, REACH = 32, 4
"""Range finders all around, the first along x, and how many cells far they see."""
SPEED, GOAL_RADIUS = 1 / 3, 0.4
_PIXELS = 16  # a cell
_ANGLES = np.arange(NUM_RAYS) * (2 * np.pi / NUM_RAYS)
# No ray is quite parallel to a wall: all lines are met, the parallel ones beyond every range.
_DX, _DY = (np.where(abs(z) < 1e-6, 1e-6, z) for z in (np.cos(_ANGLES), np.sin(_ANGLES)))


class LidarMazeState(NamedTuple):
    """What changes during an episode.

    Attributes:
        x, y: f32, the place, each in [-size / 2, size / 2].
        time: i32, steps since the start of the episode.
        moved: f32[2], the displacement by the last step in steps, 0 at the start.
    """

    x: jax.Array
    y: jax.Array
    time: jax.Array
    moved: jax.Array


@struct.dataclass
class LidarMazeParams(PointMazeParams):
    """A level: the time limit in steps, the passages, the goal, and the walls.

    Attributes:
        goal: f32[2], x and y of the goal.
        brightness: f32[2, size + 1, size] in [0, 1], what is reflected by the walls on each vertical line (first) in
            each row, and on each horizontal line in each column.
    """

    max_steps_in_episode: int = 3000
    goal: jax.Array | None = None
    brightness: jax.Array | None = None


class LidarMaze(PointMaze):
    """A maze of ``size x size`` cells around the origin. Actions: displacements in steps, f32[2] in [-1, 1].

    Observation: 32 ranges / 4 cells, the brightness of what is there (0 beyond 4 cells), all in [0, 1], and
    ``noise_dims`` numbers from N(0, 1), drawn anew at every step.

    Args:
        size: 2 or more cells a side.
        loops: passages beyond those of a tree, 0 to ``(size - 1)^2``.
        noise_dims: distractors.
        goal_distance: the goal is drawn among the cells at least so many passages away from the start, or is the
            farthest where there are none.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(self, size: int = 10, loops: int = 10, noise_dims: int = 4, goal_distance: int = 8):
        super().__init__(size, noise_dims)
        whole_number("loops", loops, 0, (size - 1) ** 2)
        whole_number("goal_distance", goal_distance, 0, size**2 - 1)
        self.loops, self.goal_distance = loops, goal_distance

    @property
    def default_params(self) -> LidarMazeParams:
        """The maze of key 0."""
        return self.sample_params(jax.random.key(0), LidarMazeParams())

    def sample_params(self, key: jax.Array, params: LidarMazeParams) -> LidarMazeParams:
        """``params`` with another maze, other walls and another goal, in the middle of a cell."""
        key_maze, key_loops, key_goal, key_walls = jax.random.split(key, 4)
        passages = perfect_maze(key_maze, self.size)
        if self.loops:
            passages = braid(key_loops, passages, self.loops)
        away = walks(passages, self.size // 2, self.size // 2)
        least = jnp.minimum(self.goal_distance, away.max())
        chance = jnp.where(away >= least, jax.random.uniform(key_goal, away.shape), -1.0)
        row, column = jnp.divmod(jnp.argmax(chance), self.size)
        goal = jnp.stack([column, row]) + 0.5 - self.size / 2
        brightness = jax.random.uniform(key_walls, (2, self.size + 1, self.size))
        return params.replace(passages=passages, goal=goal.astype(jnp.float32), brightness=brightness)

    def reset_env(self, key: jax.Array, params: LidarMazeParams) -> tuple[jax.Array, LidarMazeState]:
        """A fresh episode in the middle of the central cell: ``key -> (observation, state)``."""
        observation, state = super().reset_env(key, params)
        return observation, LidarMazeState(*state, jnp.zeros(2))

    def step_env(
        self, key: jax.Array, state: LidarMazeState, action: jax.Array, params: LidarMazeParams
    ) -> tuple[jax.Array, LidarMazeState, jax.Array, jax.Array, dict[str, Any]]:
        """One step without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the goal was reached by this step) and ``state_id`` of the successor.
        """
        move = SPEED * action / jnp.maximum(1.0, jnp.sqrt(jnp.sum(jnp.square(action))))
        x, y = state.x + move[0], state.y + move[1]
        free = self._is_free(state, x, y, params.passages)
        along_x = free | self._is_free(state, x, state.y, params.passages)
        along_y = free | ~along_x & self._is_free(state, state.x, y, params.passages)
        moved = jnp.where(jnp.stack([along_x, along_y]), move, 0.0)
        after = LidarMazeState(state.x + moved[0], state.y + moved[1], state.time + 1, moved / SPEED)
        success = self.is_terminated(after, params)
        info = {"state_id": self.state_id(after, params), "success": success}
        return self.get_obs(after, params, key), after, success.astype(jnp.float32), success, info

    def odometry(self, state: LidarMazeState) -> jax.Array:
        """How far the last action took the robot, f32[2] in the unit of actions; 0 at the start of an episode."""
        return state.moved

    def is_terminated(self, state: LidarMazeState, params: LidarMazeParams) -> jax.Array:
        """Whether the robot is at the goal."""
        away = jnp.square(state.x - params.goal[0]) + jnp.square(state.y - params.goal[1])
        return away < GOAL_RADIUS**2

    def get_obs(
        self, state: LidarMazeState, params: LidarMazeParams, key: jax.Array | None = None
    ) -> jax.Array:
        """f32[64 + noise_dims]; noise takes a key."""
        ranges, brightness = self.scan(state.x, state.y, params)
        scan = jnp.concatenate([ranges / REACH, brightness])
        if not self.noise_dims:
            return scan
        return jnp.concatenate([scan, jax.random.normal(key, (self.noise_dims,))])

    def goal_observation(self, key: jax.Array, params: LidarMazeParams) -> jax.Array:
        """What is observed at the goal, with noise of its own."""
        return self.get_obs(LidarMazeState(*params.goal, jnp.int32(0), jnp.zeros(2)), params, key)

    def pack(self, state: LidarMazeState) -> jax.Array:
        """f32[5]: x, y, time and the last displacement."""
        return jnp.concatenate([super().pack(state), state.moved], axis=-1)

    def unpack(self, packed: jax.Array, params: LidarMazeParams | None = None) -> LidarMazeState:
        """The state that :meth:`pack` stored."""
        return LidarMazeState(*super().unpack(packed[..., :3]), packed[..., 3:])

    def scan(self, x: jax.Array, y: jax.Array, params: LidarMazeParams) -> tuple[jax.Array, jax.Array]:
        """How far one sees from a place, f32[32] in cells, at most ``REACH``, and the brightness there, f32[32].

        A ray crosses at most so many grid lines of each kind within its range; of those it is stopped by the first that
        is shut where it crosses.
        """
        closed = ~params.passages

        def first(z, dz, w, dw, kind):
            """Along axis z, whose lines belong to ``kind``; w is the other axis."""
            ahead = dz > 0
            line = jnp.floor(z) + np.where(ahead, 1, 0)[:, None] + np.sign(dz)[:, None] * np.arange(REACH + 1)
            length = (line - z) / dz[:, None]
            across = jnp.floor(w + length * dw[:, None]).astype(jnp.int32)
            line = line.astype(jnp.int32)
            before = line - 1  # the cell that owns the wall
            outside = (before < 0) | (before >= self.size - 1)
            before, across = jnp.clip(before, 0, self.size - 1), jnp.clip(across, 0, self.size - 1)
            row, column = (across, before) if kind == RIGHT else (before, across)
            length = jnp.where(outside | closed[kind, row, column], length, REACH)
            stop = jnp.argmin(length, axis=1)
            line, across, length = (rays[np.arange(NUM_RAYS), stop] for rays in (line, across, length))
            return length, params.brightness[kind, jnp.clip(line, 0, self.size), across]

        x, y = (jnp.clip(z + self.size / 2, 1e-4, self.size - 1e-4) for z in (x, y))
        upright, flat = first(x, _DX, y, _DY, RIGHT), first(y, _DY, x, _DX, DOWN)
        ranges, brightness = (jnp.where(flat[0] < upright[0], *pair) for pair in zip(flat, upright, strict=True))
        return jnp.minimum(ranges, float(REACH)), jnp.where(ranges < REACH, brightness, 0.0)

    def render(self, state: LidarMazeState, params: LidarMazeParams) -> jax.Array:
        """The world as ``u8[16 size, 16 size, 3]``, with a dot at the end of every ray."""
        image = self.map_background(params)
        seen, _ = self.scan(state.x, state.y, params)
        x, y = ((z + self.size / 2) * _PIXELS for z in (state.x, state.y))
        for angle, length in zip(_ANGLES, seen, strict=True):
            end = length * _PIXELS
            image = drawing.disc(image, x + end * np.cos(angle), y + end * np.sin(angle), 1.2, COLOURS[1])
        return drawing.disc(image, x, y, 0.2 * _PIXELS, drawing.AGENT_COLOUR)

    def map_background(self, params: LidarMazeParams) -> jax.Array:
        """The maze and the goal without the robot, ``u8[16 size, 16 size, 3]``."""
        x, y = (params.goal + self.size / 2) * _PIXELS
        return drawing.disc(super().map_background(params), x, y, GOAL_RADIUS * _PIXELS, COLOURS[2])

    def observation_space(self, params: LidarMazeParams | None = None) -> spaces.Box:
        low = np.array([0.0] * 2 * NUM_RAYS + [-np.inf] * self.noise_dims, np.float32)
        high = np.array([1.0] * 2 * NUM_RAYS + [np.inf] * self.noise_dims, np.float32)
        return spaces.Box(low, high, low.shape, jnp.float32)

    def state_space(self, params: LidarMazeParams) -> spaces.Dict:
        moved = spaces.Box(-1.0, 1.0, (2,), jnp.float32)
        return spaces.Dict(super().state_space(params).spaces | {"moved": moved})
