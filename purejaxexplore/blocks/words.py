"""Random 32-bit words into numbers: one draw of words serves a whole batch, cheaper than a key for each use."""

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.turns import cos_sin


def uniforms(words: jax.Array) -> jax.Array:
    """f32 in [0, 1), multiples of 2^-24, of ``words`` u32 of any shape."""
    return (words >> 8).astype(jnp.float32) * 2.0**-24


def words_for_normals(n: int) -> int:
    """How many words ``n`` normals take."""
    return n + n % 2


def normals(words: jax.Array, n: int) -> jax.Array:
    """``n`` independent standard normals, f32[n], by the transformation of Box and Muller (1958).

    A pair of words makes a pair of normals, none beyond 5.9 standard deviations (probability 4e-9).

    Args:
        words: u32[words_for_normals(n)].
        n: number of normals.
    """
    radius, turns = jnp.split(words, 2)
    radius = jnp.sqrt(-2.0 * jnp.log((radius >> 8).astype(jnp.float32) * 2.0**-24 + 2.0**-25))
    cos, sin = cos_sin(uniforms(turns))
    return jnp.concatenate([radius * cos, radius * sin])[:n]
