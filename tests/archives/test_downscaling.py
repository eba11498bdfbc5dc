"""The choice of a down-scaling against the formula by hand and on frames with a known answer."""

import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.archives import cells
from purejaxexplore.archives.downscaling import fitted, representativeness, scores


def by_hand(labels, target):
    _, counts = np.unique(labels, axis=0, return_counts=True)
    p, n, wanted = counts / counts.sum(), len(counts), target * counts.sum()
    evenness = -(p * np.log(p)).sum() / np.log(n) if n > 1 else 0.0
    return evenness / np.sqrt(abs(n - wanted) / wanted + 1)


@pytest.mark.parametrize("num_labels", [1, 2, 5, 40])
def test_equals_the_formula(num_labels):
    labels = np.random.default_rng(num_labels).integers(0, num_labels, (64, 1)) ** 2
    words = np.concatenate([labels, 7 * labels], 1).astype(np.int32)
    np.testing.assert_allclose(representativeness(jnp.asarray(words)), by_hand(words, 0.125), rtol=1e-5)


def test_a_padded_candidate_scores_as_its_own_cell_function():
    frames = np.random.default_rng(0).integers(0, 256, (32, 12, 10)).astype(np.uint8)
    candidates = ((2, 3, 3), (4, 5, 2), (12, 10, 8))
    got = scores(jnp.asarray(frames), candidates)
    for (height, width, depth), score in zip(candidates, got, strict=True):
        cell = cells.downscaled(height, width, depth)
        words = np.stack([np.asarray(cell(frame, None, None)) for frame in frames])
        np.testing.assert_allclose(score, by_hand(words, 0.125), rtol=1e-5)


def test_finds_the_scale_at_which_the_frames_differ():
    """Eight places seen eight times each under pixel noise: few levels at a coarse scale tell exactly the places."""
    rng = np.random.default_rng(1)
    places = rng.choice([32.0, 224.0], (8, 4, 4)).repeat(4, 1).repeat(4, 2)
    frames = np.clip(places[np.arange(64) % 8] + rng.normal(0, 12, (64, 16, 16)), 0, 255)
    cell, best = fitted(jnp.asarray(frames), ((4, 4, 2), (16, 16, 32), (1, 1, 2)))
    assert best == (4, 4, 2)
    assert len({tuple(np.asarray(cell(frame, None, None)).tolist()) for frame in frames}) == 8


def test_refuses_bad_input():
    frames = jnp.zeros((4, 8, 8))
    with pytest.raises(ValueError, match="depth=0: expected a whole number of at least 1"):
        scores(frames, ((2, 2, 0),))
    with pytest.raises(ValueError, match="frames=0"):
        scores(jnp.zeros((0, 8, 8)))
    with pytest.raises(ValueError, match="target=0.0: expected a number in"):
        scores(frames, target=0.0)
