"""NoisyTV: channels of noise beside the observation, the test of curiosity.

Burda, Edwards, Pathak, Storkey, Darrell and Efros (2019), "Large-scale study of curiosity-driven learning": a source of
observations that cannot be predicted holds an agent that is paid for its errors. What is on the screen changes

    always   at every step,
    action   when the agent takes one extra action, which does nothing else,
    cell     at every step spent in given states (a room); elsewhere the screen is dark.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces
from gymnax.environments.environment import Environment

from purejaxexplore.checks import choice, require_at_least
from purejaxexplore.envs.wrappers import Wrapper

KINDS, VALUES = ("always", "action", "cell"), ("gaussian", "categorical")
NUM_PICTURES = 64


class NoisyTVState(NamedTuple):
    """Attributes:
    env_state: the wrapped environment's.
    screen: f32[channels], what is on the screen.
    time: i32, steps since the start of the episode, those spent on the remote control included.
    """

    env_state: Any
    screen: jax.Array
    time: jax.Array


class NoisyTV(Wrapper):
    """``env`` with noise behind its observation, f32[n] becoming f32[n + channels].

    Args:
        env: observations are vectors (see :class:`~purejaxexplore.envs.wrappers.Flatten`) and have a ``get_obs``.
        kind: when the noise changes, ``"always"``, ``"action"`` or ``"cell"``.
        values: ``"gaussian"`` (each channel from N(0, 1)) or ``"categorical"`` (one of 64 fixed pictures, themselves
            drawn from N(0, 1) once for all: noise that a table can hold, but nobody can predict).
        channels: of noise.
        cells: with ``"cell"`` the ids of the states in which the screen is on.

    Raises:
        TypeError: the environment lacks what the kind needs.
        ValueError: an argument outside its range.
    """

    admissible_actions = None

    def __init__(
        self,
        env: Environment,
        kind: str = "always",
        values: str = "gaussian",
        channels: int = 8,
        cells: Sequence[int] = (),
    ):
        super().__init__(env)
        choice("kind", kind, KINDS)
        choice("values", values, VALUES)
        require_at_least(1, channels=channels)
        space = env.observation_space(env.default_params)
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise TypeError(f"NoisyTV: observation space {space} of {env.name}: expected a vector; use Flatten")
        if kind == "action" and not isinstance(env.action_space(env.default_params), spaces.Discrete):
            raise TypeError(f"NoisyTV: action space of {env.name}: kind='action' adds one to a Discrete one")
        if kind == "cell":
            if not hasattr(env, "state_id"):
                raise TypeError(f"NoisyTV: {env.name} does not number its states: wrap it in StateId first")
            if not cells or min(cells) < 0 or max(cells) >= env.num_states:
                raise ValueError(f"cells={cells!r}: expected ids of states, 0 to {env.num_states - 1}")
        self.kind, self.values, self.channels = kind, values, channels
        self._shown = np.isin(np.arange(env.num_states), cells) if kind == "cell" else None
        self._pictures = np.random.default_rng(0).standard_normal((NUM_PICTURES, channels)).astype(np.float32)

    def inner_state(self, state: NoisyTVState) -> Any:
        return state.env_state

    def reset_env(self, key, params):
        key_env, key_screen = jax.random.split(key)
        _, env_state = super().reset_env(key_env, params)
        state = NoisyTVState(env_state, self._screen(key_screen, env_state, params), jnp.int32(0))
        return self.get_obs(state, params, key_env), state

    def step_env(self, key, state, action, params):
        key_env, key_screen = jax.random.split(key)
        zapped = self.kind == "action" and action == self._env.num_actions
        inner_action = jnp.minimum(action, self._env.num_actions - 1) if self.kind == "action" else action
        _, env_state, reward, terminated, info = super().step_env(key_env, state, inner_action, params)
        screen = self._screen(key_screen, env_state, params)
        if self.kind == "action":
            held = self.is_terminated(state, params)
            env_state, reward, terminated, info = jax.tree.map(
                lambda stay, go: jnp.where(zapped, stay, go),
                (state.env_state, jnp.zeros_like(reward), held, jax.tree.map(jnp.zeros_like, info)),
                (env_state, reward, terminated, info),
            )
            if "state_id" in info:
                info["state_id"] = self._env.state_id(env_state, self.inner_params(params))
            screen = jnp.where(zapped, screen, state.screen)
        state = NoisyTVState(env_state, screen, state.time + 1)
        return self.get_obs(state, params, key_env), state, reward, terminated, info

    def get_obs(self, state, params=None, key=None):
        """f32[n + channels]: the wrapped environment's observation and the screen."""
        return jnp.concatenate([super().get_obs(state, params, key), state.screen])

    def is_truncated(self, state, params):
        """At the wrapped environment's time limit, by a clock that runs while one watches."""
        limit = getattr(self.inner_params(params), "max_steps_in_episode", None)
        own = False if limit is None else state.time >= limit
        return own | super().is_truncated(state, params)

    @property
    def num_actions(self) -> int:
        return self._env.num_actions + (self.kind == "action")

    def action_space(self, params=None):
        return spaces.Discrete(self.num_actions) if self.kind == "action" else super().action_space(params)

    def observation_space(self, params):
        space = super().observation_space(params)
        low, high = (np.broadcast_to(bound, space.shape) for bound in (space.low, space.high))
        noise = np.full(self.channels, np.inf, np.float32)
        low, high = np.concatenate([low, -noise]), np.concatenate([high, noise])
        return spaces.Box(jnp.asarray(low), jnp.asarray(high), low.shape, jnp.float32)

    @property
    def pack(self) -> Callable[[NoisyTVState], NoisyTVState]:
        inner = self._env.pack
        return lambda state: state._replace(env_state=inner(state.env_state))

    @property
    def unpack(self) -> Callable[[NoisyTVState, Any], NoisyTVState]:
        inner = self._env.unpack
        return lambda packed, params: packed._replace(env_state=inner(packed.env_state, self.inner_params(params)))

    def _screen(self, key: jax.Array, env_state: Any, params: Any) -> jax.Array:
        if self.values == "gaussian":
            screen = jax.random.normal(key, (self.channels,))
        else:
            screen = jnp.asarray(self._pictures)[jax.random.randint(key, (), 0, NUM_PICTURES)]
        if self.kind != "cell":
            return screen
        place = self._env.state_id(env_state, self.inner_params(params))
        return jnp.where(jnp.asarray(self._shown)[place], screen, 0.0)
