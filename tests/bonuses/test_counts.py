"""Counts against numpy.bincount, and what an episode's end does to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import score_rollout
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.bonuses.sofe import expose, log_counts, sofe

S = 7


def steps_of(visited, start, done) -> Step:
    """A rollout that visits ``visited[T, N]`` and acts next from ``start[T, N]`` (or from where it is)."""
    visited, done = jnp.asarray(visited, jnp.int32), jnp.asarray(done)
    start = jnp.where(done, jnp.asarray(start, jnp.int32), visited)
    blank = jnp.zeros(visited.shape)
    aux = {"state_id": visited, "reset_state_id": start}
    obs = blank[..., None]
    return Step(obs, visited, blank, obs, done, jnp.zeros_like(done), obs, aux)


@pytest.fixture(scope="module")
def rollouts():
    """Two rollouts of three lanes as NumPy: visited, start and done, each [2, 15, 3]."""
    rng = np.random.default_rng(0)
    return rng.integers(0, S, (2, 15, 3)), rng.integers(0, S, (2, 15, 3)), rng.random((2, 15, 3)) < 0.2


def scored(bonus, rollouts):
    """Scores the second rollout after initialising with the first: (state before, state after, raw)."""
    first, second = (steps_of(*(part[i] for part in rollouts)) for i in range(2))
    state = bonus.init(jax.random.key(0), first)
    after, raw = jax.jit(lambda state: score_rollout(jax.random.key(1), bonus, state, second))(state)
    return state, after, np.asarray(raw)


def test_lifelong_counts_are_the_bincount_of_all_visits(rollouts):
    before, after, raw = scored(counts(CountsConfig(S, episodic=False)), rollouts)
    visited = rollouts[0][1]
    assert not np.any(before.life)
    np.testing.assert_array_equal(after.life, np.bincount(visited.ravel(), minlength=S))
    table = np.zeros(S)
    for t, row in enumerate(visited):  # all lanes add, then each is paid
        table += np.bincount(row, minlength=S)
        np.testing.assert_allclose(raw[t], table[row] ** -0.5, rtol=1e-6)


@pytest.mark.parametrize("reward, pay", [("sqrt", lambda n: n**-0.5), ("salesman", lambda n: float(n == 1))])
def test_episodic_counts_are_those_of_a_loop_over_episodes(rollouts, reward, pay):
    before, after, raw = scored(counts(CountsConfig(S, reward=reward)), rollouts)
    visited, start, done = (part[1] for part in rollouts)
    first_start = np.where(rollouts[2][0][-1], rollouts[1][0][-1], rollouts[0][0][-1])
    np.testing.assert_array_equal(before.mem, np.eye(S)[first_start])
    for lane in range(3):
        table = np.eye(S)[first_start[lane]]
        for t in range(15):
            table[visited[t, lane]] += 1
            assert raw[t, lane] == pytest.approx(pay(table[visited[t, lane]]), rel=1e-6)
            if done[t, lane]:
                table = np.eye(S)[start[t, lane]]
        np.testing.assert_array_equal(after.mem[lane], table)
    assert after.mem.dtype == jnp.int32


def test_staying_where_an_episode_began_is_a_second_visit():
    steps = steps_of([[2], [2]], [[2], [2]], [[True], [False]])
    bonus = counts(CountsConfig(S))
    state = bonus.init(jax.random.key(0), steps)
    np.testing.assert_array_equal(state.mem, np.eye(S)[[2]])
    _, raw = score_rollout(jax.random.key(0), bonus, state, steps)
    np.testing.assert_allclose(raw[:, 0], [2**-0.5, 2**-0.5], rtol=1e-6)


def test_sofe_shows_what_was_visited_before_acting_and_not_what_follows():
    bonus = sofe(CountsConfig(S))
    steps = steps_of([[1], [4], [1]], [[5], [5], [5]], [[False], [False], [True]])
    state = bonus.init(jax.random.key(0), steps)  # starts in 5
    shown = []
    for t in range(3):
        shown.append(np.expm1(bonus.observe(state))[0])
        state, _ = bonus.score(jax.random.key(t), state, jax.tree.map(lambda x, t=t: x[t], steps))
    np.testing.assert_allclose(shown[0], np.bincount([5], minlength=S), atol=1e-6)  # o_0, not o_1
    np.testing.assert_allclose(shown[1], np.bincount([5, 1], minlength=S), atol=1e-6)
    np.testing.assert_allclose(shown[2], np.bincount([5, 1, 4], minlength=S), atol=1e-6)
    np.testing.assert_allclose(np.expm1(log_counts(state))[0], np.bincount([5], minlength=S), atol=1e-6)
    assert not bonus.defer and bonus.needs_state_id


def test_expose_changes_what_is_seen_and_nothing_else():
    inner = counts(CountsConfig(S, episodic=False))
    outer = expose(inner, lambda state: jnp.tile(state.life / jnp.maximum(state.life.max(), 1), (2, 1)))
    assert (outer.init, outer.score, outer.shape, outer.update) == (inner.init, inner.score, inner.shape, inner.update)
    assert inner.defer and not outer.defer
    state = outer.init(jax.random.key(0), steps_of([[1, 2]], [[0, 0]], [[False, False]]))
    assert inner.observe(state).shape == (2, 0) and outer.observe(state).shape == (2, S)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: counts(CountsConfig(0)), "num_states=0: expected a whole number of at least 1"),
        (lambda: counts(CountsConfig(3, reward="linear")), "reward='linear': expected one of salesman, sqrt"),
        (lambda: sofe(CountsConfig(3, episodic=False)), "episodic=False.*expose"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(ValueError, match=message):
        build()
