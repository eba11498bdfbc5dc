"""Weighted tallying bandits: tallies by hand, when repeating is optimal, and elimination with a burn-in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore import make_train
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.tallying import repeating_is_optimal
from purejaxexplore.testing import check_algorithm, check_policy

T = 3000


def policy_for(world, **settings):
    return b.repeated_exposure(world.spec, b.RepeatedExposureConfig(T, **settings))


def test_contracts():
    world = worlds.improves_with_exposure(3, 4)
    policy = policy_for(world, memory=4, first_stage=2)
    check_policy(policy, world)
    check_algorithm(b.bandit(policy, world, pulls=3), num_steps=3)


def test_tallies_and_regret_by_hand():
    weights = np.array([0.5, 0.3, 0.2])
    world = worlds.tallying(lambda y: jnp.array([1.0, 0.5]) * y, weights, num_arms=2, sd=0.0)
    played, state, step = [0, 0, 1, 0, 0, 0, 1], world.reset(jax.random.key(0)), jax.jit(world.step)
    for t, action in enumerate(played):
        state, feedback, regret = step(jnp.float32(0.0), state, jnp.int32(action))
        tally = sum(w for w, arm in zip(weights, played[t::-1], strict=False) if arm == action)
        loss = (1.0, 0.5)[action] * tally
        np.testing.assert_allclose(feedback.reward, 1 - loss, rtol=1e-6)
        np.testing.assert_allclose(regret, loss - 0.5 * weights[: t + 1].sum(), atol=1e-6)


def test_repeating_is_found_to_be_optimal_or_not():
    weights = (1 / 3, 1 / 3, 1 / 3)
    assert repeating_is_optimal(lambda y: np.array([0.9 - 0.7 * y[0], 0.35 + 0.15 * y[1]]), weights, 2, 40)
    assert not repeating_is_optimal(lambda y: y, weights, 2, 40)  # alternating is better


@pytest.fixture(scope="module")
def regrets():
    """Mean complete policy regret of 10 seeds after T pulls."""
    world = worlds.improves_with_exposure(5, 20)
    unit = worlds.rescaled(world, 0.0, 1.0, clip=True)
    policies = {
        "exposure": (policy_for(world), world),
        "no_burn_in": (policy_for(world, memory=0), world),
        "ucb1": (b.ucb1(unit.spec, b.UCB1Config(0.5)), unit),
    }
    keys = jax.random.split(jax.random.key(0), 10)

    def final(policy, world):
        return jax.jit(jax.vmap(make_train(b.bandit(policy, world, pulls=T), 1)))(keys)[1]["regret"][:, 0].mean()

    return {name: float(final(*pair)) for name, pair in policies.items()}


def test_the_burn_in_is_what_finds_the_arm_that_improves(regrets):
    assert regrets["exposure"] < 0.5 * regrets["ucb1"]
    assert regrets["no_burn_in"] > regrets["ucb1"]


def test_bad_input_is_refused():
    def flat(y):
        return 0.0 * y

    spec = worlds.bernoulli((0.1, 0.2)).spec
    for message, make in {
        "weights of shape": lambda: worlds.tallying(flat, [], num_arms=2),
        "weights": lambda: worlds.tallying(flat, [-1.0], num_arms=2),
        "losses of shape": lambda: worlds.tallying(lambda y: y.sum(), [1.0], num_arms=2),
        "memory": lambda: worlds.improves_with_exposure(3, 0),
        "horizon": lambda: b.repeated_exposure(spec, b.RepeatedExposureConfig(1)),
        "first_stage": lambda: b.repeated_exposure(spec, b.RepeatedExposureConfig(9, first_stage=0)),
        "at most 4 and 3": lambda: repeating_is_optimal(flat, (1.0,) * 5, 2, 3),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
