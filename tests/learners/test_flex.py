"""FLEX: the input against brute force, the recursion against batch least squares, and a pendulum that is identified."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.algorithm import make_train
from purejaxexplore.learners.flex import FlexConfig, flex, informative_input, least_squares_step
from purejaxexplore.testing import check_algorithm


def problems(rng, count, num_features, num_inputs):
    v = rng.normal(size=(count, num_features))
    B = rng.normal(size=(count, num_features, num_inputs)) * rng.choice([1e-3, 0.1, 1.0], size=(count, 1, 1))
    root = rng.normal(size=(count, num_features, num_features))
    P = root @ root.transpose(0, 2, 1) + 0.01 * np.eye(num_features)
    return v, B, P


@pytest.mark.parametrize("num_inputs", [1, 2])
def test_the_input_is_the_best_of_all_directions(num_inputs):
    rng = np.random.default_rng(0)
    v, B, P = problems(rng, 300, 4, num_inputs)
    v[:20] = 0.0  # the hard case: any top eigenvector
    given = (jnp.asarray(array, jnp.float32) for array in (v, B, P))
    found = np.asarray(jax.jit(jax.vmap(lambda *g: informative_input(*g, 0.7)))(*given))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 0.7, rtol=1e-5)
    angle = np.arange(360) * np.pi / 180
    directions = np.stack([np.cos(angle), np.sin(angle)], 1) if num_inputs == 2 else np.array([[1.0], [-1.0]])

    def information(v, B, P, u):
        row = v + u @ B.T
        return np.einsum("...p,pq,...q->...", row, P, row)

    for i in range(300):
        best = information(v[i], B[i], P[i], 0.7 * directions).max()
        assert information(v[i], B[i], P[i], found[i]) >= best * (1 - 1e-3)


def test_the_recursion_is_batch_least_squares():
    rng = np.random.default_rng(1)
    rows, targets = rng.normal(size=(40, 5)).astype(np.float32), rng.normal(size=(40, 3)).astype(np.float32)
    theta, P = jnp.zeros((3, 5)), jnp.eye(5) / 0.1

    def step(carry, row):
        return least_squares_step(*carry, *row), None

    theta, P = jax.jit(lambda carry: jax.lax.scan(step, carry, (rows, targets))[0])((theta, P))
    gram = rows.T @ rows + 0.1 * np.eye(5)
    np.testing.assert_allclose(theta, np.linalg.solve(gram, rows.T @ targets).T, atol=1e-4)
    np.testing.assert_allclose(P, np.linalg.inv(gram), atol=1e-4)


def grid(env, count=64):
    rng = np.random.default_rng(0)
    x, u = rng.uniform(-2, 2, (count, len(env.start))), rng.uniform(-1, 1, (count, env.num_inputs))
    return jnp.asarray(x, jnp.float32), jnp.asarray(u, jnp.float32)


@pytest.mark.slow
def test_contract():
    env, params = envs.make("QuadrotorID")
    check_algorithm(flex(env, params, env.features, grid(env), FlexConfig()), num_steps=1, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["PendulumID", "QuadrotorID"])
def test_without_noise_the_law_is_found(name):
    """Features in which the law is linear, no noise: what remains is rounding and the prior."""
    env, params = envs.make(name, noise=0.0)
    algorithm = flex(env, params, env.features, grid(env), FlexConfig(prior=1e-4))
    _, metrics = jax.jit(make_train(algorithm, 150))(jax.random.key(0))
    assert metrics["error"][-1] < 0.1 * metrics["error"][0] and metrics["env_steps"][-1] == 150
    assert metrics["error"][-1] < 0.15


def test_cartpole_features_are_good_for_a_light_pole():
    """Least squares of the law itself on the features leaves less than 4 % of it."""
    env, params = envs.make("CartpoleID", pole=0.1)
    x, u = grid(env, 400)
    rows, law = jax.vmap(env.features)(x, u), jax.vmap(env.derivative, (0, 0, None))(x, u, params)
    rest = np.linalg.lstsq(np.asarray(rows), np.asarray(law)[:, 1], rcond=None)[1][0] / np.square(law[:, 1]).sum()
    assert rest < 0.04**2


@pytest.mark.parametrize(
    "change, named",
    [({"selection": "best"}, "selection='best'"), ({"config": FlexConfig(prior=0.0)}, "prior=0.0"),
     ({"config": FlexConfig(forgetting=1.1)}, "forgetting=1.1")],
)  # fmt: skip
def test_bad_arguments_are_named(change, named):
    env, params = envs.make("PendulumID")
    with pytest.raises(ValueError, match=named):
        flex(env, params, env.features, grid(env), **({"config": FlexConfig()} | change))
    other, other_params = envs.make("PointMaze", size=3)
    with pytest.raises(TypeError, match="System"):
        flex(other, other_params, env.features, grid(env), FlexConfig())
