"""Where episodes start: always in one state of a level, or in a pool of states that is made once a rollout."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments.environment import Environment

from purejaxexplore.checks import require_at_least
from purejaxexplore.envs.wrappers import Wrapper


@struct.dataclass
class FixedLevelParams:
    """A level: the wrapped environment's ``params``, and the ``observation`` and ``state`` in which episodes start."""

    params: Any
    observation: Any
    state: Any


class FixedLevel(Wrapper):
    """Every episode starts in one stored state, so that a reset costs a copy, not the making of a world.

    ``sample_params(key, params)`` draws the start (and, where the environment has ``sample_params``, the level): with
    ``per_seed`` each seed learns on a level of its own. ``default_params`` is the level of ``jax.random.key(0)`` with
    the environment's default parameters. Keys inside the stored state are redrawn at every reset.
    """

    def inner_params(self, params: FixedLevelParams) -> Any:
        return params.params

    @property
    def default_params(self) -> FixedLevelParams:
        return self._start(jax.random.key(0), self._env.default_params)

    def sample_params(self, key: jax.Array, params: FixedLevelParams | Any) -> FixedLevelParams:
        """A new level; ``params`` may also be the wrapped environment's."""
        inner = params.params if isinstance(params, FixedLevelParams) else params
        key_level, key_start = jax.random.split(key)
        if hasattr(self._env, "sample_params"):
            inner = self._env.sample_params(key_level, inner)
        return self._start(key_start, inner)

    def reset_env(self, key, params):
        return params.observation, _with_fresh_keys(key, params.state)

    def _start(self, key: jax.Array, inner: Any) -> FixedLevelParams:
        return FixedLevelParams(inner, *self._env.reset(key, inner))


@struct.dataclass
class StartPoolParams:
    """The wrapped environment's ``params``, and the ``observations`` and ``states`` [num_starts, ...] of a pool.

    The last two are None where there is no pool; a reset makes a world then.
    """

    params: Any
    observations: Any = None
    states: Any = None


class StartPool(Wrapper):
    """Episodes that begin during a rollout start in states of a pool, which is made anew for every rollout.

    For worlds that are dear to make, such as Craftax's: automatic reset makes one at every step of every lane and
    throws nearly all of them away, while here a rollout makes ``num_starts``. Each episode takes one of them at random.
    Taken alone, its start is distributed as without the pool; but two episodes of a rollout may start alike. (Craftax's
    own optimistic resets make fewer worlds too, but at every step, and share them among the lanes that end there.)
    Outside of rollouts every reset makes a world. Keys inside the states of a pool are redrawn at every reset.

    Args:
        env: any environment.
        num_starts: states in the pool, at least 1.

    Raises:
        ValueError: ``num_starts`` is not a positive whole number.
    """

    def __init__(self, env: Environment, num_starts: int):
        super().__init__(env)
        require_at_least(1, num_starts=num_starts)
        self.num_starts = num_starts

    def inner_params(self, params: StartPoolParams) -> Any:
        return params.params

    @property
    def default_params(self) -> StartPoolParams:
        return StartPoolParams(self._env.default_params)

    @property
    def sample_params(self) -> Callable[[jax.Array, StartPoolParams], StartPoolParams]:
        inner = self._env.sample_params
        return lambda key, params: StartPoolParams(inner(key, params.params))

    def draw_starts(self, key: jax.Array, params: StartPoolParams) -> StartPoolParams:
        """``params`` with a new pool, drawn by :func:`~purejaxexplore.blocks.rollout.rollout` before its first step.

        Raises:
            TypeError: ``params`` are those of a wrapper around the pool.
        """
        if not isinstance(params, StartPoolParams):
            raise TypeError(f"StartPool: {type(params).__name__}: put wrappers with parameters of their own inside it")
        keys = jax.random.split(key, self.num_starts)
        return StartPoolParams(params.params, *jax.vmap(self._env.reset_env, (0, None))(keys, params.params))

    def reset_env(self, key, params):
        if params.states is None:
            return super().reset_env(key, params)
        key_start, key_fresh = jax.random.split(key)
        start = jax.random.randint(key_start, (), 0, self.num_starts)
        observation, state = jax.tree.map(lambda x: x[start], (params.observations, params.states))
        return observation, _with_fresh_keys(key_fresh, state)


def _with_fresh_keys(key: jax.Array, state: Any) -> Any:
    """``state`` whose random keys are drawn anew."""
    keys = iter(jax.random.split(key, max(1, len(jax.tree.leaves(state)))))

    def redrawn(leaf):
        spare = next(keys)
        if not jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
            return jnp.asarray(leaf)
        return jax.random.split(spare, leaf.shape) if leaf.shape else spare

    return jax.tree.map(redrawn, state)
