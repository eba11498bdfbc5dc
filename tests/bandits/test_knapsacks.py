"""Bandits with knapsacks: mixtures against a linear programme, the world's end, contracts, and what policies earn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from purejaxexplore import bandits as b
from purejaxexplore import make_train
from purejaxexplore.bandits.knapsacks import bernstein_bound
from purejaxexplore.blocks.arms import new_arms, see
from purejaxexplore.blocks.mixtures import best_mixture
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.testing import check_algorithm, check_policy

PRICES = np.linspace(0.1, 1.0, 6)
T, B = 2000, 500
WORLD = worlds.pricing(PRICES, 1 - PRICES, budget=B, horizon=T)
CONFIG = b.KnapsackConfig(T, B)


@pytest.mark.parametrize("make", [b.ucb_bwk, b.lagrange_bwk])
def test_no_policy_uses_what_it_has_not_seen(make):
    check_policy(make(WORLD.spec, CONFIG), WORLD, num_pulls=10)


@pytest.mark.slow
def test_contract():
    world = worlds.pricing(PRICES, 1 - PRICES, budget=2, horizon=9)
    check_algorithm(b.bandit(b.lagrange_bwk(world.spec, b.KnapsackConfig(9, 2)), world, pulls=5), num_steps=2)


def test_mixtures_are_those_of_a_linear_programme():
    rng, solve = np.random.default_rng(0), jax.jit(best_mixture)
    for _ in range(20):
        reward, cost, limit = rng.random(5), rng.random(5), 0.05 + 0.6 * rng.random()
        exact = linprog(-reward, A_ub=[cost, np.ones(5)], b_ub=[limit, 1.0])
        found = solve(jnp.array(reward), jnp.array(cost), limit)
        assert float(found.value) == pytest.approx(-exact.fun, abs=1e-5)
        prob = np.asarray(found.prob, float)
        assert prob.min() >= -1e-6 and prob.sum() <= 1 + 1e-5 and cost @ prob <= limit + 1e-5
        assert reward @ prob == pytest.approx(-exact.fun, abs=1e-5)


def test_bounds_by_hand():
    arms = see(see(new_arms(2), jnp.array([True, False]), jnp.ones(2)), jnp.array([True, False]), jnp.zeros(2))
    np.testing.assert_allclose(bernstein_bound(arms, 0.1, 1.0), [0.5 + np.sqrt(0.025) + 0.05, 0.1], rtol=1e-5)
    np.testing.assert_allclose(bernstein_bound(arms, 0.1, -1.0), [0.5 - np.sqrt(0.025) - 0.05, 0.0], rtol=1e-5)


def test_the_world_ends_with_its_budget_and_counts_what_was_missed():
    world = worlds.pricing([0.5, 1.0], [1.0, 0.5], budget=2, horizon=10)
    rate = 0.2  # two sales in ten rounds: both at 1, in every fifth round
    state, done = world.reset(jax.random.key(0)), []
    for uniform in (0.9, 0.1):
        state, feedback, regret = world.step(jnp.float32(uniform), state, jnp.int32(0))
        done.append(bool(feedback.done))
    assert done == [False, True] and float(state.left) == 0
    assert float(regret) == pytest.approx(rate - 0.5 + 8 * rate, abs=1e-5)
    _, feedback, regret = world.step(jnp.float32(0.9), world.reset(None), jnp.int32(1))
    assert (
        float(feedback.reward) == 0
        and float(feedback.cost[0]) == 0
        and float(regret) == pytest.approx(rate - 0.5)
    )
    _, feedback, _ = world.step(jnp.float32(0.9), world.reset(None)._replace(t=jnp.int32(9)), jnp.int32(1))
    assert bool(feedback.done)


@pytest.fixture(scope="module")
def earned():
    """Total reward of 10 seeds as a share of the linear programme's value."""
    keys = jax.random.split(jax.random.key(0), 10)
    value = T * float(best_mixture(jnp.array(PRICES * (1 - PRICES)), jnp.array(1 - PRICES), B / T).value)

    def total(policy):
        metrics = jax.jit(jax.vmap(make_train(b.bandit(policy, WORLD, pulls=T), 1)))(keys)[1]
        return float((metrics["reward"] * metrics["env_steps"]).mean()) / value

    ucb1 = b.ucb1(WORLD.spec, b.UCB1Config(0.5))
    return {
        "ucb_bwk": total(b.ucb_bwk(WORLD.spec, CONFIG)),
        "lagrange_bwk": total(b.lagrange_bwk(WORLD.spec, b.KnapsackConfig(T, B, rate=4.0))),
        "blind": total(ucb1),
    }


@pytest.mark.slow
def test_policies_that_know_the_budget_earn_more(earned):
    assert earned["ucb_bwk"] > 0.8 and earned["ucb_bwk"] > earned["lagrange_bwk"] > earned["blind"]


def test_bad_input_is_refused():
    plain = worlds.bernoulli((0.1, 0.2)).spec
    for message, make in {
        "num_resources=0": lambda: b.ucb_bwk(plain, CONFIG),
        "horizon=3": lambda: b.ucb_bwk(WORLD.spec, b.KnapsackConfig(3, 2)),
        "budget=0.0": lambda: b.lagrange_bwk(WORLD.spec, b.KnapsackConfig(T, 0.0)),
        "rate=-1.0": lambda: b.lagrange_bwk(WORLD.spec, b.KnapsackConfig(T, B, rate=-1.0)),
        "slack=1.0": lambda: b.ucb_bwk(WORLD.spec, b.KnapsackConfig(T, B, slack=1.0)),
        "prices=": lambda: worlds.pricing([0.5, 2.0], [0.5, 0.5], budget=2, horizon=9),
        "budget=0": lambda: worlds.pricing([0.5, 1.0], [0.5, 0.5], budget=0, horizon=9),
        "horizon=0": lambda: worlds.pricing([0.5, 1.0], [0.5, 0.5], budget=2, horizon=0),
        "expected .K,. twice": lambda: worlds.pricing([0.5, 1.0], [0.5], budget=2, horizon=9),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
