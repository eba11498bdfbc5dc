"""Environment states on their way into an archive and back."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def packing(env: Any, env_params: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """``(pack, unpack)`` for one state: the environment's own if it has both, else the whole state, keys as words."""
    if hasattr(env, "pack") and hasattr(env, "unpack"):
        return env.pack, lambda packed: env.unpack(packed, env_params)
    template = jax.eval_shape(env.reset_env, jax.random.key(0), env_params)[1]
    return key_data, lambda packed: wrap_key_data(packed, template)


def like(value: Any, template: Any) -> Any:
    """``value`` with the dtypes of ``template``: environments mix Python numbers and arrays in their states."""
    return jax.tree.map(lambda x, t: jnp.asarray(x, t.dtype), value, template)


def key_data(state: Any) -> Any:
    """A pytree in which typed random keys are replaced by their words, u32[..., 2]."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else jnp.asarray(x), state)


def wrap_key_data(data: Any, template: Any) -> Any:
    """The inverse of :func:`key_data`; ``template`` tells which leaves are keys."""

    def wrap(x, t):
        return jax.random.wrap_key_data(x, impl=jax.random.key_impl(jnp.zeros((), t.dtype))) if _is_key(t) else x

    return jax.tree.map(wrap, data, template)


def _is_key(x: Any) -> bool:
    return jax.dtypes.issubdtype(getattr(x, "dtype", None), jax.dtypes.prng_key)
