"""Shuffles are unbiased permutations, and epochs visit every row once."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purejaxexplore.blocks.minibatches import minibatch_epochs, pack_rows, require_divisible, shuffled_indices


@partial(jax.jit, static_argnums=(1, 2))
def shuffles(key, n, num):
    """i32[num, n]."""
    return jax.lax.map(lambda k: shuffled_indices(k, n), jax.random.split(key, num))


@pytest.mark.parametrize("n", [1, 2, 3, 8, 16, 17, 32, 60, 64, 1024, 2048, 4096])
def test_is_a_permutation(n):
    rows = np.asarray(shuffles(jax.random.key(n), n, 20))
    assert rows.dtype == np.int32
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(n), (20, 1)))


def chi_square(counts, expected):
    """z-score of Pearson's statistic: its mean is ``counts.size - 1`` and its variance twice that, about."""
    statistic = np.sum((counts - expected) ** 2 / expected)
    freedom = counts.size - 1
    return (statistic - freedom) / np.sqrt(2 * freedom)


@pytest.mark.parametrize("n", [16, 60, 256])
def test_every_value_is_equally_likely_at_every_position(n):
    num = 50 * n
    rows = np.asarray(shuffles(jax.random.key(1), n, num))
    counts = np.zeros((n, n))
    np.add.at(counts, (np.tile(np.arange(n), num), rows.ravel()), 1)
    assert abs(chi_square(counts, num / n)) < 6


@pytest.mark.parametrize("n", [16, 60, 256])
def test_rows_that_were_neighbours_are_not_drawn_together_more_often(n):
    """Counts the difference of consecutive entries (mod n): steps in time must not stay together."""
    rows = np.asarray(shuffles(jax.random.key(2), n, 200 if n == 256 else 2000))
    differences = (rows[:, 1:] - rows[:, :-1]) % n
    # Consecutive pairs of one row are nearly independent; n-fold dependence stays far below this bound.
    counts = np.bincount(differences.ravel(), minlength=n)[1:]
    assert counts.max() / counts.mean() < 1.25
    assert counts.min() / counts.mean() > 0.75


@pytest.mark.parametrize("n", [16, 60, 1024])
def test_rows_at_any_distance_share_a_minibatch_as_often_as_chance_has_it(n):
    num = 2000
    minibatch = np.argsort(np.asarray(shuffles(jax.random.key(3), n, num)), axis=1) // (n // 4)
    chance = (n / 4 - 1) / (n - 1)
    for lag in (1, 2, 8, n // 4, n // 2):
        together = (minibatch[:, lag:] == minibatch[:, :-lag]).mean(1)
        assert abs(together.mean() - chance) < 5 * together.std() / np.sqrt(num)
        assert together.std() < 1.6 * np.sqrt(chance * (1 - chance) / (n - lag))


@pytest.mark.parametrize("size, num_minibatches", [(12, 3), (64, 4), (5, 1), (6, 6)])
def test_every_epoch_visits_every_row_once(size, num_minibatches):
    batch = {"row": jnp.arange(size), "twice": 2.0 * jnp.arange(size)}

    def update(key, carry, minibatch):
        return carry + minibatch["row"].sum(), (minibatch, jax.random.key_data(key))

    total, (seen, keys) = jax.jit(
        lambda key: minibatch_epochs(key, update, jnp.int32(0), batch, 3, num_minibatches)
    )(jax.random.key(0))
    assert seen["row"].shape == (3, num_minibatches, size // num_minibatches)
    for epoch in np.asarray(seen["row"]).reshape(3, -1):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(size))
    np.testing.assert_array_equal(seen["twice"], 2.0 * seen["row"])
    assert total == 3 * size * (size - 1) // 2
    assert len(np.unique(np.asarray(keys).reshape(-1, keys.shape[-1]), axis=0)) == 3 * num_minibatches
    if size > 6:
        assert not np.array_equal(seen["row"][0], seen["row"][1])


@given(size=st.integers(1, 300), number=st.integers(-2, 310))
def test_require_divisible(size, number):
    if number > 0 and size % number == 0:
        require_divisible("num_minibatches", number, "rows", size)
        return
    with pytest.raises(ValueError, match=f"num_minibatches={number} does not divide rows={size}") as caught:
        require_divisible("num_minibatches", number, "rows", size)
    choices = json.loads(str(caught.value).split("choose one of ")[1])
    divisors = [d for d in range(1, size + 1) if size % d == 0]
    assert set(choices) <= set(divisors)
    assert min(abs(c - number) for c in choices) == min(abs(d - number) for d in divisors)


def test_packed_rows_come_back_bit_for_bit():
    """Narrow and wide, empty, 8-bit and boolean leaves; NaNs and negative zeros travel as bits."""
    rng = np.random.default_rng(0)
    odd = np.asarray([np.nan, -0.0, np.inf, 1e-45, 1.0], np.float32)
    batch = {
        "float": odd, "int": rng.integers(-(2**31), 2**31, (5, 2, 3)).astype(np.int32), "bool": odd > 0,
        "byte": rng.integers(0, 256, (5, 4)).astype(np.uint8), "wide": rng.normal(size=(5, 40)).astype(np.float32),
        "nothing": np.zeros((5, 0), np.float32), "word": rng.integers(0, 2**32, 5).astype(np.uint32),
    }  # fmt: skip
    packed, unpack = pack_rows(jax.tree.map(jnp.asarray, batch))
    rows = np.asarray([4, 0, 0, 2])
    restored = unpack(jax.tree.map(lambda x: x[rows], packed))
    for name, x in batch.items():
        assert restored[name].dtype == x.dtype
        assert np.asarray(restored[name]).tobytes() == x[rows].tobytes(), name
