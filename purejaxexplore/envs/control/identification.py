"""Dynamical systems whose law is to be found: an ordinary differential equation, an input, noise, and no reward.

The setting of Blanke and Lelarge (2023), "FLEX: an adaptive exploration algorithm for nonlinear systems". One step:

    x' = x + dt f(x, u) + noise N(0, I),     |u| <= bound

An action is ``u / bound``, shortened to length 1 where it is longer. Episodes end by their time limit only.
Euler's method feeds an oscillator of frequency w energy, like a damping of -w^2 dt; the worlds' own outweighs it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces


class SystemState(NamedTuple):
    """What changes during an episode.

    Attributes:
        x: f32[n], the state of the system.
        time: i32, steps since the start of the episode.
    """

    x: jax.Array
    time: jax.Array


@struct.dataclass
class SystemParams(environment.EnvParams):
    """What all systems share.

    Attributes:
        max_steps_in_episode: time limit in steps.
        dt: seconds a step, above 0.
        noise: standard deviation of the noise that a step adds to each number of the state, 0 or more.
        bound: longest input, above 0.
    """

    max_steps_in_episode: int = 300
    dt: float = 0.05
    noise: float = 0.01
    bound: float = 1.0


class System(environment.Environment[SystemState, SystemParams]):
    """Everything but the law: a world adds its constants, the law ``derivative`` and ``features`` to model it with.

    Attributes:
        num_inputs: m.
        start: the state at rest, n numbers.
        swing: which of them is the angle.
    """

    num_inputs: int
    start: tuple[float, ...]
    swing: int

    def derivative(self, x: jax.Array, u: jax.Array, params: SystemParams) -> jax.Array:
        """f(x, u): f32[n], f32[m] -> f32[n]."""
        raise NotImplementedError(f"{type(self).__name__}.derivative")

    def features(self, x: jax.Array, u: jax.Array) -> jax.Array:
        """f32[p], in which the law is linear, or nearly so."""
        raise NotImplementedError(f"{type(self).__name__}.features")

    def reset_env(self, key: jax.Array, params: SystemParams) -> tuple[jax.Array, SystemState]:
        """A fresh episode at rest: ``key -> (observation, state)``."""
        state = SystemState(jnp.array(self.start, jnp.float32), jnp.int32(0))
        return state.x, state

    def step_env(
        self, key: jax.Array, state: SystemState, action: jax.Array, params: SystemParams
    ) -> tuple[jax.Array, SystemState, jax.Array, jax.Array, dict[str, Any]]:
        """One step without auto-reset: ``(observation, state, reward 0, terminated False, info)``.

        ``info`` holds ``input`` f32[m], what acted on the system.
        """
        u = params.bound * action / jnp.maximum(1.0, jnp.sqrt(jnp.sum(jnp.square(action))))
        noise = params.noise * jax.random.normal(key, state.x.shape)
        x = state.x + params.dt * self.derivative(state.x, u, params) + noise
        return x, SystemState(x, state.time + 1), jnp.float32(0.0), jnp.bool_(False), {"input": u}

    def is_terminated(self, state: SystemState, params: SystemParams) -> jax.Array:
        """Never."""
        return jnp.bool_(False)

    def get_obs(self, state: SystemState, params: SystemParams | None = None, key=None) -> jax.Array:
        """f32[n], the state of the system."""
        return state.x

    def pack(self, state: SystemState) -> jax.Array:
        """f32[n + 1], the state and the clock as they are."""
        return jnp.append(state.x, state.time.astype(jnp.float32))

    def unpack(self, packed: jax.Array, params: SystemParams | None = None) -> SystemState:
        """The state that :meth:`pack` stored."""
        return SystemState(packed[..., :-1], packed[..., -1].astype(jnp.int32))

    def action_space(self, params: SystemParams | None = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (self.num_inputs,), jnp.float32)

    def observation_space(self, params: SystemParams | None = None) -> spaces.Box:
        return spaces.Box(-np.inf, np.inf, (len(self.start),), jnp.float32)

    def state_space(self, params: SystemParams) -> spaces.Dict:
        limit = spaces.Discrete(params.max_steps_in_episode + 1)
        return spaces.Dict({"x": self.observation_space(params), "time": limit})
