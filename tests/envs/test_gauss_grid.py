"""GaussGrid8: rewards by hand, the oracle against exhaustive play, contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.grids import GaussGrid8, gauss_grid
from purejaxexplore.envs.grids.squares import DOWN, RIGHT, UP
from purejaxexplore.testing import check_environment
from purejaxexplore.testing.trees import quick_jit


def test_contract():
    check_environment(*envs.make("GaussGrid8"), eager=False)


@pytest.fixture(scope="module")
def walk():
    env = GaussGrid8()

    def go(key, actions, noise):
        params = env.default_params.replace(noise=noise)

        def step(state, given):
            key, action = given
            _, state, reward, terminated, _ = env.step_env(key, state, action, params)
            return state, (state.cell, reward, terminated)

        start = env.reset_env(key, params)[1]
        return jax.lax.scan(step, start, (jax.random.split(key, len(actions)), actions))[1]

    return quick_jit(go)


def test_rewards_on_a_path_by_hand(walk):
    actions = [UP, *[DOWN] * 7, *[RIGHT] * 7, UP, DOWN]
    cell, reward, terminated = map(np.asarray, walk(jax.random.key(0), jnp.array(actions), 0.0))
    rows = [0, *range(1, 8), *[7] * 9]
    columns = [0] * 8 + [*range(1, 8), 7, 7]
    assert np.array_equal(cell, np.array(rows) * 8 + columns)
    bumps = [
        2.5 * np.exp(-4 * ((y - 6) ** 2 + (x - 1) ** 2)) + 0.3 * np.exp(-((y - 2) ** 2 + (x - 5) ** 2) / 16)
        for y, x in zip(rows, columns, strict=True)
    ]
    np.testing.assert_allclose(reward[:14], np.array(bumps[:14]) - 0.5, atol=1e-5)
    # The goal pays once; afterwards nothing moves, nothing is paid, and the episode goes on.
    assert reward[14:].tolist() == [13, 0, 0] and not terminated.any()


def test_noise_is_uniform_around_the_mean(walk):
    keys, actions = jax.random.split(jax.random.key(1), 4000), jnp.array([DOWN])
    _, reward, _ = jax.vmap(lambda key: walk(key, actions, 3.0))(keys)
    centre = gauss_grid.mean_rewards(13.0)[8]
    x = np.sort(np.asarray(reward)[:, 0] - centre)
    assert abs(x.mean()) < 0.05 and x.min() > -1.5 and x.max() < 1.5
    assert np.abs((x + 1.5) / 3 - np.linspace(0, 1, x.size)).max() < 0.03


def test_oracles(walk):
    params = GaussGrid8().default_params
    actions = gauss_grid.value_iteration(params)
    assert gauss_grid.policy_return(actions, params) == pytest.approx(17.39, abs=0.01)
    assert gauss_grid.best_return(params) == pytest.approx(23.43, abs=0.01)
    # The path of that policy, in the world itself.
    after, cell, path = gauss_grid.successors(), 0, []
    for _ in range(30):
        path.append(actions[cell])
        cell = after[cell, actions[cell]]
    _, reward, _ = walk(jax.random.key(0), jnp.array(path), 0.0)
    assert float(reward.sum()) == pytest.approx(17.39, abs=0.01)
    # Backward induction against all plays of six moves.
    near = params.replace(max_steps_in_episode=6)
    pays, plays = gauss_grid.mean_rewards(13.0), np.indices((4,) * 6).reshape(6, -1)
    cell, total = np.zeros(plays.shape[1], int), np.zeros(plays.shape[1])
    for move in plays:
        cell = after[cell, move]
        total += pays[cell]
    assert gauss_grid.best_return(near) == pytest.approx(total.max(), abs=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="discount=1.0"):
        gauss_grid.value_iteration(GaussGrid8().default_params, 1.0)
    with pytest.raises(ValueError, match="sweeps=0"):
        gauss_grid.value_iteration(GaussGrid8().default_params, sweeps=0)
