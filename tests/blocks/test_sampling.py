"""Weighted sampling: exact zeros, small and large tables, and the distribution itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.sampling import _RADIX, _invert, sample_slots

draw = jax.jit(sample_slots, static_argnames="n")


@pytest.mark.parametrize("capacity", [1, 7, 8, 9, 100])
def test_frequencies_follow_the_weights(capacity):
    weights = np.random.default_rng(capacity).integers(0, 4, capacity).astype(np.float32)
    weights[-1] = 2
    n = 20_000
    counts = np.bincount(draw(jax.random.key(1), jnp.array(weights), n), minlength=capacity)
    expected = n * weights / weights.sum()
    positive = weights > 0
    assert counts[~positive].sum() == 0
    chi = ((counts - expected)[positive] ** 2 / expected[positive]).sum()
    degrees = positive.sum() - 1
    assert chi <= degrees + 3.3 * np.sqrt(2 * degrees) + 3


def test_no_positive_weight_is_nowhere():
    for weights in (jnp.zeros(20), jnp.array([jnp.nan, -1.0, 0.0])):
        assert draw(jax.random.key(0), weights, 3).tolist() == [weights.size] * 3


def test_a_lone_rare_slot_is_found():
    weights = jnp.zeros(5000).at[4321].set(1e-30)
    assert set(draw(jax.random.key(0), weights, 50).tolist()) == {4321}


def test_large_table_is_accurate_to_a_part_in_ten_thousand():
    """The probability of each slot, read off the thresholds of the tree, against float64."""
    capacity = 10**6
    seen = np.random.default_rng(0).geometric(1e-3, capacity)
    weights = (1 / np.sqrt(1 + seen)).astype(np.float32)
    level, shares = jnp.array(weights), []
    while True:
        level = jnp.pad(level, (0, -level.size % _RADIX))
        nodes = np.asarray(level).reshape(-1, _RADIX)
        sums = [nodes[:, 0]]
        for column in range(1, _RADIX):
            sums.append((sums[-1] + nodes[:, column]).astype(np.float32))
        sums = np.stack(sums, -1)
        shares.append(np.diff(sums.astype(np.float64), prepend=0) / np.maximum(sums[:, -1:], 1e-30))
        if level.size <= _RADIX:
            break
        level = level.reshape(-1, _RADIX).sum(-1)
    probability = shares[-1][0]
    for share in shares[-2::-1]:
        probability = (probability[: len(share), None] * share).ravel()
    exact = weights.astype(np.float64) / weights.astype(np.float64).sum()
    assert np.abs(probability[:capacity] / exact - 1).max() < 1e-5

    # And the uniforms resolve it: blocks of a thousand rare slots are hit as often as they should be.
    n = 200_000
    counts = np.bincount(np.asarray(draw(jax.random.key(0), jnp.array(weights), n)) // 1000, minlength=1000)
    expected = n * exact.reshape(1000, 1000).sum(1)
    assert ((counts - expected) ** 2 / expected).sum() < 999 + 3.3 * np.sqrt(2 * 999)


def test_thresholds_by_hand():
    row = jnp.array([[0.0, 1.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0]])
    picks = [int(_invert(row, jnp.array([u]))[0]) for u in (0.0, 0.2499, 0.25, 0.9999999)]
    assert picks == [1, 1, 3, 3]


def test_vmap_is_a_loop():
    weights = jax.random.uniform(jax.random.key(0), (3, 70))
    keys = jax.random.split(jax.random.key(1), 3)
    together = jax.vmap(lambda k, w: sample_slots(k, w, 6))(keys, weights)
    for i in range(3):
        np.testing.assert_array_equal(together[i], draw(keys[i], weights[i], 6))
