"""Episode bookkeeping against a loop over episodes."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from purejaxexplore.blocks.episodes import advance, init_episodes, mark_visited, summarise


@jax.jit
def play(episodes, rewards, dones, successes):
    return jax.lax.scan(lambda e, x: advance(e, *x), episodes, (rewards, dones, successes))


_summarise = jax.jit(summarise)


@given(seed=st.integers(0, 10_000))
def test_equals_a_loop_over_episodes_and_rollouts(seed):
    rng = np.random.default_rng(seed)
    T, N = 12, 3
    rewards = rng.integers(-2, 3, (2, T, N)).astype(np.float32)
    dones, successes = rng.random((2, 2, T, N)) < 0.2
    episodes, running = init_episodes(N), [[] for _ in range(N)]
    for r in range(2):
        ended = []
        for t in range(T):
            for n in range(N):
                running[n].append(rewards[r, t, n])
                if dones[r, t, n]:
                    ended.append((sum(running[n]), len(running[n]), successes[r, t, n]))
                    running[n] = []
        episodes, finished = play(episodes, rewards[r], dones[r], successes[r])
        episodes, metrics = _summarise(episodes, finished)
        assert metrics["episodes"] == len(ended)
        if ended:
            for column, name in enumerate(("episode_return", "episode_length", "success")):
                np.testing.assert_allclose(metrics[name], np.mean([e[column] for e in ended]), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(episodes.lengths, [len(r) for r in running])
    np.testing.assert_allclose(episodes.returns, [sum(r) for r in running])


def test_a_rollout_in_which_nothing_ends_reports_the_last_averages():
    ones, no = jnp.ones((2, 1)), jnp.zeros((2, 1), bool)
    episodes, finished = play(init_episodes(1), ones, no.at[1].set(True), no.at[1].set(True))
    episodes, metrics = summarise(episodes, finished)
    assert (metrics["episodes"], metrics["episode_return"], metrics["episode_length"]) == (1, 2.0, 2.0)
    episodes, finished = play(episodes, ones, no, no)
    _, metrics = summarise(episodes, finished)
    assert metrics["episodes"] == 0
    assert (metrics["episode_return"], metrics["episode_length"], metrics["success"]) == (2.0, 2.0, 1.0)
    assert {name: value.dtype.name for name, value in metrics.items()} == {
        "episodes": "int32", "episode_return": "float32", "episode_length": "float32", "success": "float32",
    }  # fmt: skip


def test_before_the_first_end_everything_is_zero():
    no = jnp.zeros((2, 1), bool)
    episodes, finished = play(init_episodes(1), jnp.ones((2, 1)), no, no)
    assert all(value == 0 for value in summarise(episodes, finished)[1].values())


def test_visited_states_stay_visited_and_ids_beyond_the_table_are_ignored():
    visited = mark_visited(jnp.zeros(5, bool), jnp.asarray([[1, 3], [3, 99]]))
    np.testing.assert_array_equal(visited, [False, True, False, True, False])
    np.testing.assert_array_equal(mark_visited(visited, jnp.asarray([0])), [True, True, False, True, False])
