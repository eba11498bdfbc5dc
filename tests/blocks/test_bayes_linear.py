"""The normal-inverse-gamma posterior: textbook formulas in float64, one sample at a time, and its draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.bayes_linear import draw, new_posterior, observe, posterior_of
from purejaxexplore.testing.trees import quick_jit

LAMBDA, A, B = 0.3, 2.0, 1.5


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    return x, x @ [1.0, -2.0, 0.5] + 0.4 * rng.normal(size=30)


def test_both_ways_to_the_posterior_are_the_textbook_one(sample):
    x, y = sample
    counts = np.arange(30) < 20
    v = LAMBDA * np.eye(3) + x[:20].T @ x[:20]
    coef = np.linalg.solve(v, x[:20].T @ y[:20])
    b = B + 0.5 * (y[:20] @ y[:20] - coef @ v @ coef)

    def step(posterior, row):
        return observe(posterior, *row), None

    @quick_jit
    def both(x, y):
        online, _ = jax.lax.scan(step, new_posterior(3, LAMBDA, A, B), (x[:20], y[:20]))
        return online, posterior_of(x, y, jnp.asarray(counts), LAMBDA, A, B)

    for found in both(jnp.float32(x), jnp.float32(y)):
        root = np.asarray(found.ridge.root, float)
        np.testing.assert_allclose(found.ridge.coef, coef, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(root @ root.T, np.linalg.inv(v), rtol=1e-3, atol=1e-6)
        log_det = np.linalg.slogdet(v)[1] - 3 * np.log(LAMBDA)
        assert float(found.ridge.log_det) == pytest.approx(log_det, rel=1e-4)
        assert float(found.a) == A + 10 and float(found.b) == pytest.approx(b, rel=1e-4)


def test_draws_have_the_moments_of_a_student(sample):
    x, y = sample
    posterior = posterior_of(jnp.float32(x), jnp.float32(y), jnp.ones(30, bool), LAMBDA, A, B)
    draws = np.asarray(quick_jit(jax.vmap(draw, (0, None)))(jax.random.split(jax.random.key(0), 20_000), posterior))
    np.testing.assert_allclose(draws.mean(0), posterior.ridge.coef, atol=0.01)
    root = np.asarray(posterior.ridge.root)
    wanted = float(posterior.b / (posterior.a - 1)) * root @ root.T
    np.testing.assert_allclose(np.cov(draws.T), wanted, rtol=0.1, atol=3e-4)
