"""Novelty against NumPy and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.knn import nearest, novelty

REF = jnp.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [100.0, 0.0]])
ALL = jnp.ones(4, bool)


def test_by_hand():
    query = jnp.zeros((1, 2))
    assert novelty(REF, ALL, query, 2)[0] == 0.5  # itself and (0, 1)
    assert novelty(REF, ALL, query, 2, exclude_self=True)[0] == 3.0  # (0, 1) and (3, 4)
    assert novelty(REF, ALL.at[2].set(False), query, 2, exclude_self=True)[0] == 52.5


def test_fewer_than_k_valid_count_alone_and_none_is_zero():
    query = jnp.array([[0.0, 0.0], [0.0, 2.0]])
    mask = jnp.array([True, False, True, False])
    assert novelty(REF, mask, query, 3).tolist() == [0.5, 1.5]
    assert novelty(REF, mask, query, 3, exclude_self=True).tolist() == [1.0, 1.5]
    assert novelty(REF, jnp.zeros(4, bool), query, 3).tolist() == [0.0, 0.0]


def test_close_points_far_from_the_origin_do_not_cancel():
    ref = jnp.array([[1000.0, 1000.0], [1000.25, 1000.0]])
    assert novelty(ref, jnp.ones(2, bool), ref, 1, exclude_self=True).tolist() == [0.25, 0.25]


@pytest.mark.parametrize("num_refs, chunk, k, size", [(30, 4, 5, 3), (30, 7, 5, 3), (200, 50, 3, 3), (200, 300, 5, 12)])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_is_numpys_at_any_chunk(num_refs, chunk, k, size, exclude_self):
    """Few neighbours of many references are looked for in groups, more than eight dimensions by products."""
    rng = np.random.default_rng(0)
    ref = rng.integers(0, 4, (num_refs, size)).astype(np.float32)  # many ties and duplicates
    mask = rng.random(num_refs) < 0.7
    query = ref[:12] if exclude_self else rng.normal(size=(12, size)).astype(np.float32)
    distance = np.linalg.norm(query[:, None] - ref, axis=-1)
    distance[:, ~mask] = np.inf
    if exclude_self:
        distance[np.arange(12), np.arange(12)] = np.inf
    expected = np.sort(distance, axis=1)[:, :k]
    # Under jit and vmap, twice the same problem.
    run = jax.jit(jax.vmap(lambda r, q: nearest(r, jnp.array(mask), q, k, exclude_self, chunk)))
    actual = run(jnp.stack([ref, ref]), jnp.stack([query, query]))
    np.testing.assert_allclose(actual, [expected, expected], rtol=1e-6)


def test_refuses():
    with pytest.raises(ValueError, match="k=0"):
        novelty(REF, ALL, REF, 0)
    with pytest.raises(ValueError, match="at most 4"):
        novelty(REF, ALL, jnp.zeros((5, 2)), 1, exclude_self=True)
