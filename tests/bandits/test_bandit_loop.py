"""The loop of every bandit: contract, exact counts and regret, common random numbers, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.algorithm import make_train
from purejaxexplore.bandits import UCB1Config, bandit, ucb1
from purejaxexplore.envs.bandits import bernoulli, gaussian, shuffled
from purejaxexplore.testing import check_algorithm, check_policy

WORLD = bernoulli((0.7, 0.5, 0.2))
POLICY = ucb1(WORLD.spec, UCB1Config())


def test_contract():
    check_algorithm(bandit(POLICY, WORLD, pulls=3))
    check_policy(POLICY, WORLD)


def test_counts_and_regret_are_those_of_a_loop_by_hand():
    algorithm = bandit(POLICY, WORLD, pulls=40)
    state, metrics = jax.jit(make_train(algorithm, 2))(jax.random.key(3))
    counts = np.asarray(state.counts)
    assert counts.sum() == 80 == metrics["env_steps"][-1]
    np.testing.assert_allclose(metrics["regret"][-1], counts @ np.array([0.0, 0.2, 0.5]), rtol=1e-6)
    np.testing.assert_allclose(metrics["best_fraction"][-1], counts[0] / 80)
    np.testing.assert_allclose(metrics["min_fraction"][-1], 3 * counts.min() / 80)
    np.testing.assert_array_equal(state.policy.n, counts)
    np.testing.assert_allclose(state.policy.total.value.sum(), 80 * metrics["reward"][-1], rtol=1e-5)
    assert state.invalid == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bernoulli((0.5,)), "at least 2 arms"),
        (lambda: bernoulli((0.5, 1.5)), r"means=.*in \[0, 1\]"),
        (lambda: bernoulli((0.5, float("nan"))), "finite"),
        (lambda: gaussian((0.5, float("inf"))), "finite"),
        (lambda: gaussian((0.5, 0.1), sd=-1.0), "sd=-1.0"),
        (lambda: bernoulli((0.5, 0.1), feedback="some"), "feedback='some'"),
        (lambda: bernoulli((0.5, 0.1), feedback=np.zeros((2, 2), bool)), "shown by no arm"),
        (lambda: bernoulli((0.5, 0.1), feedback=np.ones((3, 2), bool)), r"expected bool of \(2, 2\)"),
        (lambda: bernoulli((0.5, 0.1), feedback="semi", num_chosen=3), "num_chosen=3"),
        (lambda: bandit(POLICY, WORLD, pulls=0), "pulls=0"),
        (lambda: bandit(POLICY, bernoulli((0.5, 0.1))), "num_arms=3 of the policy: expected 2"),
        (lambda: bandit(POLICY, bernoulli((0.7, 0.5, 0.2), feedback="full")), "feedback='bandit' of the policy"),
        (lambda: ucb1(WORLD.spec, UCB1Config(alpha=-1.0)), "alpha=-1.0"),
    ],
)
def test_bad_input_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ucb1(WORLD, UCB1Config()), "world.spec"),
        (lambda: bandit(ucb1, WORLD), "call the factory first"),
        (lambda: bandit(POLICY, bernoulli), "expected a World"),
    ],
)
def test_wrong_types_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_instances_and_settings_may_be_traced():
    """One program for a grid of instances and settings gives what a program for each gives."""

    def run(means, alpha):
        world = bernoulli(means)
        algorithm = bandit(ucb1(world.spec, UCB1Config(alpha)), world, pulls=30)
        return make_train(algorithm, 1)(jax.random.key(7))[0].counts

    means, alpha = jnp.array([[0.7, 0.5, 0.2], [0.1, 0.2, 0.9]]), jnp.array([0.5, 2.0])
    grid = jax.jit(jax.vmap(jax.vmap(run, (None, 0)), (0, None)))(means, alpha)
    assert grid.shape == (2, 2, 3)
    np.testing.assert_array_equal(grid[1, 0], jax.jit(run)(means[1], 0.5))


def test_two_policies_meet_the_same_noise():
    """Common random numbers: where both play arm 0 at the same pull, they earn the same."""
    world = bernoulli((0.5, 0.5, 0.5))
    first, second = (bandit(ucb1(world.spec, UCB1Config(alpha)), world) for alpha in (0.1, 5.0))
    runs = [jax.jit(make_train(algorithm, 40))(jax.random.key(1))[1] for algorithm in (first, second)]
    total = [np.asarray(run["reward"]) * np.arange(1, 41) for run in runs]
    np.testing.assert_allclose(np.diff(total[0]), np.diff(total[1]), atol=1e-4)


def test_shuffling_moves_arms_and_keeps_them():
    draw = shuffled((0.1, 0.2, 0.3, 0.4))
    drawn = jax.vmap(draw)(jax.random.split(jax.random.key(0), 50))
    np.testing.assert_allclose(jnp.sort(drawn, axis=1), np.tile([0.1, 0.2, 0.3, 0.4], (50, 1)))
    assert len(np.unique(np.asarray(drawn), axis=0)) > 12
