"""The list of filled slots, and the thresholds and measures of an archive, against plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.archives import archive as table
from purejaxexplore.archives.filled import append, draw, none_filled
from purejaxexplore.archives.measures import corrected, uniformity
from purejaxexplore.archives.thresholds import anneal

C, B = 6, 12


def random_batch(seed):
    rng = np.random.default_rng(seed)
    slot = rng.integers(-1, C + 1, B).astype(np.int32)
    return slot, rng.choice([0.0, 1.0, 2.0, np.nan], B).astype(np.float32)


def test_filled_slots_are_listed_once_in_the_order_of_discovery():
    archive, filled, found = table.init(jnp.zeros(()), C), none_filled(C), []
    for seed in range(4):
        slot, score = random_batch(seed)
        score = jnp.array(score + seed)  # later batches improve old slots, which must not be listed again
        archive, info = table.insert(archive, jnp.array(slot % 2 + seed), score, score)
        filled = append(filled, info)
        new = [int(s) for s, w, status in zip(info.slot, info.win, info.status, strict=True) if w and status == 2]
        assert not set(new) & set(found)
        found += new
        assert filled.slots[: int(filled.count)].tolist() == found
        assert sorted(found) == np.flatnonzero(archive.filled).tolist()


def test_draws_are_uniform_over_the_filled_slots():
    filled = none_filled(C)._replace(slots=jnp.array([5, 2, 3, 0, 0, 0]), count=jnp.int32(3))
    edge = jnp.array([0.0, 0.3333, 0.3334, 0.6667, 1 - 2**-24])
    assert draw(filled, edge).tolist() == [5, 5, 2, 3, 3]
    assert draw(none_filled(C), edge).tolist() == [0] * 5


def thresholds_by_hand(thr, slot, score, alpha):
    thr, old = thr.astype(float).copy(), thr.copy()
    accepted = np.zeros(B, bool)
    value = np.full(B, -np.inf)
    for s in range(C):
        lanes = [i for i in range(B) if slot[i] == s and not np.isnan(score[i])]
        for i in lanes:
            value[i] = score[i] - old[s]
        lanes = [i for i in lanes if score[i] > old[s]]
        accepted[lanes] = True
        if lanes:
            share = (1 - alpha) ** len(lanes)
            thr[s] = share * old[s] + (1 - share) * np.mean(score[lanes])
    return thr, accepted, value


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.7, 1.0])
def test_thresholds_follow_the_formula(alpha):
    thr = jnp.array([0.0, 0.5, -1.0, 1.0, 3.0, 0.0])
    for seed in range(5):
        slot, score = random_batch(seed)
        expected = thresholds_by_hand(np.asarray(thr), slot, score, alpha)
        got = jax.jit(anneal)(thr, slot, score, alpha)
        for mine, theirs in zip(got, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-6)
        thr = got[0]


def test_alpha_one_is_the_improvement_of_an_ordinary_archive():
    """As long as no two candidates of a batch share a cell: then the threshold is the score of the elite."""
    archive, thr = table.init(jnp.zeros(()), C), jnp.zeros(C)
    rng = np.random.default_rng(0)
    archive, _ = table.insert(archive, jnp.arange(C), jnp.zeros(C), jnp.zeros(C))
    for _ in range(20):
        slot, score = jnp.array(rng.permutation(C), jnp.int32), jnp.array(rng.random(C), jnp.float32)
        archive, info = table.insert(archive, slot, score, score)
        thr, accepted, value = anneal(thr, slot, score, 1.0)
        np.testing.assert_allclose(value, info.value, atol=1e-6)
        np.testing.assert_array_equal(accepted, info.status > 0)


def test_invalid_candidates_leave_the_thresholds_alone():
    thr, accepted, value = anneal(jnp.zeros(2), jnp.array([0, 1]), jnp.array([1.0, 1.0]), 0.5, jnp.array([False, True]))
    assert thr.tolist() == [0.0, 0.5] and accepted.tolist() == [False, True] and value.tolist() == [-np.inf, 1.0]


def test_corrected_archive_drops_lucky_elites():
    archive = table.init(jnp.zeros(()), 4, descriptor_size=1)
    archive, _ = table.insert(
        archive, jnp.array([0, 1, 3]), jnp.array([9.0, 1.0, 2.0]), jnp.array([0.0, 1.0, 1.2]), desc=jnp.zeros((3, 1))
    )

    def evaluate(x):  # the truth: fitness is x, and everything rounds to its own cell
        return x, jnp.floor(x)[:, None]

    again = corrected(archive, evaluate, lambda d: d[:, 0].astype(jnp.int32))
    np.testing.assert_allclose(again.score, [0.0, 1.2, -np.inf, -np.inf])


def test_uniformity_of_hand_made_histograms():
    assert float(uniformity(jnp.array([3, 3, 3, 3]))) == pytest.approx(1.0)
    assert float(uniformity(jnp.array([5, 5, 0]), jnp.array([True, True, False]))) == pytest.approx(1.0)
    assert float(uniformity(jnp.array([0, 0, 7]), jnp.array([True, True, False]))) == pytest.approx(0.0, abs=1e-6)
    assert float(uniformity(jnp.zeros(3, jnp.int32))) == 0.0
    p, q = np.array([1.0, 0]), np.array([0.5, 0.5])
    m = (p + q) / 2
    jsd = 0.5 * np.log2(1 / m[0]) + 0.5 * (q * np.log2(q / m)).sum()
    assert float(uniformity(jnp.array([4, 0]))) == pytest.approx(1 - jsd, rel=1e-5)
