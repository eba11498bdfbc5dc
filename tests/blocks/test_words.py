"""Numbers made of random words have the distributions that they promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from purejaxexplore.blocks.words import normals, uniforms, words_for_normals

N = 20_001


@pytest.fixture(scope="module")
def drawn():
    words = jax.random.bits(jax.random.key(3), (words_for_normals(N),), jnp.uint32)
    return np.asarray(normals(words, N)), np.asarray(uniforms(words))


def test_normals_are_normal(drawn):
    z, _ = drawn
    assert z.shape == (N,)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(stats.kurtosis(z)) < 0.15


def test_the_two_of_a_pair_are_independent(drawn):
    z, _ = drawn
    half = words_for_normals(N) // 2
    a, b = z[: half - 1], z[half : 2 * half - 1]
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.04 and abs(np.corrcoef(a**2, b**2)[0, 1]) < 0.04


def test_uniforms_are_uniform_and_below_one(drawn):
    _, u = drawn
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    extremes = uniforms(jnp.array([0, 255, 2**32 - 1], jnp.uint32))
    assert extremes.tolist() == [0.0, 0.0, 1 - 2**-24]
    assert np.isfinite(normals(jnp.array([0, 2**32 - 1, 0, 2**32 - 1], jnp.uint32), 4)).all()
