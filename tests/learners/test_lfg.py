"""LFG by hand: components, clusters, votes and scores, and searches of a house."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from purejaxexplore import envs
from purejaxexplore.envs.grids.squares import distances
from purejaxexplore.learners.lfg import LFGConfig, ask, cluster, label, lfg, scores
from purejaxexplore.testing import check_algorithm

KEY = jax.random.key(0)
TINY = LFGConfig(num_clusters=4, replan=4, num_plans=3, num_episodes=2)


def no_advice(key, clusters, goal):
    return jnp.zeros(clusters.valid.shape), jnp.zeros(clusters.valid.shape)


def test_components_are_those_of_scipy():
    components = jax.jit(label)
    for seed in range(4):
        cells = np.random.default_rng(seed).random((9, 11)) < 0.45
        mine, known = np.asarray(components(jnp.asarray(cells))), ndimage.label(cells, np.ones((3, 3)))[0]
        assert (mine[~cells] == cells.size).all()
        for number in range(1, known.max() + 1):
            assert (mine[known == number] == np.flatnonzero(known == number).min()).all()


@pytest.fixture(scope="module")
def clusters():
    """Two clusters, of three and two cells, one cell that cannot be reached, and three things."""
    frontiers = np.zeros((6, 8), bool)
    frontiers[0, 0:3] = frontiers[4, 5:7] = frontiers[2, 7] = True
    away = np.arange(48).reshape(6, 8)
    away[2, 7] = 48
    things = np.full((6, 8), -1)
    things[1, 1], things[2, 2], things[5, 5] = 0, 2, 2
    return cluster(*map(jnp.asarray, (frontiers, away, things)), LFGConfig(num_clusters=3, near=1), 3)


def test_clusters_by_hand(clusters):
    assert clusters.valid.tolist() == [True, True, False]
    assert [np.argwhere(mask).tolist() for mask in clusters.mask] == [[[0, 0], [0, 1], [0, 2]], [[4, 5], [4, 6]], []]
    assert clusters.distance.tolist()[:2] == [0, 37]
    assert clusters.things.tolist()[:2] == [[1, 0, 0], [0, 0, 1]]


def test_scores_by_hand(clusters):
    config = LFGConfig(likely=50.0, unlikely=10.0, distance=2.0)
    pos, neg = jnp.array([0.2, 0.8, 0.0]), jnp.array([0.5, 0.1, 0.4])
    assert scores(pos, neg, clusters, config).tolist() == pytest.approx([5.0, -35.0, -np.inf])


def test_answers_follow_preferences():
    valid = jnp.array([True, True, False])
    shares = ask(KEY, jnp.log(jnp.array([0.75, 0.25, 9.0])), valid, 4000)
    np.testing.assert_allclose(shares, [0.75, 0.25, 0.0], atol=0.03)
    assert np.isfinite(ask(KEY, jnp.zeros(3), jnp.zeros(3, bool), 5)).all()


@pytest.fixture(scope="module")
def house():
    return envs.make("SemanticHouse", side=23, num_levels=2)


@pytest.mark.slow
def test_contract_of_lfg(house):
    check_algorithm(lfg(*house, no_advice, TINY), num_steps=1)


def test_perfect_advice_finds_the_thing_sooner_than_the_nearest_frontier(house):
    """An adviser who names the cluster from which the way to the thing is shortest, followed or not."""
    env, params = house

    def perfect(key, clusters, goal):
        house = jnp.argmax(params.goal == goal)
        thing = jnp.zeros(params.walls.shape[1:], bool).at[tuple(params.goal_place[house])].set(True)
        away = jnp.where(clusters.mask, distances(~params.walls[house], thing), 999).min((1, 2))
        return jnp.where(away == away.min(), 1.0, 0.0), jnp.zeros(away.shape)

    def search(likely):
        algorithm = lfg(env, params, perfect, LFGConfig(likely=likely, num_plans=60, num_episodes=8))
        return algorithm.step(KEY, algorithm.init(KEY))[1]

    found = jax.jit(jax.vmap(search))(jnp.array([0.0, 1000.0]))
    assert int(params.goal[0]) != int(params.goal[1])
    assert found["success"].tolist() == [1, 1]
    assert found["spl"][0] < found["spl"][1] <= 1 and found["spl"][1] > 0.8
    assert found["episode_length"][1] >= env.shortest_ways(params).min()


@pytest.mark.parametrize("change, message", [({"replan": 0}, "replan=0"), ({"likely": -1.0}, "likely=-1.0")])
def test_lfg_refuses(house, change, message):
    with pytest.raises(ValueError, match=message):
        lfg(*house, no_advice, TINY.replace(**change))


def test_lfg_needs_things(corridor):
    with pytest.raises(TypeError, match="expected a house with things in it, such as make"):
        lfg(*corridor, no_advice, TINY)
