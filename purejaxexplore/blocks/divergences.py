"""Kullback-Leibler divergences of one-parameter families, and the upper confidence bound that inverts one.

Garivier and Cappe (2011), "The KL-UCB algorithm for bounded stochastic bandits and beyond".
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

EDGE = 1e-6
"""Probabilities are kept this far from 0 and 1: in float32 ``1 - 1e-15`` is 1, and its logarithm no number."""

_NEWTON_STEPS = 5


def kl_bernoulli(p: jax.Array, q: jax.Array) -> jax.Array:
    """Of Bernoulli(p) from Bernoulli(q), elementwise."""
    p, q = jnp.clip(p, EDGE, 1 - EDGE), jnp.clip(q, EDGE, 1 - EDGE)
    return jnp.maximum(p * jnp.log(p / q) + (1 - p) * jnp.log((1 - p) / (1 - q)), 0.0)


def kl_gaussian(m: jax.Array, n: jax.Array, sigma: jax.Array = 1.0) -> jax.Array:
    """Of N(m, sigma^2) from N(n, sigma^2)."""
    return jnp.square((m - n) / sigma) / 2


def kl_exponential(m: jax.Array, n: jax.Array) -> jax.Array:
    """Of the exponential distribution of mean ``m`` from that of mean ``n``, both positive."""
    return m / n - 1 - jnp.log(m / n)


def kl_poisson(m: jax.Array, n: jax.Array) -> jax.Array:
    """Of Poisson(m) from Poisson(n), n positive."""
    return n - m + xlogy(m, m / n)


def kl_upper(p: jax.Array, d: jax.Array) -> jax.Array:
    """``max {q >= p: kl_bernoulli(p, q) <= d}``, elementwise, for ``d`` >= 0; within 1e-5.

    Five steps of Newton from the right, where ``kl(p, .)`` is convex and increasing: no step passes the root. The
    start is the smaller of two bounds: Pinsker's ``p + sqrt(d / 2)``, and ``1 - exp(-(d + H(p)) / (1 - p))``, which
    drops ``-p ln q >= 0``.
    """
    p = jnp.clip(p, EDGE, 1 - EDGE)
    log_p, log_rest = jnp.log(p), jnp.log(1 - p)
    entropy = -p * log_p - (1 - p) * log_rest
    q = jnp.minimum(p + jnp.sqrt(d / 2), 1 - jnp.exp(-(d + entropy) / (1 - p)))
    for _ in range(_NEWTON_STEPS):
        q = jnp.clip(q, p, 1 - 1e-7)
        excess = -entropy - p * jnp.log(q) - (1 - p) * jnp.log(1 - q) - d
        slope = (q - p) / (q * (1 - q))
        q = q - jnp.maximum(excess, 0.0) / jnp.maximum(slope, 1e-20)
    return jnp.clip(q, p, 1.0)


def kl_bernoulli_shifted(p: jax.Array, shift: jax.Array) -> jax.Array:
    """Of Bernoulli(p) from Bernoulli(p + shift), elementwise; exact also for small shifts.

    Between near neighbours :func:`kl_bernoulli` is a difference of rounded ratios, with an error of 1e-7 whatever the
    divergence; here the error shrinks with the shift.
    """
    p = jnp.clip(p, EDGE, 1 - EDGE)
    shift = jnp.clip(shift, EDGE - p, 1 - EDGE - p)
    return jnp.maximum(-p * jnp.log1p(shift / p) - (1 - p) * jnp.log1p(-shift / (1 - p)), 0.0)
