"""Visit counters against Python sets and a case worked by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.archives import archive as table
from purejaxexplore.archives import counters

C = 6


def empty():
    return table.init(jnp.int32(0), C, counters.COUNTERS)


@pytest.mark.parametrize("k", [7, counters._PAIRWISE_LIMIT + 20])
def test_touch_counts_each_rollout_once(k):
    slot = np.random.default_rng(0).integers(0, C + 1, (k, 5))
    archive = counters.touch(empty(), jnp.array(slot))
    expected = [sum(c in set(slot[:, lane]) for lane in range(5)) for c in range(C)]
    assert archive.seen.tolist() == expected


@pytest.mark.parametrize(
    ("reset", "seen", "chosen", "fresh"),
    [
        # Lanes 0 and 1 start from slot 0, lane 2 from slot 3. Lane 1 stores a record in slot 2, lane 2 in slot 3.
        (False, [3, 1, 3, 2, 1, 0], [2, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]),
        (True, [3, 1, 0, 0, 1, 0], [2, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]),
    ],
)
def test_count_visits_by_hand(reset, seen, chosen, fresh):
    origin = jnp.array([0, 0, 3])
    slot = jnp.array([[1, 2, 3], [2, 3, 0], [2, C, 4], [0, C, 2]])
    win = jnp.zeros((4, 3), bool).at[0, 1].set(True).at[0, 2].set(True)
    archive = counters.count_visits(empty(), origin, slot, win, reset)
    assert (archive.seen.tolist(), archive.chosen.tolist(), archive.fresh.tolist()) == (seen, chosen, fresh)


def test_fresh_grows_until_something_new_is_found():
    archive, nothing = empty(), jnp.zeros((1, 2), bool)
    origin, slot = jnp.array([1, 1]), jnp.array([[1, 2]])
    for _ in range(2):
        archive = counters.count_visits(archive, origin, slot, nothing, False)
    assert archive.fresh.tolist() == [0, 4, 0, 0, 0, 0]
    archive = counters.count_visits(archive, origin, slot, nothing.at[0, 1].set(True), False)
    assert archive.fresh.tolist() == [0, 0, 0, 0, 0, 0] and archive.chosen[1] == 6


def test_a_rollout_from_nowhere_counts_nowhere():
    archive = counters.count_visits(empty(), jnp.array([C]), jnp.array([[1]]), jnp.zeros((1, 1), bool), True)
    assert archive.seen.tolist() == [0, 1, 0, 0, 0, 0] and archive.chosen.sum() == 0
