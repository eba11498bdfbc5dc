"""Work on selected rows only, against work on all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.selected import map_selected

X = jnp.arange(11.0)[:, None] * jnp.asarray([1.0, 10.0])


@jax.jit
def doubled(selected):
    return map_selected(lambda rows: 2 * X[rows] + 1, selected, X, 4)


@pytest.mark.parametrize("chosen", [[], [0], [10], [0, 3, 4, 5, 10], list(range(11)), list(range(4)), list(range(8))])
def test_equals_the_masked_map(chosen):
    selected = np.isin(np.arange(11), chosen)
    np.testing.assert_array_equal(doubled(selected), np.where(selected[:, None], 2 * X + 1, X))


def test_under_vmap_every_seed_gets_its_own_rows():
    selected = np.random.default_rng(0).random((6, 11)) < np.linspace(0, 1, 6)[:, None]
    expected = np.where(selected[..., None], 2 * X + 1, X)
    np.testing.assert_array_equal(jax.vmap(doubled)(selected), expected)
