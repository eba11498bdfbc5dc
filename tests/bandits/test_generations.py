"""Generations of a bandit in production: contract, the refit by NumPy, memory and delay, arms that are missing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.testing import check_algorithm, check_policy

WORLD = worlds.logistic(3, 2)
RULE = b.inverse_gap_rule(50.0)


def run(config, num_steps, rule=RULE, world=WORLD):
    algorithm = b.generations(world, config, rule)
    state, step = algorithm.init(jax.random.key(0)), jax.jit(algorithm.step)
    states, metrics = [state], []
    for t in range(num_steps):
        state, measured = step(jax.random.key(t + 1), state)
        states.append(state)
        metrics.append(measured)
    return states, metrics


def test_contract():
    check_algorithm(b.generations(WORLD, b.GenerationsConfig(batch_size=8), RULE), num_steps=3)


def test_a_model_is_the_ridge_regression_of_its_memory():
    states, metrics = run(b.GenerationsConfig(batch_size=40, memory=2, delay=1, regularisation=0.5), 4)
    # The third model knows batch 1 (and an empty one), the fourth batches 1 and 2, the fifth 2 and 3: one is in delay.
    grams, moments = (np.asarray(x, np.float64) for x in (states[4].gram, states[4].moment))
    assert grams.shape == (3, 3, 3, 3)
    expected = [np.linalg.solve(grams[1:, a].sum(0) + 0.5 * np.eye(3), moments[1:, a].sum(0)) for a in range(3)]
    np.testing.assert_allclose(states[4].coef, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(states[4].gram[1], states[3].gram[0])
    np.testing.assert_allclose(grams[0, :, -1, -1].sum(), 40)  # the constant feature counts the pulls
    assert not np.any(states[1].coef), "with a delay of one the second generation knows nothing yet"
    assert np.any(states[2].coef)
    assert metrics[0]["env_steps"] == 40


def test_a_model_without_data_plays_uniformly_and_the_sample_size_is_whole():
    _, metrics = run(b.GenerationsConfig(batch_size=50), 1)
    np.testing.assert_allclose(metrics[0]["entropy"], np.log(3), rtol=1e-5)
    np.testing.assert_allclose(metrics[0]["effective_sample_size"], 1.0, rtol=1e-5)


def test_a_memory_makes_the_greedy_policy_better():
    short, long = (run(b.GenerationsConfig(batch_size=60, memory=m), 8, b.inverse_gap_rule(1e3))[1] for m in (1, 6))
    late = [np.mean([m["greedy_regret"] for m in metrics[4:]]) for metrics in (short, long)]
    assert late[1] < late[0]


def test_rules_are_probabilities_of_available_arms():
    mask, predicted = jnp.array([True, False, True]), jnp.array([0.2, 0.9, 0.5])
    np.testing.assert_allclose(b.epsilon_greedy_rule(0.2)(predicted, mask), [0.1, 0.0, 0.9], rtol=1e-6)
    np.testing.assert_allclose(b.inverse_gap_rule(10.0)(predicted, mask), [0.2, 0.0, 0.8], rtol=1e-6)


def test_missing_arms_are_not_played_and_the_regret_is_against_those_there():
    world = worlds.with_missing_arms(WORLD, 0.6)
    policy = b.square_cb(world.spec, b.SquareCBConfig(), b.ridge_regressor(world.spec))
    check_policy(policy, world, num_pulls=8)
    state = world.reset(jax.random.key(3))
    noises = world.noise(jax.random.key(4), 50)
    step = jax.jit(world.step)
    sizes = []
    for t in range(50):
        mask, means = np.asarray(world.observe(state).mask), np.asarray(world.means(state))
        sizes.append(mask.sum())
        worst = int(np.where(mask, means, np.inf).argmin())
        state, _, regret = step(jax.tree.map(lambda x, t=t: x[t], noises), state, jnp.int32(worst))
        np.testing.assert_allclose(regret, means[mask].max() - means[worst], atol=1e-6)
    assert min(sizes) == 1
    assert np.mean(sizes) < 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b.generations(WORLD, b.GenerationsConfig(memory=0), RULE), "memory=0"),
        (lambda: b.generations(WORLD, b.GenerationsConfig(delay=-1), RULE), "delay=-1"),
        (lambda: b.generations(worlds.linear(3, 2), b.GenerationsConfig(), RULE), "one context and bandit feedback"),
        (lambda: b.inverse_gap_rule(-1.0), "gamma=-1.0"),
        (lambda: worlds.with_missing_arms(WORLD, 1.0), "share=1.0"),
        (lambda: worlds.logistic(1, 2), "num_arms=1|at least 2"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
