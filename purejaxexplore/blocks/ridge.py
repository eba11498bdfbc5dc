"""Ridge regression one sample at a time, in a form that float32 cannot turn indefinite.

With ``V = lambda I + sum x x^T`` the state keeps a square root of the inverse, ``root root^T = V^-1``, and updates it
as Potter does (Bierman 1977, "Factorization methods for discrete sequential estimation", section II.4), where the
inverse itself would lose its symmetry and its sign after some thousand samples. One update costs O(d^2) and solves
nothing. So widths are norms, and a draw from the posterior is ``coef + scale root z``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Ridge(NamedTuple):
    """Attributes:
    root: f32[d, d], ``root root^T = V^-1``.
    coef: f32[d], ``V^-1 sum x y``.
    log_det: f32[], ``ln det V - d ln lambda``.
    """

    root: jax.Array
    coef: jax.Array
    log_det: jax.Array


def new_ridge(dim: int, regularisation: float) -> Ridge:
    """No sample yet; ``regularisation`` is lambda > 0."""
    return Ridge(jnp.eye(dim) / jnp.sqrt(regularisation), jnp.zeros(dim), jnp.float32(0.0))


def fit_sample(ridge: Ridge, x: jax.Array, y: jax.Array) -> Ridge:
    """Adds the sample ``x`` f32[d], ``y`` f32[]; a sample with ``x = 0`` changes nothing."""
    leverage = ridge.root.T @ x
    share = 1.0 / (1.0 + leverage @ leverage)
    gain = share * (ridge.root @ leverage)
    root = ridge.root - jnp.outer(gain, leverage) / (1.0 + jnp.sqrt(share))
    return Ridge(root, ridge.coef + gain * (y - x @ ridge.coef), ridge.log_det - jnp.log(share))


def newton_sample(ridge: Ridge, x: jax.Array, gradient: jax.Array, curvature: jax.Array) -> Ridge:
    """A Newton step for a sample of log-likelihood ``l(x^T coef)``: ``V`` gains ``-l'' x x^T``, ``coef`` ``V^-1 x l'``.

    Args:
        ridge: the Gaussian that stands for all samples before.
        x: f32[d].
        gradient, curvature: f32[], ``l'`` and ``-l''`` at ``coef``; a curvature below 1e-6 counts as that.
    """
    scale = jnp.sqrt(jnp.maximum(curvature, 1e-6))
    return fit_sample(ridge, scale * x, scale * (x @ ridge.coef) + gradient / scale)


def prediction_width(ridge: Ridge, x: jax.Array) -> jax.Array:
    """``sqrt(x^T V^-1 x)`` for ``x`` f32[..., d]."""
    return jnp.linalg.norm(x @ ridge.root, axis=-1)


def draw_coef(ridge: Ridge, normal: jax.Array, scale: jax.Array) -> jax.Array:
    """``coef + scale root z`` f32[d], of covariance ``scale^2 V^-1``, from standard normal ``z`` f32[d]."""
    return ridge.coef + scale * (ridge.root @ normal)
