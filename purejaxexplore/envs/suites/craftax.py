"""Craftax and Craftax-Classic with symbolic observations (Matthews et al., 2024, "Craftax: A Lightning-Fast Benchmark
for Open-Ended Reinforcement Learning").

Differs from its own interface: the time limit truncates (in Craftax it terminates) and is called
``max_steps_in_episode``; the state holds no key. ``info["Achievements/..."]`` is 100 or 0, at the end of an episode.

A reset builds a whole world, some milliseconds on a CPU, and auto-reset does so at every step: learners are many times
faster with :class:`~purejaxexplore.envs.starts.StartPool`, which makes a few worlds a rollout.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from craftax.craftax.craftax_state import EnvParams as FullParams
from craftax.craftax_classic.envs.craftax_state import EnvParams as ClassicParams
from craftax.craftax_env import make_craftax_env_from_name
from flax import struct
from gymnax.environments import environment, spaces

_NEVER = 2**31 - 1


def _with_gymnax_limit(craftax_params: type, name: str) -> type:
    """Craftax's parameters, the time limit (in steps) under gymnax's name."""
    fields = {
        "max_steps_in_episode" if field.name == "max_timesteps" else field.name: field
        for field in dataclasses.fields(craftax_params)
    }
    annotations = {"__annotations__": {key: field.type for key, field in fields.items()}, "__module__": __name__}
    return struct.dataclass(type(name, (), annotations | {key: field.default for key, field in fields.items()}))


CraftaxParams = _with_gymnax_limit(FullParams, "CraftaxParams")
CraftaxClassicParams = _with_gymnax_limit(ClassicParams, "CraftaxClassicParams")
_PARAMS = {
    "Craftax-Symbolic-v1": (FullParams, CraftaxParams),
    "Craftax-Classic-Symbolic-v1": (ClassicParams, CraftaxClassicParams),
}


class Craftax(environment.Environment):
    """One Craftax environment.

    Args:
        name: ``"Craftax-Symbolic-v1"`` (observations f32[8268], 43 actions) or ``"Craftax-Classic-Symbolic-v1"``
            (f32[1345], 17 actions).
    """

    def __init__(self, name: str):
        super().__init__()
        self._name = name
        self._engine = make_craftax_env_from_name(name, auto_reset=False)
        self._engine_params, self._our_params = _PARAMS[name]

    @property
    def default_params(self) -> Any:
        return self._our_params()

    @property
    def name(self) -> str:
        return self._name

    @property
    def num_actions(self) -> int:
        return self._engine.num_actions

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        obs, state = self._engine.reset_env(key, self._translate(params))
        return obs, jax.tree.map(jnp.asarray, state.replace(state_rng=None))

    def step_env(
        self, key: jax.Array, state: Any, action: jax.Array, params: Any
    ) -> tuple[jax.Array, Any, jax.Array, jax.Array, dict[str, Any]]:
        params = self._translate(params)
        obs, state, reward, _, info = self._engine.step_env(key, state, action, params)
        terminated = self._engine.is_terminal(state, params.replace(max_timesteps=_NEVER))
        return obs, state.replace(state_rng=None), reward, terminated, info | {"discount": 1.0 - terminated}

    def is_truncated(self, state: Any, params: Any) -> jax.Array:
        return state.timestep >= params.max_steps_in_episode

    def action_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_actions)

    def observation_space(self, params: Any) -> spaces.Box:
        space = self._engine.observation_space(self._translate(params))
        return spaces.Box(space.low, space.high, space.shape, space.dtype)

    def _translate(self, params: Any) -> Any:
        values = {field.name: getattr(params, field.name) for field in dataclasses.fields(params)}
        return self._engine_params(max_timesteps=values.pop("max_steps_in_episode"), **values)


def names() -> list[str]:
    """The symbolic environments."""
    return [*_PARAMS]


def factory(name: str) -> Callable[..., Craftax]:
    """``callable() -> environment`` for one id."""
    return partial(Craftax, name)
