"""TopoNav: scores, the lower level and the growing map by hand, and the whole in small mazes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_envs import Corridor, CorridorParams

from purejaxexplore.algorithm import make_train
from purejaxexplore.archives import landmarks as graph
from purejaxexplore.envs.grids import RoomMaze
from purejaxexplore.go_explore.topological import Choice, Mind, Move, TopoNavConfig, learn_way, scores, survey, topo_nav
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit

SMALL = TopoNavConfig(capacity=6, rollout_length=8, spacing=1.5, reach=0.5, patience=6.0)
CORRIDOR = Corridor(6), CorridorParams(max_steps_in_episode=12, random_start=False)


add, connect, visit = (quick_jit(f) for f in (graph.add, graph.connect, graph.visit))
survey_step = quick_jit(survey, static_argnames="growing")


def place(observation):
    return observation[:1]


def mind_at(node, chart):
    zeros = jnp.zeros((4, 2, chart.nodes.capacity))
    return Mind(
        chart, graph.shortest(chart.cost), jnp.zeros(chart.cost.shape), zeros, jnp.zeros((4, 2), jnp.int32),
        jnp.int32(node), jnp.int32(2), jnp.int32(0),
        Choice(jnp.int32(node), jnp.int32(node), jnp.int32(0), jnp.float32(0), jnp.float32(1)),
    )  # fmt: skip


@pytest.fixture
def three():
    """Landmarks at (0, 0), (0, 4) and (9, 9) in four slots; a way of 5 steps between the first two."""
    chart = graph.init((), 4, 2)
    for where in ((0.0, 0.0), (0.0, 4.0), (9.0, 9.0)):
        chart, _ = add(chart, jnp.bool_(True), place=jnp.array(where))
    chart = connect(chart, 0, 1, jnp.float32(5.0), jnp.bool_(True))
    return visit(visit(visit(chart, 0, True), 0, True), 0, True)


def test_scores_by_hand(three):
    mind = mind_at(0, three)
    mind = mind._replace(high=mind.high.at[0, 1].set(0.3))
    config = TopoNavConfig(novelty_weight=2.0, distance_weight=0.1)
    np.testing.assert_allclose(scores(mind, config), [2 / 2, 0.3 + 2 - 0.5, -jnp.inf, -jnp.inf])
    given = scores(mind, config, growing=False)
    assert given[0] == -jnp.inf and given[1] > 0


def test_the_lower_level_by_hand():
    config = TopoNavConfig(learning_rate=0.5, gamma_low=0.9, step_cost=0.01, bump_cost=0.1)
    low = jnp.zeros((3, 2, 4)).at[1, :, 0].set(jnp.array([0.2, 0.6])).at[1, 0, 3].set(1.0)
    filled = jnp.array([True, True, True, False])
    move = Move(0, 1, 1, jnp.int32(2), jnp.bool_(False))
    learn = quick_jit(learn_way)
    after = np.asarray(learn(low, move, filled, config) - low)
    np.testing.assert_allclose(after[0, 1], [0.5 * (0.9 * 0.6 - 0.01), -0.005, 0.5 * 0.99, 0.0], rtol=1e-6)
    assert (after[[0, 1, 1, 2, 2], [0, 0, 1, 0, 1]] == 0).all()
    ended = learn(low, move._replace(terminated=jnp.bool_(True)), filled, config)
    np.testing.assert_allclose(ended[0, 1], [-0.005, -0.005, 0.495, 0.0], rtol=1e-6)
    bump = Move(1, 0, 1, jnp.int32(4), jnp.bool_(False))
    np.testing.assert_allclose(learn(low, bump, filled, config)[1, 0, 0], 0.2 + 0.5 * (-0.11 + 0.54 - 0.2))


def test_the_map_by_hand(three):
    config = TopoNavConfig(spacing=3.0, reach=1.0)
    here, no = mind_at(0, three), jnp.bool_(False)

    def step(mind, where, rewarded=no, config=config, growing=True):
        after, reached, added = survey_step(mind, jnp.array(where), rewarded, config, growing=growing)
        return after, int(reached), bool(added)

    after, reached, added = step(here, (0.0, 2.0))  # between the two: at neither
    assert (reached, added, int(after.node), int(after.away)) == (4, False, 0, 3)
    after, reached, added = step(here, (0.0, 3.0))  # at the second: the mean of 5 and 3 steps
    assert (reached, added, int(after.node), int(after.away)) == (1, False, 1, 0)
    assert after.map.cost[0, 1] == after.distance[1, 0] == 4 and after.map.nodes.seen[1] == 1
    after, reached, added = step(here, (5.0, 0.0))  # a new one, three steps after the first
    assert (reached, added, int(after.node)) == (3, True, 3)
    assert after.map.cost[0, 3] == 3 and after.distance[1, 3] == 8 and after.map.nodes.desc[3].tolist() == [5, 0]
    full, reached, added = step(after, (0.0, 20.0))  # no room
    assert (reached, added, int(full.node), int(full.map.nodes.overflow)) == (4, False, 3, 1)
    after, reached, added = step(here, (2.0, 0.0), jnp.bool_(True))  # near the first, but there was a reward
    assert (reached, added) == (3, True)
    # With a reach without limit one is at the nearest, also through a wall, and an edge comes about where no way is.
    after, reached, _ = step(here, (7.0, 9.0), config=config.replace(reach=jnp.inf))
    assert reached == 2 and after.map.cost[0, 2] == 3
    after, reached, added = step(here, (5.0, 0.0), growing=False)  # a chart does not grow
    assert (reached, added) == (4, False)
    after, reached, _ = step(here, (0.0, 4.0), growing=False)
    assert reached == 1 and after.map.cost[0, 1] == 5


@pytest.mark.slow
def test_contract():
    check_algorithm(topo_nav(*CORRIDOR, SMALL, describe=place), num_steps=2)


def test_a_corridor_is_mapped_and_then_walked():
    """Landmarks stand at 0, 2, 4 and at the reward; their edges cost about the steps between them."""
    state, metrics = quick_jit(make_train(topo_nav(*CORRIDOR, SMALL, describe=place), 80))(jax.random.key(0))
    chart = jax.tree.map(np.asarray, state.mind.map)
    places = chart.nodes.desc[chart.filled, 0]
    assert sorted(places.tolist()) == [0, 2, 4, 5]
    order = np.argsort(places)
    cost = chart.cost[:4, :4][order][:, order]
    assert np.isfinite(np.diag(cost, 1)).all() and np.isinf(cost[0, 2:]).all() and np.isinf(cost[1, 3])
    assert (np.diag(cost, 1) >= [2, 2, 1]).all()
    assert metrics["landmarks"][-1] == 4 and metrics["edges"][-1] == 3 and metrics["overflow"][-1] == 0
    assert metrics["success"][-1] == 1 and metrics["first_success"][-1] > 0 and metrics["coverage"][-1] == 1
    assert metrics["episode_length"][-1] < 12


@pytest.mark.slow
def test_rooms_of_a_maze_are_connected():
    env = RoomMaze(2, 3)
    config = TopoNavConfig(capacity=16, spacing=2.5, bonus=0.01)
    train = make_train(topo_nav(env, env.default_params, config), 80)
    state, metrics = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), 4))
    assert (metrics["first_success"][:, -1] > 0).all() and (metrics["coverage"][:, -1] > 0.9).all()
    for seed in range(4):
        chart = jax.tree.map(lambda x, seed=seed: np.asarray(x)[seed], state.mind.map)
        reached = np.isfinite(np.asarray(graph.shortest(chart.cost))[0]) & chart.filled
        assert reached.sum() == chart.filled.sum()
        assert set(np.asarray(env.room(*chart.nodes.desc[reached].T))) == {0, 1, 2, 3}


@pytest.mark.slow
def test_a_given_chart_stays_as_it_is():
    chart = graph.init((), 2, 1)
    for where in (1.0, 4.0):
        chart, _ = add(chart, jnp.bool_(True), place=jnp.array([where]))
    chart = connect(chart, 0, 1, jnp.float32(1.0), jnp.bool_(True))
    algorithm = topo_nav(*CORRIDOR, SMALL.replace(reach=jnp.inf), describe=place, chart=chart)
    state, metrics = quick_jit(make_train(algorithm, 30))(jax.random.key(0))
    assert (metrics["landmarks"] == 2).all() and jnp.array_equal(state.mind.map.cost, chart.cost)
    assert state.mind.choice.origin != state.mind.choice.target
    assert metrics["coverage"][-1] > 0.8


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"capacity": 0}, "capacity=0"),
        ({"learning_rate": 2.0}, "learning_rate=2.0"),
        ({"spacing": -1.0}, "spacing=-1.0"),
        ({"patience": 0.0}, "patience=0.0"),
        ({"num_replays": -1}, "num_replays=-1"),
    ],
)
def test_bad_settings_are_named(change, named):
    with pytest.raises(ValueError, match=named):
        topo_nav(*CORRIDOR, SMALL.replace(**change), describe=place)


def test_a_chart_needs_places():
    with pytest.raises(ValueError, match="chart: expected landmarks with places"):
        topo_nav(*CORRIDOR, SMALL, chart=graph.init((), 2))
