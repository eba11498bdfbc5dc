"""navix (Pignatelli et al., 2024, "NAVIX: Scaling MiniGrid Environments with JAX"): MiniGrid's gridworlds.

Differs from navix's own interface: a time limit truncates and never terminates, and the limit is a field of ``params``;
the state holds neither a key (the key of ``step`` drives the world) nor navix's cache of tile images, which would weigh
3 kB a cell. Works with navix 0.7 (Python 3.11) and 4 (Python 3.12 and later).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import navix
from flax import struct
from gymnax.environments import environment, spaces
from navix.entities import Entities
from navix.environments.environment import Timestep
from navix.environments.registry import registry
from navix.rendering.cache import RenderingCache
from navix.states import State

OBSERVATIONS = (
    "symbolic", "symbolic_first_person", "categorical", "categorical_first_person", "rgb", "rgb_first_person",
)  # fmt: skip
_OUTSIDE = 100  # what navix's categorical first-person view shows beyond the grid; above every entity's tag
_NUMBERED = ("Empty", "DoorKey", "KeyCorridor")


@struct.dataclass
class NavixState(environment.EnvState):
    """Attributes: ``time``: i32, steps since the start; ``world``: navix's state without its key and image cache."""

    world: State


class Navix(environment.Environment[NavixState, environment.EnvParams]):
    """One navix environment; actions as in MiniGrid (turn left, turn right, forward, pick up, drop, toggle, done).

    Args:
        name: an id such as ``"Navix-DoorKey-8x8-v0"``.
        observation: one of ``OBSERVATIONS``; ``"symbolic"`` is u8[H, W, 3] of (object, colour, state).
    """

    def __init__(self, name: str, observation: str = "symbolic"):
        super().__init__()
        if observation not in OBSERVATIONS:
            raise ValueError(f"observation={observation!r}: expected one of {OBSERVATIONS}")
        self._name, self._needs_images = name, observation.startswith("rgb")
        self._navix = navix.make(name, observation_fn=getattr(navix.observations, observation))

    @property
    def default_params(self) -> environment.EnvParams:
        return environment.EnvParams(max_steps_in_episode=self._navix.max_steps)

    @property
    def name(self) -> str:
        return self._name

    @property
    def num_actions(self) -> int:
        return len(self._navix.action_set)

    def reset_env(self, key: jax.Array, params: environment.EnvParams) -> tuple[jax.Array, NavixState]:
        del params
        timestep = self._navix.reset(key)
        return timestep.observation, self._strip(timestep)

    def step_env(
        self, key: jax.Array, state: NavixState, action: jax.Array, params: environment.EnvParams
    ) -> tuple[jax.Array, NavixState, jax.Array, jax.Array, dict[str, Any]]:
        del params
        # navix writes into the dict of entities that it is given; without images its cache is never read.
        world = state.world.replace(key=key, entities=dict(state.world.entities))
        if self._needs_images:
            world = world.replace(cache=RenderingCache.init(world.grid))
        zero = jnp.int32(0)
        before = Timestep(t=state.time, observation=zero, action=zero, reward=zero, step_type=zero, state=world)
        after = self._navix._step(before, action)  # navix's step less its auto-reset, which would build a world a step
        terminated = after.is_termination()
        reward = after.reward.astype(jnp.float32)
        return after.observation, self._strip(after), reward, terminated, {"success": terminated & (reward > 0)}

    def render(self, state: NavixState, params: environment.EnvParams) -> jax.Array:
        """u8[32 * H, 32 * W, 3]: navix's own picture of the whole grid."""
        del params
        return navix.observations.rgb(state.world.replace(cache=RenderingCache.init(state.world.grid)))

    def action_space(self, params: environment.EnvParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_actions)

    def observation_space(self, params: environment.EnvParams) -> spaces.Box:
        observation = jax.eval_shape(self._navix.reset, jax.random.key(0)).observation
        if observation.dtype == jnp.uint8:
            return spaces.Box(0, 255, observation.shape, jnp.uint8)
        return spaces.Box(-1, _OUTSIDE, observation.shape, observation.dtype)  # categorical; -1 is a wall

    def _strip(self, timestep: Timestep) -> NavixState:
        return NavixState(time=timestep.t, world=timestep.state.replace(key=None, cache=None))


class NumberedNavix(Navix):
    """A navix environment with a ``state_id``: the player's row, column and direction, with doors whether it has picked
    up a key, and which of the doors are open.

    ``num_states`` is the product of these, walls included. The level itself is not part of the id, nor is the place of
    a key that was put down again.
    """

    def __init__(self, name: str, observation: str = "symbolic"):
        super().__init__(name, observation)
        world = jax.eval_shape(self._navix.reset, jax.random.key(0)).state
        self._shape = world.grid.shape
        self._num_doors = world.entities[Entities.DOOR].open.shape[0] if Entities.DOOR in world.entities else 0
        self.num_states = self._shape[0] * self._shape[1] * 4 * (2 * 2**self._num_doors if self._num_doors else 1)

    def step_env(self, key, state, action, params):
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        return obs, state, reward, terminated, info | {"state_id": self.state_id(state, params)}

    def state_id(self, state: NavixState, params: environment.EnvParams) -> jax.Array:
        """i32 in [0, num_states)."""
        del params
        player = state.world.get_player()
        number = (player.position[0] * self._shape[1] + player.position[1]) * 4 + player.direction
        if self._num_doors:
            doors = state.world.get_doors().open > 0
            number = number * 2 + (player.pocket > 0)
            number = number * 2**self._num_doors + jnp.sum(doors << jnp.arange(self._num_doors))
        return number.astype(jnp.int32)


def names() -> list[str]:
    """The ids that navix has registered."""
    return [*registry()]


def factory(name: str) -> Callable[..., Navix]:
    """``callable(observation=...) -> environment`` for one id."""
    numbered = name.removeprefix("Navix-").startswith(_NUMBERED)
    return partial(NumberedNavix if numbered else Navix, name)
