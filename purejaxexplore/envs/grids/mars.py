"""MarsGrid: draw the map of an unknown, rocky ground with a range finder.

Koutras, Kapoutsis, Amanatiadis and Kosmatopoulos (2021), "MarsExplorer: exploration of unknown terrains via deep
reinforcement learning and procedurally generated environments". Rocks are squares that may overlap, a cell or more from
the border. The robot starts in the corner (0, 0) and sees six cells far along 32 rays. Reward: cells seen for the first
time less 0.2; when 95 % are known the episode ends with a bonus, which replaces the reward.

What differs: the 95 % are counted among the cells that can be seen at all (a rock may enclose others), unless
``count_all`` says otherwise; and the levels are a bank in the parameters, drawn once, from which a reset picks one.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice, require_at_least, whole_number
from purejaxexplore.envs.grids import mapping, tiles
from purejaxexplore.envs.grids.squares import crop, displacement

OBSERVATIONS, COLLISIONS = ("crop", "map"), ("stop", "crash")
UNKNOWN, FREE, ROBOT, ROCK = 0.0, 0.3, 0.6, 1.0
_VIEW = 5
_SAND, _DARK, _STONE = (236, 196, 150), (74, 68, 72), (150, 84, 58)


class MarsState(NamedTuple):
    """What changes during an episode.

    Attributes:
        y, x: i32, row and column of the robot.
        level: i32, which level of the bank.
        known: bool[H + 12, W + 12], the map with a margin.
        time: i32, steps since the start of the episode.
    """

    y: jax.Array
    x: jax.Array
    level: jax.Array
    known: jax.Array
    time: jax.Array


@struct.dataclass
class MarsParams(environment.EnvParams):
    """A bank of K levels.

    Attributes:
        max_steps_in_episode: time limit in steps; 1.5 steps a cell by default.
        rocks: bool[K, H, W].
        countable: bool[K, H, W], the cells of which a share must be known.
        sight: bool[K, H W, 13, 13], what is seen from each cell.
        share: of the countable cells that ends the episode, in (0, 1].
        bonus: at the end; a crash costs as much.
    """

    max_steps_in_episode: int = 337
    rocks: jax.Array | None = None
    countable: jax.Array | None = None
    sight: jax.Array | None = None
    share: float = 0.95
    bonus: float = 400.0


@partial(jax.jit, static_argnums=(1, 2, 3))
def scatter_rocks(key: jax.Array, size: int, num_rocks: int, rock_size: int) -> jax.Array:
    """Ground with squares of rock at uniform places, at least one cell from the border, bool[size, size]."""
    corner = jax.random.randint(key, (num_rocks, 2), 1, size - rock_size)
    cell = np.arange(size)
    inside = (cell >= corner[..., None]) & (cell < corner[..., None] + rock_size)  # [rock, axis, cell]
    return (inside[:, 0, :, None] & inside[:, 1, None, :]).any(0)


@partial(jax.jit, static_argnums=1)
def survey(rocks: jax.Array, count_all: bool) -> tuple[jax.Array, jax.Array]:
    """What a bank bool[K, H, W] needs beside its rocks: the countable cells, and what is seen from each cell."""
    seen = jnp.ones_like(rocks) if count_all else jax.vmap(lambda level: mapping.observable(level, 0, 0))(rocks)
    return seen, jax.lax.map(mapping.sight_table, rocks)


class MarsGrid(environment.Environment[MarsState, MarsParams]):
    """The ground. Actions 0 to 3: up, right, down, left.

    Args:
        size: 5 or more cells a side; the paper has 21 and 42.
        num_rocks: squares of rock; the paper has 10.
        rock_size: side of a rock in cells.
        observation: ``"crop"`` (f32[11, 11, 1] of the map around the robot) or ``"map"`` (f32[H, W, 1]): unknown 0,
            free 0.3, robot 0.6, rock 1; outside the map it looks like rock.
        collision: ``"stop"`` (a bump costs its step) or ``"crash"`` (it ends the episode, at the price of the bonus).
        count_all: 95 % of all cells, as published, which a level may make impossible.
        num_levels: K, levels in the bank.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(
        self,
        size: int = 15,
        num_rocks: int = 4,
        rock_size: int = 2,
        observation: str = "crop",
        collision: str = "stop",
        count_all: bool = False,
        num_levels: int = 32,
    ):
        super().__init__()
        choice("observation", observation, OBSERVATIONS)
        choice("collision", collision, COLLISIONS)
        require_at_least(1, num_rocks=num_rocks, num_levels=num_levels)
        self.size = whole_number("size", size, 5, 127)
        self.rock_size = whole_number("rock_size", rock_size, 1, size - 2)
        self.num_rocks, self.num_levels = num_rocks, num_levels
        self.observation, self.crash, self.count_all = observation, collision == "crash", count_all

    @property
    def default_params(self) -> MarsParams:
        """The bank of key 0."""
        limit = int(1.5 * self.size**2)
        return self.sample_params(jax.random.key(0), MarsParams(max_steps_in_episode=limit))

    def sample_params(self, key: jax.Array, params: MarsParams) -> MarsParams:
        """``params`` with another bank."""
        keys = jax.random.split(key, self.num_levels)
        rocks = jax.vmap(lambda k: scatter_rocks(k, self.size, self.num_rocks, self.rock_size))(keys)
        countable, sight = survey(rocks, self.count_all)
        return params.replace(rocks=rocks, countable=countable, sight=sight)

    def reset_env(self, key: jax.Array, params: MarsParams) -> tuple[jax.Array, MarsState]:
        """A fresh episode on a level of the bank: ``key -> (observation, state)``."""
        level = jax.random.randint(key, (), 0, self.num_levels)
        zero = jnp.int32(0)
        known = mapping.look(mapping.unknown(self.size, self.size), params.sight[level, 0], zero, zero)
        state = MarsState(zero, zero, level, known, zero)
        return self.get_obs(state, params), state

    def step_env(
        self, key: jax.Array, state: MarsState, action: jax.Array, params: MarsParams
    ) -> tuple[jax.Array, MarsState, jax.Array, jax.Array, dict[str, Any]]:
        """One move without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (enough is known), ``known_share`` of the countable cells (f32) and ``state_id``.
        """
        down, right = displacement(action)
        y, x = state.y + down, state.x + right
        free = (y >= 0) & (y < self.size) & (x >= 0) & (x < self.size)
        flat = jnp.clip(y, 0, self.size - 1) * self.size + jnp.clip(x, 0, self.size - 1)
        rocks = params.rocks.reshape(-1)
        free &= ~rocks.at[state.level * self.size**2 + flat].get(mode="promise_in_bounds")
        y, x = jnp.where(free, y, state.y), jnp.where(free, x, state.x)
        known = mapping.look(state.known, params.sight[state.level, y * self.size + x], y, x)
        after = MarsState(y, x, state.level, known, state.time + 1)
        crashed = ~free & self.crash
        share = self.known_share(after, params)
        success = (share >= params.share) & ~crashed
        gain = (known.sum(dtype=jnp.int32) - state.known.sum(dtype=jnp.int32)).astype(jnp.float32) - 0.2
        reward = jnp.where(crashed, -params.bonus, jnp.where(success, params.bonus, gain))
        info = {"success": success, "known_share": share, "state_id": self.state_id(after, params)}
        return self.get_obs(after, params), after, reward.astype(jnp.float32), success | crashed, info

    def known_share(self, state: MarsState, params: MarsParams) -> jax.Array:
        """The share f32 of the countable cells that are known."""
        countable = params.countable[state.level]
        seen = (mapping.inside(state.known) & countable).sum(dtype=jnp.int32)
        return seen / countable.sum(dtype=jnp.int32)

    def is_terminated(self, state: MarsState, params: MarsParams) -> jax.Array:
        """Whether enough is known; a crash is seen by the step only, which leaves the robot where it was."""
        return self.known_share(state, params) >= params.share

    def get_obs(self, state: MarsState, params: MarsParams, key=None) -> jax.Array:
        """The observation, in the form chosen at construction."""
        known, rocks = mapping.inside(state.known), params.rocks[state.level]
        chart = jnp.where(known, jnp.where(rocks, ROCK, FREE), UNKNOWN)
        if self.observation == "crop":
            offset = np.arange(-_VIEW, _VIEW + 1)
            here = (offset[:, None] == 0) & (offset == 0)
            return jnp.where(here, ROBOT, crop(chart, state.y, state.x, _VIEW, ROCK))[..., None]
        y, x = np.mgrid[: self.size, : self.size]
        return jnp.where((y == state.y) & (x == state.x), ROBOT, chart)[..., None]

    @property
    def num_states(self) -> int:
        """Cells, rocks included."""
        return self.size**2

    def state_id(self, state: MarsState, params: MarsParams | None = None) -> jax.Array:
        """The i32 id in [0, num_states) of the robot's cell."""
        return state.y * self.size + state.x

    def position_map(self, values: jax.Array, params: MarsParams | None = None) -> jax.Array:
        """``values: f32[num_states]`` laid out as ``f32[H, W]``."""
        return jnp.reshape(values, (self.size, self.size))

    def render(self, state: MarsState, params: MarsParams) -> jax.Array:
        """The ground as ``u8[16 H, 16 W, 3]``; what is not known yet lies in the dark."""
        index = params.rocks[state.level] + 2 * ~mapping.inside(state.known)
        return tiles.draw_agent(tiles.compose(ground_sprites(), index.astype(jnp.int32)), state.y, state.x)

    @property
    def num_actions(self) -> int:
        return 4

    def action_space(self, params: MarsParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(4)

    def observation_space(self, params: MarsParams | None = None) -> spaces.Box:
        side = self.size if self.observation == "map" else 2 * _VIEW + 1
        return spaces.Box(0.0, 1.0, (side, side, 1), jnp.float32)

    def state_space(self, params: MarsParams) -> spaces.Dict:
        side, margin = spaces.Discrete(self.size), self.size + 2 * mapping.REACH
        chart = {"level": spaces.Discrete(self.num_levels), "known": spaces.Box(0, 1, (margin, margin), jnp.bool_)}
        return spaces.Dict({"y": side, "x": side, **chart, "time": spaces.Discrete(params.max_steps_in_episode + 1)})


def ground_sprites() -> np.ndarray:
    """Sand and rock, then both in the dark, u8[4, 16, 16, 3]."""
    known = np.stack([tiles.slab(_SAND), tiles.boulder(_SAND, _STONE)])
    return np.concatenate([known, np.stack([tiles.slab(_DARK), tiles.boulder(_DARK, (92, 78, 76))])])
