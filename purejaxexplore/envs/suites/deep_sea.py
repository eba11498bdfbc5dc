"""DeepSea (Osband et al., 2020, "Behaviour Suite for Reinforcement Learning"), with its action map in ``params``.

A diver falls one row a step through an N x N grid, one column to the right or the left; only N right moves in a row
reach the treasure in the last column, and each costs ``0.01 / N``. Which of the two actions means right differs from
cell to cell: ``params.action_map``. Undirected exploration needs about 2^N episodes.

Observations, rewards and ends equal those of gymnax's ``DeepSea-bsuite``, number for number. What differs: the map
stands in ``params`` (gymnax stores a copy in every state), ``sample_params`` draws another, and the state holds no
statistics of bsuite's (bad episodes, denoised return). ``action_map = ones`` is gymnax's ``randomize_actions=False``.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

_PIXELS = 8
_WATER, _FLOOR, _TREASURE, _DIVER = [40, 90, 160], [20, 30, 60], [230, 190, 40], [255, 255, 255]


@struct.dataclass
class DeepSeaState(environment.EnvState):
    """Where the diver is.

    Attributes:
        time: i32, steps since the start of the episode; always equal to ``row``.
        row: i32 in [0, size]; ``size`` is the terminal row.
        column: i32 in [0, size).
    """

    row: jax.Array
    column: jax.Array


@struct.dataclass
class DeepSeaParams(environment.EnvParams):
    """A level.

    Attributes:
        max_steps_in_episode: time limit in steps; the episode ends by itself after ``size``.
        deterministic: False lets a right move fail with probability ``1 / size`` and adds unit normal noise to the
            reward at both ends of the last row.
        unscaled_move_cost: what ``size`` right moves cost together.
        action_map: i32[size, size], the action that means right in each cell.
    """

    deterministic: bool = True
    unscaled_move_cost: float = 0.01
    action_map: jax.Array | None = None


class DeepSea(environment.Environment[DeepSeaState, DeepSeaParams]):
    """A sea of ``size x size`` cells.

    ``state_id = row * size + column``, the terminal row included. From the start, columns ``0 .. row`` of every row and
    all of the terminal row can be reached: ``num_reachable = size * (size + 1) / 2 + size``.

    Args:
        size: rows and columns, at least 1.
        action_mapping_key: draws the default ``action_map``; ``jax.random.key(0)``, as in gymnax, when None.
    """

    def __init__(self, size: int = 8, action_mapping_key: jax.Array | None = None):
        super().__init__()
        if isinstance(size, bool) or size != int(size) or size < 1:
            raise ValueError(f"size={size!r}: expected a whole number of at least 1")
        self.size = int(size)
        self.num_states = self.size * (self.size + 1)
        self.num_reachable = self.size * (self.size + 1) // 2 + self.size
        self.action_map = self._draw_map(jax.random.key(0) if action_mapping_key is None else action_mapping_key)

    @property
    def default_params(self) -> DeepSeaParams:
        return DeepSeaParams(max_steps_in_episode=self.size, action_map=self.action_map)

    @property
    def name(self) -> str:
        return "DeepSea-bsuite"

    @property
    def num_actions(self) -> int:
        return 2

    def sample_params(self, key: jax.Array, params: DeepSeaParams) -> DeepSeaParams:
        """``params`` with a uniformly drawn action map."""
        return params.replace(action_map=self._draw_map(key))

    def reset_env(self, key: jax.Array, params: DeepSeaParams) -> tuple[jax.Array, DeepSeaState]:
        del key, params
        state = DeepSeaState(time=jnp.int32(0), row=jnp.int32(0), column=jnp.int32(0))
        return self._observe(state), state

    def step_env(
        self, key: jax.Array, state: DeepSeaState, action: jax.Array, params: DeepSeaParams
    ) -> tuple[jax.Array, DeepSeaState, jax.Array, jax.Array, dict[str, Any]]:
        key_reward, key_move = jax.random.split(key)
        last = self.size - 1
        right = action == params.action_map[state.row, state.column]

        treasure = jnp.logical_and(state.column == last, right)
        at_end = (state.row == last) & ((state.column == 0) | (state.column == last))
        noise = jax.random.normal(key_reward) * jnp.logical_and(at_end, jnp.logical_not(params.deterministic))
        reward = treasure + noise - right * params.unscaled_move_cost / self.size

        moves = jnp.logical_or(jax.random.uniform(key_move) > 1 / self.size, params.deterministic)
        column = jnp.clip(state.column + jnp.where(right, moves.astype(jnp.int32), -1), 0, last)
        state = DeepSeaState(time=state.time + 1, row=state.row + 1, column=column)
        terminated = state.row == self.size
        info = {
            "discount": 1.0 - terminated,
            "success": jnp.logical_and(treasure, terminated),
            "state_id": self.state_id(state, params),
        }
        return self._observe(state), state, reward, terminated, info

    def state_id(self, state: DeepSeaState, params: DeepSeaParams) -> jax.Array:
        """i32 in [0, size * (size + 1))."""
        del params
        return state.row * self.size + state.column

    def pack(self, state: DeepSeaState) -> jax.Array:
        """u8[2] (u16[2] from size 256 on): row and column."""
        return jnp.stack([state.row, state.column]).astype(jnp.uint8 if self.size < 256 else jnp.uint16)

    def unpack(self, packed: jax.Array, params: DeepSeaParams) -> DeepSeaState:
        """The state that ``pack`` packed."""
        del params
        row, column = packed.astype(jnp.int32)
        return DeepSeaState(time=row, row=row, column=column)

    def render(self, state: DeepSeaState, params: DeepSeaParams) -> jax.Array:
        """u8[8 * size, 8 * size, 3]: reachable water blue, treasure gold, diver white (none in the terminal row)."""
        del params
        rows, columns = jnp.indices((self.size, self.size))[..., None]
        image = jnp.where(columns <= rows, jnp.array(_WATER), jnp.array(_FLOOR))
        image = image.at[-1, -1].set(jnp.array(_TREASURE))
        image = jnp.where((rows == state.row) & (columns == state.column), jnp.array(_DIVER), image)
        return jnp.repeat(jnp.repeat(image.astype(jnp.uint8), _PIXELS, 0), _PIXELS, 1)

    def action_space(self, params: DeepSeaParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(2)

    def observation_space(self, params: DeepSeaParams) -> spaces.Box:
        return spaces.Box(0, 1, (self.size, self.size), jnp.float32)

    def _draw_map(self, key: jax.Array) -> jax.Array:
        return jax.random.bernoulli(key, 0.5, (self.size, self.size)).astype(jnp.int32)

    def _observe(self, state: DeepSeaState) -> jax.Array:
        """f32[size, size]: one where the diver is, all zeros in the terminal row."""
        board = jnp.zeros((self.size, self.size))
        return board.at[state.row, state.column].set(1.0, mode="drop")
