"""SimHash against NumPy, and what its codes do and do not tell apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.moments import init_moments
from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Batch, score_rollout
from purejaxexplore.bonuses.simhash import Projection, SimHashConfig, code_bits, simhash, table_index

D = 5


def steps_of(next_obs) -> Step:
    """A rollout with true successors ``next_obs f32[T, N, D]`` that never ends."""
    next_obs = jnp.asarray(next_obs, jnp.float32)
    blank = jnp.zeros(next_obs.shape[:2])
    never = jnp.zeros(next_obs.shape[:2], bool)
    return Step(next_obs + 1e3, blank.astype(jnp.int32), blank, next_obs, never, never, next_obs, {})


def test_codes_are_the_signs_of_projections():
    rng = np.random.default_rng(0)
    matrix, obs = rng.normal(size=(D, 7)).astype(np.float32), rng.normal(size=(6, D)).astype(np.float32)
    bits = code_bits(Projection(jnp.asarray(matrix), init_moments((D,))), jnp.asarray(obs))
    np.testing.assert_array_equal(bits, obs @ matrix > 0)


def test_few_bits_index_the_table_without_collisions():
    bits = (np.arange(16)[:, None] >> np.arange(4)) & 1
    assert table_index(jnp.asarray(bits, bool), 16).tolist() == list(range(16))


@pytest.mark.parametrize("num_bits", [31, 40, 64])
def test_long_codes_spread_over_the_table_and_every_bit_counts(num_bits):
    size = 4093
    bits = np.random.default_rng(1).random((2000, num_bits)) < 0.5
    index = np.asarray(table_index(jnp.asarray(bits), size))
    assert index.min() >= 0 and index.max() < size
    expected = size * (1 - (1 - 1 / size) ** 2000)  # distinct places of 2000 balls thrown at random
    assert abs(len(np.unique(index)) - expected) < 60
    one_changed = bits[0] ^ np.eye(num_bits, dtype=bool)
    assert len(np.unique(np.asarray(table_index(jnp.asarray(one_changed), size)))) >= num_bits - 3


def test_pays_by_the_visits_of_a_code():
    bonus = simhash(SimHashConfig(num_bits=24, table_size=997))
    places = np.random.default_rng(2).normal(size=(4, D))
    visited = np.random.default_rng(3).integers(0, 4, (12, 2))
    state = bonus.init(jax.random.key(0), steps_of(places[visited]))
    steps = steps_of(places[visited] + 1e-6)
    after, raw = jax.jit(lambda s: score_rollout(jax.random.key(0), bonus, s, steps))(state)
    table = np.zeros(4)
    for t in range(12):
        table += np.bincount(visited[t], minlength=4)
        np.testing.assert_allclose(raw[t], table[visited[t]] ** -0.5, rtol=1e-6)
    assert sorted(after.life[after.life > 0].tolist()) == sorted(table[table > 0].astype(int).tolist())
    _, metrics = bonus.update(jax.random.key(0), after, Batch(steps, jnp.zeros((12, 2, 0))))
    assert metrics["table_load"] == pytest.approx(4 / 997)


def test_observations_far_from_the_origin_are_told_apart():
    """Without whitening all of them lie in one direction and share a code."""
    obs = 1000.0 + np.random.default_rng(4).normal(size=(8, 2, D))
    bonus = simhash(SimHashConfig(num_bits=24))
    state = bonus.init(jax.random.key(0), steps_of(obs))
    whitened = code_bits(state.learn, jnp.asarray(obs, jnp.float32)).reshape(-1, 24)
    assert len(np.unique(np.asarray(whitened), axis=0)) >= 14
    raw_codes = np.asarray(jnp.asarray(obs) @ state.learn.matrix > 0).reshape(-1, 24)
    assert len(np.unique(raw_codes, axis=0)) < 4


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_bits": 65}, "num_bits=65: expected a whole number from 1 to 64"),
        ({"table_size": 0}, "table_size=0: expected a whole number of at least 1"),
        ({"reward": "log"}, "reward='log': expected one of"),
    ],
)
def test_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        simhash(SimHashConfig(**settings))
