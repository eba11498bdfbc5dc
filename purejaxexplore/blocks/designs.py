"""Experimental designs: proportions in which to measure the rows of a matrix.

A design ``w`` f32[n] over arms ``x`` f32[n, d] has the information matrix ``V = sum w x x^T`` per measurement.
Pukelsheim (1993), "Optimal design of experiments"; Fiez, Jain, Jamieson and Ratliff (2019), "Sequential experimental
design for transductive linear bandits". All designs come from Frank and Wolfe's method with steps ``2 / (t + 2)``:
the worst direction at the present design, then the arm that measures it best. A few hundred steps leave some per
cent.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

RIDGE = 1e-3
"""Measurements of nothing in every direction: a batch that did not meet some direction stays regular."""


class Design(NamedTuple):
    """Attributes:
    weights: f32[n], proportions.
    value: f32[], what the design makes small.
    """

    weights: jax.Array
    value: jax.Array


def spectral_design(arms: jax.Array, steps: int) -> Design:
    """E-optimal: the least norm of ``V^-1``, ``1 / lambda_min(V)``, over the designs on ``arms`` f32[n, d].

    ``lambda_min(sum w x x^T) = min_v sum w (x^T v)^2`` over unit vectors v: the value of a game in which each step is a
    best response to the bottom eigenvector.
    """
    n = arms.shape[0]

    def respond(weights, t):
        _, vectors = jnp.linalg.eigh((arms.T * weights) @ arms)
        best = jnp.square(arms @ vectors[:, 0]).argmax()
        step = 2 / (t + 2.0)
        return (1 - step) * weights + step * (jnp.arange(n) == best), None

    weights, _ = jax.lax.scan(respond, jnp.full(n, 1 / n), jnp.arange(1, steps + 1))
    return Design(weights, 1 / jnp.linalg.eigvalsh((arms.T * weights) @ arms)[0])


def transductive_design(arms: jax.Array, active: jax.Array, steps: int, *, differences: bool = True) -> Design:
    """The least ``max_y y^T V^-1 y`` over the designs on ``arms`` f32[n, d], which span the space.

    Args:
        arms: f32[n, d].
        active: bool[n], the arms that matter.
        steps: of Frank and Wolfe.
        differences: y are the differences of active arms (XY-optimal), else the active arms themselves (G-optimal).

    The inverse follows each step by the formula of Sherman and Morrison, so that no system is solved; the value is that
    of the inverse taken anew at the end, since in float32 hundreds of steps leave some tenths of a per cent.
    """
    n, d = arms.shape

    def worst(inverse):
        """``(y f32[d], y^T V^-1 y)``."""
        gram = arms @ inverse @ arms.T
        size = jnp.diagonal(gram)
        if not differences:
            size = jnp.where(active, size, -jnp.inf)
            i = size.argmax()
            return arms[i], size[i]
        spread = jnp.where(active[:, None] & active, size[:, None] + size - 2 * gram, -jnp.inf)
        i, j = jnp.divmod(spread.argmax(), n)
        return arms[i] - arms[j], spread[i, j]

    def respond(carry, t):
        weights, inverse = carry
        y, _ = worst(inverse)
        best = jnp.square(arms @ (inverse @ y)).argmax()
        step = 2 / (t + 2.0)
        along = inverse @ arms[best]
        inverse = (inverse - step * jnp.outer(along, along) / (1 - step + step * (arms[best] @ along))) / (
            1 - step
        )
        return ((1 - step) * weights + step * (jnp.arange(n) == best), inverse), None

    start = jnp.full(n, 1 / n), jnp.linalg.inv(arms.T @ arms / n)
    # The first step would forget the start, on which alone V is known to be regular.
    (weights, _), _ = jax.lax.scan(respond, start, jnp.arange(d, d + steps))
    return Design(weights, worst(jnp.linalg.inv((arms.T * weights) @ arms))[1])


def round_design(weights: jax.Array, number: jax.Array) -> jax.Array:
    """Whole counts f32[n] that sum to ``number`` f32[], by largest remainders; exact up to 2^24 measurements."""
    exact = weights / weights.sum() * number
    whole = jnp.floor(exact)
    missing = number - whole.sum()
    rank = jnp.argsort(jnp.argsort(whole - exact))  # 0 for the largest remainder
    return whole + (rank < missing)


def least_squares_draw(
    key: jax.Array, arms: jax.Array, counts: jax.Array, means: jax.Array, sd: jax.Array
) -> jax.Array:
    """A draw f32[d] of the least-squares estimate from ``counts`` f32[n] measurements of ``means`` f32[n].

    Its distribution is that of simulating every measurement with Gaussian noise of ``sd``, at the price of one:
    ``N(V^-1 sum counts x mean, sd^2 V^-1)``. Means that are not linear in the arms leave their bias in it.
    """
    lower = jnp.linalg.cholesky((arms.T * counts) @ arms + RIDGE * jnp.eye(arms.shape[1]))
    right = (arms.T * counts) @ means
    normal = jax.random.normal(key, (arms.shape[1],))
    half = jax.scipy.linalg.solve_triangular(lower, right, lower=True) + sd * normal
    return jax.scipy.linalg.solve_triangular(lower.T, half, lower=False)
