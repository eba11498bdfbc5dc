"""GaussGrid8: an open square with a rich spot, a wide mild one, and a goal that ends all earning.

The grid world of Nabati, Tennenholtz and Mannor (2023), "Representation-driven reinforcement learning", as their code
has it. From the corner (0, 0) of 8 x 8 cells; four moves, a bump into the border costs its step. Entering the cell
``p = (row, column)`` pays, with u uniform in [0, 1]::

    -2 + 3 u + 2.5 exp(-4 |p - (6, 1)|^2) + 0.3 exp(-|p - (2, 5)|^2 / 16)

on average -0.5, and +2 in the one cell (6, 1), which nothing around it announces. The goal, the corner (7, 7), pays 13
when it is entered; from then on nothing moves and nothing is paid, but the episode goes on to its limit of 30 steps.

Nobody can stand still in (6, 1): the best stationary policy steps in and out of it, and earns 17.4 in 30 steps
(:func:`value_iteration`). Policies that never find the cell earn 9.1 at most, by the goal; those that find neither
-14.3 to -6.9. A policy that knows the time may also go to the goal in the end, for 23.4 (:func:`best_return`). The
paper calls the noise Gaussian; in its code it is uniform.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.grids import tiles
from purejaxexplore.envs.grids.squares import DOWN_RIGHT

SIZE, RICH, MILD = 8, (6, 1), (2, 5)
CELLS, GOAL = SIZE * SIZE, SIZE * SIZE - 1


class GaussGridState(NamedTuple):
    """What changes during an episode.

    Attributes:
        cell: i32, row * 8 + column.
        time: i32, steps since the start of the episode.
    """

    cell: jax.Array
    time: jax.Array


@struct.dataclass
class GaussGridParams(environment.EnvParams):
    """A level.

    Attributes:
        max_steps_in_episode: time limit in steps.
        noise: range of the uniform noise of a reward, of mean 0; 0 for none.
        goal_reward: of entering the goal.
    """

    max_steps_in_episode: int = 30
    noise: float = 3.0
    goal_reward: float = 13.0


class GaussGrid8(environment.Environment[GaussGridState, GaussGridParams]):
    """The square. Actions 0 to 3: up, right, down, left; the observation is the cell, one-hot f32[64]."""

    @property
    def default_params(self) -> GaussGridParams:
        return GaussGridParams()

    def reset_env(self, key: jax.Array, params: GaussGridParams) -> tuple[jax.Array, GaussGridState]:
        """A fresh episode in the corner: ``key -> (observation, state)``."""
        state = GaussGridState(jnp.int32(0), jnp.int32(0))
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: GaussGridState, action: jax.Array, params: GaussGridParams
    ) -> tuple[jax.Array, GaussGridState, jax.Array, jax.Array, dict[str, Any]]:
        """One move without auto-reset: ``(observation, state, reward f32, terminated False, info)``.

        ``info`` holds ``state_id`` of the successor.
        """
        cell = jnp.asarray(successors()).reshape(-1)[state.cell * 4 + action]
        noise = params.noise * (jax.random.uniform(key) - 0.5)
        entered = jnp.where(cell == GOAL, params.goal_reward, jnp.asarray(mean_rewards(0.0))[cell] + noise)
        reward = jnp.where(state.cell == GOAL, 0.0, entered)
        state = GaussGridState(cell, state.time + 1)
        return self.get_obs(state), state, reward, jnp.bool_(False), {"state_id": cell}

    def get_obs(self, state: GaussGridState, params: GaussGridParams | None = None, key=None) -> jax.Array:
        """f32[64], the cell one-hot."""
        return (np.arange(CELLS) == state.cell).astype(jnp.float32)

    @property
    def num_states(self) -> int:
        return CELLS

    @property
    def num_reachable(self) -> int:
        return CELLS

    def state_id(self, state: GaussGridState, params: GaussGridParams | None = None) -> jax.Array:
        """The i32 cell."""
        return state.cell

    def states(self) -> GaussGridState:
        """One state of each id, a batch."""
        return GaussGridState(jnp.arange(CELLS), jnp.zeros(CELLS, jnp.int32))

    def render(self, state: GaussGridState, params: GaussGridParams | None = None) -> jax.Array:
        """The world as ``u8[128, 128, 3]``; the treasure is the goal, the key lies in the rich spot."""
        return tiles.draw_agent(self.map_background(params), state.cell // SIZE, state.cell % SIZE)

    def map_background(self, params: GaussGridParams | None = None) -> jax.Array:
        """The world without the agent, ``u8[128, 128, 3]``: the ground of a coverage map."""
        chart = np.zeros((SIZE, SIZE), int)
        chart[SIZE - 1, SIZE - 1], chart[RICH] = 1, 2
        return tiles.compose(np.stack([tiles.floor(), tiles.treasure(), tiles.key(0)]), jnp.asarray(chart))

    def position_map(self, values: jax.Array, params: GaussGridParams | None = None) -> jax.Array:
        """``values: f32[64]`` laid out as ``f32[8, 8]``."""
        return jnp.asarray(values).reshape(SIZE, SIZE)

    @property
    def num_actions(self) -> int:
        return 4

    def action_space(self, params: GaussGridParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(4)

    def observation_space(self, params: GaussGridParams | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (CELLS,), jnp.float32)

    def state_space(self, params: GaussGridParams) -> spaces.Dict:
        limit = spaces.Discrete(params.max_steps_in_episode + 1)
        return spaces.Dict({"cell": spaces.Discrete(CELLS), "time": limit})


def successors() -> np.ndarray:
    """Where each move leads from each cell, i32[64, 4]; nowhere from the goal."""
    row, column = np.divmod(np.arange(CELLS), SIZE)
    after = np.clip(np.stack([row, column], -1)[:, None] + DOWN_RIGHT, 0, SIZE - 1)
    table = (after[..., 0] * SIZE + after[..., 1]).astype(np.int32)
    table[GOAL] = GOAL
    return table


def mean_rewards(goal_reward: float) -> np.ndarray:
    """Mean reward of entering each cell, f32[64]."""
    place = np.stack(np.divmod(np.arange(CELLS), SIZE), -1)
    rich, mild = (np.square(place - np.array(centre)).sum(-1) for centre in (RICH, MILD))
    mean = -0.5 + 2.5 * np.exp(-4 * rich) + 0.3 * np.exp(-mild / 16)
    mean[GOAL] = goal_reward
    return mean.astype(np.float32)


def value_iteration(params: GaussGridParams, discount: float = 0.995, sweeps: int = 5_000) -> np.ndarray:
    """The stationary policy that is the best for ever at ``discount``: actions i64[64], the first of equal ones.

    Raises:
        ValueError: ``discount`` is not in [0, 1), or ``sweeps`` is not positive.
    """
    require_between(0.0, 1 - 1e-9, discount=discount)
    require_at_least(1, sweeps=sweeps)
    after, value = successors(), np.zeros(CELLS)
    pays = np.where(np.arange(CELLS)[:, None] == GOAL, 0.0, mean_rewards(float(params.goal_reward))[after])
    for _ in range(sweeps):
        action_values = pays + discount * value[after]
        value = action_values.max(1)
    return np.round(action_values, 6).argmax(1)


def policy_return(actions: np.ndarray, params: GaussGridParams) -> float:
    """Mean return of an episode of the policy ``actions`` [64]."""
    after, pays = successors(), mean_rewards(float(params.goal_reward))
    cell, total = 0, 0.0
    for _ in range(int(params.max_steps_in_episode)):
        if cell != GOAL:
            cell = after[cell, actions[cell]]
            total += float(pays[cell])
    return total


def best_return(params: GaussGridParams) -> float:
    """Largest mean return of an episode, by backward induction: its policy depends on the time that is left."""
    after, value = successors(), np.zeros(CELLS)
    pays = np.where(np.arange(CELLS)[:, None] == GOAL, 0.0, mean_rewards(float(params.goal_reward))[after])
    for _ in range(int(params.max_steps_in_episode)):
        value = (pays + value[after]).max(1)
    return float(value[0])
