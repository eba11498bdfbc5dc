"""Landscapes over bit strings, whose peaks are known to be easy or hard to climb for reasons one can name.

* ``nk``: Kauffman and Levin (1987), "Towards a general theory of adaptive walks on rugged landscapes". Each of N bits
  contributes U(0, 1) by its own value and that of K others; many peaks of similar height.
* ``trap``: Deb and Goldberg (1993), "Analyzing deception in trap functions". Blocks of four bits worth (3 - ones) / 4,
  but 1 with all four set: every step but the last leads away from the optimum.
* ``skill_ladder``: eight levels in order, each a skill worth 0.1 once its enabler is there, which costs 0.03; eight
  enablers, eight skills and sixteen bits without effect. Every step upwards begins with a step down.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_LEVELS, _USELESS = 8, 16
_BASE, _PAY, _COST = 0.1, 0.1, 0.03


class Landscape(NamedTuple):
    """A family of landscapes over ``num_bits`` bits.

    Attributes:
        num_bits: ``n``.
        sample: ``key -> params``, one landscape.
        score: ``(params, bits bool[n]) -> f32``.
        start: ``key -> bits bool[n]``, where a search begins.
    """

    num_bits: int
    sample: Callable[[jax.Array], Any]
    score: Callable[[Any, jax.Array], jax.Array]
    start: Callable[[jax.Array], jax.Array]


def nk(n: int = 32, k: int = 6) -> Landscape:
    """NK landscapes; the ``k`` other bits of each are drawn without repetition.

    Raises:
        ValueError: ``k`` is not in [0, n).
    """
    if not 0 <= k < n:
        raise ValueError(f"k={k}: expected 0 to n - 1 = {n - 1} other bits")

    def sample(key):
        key_others, key_table = jax.random.split(key)
        order = jnp.argsort(jax.random.uniform(key_others, (n, n - 1)), axis=1)[:, :k]
        others = (jnp.arange(n)[:, None] + 1 + order) % n
        which = jnp.concatenate([jnp.arange(n)[:, None], others], axis=1)
        return which, jax.random.uniform(key_table, (n, 2 ** (k + 1)))

    def score(params, bits):
        which, table = params
        code = jnp.sum(bits[which] << np.arange(k + 1), axis=1)
        return jnp.mean(table[jnp.arange(n), code])

    return Landscape(n, sample, score, lambda key: jax.random.bernoulli(key, shape=(n,)))


def trap(num_blocks: int = 8) -> Landscape:
    """Concatenated traps of four bits; the mean over the blocks, 1 where all bits are set."""

    def score(params, bits):
        ones = bits.reshape(num_blocks, 4).sum(1)
        return jnp.mean(jnp.where(ones == 4, 1.0, (3 - ones) / 4))

    n = 4 * num_blocks
    return Landscape(n, lambda key: (), score, lambda key: jax.random.bernoulli(key, shape=(n,)))


def skill_ladder() -> Landscape:
    """The ladder of skills: enablers, skills, useless bits; it begins with none of them, at 0.1, and ends at 0.66."""
    n = 2 * _LEVELS + _USELESS

    def score(params, bits):
        enablers, skills = bits[:_LEVELS], bits[_LEVELS : 2 * _LEVELS]
        levels = jnp.cumprod(enablers & skills).sum()
        return _BASE + _PAY * levels - _COST * enablers.sum()

    return Landscape(n, lambda key: (), score, lambda key: jnp.zeros(n, bool))
