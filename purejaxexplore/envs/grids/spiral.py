"""Spiral: one corridor that winds inwards, with the reward at its inner end.

No branches, so an explorer can only be lost by turning back: a uniform walk of t steps gets about sqrt(t) cells far.
The world of size 11::

    ###########      S  start
    #S........#      G  goal: reward 1, ends the episode
    #########.#
    #.......#.#      time limit 200 moves
    #.#####.#.#
    #.#..G#.#.#
    #.#.###.#.#
    #.#.....#.#
    #.#######.#
    #.........#
    ###########

Four moves; a bump into a wall costs its step. Size 11: 49 cells, 48 moves, and a uniform walk succeeds within 200 with
probability 2.3e-6; size 15: 97 cells, 96 moves, 1.7e-22 (by the transition matrix).
"""

from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice, whole_number
from purejaxexplore.envs.grids import tiles
from purejaxexplore.envs.grids.squares import DOWN_RIGHT

OBSERVATIONS = ("one_hot", "egocentric")
FLOOR, WALL, GOAL = range(3)
_VIEW = 2  # the egocentric view reaches this far in each direction


class SpiralState(NamedTuple):
    """What changes during an episode.

    Attributes:
        place: i32, cells from the outer end of the corridor.
        time: i32, steps since the start of the episode.
    """

    place: jax.Array
    time: jax.Array


@struct.dataclass
class SpiralParams(environment.EnvParams):
    """The time limit in steps, at most 65,535 (a packed clock has two bytes)."""

    max_steps_in_episode: int = 200


def corridor(size: int) -> np.ndarray:
    """Row and column of each cell from the outer end to the inner one, i64[S, 2]."""
    legs = [size - 3] + [length for length in range(size - 3, 0, -2) for _ in range(2)]
    cells = [(1, 1)]
    for turn, length in enumerate(legs):
        down, right = DOWN_RIGHT[(1 + turn) % 4]
        cells += [(cells[-1][0] + down * step, cells[-1][1] + right * step) for step in range(1, length + 1)]
    return np.array(cells)


class Spiral(environment.Environment[SpiralState, SpiralParams]):
    """A spiral in a square of ``size x size`` cells, walls included. Actions 0 to 3: up, right, down, left.

    Args:
        size: an odd number from 5 to 45.
        observation: ``"one_hot"`` (the cell, f32[num_states]) or ``"egocentric"`` (floor, wall, goal around the agent,
            f32[5, 5, 3]).

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(self, size: int = 11, observation: str = "one_hot"):
        super().__init__()
        if whole_number("size", size, 5, 45) % 2 == 0:
            raise ValueError(f"size={size!r}: expected an odd number from 5 to 45")
        choice("observation", observation, OBSERVATIONS)
        self.size, self.observation = size, observation
        self.cells = corridor(size)

    @property
    def default_params(self) -> SpiralParams:
        return SpiralParams()

    def reset_env(self, key: jax.Array, params: SpiralParams) -> tuple[jax.Array, SpiralState]:
        """A fresh episode at the outer end: ``key -> (observation, state)``."""
        state = SpiralState(jnp.int32(0), jnp.int32(0))
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: SpiralState, action: jax.Array, params: SpiralParams
    ) -> tuple[jax.Array, SpiralState, jax.Array, jax.Array, dict[str, Any]]:
        """One move without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the goal was reached by this move) and ``state_id`` of the successor.
        """
        place = jnp.asarray(self._moves).at[state.place * 4 + action].get(mode="promise_in_bounds")
        state = SpiralState(place, state.time + 1)
        success = self.is_terminated(state, params)
        info = {"success": success, "state_id": place}
        return self.get_obs(state), state, success.astype(jnp.float32), success, info

    def is_terminated(self, state: SpiralState, params: SpiralParams) -> jax.Array:
        """Whether the agent stands at the inner end."""
        return state.place == self.num_states - 1

    def get_obs(self, state: SpiralState, params: SpiralParams | None = None, key=None) -> jax.Array:
        """The observation of ``state``, in the form chosen at construction."""
        if self.observation == "one_hot":
            return (np.arange(self.num_states) == state.place).astype(jnp.float32)
        view = jnp.asarray(self._views).at[state.place].get(mode="promise_in_bounds")
        return (view[..., None] == np.arange(3)).astype(jnp.float32)

    @property
    def num_states(self) -> int:
        """Cells of the corridor; all can be reached."""
        return len(self.cells)

    @property
    def num_reachable(self) -> int:
        return self.num_states

    def state_id(self, state: SpiralState, params: SpiralParams | None = None) -> jax.Array:
        """The i32 id in [0, num_states): cells from the start."""
        return state.place

    def states(self) -> SpiralState:
        """One state of each id, a batch."""
        return SpiralState(jnp.arange(self.num_states), jnp.zeros(self.num_states, jnp.int32))

    def pack(self, state: SpiralState) -> jax.Array:
        """u16[2]: place and time."""
        return jnp.stack([state.place, state.time], axis=-1).astype(jnp.uint16)

    def unpack(self, packed: jax.Array, params: SpiralParams | None = None) -> SpiralState:
        """The state that :meth:`pack` stored."""
        fields = packed.astype(jnp.int32)
        return SpiralState(fields[..., 0], fields[..., 1])

    def render(self, state: SpiralState, params: SpiralParams | None = None) -> jax.Array:
        """The world as ``u8[16 size, 16 size, 3]``."""
        y, x = jnp.asarray(self.cells)[state.place]
        return tiles.draw_agent(self.map_background(params), y, x)

    def map_background(self, params: SpiralParams | None = None) -> jax.Array:
        """The world without the agent, ``u8[16 size, 16 size, 3]``: the ground of a coverage map."""
        return tiles.compose(np.stack([tiles.floor(), tiles.wall(), tiles.treasure()]), self._chart)

    def position_map(self, values: jax.Array, params: SpiralParams | None = None) -> jax.Array:
        """``values: f32[num_states]`` laid out as ``f32[size, size]``."""
        return jnp.zeros((self.size, self.size)).at[tuple(self.cells.T)].set(jnp.asarray(values))

    @property
    def num_actions(self) -> int:
        return 4

    def action_space(self, params: SpiralParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(4)

    def observation_space(self, params: SpiralParams | None = None) -> spaces.Box:
        shapes = {"one_hot": (self.num_states,), "egocentric": (2 * _VIEW + 1, 2 * _VIEW + 1, 3)}
        return spaces.Box(0.0, 1.0, shapes[self.observation], jnp.float32)

    def state_space(self, params: SpiralParams) -> spaces.Dict:
        limit = spaces.Discrete(params.max_steps_in_episode + 1)
        return spaces.Dict({"place": spaces.Discrete(self.num_states), "time": limit})

    @cached_property
    def _chart(self) -> np.ndarray:
        """The tiles, i64[size, size]."""
        chart = np.full((self.size, self.size), WALL)
        chart[tuple(self.cells.T)] = FLOOR
        chart[tuple(self.cells[-1])] = GOAL
        return chart

    @cached_property
    def _moves(self) -> np.ndarray:
        """The successor of each (place, action), i32[4 S]."""
        number = {tuple(cell): place for place, cell in enumerate(self.cells)}
        moves = [number.get(tuple(cell + m), place) for place, cell in enumerate(self.cells) for m in DOWN_RIGHT]
        return np.array(moves, np.int32)

    @cached_property
    def _views(self) -> np.ndarray:
        """The tiles around each place, i64[S, 5, 5]."""
        chart = np.pad(self._chart, _VIEW, constant_values=WALL)
        return np.stack([chart[y : y + 2 * _VIEW + 1, x : x + 2 * _VIEW + 1] for y, x in self.cells])
