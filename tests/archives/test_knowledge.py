"""The selection weights with domain knowledge, worked by hand on a line of places, and in a run of the pyramid."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.algorithm import make_train
from purejaxexplore.archives import archive as table
from purejaxexplore.archives import weights
from purejaxexplore.archives.indices import find_slots, hash_slots
from purejaxexplore.envs.grids.pyramid import Pyramid
from purejaxexplore.go_explore import GoExploreConfig, go_explore
from tests.toy_envs import Corridor


class Payload(NamedTuple):
    packed: jax.Array


class Line:
    """Six places in a row on each level, with keys; a state is its cell: level, place, keys."""

    num_states = 6

    def pack(self, state):
        return state

    def unpack(self, packed, params):
        return packed

    def knowledge(self, state, params):
        level, place, keys = state
        beside = place + jnp.array([-1, 1])
        cells = jnp.stack([jnp.full(2, level), beside, jnp.full(2, keys)], -1)
        return level, place, keys, cells, (beside >= 0) & (beside < 6)


def insert(archive, records):
    cells = jnp.array(records, jnp.int32)
    slot, archive = hash_slots(archive, cells, jnp.ones(len(records), bool))
    return slot, table.insert(archive, slot, jnp.zeros(len(records)), Payload(cells))[0]


def test_weights_by_hand():
    empty = table.init(Payload(jnp.zeros(3, jnp.int32)), 64, ("key", "seen"))
    # Level, place, keys; then missing neighbours inside the line, and whether nobody has been there with more keys.
    records = [(0, 0, 0), (0, 1, 0), (0, 1, 2), (0, 3, 0), (1, 3, 0), (1, 4, 0), (1, 5, 0), (1, 4, 1)]
    missing, leads = [0, 1, 2, 2, 1, 0, 0, 2], [1, 0, 1, 1, 1, 0, 1, 1]
    slot, archive = insert(empty, records)
    seen = jnp.arange(8)
    archive = archive._replace(seen=archive.seen.at[slot].set(seen))
    rule = weights.domain_knowledge(Line(), None, neighbour=0.1, keys=1.0, low_level=0.1)
    got = np.asarray(jax.jit(rule)(archive))[np.asarray(slot)]
    discount = np.array([0.1] * 4 + [1.0] * 4)
    expected = discount * (1 / np.sqrt(1 + np.arange(8)) + 0.1 * np.array(missing) + np.array(leads))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    # Beyond the last level that is told apart nothing is discounted.
    flat = np.asarray(weights.domain_knowledge(Line(), None, max_levels=1)(archive))[np.asarray(slot)]
    assert flat[0] == pytest.approx(2.0)


def test_find_slots_finds_what_hash_slots_placed():
    archive = table.init(Payload(jnp.int32(0)), 64, ("key",))
    keys = jax.random.randint(jax.random.key(0), (40, 2), 0, 9)
    valid = jnp.arange(40) < 30
    slot, archive = hash_slots(archive, keys, valid)
    known = {tuple(key): int(s) for key, s in zip(keys[:30].tolist(), slot[:30], strict=True)}
    found = find_slots(archive, keys, jnp.arange(40) != 3)
    expected = [64 if i == 3 else known.get(tuple(key), 64) for i, key in enumerate(keys.tolist())]
    assert found.tolist() == expected


def test_the_pyramid_knows_its_neighbours():
    env = Pyramid()
    start = env.reset_env(jax.random.key(0), env.default_params)[1]

    def at(room, x, y=9, **fields):
        state = start._replace(room=jnp.int32(room), x=jnp.int32(x), y=jnp.int32(y))
        return state._replace(**{name: jnp.int32(value) for name, value in fields.items()})

    for state, left, right in (
        (at(4, 12), at(4, 10), at(4, 14)),
        (at(4, 0), at(3, 26), at(4, 2)),
        (at(5, 26), at(5, 24), None),  # the end of the top row
        (at(27, 1), None, at(27, 2)),
    ):
        level, place, keys, cells, exists = env.knowledge(state)
        assert (int(level), int(place), int(keys)) == (0, int(env.state_id(state)), 0)
        for beside, cell, there in zip((left, right), cells, exists, strict=True):
            assert bool(there) == (beside is not None)
            assert beside is None or cell.tolist() == env.cell_key(beside).tolist()


@pytest.mark.slow
def test_a_run_with_domain_knowledge(key):
    env = Pyramid()
    params = env.default_params.replace(lives=1)
    config = GoExploreConfig(action_repeat=0.9, num_lanes=8, horizon=12, capacity=256, num_iterations=12)
    rule = weights.domain_knowledge(env, params)
    state, metrics = jax.jit(make_train(go_explore(env, params, config, weight=rule), 12))(key)
    assert metrics["cells"][-1] > 20 and metrics["overflow"][-1] == 0
    weight, filled = np.asarray(rule(state.archive)), np.asarray(state.archive.filled)
    assert (weight[filled] > 0).all() and np.isfinite(weight).all()
    with pytest.raises(ValueError, match="Corridor: has no knowledge"):
        weights.domain_knowledge(Corridor(6), None)
    with pytest.raises(ValueError, match="max_levels=0"):
        weights.domain_knowledge(env, params, max_levels=0)
