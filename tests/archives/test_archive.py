"""The archive against a sequential model, one candidate at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purejaxexplore.archives import archive as table

C, B = 5, 8
PAYLOAD = {"x": jax.ShapeDtypeStruct((2,), jnp.float32), "id": jax.ShapeDtypeStruct((), jnp.int32)}
FIELDS = ("tie", "node")

lanes = st.tuples(
    st.integers(-1, C + 1),
    st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.5, np.inf, -np.inf, np.nan]),
    st.integers(0, 3),
    st.booleans(),
)
batches = st.lists(st.lists(lanes, min_size=B, max_size=B), min_size=1, max_size=4)


def offer(archive, slot, score, tie, valid, ids):
    payload = {"x": jnp.stack([ids * 1.0, score], -1), "id": ids}
    return table.insert(archive, slot, score, payload, tie=tie, node=ids + 100, valid=valid)


offer_jit = jax.jit(offer)


def arrays(batch, number):
    slot, score, tie, valid = (np.array(column) for column in zip(*batch, strict=True))
    ids = np.arange(B, dtype=np.int32) + B * number
    return slot.astype(np.int32), score.astype(np.float32), tie.astype(np.int32), valid, ids


class Sequential:
    """slot -> (score, tie, id), candidates considered one by one."""

    def __init__(self):
        self.best = {}

    def offer(self, slot, score, tie, valid, ids):
        for s, f, t, v, i in zip(slot, score, tie, valid, ids, strict=True):
            if v and 0 <= s < C and not np.isnan(f) and f > -np.inf:
                old = self.best.get(s, (-np.inf, np.iinfo(np.int32).max, -1))
                if f > old[0] or (f == old[0] and t < old[1]):
                    self.best[int(s)] = (f, t, i)

    def matches(self, archive):
        for s in range(C):
            score, tie, i = self.best.get(s, (-np.inf, np.iinfo(np.int32).max, -1))
            assert archive.score[s] == score and archive.tie[s] == tie
            if i >= 0:
                assert archive.payload["id"][s] == i and archive.node[s] == i + 100
                np.testing.assert_array_equal(archive.payload["x"][s], np.float32([i, score]))


@given(batches)
def test_insert_equals_the_sequential_model(some_batches):
    archive, model = table.init(PAYLOAD, C, FIELDS), Sequential()
    for number, batch in enumerate(some_batches):
        candidates = arrays(batch, number)
        before = jax.tree.map(np.asarray, archive)
        archive, info = offer_jit(archive, *candidates)
        model.offer(*candidates)
        model.matches(jax.tree.map(np.asarray, archive))
        slot, score, tie, valid, ids = candidates
        for lane in range(B):
            s, inside = slot[lane], valid[lane] and 0 <= slot[lane] < C and score[lane] > -np.inf
            old = before.score[s] if inside else np.inf
            better = inside and (score[lane] > old or (score[lane] == old and tie[lane] < before.tie[s]))
            assert info.status[lane] == (0 if not better else 2 if old == -np.inf else 1)
            assert bool(info.win[lane]) == (inside and int(archive.payload["id"][s]) == ids[lane])
            assert info.slot[lane] == (s if inside else C)
            if inside and np.isfinite(score[lane]) and np.isfinite(old):
                assert info.value[lane] == score[lane] - old


@given(batches.map(lambda b: b[0]), st.permutations(range(B)))
def test_permuted_lanes_store_the_same_scores_and_ties(batch, order):
    archive = table.init(PAYLOAD, C, FIELDS)
    candidates = arrays(batch, 0)
    plain, _ = offer_jit(archive, *candidates)
    shuffled, _ = offer_jit(archive, *(c[list(order)] for c in candidates))
    np.testing.assert_array_equal(plain.score, shuffled.score)
    np.testing.assert_array_equal(plain.tie, shuffled.tie)
    # Lanes with distinct (slot, score, tie) do not depend on the order at all.
    keys = [(s, f, t) for s, f, t, v, _ in zip(*candidates, strict=True) if v]
    if len(set(keys)) == len(keys):
        np.testing.assert_array_equal(plain.payload["id"], shuffled.payload["id"])


def random_batch(seed, zeros=(-0.0, 0.0)):
    rng = np.random.default_rng(seed)
    score = rng.choice([*zeros, 1, 2, np.nan], B).astype(np.float32)
    return (
        rng.integers(0, C, B).astype(np.int32), score, rng.integers(0, 2, B).astype(np.int32),
        rng.random(B) < 0.8, np.arange(B, dtype=np.int32),
    )  # fmt: skip


def test_three_hundred_batches_full_of_ties_equal_the_sequential_model():
    archive, model = table.init(PAYLOAD, C, FIELDS), Sequential()
    for number in range(300):
        if number % 5 == 0:
            archive, model = table.init(PAYLOAD, C, FIELDS), Sequential()
        slot, score, tie, valid, ids = random_batch(number)
        archive, _ = offer_jit(archive, slot % 2, score, tie, valid, ids)
        model.offer(slot % 2, score, tie, valid, ids)
        model.matches(jax.tree.map(np.asarray, archive))


def equal(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(np.asarray(x), np.asarray(y)), a, b)


def test_vmap_is_a_loop_and_jit_changes_nothing():
    archive = table.init(PAYLOAD, C, FIELDS)
    seeds = [random_batch(seed) for seed in range(6)]
    stacked = jax.vmap(offer, (None, 0, 0, 0, 0, 0))(archive, *(np.stack(x) for x in zip(*seeds, strict=True)))
    for i, batch in enumerate(seeds):
        alone = offer_jit(archive, *batch)
        equal(alone, jax.tree.map(lambda x, i=i: x[i], stacked))
        equal(alone, offer(archive, *batch))


def test_a_batch_may_be_split_anywhere():
    archive = table.init(PAYLOAD, C, FIELDS)
    slot, score, tie, valid, ids = random_batch(3)
    whole, _ = offer_jit(archive, slot, score, tie, valid, ids)
    for cut in range(B):
        first, rest = np.arange(B) < cut, np.arange(B) >= cut
        split, _ = offer_jit(archive, slot, score, tie, valid & first, ids)
        split, _ = offer_jit(split, slot, score, tie, valid & rest, ids)
        equal(whole._replace(owner=0), split._replace(owner=0))


def test_zero_has_one_sign():
    for order in ([0.0, -0.0], [-0.0, 0.0]):
        archive = table.init(PAYLOAD, C)
        payload = {"x": jnp.zeros((2, 2)), "id": jnp.arange(2)}
        archive, info = table.insert(archive, jnp.zeros(2, jnp.int32), jnp.array(order), payload)
        assert not np.signbit(archive.score[0])
        assert info.win.tolist() == [True, False]


def test_optional_fields_cost_nothing():
    archive = table.init(PAYLOAD, C)
    assert [getattr(archive, name) for name in table.OPTIONAL_FIELDS] == [None] * len(table.OPTIONAL_FIELDS)
    assert archive.desc is None
    assert table.init(PAYLOAD, C, descriptor_size=3).desc.shape == (C, 3)


def test_write_overwrites_whatever_the_score():
    archive = table.init(PAYLOAD, C, ("node",))
    payload = {"x": jnp.ones((2, 2)), "id": jnp.array([7, 8])}
    archive, _ = table.insert(archive, jnp.array([1, 2]), jnp.array([5.0, 5.0]), payload, node=jnp.array([1, 2]))
    new = {"x": jnp.zeros((2, 2)), "id": jnp.array([9, 10])}
    mask = jnp.array([True, False])
    archive = table.write(archive, jnp.array([1, 2]), mask, score=jnp.array([1.0, 1.0]), payload=new)
    assert archive.payload["id"].tolist() == [0, 9, 8, 0, 0]
    assert archive.score[1:3].tolist() == [1.0, 5.0]
    assert archive.node[1] == 1


def test_stats_of_a_hand_made_archive():
    archive = table.init(PAYLOAD, 4, ("seen",))
    empty = table.stats(archive)
    assert (empty["cells"], empty["mean_score"], empty["seen_entropy"]) == (0, 0, 0)
    archive = archive._replace(score=jnp.array([1.0, -jnp.inf, 3.0, -jnp.inf]), seen=jnp.array([2, 0, 2, 0]))
    result = table.stats(archive, offset=-1.0, reachable=2)
    assert (result["cells"], result["coverage"], result["qd_score"]) == (2, 1.0, 6.0)
    assert (result["max_score"], result["mean_score"]) == (3.0, 2.0)
    np.testing.assert_allclose(result["seen_entropy"], np.log(2), rtol=1e-6)


@pytest.mark.parametrize("arguments", [{"capacity": 0}, {"capacity": 2.5}, {"capacity": 3, "fields": ("ties",)}])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="capacity|ties"):
        table.init(PAYLOAD, **arguments)
