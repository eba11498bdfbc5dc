"""The counter-based log: actions, the walk back to the start, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from purejaxexplore.archives import trajectory
from purejaxexplore.archives.packing import key_data, wrap_key_data


def test_extract_walks_back_to_the_start():
    # Two lanes, horizon 10. (0, 1) starts anew; (2, 0) starts after its action 3; (3, 1) after action 0 of (2, 0).
    parent = np.full((4, 2), trajectory.START)
    parent[2, 0] = 1 * 10 + 3
    parent[3, 1] = 4 * 10 + 0
    segments = trajectory.extract(parent, (3 * 2 + 1) * 10 + 9, 10)
    assert segments.tolist() == [[0, 1, 4], [2, 0, 1], [3, 1, 10]]
    assert trajectory.extract(parent, trajectory.START, 10).shape == (0, 3)


@pytest.mark.parametrize("node", [80, -3, trajectory.UNLOGGED])
def test_extract_refuses_nodes_that_are_not_in_the_log(node):
    with pytest.raises(ValueError, match=f"node={node}"):
        trajectory.extract(np.full((4, 2), trajectory.START), node, 10)


@pytest.mark.parametrize("repeat", [0.0, 0.8])
def test_repeated_actions_have_the_right_runs_and_frequencies(repeat):
    k, n = 50, 2000
    space = spaces.Discrete(5)
    keys = jax.random.split(jax.random.key(0), n)
    actions = np.asarray(jax.jit(jax.vmap(lambda key: trajectory.repeat_actions(key, space, k, repeat)))(keys))
    same = (actions[:, 1:] == actions[:, :-1]).mean()
    expected = repeat + (1 - repeat) / 5
    assert abs(same - expected) < 4 * np.sqrt(expected * (1 - expected) / (n * (k - 1)))
    counts = np.bincount(actions[:, 0], minlength=5)
    assert ((counts - n / 5) ** 2 / (n / 5)).sum() < 18.5  # 4 degrees, p = 0.001


def test_random_actions_cover_their_space_exactly():
    words = trajectory.random_actions(jax.random.key(0), spaces.Discrete(3), 60_000)
    counts = np.bincount(words, minlength=3)
    assert len(counts) == 3 and ((counts - 20_000) ** 2 / 20_000).sum() < 13.8  # 2 degrees, p = 0.001
    low = jnp.array([-1.0, 2.0])
    box = trajectory.random_actions(jax.random.key(0), spaces.Box(low, low + 1, (2,)), 500)
    assert box.shape == (500, 2) and (box >= low).all() and (box < low + 1).all()
    assert np.abs(np.asarray(box).mean(0) - np.asarray(low) - 0.5).max() < 0.06


def test_discrete_actions_are_the_high_word_of_a_product():
    key = jax.random.key(5)
    words = np.asarray(jax.random.bits(key, (100,), jnp.uint32)).astype(np.uint64)
    for n in (2, 7, 1000, 65_535):
        exact = (words * np.uint64(n)) >> np.uint64(32)
        np.testing.assert_array_equal(trajectory.random_actions(key, spaces.Discrete(n), 100), exact)


def test_lanes_and_iterations_have_keys_of_their_own():
    step_keys = [jax.random.fold_in(jax.random.key(0), t) for t in range(3)]
    keys = [trajectory.lane_key(key, lane) for key in step_keys for lane in range(3)]
    keys += [trajectory.select_key(key) for key in step_keys]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 12


@pytest.mark.parametrize("n", [0, 65_536])
def test_too_few_or_too_many_actions_are_refused(n):
    with pytest.raises(ValueError, match=f"{n} actions"):
        trajectory.require_bounded(spaces.Discrete(n))


def test_typed_keys_survive_packing():
    state = {"key": jax.random.key(3, impl="rbg"), "x": 2.0}
    packed = key_data(state)
    assert packed["key"].dtype == jnp.uint32 and packed["x"].dtype == jnp.float32
    template = jax.eval_shape(lambda: state)
    again = wrap_key_data(packed, template)
    assert again["key"].dtype == state["key"].dtype
    assert jax.random.normal(again["key"]) == jax.random.normal(state["key"])
