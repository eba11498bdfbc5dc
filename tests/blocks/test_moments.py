"""Running moments against NumPy on everything at once, and the forward filter against a loop over time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purejaxexplore.blocks.moments import forward_filter, init_moments, merge_moments

_merge, _filter = jax.jit(merge_moments), jax.jit(forward_filter)


@given(seed=st.integers(0, 10_000), offset=st.sampled_from([0.0, -3.0, 1e4]))
def test_equals_numpy_on_the_concatenation(seed, offset):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(offset, 1.0, (5, n, 3)).astype(np.float32) for n in (2, 7, 2)]
    moments = init_moments((3,))
    for part in parts:
        moments = _merge(moments, jnp.asarray(part))
    everything = np.concatenate([part.reshape(-1, 3) for part in parts]).astype(np.float64)
    np.testing.assert_allclose(moments.count, len(everything), rtol=1e-5)
    np.testing.assert_allclose(moments.mean, everything.mean(0), rtol=1e-5, atol=1e-4)
    # The prior weighs 1e-4 samples at 0, which a mean of 1e4 turns into a variance of about 1e4 / count.
    prior = 1e-4 * (1 + everything.mean(0) ** 2) / len(everything)
    np.testing.assert_allclose(moments.variance, everything.var(0) + prior, rtol=2e-2)


def test_a_large_offset_does_not_cancel():
    # E[x^2] - E[x]^2 would be 0 or negative here: a float32 of 1e8 has a spacing of 8.
    x = 1e4 + np.random.default_rng(0).normal(0.0, 0.1, 4096).astype(np.float32)
    moments = init_moments()._replace(count=jnp.float32(0.0), m2=jnp.float32(0.0))
    for part in np.split(x, 8):
        moments = _merge(moments, jnp.asarray(part))
    np.testing.assert_allclose(moments.std, x.astype(np.float64).std(), rtol=1e-2)
    assert not np.isclose(np.mean(x * x) - np.mean(x) ** 2, x.astype(np.float64).var(), rtol=0.5)


def test_order_of_merging_does_not_matter():
    a, b = jax.random.normal(jax.random.key(0), (2, 64)) * 3 + 1
    one, other = (merge_moments(merge_moments(init_moments(), x), y) for x, y in [(a, b), (b, a)])
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_moments_of_nothing_are_standard_and_a_constant_stays_finite():
    moments = init_moments((2,))
    np.testing.assert_allclose(moments.mean, 0.0)
    np.testing.assert_allclose(moments.std, 1.0)
    assert np.isfinite(merge_moments(moments, jnp.full((9, 2), 5.0)).std).all()


def test_leading_axes_are_sample_axes_and_integers_are_cast():
    x = jnp.arange(24, dtype=jnp.int32).reshape(2, 3, 4)
    one, other = merge_moments(init_moments((4,)), x), merge_moments(init_moments((4,)), x.reshape(6, 4))
    np.testing.assert_array_equal(one.m2, other.m2)
    assert one.mean.dtype == jnp.float32


@given(seed=st.integers(0, 10_000), gamma=st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_forward_filter_equals_a_loop(seed, gamma):
    rng = np.random.default_rng(seed)
    carry, rewards = rng.normal(size=3).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)
    expected = np.zeros_like(rewards)
    running = carry
    for t in range(6):
        running = gamma * running + rewards[t]
        expected[t] = running
    last, filtered = _filter(carry, rewards, gamma)
    np.testing.assert_allclose(filtered, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(last, expected[-1], rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def long_rewards():
    """Rewards f32[1024, 32] around 1 with a spread between environments and over time."""
    rng = np.random.default_rng(1)
    return (rng.exponential(1.0, (1024, 1)) * rng.exponential(1.0, (1, 32))).astype(np.float32)


def test_the_filter_runs_over_time_not_over_environments(long_rewards):
    # A widely copied implementation lost a transpose and filters along the environments.
    _, over_time = _filter(jnp.zeros(32), long_rewards, 0.99)
    _, over_environments = _filter(jnp.zeros(1024), long_rewards.T, 0.99)
    by_hand = np.zeros(32)
    stds = []
    for row in long_rewards:
        by_hand = 0.99 * by_hand + row
        stds.append(by_hand)
    assert np.std(over_time) == pytest.approx(np.std(stds), rel=1e-4)
    assert abs(np.std(over_environments) / np.std(over_time) - 1) > 0.1


def test_the_filter_continues_over_rollouts(long_rewards):
    # Without its state stored between rollouts the filter discounts nothing and the scale is far too small.
    whole, filtered = _filter(jnp.zeros(32), long_rewards, 0.99)
    carry, parts = jnp.zeros(32), []
    for rollout in np.split(long_rewards, 128):
        carry, part = _filter(carry, rollout, 0.99)
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts), filtered, rtol=1e-4)
    np.testing.assert_allclose(carry, whole, rtol=1e-4)
    forgetful = np.concatenate([_filter(jnp.zeros(32), r, 0.99)[1] for r in np.split(long_rewards, 128)])
    assert np.std(filtered) > 5 * np.std(forgetful)
