"""Long sums that stay exact in float32.

A float32 sum of numbers near 1 stops growing at 2^24, and a running mean ``m += (x - m) / n`` goes astray much earlier:
with 5 million samples of a Bernoulli(0.9) its upward steps round to nothing, its downward steps do not. Two floats,
added as in Kahan (1965), "Further remarks on reducing truncation errors", keep about 48 bits.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Sum(NamedTuple):
    """A sum in two parts.

    Attributes:
        high: f32[...], the rounded sum.
        low: f32[...], what rounding has cut off so far.
    """

    high: jax.Array
    low: jax.Array

    @property
    def value(self) -> jax.Array:
        """f32[...], the sum, rounded once."""
        return self.high + self.low


def zero_sum(shape: tuple[int, ...] = ()) -> Sum:
    """The sum of nothing."""
    return Sum(jnp.zeros(shape), jnp.zeros(shape))


def add(total: Sum, x: jax.Array) -> Sum:
    """``total + x``, elementwise: Knuth's two-sum of the sum and ``x`` with what was cut off before.

    The low part stays below half a unit in the last place of the high part; left to grow by itself, as in Neumaier's
    form, it would become a naive sum.
    """
    x = x + total.low
    high = total.high + x
    part = high - total.high
    return Sum(high, (total.high - (high - part)) + (x - part))


def scale(total: Sum, factor: jax.Array) -> Sum:
    """``factor * total``; exact to one rounding of each part."""
    return Sum(total.high * factor, total.low * factor)
