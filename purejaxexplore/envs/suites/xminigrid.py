"""XLand-MiniGrid (Nikulin et al., 2023, "XLand-MiniGrid: Scalable Meta-Reinforcement Learning Environments in JAX").

Differs from its own interface: the time limit, and for XLand the ruleset, are fields of ``params`` that may be traced
and vmapped; sizes are arguments of the constructor; the state holds no key.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xminigrid
from flax import struct
from gymnax.environments import environment, spaces
from xminigrid.core.constants import NUM_COLORS, NUM_TILES
from xminigrid.rendering.rgb_render import render as render_rgb
from xminigrid.types import RuleSet, State, StepType, TimeStep


@struct.dataclass
class XMiniGridParams(environment.EnvParams):
    """A task.

    Attributes:
        max_steps_in_episode: time limit in steps; a success at step t is rewarded with ``1 - 0.9 t / limit``.
        ruleset: goal, rules and objects of an XLand task; None for the environments ported from MiniGrid.
    """

    ruleset: RuleSet | None = None


class XMiniGrid(environment.Environment[State, XMiniGridParams]):
    """One environment; actions: forward, turn right, turn left, pick up, put down, toggle.

    Args:
        name: an id such as ``"MiniGrid-DoorKey-8x8"`` or ``"XLand-MiniGrid-R4-13x13"``.
        height, width: cells of the grid, walls included; the id's own when None.
        view_size: side of the agent's square view, odd; the id's own when None.
    """

    def __init__(self, name: str, height: int | None = None, width: int | None = None, view_size: int | None = None):
        super().__init__()
        if view_size is not None and view_size % 2 == 0:
            raise ValueError(f"view_size={view_size!r}: expected an odd number, e.g. {view_size + 1}")
        sizes = {"height": height, "width": width, "view_size": view_size}
        self._name = name
        self._engine, self._engine_params = xminigrid.make(name, **{k: v for k, v in sizes.items() if v is not None})

    @property
    def default_params(self) -> XMiniGridParams:
        ruleset = getattr(self._engine_params, "ruleset", None)
        return XMiniGridParams(max_steps_in_episode=self._engine_params.max_steps, ruleset=ruleset)

    @property
    def name(self) -> str:
        return self._name

    @property
    def num_actions(self) -> int:
        return self._engine.num_actions(self._engine_params)

    def reset_env(self, key: jax.Array, params: XMiniGridParams) -> tuple[jax.Array, State]:
        timestep = self._engine.reset(self._with(params), key)
        return timestep.observation, timestep.state.replace(key=None)

    def step_env(
        self, key: jax.Array, state: State, action: jax.Array, params: XMiniGridParams
    ) -> tuple[jax.Array, State, jax.Array, jax.Array, dict[str, Any]]:
        del key
        zero = jnp.float32(0)
        before = TimeStep(state=state, step_type=StepType.MID, reward=zero, discount=zero, observation=None)
        after = self._engine.step(self._with(params), before, action)
        terminated = after.discount == 0
        reward = after.reward.astype(jnp.float32)
        return after.observation, after.state, reward, terminated, {"success": terminated & (reward > 0)}

    def is_truncated(self, state: State, params: XMiniGridParams) -> jax.Array:
        return state.step_num >= params.max_steps_in_episode

    def render(self, state: State, params: XMiniGridParams) -> np.ndarray:
        """u8[32 * H, 32 * W, 3]: the suite's own picture, the agent's view lit; computed by NumPy, not under jit."""
        del params
        return render_rgb(np.asarray(state.grid), state.agent, self._engine_params.view_size)

    def action_space(self, params: XMiniGridParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_actions)

    def observation_space(self, params: XMiniGridParams) -> spaces.Box:
        """u8[view, view, 2] of (tile, colour)."""
        shape = self._engine.observation_shape(self._engine_params)
        return spaces.Box(0, max(NUM_TILES, NUM_COLORS) - 1, shape, jnp.uint8)

    def _with(self, params: XMiniGridParams) -> xminigrid.environment.EnvParams:
        ruleset = {} if params.ruleset is None else {"ruleset": params.ruleset}
        return self._engine_params.replace(max_steps=params.max_steps_in_episode, **ruleset)


def names() -> list[str]:
    """The ids that the suite has registered."""
    return [*xminigrid.registered_environments()]


def factory(name: str) -> Callable[..., XMiniGrid]:
    """``callable(height=..., width=..., view_size=...) -> environment`` for one id."""
    return partial(XMiniGrid, name)
