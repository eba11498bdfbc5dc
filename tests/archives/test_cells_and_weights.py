"""Cell functions and selection weights on cases worked by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.archives import archive as table
from purejaxexplore.archives import cells, weights


def test_exact_tells_every_bit_apart_but_not_the_sign_of_zero():
    one = cells.exact((jnp.array([0.0, 1.0]), jnp.array(3)), None, None)
    same = cells.exact((jnp.array([-0.0, 1.0]), jnp.array(3)), None, None)
    other = cells.exact((jnp.array([0.0, np.nextafter(np.float32(1), 2)]), jnp.array(3)), None, None)
    assert one.dtype == jnp.int32 and one.shape == (3,)
    assert one.tolist() == same.tolist() != other.tolist()


def test_quantised_goes_on_beyond_its_corners():
    cell = cells.quantised([-1.0, 0.0], [1.0, 1.0], [4, 10])
    assert cell(jnp.array([-0.1, 0.55]), None, None).tolist() == [1, 5]
    assert cell(jnp.array([-1.1, 2.0]), None, None).tolist() == [-1, 20]
    assert cell(jnp.array([jnp.nan, jnp.inf]), None, None).tolist() == [2**20 + 1, 2**20]


def test_grid_is_an_id_and_nan_is_nowhere():
    cell = cells.grid([0.0, 0.0], [1.0, 1.0], (2, 3), descriptor=lambda observation, state, params: state)
    assert cell(None, jnp.array([0.6, 0.4]), None) == 4
    assert cell(None, jnp.array([jnp.nan, 0.4]), None) == -1


def test_downscaled_pools_areas():
    image = np.zeros((4, 6), np.uint8)
    image[:2, :3], image[2:, 3:] = 255, 128
    assert cells.downscaled(2, 2, 8)(jnp.array(image), None, None).tolist() == [7, 0, 0, 4]
    flat = cells.downscaled(3, 5, 8)(jnp.full((7, 9, 3), 96, jnp.uint8), None, None)
    assert flat.tolist() == [3] * 15
    assert cells.downscaled(1, 1, 4, pixel_range=1.0)(jnp.full((3, 3), 0.6), None, None).tolist() == [2]
    with pytest.raises(ValueError, match="depth=0"):
        cells.downscaled(2, 2, 0)


def test_own_cells_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match="env=int.*cell="):
        cells.own_cells(3)


def test_weights_by_hand():
    np.testing.assert_allclose(weights.count_weight(jnp.array([0, 3])), [1, 0.5])
    np.testing.assert_allclose(weights.legacy_count(jnp.array([4]), 2.0, 0.5), 2 / np.sqrt(4.001) + 1e-5, rtol=1e-6)
    np.testing.assert_allclose(weights.steps_weight(jnp.array([0, 2])), [1, 0.5])
    level = weights.level_weight(jnp.array([1, 2, 9]), jnp.array([True, True, False]))
    np.testing.assert_allclose(level, [0.1, 1, 0], rtol=1e-6)


def test_rules_read_the_archive():
    archive = table.init(jnp.int32(0), 3, ("seen", "chosen", "fresh"))._replace(seen=jnp.array([0, 3, 8]))
    np.testing.assert_allclose(weights.no_knowledge(archive), [1, 0.5, 1 / 3], rtol=1e-6)
    assert weights.uniform(archive).tolist() == [1, 1, 1] and weights.start(archive).tolist() == [0, 0, 0]
    sub = weights.sub_scores(archive, (0.0, 0.0, 1.0))
    np.testing.assert_allclose(sub[1], 1 + 3e-5 + 1 / np.sqrt(3.001), rtol=1e-6)
