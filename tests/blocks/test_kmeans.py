"""One-dimensional k-means against hand-worked clusters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.kmeans import kmeans1d


def test_clusters_are_numbered_from_the_lowest_and_padding_is_left_out():
    x = jnp.array([9.0, 0.0, 1.0, 8.0, 20.0, 100.0])
    mask = jnp.array([True, True, True, True, True, False])
    assert kmeans1d(x, mask, 3).tolist() == [1, 0, 0, 1, 2, 3]
    assert kmeans1d(x, mask, 1).tolist() == [0, 0, 0, 0, 0, 1]


def test_lloyds_iterations_move_the_borders():
    # Quantile centres 1 and 11; the means 1.5, 11 then 2.25 (0, 1, 2, 6), 14 ... until {0, 1, 2, 6} | {11, 17}.
    x = jnp.array([0.0, 1.0, 2.0, 6.0, 11.0, 17.0])
    assert kmeans1d(x, jnp.ones(6, bool), 2).tolist() == [0, 0, 0, 0, 1, 1]


def test_equal_numbers_fill_one_cluster():
    assert len(set(kmeans1d(jnp.ones(4), jnp.ones(4, bool), 3).tolist())) == 1


def test_no_move_of_one_border_lowers_the_spread():
    x = np.sort(np.asarray(jax.random.normal(jax.random.key(0), (60,)))) ** 3
    labels = np.asarray(kmeans1d(jnp.asarray(x), jnp.ones(60, bool), 4, num_iterations=100))
    assert (np.diff(labels) >= 0).all() and labels.max() == 3
    centres = np.array([x[labels == c].mean() for c in range(4)])
    np.testing.assert_array_equal(labels, np.abs(x[:, None] - centres).argmin(1))


def test_refuses_no_cluster():
    with pytest.raises(ValueError, match="k=0: expected a whole number of at least 1"):
        kmeans1d(jnp.ones(3), jnp.ones(3, bool), 0)
