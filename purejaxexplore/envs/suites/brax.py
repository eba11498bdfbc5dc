"""brax (Freeman et al., 2021, "Brax - A Differentiable Physics Engine for Large Scale Rigid Body Simulation").

Differs from brax's own interface: no episode wrapper and no auto-reset wrapper around the physics; our own clock
truncates at ``params.max_steps_in_episode`` (1,000, as in brax), and brax's ``done`` terminates.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import brax.envs
import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

BACKENDS = ("generalized", "spring", "positional", "mjx")
_NAMES = (
    "ant", "halfcheetah", "hopper", "humanoid", "humanoidstandup", "inverted_double_pendulum", "inverted_pendulum",
    "pusher", "reacher", "walker2d",
)  # fmt: skip


@struct.dataclass
class BraxState(environment.EnvState):
    """Attributes: ``time``: i32, steps since the start; ``body``: brax's own state."""

    body: brax.envs.State


class Brax(environment.Environment[BraxState, environment.EnvParams]):
    """One brax environment; actions are f32[num_actions] in [-1, 1].

    Args:
        name: such as ``"ant"``.
        backend: the physics, one of ``BACKENDS``; ``"spring"`` is the fastest.
    """

    def __init__(self, name: str, backend: str = "generalized"):
        super().__init__()
        if backend not in BACKENDS:
            raise ValueError(f"backend={backend!r}: expected one of {BACKENDS}")
        self._name = name
        self._engine = brax.envs.create(name, episode_length=None, auto_reset=False, backend=backend)

    @property
    def default_params(self) -> environment.EnvParams:
        return environment.EnvParams(max_steps_in_episode=1000)

    @property
    def name(self) -> str:
        return self._name

    @property
    def num_actions(self) -> int:
        return int(self._engine.action_size)

    def reset_env(self, key: jax.Array, params: environment.EnvParams) -> tuple[jax.Array, BraxState]:
        del params
        body = self._engine.reset(key)
        return body.obs, BraxState(time=jnp.int32(0), body=body)

    def step_env(
        self, key: jax.Array, state: BraxState, action: jax.Array, params: environment.EnvParams
    ) -> tuple[jax.Array, BraxState, jax.Array, jax.Array, dict[str, Any]]:
        del key, params
        # brax writes into the dict of metrics that it is given.
        body = self._engine.step(state.body.replace(metrics=dict(state.body.metrics)), action)
        info = {f"metrics/{name}": value for name, value in body.metrics.items()}
        return body.obs, BraxState(time=state.time + 1, body=body), body.reward, body.done > 0, info

    def action_space(self, params: environment.EnvParams | None = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (self.num_actions,), jnp.float32)

    def observation_space(self, params: environment.EnvParams) -> spaces.Box:
        obs = jax.eval_shape(self._engine.reset, jax.random.key(0)).obs
        return spaces.Box(-jnp.inf, jnp.inf, obs.shape, obs.dtype)


def names() -> list[str]:
    """brax's robots, except ``swimmer``, which brax 0.14 can no longer run on jax 0.10 and later."""
    return [*_NAMES]


def factory(name: str) -> Callable[..., Brax]:
    """``callable(backend=...) -> environment`` for one name."""
    return partial(Brax, name)
