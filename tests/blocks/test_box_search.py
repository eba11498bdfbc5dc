"""The search of a box by hand, and the Pareto front against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.box_search import SearchConfig, box_points, maximise, pareto_front, require_search
from purejaxexplore.testing.trees import quick_jit

CONFIG = SearchConfig(32, 3, 40)


def test_points_fill_the_box_and_crowd_about_the_centre():
    centre = jnp.array([0.5, 0.1, 1.0])
    points = np.asarray(quick_jit(lambda key: box_points(key, centre, SearchConfig(256, 1, 1)))(jax.random.key(0)))
    assert points.shape == (256, 3) and (points >= 0).all() and (points <= 1).all()
    counts = np.histogram(points[:128, 0], bins=8, range=(0, 1))[0]
    assert (np.abs(counts - 16) <= 2).all(), "the first half is even"
    distance = np.linalg.norm(points[128:] - np.asarray(centre), axis=1)
    assert distance[:32].mean() < 0.03 < 0.1 < distance[-32:].mean()


def test_ways_lead_uphill_to_the_top_and_along_the_wall():
    top = jnp.array([0.3, 1.4])  # outside: the best of the box is (0.3, 1)

    def value(x):
        return -jnp.square(x - top) @ jnp.array([1.0, 4.0])

    points = jax.random.uniform(jax.random.key(0), (32, 2))
    maxima = quick_jit(lambda key: maximise(key, value, points, jnp.float32(0.1), CONFIG))(jax.random.key(1))
    np.testing.assert_allclose(maxima.x, [[0.3, 1.0]] * 3, atol=2e-3)
    np.testing.assert_allclose(maxima.value, value(maxima.x), rtol=1e-5)
    assert maxima.value.max() >= value(points).max()


def test_pareto_front_by_definition():
    values = np.random.default_rng(0).integers(0, 6, (40, 2)).astype(np.float32)
    expected = [not any((w >= v).all() and (w > v).any() for w in values) for v in values]
    np.testing.assert_array_equal(pareto_front(*jnp.asarray(values.T)), expected)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SearchConfig(31, 3, 5), "an even number"),
        (SearchConfig(2, 3, 5), "num_candidates=2"),
        (SearchConfig(32, 0, 5), "num_starts=0"),
        (SearchConfig(32, 3, 0), "num_steps=0"),
        (SearchConfig(32, 3, 5, 0.0), "radius=0.0"),
    ],
)
def test_bad_sizes_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        require_search(config)
