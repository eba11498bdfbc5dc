"""Spiral, ComboLock and the noisy screen: contract, and difficulty by exact computation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.grids import Spiral, graph, spiral, squares
from purejaxexplore.envs.noisy_tv import NoisyTV
from purejaxexplore.envs.tabular import ComboLock
from purejaxexplore.envs.wrappers import Flatten
from purejaxexplore.testing import check_environment


@pytest.mark.parametrize("name, options", [("Spiral", {"observation": "egocentric"}), ("ComboLock", {})])
def test_contract(name, options):
    check_environment(*envs.make(name, **options), eager=False)


@pytest.mark.parametrize("size, cells, success", [(11, 49, 2.3e-6), (15, 97, 1.7e-22)])
def test_spiral_is_as_hard_as_stated(size, cells, success):
    env = Spiral(size)
    table = graph.explore(env, env.default_params, env.states())
    assert env.num_states == cells
    distance = graph.distances(table, 0)
    assert np.array_equal(distance, np.arange(cells))
    assert graph.uniform_success(table, 0, 200) == pytest.approx(success, rel=0.03)


def test_spiral_looks_as_drawn():
    env = Spiral(observation="egocentric")
    chart = [list(line[4:15]) for line in spiral.__doc__.splitlines() if line.startswith("    #")]
    kind = np.pad(np.array([["FWG"["#G".find(c) + 1] for c in row] for row in chart]), 2, constant_values="W")
    views = np.asarray(jax.vmap(env.get_obs)(env.states())).argmax(-1)
    for (y, x), view in zip(env.cells, views, strict=True):
        assert np.array_equal(np.array(list("FWG"))[view], kind[y : y + 5, x : x + 5])
    picture = np.asarray(env.map_background())
    dark = picture.reshape(11, 16, 11, 16, 3).mean((1, 3, 4)) < 120
    assert np.array_equal(dark, kind[2:-2, 2:-2] == "W")
    assert np.array_equal(np.asarray(env.position_map(np.ones(49))) == 0, dark)


def test_combo_lock_is_as_hard_as_stated():
    env = ComboLock(5, 3)
    params = env.default_params
    for task in (1, 3, 5):
        level = params.replace(task=task)
        table = graph.explore(env, level, env.states())
        assert graph.uniform_success(table, 0, 5) == pytest.approx(3.0**-task) == env.uniform_success(task)
        assert graph.distances(table, 0)[task] == task
    assert ComboLock().uniform_success(12) == pytest.approx(6e-8, rel=0.01)
    other = env.sample_params(jax.random.key(3), params)
    assert other.secret.shape == (5,) and not np.array_equal(other.secret, params.secret)


def test_distances_on_a_map_by_hand():
    free = jnp.array([[1, 1, 0, 1], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)
    found = squares.distances(free, jnp.zeros((5, 4), bool).at[0, 0].set(True))
    far = 20
    wanted = [[0, 1, far, 7], [far, 2, far, 6], [4, 3, 4, 5], [far] * 4, [far] * 4]
    assert found.tolist() == wanted


@pytest.fixture(scope="module")
def screens():
    def make(kind, values="gaussian", cells=()):
        env = NoisyTV(envs.make("RoomChain", num_rooms=2, size=3)[0], kind, values, cells=cells)

        @jax.jit
        def walk(key, actions):
            _, state = env.reset_env(key, env.default_params)

            def step(state, given):
                key, action = given
                observation, state, reward, terminated, info = env.step_env(key, state, action, env.default_params)
                return state, (observation, info["state_id"], env.is_truncated(state, env.default_params))

            return jax.lax.scan(step, state, (jax.random.split(key, len(actions)), actions))[1]

        return env, walk

    return make


def test_screen_changes_when_it_should(screens):
    actions = jnp.array([1, 1, 4, 2, 4, 3, 0, 2, 1, 0])
    env, walk = screens("action", "categorical")
    assert env.num_actions == 5 and env.observation_space(env.default_params).shape == (19 + 8,)
    observation, place, _ = map(np.asarray, walk(jax.random.key(0), actions))
    assert np.array_equal(observation[:, :19].argmax(-1), place)
    changed = (observation[1:, 19:] != observation[:-1, 19:]).any(-1)
    assert np.flatnonzero(changed).tolist() == [1, 3]
    assert place[2] == place[1] and place[4] == place[3]
    env, walk = screens("always")
    observation, *_ = walk(jax.random.key(0), actions % 4)
    assert len(np.unique(np.asarray(observation[:, 19:]))) == 80
    env, walk = screens("cell", cells=(1, 2))
    observation, place, _ = map(np.asarray, walk(jax.random.key(0), actions % 4))
    assert np.array_equal((observation[:, 19:] != 0).all(-1), np.isin(place, (1, 2)))
    assert 0 < np.isin(place, (1, 2)).sum() < 10


def test_watching_costs_time(screens):
    env, walk = screens("action")
    *_, truncated = walk(jax.random.key(0), jnp.full(200, 4))
    assert np.flatnonzero(truncated).tolist() == [199]


def test_screen_contract():
    for env in (NoisyTV(Spiral(5), "action"), NoisyTV(Flatten(Spiral(5, "egocentric")), "cell", cells=(0,))):
        check_environment(env, env.default_params, eager=False)


@pytest.mark.parametrize(
    "make, error, named",
    [
        (lambda: Spiral(10), ValueError, "size=10.*odd"),
        (lambda: Spiral(3), ValueError, "size=3"),
        (lambda: Spiral(observation="image"), ValueError, "observation='image'"),
        (lambda: ComboLock(0), ValueError, "num_levels=0"),
        (lambda: ComboLock(3, 1), ValueError, "num_actions=1"),
        (lambda: NoisyTV(Spiral(5), "never"), ValueError, "kind='never'"),
        (lambda: NoisyTV(Spiral(5), values="uniform"), ValueError, "values='uniform'"),
        (lambda: NoisyTV(Spiral(5), channels=0), ValueError, "channels=0"),
        (lambda: NoisyTV(Spiral(5), "cell"), ValueError, "cells="),
        (lambda: NoisyTV(Spiral(5, "egocentric")), TypeError, "use Flatten"),
        (lambda: NoisyTV(envs.make("PointMaze", size=3)[0], "action"), TypeError, "kind='action'"),
        (lambda: NoisyTV(envs.make("PendulumID")[0], "cell"), TypeError, "StateId"),
    ],
)
def test_bad_arguments_are_named(make, error, named):
    with pytest.raises(error, match=named):
        make()
