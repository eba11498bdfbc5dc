"""Game24 against an independent player in plain Python, and against every fraction."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purejaxexplore as pjx
from purejaxexplore.envs.tokens import HARD_PUZZLES, Game24, Game24State, game24, multisets, solvable_puzzles
from purejaxexplore.testing import check_environment


def play(numbers, action):
    """The published rules, written down once more: the sorted tuple that is left, or None."""
    pairs = list(combinations(range(len(numbers)), 2))
    if action >= 4 * len(pairs):
        return None
    i, j = pairs[action // 4]
    small, large = numbers[i], numbers[j]
    if action % 4 == 3 and (small == 0 or large % small):
        return None
    result = (large + small, large - small, large * small, large // small if small else None)[action % 4]
    return tuple(sorted([n for k, n in enumerate(numbers) if k not in (i, j)] + [result]))


def reachable(puzzle):
    """All states from a puzzle, finals included."""
    states, frontier = {puzzle}, [puzzle]
    while frontier:
        numbers = frontier.pop()
        for action in range(24):
            following = play(numbers, action) if len(numbers) > 1 else None
            if following is not None and following not in states:
                states.add(following)
                frontier.append(following)
    return states


def places(numbers):
    return jnp.array([-1] * (4 - len(numbers)) + list(numbers))


@pytest.fixture(scope="module")
def env():
    return Game24()


@pytest.fixture(scope="module")
def step(env):
    """``step_env`` over all actions of a batch of states."""

    def one(state, action):
        return env.step_env(jax.random.key(0), state, action, env.default_params)[1:]

    return jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))


def test_contract(env):
    check_environment(env, env.default_params)


def test_every_action_of_every_state_of_some_puzzles(env, step):
    states = sorted(set().union(*(reachable(puzzle) for puzzle in ((1, 2, 4, 7), (3, 3, 7, 12), (4, 9, 10, 13)))))
    batch = Game24State(jnp.stack([places(s) for s in states]), jnp.full(len(states), 1))
    after, reward, terminated, info = jax.tree.map(np.asarray, step(batch, jnp.arange(24)))
    legal = np.asarray(jax.vmap(env.legal_actions)(batch))
    for k, numbers in enumerate(states):
        for action in range(24):
            following = play(numbers, action)
            assert info["impossible"][k, action] == (following is None)
            assert tuple(after.numbers[k, action]) == tuple(places(following or numbers).tolist())
            assert terminated[k, action] == (following is None or len(following) == 1)
            assert reward[k, action] == info["success"][k, action] == (following == (24,))
        assert legal[k].sum() == {4: 24, 3: 12, 2: 4, 1: 0}[len(numbers)]
    assert (after.time == 2).all()


def test_a_solution_by_hand(env):
    _, state = env.reset(jax.random.key(0), env.default_params.replace(puzzle=jnp.array([13, 4, 10, 9])))
    taken = [(4 * 5 + game24.SUBTRACT, [-1, 3, 4, 9]), (4 * 1 + game24.SUBTRACT, [-1, -1, 4, 6])]
    for action, numbers in taken:  # 13 - 10, then 9 - 3, then 4 * 6
        _, state, reward, terminated, _ = env.step_env(jax.random.key(0), state, action, env.default_params)
        assert state.numbers.tolist() == numbers and not terminated and reward == 0
    _, state, reward, terminated, info = env.step_env(jax.random.key(0), state, 2, env.default_params)
    assert state.numbers.tolist() == [-1, -1, -1, 24] and reward == 1 and terminated and info["success"]


def test_24_on_the_way_is_worth_nothing_and_neither_is_an_inexact_division(env, step):
    state = Game24State(jnp.array([[-1, 1, 4, 6]]), jnp.zeros(1, jnp.int32))
    after, reward, terminated, info = step(state, jnp.array([10, 11, 3]))  # 4 * 6, 6 / 4, 4 / 1
    assert after.numbers[0].tolist() == [[-1, -1, 1, 24], [-1, 1, 4, 6], [-1, -1, 4, 6]]
    assert terminated.tolist() == [[False, True, False]] and not reward.any()
    assert info["impossible"].tolist() == [[False, True, False]]


def test_facts_about_the_puzzles():
    assert solvable_puzzles().shape == (1346, 4) and len(set(HARD_PUZZLES)) == 100
    assert set(HARD_PUZZLES) <= set(map(tuple, solvable_puzzles().tolist()))
    with np.errstate(all="ignore"):
        assert _solvable_by_fractions(multisets().astype(float)).sum() == 1362


def _solvable_by_fractions(numbers):
    if numbers.shape[1] == 1:
        return np.abs(numbers[:, 0] - 24) < 1e-9
    found = np.zeros(len(numbers), bool)
    for i, j in combinations(range(numbers.shape[1]), 2):
        a, b, rest = numbers[:, i], numbers[:, j], np.delete(numbers, [i, j], 1)
        for result in (a + b, a - b, b - a, a * b, a / b, b / a):
            found |= _solvable_by_fractions(np.column_stack([rest, result]))
    return found


def test_facts_about_the_states():
    states = [reachable(puzzle) for puzzle in HARD_PUZZLES]
    live = [sum(len(s) > 1 for s in found) for found in states]
    assert (round(np.mean(live)), max(live), max(map(len, states))) == (97, 129, 278)
    assert max(n for found in states for s in found for n in s) <= 13**4 < 2**15


def test_uniform_play_is_exact(env):
    def probability(numbers):
        if len(numbers) == 1:
            return float(numbers == (24,))
        after = [play(numbers, action) for action in range({4: 24, 3: 12, 2: 4}[len(numbers)])]
        return np.mean([0.0 if following is None else probability(following) for following in after])

    states = sorted(reachable((1, 2, 4, 7)))[::7] + [(1, 2, 4, 7), (24,), (3,), (0, 24), (0, 0, 24)]
    batch = Game24State(jnp.stack([places(s) for s in states]), jnp.zeros(len(states), jnp.int32))
    ours = jax.jit(jax.vmap(env.success_probability))(batch)
    np.testing.assert_allclose(ours, [probability(s) for s in states], rtol=1e-5)
    after = np.asarray(jax.jit(jax.vmap(env.success_probabilities))(batch))
    for row, numbers in zip(after, states, strict=True):
        following = [play(numbers, action) for action in range(24)]
        expected = [0.0 if s is None else probability(s) for s in following]
        np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_uniform_play_on_the_hard_puzzles(env):
    puzzles = Game24State(jnp.array(HARD_PUZZLES), jnp.zeros(100, jnp.int32))
    chance = np.asarray(jax.jit(jax.vmap(env.success_probability))(puzzles))
    assert chance.min() == pytest.approx(1 / 1152, rel=1e-4)
    assert np.median(chance) == pytest.approx(0.0052, rel=0.02) and chance.max() == pytest.approx(0.031, rel=0.02)


def test_observation_and_packing(env):
    state = Game24State(jnp.array([-1, 0, 36, 28561]), jnp.int32(1))
    observation = env.get_obs(state)
    assert observation[:, 0].tolist() == [0, 1, 1, 1] and observation[3, 1] == 1
    assert [row.nonzero()[0].tolist() for row in np.asarray(observation[:, 2:])] == [[], [0], [36], []]
    packed = env.pack(state)
    assert packed.dtype == jnp.int16 and packed.nbytes == 10
    assert all(map(np.array_equal, env.unpack(packed), state))


def test_cards(env):
    state = Game24State(jnp.array([-1, -1, -1, 24]), jnp.int32(3))
    picture = np.asarray(jax.jit(env.render)(state))
    assert picture.shape == (64, 320, 3)
    assert tuple(picture[12, 280]) == (176, 228, 204) and tuple(picture[12, 40]) != (176, 228, 204)
    other = np.asarray(env.render(state._replace(numbers=jnp.array([-1, -1, -1, 25]))))
    assert (picture[:, :240] == other[:, :240]).all() and (picture != other).any()


def test_puzzles_are_drawn(env):
    drawn = jax.vmap(lambda key: env.sample_params(key, env.default_params))(jax.random.split(jax.random.key(0), 50))
    assert set(map(tuple, drawn.puzzle.tolist())) <= set(HARD_PUZZLES) and len(np.unique(drawn.puzzle, axis=0)) > 30
    every, _ = pjx.make("Game24", puzzles="solvable")
    assert len(every.puzzles) == 1346
    with pytest.raises(ValueError, match="puzzles='easy': expected one of hard, solvable"):
        Game24("easy")
