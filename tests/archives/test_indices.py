"""Index functions against NumPy and dictionaries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purejaxexplore.archives import archive as table
from purejaxexplore.archives import indices

NUMBER = jax.ShapeDtypeStruct((), jnp.int32)


def test_grid_is_row_major_and_clips_and_rejects_nan():
    x = jnp.array([[0.0, 0.0], [0.99, 0.0], [0.0, 0.99], [5.0, -5.0], [jnp.inf, 0.5], [jnp.nan, 0.5], [1.0, 1.0]])
    slot = indices.grid_slots(x, jnp.zeros(2), jnp.ones(2), (2, 3))
    assert slot.tolist() == [0, 3, 2, 3, 4, 6, 5]


def test_every_lower_edge_is_inside_its_cell():
    edges = np.float32(np.arange(50) / 50 * 3 - 1)[:, None]
    assert indices.grid_slots(jnp.array(edges), -1.0, 2.0, (50,)).tolist() == list(range(50))


def test_key_slots():
    archive = table.init(NUMBER, 4)
    key = jnp.array([[0], [3], [4], [-1], [2]])
    slot, _ = indices.key_slots(archive, key, jnp.array([True, True, True, True, False]))
    assert slot.tolist() == [0, 3, 4, 4, 4]


find = jax.jit(indices.hash_slots, static_argnames="probes")
key_batches = st.lists(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 2), st.booleans()), min_size=10, max_size=10), max_size=4
)


def split(batch):
    words = np.array([lane[:2] for lane in batch], np.int32)
    return words, np.array([lane[2] for lane in batch])


@given(key_batches)
def test_hash_is_a_dictionary(batches):
    archive, known = table.init(NUMBER, 32, ("key",)), {}
    for words, valid in map(split, batches):
        slot, archive = find(archive, words, valid)
        for key, ok, s in zip(map(tuple, words.tolist()), valid, slot.tolist(), strict=True):
            assert s == 32 if not ok else known.setdefault(key, s) == s and 0 <= s < 32
        assert len(set(known.values())) == len(known)
        assert int((archive.key != table.FREE).sum()) == len(known)
    assert archive.overflow == 0


@given(key_batches, st.permutations(range(10)))
def test_hash_does_not_depend_on_the_order_of_lanes(batches, order):
    plain = shuffled = table.init(NUMBER, 32, ("key",))
    for words, valid in map(split, batches):
        slot, plain = find(plain, words, valid)
        moved, shuffled = find(shuffled, words[list(order)], valid[list(order)])
        np.testing.assert_array_equal(slot[jnp.array(order)], moved)
        np.testing.assert_array_equal(plain.key, shuffled.key)


def test_hash_vmap_is_a_loop():
    archive = table.init(NUMBER, 32, ("key",))
    words = jax.random.randint(jax.random.key(0), (3, 2, 20, 2), 0, 4)
    valid = jax.random.bernoulli(jax.random.key(1), 0.8, (3, 2, 20))

    def twice(words, valid):
        first, grown = indices.hash_slots(archive, words[0], valid[0])
        return first, indices.hash_slots(grown, words[1], valid[1])

    together = jax.vmap(twice)(words, valid)
    for i in range(3):
        alone = jax.jit(twice)(words[i], valid[i])
        jax.tree.map(lambda a, b, i=i: np.testing.assert_array_equal(a, b[i]), alone, together)


def test_a_full_table_counts_what_it_drops():
    archive = table.init(NUMBER, 4, ("key",))
    slot, archive = find(archive, jnp.arange(6)[:, None], jnp.ones(6, bool))
    assert sorted(slot.tolist()) == [0, 1, 2, 3, 4, 4]
    assert archive.overflow == 2
    again, archive = find(archive, jnp.arange(6)[:, None], jnp.ones(6, bool))
    np.testing.assert_array_equal(slot, again)
    assert archive.overflow == 4


def test_probes_bound_the_search():
    archive = table.init(NUMBER, 64, ("key",))
    slot, archive = find(archive, jnp.arange(60)[:, None], jnp.ones(60, bool), probes=2)
    assert 0 < archive.overflow == int((slot == 64).sum()) < 30


def test_a_table_three_quarters_full_drops_next_to_nothing():
    archive = table.init(NUMBER, 2**12, ("key",))
    n = 3 * 2**10
    slot, archive = find(archive, jnp.arange(n)[:, None], jnp.ones(n, bool))
    assert archive.overflow <= 2
    assert len(np.unique(slot)) == n - archive.overflow + (archive.overflow > 0)


def test_position_and_fingerprint_are_uniform_and_independent():
    words = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).reshape(-1, 2)
    home = np.asarray(indices.hash_words(jnp.array(words), 0x2545F491))
    print_ = np.asarray(indices.hash_words(jnp.array(words), 0x6C62272E))
    joint = np.bincount((home & 15) * 16 + (print_ & 15), minlength=256)
    expected = len(words) / 256
    assert ((joint - expected) ** 2 / expected).sum() < 330  # chi-square with 255 degrees, p = 0.001
    assert len(np.unique(np.stack([home, print_]), axis=1).T) == len(words)


def test_the_hash_index_needs_a_power_of_two():
    with pytest.raises(ValueError, match="capacity=12.*nearest is 16"):
        indices.hash_slots(table.init(NUMBER, 12, ("key",)), jnp.zeros((1, 1), jnp.int32), jnp.ones(1, bool))


def store(archive, slot, numbers, scores=None):
    scores = jnp.zeros(len(numbers)) if scores is None else scores
    return table.write(archive, slot, slot < archive.capacity, score=scores, payload=numbers)


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), max_size=4))
def test_fifo_keeps_the_latest(batches):
    archive, model = table.init(NUMBER, 3), []
    for number, valid in enumerate(batches):
        items = jnp.arange(5, dtype=jnp.int32) + 5 * number
        slot, archive = jax.jit(indices.fifo_slots)(archive, jnp.array(valid))
        archive = store(archive, slot, items)
        model += [int(i) for i, ok in zip(items, valid, strict=True) if ok]
        held = set(np.asarray(archive.payload)[np.asarray(archive.filled)].tolist())
        assert held == set(model[-3:]) and archive.n == len(model)


def test_reservoir_replays_algorithm_r_lane_by_lane():
    archive, model, m = table.init(NUMBER, 3), {}, 0
    for number in range(4):
        key = jax.random.key(number)
        valid = np.arange(6) % 5 != number
        slot, archive = jax.jit(indices.reservoir_slots)(key, archive, jnp.array(valid))
        archive = store(archive, slot, jnp.arange(6, dtype=jnp.int32) + 6 * number)
        numbers = m + np.cumsum(valid) - 1
        drawn = np.asarray(jax.random.randint(key, (6,), 0, jnp.maximum(jnp.array(numbers), 0) + 1))
        for lane in np.flatnonzero(valid):
            j = numbers[lane] if numbers[lane] < 3 else drawn[lane]
            if j < 3:
                model[int(j)] = 6 * number + int(lane)
        m += int(valid.sum())
        assert archive.payload.tolist() == [model[j] for j in range(3)] and archive.n == m


def test_reservoir_is_uniform_over_all_items():
    def once(key):
        def offer(archive, inputs):
            key, number = inputs
            slot, archive = indices.reservoir_slots(key, archive, jnp.ones(2, bool))
            return store(archive, slot, 2 * number + jnp.arange(2)), None

        keys = jax.random.split(key, 10)
        return jax.lax.scan(offer, table.init(NUMBER, 4), (keys, jnp.arange(10)))[0].payload

    held = jax.jit(jax.vmap(once))(jax.random.split(jax.random.key(0), 4000))
    counts = np.bincount(np.asarray(held).ravel(), minlength=20)
    expected = 4000 * 4 / 20
    assert ((counts - expected) ** 2 / expected).sum() < 44  # 19 degrees, p = 0.001


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0, np.nan, -np.inf]), st.booleans()), min_size=4, max_size=4),
        max_size=4,
    )
)
def test_lowest_keeps_the_best_of_old_and_new(batches):
    archive, model = table.init(NUMBER, 3), {}
    for number, batch in enumerate(batches):
        scores = jnp.array([score for score, _ in batch], jnp.float32)
        archive = enter(archive, scores, jnp.array([ok for _, ok in batch]), 4 * number)
        ranked = sorted(model.items(), key=lambda item: (-item[1][0], item[0]))
        arrivals = [(None, (score, 4 * number + i)) for i, (score, ok) in enumerate(batch) if ok and score >= 0]
        kept = sorted(ranked + arrivals, key=lambda item: -item[1][0])[:3]
        model = {slot: record for slot, record in kept if slot is not None}
        vacated = [slot for slot in range(3) if slot not in model]
        newcomers = sorted((record for slot, record in kept if slot is None), key=lambda record: record[1])
        model.update(zip(vacated, newcomers, strict=False))
        held = {i: int(archive.payload[i]) for i in np.flatnonzero(archive.filled)}
        assert held == {slot: number for slot, (_, number) in model.items()}


@jax.jit
def enter(archive, scores, valid, first):
    slot, archive = indices.lowest_slots(archive, scores, valid)
    return store(archive, slot, first + jnp.arange(4, dtype=jnp.int32), scores)
