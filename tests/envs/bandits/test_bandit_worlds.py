"""The bandit worlds: what changes when, what is seen, and against what the regret is measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.bandits import oracles
from purejaxexplore.envs.bandits import (
    adversary,
    bandit_bench,
    bernoulli,
    drifting,
    gaussian,
    piecewise,
    rescaled,
    sinusoidal,
    switching,
    trap,
)
from purejaxexplore.envs.bandits.world import Spec, require_spec

K = 3


def walk(world, actions, seed=0):
    """``(means [T, K], values [T, K], regret [T])`` of given actions."""

    def step(state, inputs):
        noise, action = inputs
        means = world.means(state)
        state, feedback, regret = world.step(noise, state, action)
        return state, (means, feedback.value, regret)

    @jax.jit
    def run(key, actions):
        key_reset, key_noise = jax.random.split(key)
        return jax.lax.scan(step, world.reset(key_reset), (world.noise(key_noise, len(actions)), actions))[1]

    return jax.tree.map(np.asarray, run(jax.random.key(seed), jnp.asarray(actions)))


def test_pieces_begin_where_they_should_and_the_last_goes_on():
    means, _, regret = walk(piecewise(K, 12, 3), np.zeros(20, np.int32))
    changed = np.flatnonzero((np.diff(means, axis=0) != 0).any(1)) + 1
    np.testing.assert_array_equal(changed, [3, 6, 9])
    np.testing.assert_allclose(regret, means.max(1) - means[:, 0], atol=1e-6)
    assert (np.diff(walk(piecewise(K, 12, 0), np.zeros(12, np.int32))[0], axis=0) == 0).all()


def test_drift_stays_in_its_range():
    means, _, regret = walk(drifting(K, sd=0.1, low=0.2, high=0.7), np.full(300, 1, np.int32))
    assert means.min() >= 0.2 and means.max() <= 0.7
    assert 0.05 < np.diff(means, axis=0).std() < 0.11
    assert (regret >= 0).all()


@pytest.mark.parametrize("make", [switching, sinusoidal, trap])
def test_regret_against_an_adversary_is_that_against_the_best_fixed_arm(make):
    horizon = 60
    actions = np.random.default_rng(0).integers(0, K, horizon).astype(np.int32)
    means, values, regret = walk(make(K, horizon), actions)
    assert means.min() >= -1e-6 and means.max() <= 1 + 1e-6
    np.testing.assert_allclose(values[np.arange(horizon), actions], means[np.arange(horizon), actions], atol=1e-6)
    best, total = oracles.best_fixed(means)
    np.testing.assert_allclose(regret.sum(), total - means[np.arange(horizon), actions].sum(), atol=1e-4)


def test_what_is_seen():
    graph = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1]], bool)
    _, values, _ = walk(bernoulli((0.0, 1.0, 1.0), feedback=graph), np.array([0, 1, 2], np.int32))
    np.testing.assert_array_equal(values, [[0, 1, np.nan], [np.nan, 1, np.nan], [0, 1, 1]])
    _, values, regret = walk(
        bernoulli((0.0, 1.0, 1.0), feedback="semi", num_chosen=2), np.array([[1, 1, 0], [0, 1, 1]], bool)
    )
    np.testing.assert_array_equal(values, [[0, 1, np.nan], [np.nan, 1, 1]])
    np.testing.assert_allclose(regret, [1, 0])
    _, values, _ = walk(bernoulli((0.0, 1.0, 1.0), feedback="full"), np.zeros(1, np.int32))
    np.testing.assert_array_equal(values, [[0, 1, 1]])


def test_noise_has_the_stated_spread_and_is_the_same_for_every_action():
    world = gaussian((1.0, -1.0), sd=2.0)
    first, second = (walk(world, np.full(4000, a, np.int32))[1][:, a] for a in (0, 1))
    assert np.std(first) == pytest.approx(2.0, rel=0.05) and np.mean(first) == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(first - second, 2.0, atol=1e-5)


def test_rescaling_maps_values_means_and_regret():
    world = rescaled(gaussian((1.0, -1.0), sd=0.5), -2.0, 2.0, clip=True)
    means, values, regret = walk(world, np.ones(50, np.int32))
    np.testing.assert_allclose(means[0], [0.75, 0.25])
    np.testing.assert_allclose(regret, 0.5)
    plain = walk(gaussian((1.0, -1.0), sd=0.5), np.ones(50, np.int32))[1]
    np.testing.assert_allclose(values[:, 1], np.clip((plain[:, 1] + 2) / 4, 0, 1), atol=1e-6)


def test_presets():
    for rewards, level, horizon in (("bernoulli", "easy", 300), ("gaussian", "hard", 1000)):
        world = bandit_bench(rewards, 5, level)
        assert world.spec.horizon == horizon and world.spec.num_arms == 5
    means = np.sort(bandit_bench("bernoulli", 5, "hard").reset(jax.random.key(0)).means)
    np.testing.assert_allclose(means, [0.4, 0.4, 0.4, 0.4, 0.6], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: piecewise(1, 10, 1), "num_arms=1"),
        (lambda: piecewise(3, 10, 10), "changes=10"),
        (lambda: piecewise(3, 10, 1, low=0.9, high=0.1), "low=0.9"),
        (lambda: drifting(3, sd=5.0), "sd=5.0"),
        (lambda: trap(3, 2), "horizon=2"),
        (lambda: switching(3, 50, gap=2.0), "gap=2.0"),
        (lambda: adversary(lambda t, i: jnp.zeros(1), 1, 10), "num_arms=1"),
        (lambda: bandit_bench("poisson", 5, "easy"), "rewards='poisson'"),
        (lambda: rescaled(gaussian((0.0, 1.0)), -1.0, 1.0), "values may leave"),
        (lambda: rescaled(bernoulli((0.0, 1.0)), 1.0, 1.0), "low < high"),
        (lambda: require_spec(Spec(1, "point", low=(0.0,), high=(0.0,))), "each above its low"),
        (lambda: require_spec(Spec(1, "point")), "points=0"),
        (lambda: require_spec(Spec(3, "jump")), "action='jump'"),
        (lambda: require_spec(Spec(3, value_range=(1.0, 0.0))), "low < high"),
    ],
)
def test_bad_worlds_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
