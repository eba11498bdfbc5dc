"""The domains of quality diversity against their formulas in NumPy, and their gradients against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.turns import cos_sin
from purejaxexplore.envs.domains import LinearProjection, PlanarArm


def arm_by_hand(x):
    angle = np.cumsum(2 * np.pi * x - np.pi, axis=1)
    n = x.shape[1]
    end = np.stack([np.cos(angle).sum(1), np.sin(angle).sum(1)], 1)
    return -x.std(1), (end / n + 1) / 2


def projection_by_hand(x, rastrigin):
    s, n = 5.12 * 0.4, x.shape[1]

    def loss(y):
        return (10 * n * rastrigin + np.square(y).sum(-1)) - 10 * rastrigin * np.cos(2 * np.pi * y).sum(-1)

    worst = loss(np.full(n, -5.12 - s))
    clipped = np.array([[v if abs(v) <= 5.12 else 5.12 / v for v in row] for row in x])
    halves = np.stack([clipped[:, : n // 2].sum(1), clipped[:, n // 2 :].sum(1)], 1)
    return 100 * (worst - loss(x - s)) / worst, halves


def test_turns():
    turns = np.linspace(-20, 20, 20_001).astype(np.float32)
    cos, sin = cos_sin(jnp.array(turns))
    np.testing.assert_allclose(cos, np.cos(2 * np.pi * turns.astype(np.float64)), atol=3e-7)
    np.testing.assert_allclose(sin, np.sin(2 * np.pi * turns.astype(np.float64)), atol=3e-7)


@pytest.mark.parametrize("joints", [1, 10, 40])
def test_planar_arm(joints):
    x = np.random.default_rng(0).random((50, joints))
    fitness, descriptor = jax.jit(PlanarArm(joints).evaluate)(jnp.float32(x))
    expected = arm_by_hand(x)
    np.testing.assert_allclose(fitness, expected[0], atol=1e-5)
    np.testing.assert_allclose(descriptor, expected[1], atol=1e-5)
    assert (np.hypot(*(np.asarray(descriptor) - 0.5).T) <= 0.5 + 1e-5).all()
    low, high = PlanarArm(joints).fitness_range
    assert (fitness >= low).all() and (fitness <= high).all()


@pytest.mark.parametrize("function", ["sphere", "rastrigin"])
def test_linear_projection(function):
    domain = LinearProjection(6, function)
    x = np.random.default_rng(1).uniform(-8, 8, (50, 6))
    fitness, descriptor = jax.jit(domain.evaluate)(jnp.float32(x))
    expected = projection_by_hand(x, function == "rastrigin")
    np.testing.assert_allclose(fitness, expected[0], atol=2e-3)
    np.testing.assert_allclose(descriptor, expected[1], atol=1e-4)
    corners = jnp.array([[5.12 * 0.4] * 6, [-5.12] * 6, [5.12] * 6])
    fitness, descriptor = domain.evaluate(corners)
    np.testing.assert_allclose(fitness[:2], [100, 0], atol=1e-3)
    np.testing.assert_allclose(descriptor[1:], [domain.low, domain.high], rtol=1e-6)


@pytest.mark.parametrize("domain", [LinearProjection(4), LinearProjection(4, "rastrigin"), PlanarArm(4)])
def test_gradients_are_finite_and_agree_with_differences(domain):
    def outputs(x):
        fitness, descriptor = domain.evaluate(x[None])
        return jnp.concatenate([fitness, descriptor[0]])

    jacobian = jax.jit(jax.jacrev(outputs))
    x = jnp.array([0.3, 0.9, 0.55, 0.1]) if isinstance(domain, PlanarArm) else jnp.array([0.3, -6.0, 5.4, -1.0])
    step = 1e-2
    columns = [(outputs(x + step * e) - outputs(x - step * e)) / (2 * step) for e in jnp.eye(4)]
    np.testing.assert_allclose(jacobian(x), jnp.stack(columns, 1), rtol=2e-2, atol=2e-2)
    # A straight arm has no spread, and a gene at 0 no reciprocal: neither may poison the gradient.
    for hard in (jnp.full(4, 0.5), jnp.zeros(4)):
        assert np.isfinite(jacobian(hard)).all()


def test_samples():
    x = LinearProjection(100).sample(jax.random.key(0), 200)
    assert x.shape == (200, 100) and abs(float(x.std()) - 0.5) < 0.01
    x = PlanarArm(7).sample(jax.random.key(0), 200)
    assert x.shape == (200, 7) and x.min() >= 0 and x.max() <= 1


def test_pictures():
    arm = PlanarArm(3)
    straight = jnp.full(3, 0.5)  # points to the right: the hand is in the middle of the right edge
    render = jax.jit(lambda x: arm.render(x, 64))
    picture = np.asarray(render(straight))
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    np.testing.assert_allclose(arm.joints(straight)[:, 0], [0.5, 2 / 3, 5 / 6, 1], atol=1e-6)
    assert picture[32, 63].tolist() == [213, 94, 0] and (picture[5, 5] == 250).all()
    up = jnp.array([0.75, 0.5, 0.5])
    assert np.asarray(render(up))[0, 32].tolist() == [213, 94, 0]

    projection = LinearProjection(4)
    corner = jnp.array([5.12, 5.12, -5.12, -5.12])  # the lower right one
    picture = np.asarray(jax.jit(lambda x: projection.render(x, 64))(corner))
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    assert (picture[63, 63] != picture[63, 0]).any() and (picture[0, 0] == picture[63, 0]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearProjection(0), "num_genes=0"),
        (lambda: LinearProjection(5), "num_genes=5: expected an even"),
        (lambda: LinearProjection(4, "rastrigan"), "did you mean 'rastrigin'"),
        (lambda: PlanarArm(0), "num_genes=0"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
