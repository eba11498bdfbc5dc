"""HardMaze: a wheeled robot with six range finders in a maze whose straight way to the goal is a dead end.

Lehman and Stanley (2011), "Abandoning objectives: evolution through the search for novelty alone". The robot enters at
the lower left, the goal lies at the upper left, and the wall between them makes the distance to the goal a deceptive
measure of progress: the way leads through the right half of the maze. One step, from the outputs o1, o2 in [0, 1]:

    turn    moves towards 6 (o1 - 1/2) degrees a step, by at most 0.2; so does the speed, from o2; both within +-3
    place   moves by the speed along the heading; a move that would end closer than 8 to a wall is cancelled
    heading grows by turn, after the move

The observation has eleven numbers in [0, 1]: a constant 1, the range finders at -90, -45, 0, 45, 90 and 180 degrees
(range 100), and four radars, of which the one that faces the goal's quadrant (ahead, +90, behind, -90 degrees) is 1.
The y axis points down, as in the picture; positive angles turn from x towards y.
"""

from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice
from purejaxexplore.envs.control import drawing, segments

REWARDS = ("distance", "discs")
WALLS = np.array(
    [
        (41, 5, 3, 8), (3, 8, 4, 49), (4, 49, 57, 53), (4, 49, 7, 202), (7, 202, 195, 198), (195, 198, 186, 8),
        (186, 8, 39, 5), (56, 54, 56, 157), (57, 106, 158, 162), (77, 201, 108, 164), (6, 80, 33, 121),
        (192, 146, 87, 91), (56, 55, 133, 30),
    ],
    np.float64,
)  # fmt: skip
START, GOAL = (36.0, 184.0), (31.0, 20.0)
DISCS = np.array([(31, 20), (170, 30), (120, 120)], np.float32)
ROBOT_RADIUS, GOAL_RADIUS, DISC_RADIUS = 8.0, 10.0, 15.0
MAX_SPEED, ACCELERATION, RANGE = 3.0, 0.2, 100.0
WIDTH, HEIGHT, CELL = 200, 208, 4  # the ground and the side of the cells that tell places apart
_COLUMNS, _ROWS = WIDTH // CELL, HEIGHT // CELL
_PIXELS = 2  # a unit


class HardMazeState(NamedTuple):
    """What changes during an episode, all f32 but the clock.

    Attributes:
        x, y: place of the robot's centre.
        heading: degrees in [0, 360).
        speed: units a step, in [-3, 3].
        turn: degrees a step, in [-3, 3].
        time: i32, steps since the start of the episode.
    """

    x: jax.Array
    y: jax.Array
    heading: jax.Array
    speed: jax.Array
    turn: jax.Array
    time: jax.Array


@struct.dataclass
class HardMazeParams(environment.EnvParams):
    """The time limit in steps."""

    max_steps_in_episode: int = 400


class HardMaze(environment.Environment[HardMazeState, HardMazeParams]):
    """The maze. Actions: the two outputs of the controller, f32[2] in [0, 1].

    Args:
        reward: ``"distance"``, by how much a step came closer to the goal: the return is the distance at the start less
            the distance at the end, the deceptive objective. ``"discs"``, nothing until the episode ends, then
            1 - d / 15 at distance d < 15 from the centre of one of three discs.
        stop_at_goal: whether the episode ends as the robot comes within 10 of the goal. Otherwise only the place at the
            time limit counts.

    Raises:
        ValueError: ``reward`` is unknown.
    """

    def __init__(self, reward: str = "distance", stop_at_goal: bool = True):
        super().__init__()
        choice("reward", reward, REWARDS)
        self.reward, self.stop_at_goal = reward, stop_at_goal

    @property
    def default_params(self) -> HardMazeParams:
        return HardMazeParams()

    def reset_env(self, key: jax.Array, params: HardMazeParams) -> tuple[jax.Array, HardMazeState]:
        """A fresh episode: ``key -> (observation, state)``."""
        state = HardMazeState(*map(jnp.float32, (*START, 0.0, 0.0, 0.0)), jnp.int32(0))
        return self.get_obs(state, params), state

    def step_env(
        self, key: jax.Array, state: HardMazeState, action: jax.Array, params: HardMazeParams
    ) -> tuple[jax.Array, HardMazeState, jax.Array, jax.Array, dict[str, Any]]:
        """One step without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the episode ends here within 10 of the goal, or with the reward of discs inside one
        of them), ``distance`` to the goal, and ``state_id`` of the successor.
        """
        turn = _towards(state.turn, action[0])
        speed = _towards(state.speed, action[1])
        radians = state.heading * (np.pi / 180)
        x, y = state.x + jnp.cos(radians) * speed, state.y + jnp.sin(radians) * speed
        free = segments.clearance_squared((x, y), WALLS) >= ROBOT_RADIUS**2
        after = HardMazeState(
            x=jnp.where(free, x, state.x),
            y=jnp.where(free, y, state.y),
            heading=_wrap(state.heading + turn),
            speed=speed,
            turn=turn,
            time=state.time + 1,
        )
        terminated = self.is_terminated(after, params)
        ended = terminated | self.is_truncated(after, params)
        distance = self.distance(after)
        if self.reward == "discs":
            reward = jnp.where(ended, self.disc_reward(after), 0.0)
            success = reward > 0
        else:
            reward = self.distance(state) - distance
            success = ended & (distance < GOAL_RADIUS)
        info = {"success": success, "distance": distance, "state_id": self.state_id(after, params)}
        return self.get_obs(after, params), after, reward, terminated, info

    def is_terminated(self, state: HardMazeState, params: HardMazeParams) -> jax.Array:
        """Whether the robot has reached the goal, where that ends the episode."""
        return self.stop_at_goal & (self.distance(state) < GOAL_RADIUS)

    def distance(self, state: HardMazeState) -> jax.Array:
        """f32[], from the robot's centre to the goal."""
        return jnp.sqrt(jnp.square(state.x - GOAL[0]) + jnp.square(state.y - GOAL[1]))

    def disc_reward(self, state: HardMazeState) -> jax.Array:
        """f32[], 1 at the centre of a disc, 0 on its rim and outside."""
        away = jnp.hypot(state.x - DISCS[:, 0], state.y - DISCS[:, 1])
        return jnp.max(jnp.maximum(0.0, 1.0 - away / DISC_RADIUS))

    def descriptor(self, state: HardMazeState, params: HardMazeParams | None = None) -> jax.Array:
        """f32[2], the place of the robot: at the end of an episode, its behaviour."""
        return jnp.stack([state.x, state.y], axis=-1)

    def get_obs(self, state: HardMazeState, params: HardMazeParams | None = None, key=None) -> jax.Array:
        """f32[11]: 1, six range finders / 100, four radars."""
        # The barriers make XLA compute sine, cosine and each range once: fused into all their uses they cost 3 x more.
        radians = state.heading * (np.pi / 180)
        c, s = jax.lax.optimization_barrier((jnp.cos(radians), jnp.sin(radians)))
        half = np.float32(np.sqrt(0.5))
        rays = [(s, -c), (half * (c + s), half * (s - c)), (c, s), (half * (c - s), half * (s + c)), (-s, c), (-c, -s)]
        finders = [segments.sight((state.x, state.y), ray, WALLS, RANGE) / RANGE for ray in rays]
        finders = jax.lax.optimization_barrier(finders)
        gx, gy = GOAL[0] - state.x, GOAL[1] - state.y
        forward, sideways = c * gx + s * gy, c * gy - s * gx
        u, v = forward - sideways, forward + sideways
        quadrants = [(u > 0) & (v >= 0), (u <= 0) & (v > 0), (u < 0) & (v <= 0), (u >= 0) & (v < 0)]
        return jnp.stack([jnp.ones_like(c), *finders, *[q.astype(jnp.float32) for q in quadrants]], axis=-1)

    @property
    def num_states(self) -> int:
        """Squares of 4 x 4 units that cover the maze, row by row."""
        return _ROWS * _COLUMNS

    @cached_property
    def num_reachable(self) -> int:
        """Squares in which the robot's centre can be."""
        return int(self.reachable.sum())

    @cached_property
    def reachable(self) -> np.ndarray:
        """bool[52, 50], which squares the robot's centre can enter, by flood fill on a raster of half a unit."""
        from scipy import ndimage

        y, x = np.mgrid[: 2 * HEIGHT, : 2 * WIDTH] / 2 + 0.25
        parts, _ = ndimage.label(drawing.distances(x, y, WALLS) >= ROBOT_RADIUS)
        inside = parts == parts[int(2 * START[1]), int(2 * START[0])]
        return inside.reshape(_ROWS, 2 * CELL, _COLUMNS, 2 * CELL).any((1, 3))

    def state_id(self, state: HardMazeState, params: HardMazeParams | None = None) -> jax.Array:
        """The i32 id in [0, num_states) of the square below the robot's centre."""
        row = jnp.clip((state.y / CELL).astype(jnp.int32), 0, _ROWS - 1)
        return row * _COLUMNS + jnp.clip((state.x / CELL).astype(jnp.int32), 0, _COLUMNS - 1)

    def cell_key(self, state: HardMazeState, params: HardMazeParams | None = None) -> jax.Array:
        """The same id, for archives."""
        return self.state_id(state, params)

    def pack(self, state: HardMazeState) -> jax.Array:
        """f32[6], the state as it is."""
        return jnp.stack([*state[:5], state.time.astype(jnp.float32)], axis=-1)

    def unpack(self, packed: jax.Array, params: HardMazeParams | None = None) -> HardMazeState:
        """The state that :meth:`pack` stored."""
        return HardMazeState(*(packed[..., i] for i in range(5)), packed[..., 5].astype(jnp.int32))

    def render(self, state: HardMazeState, params: HardMazeParams | None = None) -> jax.Array:
        """The world as ``u8[416, 400, 3]``, two pixels a unit."""
        x, y, radians = _PIXELS * state.x, _PIXELS * state.y, state.heading * (np.pi / 180)
        radius = _PIXELS * ROBOT_RADIUS
        image = drawing.disc(self.map_background(params), x, y, radius, drawing.AGENT_COLOUR)
        x, y = x + 0.6 * radius * jnp.cos(radians), y + 0.6 * radius * jnp.sin(radians)
        return drawing.disc(image, x, y, 0.3 * radius, drawing.NOSE_COLOUR)

    def map_background(self, params: HardMazeParams | None = None) -> jax.Array:
        """The maze without the robot, ``u8[416, 400, 3]``: the ground of a coverage map."""
        return jnp.asarray(self._picture)

    @cached_property
    def _picture(self) -> np.ndarray:
        discs = [(*centre, DISC_RADIUS) for centre in DISCS] if self.reward == "discs" else []
        return drawing.maze(WALLS, (_PIXELS * HEIGHT, _PIXELS * WIDTH), _PIXELS, START, GOAL, GOAL_RADIUS, discs)

    def position_map(self, values: jax.Array, params: HardMazeParams | None = None) -> jax.Array:
        """``values: f32[num_states]`` laid out as ``f32[52, 50]``, eight pixels of the picture a square."""
        return jnp.reshape(values, (_ROWS, _COLUMNS))

    def action_space(self, params: HardMazeParams | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (2,), jnp.float32)

    def observation_space(self, params: HardMazeParams | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (11,), jnp.float32)

    def state_space(self, params: HardMazeParams) -> spaces.Dict:
        bounded = spaces.Box(-MAX_SPEED, MAX_SPEED, (), jnp.float32)
        return spaces.Dict(
            {
                "x": spaces.Box(0.0, WIDTH, (), jnp.float32),
                "y": spaces.Box(0.0, HEIGHT, (), jnp.float32),
                "heading": spaces.Box(0.0, 360.0, (), jnp.float32),
                "speed": bounded,
                "turn": bounded,
                "time": spaces.Discrete(params.max_steps_in_episode + 1),
            }
        )


def _towards(velocity: jax.Array, output: jax.Array) -> jax.Array:
    """A velocity after one step towards the target that an output in [0, 1] asks for."""
    target = (jnp.clip(output, 0.0, 1.0) - 0.5) * (2 * MAX_SPEED)
    change = jnp.clip(target - velocity, -ACCELERATION, ACCELERATION)
    return jnp.clip(velocity + change, -MAX_SPEED, MAX_SPEED)


def _wrap(degrees: jax.Array) -> jax.Array:
    degrees = jnp.where(degrees >= 360.0, degrees - 360.0, degrees)
    return jnp.where(degrees < 0.0, degrees + 360.0, degrees)
