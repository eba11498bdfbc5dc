"""The JAXtari adapter against a stand-in of the package: a game of one corridor that is drawn and described."""

import sys
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.archives import cells
from purejaxexplore.go_explore import GoExploreConfig, go_explore
from purejaxexplore.testing import check_environment


class GameState(NamedTuple):
    """The stand-in's state: player, lives, and a random number that the reset drew."""

    x: jax.Array
    lives: jax.Array
    luck: jax.Array


class Corridor:
    """The interface of a JAXtari environment; action 3 moves right, 4 left, and the tenth place is a death."""

    def __init__(self, values):
        self.values = values  # how many values step returns: 5 in older versions, 6 in newer ones

    def reset(self, key):
        state = GameState(2, jnp.int32(1), jax.random.uniform(key))
        return self._objects(state), state

    def step(self, state, action):
        move = jnp.where(action == 3, 1, jnp.where(action == 4, -1, 0))
        state = state._replace(x=jnp.clip(state.x + move, 0, 9))
        state = state._replace(lives=jnp.where(state.x == 9, 0, state.lives))
        done, reward = state.lives == 0, jnp.where(state.x == 5, 100, 0)
        ends = (done,) if self.values == 5 else (done, state.x == 0)
        return self._objects(state), state, reward, *ends, {"time": 0}

    def render(self, state):
        player = (jnp.arange(20) // 2 == state.x)[:, None]
        return jnp.zeros((8, 20, 3), jnp.uint8).at[2:6].set(jnp.where(player, jnp.uint8(255), jnp.uint8(0)))

    def action_space(self):
        return SimpleNamespace(n=5)

    def _objects(self, state):
        return {"player": {"x": jnp.int32(state.x), "y": jnp.int32(4)}, "lives": state.lives}


@pytest.fixture(params=[5, 6])
def values(request, monkeypatch):
    """Puts the stand-in where the package would be; the number of values that its ``step`` returns."""
    package = ModuleType("jaxtari")
    package.made = []
    package.list_available_games = lambda: ["pong", "montezumarevenge", "upndown"]

    def make(game):
        package.made.append(game)
        return Corridor(request.param)

    package.make = make
    monkeypatch.setitem(sys.modules, "jaxtari", package)
    monkeypatch.delitem(sys.modules, "purejaxexplore.envs.suites.jaxtari", raising=False)
    yield request.param
    assert set(package.made) <= {"montezumarevenge"}
    sys.modules.pop("purejaxexplore.envs.suites.jaxtari", None)


def test_names_are_those_of_the_ale(values):
    assert envs.list("jaxtari/*") == ["jaxtari/MontezumaRevenge", "jaxtari/Pong", "jaxtari/UpNDown"]


def test_objects_and_screen(values):
    env, params = envs.make("jaxtari/MontezumaRevenge")
    assert env.num_actions == 5 and params.max_steps_in_episode == 108_000
    obs, state = env.reset_env(jax.random.key(0), params)
    assert obs.tolist() == [1.0, 2.0, 4.0]  # lives, x, y: the leaves in the order of their names
    obs, state, reward, terminated, _ = env.step_env(jax.random.key(0), state, jnp.int32(3), params)
    assert obs.tolist() == [1.0, 3.0, 4.0] and reward == 0 and not terminated and state.time == 1
    screen = env.render(state, params)
    assert screen.shape == (8, 20, 3) and screen.dtype == jnp.uint8 and (screen[3, 6] == 255).all()
    drawn, _ = envs.make("jaxtari/MontezumaRevenge", observation="pixels")
    np.testing.assert_array_equal(drawn.step_env(jax.random.key(0), state, jnp.int32(0), params)[0], screen)


def test_death_terminates_and_the_time_limit_truncates(values):
    env, params = envs.make("jaxtari/MontezumaRevenge", max_steps_in_episode=20)
    _, state = env.reset_env(jax.random.key(0), params)
    rewards, ends = [], []
    for _ in range(7):
        _, state, reward, terminated, _ = env.step_env(jax.random.key(0), state, jnp.int32(3), params)
        rewards.append(float(reward))
        ends.append(bool(terminated))
    assert rewards == [0, 0, 100, 0, 0, 0, 0] and ends == [False] * 6 + [True]
    assert bool(env.is_truncated(state.replace(time=jnp.int32(20)), params))
    _, state = env.reset_env(jax.random.key(0), params)
    for _ in range(2):
        _, state, _, terminated, _ = env.step_env(jax.random.key(0), state, jnp.int32(4), params)
    assert not terminated and bool(env.is_truncated(state, params)) == (values == 6)


def test_contract(values):
    if values == 5:
        check_environment(*envs.make("jaxtari/MontezumaRevenge"))


def test_the_same_cells_work_on_its_objects_and_on_its_screen(values):
    found = {}
    for observation, cell in (("objects", cells.exact), ("pixels", cells.downscaled(2, 10, 4))):
        env, params = envs.make("jaxtari/MontezumaRevenge", observation=observation)
        _, state = env.reset_env(jax.random.key(0), params)
        keys = []
        for action in (3, 3, 4, 0):  # right to 4, back to 3, where it stays
            obs, state, *_ = env.step_env(jax.random.key(0), state, jnp.int32(action), params)
            keys.append(tuple(cell(obs, state, params).tolist()))
        found[observation] = keys
    for a, b, c, d in found.values():
        assert a == c == d != b


def test_go_explore_runs_on_it(values):
    if values == 6:
        env, params = envs.make("jaxtari/MontezumaRevenge")
        config = GoExploreConfig(0.5, num_lanes=4, horizon=6, capacity=32, num_iterations=12)
        algorithm = go_explore(env, params, config, cell=cells.exact)

        @jax.jit
        def run(key):
            return jax.lax.scan(lambda s, k: algorithm.step(k, s), algorithm.init(key), jax.random.split(key, 12))[1]

        metrics = run(jax.random.key(0))
        assert metrics["cells"][-1] == 8  # places 1 to 8: at 0 the game is cut off, at 9 it is lost
        assert metrics["best_score"][-1] >= 100


def test_unknown_observations_are_refused(values):
    with pytest.raises(ValueError, match="observation='ram': expected one of objects, pixels"):
        envs.make("jaxtari/MontezumaRevenge", observation="ram")


def test_a_missing_package_is_named_with_its_own_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jaxtari", None)  # as good as not installed
    monkeypatch.delitem(sys.modules, "purejaxexplore.envs.suites.jaxtari", raising=False)
    with pytest.raises(ModuleNotFoundError, match="need the package 'jaxtari': pip install jaxtari$"):
        envs.make("jaxtari/MontezumaRevenge")
    assert envs.list("jaxtari/*") == []
