"""The best of some values, equals at random, and now and then any."""

import jax
import jax.numpy as jnp


def best(key: jax.Array, values: jax.Array, allowed: jax.Array | bool = True) -> jax.Array:
    """Index i32 of the largest of ``values`` f32[A], each of equals as likely; of any where none is ``allowed``."""
    values = jnp.where(allowed, values, -jnp.inf)
    chance = jax.random.uniform(key, values.shape)
    return jnp.argmax(jnp.where(values == values.max(), chance, -1.0)).astype(jnp.int32)


def epsilon_greedy(
    key: jax.Array, values: jax.Array, epsilon: jax.Array, allowed: jax.Array | bool = True
) -> jax.Array:
    """:func:`best`, or with probability ``epsilon`` a uniform one of those that are ``allowed`` (bool[A])."""
    key_mix, key_best = jax.random.split(key)
    uniform = jax.random.uniform(key_mix) < epsilon
    return best(key_best, jnp.where(uniform, 0.0, values), allowed)
