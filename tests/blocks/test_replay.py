"""The replay buffer against a Python list, and its n-step returns against a loop over the steps."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purejaxexplore.blocks.replay import init_replay, n_step, push, require_replay, sample_windows

N, ROWS = 2, 5
jit_push = jax.jit(push)
sample = jax.jit(sample_windows, static_argnums=(2, 3))


def rows_from(first, count):
    """Rows numbered on from ``first``, the same in both lanes."""
    time = np.arange(first, first + count, dtype=np.int32)
    return {"time": np.repeat(time[:, None], N, 1), "pair": np.stack([time, -time], -1)[:, None].repeat(N, 1)}


@given(st.lists(st.integers(1, ROWS), min_size=1, max_size=6))
def test_holds_the_newest_rows_in_order(counts):
    replay, time, model = init_replay(jax.tree.map(lambda x: x[0], rows_from(0, 1)), ROWS), 0, []
    for count in counts:
        replay = jit_push(replay, rows_from(time, count))
        model = (model + [*range(time, time + count)])[-ROWS:]
        time += count
    assert replay.size == len(model) and replay.head == time % ROWS
    oldest_first = (int(replay.head) - len(model) + np.arange(len(model))) % ROWS
    np.testing.assert_array_equal(np.asarray(replay.data["time"])[oldest_first], np.repeat([model], N, 0).T)
    np.testing.assert_array_equal(replay.data["pair"][..., 0], -replay.data["pair"][..., 1])

    length = min(len(model), 3)
    rows, lanes = sample(jax.random.key(sum(counts)), replay, 64, length)
    drawn = np.asarray(replay.data["time"])[rows, np.asarray(lanes)[:, None]]
    np.testing.assert_array_equal(np.diff(drawn, axis=1), 1)
    assert set(drawn[:, 0]) == set(model[: len(model) - length + 1])  # every window that exists, and no other
    assert set(np.asarray(lanes)) == {0, 1}


def test_windows_are_drawn_uniformly():
    replay = init_replay({"x": jnp.zeros((N,))}, ROWS)
    replay = jit_push(jit_push(replay, {"x": jnp.zeros((4, N))}), {"x": jnp.zeros((3, N))})
    rows, lanes = sample(jax.random.key(0), replay, 8000, 2)
    counts = np.bincount(np.asarray(rows[:, 0]) * N + lanes, minlength=ROWS * N).reshape(ROWS, N)
    assert replay.head == 2 and (counts[1] == 0).all()  # row 1 is the newest: nothing follows it yet
    np.testing.assert_allclose(np.delete(counts, 1, 0), 1000, atol=150)


def slow_n_step(rewards, terminated, truncated, gamma, episodic):
    """One stream of one window, step by step."""
    total, weight = 0.0, 1.0
    for reward, ends, cut in zip(rewards, terminated, truncated, strict=True):
        total += weight * reward
        weight *= gamma
        if episodic and ends:
            return total, 0.0
        if episodic and cut:
            return total, weight
    return total, weight


@partial(jax.jit, static_argnums=4)
def returns(rewards, terminated, truncated, gammas, episodic):
    return n_step(rewards, terminated, truncated, gammas, episodic)


@given(st.integers(0, 2**32 - 1))
def test_returns_equal_a_loop_over_the_steps(seed):
    random = np.random.default_rng(seed)
    rewards = random.normal(size=(6, 4, 3)).astype(np.float32)
    terminated, truncated = random.random((2, 6, 4)) < 0.2
    gammas, episodic = np.float32([0.9, 0.0, 1.0]), (True, True, False)
    ours = returns(rewards, terminated, truncated, gammas, episodic)
    for b in range(6):
        done = np.flatnonzero((terminated | truncated)[b])
        assert ours.last[b] == (done[0] if len(done) else 3)
        for k in range(3):
            expected = slow_n_step(rewards[b, :, k], terminated[b], truncated[b], gammas[k], episodic[k])
            np.testing.assert_allclose((ours.returns[b, k], ours.discounts[b, k]), expected, atol=1e-5)


@pytest.mark.parametrize(
    "sizes, message",
    [
        ((30, 4, 8, 1, 2), "replay_capacity=30: expected a multiple of num_envs=4, for instance 32"),
        ((8, 4, 9, 1, 2), "replay_capacity=8: expected at least batch_size=9"),
        ((12, 4, 4, 3, 2), "replay_capacity=12: expected at least 16, which is 4 steps of 4 environments"),
        ((12, 4, 4, 1, 5), "replay_capacity=12: expected at least 20"),
        ((12, 4, 0, 1, 2), "batch_size=0: expected a whole number of at least 1"),
        ((12, 4, 4, 0, 2), "n_step=0"),
    ],
)
def test_refuses_sizes_that_do_not_fit(sizes, message):
    with pytest.raises(ValueError, match=message):
        require_replay(*sizes)


def test_refuses_more_rows_than_it_holds():
    with pytest.raises(ValueError, match="rows: 6 at once, expected at most the 5"):
        push(init_replay({"x": jnp.zeros((N,))}, ROWS), {"x": jnp.zeros((6, N))})
