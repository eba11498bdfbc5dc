"""Systems to be identified: their laws against energy and against independent formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.testing import check_environment

NAMES = ("PendulumID", "CartpoleID", "QuadrotorID")


@pytest.mark.parametrize("name", NAMES)
def test_contract(name):
    check_environment(*envs.make(name), eager=False)


@pytest.mark.parametrize("name, losses", [("PendulumID", ("damping",)), ("CartpoleID", ("drag", "friction"))])
def test_energy_is_conserved_by_the_free_system(name, losses):
    env, params = envs.make(name, **dict.fromkeys(losses, 0.0))
    for x in np.random.default_rng(0).normal(size=(5, len(env.start))).astype(np.float32):
        flow = env.derivative(jnp.array(x), jnp.zeros(1), params)
        assert jax.jvp(lambda x: env.energy(x, params), (jnp.array(x),), (flow,))[1] == pytest.approx(0, abs=1e-4)


def test_work_is_force_times_velocity():
    env, params = envs.make("CartpoleID", drag=0.0, friction=0.0)
    x, force = jnp.array([0.3, -0.7, 1.1, 0.4]), jnp.array([2.0])
    flow = env.derivative(x, force, params)
    assert jax.jvp(lambda x: env.energy(x, params), (x,), (flow,))[1] == pytest.approx(2.0 * -0.7, rel=1e-4)


def test_quadrotor_by_hand():
    env, params = envs.make("QuadrotorID")
    at_rest = env.derivative(jnp.zeros(6), jnp.zeros(2), params)
    assert np.allclose(at_rest, 0)
    x = jnp.array([1.0, 2.0, np.pi / 2, 0.5, -0.5, 0.25])
    # On its side the thrust 9.81 + 0.3 points to the left; the weight pulls down; the right rotor turns it by 0.2.
    wanted = [0.5, -0.5, 0.25, -10.11 - 0.2, -9.81 + 0.2, 0.2 * 0.1 / 0.1 - 0.2]
    np.testing.assert_allclose(env.derivative(x, jnp.array([0.1, 0.2]), params), wanted, rtol=1e-5, atol=1e-6)


def test_steps_are_euler_with_noise_and_bounded_inputs():
    env, params = envs.make("QuadrotorID", noise=0.0)
    _, state = env.reset_env(jax.random.key(0), params)
    x, after, reward, terminated, info = env.step_env(jax.random.key(0), state, jnp.array([3.0, 4.0]), params)
    np.testing.assert_allclose(info["input"], [0.3, 0.4], rtol=1e-6)
    np.testing.assert_allclose(x, 0.05 * env.derivative(state.x, info["input"], params), rtol=1e-6)
    assert (reward, terminated, after.time) == (0, False, 1)
    noisy = params.replace(noise=0.1)
    draw = jax.vmap(lambda key: env.step_env(key, state, jnp.array([3.0, 4.0]), noisy)[0])
    spread = np.asarray(draw(jax.random.split(jax.random.key(1), 2000))) - np.asarray(x)
    np.testing.assert_allclose(spread.std(0), 0.1, rtol=0.08)
    assert abs(spread.mean()) < 0.005


def test_the_motor_cannot_lift_the_pendulum_at_once():
    """A constant input overshoots at most to where its work is used up; bang-bang swings go over 2 radians."""
    env, params = envs.make("PendulumID", noise=0.0)

    def swing(policy):
        def step(state, _):
            _, state, *_ = env.step_env(jax.random.key(0), state, policy(state.x), params)
            return state, state.x[0]

        start = env.reset_env(jax.random.key(0), params)[1]
        return jnp.abs(jax.lax.scan(step, start, length=300)[1]).max()

    assert swing(lambda x: jnp.ones(1)) < 0.55
    assert swing(lambda x: jnp.where(x[1:] >= 0, 1.0, -1.0)) > 2.0
