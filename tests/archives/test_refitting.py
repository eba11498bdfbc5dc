"""Cells that are searched anew during a run: the search, the move of records, and whole runs on a world of pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.algorithm import make_train
from purejaxexplore.archives import archive as table
from purejaxexplore.archives import cells
from purejaxexplore.archives.counters import COUNTERS
from purejaxexplore.archives.downscaling import Sizes, representativeness, search
from purejaxexplore.archives.refitting import RefitConfig, refitted, reindex
from purejaxexplore.go_explore import GoExploreConfig, go_explore, replay
from purejaxexplore.testing import check_algorithm
from tests.toy_envs import Corridor

REFIT = RefitConfig(
    every=60, first=60, keep=0.5, target=0.5, initial=(1, 1, 2), most=(2, 6), num_frames=16, num_proposals=12
)
SMALL = GoExploreConfig(action_repeat=0.5, num_lanes=4, horizon=6, capacity=32, num_iterations=8)


class Strip(Corridor):
    """The corridor as a picture [2, 6]: bright where the agent is."""

    def get_obs(self, state, params=None, key=None):
        return 255.0 * jnp.zeros((2, 6)).at[:, state.position].set(1.0)


@pytest.fixture(scope="module")
def run(key):
    env = Strip(6)
    params = env.default_params.replace(random_start=False, max_steps_in_episode=20)
    algorithm = go_explore(env, params, SMALL, cell=refitted(env, params, REFIT))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(2))
    return env, params, keys, *jax.jit(jax.vmap(make_train(algorithm, 8)))(keys)


@pytest.mark.parametrize("out", [1, 4, 5])
def test_areas_equal_pooling_with_empty_rows_below(out):
    rows = np.asarray(cells.areas(jnp.int32(out), 5, 12))
    np.testing.assert_allclose(rows[:out], cells.pooling(out, 12), atol=1e-6)
    assert not rows[out:].any()


def test_a_digest_tells_pictures_apart_and_ignores_their_shape():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 3, (2000, 3, 4))
    digests = np.asarray(jax.vmap(cells.digest)(jnp.asarray(pictures)))
    assert digests.dtype == np.int32 and digests.shape == (2000, 2)
    assert len(np.unique(digests, axis=0)) == len(np.unique(pictures.reshape(2000, -1), axis=0))
    assert len(np.unique(digests[:, 0])) == len(np.unique(digests[:, 1])) == len(np.unique(digests, axis=0))
    assert cells.digest(jnp.arange(12)).tolist() == cells.digest(jnp.arange(12).reshape(3, 4)).tolist()


def test_representativeness_leaves_out_what_is_not_valid():
    words = jnp.array([[1], [2], [2], [3], [4], [4]])
    valid = jnp.array([True, True, True, False, True, False])
    np.testing.assert_allclose(representativeness(words, 0.5, valid), representativeness(words[valid], 0.5), rtol=1e-6)
    assert float(representativeness(words, 0.5, False)) == 0.0


def test_the_search_finds_the_best_and_stays_in_range():
    """300 proposals, near the best so far, of 64 sizes; and a flat score accepts them all, the last one."""
    most, pixels = (4, 4, 5), (40, 40, 40)

    def distance(sizes):
        return -(jnp.abs(sizes.height - 3) + jnp.abs(sizes.width - 1) + jnp.abs(sizes.depth - 4)).astype(jnp.float32)

    keys = jax.random.split(jax.random.key(0), 4)
    best = jax.vmap(lambda key: jnp.stack(search(key, distance, most, pixels, 300)))(keys)
    assert best.tolist() == [[3, 1, 4]] * 4
    last = jax.vmap(lambda key: jnp.stack(search(key, lambda s: jnp.float32(0), most, pixels, 2)))(
        jax.random.split(jax.random.key(1), 500)
    )
    assert last.min(0).tolist() == [1, 1, 2] and last.max(0).tolist() == [4, 4, 5]
    shares = np.bincount(np.asarray(last[:, 0]), minlength=5)[1:] / 500
    assert (np.diff(shares) < 0.02).all()  # geometric: the smaller, the likelier


@pytest.mark.parametrize("reset_on_update", [True, False])
def test_records_that_meet_are_compared_and_counters_follow(reset_on_update):
    archive = table.init({"packed": jnp.int32(0)}, 8, ("tie", "node", "key", *COUNTERS))
    slot, score, tie = jnp.array([0, 3, 5, 6]), jnp.array([1.0, 4.0, 4.0, 2.0]), jnp.array([5, 7, 6, 1])
    payload = {"packed": jnp.array([10, 13, 15, 16])}
    archive, _ = table.insert(archive, slot, score, payload, tie=tie, node=jnp.array([20, 23, 25, 26]))
    counts = jnp.array([1, 2, 4, 8])
    archive = table.write(archive, slot, jnp.ones(4, bool), seen=counts, chosen=10 * counts, fresh=100 * counts)
    key = jnp.zeros((8, 2), jnp.int32).at[6].set(9)  # the first three meet
    moved = jax.jit(reindex, static_argnums=(2, 3))(archive, key, 8, reset_on_update)
    order = np.argsort(np.asarray(moved.payload["packed"]))[-2:]
    assert moved.filled.sum() == 2 and moved.overflow == 0
    assert moved.payload["packed"][order].tolist() == [15, 16]
    assert moved.score[order].tolist() == [4.0, 2.0] and moved.tie[order].tolist() == [6, 1]
    assert moved.node[order].tolist() == [25, 26]
    assert moved.seen[order].tolist() == ([4, 8] if reset_on_update else [7, 8])
    assert moved.fresh[order].tolist() == ([400, 800] if reset_on_update else [700, 800])


def test_a_run_refits_on_time_and_its_records_lie_where_they_belong(run):
    env, params, _, state, metrics = run
    assert metrics["cells"][0, 0] <= 2  # one pixel of two greys sees nothing
    assert (state.view.fits >= 2).all() and (metrics["overflow"] == 0).all()
    sizes = np.stack([metrics[f"cell_{name}"] for name in Sizes._fields], -1)
    assert (sizes[:, 0] == (1, 1, 2)).all() and (sizes[:, -1, 1] > 1).all()
    for seed in range(2):
        one = jax.tree.map(lambda leaf, seed=seed: leaf[seed], state)
        filled = np.asarray(one.archive.filled)
        height, width, depth = (int(size) for size in one.view.sizes)
        cell = cells.downscaled(height, width, depth)
        states = jax.tree.map(lambda leaf, filled=filled: leaf[filled], one.archive.payload.packed)
        keys = np.asarray(jax.vmap(lambda s, cell=cell: cell(env.get_obs(s), s, params))(states))
        assert len(np.unique(keys, axis=0)) == filled.sum() == metrics["cells"][seed, -1]


def test_records_still_replay(run):
    env, params, keys, state, _ = run
    one = jax.tree.map(lambda leaf: leaf[1], state)
    for slot in np.flatnonzero(one.archive.filled):
        again = replay(env, params, SMALL, one, one.archive.node[slot], keys[1])
        assert again.states.position[-1] == one.archive.payload.packed.position[slot]
        assert len(again.actions) == one.archive.payload.length[slot]


@pytest.mark.slow
def test_a_crowded_archive_calls_for_a_search_once_new_frames_are_there(key):
    env = Strip(6)
    params = env.default_params.replace(random_start=False)
    config = REFIT.replace(first=10**6, every=10**6, max_cells=1, initial=(2, 6, 4), num_frames=8, keep=1.0)
    algorithm = go_explore(env, params, SMALL, cell=refitted(env, params, config))
    check_algorithm(algorithm, num_steps=2)
    state, _ = jax.jit(make_train(algorithm, 3))(key)
    assert state.view.fits >= 1 and state.view.due > 10**6


def test_bad_settings_are_refused():
    env, params = Strip(6), Strip(6).default_params
    for changes, message in (
        ({"every": 0}, "every=0"),
        ({"keep": 0.0}, "keep=0.0"),
        ({"target": 2.0}, "target=2.0"),
        ({"most": (3, 6)}, "expected a height of 1 to 2"),
        ({"initial": (1, 1, 1)}, "depth of 2 to 255"),
    ):
        with pytest.raises(ValueError, match=message):
            refitted(env, params, REFIT.replace(**changes))
    with pytest.raises(ValueError, match="are no images"):
        refitted(Corridor(6), Corridor(6).default_params, REFIT)
    with pytest.raises(ValueError, match="index='key'.*need 'hash'"):
        go_explore(env, params, SMALL.replace(index="key"), cell=refitted(env, params, REFIT))
    with pytest.raises(ValueError, match="return_mode='replay': cells that change during a run need 'restore'"):
        go_explore(env, params, SMALL.replace(return_mode="replay"), cell=refitted(env, params, REFIT))
