"""Warehouse2D: ranges against a march along each ray, motion by hand, and that the goal can be reached."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.control import warehouse
from purejaxexplore.envs.control.warehouse import Warehouse2D, WarehouseState
from purejaxexplore.testing import check_environment


def state_at(x, y, heading=0.0, speed=0.0, time=0):
    return WarehouseState(*map(jnp.float32, (x, y, heading, speed)), jnp.int32(time))


@pytest.fixture(scope="module")
def env():
    return Warehouse2D("complex_dynamic")


@pytest.fixture(scope="module")
def step(env):
    return jax.jit(lambda state, action: env.step_env(jax.random.key(0), state, jnp.array(action), env.default_params))


def test_contract(env):
    check_environment(env, env.default_params, eager=False)


def test_ranges_are_those_of_a_march(env, step):
    params = env.default_params
    shelves, time = np.asarray(params.shelves), 37
    discs = np.asarray(env.discs(time, params))
    rng, checked = np.random.default_rng(0), 0
    look = jax.jit(lambda s: env.get_obs(s, params))
    reach = np.linspace(0, 8, 4001)
    while checked < 6:
        x, y, heading = rng.uniform(0.5, 19.5), rng.uniform(0.5, 19.5), rng.uniform(-3, 3)
        if env.touches(jnp.float32(x), jnp.float32(y), jnp.int32(time), params):
            continue
        checked += 1
        seen = 8 * np.asarray(look(state_at(x, y, heading, time=time)))[:24]
        for ray in range(24):
            angle = heading + ray * 2 * np.pi / 24
            px, py = x + reach * np.cos(angle), y + reach * np.sin(angle)
            hit = (px < 0) | (px > 20) | (py < 0) | (py > 20)
            for x0, y0, x1, y1 in shelves:
                hit |= (px > x0) & (px < x1) & (py > y0) & (py < y1)
            for cx, cy in discs:
                hit |= np.hypot(px - cx, py - cy) < 0.5
            first = reach[hit.argmax()] if hit.any() else 8.0
            assert seen[ray] == pytest.approx(first, abs=0.01), (x, y, angle)


def test_motion_by_hand(step):
    _, after, reward, terminated, info = step(state_at(10.0, 2.0, 0.0, 1.0), [1.0, -0.5])
    speed, heading = 1.2, -0.1
    wanted = 10 + 0.12 * np.cos(heading), 2 + 0.12 * np.sin(heading), heading, speed
    np.testing.assert_allclose(after[:4], wanted, rtol=1e-5)
    assert reward == pytest.approx(-0.001) and not terminated and info["state_id"] == 1 * 20 + 10
    _, after, *_ = step(state_at(10.0, 2.0, 3.1, 2.0), [1.0, 1.0])  # the speed is bounded, the heading wraps
    assert after.speed == 2.0 and after.heading == pytest.approx(3.3 - 2 * np.pi, rel=1e-5)


def test_touching_stops_or_ends(env, step):
    state = state_at(19.5, 2.0, 0.0, 2.0)
    _, after, reward, terminated, info = step(state, [0.0, 0.0])
    assert terminated and info["touched"] and reward == pytest.approx(-1.001) and after.speed == 0
    still = Warehouse2D("complex_static")
    _, after, reward, terminated, info = still.step_env(jax.random.key(0), state, jnp.zeros(2), still.default_params)
    assert not terminated and info["touched"] and (float(after.x), float(after.speed)) == (19.5, 0)
    assert reward == pytest.approx(-0.001)


def test_goal_and_what_is_known_of_it(env, step):
    observation, _, reward, terminated, info = step(state_at(17.3, 18.0, 0.0, 1.0), [0.0, 0.0])
    assert terminated and info["success"] and reward == pytest.approx(0.999)
    np.testing.assert_allclose(observation[-6:], [0.5, 1, 0, 1, 0.6 / 20, 0], atol=1e-6)
    observation, *_ = step(state_at(5.0, 2.0), [0.0, 0.0])
    assert not np.asarray(observation[-3:]).any()
    open_ = Warehouse2D(sparse=False)
    np.testing.assert_allclose(open_.get_obs(state_at(5.0, 2.0), open_.default_params)[-3:], [1, 0.65, 0.8], rtol=1e-5)


@pytest.mark.parametrize("scene, fewest", [("simple_static", 0), ("complex_static", 0)])
def test_the_goal_can_be_reached_in_time(scene, fewest):
    env, params = envs.make("Warehouse2D", scene=scene)
    steps = env.steps_to_goal()
    from_start = steps[20, 20]
    straight = (np.hypot(16, 16) - 0.8) / 0.2
    assert straight / 1.09 < from_start < params.max_steps_in_episode / 2
    assert np.isinf(steps[0, 0]) and 0.6 * 400 < env.num_reachable <= 400
    if scene == "simple_static":  # the way winds round both shelves
        assert from_start > 1.2 * straight


def test_discs_go_to_and_fro(env):
    params = env.default_params
    at = np.asarray(jax.vmap(lambda t: env.discs(t, params))(jnp.array([0, 70, 140, 210, 280])))
    np.testing.assert_allclose(at[:, 0], [(3, 6.5), (10, 6.5), (17, 6.5), (10, 6.5), (3, 6.5)], atol=1e-3)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="scene='complex'.*complex_static"):
        Warehouse2D("complex")
    assert len(warehouse.SCENES) == 4


def test_reachable_ground_is_known_while_tracing():
    assert jax.eval_shape(lambda: jnp.zeros(Warehouse2D("simple_static").num_reachable)).shape[0] > 0.6 * 400
