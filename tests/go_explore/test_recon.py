"""RECON: the goal model's loss and pairs, the rules of exploration by hand, and the whole in a small maze."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.algorithm import make_train
from purejaxexplore.archives import landmarks as graph
from purejaxexplore.envs.control import LidarMaze, PointMaze
from purejaxexplore.envs.grids import RoomMaze
from purejaxexplore.go_explore.goal_models import (
    GoalModel,
    Pairs,
    Walks,
    bottleneck_loss,
    bumped,
    random_walks,
    sample_pairs,
    wander,
)
from purejaxexplore.go_explore.recon import (
    FRONTIER,
    GOAL,
    PROPOSALS,
    RETURN,
    ReconConfig,
    least_visited,
    localise,
    mode_of,
    pretrain,
    recon,
)
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit

SMALL = ReconConfig(
    latent_size=2, hidden_sizes=(16,), max_distance=6, horizon=3, capacity=4, memory=32, num_decisions=4, num_updates=2,
    batch_size=8,
)  # fmt: skip


class Straight:
    """Stands in for a network: ``apply(weights, x) = x @ weights``."""

    def __init__(self, num_outputs):
        self.num_outputs = num_outputs

    def apply(self, weights, x):
        return x @ weights


add, connect, visit = (quick_jit(f) for f in (graph.add, graph.connect, graph.visit))
locate = quick_jit(localise)


def test_the_loss_by_hand():
    """Observations and goals are numbers, z has one dimension, mean o_g - o_t and log std -5; the decoder is (z, z)."""
    model = GoalModel(Straight(2), Straight(2), 10)
    encoder = jnp.array([[0.0, -9.0], [0.0, -9.0], [1.0, 0.0]])  # of o_t, o_g and o_g - o_t
    params = {"encoder": encoder, "decoder": jnp.array([[1.0, 1.0], [0.0, 0.0]])}
    pairs = Pairs(
        observation=jnp.array([[1.0], [2.0], [7.0]]), goal=jnp.array([[1.5], [2.25], [7.0]]),
        action=jnp.array([[0.0], [5.0], [0.0]]), distance=jnp.array([3.0, 10.0, 1.0]),
        weight=jnp.array([1.0, 1.0, 0.0]), acts=jnp.array([1.0, 0.0, 0.0]),
    )  # fmt: skip
    loss, parts = bottleneck_loss(jax.random.key(0), model, params, pairs, 0.1, 4.0)
    # z = 0.5 and 0.25 up to noise of std exp(-5), decoded as 5 and 2.5 steps
    action, distance = 0.25, ((5 - 3) ** 2 + (2.5 - 10) ** 2) / 2
    divergence = np.mean([0.5 * (m**2 + np.exp(-10) - 1) + 5 for m in (0.5, 0.25)])
    np.testing.assert_allclose(parts, [action, distance, divergence], rtol=0.05)
    np.testing.assert_allclose(loss, 0.5 * action / 2 + 0.5 * 4 * distance / 100 + 0.1 * divergence, rtol=0.05)
    np.testing.assert_allclose(model.distance(params, pairs.observation, pairs.goal), [5, 2.5, 0], atol=1e-6)


def test_pairs_come_from_one_walk():
    """Observations tell walk and time: 100 w + t."""
    time = np.arange(12)
    observations = (100.0 * np.arange(3)[:, None] + time)[..., None]
    walks = Walks(
        jnp.asarray(observations), jnp.asarray(observations) / 10, jnp.asarray(np.tile(time >= 7, (3, 1)), jnp.int32),
        jnp.array([12, 12, 0]),
    )  # fmt: skip
    pairs = jax.tree.map(np.asarray, quick_jit(lambda key: sample_pairs(key, walks, 4000, 5, 0.25))(jax.random.key(0)))
    own = pairs.acts > 0
    np.testing.assert_array_equal((pairs.goal - pairs.observation)[own, 0], pairs.distance[own])
    assert set(pairs.distance[own]) == {1, 2, 3, 4, 5} and (pairs.observation[own, 0] < 200).all()
    start, end = pairs.observation[own, 0] % 100, pairs.goal[own, 0] % 100
    assert ((start >= 7) == (end >= 7)).all() and end.max() == 11 and start.min() == 0
    np.testing.assert_allclose(pairs.action, pairs.observation / 10)
    foreign = (pairs.weight > 0) & ~own
    assert (pairs.distance[foreign] == 5).all() and 0.1 < foreign.mean() < 0.25
    assert (pairs.weight[pairs.observation[:, 0] >= 200] == 0).all()  # nothing is there yet


def test_old_walks_are_walks(walks):
    _, _, old = walks
    assert old.observations.shape == (3, 40, 68) and old.actions.shape == (3, 40, 2)
    length = np.linalg.norm(old.actions, axis=-1)
    free = length > 0.999  # the others are slid along a wall, or stand
    assert 0.4 < free.mean() < 1 and length.max() < 1.001
    held = np.abs(np.diff(np.asarray(old.actions), axis=1)).sum(-1) < 1e-5
    assert 0.2 < held[free[:, :-1]].mean() < 0.8  # half of them are held, until a wall
    stuck = length[:, :-1] < 0.5
    assert stuck.any() and not held[stuck & (length[:, :-1] > 0)].any()
    assert (old.observations[..., :64] >= 0).all() and (old.observations[0] != old.observations[1]).any()


def test_headings_and_bumps():
    heading = jnp.array([0.6, -0.8])
    np.testing.assert_array_equal(wander(jax.random.key(0), heading, False), heading)
    fresh = jax.vmap(lambda key: wander(key, heading, True))(jax.random.split(jax.random.key(0), 500))
    np.testing.assert_allclose(np.linalg.norm(fresh, axis=-1), 1.0, rtol=1e-5)
    assert np.abs(fresh.mean(0)).max() < 0.15
    assert bumped(jnp.array([[0.0, 0.0], [0.3, 0.3], [0.4, -0.4], [1.0, 0.0]])).tolist() == [True, True, False, False]


def four(seen):
    chart = graph.init(jnp.zeros(1), 4)
    for number, visits in enumerate(seen):
        chart, _ = add(chart, jnp.bool_(True), jnp.array([float(number)]))
        for _ in range(visits):
            chart = visit(chart, number, True)
    for a, b, cost in ((0, 1, 5), (0, 2, 5), (1, 2, 5), (1, 2, 1)):
        chart = connect(chart, a, b, jnp.float32(cost), jnp.bool_(True))
    return chart


def test_the_least_visited_neighbour():
    chart = four([1, 7, 4, 0])
    assert [int(least_visited(chart, node)) for node in range(4)] == [2, 0, 0, 3]


def test_where_one_is():
    chart = four([1, 7, 4])
    distance = jnp.array([9.0, 3.0, 5.0, 0.0])  # the last slot is empty
    same, before, node, added = locate(chart, jnp.int32(0), distance, jnp.array([8.0]), 3.0)
    assert (before, node, added) == (0, 1, False) and same.filled.sum() == 3
    more, before, node, added = locate(chart, jnp.int32(0), distance, jnp.array([8.0]), 2.9)
    assert (before, node, added) == (0, 3, True) and more.nodes.payload[3, 0] == 8
    # A full graph: 1 and 2 have the cheapest edge, become 1, and 2 is the new one.
    full, before, node, added = locate(more, jnp.int32(2), distance.at[3].set(6.0), jnp.array([9.0]), 2.0)
    assert (before, node, added) == (1, 2, True) and full.nodes.payload[:, 0].tolist() == [0, 1, 9, 8]
    assert full.nodes.seen.tolist() == [1, 11, 0, 0]


def test_modes():
    config = SMALL.replace(near=4.0, frontier=3.0, patience=2.0)
    for to_goal, trusted, visits, beside, mode in (
        (3.9, 1, 9, 0, GOAL),
        (3.9, 2, 2, 0, FRONTIER),  # believed in vain
        (4.0, 0, 2, 0, FRONTIER),
        (4.0, 0, 3, 2, RETURN),
        (4.0, 0, 3, 3, FRONTIER),  # nothing around was visited less
    ):
        assert mode_of(jnp.float32(to_goal), trusted, visits, beside, config) == mode


@pytest.fixture(scope="module")
def walks():
    env = LidarMaze(3, loops=1, goal_distance=2)
    levels = jax.vmap(env.sample_params, (0, None))(jax.random.split(jax.random.key(0), 3), env.default_params)
    old = quick_jit(lambda key: random_walks(key, env, levels, 40, 0.5))(jax.random.key(1))
    return env, levels, old


@pytest.fixture(scope="module")
def learned(walks):
    env, levels, old = walks
    train = quick_jit(lambda key, n: pretrain(key, env, env.default_params, SMALL, old, 60), static_argnums=1)
    return env, old, *train(jax.random.key(2), 60)


@pytest.mark.slow
@pytest.mark.parametrize("proposal", PROPOSALS)
def test_contract(learned, proposal):
    env, old, params, _ = learned
    config = SMALL.replace(proposal=proposal)
    check_algorithm(recon(env, env.default_params, config, params=params, old=old), num_steps=2)


@pytest.mark.slow
def test_exploration_adds_up(learned):
    env, old, params, losses = learned
    assert all(np.isfinite(losses)) and losses.divergence > 0

    @quick_jit
    def run(limit, spacing):
        level, config = env.default_params.replace(max_steps_in_episode=limit), SMALL.replace(spacing=spacing)
        return make_train(recon(env, level, config, params=params, old=old), 4)(jax.random.key(0))

    state, metrics = run(7, SMALL.spacing)
    assert metrics["env_steps"].tolist() == [12, 24, 36, 48] and state.new.length == 32
    assert 1 <= metrics["landmarks"][-1] <= 4
    episodes = np.asarray(state.new.episodes[0])
    assert episodes[0] == 0 and (np.diff(episodes) >= 0).all() and episodes[-1] >= 4
    assert state.map.nodes.seen.sum() == 16 + (np.asarray(metrics["to_node"]) * 4).sum()  # headed for is visited
    length = np.linalg.norm(np.asarray(state.new.actions[0]), axis=-1)
    assert length.max() < 1.001 and (length > 0.999).mean() > 0.3  # as they came true
    tuned = jax.tree.map(lambda a, b: bool((a != b).any()), params, state.params)
    assert any(jax.tree.leaves(tuned))
    # Where everything is a new node: an edge for a walk, and none over the end of an episode in every decision.
    assert run(100, -1.0)[0].map.walks.sum() > 0 and run(2, -1.0)[0].map.walks.sum() == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"proposal": "priors"}, "proposal='priors'.*did you mean 'prior'"),
        ({"capacity": 0}, "capacity=0"),
        ({"beta": -1.0}, "beta=-1.0"),
        ({"negatives": 2.0}, "negatives=2.0"),
        ({"num_updates": -1}, "num_updates=-1"),
        ({"batch_size": 1}, "batch_size=1"),
    ],
)
def test_bad_settings_are_named(change, named):
    env = LidarMaze(3, loops=0, goal_distance=1)
    with pytest.raises(ValueError, match=named):
        recon(env, env.default_params, SMALL.replace(**change), params=None, old=None)


def test_worlds_that_do_not_suit():
    with pytest.raises(TypeError, match="goal_observation"):
        recon(PointMaze(3), PointMaze(3).default_params, SMALL, params=None, old=None)

    class Rooms(RoomMaze):
        def goal_observation(self, key, params):
            return jnp.zeros(2)

        def odometry(self, state):
            return jnp.zeros(2)

    with pytest.raises(ValueError, match="expected a Box of one axis"):
        recon(Rooms(2, 2), None, SMALL, params=None, old=None)
