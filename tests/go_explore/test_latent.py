"""Latent Go-Explore: ranks, rarity and losses by hand, and the whole on small worlds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import environment, spaces

from purejaxexplore.algorithm import make_train
from purejaxexplore.blocks.knn import nearest
from purejaxexplore.envs.control.point_maze import PointMaze
from purejaxexplore.go_explore.latent import (
    LatentGoExploreConfig,
    Visit,
    geometric_ranks,
    latent_go_explore,
    module_loss,
    rarest_first,
    rarity,
)
from purejaxexplore.testing import check_algorithm
from tests.toy_envs import Corridor, CorridorParams

SMALL = LatentGoExploreConfig(
    latent_size=4, hidden_sizes=(8,), capacity=64, neighbours=3, num_lanes=4, horizon=5, num_rounds=2, num_updates=3,
    batch_size=8,
)  # fmt: skip


@pytest.mark.parametrize("p", [0.0, 1e-6, 0.05, 0.5])
def test_ranks_follow_the_truncated_geometric_law(p):
    uniform = (jnp.arange(40_000) + 0.5) / 40_000  # a law's every quantile: no noise
    ranks = np.asarray(geometric_ranks(uniform, p, jnp.int32(12)))
    law = (1 - p) ** np.arange(12)
    np.testing.assert_allclose(np.bincount(ranks, minlength=12) / 40_000, law / law.sum(), atol=2e-4)


def test_a_single_state_has_rank_0():
    assert geometric_ranks(jnp.array([0.0, 0.999]), 0.05, jnp.int32(1)).tolist() == [0, 0]


def test_rarest_come_first_and_equals_in_any_order():
    score = jnp.array([0.0, 2.0, -jnp.inf, 0.0, 3.0, 0.0])
    orders = {tuple(rarest_first(jax.random.key(i), score).tolist()) for i in range(40)}
    assert all(order[:2] == (4, 1) and order[5] == 2 for order in orders)
    assert {order[2] for order in orders} == {0, 3, 5}


def test_nearest_against_a_full_sort():
    rng = np.random.default_rng(0)
    ref, query = rng.normal(size=(9, 3)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
    mask = np.arange(9) % 3 != 0
    full = np.sort(np.linalg.norm(query[:, None] - ref[mask], axis=-1), 1)
    got = nearest(jnp.asarray(ref), jnp.asarray(mask), jnp.asarray(query), 8, chunk=4)
    np.testing.assert_allclose(got[:, :6], full, rtol=1e-5)
    assert np.isinf(got[:, 6:]).all()


def test_rarity_is_the_distance_to_the_kth_neighbour():
    latent = jnp.array([[0.0], [1.0], [3.0], [7.0], [100.0]])
    filled = jnp.array([True, True, True, True, False])
    assert rarity(latent, filled, 2).tolist() == [3.0, 2.0, 3.0, 6.0, -jnp.inf]
    assert rarity(latent, filled, 4).tolist() == [7.0, 6.0, 4.0, 7.0, -jnp.inf]  # three others: the farthest
    assert rarity(latent, jnp.arange(5) == 2, 2)[2] == 0.0


def test_losses_of_the_three_modules():
    visits = Visit(
        packed=(), before=jnp.array([[1.0, 2.0], [0.0, 1.0]]), action=jnp.array([[1.0, 0.0], [0.0, 1.0]]),
        observation=jnp.array([[2.0, 2.0], [9.0, 9.0]]),
    )  # fmt: skip
    valid = jnp.array([True, False])

    def loss(module, discrete, decode):
        return module_loss(module, discrete, lambda o: 10 * o, decode, visits, valid)

    def first_two(x):
        return x[..., :2]

    # z = (10, 20), z' = (20, 20), a = (1, 0)
    np.testing.assert_allclose(loss("inverse", False, first_two), ((10 - 1) ** 2 + 20**2) / 2)
    np.testing.assert_allclose(loss("inverse", True, lambda x: x[..., 2:]), np.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(loss("autoencoder", False, lambda z: z), (9**2 + 18**2) / 2)
    gaussian = loss("forward", False, lambda x: jnp.concatenate([0.1 * x[..., :2], x[..., 2:]], -1))
    expected = [1.0 + 0.5 * ((2 - 1) * np.exp(-1.0)) ** 2, 0.0]  # mean (1, 2), log std (1, 0)
    np.testing.assert_allclose(gaussian, np.mean(expected), rtol=1e-6)


def test_no_transition_is_no_loss():
    visits = Visit((), jnp.ones((1, 2)), jnp.ones((1, 2)), jnp.ones((1, 2)))
    assert module_loss("autoencoder", False, jnp.square, lambda z: 3 * z, visits, jnp.zeros(1, bool)) == 0.0


@pytest.mark.slow
def test_contract_of_latent():
    env = PointMaze(size=4, noise_dims=1)
    check_algorithm(latent_go_explore(env, env.default_params, SMALL), num_steps=2)


@pytest.mark.slow
def test_a_discrete_world_is_explored_to_its_end():
    env, params = Corridor(8), CorridorParams(max_steps_in_episode=30, random_start=False)
    config = SMALL.replace(module="forward", geometric=0.3, num_updates=20)
    state, metrics = jax.jit(make_train(latent_go_explore(env, params, config), 8))(jax.random.key(0))
    assert metrics["coverage"][-1] == 1.0 and metrics["success"][-1] == 1.0
    assert metrics["encoder_loss"][-1] < metrics["encoder_loss"][0]
    assert metrics["states"][-1] == 64 < metrics["offered"][-1] <= metrics["env_steps"][-1] + 1
    # The end of the corridor ends the episode: it is never stored. Each stored step goes on from a stored observation.
    assert state.reservoir.payload.packed.position.max() == 6
    assert (jnp.abs(state.reservoir.payload.observation[:, 0] - state.reservoir.payload.before[:, 0]) <= 1).all()


@pytest.mark.slow
def test_rare_states_are_explored_further_than_any():
    """The mechanism, on a long corridor: exploring from the rarest of the stored states gets further than from any."""

    class Endless(environment.Environment):
        """A line without ends; one step left or right."""

        num_states = 201
        default_params = environment.EnvParams(max_steps_in_episode=10_000)

        def reset_env(self, key, params):
            return jnp.zeros(1), (jnp.float32(0.0), jnp.int32(0))

        def step_env(self, key, state, action, params):
            place = jnp.clip(state[0] + jnp.sign(action[0]), -100.0, 100.0)
            return place[None], (place, state[1] + 1), jnp.float32(0.0), jnp.bool_(False), {}

        def is_truncated(self, state, params):
            return jnp.bool_(False)

        def state_id(self, state, params):
            return (state[0] + 100).astype(jnp.int32)

        def action_space(self, params):
            return spaces.Box(-1.0, 1.0, (1,))

    config = SMALL.replace(capacity=256, neighbours=8, num_updates=0, action_repeat=0.5)
    env = Endless()

    def final(p, key):
        algorithm = latent_go_explore(env, env.default_params, config.replace(geometric=p))
        return make_train(algorithm, 12)(key)[1]["coverage"][-1]

    keys = jax.random.split(jax.random.key(0), 16)
    covered = jax.jit(jax.vmap(jax.vmap(final, (None, 0)), (0, None)))(jnp.array([0.1, 0.0]), keys)
    assert (covered[0] > covered[1]).mean() > 0.8
    assert covered[0].mean() > 1.3 * covered[1].mean()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"module": "invers"}, "module='invers': expected one of inverse, forward, autoencoder; did you"),
        ({"geometric": 1.0}, r"geometric=1.0: expected a number in \[0, 1\)"),
        ({"action_repeat": -0.1}, r"action_repeat=-0.1: expected a number in \[0, 1\)"),
        ({"capacity": 0}, "capacity=0: expected a whole number of at least 1"),
        ({"num_updates": -1}, "num_updates=-1: expected a whole number of at least 0"),
        ({"neighbours": 64}, "neighbours=64: expected fewer than capacity=64"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0: expected a number of at least 0"),
    ],
)
def test_latent_refuses_a_bad_config(change, message):
    env = PointMaze(size=4)
    with pytest.raises(ValueError, match=message):
        latent_go_explore(env, None, SMALL.replace(**change))


def test_latent_refuses_what_is_no_world():
    with pytest.raises(TypeError, match="env='PointMaze': expected a gymnax environment"):
        latent_go_explore("PointMaze", None, SMALL)

    class Unbounded(PointMaze):
        def action_space(self, params=None):
            return spaces.Box(-jnp.inf, jnp.inf, (2,), jnp.float32)

    with pytest.raises(ValueError, match="expected a Discrete space or a Box with finite bounds"):
        latent_go_explore(Unbounded(4), None, SMALL)
