"""A Gaussian process of fixed capacity: its fit by marginal likelihood, its predictions, and draws of whole functions.

Rasmussen and Williams (2006), "Gaussian processes for machine learning", chapters 2 and 5. With R the correlations of
the n values y measured so far, standardised to mean 0 and deviation 1, and the Matern 5/2 correlation ``m``::

    m(r) = (1 + s + s^2 / 3) exp(-s),   s = sqrt(5) r / length       K = variance (R + noise I)
    mean(x) = m(x, X) (R + noise I)^-1 y        sd(x)^2 = variance (1 - m(x, X) (R + noise I)^-1 m(X, x))

For each length the best variance is ``y^T (R + noise I)^-1 y / n``, so that the marginal likelihood is a function of
the length alone: it is taken on a geometric grid, and then on a finer one about the best. No gradient is followed, no
start can be unlucky, and the work is fixed.

A draw is Matheron's rule, as in Wilson et al. (2020), "Efficiently sampling functions from Gaussian process
posteriors": a draw of the prior, made of random cosines (Rahimi and Recht 2007), plus the correction by the data. The
spectral density of the Matern 5/2 kernel is a t distribution of five degrees of freedom: a normal over the root of the
mean of five squared normals, one such root for each cosine.

Rows that hold no data are those of the identity matrix, with the value 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular

from purejaxexplore.blocks.turns import cos_sin

_GRID = 13
"""Lengths of each of the two grids."""


class GaussianProcess(NamedTuple):
    """Predictions are of standardised values: ``y = shift + scale * predicted``.

    Attributes:
        x: f32[N, d], where values were measured.
        seen: bool[N], the rows that hold data.
        lower: f32[N, N], Cholesky factor of ``R + noise I``.
        weights: f32[N], ``(R + noise I)^-1 y``, 0 where not seen.
        length, variance: f32[], fitted.
        noise: f32[], variance of the noise of a value over that of the function.
        shift, scale: f32[], mean and deviation of the values.
    """

    x: jax.Array
    seen: jax.Array
    lower: jax.Array
    weights: jax.Array
    length: jax.Array
    variance: jax.Array
    noise: jax.Array
    shift: jax.Array
    scale: jax.Array


class Path(NamedTuple):
    """A function, ``sum_f amplitude_f cos(2 pi (frequency_f^T x + phase_f)) + m(x, X) weights``.

    Attributes:
        frequency: f32[F, d].
        phase: f32[F], in turns.
        amplitude: f32[F]; zeros make the path the posterior mean.
        weights: f32[N].
    """

    frequency: jax.Array
    phase: jax.Array
    amplitude: jax.Array
    weights: jax.Array


def correlation(a: jax.Array, b: jax.Array, length: jax.Array) -> jax.Array:
    """Matern 5/2 correlations f32[A, B] of points f32[A, d] and f32[B, d]; its gradient is finite where they meet."""
    squared = sum(jnp.square(a[:, i, None] - b[None, :, i]) for i in range(a.shape[1]))
    s = jnp.sqrt(5 * squared + 1e-12) / length
    return (1 + s + s * s / 3) * jnp.exp(-s)


def fit_process(
    x: jax.Array, y: jax.Array, seen: jax.Array, *, noise: jax.Array, shortest: float = 0.01
) -> GaussianProcess:
    """The process of the largest marginal likelihood.

    Args:
        x: f32[N, d], in the unit box.
        y: f32[N], looked at where seen.
        seen: bool[N]; where nothing is, the prediction is 0 with deviation 1.
        noise: f32[], > 0; float32 needs about 1e-5 where hundreds of points lie close together.
        shortest: lengths are sought in ``[shortest, sqrt(d)]``, the diagonal of the box.
    """
    n = jnp.maximum(seen.sum(), 1)
    shift = jnp.where(seen, y, 0.0).sum() / n
    deviation = jnp.sqrt(jnp.where(seen, jnp.square(y - shift), 0.0).sum() / n)
    scale = jnp.where(deviation > 0, deviation, 1.0)
    target = jnp.where(seen, (y - shift) / scale, 0.0)
    noise = jnp.asarray(noise, jnp.float32)

    def factorise(length):
        """``(factor, L^-1 y, variance)``."""
        lower = _factor(x, seen, length, noise)
        half = solve_triangular(lower, target, lower=True)
        variance = jnp.where(deviation > 0, half @ half / n, 1.0)
        return lower, half, variance

    def likelihood(length):
        lower, _, variance = factorise(length)
        value = -n * jnp.log(variance) / 2 - jnp.log(jnp.diagonal(lower)).sum()
        return jnp.where(jnp.isnan(value), -jnp.inf, value)

    longest = jnp.sqrt(jnp.float32(x.shape[1]))

    def refine(carry, _):
        length, reach = carry
        lengths = jnp.clip(length * reach ** jnp.linspace(-1.0, 1.0, _GRID), shortest, longest)
        return (lengths[jax.vmap(likelihood)(lengths).argmax()], reach ** (2 / (_GRID - 1))), None

    (length, _), _ = jax.lax.scan(
        refine, (jnp.sqrt(shortest * longest), jnp.sqrt(longest / shortest)), length=2
    )
    lower, half, variance = factorise(length)
    weights = solve_triangular(lower, half, trans=1, lower=True)
    return GaussianProcess(x, seen, lower, weights, length, variance, noise, shift, scale)


def predict(process: GaussianProcess, query: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean f32[M] and deviation f32[M] of the function, without noise, at ``query`` f32[M, d]; standardised."""
    cross = jnp.where(process.seen[:, None], correlation(process.x, query, process.length), 0.0)
    half = solve_triangular(process.lower, cross, lower=True)
    share = jnp.clip(1 - jnp.square(half).sum(0), 1e-9, 1.0)
    return process.weights @ cross, jnp.sqrt(process.variance * share)


def believe(process: GaussianProcess, x: jax.Array, seen: jax.Array) -> GaussianProcess:
    """The process had it measured its own mean at ``x`` f32[q, d] where ``seen`` bool[q].

    A value equal to the mean leaves the mean as it was, so only deviations change: the "Kriging believer" of
    Ginsbourger, Le Riche and Carraro (2010), and the hallucinated deviations of GP-BUCB.
    """
    both, seen = jnp.concatenate([process.x, x]), jnp.concatenate([process.seen, seen])
    lower = _factor(both, seen, process.length, process.noise)
    return process._replace(x=both, seen=seen, lower=lower, weights=jnp.pad(process.weights, (0, x.shape[0])))


def mean_path(process: GaussianProcess, num_features: int) -> Path:
    """The posterior mean, in the form of a draw."""
    zeros = jnp.zeros(num_features)
    return Path(jnp.zeros((num_features, process.x.shape[1])), zeros, zeros, process.weights)


def draw_path(key: jax.Array, process: GaussianProcess, num_features: int) -> Path:
    """A draw of the posterior, with ``num_features`` cosines for the prior."""
    key_normal, key_phase = jax.random.split(key)
    F, (N, d) = num_features, process.x.shape
    normal = jax.random.normal(key_normal, ((d + 6) * F + N,))  # one call: it is what takes long to compile
    direction, spread, height, error = jnp.split(normal, (d * F, (d + 5) * F, (d + 6) * F))
    root = jnp.sqrt(jnp.square(spread.reshape(F, 5)).mean(1, keepdims=True))
    frequency = direction.reshape(F, d) / (2 * jnp.pi * root * process.length)
    phase = jax.random.uniform(key_phase, (F,))
    amplitude = jnp.sqrt(2 * process.variance / F) * height
    prior = Path(frequency, phase, amplitude, jnp.zeros(N))
    told = path_values(process, prior, process.x) + jnp.sqrt(process.noise * process.variance) * error
    told = jnp.where(process.seen, told, 0.0)
    return prior._replace(weights=process.weights - cho_solve((process.lower, True), told))


def path_values(process: GaussianProcess, path: Path, x: jax.Array) -> jax.Array:
    """The path f32[M] at ``x`` f32[M, d]; standardised."""
    prior = cos_sin(x @ path.frequency.T + path.phase)[0] @ path.amplitude
    cross = jnp.where(process.seen, correlation(x, process.x, process.length), 0.0)
    return prior + cross @ path.weights


def _factor(x, seen, length, noise) -> jax.Array:
    both = seen[:, None] & seen
    return jnp.linalg.cholesky(
        jnp.where(both, correlation(x, x, length), 0.0) + jnp.diag(jnp.where(seen, noise, 1.0))
    )
