"""SimHash counts: Tang, Houthooft, Foote, Stooke, Chen, Duan, Schulman, De Turck and Abbeel (2017), "#Exploration".

States that cannot be numbered are hashed; similar ones get the same code, and the n-th visit of a code pays
``1/sqrt(n)``::

    bits = sign(A g(o')),  A ~ N(0, 1)^{k x d}

Here g whitens with the moments of the random warm-up rollout, frozen afterwards: a code that means the same all along
needs a fixed g, and the signs of observations that lie far from the origin would not tell them apart. One table
instead of the paper's several; ``table_load`` says how full it is, and above 0.3 new states begin to look old.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.blocks.moments import RunningMoments, init_moments, merge_moments
from purejaxexplore.bonuses.bonus import Bonus
from purejaxexplore.bonuses.counts import CountsConfig, counting
from purejaxexplore.checks import require_at_least, whole_number


@struct.dataclass
class SimHashConfig:
    """Attributes:
    num_bits: k, 1 to 64; more bits tell more states apart (16 to 64 in the paper).
    table_size: S; codes are hashed into [0, S) where 2^k is above it (a prime near 10^5 here, 10^6 in the paper).
    episodic: counts of this episode of this environment (a table for each), or of the whole run.
    reward: "sqrt" or "salesman".
    """

    num_bits: int = struct.field(pytree_node=False, default=32)
    table_size: int = struct.field(pytree_node=False, default=99_991)
    episodic: bool = struct.field(pytree_node=False, default=False)
    reward: str = struct.field(pytree_node=False, default="sqrt")


class Projection(NamedTuple):
    """``matrix``: A, f32[d, k]; ``moments``: of the warm-up observations, per feature. Both are frozen."""

    matrix: jax.Array
    moments: RunningMoments


def code_bits(projection: Projection, obs: jax.Array) -> jax.Array:
    """``sign(A g(o)) > 0`` of flat observations f32[..., d]: bool[..., k]."""
    moments = projection.moments
    return ((obs - moments.mean) / jnp.maximum(moments.std, 1e-3)) @ projection.matrix > 0


def table_index(bits: jax.Array, size: int) -> jax.Array:
    """Codes bool[..., k], k <= 64, as i32[...] in [0, size): one index a code where 2^k <= size, hashed otherwise."""
    num_bits = bits.shape[-1]
    weights = jnp.uint32(1) << (jnp.arange(num_bits, dtype=jnp.uint32) % 32)
    words = bits.astype(jnp.uint32) * weights
    low, high = words[..., :32].sum(-1, dtype=jnp.uint32), words[..., 32:].sum(-1, dtype=jnp.uint32)
    if 2**num_bits <= size:
        return low.astype(jnp.int32)
    # The multiplicative hash of Knuth for two words, then the finaliser of MurmurHash3 (public domain).
    x = low * jnp.uint32(2654435761) + high * jnp.uint32(2246822519)
    for multiplier, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13), (1, 16)):
        x = (x ^ (x >> shift)) * jnp.uint32(multiplier)
    return (x % jnp.uint32(size)).astype(jnp.int32)


def simhash(config: SimHashConfig | None = None) -> Bonus:
    """The bonus.

    Raises:
        ValueError: ``num_bits`` or ``table_size`` is out of its range, or ``reward`` is unknown.
    """
    config = SimHashConfig() if config is None else config
    whole_number("num_bits", config.num_bits, 1, 64)
    require_at_least(1, table_size=config.table_size)

    def flat(obs, steps):
        return obs.astype(jnp.float32).reshape((*steps.reward.shape, -1))

    def init_number(key, steps):
        obs = flat(steps.next_obs, steps)
        matrix = jax.random.normal(key, (obs.shape[-1], config.num_bits))
        return Projection(matrix, merge_moments(init_moments(obs.shape[2:]), obs))

    def number(learn, step):
        def index(obs):
            return table_index(code_bits(learn, flat(obs, step)), config.table_size)

        return index(step.next_obs), index(step.reset_obs)

    return counting(CountsConfig(config.table_size, config.episodic, config.reward), init_number, number)
