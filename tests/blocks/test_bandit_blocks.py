"""The numerical blocks of the bandits against float64 and exact values, at the accuracy that their docstrings state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from purejaxexplore.bandits.kl_ucb import beta_quantile
from purejaxexplore.bandits.policy import draw_arm, first_argmax
from purejaxexplore.bandits.tsallis_inf import tsallis_weights
from purejaxexplore.blocks import divergences
from purejaxexplore.blocks.arms import forget, new_arms, see
from purejaxexplore.blocks.betas import beta_log_odds, beta_sample
from purejaxexplore.blocks.gammas import gamma_fixed
from purejaxexplore.blocks.sums import add, zero_sum


def kl64(p, q):
    with np.errstate(all="ignore"):
        return np.where(p > 0, p * np.log(p / q), 0) + np.where(p < 1, (1 - p) * np.log((1 - p) / (1 - q)), 0)


def kl_upper64(p, d):
    """60 bisections."""
    low, high = p.copy(), np.ones_like(p)
    for _ in range(60):
        middle = (low + high) / 2
        below = kl64(p, middle) <= d
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def test_kl_upper_is_the_root_within_its_stated_error():
    p, d = np.meshgrid(np.linspace(0, 1, 201), np.geomspace(1e-5, 10, 200))
    found = np.asarray(jax.jit(divergences.kl_upper)(p, d))
    edge = np.clip(p, 1e-6, 1 - 1e-6)
    assert np.abs(found - kl_upper64(edge, d)).max() < 1.2e-5
    assert (found >= p - 1e-6).all() and (found <= 1).all()


def test_divergences():
    np.testing.assert_allclose(divergences.kl_bernoulli(0.3, 0.6), kl64(0.3, 0.6), rtol=1e-5)
    assert np.isfinite(divergences.kl_bernoulli(jnp.array([0.0, 1.0, 0.5]), jnp.array([1.0, 0.0, 1.0]))).all()
    np.testing.assert_allclose(divergences.kl_gaussian(1.0, 3.0, 2.0), 0.5)
    np.testing.assert_allclose(divergences.kl_exponential(2.0, 3.0), 2 / 3 - 1 - np.log(2 / 3), rtol=1e-5)
    np.testing.assert_allclose(divergences.kl_poisson(jnp.array([2.0, 0.0]), 3.0), [0.18907, 3], rtol=1e-4)


@pytest.mark.parametrize("tries", [2, 3])
def test_samples_of_fixed_work_have_their_distribution(tries):
    for a in (1.0, 40.0):
        sample = np.asarray(gamma_fixed(jax.random.key(1), jnp.full(100_000, a), tries))
        assert stats.kstest(sample, stats.gamma(a).cdf).statistic < 0.0062


def test_normals_become_beta_samples_as_the_quantile_function_says():
    shapes = [1.0, 1.05, 1.6, 2.0, 5.0, 40.0, 900.0, 1e4, 1e7]
    a, b = (x.reshape(-1, 1) for x in np.meshgrid(shapes, shapes))
    z = np.linspace(-5, 5, 201, dtype=np.float32)
    found = np.asarray(jax.jit(beta_log_odds)(*np.broadcast_arrays(z, *np.float32([a, b]))), np.float64)
    assert (np.diff(found, axis=1) > 0).all()
    below, above = special.betainc(a, b, special.expit(found)), special.betainc(b, a, special.expit(-found))
    assert np.abs(below - special.ndtr(z)).max() < 4e-4
    for tail in (3.7, 4.75):
        i = np.searchsorted(z, tail)
        assert np.abs(above[:, i] / special.ndtr(-z[i]) - 1).max() < 0.05
        assert np.abs(below[:, -1 - i] / special.ndtr(z[-1 - i]) - 1).max() < 0.05


def test_beta_samples_have_their_distribution():
    sample = np.asarray(beta_sample(jax.random.key(1), jnp.full(100_000, 3.0), jnp.full(100_000, 9.0)))
    assert stats.kstest(sample, stats.beta(3, 9).cdf).statistic < 0.0062


@pytest.mark.parametrize("t", [1, 10, 1000])
def test_tsallis_weights_solve_their_equation(t):
    losses = np.cumsum(np.random.default_rng(t).exponential(np.sqrt(t), (50, 8)), axis=1).astype(np.float32)
    eta = 2 / np.sqrt(t)
    weights = np.asarray(jax.vmap(tsallis_weights, (0, None))(losses, eta), np.float64)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    # 4 (eta (L - x))^-2 = w  <=>  L - 2 / (eta sqrt(w)) = x, the same for all arms
    level = losses - 2 / (eta * np.sqrt(weights))
    spread = np.abs(level - level.mean(1, keepdims=True)) / (1 + np.abs(losses))
    assert spread.max() < 2e-3


def test_the_quantile_of_the_beta_distribution():
    a, b = np.array([1.0, 3.0, 50.0]), np.array([1.0, 9.0, 20.0])
    np.testing.assert_allclose(beta_quantile(a, b, 0.9), stats.beta(a, b).ppf(0.9), atol=3e-6)


def test_first_argmax_orders_floats_of_either_sign_and_takes_the_first_of_equals():
    rng = np.random.default_rng(0)
    x = rng.choice([-np.inf, -2.5, -1e-30, -0.0, 0.0, 1e-30, 3.0, np.inf], (500, 7)).astype(np.float32)
    np.testing.assert_array_equal(jax.vmap(first_argmax)(x), x.argmax(1))
    x = rng.normal(size=(500, 20)).astype(np.float32)
    np.testing.assert_array_equal(jax.vmap(first_argmax)(x), x.argmax(1))


def test_drawn_arms_have_their_probabilities_and_never_probability_0():
    prob = jnp.array([0.0, 0.3, 0.0, 0.7, 0.0])
    uniform = jnp.concatenate([jnp.linspace(0, 1, 10_001)[:-1], jnp.array([1 - 2.0**-24])])
    arms = np.asarray(jax.vmap(draw_arm, (0, None))(uniform, prob))
    np.testing.assert_allclose(np.bincount(arms, minlength=5) / arms.size, prob, atol=2e-4)
    assert set(arms) == {1, 3}


def test_long_sums_stay_exact_where_naive_ones_do_not():
    """Ten million summands of 1.1: a float32 sum stops being right, the sum in two parts is right to 1 in 10^7."""

    def both(carry, _):
        total, naive = carry
        return (add(total, jnp.float32(1.1)), naive + jnp.float32(1.1)), None

    n = 10_000_000
    (total, naive), _ = jax.jit(lambda c: jax.lax.scan(both, c, length=n))((zero_sum(), jnp.float32(0)))
    exact = n * float(np.float32(1.1))
    assert abs(float(total.high) + float(total.low) - exact) < 1.0
    assert abs(float(naive) - exact) > 1e5


def test_moments_of_ten_million_pulls():
    """The running mean in float32 goes astray by several per cent; sums in two parts do not."""
    n, pattern = 10_000_000, jnp.array([1.0] * 9 + [0.0])

    def pull(carry, t):
        arms, mean = carry
        x = pattern[t % 10]
        arms = see(arms, jnp.array([True, False]), jnp.array([x, jnp.nan]))
        return (arms, mean + (x - mean) / (t + 1)), None

    start = new_arms(2, variance=True), jnp.float32(0)
    (arms, naive), _ = jax.jit(lambda c: jax.lax.scan(pull, c, jnp.arange(n)))(start)
    np.testing.assert_array_equal(arms.n, [n, 0])
    np.testing.assert_allclose(arms.mean, [0.9, 0.0], atol=1e-6)
    np.testing.assert_allclose(arms.variance, [0.09, 0.0], atol=1e-5)
    assert abs(float(naive) - 0.9) > 0.01


def test_arms_keep_the_moments_of_what_was_seen_and_forget_evenly():
    rng = np.random.default_rng(0)
    values, seen = rng.normal(5, 2, (40, 3)).astype(np.float32), rng.random((40, 3)) < 0.5
    arms, discounted = new_arms(3, variance=True), new_arms(3, discounted=True)
    for x, s in zip(values, seen, strict=True):
        shown = jnp.where(s, x, jnp.nan)
        arms, discounted = see(arms, s, shown), see(forget(discounted, 0.9), s, shown)
    for k in range(3):
        own = values[seen[:, k], k].astype(np.float64)
        assert arms.n[k] == own.size
        np.testing.assert_allclose([arms.mean[k], arms.variance[k]], [own.mean(), own.var()], rtol=1e-5)
        weight = 0.9 ** np.arange(39, -1, -1) * seen[:, k]
        np.testing.assert_allclose(discounted.n[k], weight.sum(), rtol=1e-5)
        np.testing.assert_allclose(discounted.mean[k], (weight * values[:, k]).sum() / weight.sum(), rtol=1e-5)
