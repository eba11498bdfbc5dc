"""Applications as worlds: what they share with all worlds, and curves that a hand can follow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.testing import check_policy

POLICIES = {
    "recommendation": lambda spec: b.lin_ucb(spec, b.LinUCBConfig()),
    "routing": lambda spec: b.comb_ucb1(spec, b.CombUCBConfig(), worlds.grid_paths(5, 5)),
    "dynamic_pricing": lambda spec: b.ucb_bwk(spec, b.KnapsackConfig(budget=300, horizon=2_000)),
}
CHEAP = ("clinical_trial", "hyperparameter_search")


@pytest.mark.parametrize(
    "name", [n if n in CHEAP else pytest.param(n, marks=pytest.mark.slow) for n in worlds.APPLICATIONS]
)
def test_every_application_is_a_world(name):
    world = worlds.application(name)
    make = POLICIES.get(name, lambda spec: b.epsilon_greedy(spec, b.EpsilonGreedyConfig(0.5)))
    check_policy(make(world.spec), world, num_pulls=4)
    assert worlds.APPLICATIONS[name].difficulty


def test_an_unknown_application_is_refused():
    with pytest.raises(ValueError, match="name='clinical_trail': expected one of .*clinical_trial"):
        worlds.application("clinical_trail")


def test_curves_fall_with_the_pulls_of_their_own_arm():
    world = worlds.learning_curves(3, sd=0.0)
    state = world.reset(jax.random.key(0))
    floor, height, rate = np.asarray(state.floor), np.asarray(state.height), np.asarray(state.rate)
    for r, action in [(1, 1), (2, 1), (3, 1)]:
        expected = 1 - floor[1] - height[1] * r ** -rate[1]
        before = np.asarray(world.means(state))
        state, feedback, regret = world.step(jnp.float32(0), state, jnp.int32(action))
        np.testing.assert_allclose(feedback.reward, expected, rtol=1e-6)
        np.testing.assert_allclose(regret, before.max() - before[1], atol=1e-6)
    np.testing.assert_allclose(np.asarray(world.means(state))[[0, 2]], (1 - floor - height)[[0, 2]], rtol=1e-6)


def test_a_negative_noise_is_refused():
    with pytest.raises(ValueError, match="sd"):
        worlds.learning_curves(3, sd=-1.0)
