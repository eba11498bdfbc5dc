"""Rankers and variation operators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.archives.archive import InsertInfo
from purejaxexplore.quality_diversity import rankers, variation


def ranks_by_hand(values):
    size = len(values[0])
    columns = [np.where(np.isnan(v), -np.inf, v) for v in values]
    order = sorted(range(size), key=lambda i: (*(-column[i] for column in columns), i))
    rank = np.zeros(size, int)
    rank[order] = np.arange(size)
    return rank


@pytest.mark.parametrize("size", [7, 600])
def test_ranks_of_ties_nan_and_two_stages(size):
    rng = np.random.default_rng(size)
    for _ in range(5):
        status = rng.integers(0, 3, size)
        value = rng.choice([-np.inf, -1.0, 0.0, 1.0, np.nan, np.inf], size).astype(np.float32)
        for values in ((value,), (status, value)):
            got = jax.jit(rankers.ranks)(tuple(map(jnp.asarray, values)))
            np.testing.assert_array_equal(got, ranks_by_hand(values))


def test_rankers_order_by_what_they_say():
    info = InsertInfo(
        status=jnp.array([1, 2, 0, 2]), value=jnp.array([50.0, 3.0, -4.0, 5.0]), slot=jnp.arange(4), win=jnp.ones(4)
    )
    score = jnp.array([0.0, 3.0, 99.0, 5.0])

    def order(ranker):
        return np.argsort(rankers.ranks(ranker(score, info))).tolist()

    assert order(rankers.objective) == [2, 3, 1, 0]
    assert order(rankers.improvement) == [0, 3, 1, 2]
    assert order(rankers.two_stage) == [3, 1, 0, 2]


@pytest.fixture(scope="module")
def parents():
    return jnp.array([[0.0, 1.0, 2.0]] * 4000), jnp.array([[1.0, 1.0, 0.0]] * 4000)


def children(operator, parents):
    words = jax.random.bits(jax.random.key(0), (operator.num_words(*parents[0].shape),), jnp.uint32)
    return np.asarray(operator.vary(parents[: operator.num_parents], words))


def test_gaussian(parents):
    x = children(variation.gaussian(0.3), parents) - np.asarray(parents[0])
    np.testing.assert_allclose(x.std(0), 0.3, rtol=0.05)
    np.testing.assert_allclose(x.mean(0), 0.0, atol=0.03)


def test_iso_line_spreads_along_the_line_of_the_parents(parents):
    x = children(variation.iso_line(0.1, 0.5), parents) - np.asarray(parents[0])
    np.testing.assert_allclose(np.cov(x.T), 0.01 * np.eye(3) + 0.25 * np.outer([1, 0, -2], [1, 0, -2]), atol=0.05)


def test_uniform_ignores_the_parents(parents):
    x = children(variation.uniform(-1.0, 3.0), parents)
    assert x.min() >= -1 and x.max() <= 3
    np.testing.assert_allclose(x.mean(0), 1.0, atol=0.1)


def test_negative_spreads_are_refused():
    with pytest.raises(ValueError, match="sigma=-1"):
        variation.gaussian(-1.0)
    with pytest.raises(ValueError, match="line=-1"):
        variation.iso_line(0.1, -1.0)
