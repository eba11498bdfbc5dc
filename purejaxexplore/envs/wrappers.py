"""Wrappers: the same world, seen or numbered differently; :mod:`purejaxexplore.envs.starts` has those of its starts.

A wrapper is itself a gymnax ``Environment`` with the six-value ``step``; wrappers nest, and auto-reset happens once, in
the ``step`` of the outermost. The optional extras of a world (``state_id``, ``num_states``, ``num_reachable``,
``pack``, ``unpack``, ``render``, ``sample_params``) exist on the wrapper exactly when they exist inside, and
``admissible_actions``, which reads observations, unless the wrapper changes those.
"""

import copy
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import spaces
from gymnax.environments.environment import Environment


class Wrapper(Environment):
    """Passes everything on to ``env``; a subclass changes what it is for.

    A wrapper with a state or parameters of its own overrides ``inner_state`` / ``inner_params``, which unwrap them.
    """

    def __init__(self, env: Environment):
        if not isinstance(env, Environment):
            raise TypeError(f"env={env!r}: expected a gymnax Environment")
        self._env = env

    def __getattr__(self, name: str) -> Any:
        # copy and pickle look names up before _env exists, which would recurse for ever.
        if name.startswith("__") or name == "_env":
            raise AttributeError(name)
        return getattr(self._env, name)

    def inner_state(self, state: Any) -> Any:
        """The state of the wrapped environment inside ``state``."""
        return state

    def inner_params(self, params: Any) -> Any:
        """The parameters of the wrapped environment inside ``params``."""
        return params

    @property
    def default_params(self) -> Any:
        return self._env.default_params

    @property
    def name(self) -> str:
        return self._env.name

    @property
    def num_actions(self) -> int:
        return self._env.num_actions

    @property
    def supports_transition_gradients(self) -> bool:
        return self._env.supports_transition_gradients

    @property
    def transition_gradients_enabled(self) -> bool:
        return self._env.transition_gradients_enabled

    def with_transition_gradients(self) -> "Wrapper":
        wrapper = copy.copy(self)
        wrapper._env = self._env.with_transition_gradients()
        return wrapper

    def reset_env(self, key, params):
        return self._env.reset_env(key, self.inner_params(params))

    def step_env(self, key, state, action, params):
        return self._env.step_env(key, self.inner_state(state), action, self.inner_params(params))

    def get_obs(self, state, params=None, key=None):
        """The observation of a state, where the wrapped environment has one of its own."""
        inner = None if params is None else self.inner_params(params)
        return self._env.get_obs(self.inner_state(state), inner, *(() if key is None else (key,)))

    def is_truncated(self, state, params):
        return self._env.is_truncated(self.inner_state(state), self.inner_params(params))

    def is_terminated(self, state, params):
        return self._env.is_terminated(self.inner_state(state), self.inner_params(params))

    def action_space(self, params=None):
        return self._env.action_space(None if params is None else self.inner_params(params))

    def observation_space(self, params):
        return self._env.observation_space(self.inner_params(params))

    def state_space(self, params):
        return self._env.state_space(self.inner_params(params))

    # Properties, so that hasattr is as true of the wrapper as of what it wraps.
    @property
    def state_id(self) -> Callable[[Any, Any], jax.Array]:
        inner = self._env.state_id
        return lambda state, params: inner(self.inner_state(state), self.inner_params(params))

    @property
    def render(self) -> Callable[[Any, Any], Any]:
        inner = self._env.render
        return lambda state, params: inner(self.inner_state(state), self.inner_params(params))

    @property
    def pack(self) -> Callable[[Any], Any]:
        inner = self._env.pack
        return lambda state: inner(self.inner_state(state))

    @property
    def unpack(self) -> Callable[[Any, Any], Any]:
        inner = self._env.unpack
        return lambda packed, params: inner(packed, self.inner_params(params))


@struct.dataclass
class EpisodeStatisticsState:
    """State of :class:`EpisodeStatistics`.

    Attributes:
        env_state: the wrapped environment's.
        episode_return: f32, sum of the rewards of the running episode.
        episode_length: i32, its steps so far.
        episode_success: bool, whether one of these steps was a success.
    """

    env_state: Any
    episode_return: jax.Array
    episode_length: jax.Array
    episode_success: jax.Array


class EpisodeStatistics(Wrapper):
    """Reports every episode in the ``info`` of its last step.

    ``info`` gains ``returned_episode`` (bool: an episode ended at this step) and, meaningful where that is True,
    ``returned_episode_return`` (f32, undiscounted), ``returned_episode_length`` (i32, steps) and
    ``returned_episode_success`` (bool: some step of it had ``info["success"]``); elsewhere these are zero.
    """

    def inner_state(self, state: EpisodeStatisticsState) -> Any:
        return state.env_state

    def reset_env(self, key, params):
        obs, env_state = super().reset_env(key, params)
        return obs, EpisodeStatisticsState(env_state, jnp.float32(0), jnp.int32(0), jnp.bool_(False))

    def step_env(self, key, state, action, params):
        obs, env_state, reward, terminated, info = super().step_env(key, state, action, params)
        state = EpisodeStatisticsState(
            env_state=env_state,
            episode_return=state.episode_return + reward,
            episode_length=state.episode_length + 1,
            episode_success=state.episode_success | info.get("success", False),
        )
        done = terminated | self.is_truncated(state, params)
        returned = {
            "returned_episode": done,
            "returned_episode_return": jnp.where(done, state.episode_return, 0.0),
            "returned_episode_length": jnp.where(done, state.episode_length, 0),
            "returned_episode_success": done & state.episode_success,
        }
        return obs, state, reward, terminated, {**info, **returned}

    @property
    def pack(self) -> Callable[[EpisodeStatisticsState], EpisodeStatisticsState]:
        inner = self._env.pack
        return lambda state: state.replace(env_state=inner(state.env_state))

    @property
    def unpack(self) -> Callable[[EpisodeStatisticsState, Any], EpisodeStatisticsState]:
        inner = self._env.unpack
        return lambda packed, params: packed.replace(env_state=inner(packed.env_state, params))


class ObservationWrapper(Wrapper):
    """Shows ``transform(observation, params)`` instead of the observation, everywhere: reset, step and final ones."""

    admissible_actions = None  # it reads the observations that are no longer given

    def transform(self, observation: Any, params: Any) -> Any:
        """The new observation; ``params`` are the wrapped environment's."""
        raise NotImplementedError(f"{type(self).__name__}.transform")

    def get_obs(self, state, params=None, key=None):
        inner = None if params is None else self.inner_params(params)
        return self.transform(super().get_obs(state, params, key), inner)

    def reset_env(self, key, params):
        obs, state = super().reset_env(key, params)
        return self.transform(obs, self.inner_params(params)), state

    def step_env(self, key, state, action, params):
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        return self.transform(obs, self.inner_params(params)), state, reward, terminated, info


class Flatten(ObservationWrapper):
    """Observations as one vector ``[n]`` of their own dtype.

    Raises:
        TypeError: the observations are not one array (``Box``); for a ``Discrete`` one, use :class:`OneHot`.
    """

    def __init__(self, env: Environment):
        super().__init__(env)
        _require_box(self, env)

    def transform(self, observation, params):
        return observation.reshape(-1)

    def observation_space(self, params):
        space = super().observation_space(params)
        low, high = (np.broadcast_to(bound, space.shape).reshape(-1) for bound in (space.low, space.high))
        return spaces.Box(jnp.asarray(low), jnp.asarray(high), low.shape, space.dtype)


class OneHot(ObservationWrapper):
    """Whole-number observations as f32 one-hot vectors along a new last axis of length ``high - low + 1``.

    ``FrozenLake``: ``i32[]`` becomes ``f32[16]``; ``FourRooms``: ``i32[4]`` becomes ``f32[4, 13]``.

    Raises:
        TypeError: the observations are not whole numbers, or not one array.
    """

    def __init__(self, env: Environment):
        super().__init__(env)
        space = env.observation_space(env.default_params)
        if not isinstance(space, spaces.Discrete | spaces.Box) or not jnp.issubdtype(space.dtype, jnp.integer):
            raise TypeError(f"OneHot: observation space {space} of {env.name}: expected whole numbers")
        discrete = isinstance(space, spaces.Discrete)
        self._low = 0 if discrete else int(np.min(space.low))
        self._num_values = space.n if discrete else int(np.max(space.high)) - self._low + 1

    def transform(self, observation, params):
        return jax.nn.one_hot(observation.astype(jnp.int32) - self._low, self._num_values, dtype=jnp.float32)

    def observation_space(self, params):
        return spaces.Box(0, 1, (*super().observation_space(params).shape, self._num_values), jnp.float32)


class Scale(ObservationWrapper):
    """Observations as f32, mapped linearly from the bounds of their ``Box`` to ``[low, high]``.

    Args:
        env: its observation space is a ``Box`` with finite bounds.
        low, high: the new bounds, ``low < high``.

    Raises:
        TypeError: the observation space is not a ``Box``.
        ValueError: ``low >= high``, or a bound of the box is infinite (or as good as: beyond 1e30).
    """

    def __init__(self, env: Environment, low: float = 0.0, high: float = 1.0):
        super().__init__(env)
        if not low < high:
            raise ValueError(f"low={low!r}, high={high!r}: expected low < high")
        space = _require_box(self, env)
        if not np.all(np.abs([np.min(space.low), np.max(space.high)]) < 1e30):
            raise ValueError(f"Scale: observation space {space} of {env.name}: expected finite bounds")
        self.low, self.high = low, high

    def transform(self, observation, params):
        space = self._env.observation_space(params)
        bottom, top = (jnp.asarray(bound, jnp.float32) for bound in (space.low, space.high))
        span = jnp.where(top > bottom, top - bottom, 1.0)
        return self.low + (self.high - self.low) * (observation.astype(jnp.float32) - bottom) / span

    def observation_space(self, params):
        return spaces.Box(self.low, self.high, super().observation_space(params).shape, jnp.float32)


class StateId(Wrapper):
    """Numbers the states: adds ``state_id``, ``num_states`` and ``info["state_id"]``, the id of the true successor.

    Args:
        env: any environment.
        fn: ``(state, params) -> i32`` in ``[0, num_states)``, of the wrapped environment's state and parameters.
        num_states: how many ids there are.
        num_reachable: how many of them can be reached, the denominator of coverage; ``num_states`` when None.
    """

    def __init__(
        self,
        env: Environment,
        fn: Callable[[Any, Any], jax.Array],
        num_states: int,
        num_reachable: int | None = None,
    ):
        super().__init__(env)
        num_reachable = num_states if num_reachable is None else num_reachable
        if num_states < 1 or not 1 <= num_reachable <= num_states:
            raise ValueError(
                f"num_states={num_states!r}, num_reachable={num_reachable!r}: expected 1 <= num_reachable <= num_states"
            )
        self._fn, self.num_states, self.num_reachable = fn, num_states, num_reachable

    def state_id(self, state, params):
        """i32 in [0, num_states)."""
        return jnp.asarray(self._fn(state, params), jnp.int32)

    def step_env(self, key, state, action, params):
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        return obs, state, reward, terminated, {**info, "state_id": self.state_id(state, params)}


class ObserveStateId(Wrapper):
    """Shows the number of the state instead of the observation: ``i32[]`` in ``[0, num_states)``, for tables.

    Raises:
        TypeError: the environment does not number its states.
    """

    admissible_actions = None

    def __init__(self, env: Environment):
        super().__init__(env)
        if not hasattr(env, "state_id"):
            raise TypeError(f"ObserveStateId: {env.name} does not number its states: wrap it in StateId first")

    def get_obs(self, state, params=None, key=None):
        return self.state_id(state, params)

    def reset_env(self, key, params):
        _, state = super().reset_env(key, params)
        return self.state_id(state, params), state

    def step_env(self, key, state, action, params):
        _, state, reward, terminated, info = super().step_env(key, state, action, params)
        return self.state_id(state, params), state, reward, terminated, info

    def observation_space(self, params):
        return spaces.Discrete(self.num_states)


def _require_box(wrapper: Wrapper, env: Environment) -> spaces.Box:
    space = env.observation_space(env.default_params)
    if not isinstance(space, spaces.Box):
        hint = "; use OneHot" if isinstance(space, spaces.Discrete) else ""
        raise TypeError(f"{type(wrapper).__name__}: observation space {space} of {env.name}: expected a Box{hint}")
    return space
