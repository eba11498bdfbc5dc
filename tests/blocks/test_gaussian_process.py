"""The process against NumPy in double precision, and its draws against its predictions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.gaussian_process import (
    believe,
    draw_path,
    fit_process,
    mean_path,
    path_values,
    predict,
)
from purejaxexplore.testing.trees import quick_jit

NOISE = 1e-3
X = np.random.default_rng(0).random((9, 2)).astype(np.float32)
Y = (100 + 5 * np.sin(4 * X[:, 0]) + 3 * X[:, 1]).astype(np.float32)
QUERY = np.random.default_rng(1).random((6, 2)).astype(np.float32)
predicted = quick_jit(lambda process: predict(process, jnp.asarray(QUERY)))


def matern(a, b, length):
    s = np.sqrt(5) * np.linalg.norm(a[:, None].astype(float) - b[None], axis=-1) / length
    return (1 + s + s**2 / 3) * np.exp(-s)


def numpy_likelihood(y, length):
    gram = matern(X, X, length) + NOISE * np.eye(len(X))
    variance = y @ np.linalg.solve(gram, y) / len(y)
    return -(len(y) * np.log(variance) + np.linalg.slogdet(gram)[1]) / 2


@pytest.fixture(scope="module")
def process():
    """Nine values in twelve rows; what stands in the others is not looked at."""
    x, y = jnp.pad(X, ((0, 3), (0, 0)), constant_values=0.5), jnp.pad(Y, (0, 3), constant_values=1e6)
    return quick_jit(lambda x, y, seen: fit_process(x, y, seen, noise=NOISE))(x, y, jnp.arange(12) < 9)


def test_length_is_that_of_the_largest_likelihood(process):
    y = (Y - Y.mean(dtype=float)) / Y.std(dtype=float)
    np.testing.assert_allclose([process.shift, process.scale], [Y.mean(dtype=float), Y.std(dtype=float)], rtol=1e-5)
    best = max(numpy_likelihood(y, length) for length in np.geomspace(0.01, np.sqrt(2), 2000))
    assert numpy_likelihood(y, float(process.length)) > best - 0.02
    gram = matern(X, X, float(process.length)) + NOISE * np.eye(9)
    np.testing.assert_allclose(process.variance, y @ np.linalg.solve(gram, y) / 9, rtol=2e-3)


def test_predictions_against_numpy(process):
    length, variance = float(process.length), float(process.variance)
    y = (Y - Y.mean(dtype=float)) / Y.std(dtype=float)
    gram, cross = matern(X, X, length) + NOISE * np.eye(9), matern(X, QUERY, length)
    mean, sd = predicted(process)
    np.testing.assert_allclose(mean, cross.T @ np.linalg.solve(gram, y), atol=2e-3)
    expected = np.sqrt(variance * (1 - (cross * np.linalg.solve(gram, cross)).sum(0)))
    np.testing.assert_allclose(sd, expected, rtol=2e-2)
    along = quick_jit(path_values)(process, mean_path(process, 3), jnp.asarray(QUERY))
    np.testing.assert_allclose(along, mean, atol=1e-4)


def test_believing_moves_deviations_only(process):
    believed = quick_jit(believe)(process, jnp.asarray(QUERY[:2]), jnp.array([True, False]))
    mean, sd = predicted(process)
    mean_then, sd_then = predicted(believed)
    np.testing.assert_allclose(mean_then, mean, atol=1e-4)
    length, both = float(process.length), np.concatenate([X, QUERY[:1]])
    gram, cross = matern(both, both, length) + NOISE * np.eye(10), matern(both, QUERY, length)
    expected = np.sqrt(float(process.variance) * (1 - (cross * np.linalg.solve(gram, cross)).sum(0)))
    np.testing.assert_allclose(sd_then, expected, rtol=2e-2)
    assert sd_then[0] < 0.7 * sd[0]


@pytest.fixture(scope="module")
def draws(process):
    """1,500 draws: their paths, their values at two points that were measured and at ``QUERY``, and the predictions."""
    points = jnp.concatenate([X[:2], QUERY])

    def draw(key):
        path = draw_path(key, process, 64)
        return path, path_values(process, path, points)

    program = quick_jit(lambda keys: (*jax.vmap(draw)(keys), predict(process, points)))
    return jax.tree.map(np.asarray, program(jax.random.split(jax.random.key(1), 1500)))


def test_features_have_the_kernel_as_their_covariance(process, draws):
    """With the root of the gamma variate in place of its inverse the middle one would be 0.63."""
    path = draws[0]
    for distance, known in ((0.3, 0.931), (1.0, 0.524), (2.0, 0.139)):
        np.testing.assert_allclose(matern(np.zeros((1, 1)), np.full((1, 1), distance), 1.0)[0, 0], known, atol=6e-4)
        phase = 2 * np.pi * distance * float(process.length) * path.frequency
        np.testing.assert_allclose(np.cos(phase).mean((0, 1)), known, atol=0.02)
    np.testing.assert_allclose(np.square(path.amplitude).sum(1).mean() / 2, process.variance, rtol=0.05)


def test_draws_are_of_the_posterior(draws):
    _, values, (mean, sd) = draws
    np.testing.assert_allclose(values.mean(0), mean, atol=5 * sd.max() / np.sqrt(1500))
    np.testing.assert_allclose(values.std(0)[2:], sd[2:], rtol=0.1)
    assert (values.std(0)[:2] < 0.1).all(), "where a value was measured, draws agree"


def test_equal_values_and_none(process):
    fit = quick_jit(lambda x, y, seen: predict(fit_process(x, y, seen, noise=NOISE), jnp.asarray(QUERY)))
    for seen in (jnp.arange(12) < 9, jnp.zeros(12, bool)):
        mean, sd = fit(process.x, jnp.full(12, 7.0), seen)
        np.testing.assert_array_equal(mean, np.zeros(6))
        assert np.isfinite(sd).all() and (np.asarray(sd) > 0).all()
