"""What a learner remembers of each arm: how often it was seen, the mean and the variance of what was seen.

Sums are kept in two floats (:mod:`purejaxexplore.blocks.sums`); a running mean in float32 is wrong by 5 % after five
million pulls of a Bernoulli(0.9).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.sums import Sum, add, scale, zero_sum


class Arms(NamedTuple):
    """Attributes:
    n: i32[K], values seen; f32[K] where they are discounted.
    total: sums f32[K] of the values.
    squares: sums f32[K] of the squared deviations from the mean, or ``()`` where nobody asks for the variance.
    """

    n: jax.Array
    total: Sum
    squares: Any = ()

    @property
    def mean(self) -> jax.Array:
        """f32[K]; 0 for an arm never seen."""
        return self.total.value * self.share

    @property
    def share(self) -> jax.Array:
        """f32[K], ``1 / n``; 1 for an arm never seen."""
        return 1.0 / jnp.where(self.n > 0, self.n, 1)

    @property
    def variance(self) -> jax.Array:
        """f32[K], the population variance; 0 for an arm never seen."""
        return jnp.maximum(self.squares.value, 0.0) * self.share


def new_arms(num_arms: int, *, variance: bool = False, discounted: bool = False) -> Arms:
    """Arms never seen."""
    n = jnp.zeros(num_arms, jnp.float32 if discounted else jnp.int32)
    return Arms(n, zero_sum((num_arms,)), zero_sum((num_arms,)) if variance else ())


def see(arms: Arms, seen: jax.Array, value: jax.Array) -> Arms:
    """Adds ``value`` f32[K] where ``seen`` bool[K]; elsewhere it may be NaN."""
    x = jnp.where(seen, value, 0.0)
    n = arms.n + seen
    total = add(arms.total, x)
    if not arms.squares:
        return Arms(n, total)
    # Welford (1962): the deviations from the means before and after, and so no cancellation.
    before = jnp.where(arms.n > 0, arms.mean, x)
    after = total.value / jnp.where(n > 0, n, 1)
    return Arms(n, total, add(arms.squares, jnp.where(seen, (x - before) * (x - after), 0.0)))


def forget(arms: Arms, discount: jax.Array) -> Arms:
    """Multiplies the weight of everything seen so far, of all arms, by ``discount``."""
    squares = () if not arms.squares else scale(arms.squares, discount)
    return Arms(arms.n * discount, scale(arms.total, discount), squares)
