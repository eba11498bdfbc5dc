"""Recursive ridge regression against the solution in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.ridge import draw_coef, fit_sample, new_ridge, prediction_width

D, N, LAMBDA = 6, 4000, 0.5


@pytest.fixture(scope="module")
def samples():
    draw = np.random.default_rng(0)
    x = draw.standard_normal((N, D)) * np.array([1.0, 1.0, 1.0, 0.1, 0.1, 0.001])
    return x.astype(np.float32), (x @ np.arange(D) + 0.1 * draw.standard_normal(N)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(samples):
    scan = jax.jit(lambda x, y: jax.lax.scan(lambda r, s: (fit_sample(r, *s), None), new_ridge(D, LAMBDA), (x, y))[0])
    return scan(*samples)


def test_is_the_solution_in_double_precision_after_thousands_of_samples(samples, fitted):
    x, y = (s.astype(np.float64) for s in samples)
    precision = LAMBDA * np.eye(D) + x.T @ x
    np.testing.assert_allclose(fitted.coef, np.linalg.solve(precision, x.T @ y), rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(fitted.root @ fitted.root.T, np.linalg.inv(precision), rtol=2e-3, atol=1e-6)
    expected = np.linalg.slogdet(precision)[1] - D * np.log(LAMBDA)
    np.testing.assert_allclose(fitted.log_det, expected, rtol=1e-3)
    widths = np.sqrt(np.diag(np.linalg.inv(precision)))
    np.testing.assert_allclose(prediction_width(fitted, jnp.eye(D)), widths, rtol=2e-3)


def test_draws_have_the_covariance_of_the_posterior_and_not_the_precision(fitted):
    draws = jax.vmap(lambda z: draw_coef(fitted, z, 2.0))(jax.random.normal(jax.random.key(0), (20_000, D)))
    expected = 4.0 * np.asarray(fitted.root @ fitted.root.T)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs((np.cov(draws.T) - expected) / scale).max() < 0.05


def test_a_sample_of_zeros_changes_nothing(fitted):
    after = fit_sample(fitted, jnp.zeros(D), jnp.float32(7.0))
    for old, new in zip(fitted, after, strict=True):
        np.testing.assert_array_equal(old, new)
