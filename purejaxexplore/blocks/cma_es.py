"""CMA-ES: a Gaussian search distribution that learns its step size and its covariance from ranks.

Hansen (2016), "The CMA evolution strategy: a tutorial"; the diagonal form is Ros and Hansen (2008), "A simple
modification in CMA-ES achieving linear time and space complexity". With w_r > 0 for the mu best of lambda samples,
y_r = (x_r - m) / sigma in the order of their ranks and y = sum_r w_r y_r,

    m       <-  m + sigma y
    p_s     <-  (1 - c_s) p_s + sqrt(c_s (2 - c_s) mu_eff) C^(-1/2) y
    h_s      =  |p_s|^2 / n < (2 + 4 / (n + 1)) (1 - (1 - c_s)^(2 (g + 1)))            generation g counted from 0
    p_c     <-  (1 - c_c) p_c + h_s sqrt(c_c (2 - c_c) mu_eff) y
    C       <-  (1 - c_1 - c_mu + c_1 (1 - h_s) c_c (2 - c_c)) C + c_1 p_c p_c' + c_mu sum_r w_r y_r y_r'
    sigma   <-  sigma exp(min(1, c_s / d_s (|p_s| / E|N(0, I)| - 1)))

Samples are m + sigma B D z with C = B D^2 B' kept from the last :func:`decompose`: never a factorisation per batch.
Public ports divide by zero at g = 0 (2 g in place of 2 (g + 1)) or apply the weights to the inverse permutation; the
tests hold both against this file.

The decomposition is the dear part, so its caller sets the schedule. On a CPU it is SciPy's LAPACK: start programs with
OPENBLAS_NUM_THREADS=1, since for matrices of this size its threads cost more than they bring (on a busy machine 300 x).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.checks import choice, require_at_least

FORMS = ("full", "diagonal")
MAX_CONDITION = 1e7  # of C: beyond it float32 has lost the shortest axis; 1e14 in float64 programs
_MIN_EXTENT = 1e-11
_MIN_EIGENVALUE = 1e-14


class CMAState(NamedTuple):
    """A search distribution over ``n`` numbers.

    Attributes:
        mean: f32[n].
        sigma: f32, step size.
        cov: f32[n, n], C; f32[n] in the diagonal form.
        basis: f32[n, n], B, its columns the axes; None in the diagonal form.
        scale: f32[n], D, the standard deviations along them.
        path_sigma: f32[n], p_s.
        path_cov: f32[n], p_c.
        generation: i32, g, updates done.
    """

    mean: jax.Array
    sigma: jax.Array
    cov: jax.Array
    basis: jax.Array | None
    scale: jax.Array
    path_sigma: jax.Array
    path_cov: jax.Array
    generation: jax.Array


class Rates(NamedTuple):
    """What follows from the number of parents: weights f32[lambda] by rank, then mu_eff, c_s, d_s, c_c, c_1, c_mu."""

    weights: jax.Array
    mu_eff: jax.Array
    c_sigma: jax.Array
    damping: jax.Array
    c_cov: jax.Array
    c_1: jax.Array
    c_mu: jax.Array


def init(mean: jax.Array, sigma: jax.Array | float, form: str = "full") -> CMAState:
    """N(mean, sigma^2 I), with ``mean`` f32[n].

    Raises:
        ValueError: ``form`` is neither ``"full"`` nor ``"diagonal"``.
    """
    choice("form", form, FORMS)
    n = mean.shape[-1]
    one, zero = jnp.ones(n, jnp.float32), jnp.zeros(n, jnp.float32)
    eye = jnp.eye(n, dtype=jnp.float32)
    return CMAState(
        mean=jnp.asarray(mean, jnp.float32),
        sigma=jnp.asarray(sigma, jnp.float32),
        cov=eye if form == "full" else one,
        basis=eye if form == "full" else None,
        scale=one,
        path_sigma=zero,
        path_cov=zero,
        generation=jnp.int32(0),
    )


def decompose(state: CMAState) -> CMAState:
    """The state with B and D of the present C."""
    if state.basis is None:
        return state._replace(scale=jnp.sqrt(jnp.maximum(state.cov, _MIN_EIGENVALUE)))
    values, basis = jnp.linalg.eigh(state.cov)
    return state._replace(basis=basis, scale=jnp.sqrt(jnp.maximum(values, _MIN_EIGENVALUE)))


def ask(state: CMAState, z: jax.Array) -> jax.Array:
    """Samples f32[lambda, n] of standard normals ``z`` f32[lambda, n]."""
    step = z * state.scale
    if state.basis is not None:
        step = step @ state.basis.T
    return state.mean + state.sigma * step


def rates(n: int, num_samples: int, num_parents: jax.Array, form: str = "full") -> Rates:
    """The constants of the tutorial for ``num_parents`` (i32, may be traced) of ``num_samples`` samples in R^n.

    Weights are proportional to log(mu + 1/2) - log r for the ranks r = 1 ... mu, and 0 beyond; with no parent at all
    they are all 0.
    """
    mu = jnp.asarray(num_parents, jnp.float32)
    rank = jnp.arange(1, num_samples + 1)
    weights = jnp.where(rank <= mu, jnp.log(mu + 0.5) - jnp.log(rank), 0.0)
    weights = weights / jnp.maximum(weights.sum(), 1e-30)
    mu_eff = 1.0 / jnp.maximum(jnp.square(weights).sum(), 1.0 / num_samples)
    c_sigma = (mu_eff + 2) / (n + mu_eff + 5)
    damping = 1 + 2 * jnp.maximum(0.0, jnp.sqrt(jnp.maximum(mu_eff - 1, 0) / (n + 1)) - 1) + c_sigma
    c_cov = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)
    c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)
    c_mu = jnp.minimum(1 - c_1, 2 * (mu_eff - 2 + 1 / mu_eff) / ((n + 2) ** 2 + mu_eff))
    if form == "diagonal":
        faster = (n + 2) / 3
        c_1 = jnp.minimum(1.0, faster * c_1)
        c_mu = jnp.minimum(1 - c_1, faster * c_mu)
    return Rates(weights, mu_eff, c_sigma, damping, c_cov, c_1, c_mu)


def tell(state: CMAState, samples: jax.Array, rank: jax.Array, num_parents: jax.Array | int) -> CMAState:
    """The distribution after a generation; B and D stay those of the last :func:`decompose`.

    Args:
        state: the distribution that the samples came from.
        samples: f32[lambda, n].
        rank: i32[lambda], the rank of each sample, 0 the best, every rank once.
        num_parents: i32, the best ranks that are recombined; with 0 only the generation advances.
    """
    num_samples, n = samples.shape
    form = "diagonal" if state.basis is None else "full"
    r = rates(n, num_samples, num_parents, form)
    weights = r.weights[rank]  # of sample i: that of its rank, so that sum_i equals sum_r w_r x[order[r]]
    steps = (samples - state.mean) / state.sigma
    steps = jnp.where(weights[:, None] > 0, steps, 0.0)
    step = weights @ steps

    white = step / state.scale if state.basis is None else state.basis @ ((step @ state.basis) / state.scale)
    path_sigma = (1 - r.c_sigma) * state.path_sigma + jnp.sqrt(r.c_sigma * (2 - r.c_sigma) * r.mu_eff) * white
    length = jnp.square(path_sigma).sum()
    warm = 1 - (1 - r.c_sigma) ** (2 * (state.generation + 1))
    keep = (length / n < (2 + 4 / (n + 1)) * warm).astype(jnp.float32)
    path_cov = (1 - r.c_cov) * state.path_cov + keep * jnp.sqrt(r.c_cov * (2 - r.c_cov) * r.mu_eff) * step

    decay = 1 - r.c_1 - r.c_mu + r.c_1 * (1 - keep) * r.c_cov * (2 - r.c_cov)
    if form == "full":
        one, many = jnp.outer(path_cov, path_cov), (weights[:, None] * steps).T @ steps
    else:
        one, many = jnp.square(path_cov), weights @ jnp.square(steps)
    cov = decay * state.cov + r.c_1 * one + r.c_mu * many
    if form == "full":
        cov = (cov + cov.T) / 2

    expected = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
    growth = jnp.exp(jnp.minimum(1.0, r.c_sigma / r.damping * (jnp.sqrt(length) / expected - 1)))
    told = state._replace(
        mean=state.mean + state.sigma * step, sigma=state.sigma * growth, cov=cov,
        path_sigma=path_sigma, path_cov=path_cov,
    )  # fmt: skip
    told = choose(num_parents > 0, told, state)
    return told._replace(generation=state.generation + 1)


def has_stopped(state: CMAState, best: jax.Array, worst: jax.Array) -> jax.Array:
    """bool, whether the distribution is spent, by the last decomposition or by flat ranking values.

    Args:
        state: the distribution.
        best, worst: f32[k], the values by which the best and the worst sample were ranked.
    """
    ill = jnp.square(state.scale.max() / state.scale.min()) > MAX_CONDITION
    tiny = state.sigma * state.scale.max() < _MIN_EXTENT
    broken = ~jnp.isfinite(state.sigma) | ~jnp.isfinite(state.mean).all() | ~jnp.isfinite(state.cov).all()
    return ill | tiny | broken | jnp.all(best == worst)


def choose(where: jax.Array, a: CMAState, b: CMAState) -> CMAState:
    """``a`` where the scalar ``where`` holds, else ``b``."""
    return jax.tree.map(lambda x, y: jnp.where(where, x, y), a, b)


def lazy_gap(n: int, num_samples: int) -> int:
    """Generations between two decompositions that cost no performance: 1 / (2 n (c_1 + c_mu)), at least 1.

    Raises:
        ValueError: a size is not positive.
    """
    require_at_least(1, n=n, num_samples=num_samples)
    with jax.ensure_compile_time_eval():
        r = rates(n, num_samples, jnp.int32(max(1, num_samples // 2)))
        return max(1, int(1 / (2 * n * float(r.c_1 + r.c_mu))))
