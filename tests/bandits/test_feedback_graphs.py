"""Feedback graphs: worlds, greedy sets, one pull by hand, contracts, and which graphs are refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore import make_train
from purejaxexplore.bandits.exponential import LossState
from purejaxexplore.bandits.feedback_graphs import (
    covering_arms,
    exploration_set,
    independence_number,
    strongly_observable,
)
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.world import Feedback, Observation
from purejaxexplore.testing import check_algorithm, check_policy

T = 60
STAR = worlds.star_graph(4)
POLICIES = {"exp3_set": b.exp3_set, "exp3_g": b.exp3_g, "exp3_ex": b.exp3_ex}
GRAPHS = {
    "star": STAR,
    "two groups that do not meet": worlds.clique_graph(2, 2),
    "random": worlds.random_graph(4, 0.3, seed=1),
}
# Arms 0 and 1 show each other, 1 shows 2, and nobody shows itself: weakly observable.
CHAIN = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0]], bool)


def world_of(graph):
    return worlds.bernoulli(np.linspace(0.2, 0.8, len(graph)), feedback=graph)


@pytest.mark.parametrize(
    ("name", "graph"),
    [("exp3_set", "star"), ("exp3_g", "random"), ("exp3_ex", "two groups that do not meet")],
)
def test_no_policy_uses_what_it_has_not_seen(name, graph):
    world = world_of(GRAPHS[graph])
    check_policy(POLICIES[name](world.spec, GRAPHS[graph], b.FeedbackGraphConfig(T)), world, num_pulls=8)


def test_contract_without_loops():
    world = world_of(CHAIN)
    check_algorithm(
        b.bandit(b.exp3_g(world.spec, CHAIN, b.FeedbackGraphConfig(T)), world, pulls=2), num_steps=2
    )


def exact_independence(graph):
    n = len(graph)
    for size in range(n, 0, -1):
        for arms in itertools.combinations(range(n), size):
            if not any(graph[i, j] or graph[j, i] for i, j in itertools.combinations(arms, 2)):
                return size
    return 0


def test_greedy_numbers_of_small_graphs():
    for seed in range(12):
        graph = worlds.random_graph(8, 0.25, seed=seed)
        exact, found = exact_independence(graph), independence_number(graph)
        assert exact - 1 <= found <= exact
        arms = covering_arms(graph, np.ones(8, bool))
        assert graph[list(arms)].any(0).all() and len(set(arms)) == len(arms)
    assert independence_number(worlds.clique_graph(3, 4)) == 3
    assert independence_number(STAR) == 3
    assert independence_number(STAR, np.array([True, True, False, False])) == 2
    assert covering_arms(STAR, np.ones(4, bool)) == (3,)
    np.testing.assert_array_equal(strongly_observable(CHAIN), [False, False, False])
    np.testing.assert_array_equal(strongly_observable(~np.eye(3, dtype=bool)), [True] * 3)


def test_exploration_pays_only_where_the_horizon_is_short():
    """alpha = 400: the revealer at T = 2,000 and nothing at T = 10^9; a clique never needs it."""
    star = worlds.star_graph(401)
    assert exploration_set(star, 2000) == ((400,), 0)
    assert exploration_set(star, 10**9) == ((), 400)
    assert exploration_set(worlds.clique_graph(1, 5), 100) == ((), 1)


def shown(graph, action, value):
    seen = jnp.asarray(graph)[action]
    return Feedback(jnp.where(seen, value, jnp.nan), seen, value[action], jnp.zeros(0), jnp.bool_(False))


def test_one_pull_by_hand():
    world = world_of(STAR)
    observation = Observation(jnp.zeros((4, 0)), jnp.ones(4, bool), jnp.int32(0))
    value = jnp.array([0.25, 1.0, 0.5, 0.0])
    losses = np.array([0.0, 3.0, 1.0, 2.0])
    eta = {
        "exp3_set": np.sqrt(2 * np.log(4) / (3 * T)),
        "exp3_g": 2 / np.sqrt(3 * T),
        "exp3_ex": np.sqrt(2 * np.log(4) / (3 * T)),
    }
    for name, make in POLICIES.items():
        policy = make(world.spec, STAR, b.FeedbackGraphConfig(T))
        weight = np.exp(-eta[name] * losses)
        expected = weight / weight.sum()
        if name == "exp3_g":
            gamma = 1 / np.sqrt(3 * T)
            expected = (1 - gamma) * expected + gamma / 4
        action, aux = policy.act(jnp.float32(0.999), LossState(jnp.array(losses)), observation)
        np.testing.assert_allclose(aux.prob, expected, rtol=1e-5)
        state = policy.update(LossState(jnp.array(losses)), observation, action, shown(STAR, 3, value), aux)
        chance = expected + expected[3] * (np.arange(4) < 3)
        after = losses + (1 - np.asarray(value)) / chance
        np.testing.assert_allclose(state.losses, after - after.min(), rtol=1e-5)


def test_where_all_is_shown_it_is_hedge():
    """EXP3-EX on a clique and Hedge at the same learning rate choose the same arms."""
    graph = worlds.clique_graph(1, 3)
    shown_all, full = (worlds.bernoulli((0.2, 0.5, 0.8), feedback=kind) for kind in (graph, "full"))
    ours = b.exp3_ex(shown_all.spec, graph, b.FeedbackGraphConfig(T))
    hedge = b.hedge(full.spec, b.ExponentialConfig(T, rate_factor=0.5))
    first, second = (
        jax.jit(make_train(b.bandit(policy, world, pulls=T), 1))(jax.random.key(2))[0].counts
        for policy, world in ((ours, shown_all), (hedge, full))
    )
    np.testing.assert_array_equal(first, second)


def test_weakly_observable_graphs_are_explored_by_the_arms_that_show_them():
    world = world_of(CHAIN)
    policy = b.exp3_g(world.spec, CHAIN, b.FeedbackGraphConfig(4000))
    observation = Observation(jnp.zeros((3, 0)), jnp.ones(3, bool), jnp.int32(0))
    prob = policy.act(jnp.float32(0.5), LossState(jnp.array([0.0, 1e6, 1e6])), observation)[1].prob
    gamma = (2 * np.log(3) / 4000) ** (1 / 3)
    np.testing.assert_allclose(prob, [1 - gamma / 2, gamma / 2, 0.0], atol=1e-5)


def test_a_star_is_played_as_its_row_shows():
    world = worlds.revealing_star(4, gap=0.5)
    means = np.asarray(world.reset(jax.random.key(0)).means)
    assert sorted(means.tolist()) == [0.0, 0.5, 0.5, 1.0] and means[3] == 0.0
    _, feedback, regret = world.step(
        world.noise(jax.random.key(1), 1)[0], world.reset(jax.random.key(0)), jnp.int32(3)
    )
    assert feedback.seen.all() and float(regret) == 1.0
    _, feedback, _ = world.step(
        world.noise(jax.random.key(1), 1)[0], world.reset(jax.random.key(0)), jnp.int32(1)
    )
    np.testing.assert_array_equal(feedback.seen, [False, True, False, False])


@pytest.fixture(scope="module")
def regrets():
    """Mean regret of 10 seeds after 1,500 pulls of a star of 101 arms."""
    world, horizon = worlds.revealing_star(101, gap=0.4), 1500
    keys = jax.random.split(jax.random.key(0), 10)

    def final(make):
        policy = make(world.spec, worlds.star_graph(101), b.FeedbackGraphConfig(horizon))
        return jax.jit(jax.vmap(make_train(b.bandit(policy, world, pulls=horizon), 1)))(keys)[1][
            "regret"
        ].mean()

    return {name: float(final(make)) for name, make in POLICIES.items()}


@pytest.mark.slow
def test_exploring_a_bad_arm_that_shows_all_pays_on_a_short_horizon(regrets):
    assert regrets["exp3_ex"] < 0.85 * min(regrets["exp3_g"], regrets["exp3_set"])


def test_bad_input_is_refused():
    spec, config = world_of(STAR).spec, b.FeedbackGraphConfig(T)
    blind = STAR.copy()
    blind[:, 0] = False
    loopless = np.ones((4, 4), bool)
    loopless[2, 2] = False
    for message, make in {
        r"arms \[0\] are shown by no arm": lambda: b.exp3_g(spec, blind, config),
        r"arms \[2\] do not show themselves": lambda: b.exp3_ex(spec, loopless, config),
        "which exp3_set needs": lambda: b.exp3_set(spec, loopless, config),
        r"expected bool of \(4, 4\)": lambda: b.exp3_set(spec, STAR[:3, :3], config),
        "float64 of shape": lambda: b.exp3_set(spec, STAR.astype(float), config),
        "feedback='bandit'": lambda: b.exp3_ex(worlds.bernoulli((0.1,) * 4).spec, STAR, config),
        "horizon=3": lambda: b.exp3_ex(spec, STAR, b.FeedbackGraphConfig(3)),
        "rate_factor=-1.0": lambda: b.exp3_g(spec, STAR, b.FeedbackGraphConfig(T, rate_factor=-1.0)),
        "gap=0.7": lambda: worlds.revealing_star(4, gap=0.7),
        "num_arms=1": lambda: worlds.star_graph(1),
        "size=0": lambda: worlds.clique_graph(2, 0),
        "chance=2.0": lambda: worlds.random_graph(3, 2.0),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
