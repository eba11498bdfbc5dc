"""Bayesian linear regression with unknown noise: a normal-inverse-gamma posterior over weights and variance.

With ``y = w . x + N(0, s2)``, ``w ~ N(0, s2 / lambda)`` and ``s2 ~ InvGamma(a, b)``, n samples leave::

    V = lambda I + X^T X,   coef = V^-1 X^T y,   a + n / 2,   b + (|y - X coef|^2 + lambda |coef|^2) / 2
    s2 ~ InvGamma(a', b'),  w ~ N(coef, s2 V^-1)

The usual ``b + (y^T y - coef^T V coef) / 2`` is the same, but a small difference of large numbers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.gammas import gamma_fixed
from purejaxexplore.blocks.ridge import Ridge, draw_coef, fit_sample, new_ridge


class Posterior(NamedTuple):
    """Attributes:
    ridge: the regression.
    a, b: f32[], of the inverse gamma distribution of the noise's variance.
    """

    ridge: Ridge
    a: jax.Array
    b: jax.Array


def new_posterior(dim: int, regularisation: float, a: float, b: float) -> Posterior:
    """The prior; ``regularisation`` is lambda > 0, ``a`` and ``b`` are positive."""
    return Posterior(new_ridge(dim, regularisation), jnp.float32(a), jnp.float32(b))


def observe(posterior: Posterior, x: jax.Array, y: jax.Array) -> Posterior:
    """Adds one sample ``x`` f32[d], ``y`` f32[]."""
    ridge = posterior.ridge
    surprise = jnp.square(y - x @ ridge.coef) / (1 + jnp.square(x @ ridge.root).sum())
    return Posterior(fit_sample(ridge, x, y), posterior.a + 0.5, posterior.b + 0.5 * surprise)


def posterior_of(
    x: jax.Array, y: jax.Array, counts: jax.Array, regularisation: float, a: float, b: float
) -> Posterior:
    """The posterior of all samples at once, by one Cholesky factorisation.

    Args:
        x: f32[N, d].
        y: f32[N].
        counts: bool[N], rows that count.
        regularisation, a, b: of the prior.
    """
    x, y = jnp.where(counts[:, None], x, 0.0), jnp.where(counts, y, 0.0)
    identity = jnp.eye(x.shape[1])
    lower = jnp.linalg.cholesky(regularisation * identity + x.T @ x)
    root = jax.scipy.linalg.solve_triangular(lower, identity, lower=True).T
    coef = root @ (root.T @ (x.T @ y))
    log_det = 2 * jnp.log(jnp.diagonal(lower)).sum() - x.shape[1] * jnp.log(regularisation)
    misfit = jnp.square(y - x @ coef).sum() + regularisation * jnp.square(coef).sum()
    return Posterior(Ridge(root, coef, log_det), a + counts.sum() / 2, b + misfit / 2)


def draw(key: jax.Array, posterior: Posterior) -> jax.Array:
    """Weights f32[d] drawn from the posterior, the variance of the noise drawn first; ``a`` is at least 1."""
    key_variance, key_coef = jax.random.split(key)
    variance = posterior.b / gamma_fixed(key_variance, posterior.a, tries=3)
    return draw_coef(posterior.ridge, jax.random.normal(key_coef, posterior.ridge.coef.shape), jnp.sqrt(variance))
