"""Running moments of a stream of arrays, and the discounted forward filter of random network distillation.

Moments are merged with the parallel update of Chan, Golub and LeVeque (1983, "Algorithms for computing the sample
variance"), never as ``E[x^2] - E[x]^2``, which cancels in float32.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class RunningMoments(NamedTuple):
    """Moments of everything merged so far.

    Attributes:
        count: f32[], number of samples (starts at 1e-4, so that the first merge decides).
        mean: f32[*shape].
        m2: f32[*shape], sum of squared deviations from the mean.
    """

    count: jax.Array
    mean: jax.Array
    m2: jax.Array

    @property
    def variance(self) -> jax.Array:
        """f32[*shape], the population variance."""
        return self.m2 / self.count

    @property
    def std(self) -> jax.Array:
        """f32[*shape], the population standard deviation."""
        return jnp.sqrt(self.variance)


def init_moments(shape: tuple[int, ...] = ()) -> RunningMoments:
    """Moments of nothing: mean 0 and variance 1, with the weight of 1e-4 samples."""
    count = jnp.float32(1e-4)
    return RunningMoments(count, jnp.zeros(shape), jnp.full(shape, count))


def merge_moments(moments: RunningMoments, x: jax.Array) -> RunningMoments:
    """Merges samples ``x: f32[..., *shape]`` (every leading axis is a sample axis) into ``moments``."""
    x = x.astype(jnp.float32).reshape((-1, *moments.mean.shape))
    count = jnp.float32(x.shape[0])
    mean = x.mean(0)
    m2 = jnp.square(x - mean).sum(0)
    total = moments.count + count
    delta = mean - moments.mean
    return RunningMoments(
        total,
        moments.mean + delta * (count / total),
        moments.m2 + m2 + jnp.square(delta) * (moments.count * count / total),
    )


def forward_filter(carry: jax.Array, rewards: jax.Array, gamma: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Discounted sum of past rewards, per environment, over **time**: ``F_t = gamma F_{t-1} + r_t``.

    Burda, Edwards, Storkey and Klimov (2018), "Exploration by random network distillation": the sum looks backwards
    and is not reset where an episode ends, as in the authors' code; its standard deviation scales the rewards.

    Args:
        carry: f32[N], the filter's value after the previous rollout.
        rewards: f32[T, N].
        gamma: scalar in [0, 1].

    Returns:
        The value after this rollout, f32[N], and the filtered rewards, f32[T, N].
    """

    def advance(carry, reward):
        carry = gamma * carry + reward
        return carry, carry

    return jax.lax.scan(advance, carry, rewards)
