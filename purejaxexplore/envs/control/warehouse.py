"""Warehouse2D: a vehicle among shelves, and among others that go their rounds, looks for one place.

A plane version of the vehicle routing of Yin, Lin, Yan et al. (2023), "Random network distillation based deep
reinforcement learning for AGV path planning": four scenes, simple or complex, static or dynamic. The hall measures
20 x 20 m, the vehicle is a disc of radius 0.4. One step of 0.1 s, from the action (a, w) in [-1, 1]^2:

    speed    grows by 2 a dt and stays within [0, 2] m/s        heading    grows by 2 w dt
    place    moves by speed dt along the heading; where that would touch something it stays, and the speed is 0

+1 at the goal, which ends the episode, -0.001 a step; in dynamic scenes a touch ends it, with -1.
"""

from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice
from purejaxexplore.envs.control import boxes, drawing

SCENES = ("simple_static", "simple_dynamic", "complex_static", "complex_dynamic")
SIDE, RADIUS, DISC_RADIUS, GOAL_RADIUS = 20.0, 0.4, 0.5, 0.8
NUM_RAYS, RANGE, SIGHT_OF_GOAL = 24, 8.0, 8.0
MAX_SPEED, ACCELERATION, YAW_RATE, DT = 2.0, 2.0, 2.0, 0.1
START, GOAL = (2.0, 2.0), (18.0, 18.0)
MAX_SHELVES, MAX_DISCS = 12, 4
_PIXELS = 24  # a metre
_AWAY = -1e3  # where shelves and discs stand that are not there
_SHELVES = {
    "simple": [(0.0, 6.0, 13.0, 7.0), (7.0, 13.0, 20.0, 14.0)],
    "complex": [(x, y, x + 4.0, y + 1.0) for y in (4.0, 8.0, 12.0, 16.0) for x in (1.5, 8.0, 14.5)],
}
_ROUNDS = {
    "simple": [(15.0, 4.0, 15.0, 12.0), (5.0, 9.0, 5.0, 18.0)],
    "complex": [(3.0, 6.5, 17.0, 6.5), (17.0, 10.5, 3.0, 10.5), (3.0, 14.5, 17.0, 14.5), (6.75, 18.0, 6.75, 3.0)],
}


class WarehouseState(NamedTuple):
    """What changes during an episode, f32 but for the clock.

    Attributes:
        x, y: place of the vehicle's centre, m; y points down, as in the picture.
        heading: radians, from x towards y.
        speed: m/s.
        time: i32, steps since the start of the episode.
    """

    x: jax.Array
    y: jax.Array
    heading: jax.Array
    speed: jax.Array
    time: jax.Array


@struct.dataclass
class WarehouseParams(environment.EnvParams):
    """A hall.

    Attributes:
        max_steps_in_episode: time limit in steps.
        shelves: f32[12, 4], corners (x0, y0, x1, y1); those that do not exist lie far away.
        rounds: f32[4, 4], the two ends (x0, y0, x1, y1) between which each disc goes to and fro at ``pace``.
        pace: m/s, of the discs.
        goal: f32[2], place of the goal.
    """

    max_steps_in_episode: int = 400
    shelves: jax.Array | None = None
    rounds: jax.Array | None = None
    pace: float = 1.0
    goal: jax.Array | None = None


class Warehouse2D(environment.Environment[WarehouseState, WarehouseParams]):
    """The hall. Actions: acceleration and yaw rate, f32[2] in [-1, 1].

    Observation: f32[30], all within [-1, 1]: 24 ranges / 8 m, the first ahead; speed / 2; cosine and sine of the
    heading; whether the goal is known, and the way to it / 20 m.

    Args:
        scene: ``"simple_static"``, ``"simple_dynamic"``, ``"complex_static"`` or ``"complex_dynamic"``.
        sparse: the goal is known only within 8 m of it; otherwise always.

    Raises:
        ValueError: ``scene`` is none of the four.
    """

    def __init__(self, scene: str = "simple_static", sparse: bool = True):
        super().__init__()
        choice("scene", scene, SCENES)
        self.layout, motion = scene.split("_")
        self.dynamic, self.sparse = motion == "dynamic", sparse

    @property
    def default_params(self) -> WarehouseParams:
        """The scene's shelves and rounds."""
        shelves = np.full((MAX_SHELVES, 4), _AWAY, np.float32)
        shelves[: len(_SHELVES[self.layout])] = _SHELVES[self.layout]
        rounds = np.full((MAX_DISCS, 4), _AWAY, np.float32)
        if self.dynamic:
            rounds[: len(_ROUNDS[self.layout])] = _ROUNDS[self.layout]
        return WarehouseParams(shelves=jnp.asarray(shelves), rounds=jnp.asarray(rounds), goal=jnp.array(GOAL))

    def reset_env(self, key: jax.Array, params: WarehouseParams) -> tuple[jax.Array, WarehouseState]:
        """A fresh episode in the upper left corner, heading right: ``key -> (observation, state)``."""
        state = WarehouseState(*map(jnp.float32, (*START, 0.0, 0.0)), jnp.int32(0))
        return self.get_obs(state, params), state

    def step_env(
        self, key: jax.Array, state: WarehouseState, action: jax.Array, params: WarehouseParams
    ) -> tuple[jax.Array, WarehouseState, jax.Array, jax.Array, dict[str, Any]]:
        """One step without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the goal was reached by this step), ``touched`` (bool) and ``state_id``.
        """
        speed = jnp.clip(state.speed + ACCELERATION * DT * jnp.clip(action[0], -1.0, 1.0), 0.0, MAX_SPEED)
        heading = state.heading + YAW_RATE * DT * jnp.clip(action[1], -1.0, 1.0)
        heading = heading - 2 * np.pi * jnp.floor((heading + np.pi) / (2 * np.pi))
        x, y = state.x + DT * speed * jnp.cos(heading), state.y + DT * speed * jnp.sin(heading)
        touched = self.touches(x, y, state.time + 1, params)
        after = WarehouseState(
            x=jnp.where(touched, state.x, x),
            y=jnp.where(touched, state.y, y),
            heading=heading,
            speed=jnp.where(touched, 0.0, speed),
            time=state.time + 1,
        )
        success = ~touched & self._at_goal(after, params)
        crashed = touched & self.dynamic
        reward = jnp.where(success, 1.0, jnp.where(crashed, -1.0, 0.0)) - 0.001
        info = {"success": success, "touched": touched, "state_id": self.state_id(after, params)}
        return self.get_obs(after, params), after, reward, success | crashed, info

    def touches(self, x: jax.Array, y: jax.Array, time: jax.Array, params: WarehouseParams) -> jax.Array:
        """Whether a vehicle at ``(x, y)`` touches a wall, a shelf or a disc, bool[]."""
        wall = jnp.minimum(jnp.minimum(x, SIDE - x), jnp.minimum(y, SIDE - y)) < RADIUS
        shelf = (boxes.clearance(x, y, params.shelves) < RADIUS).any()
        if not self.dynamic:
            return wall | shelf
        discs = self.discs(time, params)
        near = jnp.square(discs[:, 0] - x) + jnp.square(discs[:, 1] - y) < (RADIUS + DISC_RADIUS) ** 2
        return wall | shelf | near.any()

    def discs(self, time: jax.Array, params: WarehouseParams) -> jax.Array:
        """Where the discs are at a time, f32[4, 2]."""
        ends = params.rounds.reshape(MAX_DISCS, 2, 2)
        length = jnp.maximum(jnp.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1), 1e-6)
        phase = time * DT * params.pace / length % 2.0
        share = jnp.where(phase < 1.0, phase, 2.0 - phase)[:, None]
        return ends[:, 0] + share * (ends[:, 1] - ends[:, 0])

    def is_terminated(self, state: WarehouseState, params: WarehouseParams) -> jax.Array:
        """Whether the vehicle is at the goal; a crash is seen by the step only, which leaves it where it was."""
        return self._at_goal(state, params)

    def get_obs(self, state: WarehouseState, params: WarehouseParams, key=None) -> jax.Array:
        """f32[30]."""
        angle = state.heading + np.arange(NUM_RAYS) * (2 * np.pi / NUM_RAYS)
        dx, dy = jnp.cos(angle), jnp.sin(angle)
        seen = boxes.sight_of_boxes(state.x, state.y, dx, dy, params.shelves).min(1)
        to_wall = jnp.minimum(_to_wall(state.x, dx), _to_wall(state.y, dy))
        seen = jnp.minimum(seen, to_wall)
        if self.dynamic:
            discs = self.discs(state.time, params)
            seen = jnp.minimum(seen, boxes.sight_of_discs(state.x, state.y, dx, dy, discs, DISC_RADIUS).min(1))
        way = params.goal - jnp.stack([state.x, state.y])
        known = (jnp.sqrt(jnp.sum(way**2)) < SIGHT_OF_GOAL) | (not self.sparse)
        own = [state.speed / MAX_SPEED, jnp.cos(state.heading), jnp.sin(state.heading), known.astype(jnp.float32)]
        ranges = jnp.clip(seen, 0.0, RANGE) / RANGE
        return jnp.concatenate([ranges, jnp.stack(own), jnp.where(known, way / SIDE, 0.0)])

    @property
    def num_states(self) -> int:
        """Square metres, row by row."""
        return int(SIDE) ** 2

    @cached_property
    def num_reachable(self) -> int:
        """Square metres that the vehicle's centre can enter in the default hall."""
        with jax.ensure_compile_time_eval():  # it may be asked for first by a learner that is being traced
            params = self.default_params
        return int(np.isfinite(self.steps_to_goal(params)).reshape(20, 10, 20, 10).any((1, 3)).sum())

    def steps_to_goal(self, params: WarehouseParams | None = None) -> np.ndarray:
        """A lower bound on the steps from every place to the goal, f64[200, 200]; inf where none leads there.

        Shortest ways on a raster of 0.1 m with eight neighbours, driven at full speed; discs are left out. A raster
        way is at most 8.3 % longer than the true one, and is divided by that.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import dijkstra

        params = self.default_params if params is None else params
        size, cell = 200, SIDE / 200
        y, x = (np.mgrid[:size, :size] + 0.5) * cell
        walls = np.minimum(np.minimum(x, SIDE - x), np.minimum(y, SIDE - y)) < RADIUS
        free = ~walls
        for x0, y0, x1, y1 in np.asarray(params.shelves):
            away = np.hypot(np.maximum(np.maximum(x0 - x, x - x1), 0), np.maximum(np.maximum(y0 - y, y - y1), 0))
            free &= away >= RADIUS
        number, edges = np.arange(size**2).reshape(size, size), []
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            rows, columns = slice(0, size - down), slice(max(0, -right), size - max(0, right))
            to_rows, to_columns = slice(down, size), slice(max(0, right), size - max(0, -right))
            open_ = free[rows, columns] & free[to_rows, to_columns]
            one, other = number[rows, columns][open_], number[to_rows, to_columns][open_]
            edges.append((one, other, np.full(len(one), cell * np.hypot(down, right))))
        one, other, length = map(np.concatenate, zip(*edges, strict=True))
        goal = np.asarray(params.goal) / cell
        graph = coo_array((length, (one, other)), shape=(size**2, size**2)).tocsr()
        metres = dijkstra(graph, directed=False, indices=number[int(goal[1]), int(goal[0])]).reshape(size, size)
        return np.maximum(metres / 1.083 - GOAL_RADIUS, 0.0) / (MAX_SPEED * DT)

    def state_id(self, state: WarehouseState, params: WarehouseParams | None = None) -> jax.Array:
        """The i32 id in [0, num_states) of the square metre below the vehicle's centre."""
        row, column = (jnp.clip(z.astype(jnp.int32), 0, int(SIDE) - 1) for z in (state.y, state.x))
        return row * int(SIDE) + column

    def position_map(self, values: jax.Array, params: WarehouseParams | None = None) -> jax.Array:
        """``values: f32[num_states]`` laid out as ``f32[20, 20]``."""
        return jnp.reshape(values, (int(SIDE), int(SIDE)))

    def pack(self, state: WarehouseState) -> jax.Array:
        """f32[5], the state as it is."""
        return jnp.stack([*state[:4], state.time.astype(jnp.float32)], axis=-1)

    def unpack(self, packed: jax.Array, params: WarehouseParams | None = None) -> WarehouseState:
        """The state that :meth:`pack` stored."""
        return WarehouseState(*(packed[..., i] for i in range(4)), packed[..., 4].astype(jnp.int32))

    def render(self, state: WarehouseState, params: WarehouseParams) -> jax.Array:
        """The hall as ``u8[480, 480, 3]``."""
        image = self.map_background(params)
        if self.dynamic:
            for x, y in self.discs(state.time, params):
                image = drawing.disc(image, _PIXELS * x, _PIXELS * y, _PIXELS * DISC_RADIUS, drawing.COLOURS[5])
        x, y, radius = _PIXELS * state.x, _PIXELS * state.y, _PIXELS * RADIUS
        image = drawing.disc(image, x, y, radius, drawing.AGENT_COLOUR)
        x, y = x + 0.55 * radius * jnp.cos(state.heading), y + 0.55 * radius * jnp.sin(state.heading)
        return drawing.disc(image, x, y, 0.3 * radius, drawing.NOSE_COLOUR)

    def map_background(self, params: WarehouseParams) -> jax.Array:
        """The hall without what moves, ``u8[480, 480, 3]``: the ground of a coverage map."""
        side = int(SIDE) * _PIXELS
        goal = _PIXELS * params.goal
        image = drawing.disc(drawing.ground(side, side), *goal, _PIXELS * GOAL_RADIUS, (150, 206, 184))
        image = drawing.disc(image, *goal, 5.0, drawing.COLOURS[2])
        for x0, y0, x1, y1 in _PIXELS * params.shelves:
            image = drawing.box(image, (x0, y0), (x1, y1), drawing.WALL_COLOUR)
            image = drawing.box(image, (x0 + 3, y0 + 3), (x1 - 3, y1 - 3), (92, 102, 122))
        edge = np.zeros((side, side, 1), bool)
        edge[:4] = edge[-4:] = edge[:, :4] = edge[:, -4:] = True
        return jnp.where(edge, np.array(drawing.WALL_COLOUR, np.uint8), image)

    def action_space(self, params: WarehouseParams | None = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (2,), jnp.float32)

    def observation_space(self, params: WarehouseParams | None = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (NUM_RAYS + 6,), jnp.float32)

    def state_space(self, params: WarehouseParams) -> spaces.Dict:
        place, limit = spaces.Box(0.0, SIDE, (), jnp.float32), spaces.Discrete(params.max_steps_in_episode + 1)
        motion = {
            "heading": spaces.Box(-np.pi, np.pi, (), jnp.float32),
            "speed": spaces.Box(0.0, MAX_SPEED, (), jnp.float32),
        }
        return spaces.Dict({"x": place, "y": place, **motion, "time": limit})

    def _at_goal(self, state: WarehouseState, params: WarehouseParams) -> jax.Array:
        away = jnp.square(state.x - params.goal[0]) + jnp.square(state.y - params.goal[1])
        return away < GOAL_RADIUS**2


def _to_wall(z: jax.Array, dz: jax.Array) -> jax.Array:
    """How far each ray goes to the two walls of one direction, f32[R]."""
    safe = jnp.where(jnp.abs(dz) < 1e-9, 1e-9, dz)
    return jnp.maximum(-z / safe, (SIDE - z) / safe)
