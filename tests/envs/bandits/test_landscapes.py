"""The functions at their published minima and at points worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.envs.bandits import LANDSCAPES, landscape, landscape_world
from purejaxexplore.testing.trees import quick_jit

MINIMA = [
    ("branin", None, [np.pi, 2.275]),
    ("branin", 2, [-np.pi, 12.275]),
    ("eggholder", None, [512.0, 404.2319]),
    ("goldstein_price", None, [0.0, -1.0]),
    ("hartmann", None, [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]),
    ("ackley", 5, [0.0] * 5),
    ("michalewicz", 2, [2.202906, 1.570796]),
    ("rosenbrock", 7, [1.0] * 7),
    ("styblinski_tang", 5, [-2.903534] * 5),
]


@pytest.mark.parametrize(("name", "dim", "where"), MINIMA)
def test_the_least_value_is_where_it_is_published(name, dim, where):
    function = landscape(name, dim)
    inside = np.array([function.low, function.high]).T
    others = np.random.default_rng(0).uniform(inside[:, 0], inside[:, 1], (200, len(inside)))
    points = np.concatenate([[where], others]).astype(np.float32)
    values = np.asarray(quick_jit(jax.vmap(function.value))(points))
    np.testing.assert_allclose(values[0], function.least, rtol=2e-6, atol=2e-5)
    assert values[1:].min() > function.least


def test_values_by_hand():
    assert landscape("rosenbrock", 3).value(jnp.array([1.0, 2.0, 3.0])) == 100 * 1 + 0 + 100 * 1 + 1
    np.testing.assert_allclose(landscape("goldstein_price").value(jnp.zeros(2)), np.log(20 * 30), rtol=1e-6)
    np.testing.assert_allclose(landscape("styblinski_tang", 2).value(jnp.array([1.0, 2.0])), (-10 - 38) / 2 + 0)
    assert set(LANDSCAPES) == {name for name, _, _ in MINIMA}


def test_the_world_pays_minus_the_function():
    world = landscape_world("branin", noise_sd=0.5)
    state, feedback, regret = world.step(jnp.float32(2.0), world.reset(jax.random.key(0)), jnp.array([0.2, 0.6]))
    height = landscape("branin").value(jnp.array([-2.0, 9.0]))
    np.testing.assert_allclose(feedback.value, [1.0 - height], rtol=1e-5)
    np.testing.assert_allclose(regret, height - 0.39788736, rtol=1e-5)
    assert state == 1 and world.means(state)[0] == np.float32(-0.39788736)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: landscape("braninn"), "branin"),
        (lambda: landscape("hartmann", 3), "has 6 dimensions"),
        (lambda: landscape("ackley"), "dim=None"),
        (lambda: landscape("rosenbrock", 1), "at least 2"),
        (lambda: landscape("michalewicz", 3), "2, 5 and 10"),
        (lambda: landscape_world("branin", noise_sd=-1.0), "noise_sd=-1.0"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
