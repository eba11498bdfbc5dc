"""Policy-based Go-Explore: routes by hand, the world that leads along them, and the whole on a corridor."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import environment

from purejaxexplore.algorithm import make_train
from purejaxexplore.go_explore.policy_based import (
    PolicyGoExploreConfig,
    policy_go_explore,
    replace_routes,
    route_returns,
    temperature_of,
)
from purejaxexplore.go_explore.routes import FollowParams, FollowRoute, Route, extend, progress, start_route
from purejaxexplore.learners.losses import self_imitation_loss
from purejaxexplore.learners.ppo import PPOConfig
from purejaxexplore.testing import check_algorithm, check_environment
from tests.go_explore.test_explore import NoisyLine
from tests.toy_envs import Corridor, CorridorParams

LENGTH = 8
PPO = PPOConfig(
    learning_rate=0.05, gamma=0.9, num_envs=8, rollout_length=16, num_minibatches=2, num_epochs=2, network="table",
    entropy_coef=1e-3,
)  # fmt: skip
SMALL = PolicyGoExploreConfig(
    ppo=PPO, return_limit=6, explore_limit=8, patience=4, max_route=10, sil_batch=8, heat=0.1, goal_steps=2
)


def position(observation, state, params):
    return state.position[None]


def cell(observation, state, params):
    return state.position


@pytest.fixture(scope="module")
def line():
    return Corridor(LENGTH), CorridorParams(max_steps_in_episode=30, random_start=False)


def walk(route, steps):
    """The route after steps (cell, action, gain); what extend said of each."""
    dwell, said = jnp.int32(0), []
    for step in steps:
        route, dwell, new, lost = extend(route, dwell, *(jnp.asarray(x) for x in step))
        said.append((bool(new), bool(lost), int(dwell)))
    return route, said


def test_a_route_is_cut_where_it_meets_itself():
    steps = [(5, 1, 1.0), (5, 2, 0.5), (7, 3, 0.0), (9, 0, 2.0), (5, 1, 4.0), (6, 2, 0.25)]
    route, said = walk(start_route(jnp.int32(3), 4), steps)
    assert [new for new, _, _ in said] == [True, False, True, True, False, True]
    assert [dwell for *_, dwell in said] == [0, 1, 0, 0, 0, 0]
    n = int(route.length)
    assert route.cells[:n].tolist() == [3, 5, 6]
    assert route.actions[: n - 1].tolist() == [1, 2]  # 5 was left by action 3 first, then for good by action 2
    # 5 after one step; the second there and the loop over 7 and 9 do not count; 6 one step after the return to 5
    assert route.times[:n].tolist() == [0, 1, 2]
    assert route.gains[:n].tolist() == [0.0, 1.5, 0.25]  # the loop's rewards are gone with it


def test_a_full_route_takes_no_more_cells():
    route, said = walk(start_route(jnp.int32(0), 3), [(1, 0, 0.0), (2, 0, 0.0), (4, 0, 0.0), (1, 0, 0.0)])
    assert [lost for _, lost, _ in said] == [False, False, True, False]
    assert route.length == 2 and route.cells[:2].tolist() == [0, 1]


def test_any_of_the_next_sub_goals_counts_for_those_before():
    cells = jnp.array([4, 2, 7, 1, 9, 0], jnp.int16)

    def after(place, here, window=3, length=5):
        return int(progress(cells, jnp.int32(length), jnp.int32(place), jnp.int32(here), window))

    assert after(0, 4) == 1 and after(0, 7) == 3
    assert after(0, 1) == 0  # four away, the window is three
    assert after(1, 4) == 1  # it lies behind
    assert after(3, 9) == 5 and after(4, 0) == 4  # void beyond the length


def test_returns_of_a_route():
    route = Route(
        jnp.zeros(5, jnp.int16), jnp.zeros(5, jnp.uint8), jnp.array([0, 1, 4, 0, 0], jnp.int16),
        jnp.array([9.0, 0.5, 2.0, 7.0, 7.0]), jnp.int32(3),
    )  # fmt: skip
    last = 0.5**2 * (2.0 + 3.0)  # three steps to the last cell
    got = route_returns(route, 0.5, 3.0)
    np.testing.assert_allclose(got, [(0.5 + 1.0) + 0.5 * last, last, 0.0, 0.0, 0.0])


def test_temperature_rises_with_the_delay():
    late = SimpleNamespace(exploring=jnp.array([False, True, True]), excess=jnp.array([10, 10, 60]))
    np.testing.assert_allclose(temperature_of(late, 0.1, 50), [2.0, 1.0, 2.0])


def test_only_winners_replace_routes():
    routes = jax.tree.map(lambda x: jnp.stack([x] * 3), start_route(jnp.int32(0), 2))
    offered = jax.tree.map(lambda x: jnp.stack([x] * 4), start_route(jnp.int32(0), 2))
    offered = offered._replace(length=jnp.arange(10, 14))
    after = replace_routes(routes, jnp.array([2, 0, 2, 3]), jnp.array([True, True, False, False]), offered)
    assert after.length.tolist() == [11, 1, 10]


def test_self_imitation_is_of_what_went_better_than_expected():
    log_prob, values = jnp.array([-1.0, -2.0, -3.0, -4.0]), jnp.array([0.0, 1.0, 5.0, 0.0])
    returns, valid = jnp.array([2.0, 4.0, 1.0, 9.0]), jnp.array([True, True, True, False])

    def loss(values, coefs=(0.1, 0.01)):
        return self_imitation_loss(log_prob, values, returns, valid, *coefs)

    expected = 0.1 * (1.0 * 2.0 + 2.0 * 3.0) / 3 + 0.01 * 0.5 * (4.0 + 9.0) / 3
    np.testing.assert_allclose(loss(values), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(loss)(values), [-0.01 * 2 / 3, -0.01 * 3 / 3, 0, 0], rtol=1e-6)
    assert self_imitation_loss(log_prob, values, returns, jnp.zeros(4, bool), 0.1, 0.01) == 0.0


@pytest.fixture(scope="module")
def led(line):
    """The corridor with a known route to cell 3 (over 1 and 2, one step each): (world, its parameters)."""
    env, params = line
    world = FollowRoute(env, cell, position, 10, table=True)
    route = walk(start_route(jnp.int32(0), 10), [(1, 1, 0.0), (2, 1, 0.0), (3, 1, 0.0)])[0]
    routes = jax.tree.map(lambda x: jnp.zeros((LENGTH, *x.shape), x.dtype).at[3].set(x), route)
    known = jnp.arange(LENGTH) < 4
    positions = jnp.arange(LENGTH, dtype=jnp.float32)[:, None]
    rules = FollowParams(
        params, routes, positions, known, jnp.array([3]), random_share=0.0, return_limit=2, explore_limit=3,
        goal_steps=2, reach=2.0,
    )  # fmt: skip
    return world, rules


def test_the_led_world_keeps_the_environment_contract(led):
    world, rules = led
    check_environment(world, rules.replace(return_limit=1000, explore_limit=1000))


def test_an_episode_returns_then_explores_until_nothing_is_new(led):
    world, rules = led
    step = jax.jit(world.step_env)
    obs, state = world.reset_env(jax.random.key(0), rules)
    assert (state.place, state.exploring, state.goal[0]) == (1, False, 1.0)
    assert obs == 0 * 3 + 2  # in cell 0, the goal lies in the positive direction
    seen = []
    for i, action in enumerate([1, 0, 1, 1, 1, 0, 1, 1, 0, 0]):
        obs, state, reward, terminated, _ = step(jax.random.key(i), state, jnp.int32(action), rules)
        seen.append((int(state.cell), int(state.place), int(state.since), bool(world.is_truncated(state, rules))))
    assert seen == [
        (1, 2, 0, False), (0, 2, 1, False), (1, 2, 2, True),  # no sub-goal for two steps
        (2, 3, 0, False), (3, 4, 0, False),  # arrived: it explores
        (2, 4, 1, False), (3, 4, 2, False), (4, 4, 0, False),  # 4 is new
        (3, 4, 1, False), (2, 4, 2, False),
    ]  # fmt: skip
    assert state.exploring and abs(state.goal[0] - state.position[0]) <= 2.0 + 2
    assert state.route.cells[: state.route.length].tolist() == [0, 1, 2]


def test_a_return_is_late_by_more_than_its_route_took(led):
    world, rules = led
    state = world.reset_env(jax.random.key(0), rules)[1]
    assert state.excess == 0
    assert state._replace(since=jnp.int32(3)).excess == 2  # one step is what the route took
    assert state._replace(since=jnp.int32(3), place=jnp.int32(4)).excess == 3


@pytest.mark.slow
def test_contract(line):
    check_algorithm(policy_go_explore(*line, SMALL, position=position), num_steps=2)


@pytest.mark.slow
def test_it_learns_to_return_and_finds_the_end(line):
    algorithm = policy_go_explore(*line, SMALL, position=position)
    state, metrics = jax.jit(make_train(algorithm, 60))(jax.random.key(1))
    assert metrics["return_success"][-10:].mean() > 0.9
    assert metrics["found"][-1] == 1.0 and metrics["coverage"][-1] == 1.0
    assert metrics["cells"][-1] == LENGTH - 1  # the end of the corridor ends the episode: it is no cell
    assert metrics["env_steps"][-1] == 60 * 8 * 16 and metrics["overlong"][-1] == 0
    lengths = state.routes.length[: LENGTH - 1]
    assert lengths.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert (state.routes.actions[6, :6] == 1).all()
    assert (state.archive.tie[: LENGTH - 1] == jnp.arange(7)).all()


@pytest.mark.slow
def test_a_network_sees_the_way_to_the_goal(line):
    config = SMALL.replace(ppo=PPO.replace(network="mlp", hidden_sizes=(8,)), num_cells=LENGTH, max_route=3)
    algorithm = policy_go_explore(*line, config, position=position, cell=cell)
    state, metrics = jax.jit(make_train(algorithm, 3))(jax.random.key(1))
    assert state.lanes.obs.shape == (8, 3) and (jnp.abs(state.lanes.obs[:, 2]) <= 1).all()
    assert metrics["cells"][-1] == 3 and metrics["overlong"][-1] > 0  # routes of three cells, no more


@pytest.mark.parametrize(
    "change, message",
    [
        ({"random_share": 1.5}, "random_share=1.5: expected a number in"),
        ({"window": 0}, "window=0: expected a whole number of at least 1"),
        ({"max_route": 1}, "max_route=1: expected a whole number of at least 2"),
        ({"heat": -1.0}, "heat=-1.0: expected a number of at least 0"),
        ({"num_cells": 5}, "num_cells=5: expected 8 to 32767"),
        ({"num_cells": 40_000}, "num_cells=40000: expected 8 to 32767"),
        ({"sil_batch": -1}, "sil_batch=-1"),
        ({"ppo": PPO.replace(network="cnn")}, "network='cnn': expected 'mlp' or 'table'"),
        ({"ppo": PPO.replace(anneal_iterations=5.0)}, "anneal_iterations=5.0: expected 0"),
        ({"ppo": PPO.replace(bootstrap_truncation=False)}, "bootstrap_truncation=False: expected True"),
        ({"ppo": PPO.replace(gru_size=4)}, "gru_size=4: expected 0"),
    ],
)
def test_policy_based_refuses_a_bad_config(line, change, message):
    with pytest.raises(ValueError, match=message):
        policy_go_explore(*line, SMALL.replace(**change), position=position)


def test_policy_based_refuses_worlds_that_it_cannot_lead_through(line):
    with pytest.raises(TypeError, match="expected a gymnax environment"):
        policy_go_explore("KeyRooms", None, SMALL, position=position)
    with pytest.raises(ValueError, match="num_cells=None"):
        policy_go_explore(*line, SMALL, position=position, cell=cell)
    noisy = NoisyLine()
    with pytest.raises(TypeError, match="does not number its states: pass cell="):
        policy_go_explore(noisy, noisy.default_params, SMALL, position=position)
    with pytest.raises(TypeError, match="expected a Discrete space"):
        FollowRoute(noisy, cell, position, 5, table=False)

    class Unnumbered(environment.Environment):
        name = "Unnumbered"
        default_params = CorridorParams()
        action_space = Corridor.action_space

    with pytest.raises(TypeError, match="Unnumbered does not number its states: wrap it"):
        FollowRoute(Unnumbered(), cell, position, 5, table=True)
