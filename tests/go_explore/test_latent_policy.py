"""Latent Go-Explore that walks: sub-goals, hindsight and targets by hand, and the whole on a long corridor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import environment, spaces

from purejaxexplore.algorithm import make_train
from purejaxexplore.envs.control.point_maze import PointMaze
from purejaxexplore.go_explore.latent_goals import (
    Played,
    advance,
    goal_targets,
    hindsight,
    possible_actions,
    thin,
)
from purejaxexplore.go_explore.latent_policy import LatentPolicyConfig, latent_policy_go_explore
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit
from tests.toy_envs import Corridor

SMALL = LatentPolicyConfig(
    latent_size=4, hidden_sizes=(8,), window=3, future=4, episode_length=6, explore_steps=3, num_episodes=8,
    capacity=32, neighbours=3, num_lanes=3, num_rounds=2, num_q_updates=2, q_batch_size=8, num_updates=2, batch_size=8,
)  # fmt: skip


class Line(environment.Environment):
    """Forty cells in a row, of which the place is observed in units of a tenth; one step left, right or none."""

    num_states = 40
    default_params = environment.EnvParams(max_steps_in_episode=10_000)

    def reset_env(self, key, params):
        return jnp.zeros(1), (jnp.int32(0), jnp.int32(0))

    def step_env(self, key, state, action, params):
        place = jnp.clip(state[0] + action - 1, 0, 39)
        return 0.1 * place[None].astype(jnp.float32), (place, state[1] + 1), jnp.float32(0.0), jnp.bool_(False), {}

    def is_truncated(self, state, params):
        return jnp.bool_(False)

    def state_id(self, state, params):
        return state[0]

    def action_space(self, params):
        return spaces.Discrete(3)


def test_sub_goals_are_thinned_from_the_goal_backwards():
    latent = jnp.array([0.0, 0.5, 1.0, 1.25, 3.0, 9.0])[:, None]
    assert thin(latent, 4, 1.0).tolist() == [True, False, False, True, True, False]
    assert thin(latent, 0, 1.0).tolist() == [True] + [False] * 5
    assert thin(latent, 4, 0.0).tolist() == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("at", "place", "expected"),
    [(2.1, 0, 3), (3.0, 0, 0), (3.0, 1, 4), (4.0, 2, 2), (0.0, 2, 2), (1.5, 0, 0)],
)
def test_any_of_the_next_sub_goals_counts_for_all_before_it(at, place, expected):
    goals = jnp.arange(5.0)[:, None]  # of which four are sub-goals, and the next three count
    assert advance(jnp.array([at]), goals, 4, place, 0.4, 3) == expected


def test_targets_are_discounted_steps_to_the_goal():
    reached = jnp.array([True, True, False, False, False, False])
    failed = jnp.array([False, True, True, False, False, False])
    following = jnp.array([-3.0, -3.0, -3.0, -3.0, 7.0, -99.0])
    targets = goal_targets(reached, failed, following, 0.9)
    np.testing.assert_allclose(targets, [0.0, 0.0, -10.0, -1 - 0.9 * 3, -1.0, -10.0], rtol=1e-5)


def test_hindsight_takes_every_stored_step_alike_and_goals_from_its_future():
    episode, time = np.meshgrid(np.arange(4), np.arange(6), indexing="ij")
    observations = jnp.asarray(np.stack([episode, time], -1), jnp.float32)
    lengths = np.array([3, 0, 5, 2])
    played = Played(
        observations, jnp.asarray(time[:, :5]), -observations[:, :5], jnp.array([True, True, False, False]),
        jnp.asarray(lengths),
    )  # fmt: skip
    steps = jax.jit(hindsight, static_argnums=(2, 4))(jax.random.key(0), played, 20_000, 0.75, 2)
    before, after, goal = (np.asarray(x, int) for x in (steps.before, steps.after, steps.goal))
    counts = np.zeros((4, 5), int)
    np.add.at(counts, tuple(before.T), 1)
    assert (counts[np.arange(5) >= lengths[:, None]] == 0).all()
    np.testing.assert_allclose(counts[np.arange(5) < lengths[:, None]] / 20_000, 0.1, atol=0.01)
    assert (after == before + (0, 1)).all() and (np.asarray(steps.action) == before[:, 1]).all()
    virtual = goal[:, 1] > 0
    virtual |= (goal[:, 0] >= 0) & (before[:, 1] > 0) & (goal[:, 1] > 0)
    np.testing.assert_allclose(virtual.mean(), 0.75, atol=0.015)
    assert (goal[~virtual] == -before[~virtual]).all()
    ahead = goal[virtual, 1] - before[virtual, 1]
    assert (goal[virtual, 0] == before[virtual, 0]).all()
    assert ahead.min() == 1 and (ahead <= np.minimum(2, lengths[before[virtual, 0]] - before[virtual, 1])).all()
    assert (np.asarray(steps.failed) == (before == (0, 2)).all(1)).all()


def test_a_continuous_action_takes_three_values_a_component():
    assert possible_actions(spaces.Discrete(3)).tolist() == [0, 1, 2]
    moves = possible_actions(spaces.Box(-1.0, 3.0, (2,)))
    assert moves.shape == (9, 2) and sorted({*np.asarray(moves).ravel().tolist()}) == [-1.0, 1.0, 3.0]
    assert len({*map(tuple, moves.tolist())}) == 9
    with pytest.raises(ValueError, match="action space of 5 components: expected at most 4"):
        possible_actions(spaces.Box(-1.0, 1.0, (5,)))


@pytest.mark.slow
def test_contract_of_the_walking_form():
    env = Corridor(5)
    check_algorithm(latent_policy_go_explore(env, env.default_params, SMALL), num_steps=2)


@pytest.mark.slow
def test_contract_of_the_walking_form_with_continuous_actions_and_noise():
    env = PointMaze(size=4, noise_dims=1)
    config = SMALL.replace(module="forward")
    check_algorithm(latent_policy_go_explore(env, env.default_params, config), num_steps=2)


@pytest.mark.slow
def test_walking_to_rare_states_and_on_explores_further_than_never_arriving():
    """The mechanism, on a long line: with a policy that returns, episodes explore from ever farther on."""
    env = Line()
    config = LatentPolicyConfig(
        geometric=0.2, distance=0.1, action_repeat=0.5, learning_rate=3e-3, target_rate=0.05, latent_size=4,
        hidden_sizes=(32,), episode_length=60, explore_steps=10, num_episodes=256, capacity=256, neighbours=16,
        num_lanes=4, num_rounds=2, num_q_updates=100, q_batch_size=64, num_updates=0,
    )  # fmt: skip

    def final(epsilon, key):
        algorithm = latent_policy_go_explore(env, env.default_params, config.replace(epsilon=epsilon))
        metrics = make_train(algorithm, 15)(key)[1]
        return metrics["coverage"][-1], metrics["return_success"][-5:].mean()

    keys = jax.random.split(jax.random.key(0), 4)
    coverage, returned = quick_jit(jax.vmap(jax.vmap(final, (None, 0)), (0, None)))(jnp.array([0.1, 1.0]), keys)
    assert coverage[0].mean() > coverage[1].mean() + 0.15
    assert returned[0].mean() > returned[1].mean() + 0.25


@pytest.mark.parametrize(
    "change, message",
    [
        ({"module": "invers"}, "module='invers': expected one of inverse, forward, autoencoder; did you"),
        ({"gamma": 1.0}, r"gamma=1.0: expected a number in \[0, 1\)"),
        ({"epsilon": 1.5}, r"epsilon=1.5: expected a number in \[0, 1\]"),
        ({"distance": -1.0}, "distance=-1.0: expected a number of at least 0"),
        ({"explore_steps": 0}, "explore_steps=0: expected a whole number of at least 1"),
        ({"num_q_updates": -1}, "num_q_updates=-1: expected a whole number of at least 0"),
        ({"neighbours": 32}, "neighbours=32: expected fewer than capacity=32"),
        ({"num_episodes": 2}, "num_episodes=2: expected at least num_lanes=3"),
    ],
)
def test_the_walking_form_refuses_a_bad_config(change, message):
    with pytest.raises(ValueError, match=message):
        latent_policy_go_explore(Line(), Line.default_params, SMALL.replace(**change))


def test_the_walking_form_refuses_what_is_no_world():
    with pytest.raises(TypeError, match="env='PointMaze': expected a gymnax environment"):
        latent_policy_go_explore("PointMaze", None, SMALL)
