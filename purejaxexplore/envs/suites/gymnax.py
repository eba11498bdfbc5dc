"""gymnax's own environments (Lange, 2022, "gymnax: A JAX-based Reinforcement Learning Environment Library").

Most are handed out as they are. Those that exploration research leans on gain ``info["success"]`` and ``state_id``, and
DeepSea keeps its action map in ``params``, so that a distribution over maps is ``vmap`` over params. Where a dtype, a
bound or a ``render`` of gymnax's is not what its interface says, it is repaired.
"""

import inspect
from collections.abc import Callable
from typing import Any

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces
from gymnax.environments.bsuite import catch, memory_chain, umbrella_chain
from gymnax.environments.classic_control import continuous_mountain_car, mountain_car
from gymnax.environments.environment import Environment
from gymnax.environments.misc import bernoulli_bandit, frozen_lake, gaussian_bandit, meta_maze, point_robot, pong, rooms

from purejaxexplore.envs.suites.deep_sea import DeepSea


class FourRooms(rooms.FourRooms):
    """FourRooms with ``success`` (the goal is reached), a ``state_id`` and an RGB ``render``.

    ``state_id = row * 13 + column`` of the agent. The goal is not part of it: it is constant unless
    ``params.resample_goal_pos``. The 104 open cells are reachable.
    """

    num_states = 13 * 13
    num_reachable = 104

    def step_env(self, key, state, action, params):
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        return obs, state, reward, terminated, info | {"success": terminated, "state_id": self.state_id(state, params)}

    def observation_space(self, params: rooms.EnvParams) -> spaces.Box:
        if self.use_visual_obs:
            return super().observation_space(params)
        return spaces.Box(0, 12, (4,), self.coords.dtype)

    def state_id(self, state: rooms.EnvState, params: rooms.EnvParams) -> jax.Array:
        """i32 in [0, 169)."""
        del params
        return state.pos[0] * 13 + state.pos[1]

    def render(self, state: rooms.EnvState, params: rooms.EnvParams) -> jax.Array:
        """u8[104, 104, 3]: walls grey, the goal green, the agent blue."""
        del params
        image = jnp.where(self.env_map[..., None], jnp.uint8(255), jnp.uint8(90))
        image = jnp.broadcast_to(image, (13, 13, 3))
        image = image.at[state.goal[0], state.goal[1]].set(jnp.array([60, 180, 75], jnp.uint8))
        image = image.at[state.pos[0], state.pos[1]].set(jnp.array([0, 100, 220], jnp.uint8))
        return jnp.repeat(jnp.repeat(image, 8, 0), 8, 1)


class FrozenLake(frozen_lake.FrozenLake):
    """FrozenLake with ``success`` (the goal's tile) and ``state_id``, the row-major position."""

    @property
    def num_states(self) -> int:
        """Tiles of the map, holes and goal included."""
        return self.n_states

    def step_env(self, key, state, action, params):
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        success = self.desc.reshape(-1)[state.position] == frozen_lake.GOAL
        return obs, state, reward, terminated, info | {"success": success, "state_id": self.state_id(state, params)}

    def state_id(self, state: frozen_lake.EnvState, params: frozen_lake.EnvParams) -> jax.Array:
        """i32 in [0, num_states)."""
        del params
        return state.position


class MountainCar(mountain_car.MountainCar):
    """MountainCar with ``success``: the car is on the hill."""

    def step_env(self, key, state, action, params):
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        return obs, state, reward, terminated, info | {"success": terminated}


class ContinuousMountainCar(continuous_mountain_car.ContinuousMountainCar):
    """The continuous MountainCar with ``success``: the car is on the hill."""

    def step_env(self, key, state, action, params):
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        return obs, state, reward, terminated, info | {"success": terminated}


class _FloatReward:
    """Rewards as f32; gymnax gives i32 here."""

    def step_env(self, key, state, action, params):
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        return obs, state, reward.astype(jnp.float32), terminated, info


class _UnboundedSpace:
    """No bounds on the observation, which holds the last reward; gymnax's bounds are too narrow for it here."""

    def observation_space(self, params) -> spaces.Box:
        return spaces.Box(-jnp.inf, jnp.inf, super().observation_space(self.default_params).shape, jnp.float32)


class _Rasterised:
    """``render`` as u8[H, W, 3]; gymnax returns an open matplotlib figure here."""

    def render(self, state, params) -> np.ndarray:
        from matplotlib import pyplot
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        drawn = super().render(state, params)
        figure = drawn[0] if isinstance(drawn, tuple) else drawn.figure
        pyplot.close(figure)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3]


class BernoulliBandit(_FloatReward, _UnboundedSpace, bernoulli_bandit.BernoulliBandit):
    """BernoulliBandit with f32 rewards."""


class UmbrellaChain(_FloatReward, umbrella_chain.UmbrellaChain):
    """UmbrellaChain with f32 rewards."""


class GaussianBandit(_UnboundedSpace, gaussian_bandit.GaussianBandit):
    """GaussianBandit with true observation bounds."""


class MetaMaze(_Rasterised, _UnboundedSpace, meta_maze.MetaMaze):
    """MetaMaze with true observation bounds and an RGB ``render``."""


class MemoryChain(memory_chain.MemoryChain):
    """MemoryChain with true observation bounds: the context is -1 or 1."""

    def observation_space(self, params) -> spaces.Box:
        space = super().observation_space(params)
        return spaces.Box(-1, space.high, space.shape, space.dtype)


class Catch(_Rasterised, catch.Catch):
    """Catch with its observations' true dtype, f32, in the space, and an RGB ``render``."""

    def observation_space(self, params) -> spaces.Box:
        return spaces.Box(0, 1, super().observation_space(params).shape, jnp.float32)


class PointRobot(_Rasterised, point_robot.PointRobot):
    """PointRobot with an RGB ``render``."""


class Pong(_Rasterised, pong.Pong):
    """Pong with an RGB ``render``."""


_OURS: dict[str, type[Environment]] = {
    "BernoulliBandit-misc": BernoulliBandit,
    "Catch-bsuite": Catch,
    "DeepSea-bsuite": DeepSea,
    "FourRooms-misc": FourRooms,
    "FrozenLake-misc": FrozenLake,
    "GaussianBandit-misc": GaussianBandit,
    "MemoryChain-bsuite": MemoryChain,
    "MetaMaze-misc": MetaMaze,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": ContinuousMountainCar,
    "PointRobot-misc": PointRobot,
    "Pong-misc": Pong,
    "UmbrellaChain-bsuite": UmbrellaChain,
}


def names() -> list[str]:
    """The ids that gymnax has registered, a user's own included."""
    return [*gymnax.registered_envs]


def factory(name: str) -> Callable[..., Any]:
    """``callable(**options) -> environment`` for one id."""
    if name in _OURS:
        return _OURS[name]

    def build(**options: Any) -> Environment:
        return gymnax.make(name, **options)[0]

    build.__signature__ = inspect.signature(type(build()))
    return build
