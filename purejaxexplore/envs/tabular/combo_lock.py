"""ComboLock: one secret action a level; every other one is death.

The combination lock of the theory of exploration, with the family of tasks of Xu, Xu, Wang, Jain and Liu (2024),
"Sample efficient myopic exploration through multitask reinforcement learning with diverse tasks": task m is rewarded on
reaching level m, so that a policy which solves it stands one action away from task m + 1.

From level h the secret action of the level leads to h + 1, any other to ``dead``, where the episode ends, as it does at
the last level. A uniform player reaches level m with probability A^-m: with 12 levels and 4 actions 6.0e-8.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import require_at_least, whole_number
from purejaxexplore.envs.grids import tiles


class ComboLockState(NamedTuple):
    """What changes during an episode.

    Attributes:
        place: i32, the level from 0 to H; H + 1 for dead.
        time: i32, steps since the start of the episode.
    """

    place: jax.Array
    time: jax.Array


@struct.dataclass
class ComboLockParams(environment.EnvParams):
    """A lock.

    Attributes:
        max_steps_in_episode: time limit in steps; the lock itself is open or deadly after H.
        secret: i32[H], the action that opens each level.
        task: i32, 1 to H: the level that is rewarded.
    """

    max_steps_in_episode: int = 12
    secret: jax.Array | None = None
    task: int = 12


class ComboLock(environment.Environment[ComboLockState, ComboLockParams]):
    """A lock with ``num_levels`` levels and ``num_actions`` actions.

    Args:
        num_levels: H, 1 or more.
        num_actions: A, 2 to 8.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(self, num_levels: int = 12, num_actions: int = 4):
        super().__init__()
        require_at_least(1, num_levels=num_levels)
        self.num_levels, self._num_actions = num_levels, whole_number("num_actions", num_actions, 2, 8)

    @property
    def default_params(self) -> ComboLockParams:
        """The secret of key 0, the deepest task."""
        secret = jax.random.randint(jax.random.key(0), (self.num_levels,), 0, self._num_actions)
        return ComboLockParams(self.num_levels, secret, self.num_levels)

    def sample_params(self, key: jax.Array, params: ComboLockParams) -> ComboLockParams:
        """``params`` with another secret."""
        return params.replace(secret=jax.random.randint(key, (self.num_levels,), 0, self._num_actions))

    def uniform_success(self, task: int) -> float:
        """The probability that uniform actions solve ``task`` in an episode, A^-task."""
        return float(self._num_actions) ** -task

    def reset_env(self, key: jax.Array, params: ComboLockParams) -> tuple[jax.Array, ComboLockState]:
        """A fresh episode: ``key -> (observation, state)``."""
        state = ComboLockState(jnp.int32(0), jnp.int32(0))
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: ComboLockState, action: jax.Array, params: ComboLockParams
    ) -> tuple[jax.Array, ComboLockState, jax.Array, jax.Array, dict[str, Any]]:
        """One action without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the task's level was reached by this action) and ``state_id`` of the successor.
        """
        opens = jnp.any((np.arange(self.num_levels) == state.place) & (params.secret == action))
        after = ComboLockState(jnp.where(opens, state.place + 1, self.num_levels + 1), state.time + 1)
        success = opens & (after.place == params.task)
        info = {"success": success, "state_id": after.place}
        return self.get_obs(after), after, success.astype(jnp.float32), self.is_terminated(after, params), info

    def is_terminated(self, state: ComboLockState, params: ComboLockParams) -> jax.Array:
        """Whether the agent is dead or through all levels."""
        return state.place >= self.num_levels

    def get_obs(self, state: ComboLockState, params: ComboLockParams | None = None, key=None) -> jax.Array:
        """f32[num_states], the place one-hot."""
        return (np.arange(self.num_states) == state.place).astype(jnp.float32)

    @property
    def num_states(self) -> int:
        """H + 1 levels, and dead."""
        return self.num_levels + 2

    @property
    def num_reachable(self) -> int:
        return self.num_states

    def state_id(self, state: ComboLockState, params: ComboLockParams | None = None) -> jax.Array:
        """The i32 place."""
        return state.place

    def states(self) -> ComboLockState:
        """One state of each id, a batch."""
        return ComboLockState(jnp.arange(self.num_states), jnp.zeros(self.num_states, jnp.int32))

    def render(self, state: ComboLockState, params: ComboLockParams) -> jax.Array:
        """Doors behind each other above the pit of the dead, ``u8[64, 16 (2 H + 3), 3]``; the task's is a treasure."""
        width = 2 * self.num_levels + 3
        y, x = np.mgrid[:4, :width]
        level, is_door = (x - 1) // 2, (y == 1) & (x % 2 == 0) & (x > 0) & (x < width - 1)
        sprites = [tiles.floor(), tiles.wall(), tiles.pit(), tiles.treasure(), tiles.closed_door(0), tiles.open_door(0)]
        inside = (y > 0) & (y < 3) & (x > 0) & (x < width - 1)
        tile = jnp.where(is_door, jnp.where(level < jnp.where(self._is_dead(state), 0, state.place), 5, 4), 0)
        tile = jnp.where((y == 1) & (x == 1 + 2 * params.task), 3, tile)
        tile = jnp.where((y == 2) & inside, 2, tile)
        picture = tiles.compose(np.stack(sprites), jnp.where(inside, tile, 1))
        dead = self._is_dead(state)
        return tiles.draw_agent(picture, jnp.where(dead, 2, 1), jnp.where(dead, 1, 1 + 2 * state.place))

    @property
    def num_actions(self) -> int:
        return self._num_actions

    def action_space(self, params: ComboLockParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(self._num_actions)

    def observation_space(self, params: ComboLockParams | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (self.num_states,), jnp.float32)

    def state_space(self, params: ComboLockParams) -> spaces.Dict:
        limit = spaces.Discrete(params.max_steps_in_episode + 1)
        return spaces.Dict({"place": spaces.Discrete(self.num_states), "time": limit})

    def _is_dead(self, state: ComboLockState) -> jax.Array:
        return state.place == self.num_levels + 1
