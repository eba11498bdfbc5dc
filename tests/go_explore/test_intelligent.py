"""Intelligent Go-Explore: its rules against a model in plain Python, its judges against hand-worked answers."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.algorithm import make_train
from purejaxexplore.archives import indices
from purejaxexplore.envs.grids.key_rooms import KeyRooms
from purejaxexplore.envs.tokens import HARD_PUZZLES, Game24, Game24State
from purejaxexplore.go_explore import IntelligentGoExploreConfig, Judge, intelligent_go_explore, judges, way_to
from purejaxexplore.go_explore.intelligent import START, UNLOGGED, draw
from purejaxexplore.testing import check_algorithm
from tests.toy_envs import Corridor

OPERATIONS = 400
CONFIG = IntelligentGoExploreConfig(num_operations=OPERATIONS)


def play(numbers, action):
    """The rules of Game24: the sorted tuple that is left, or None."""
    i, j = list(combinations(range(len(numbers)), 2))[action // 4]
    small, large = numbers[i], numbers[j]
    if action % 4 == 3 and (small == 0 or large % small):
        return None
    result = (large + small, large - small, large * small, large // small if small else None)[action % 4]
    return tuple(sorted([n for k, n in enumerate(numbers) if k not in (i, j)] + [result]))


def held(numbers):
    return tuple(int(n) for n in numbers if n >= 0)


def places(numbers):
    return [-1] * (4 - len(numbers)) + list(numbers)


def even(env):
    """Indifferent, but keeps only states with an even sum, so that there is much to ban."""
    sum_is_even = lambda state, params: jnp.maximum(state.numbers, 0).sum() % 2 == 0  # noqa: E731
    return judges.uniform(env)._replace(keep=sum_is_even)


@pytest.fixture(scope="module")
def env():
    return Game24()


class Steps(Corridor):
    """A corridor whose positions are its exact states."""

    def cell_key(self, state, params):
        return state.position


def walk(judge, num_steps, length=30, **settings):
    """Final state and metrics in a corridor that is left on neither side."""
    env = Steps(length)
    params = env.default_params.replace(max_steps_in_episode=1000, random_start=False)
    config = IntelligentGoExploreConfig(**{"capacity": 64, "num_operations": 8, **settings})
    return jax.jit(make_train(intelligent_go_explore(env, params, config, judge), num_steps))(jax.random.key(0))


@pytest.fixture(scope="module")
def solve(env):
    """``(judge, puzzles, number of operations) -> final states and metrics``."""

    def run(judge, puzzles, num_steps):
        def one(puzzle, key):
            algorithm = intelligent_go_explore(env, env.default_params.replace(puzzle=puzzle), CONFIG, judge)
            return make_train(algorithm, num_steps)(key)

        return jax.jit(jax.vmap(one))(jnp.array(puzzles), jax.random.split(jax.random.key(0), len(puzzles)))

    return run


@pytest.fixture(scope="module")
def exact(env, solve):
    """The oracle on all hard puzzles, thirty operations of each."""
    return solve(judges.oracle(env), HARD_PUZZLES, 30)


@pytest.fixture(scope="module")
def grid():
    """``(env, params, judge -> final states and metrics of 8 seeds)`` of a small KeyRooms."""
    env = KeyRooms(num_rooms=2, num_keys=1)
    params = env.default_params
    config = IntelligentGoExploreConfig(0.5, 0.5, walk_length=64, capacity=512, num_operations=400)

    def run(judge):
        train = make_train(intelligent_go_explore(env, params, config, judge), 400)
        return jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), 8))

    return env, params, run


@pytest.fixture(scope="module")
def indifferent(grid):
    """Final states and metrics of no judgement in the grid."""
    env, _, run = grid
    return run(judges.uniform(env))


@pytest.mark.slow
def test_contract():
    env = Steps(6)
    config = IntelligentGoExploreConfig(capacity=8, num_operations=5, walk_length=3)
    check_algorithm(intelligent_go_explore(env, env.default_params, config, judges.uniform(env)), num_steps=2)


def test_draw_follows_the_scores_of_what_is_allowed():
    scores = jnp.array([0.0, 1.0, 5.0, jnp.nan, -jnp.inf])
    keys = jax.random.split(jax.random.key(0), 4000)

    def shares(allowed, temperature=1.0):
        drawn = jax.vmap(lambda key: draw(key, scores, jnp.array(allowed), temperature))(keys)
        return np.bincount(drawn, minlength=6) / len(keys)

    hot = np.exp([0, 0.5]) / np.exp([0, 0.5]).sum()
    np.testing.assert_allclose(shares([True, True, False, True, True], 2.0)[:2], hot, atol=0.03)
    assert shares([True, True, False, True, True], 2.0)[2:].sum() == 0
    np.testing.assert_allclose(shares([False, False, False, True, True])[3:5], 0.5, atol=0.03)  # both are worst
    assert shares([False] * 5)[5] == 1


def test_every_operation_obeys_the_rules(env, solve):
    """Follows the log operation by operation with sets and dictionaries."""
    puzzle = (3, 3, 7, 12)
    state, metrics = jax.tree.map(np.asarray, solve(even(env), [puzzle], OPERATIONS))
    state, metrics = jax.tree.map(lambda x: x[0], (state, metrics))
    legal = {4: 24, 3: 12, 2: 4}
    reached = {START: puzzle}
    archive, banned, untried = {puzzle: 0}, set(), {puzzle: set(range(24))}
    walks = refills = replayed = solved_at = 0
    walking = False  # whether the walk goes on from the last operation
    for t, (action, parent) in enumerate(zip(state.actions.tolist(), state.parents.tolist(), strict=True)):
        here = reached[parent]
        if walking:
            assert parent == t - 1
        else:
            if not any(untried[known] for known in archive):
                untried = {known: set(range(legal[len(known)])) for known in untried}
                refills += 1
            assert here in archive
            walks, replayed = walks + 1, replayed + archive[here]
        assert action in untried[here]
        untried[here].remove(action)
        replayed += 1
        following = play(here, action)
        reached[t] = following
        solved_at = solved_at or (t + 1 if following == (24,) else 0)
        if (walking := following is not None and len(following) > 1) and following not in untried:
            untried[following] = set(range(legal[len(following)]))
            if sum(following) % 2 == 0:
                archive[following] = 4 - len(following)
            else:
                banned.add(following)
        walking = walking and bool(untried[following])
    assert {held(p[:4]) for p in state.archive.payload[0][state.archive.score > -np.inf]} == set(archive)
    expected = {
        "env_steps": OPERATIONS, "cells": len(archive), "banned": len(banned), "walks": walks, "refills": refills,
        "env_steps_replayed": replayed, "solved_at": solved_at, "success": float(solved_at > 0), "overflow": 0,
        "nan_scores": 0, "unlogged": 0, "episode_length": 3 * (solved_at > 0),
    }  # fmt: skip
    assert {name: column[-1].item() for name, column in metrics.items()} == expected
    assert banned and refills and len(archive) > 20
    keys = jnp.array([places(known) for known in untried])
    slots = np.asarray(indices.hash_slots(jax.tree.map(jnp.asarray, state.archive), keys, jnp.ones(len(keys), bool))[0])
    for slot, known in zip(slots, untried, strict=True):
        assert set(np.flatnonzero(state.untried[slot])) == untried[known]
        assert state.banned[slot] == (known in banned)


def test_the_oracle_solves_every_hard_puzzle_in_three_operations(exact):
    state, metrics = exact
    assert (metrics["solved_at"][:, -1] == 3).all() and (metrics["overflow"] == 0).all()
    for number in (0, 57):
        numbers = HARD_PUZZLES[number]
        for action in way_to(jax.tree.map(lambda x, n=number: x[n], state), state.goal[1][number]):
            numbers = play(numbers, action)
        assert numbers == (24,)


def rightwards(env):
    """Likes the second of two actions and dislikes the first."""
    return judges.uniform(env)._replace(score_actions=lambda state, params: jnp.array([-1e9, 1e9]))


def test_a_way_that_is_not_logged_is_refused():
    state, metrics = walk(rightwards(Steps()), 5, length=5, num_operations=3)
    assert metrics["solved_at"].tolist() == [0, 0, 0, 4, 4] and metrics["unlogged"].tolist() == [0, 0, 0, 1, 2]
    assert metrics["episode_length"][-1] == 4 and state.goal[1] == UNLOGGED
    with pytest.raises(ValueError, match="node=-2: not in the log of 3 operations"):
        way_to(state, state.goal[1])
    deepest = state.archive.node[jnp.argmax(state.archive.payload[1])]
    assert way_to(state, deepest).tolist() == [1, 1, 1]


def test_walks_end_at_their_length():
    _, metrics = walk(rightwards(Steps()), 7, walk_length=3)
    assert metrics["walks"].tolist() == [1, 1, 1, 2, 2, 2, 3]


def test_nan_scores_are_worst_and_counted():
    nans = Judge(
        score_states=lambda states, params: jnp.full(states.position.shape, jnp.nan),
        score_actions=lambda state, params: jnp.array([0.0, jnp.nan]),
        keep=lambda state, params: jnp.bool_(True),
    )
    state, metrics = walk(nans, 4)
    # Left, which leads nowhere, comes before right, whose score is no number. Counted: 1 for the first state, 1 for
    # each offer of "right", 1 for each new state.
    assert state.actions[:4].tolist() == [0, 1, 0, 1]
    assert metrics["nan_scores"].tolist() == [2, 4, 5, 7]


def test_a_full_table_is_counted_and_the_run_goes_on():
    _, metrics = walk(judges.uniform(Steps()), 60, capacity=4, probes=4)
    assert metrics["overflow"][-1] > 0 and metrics["cells"][-1] == 4 and metrics["env_steps"][-1] == 60


def batch(states):
    return Game24State(jnp.array([places(s) for s in states]), jnp.zeros(len(states), jnp.int32))


def test_noise_flips_the_right_share_for_good(env):
    found = judges.reachable(env, env.default_params, batch([(1, 2, 4, 7), (4, 9, 10, 13), (2, 5, 8, 11)]))
    states = jax.tree.map(jnp.asarray, found)
    chances, after = jax.jit(jax.vmap(lambda s: (env.success_probability(s), env.success_probabilities(s))))(states)
    truth = np.asarray(chances) > 0

    @jax.jit
    def labels(eps, salt):
        judge = judges.noisy(env, eps, salt)
        return jax.vmap(judge.keep, (0, None))(states, None), jax.vmap(judge.score_actions, (0, None))(states, None)

    exact, actions = labels(0.0, 0)
    assert (np.asarray(exact) == truth).all()
    assert (np.asarray(actions == 0) == (np.asarray(after) > 0)).all()
    wrong = [np.asarray(labels(0.3, salt)[0]) != truth for salt in range(8)]
    assert (wrong[0] == (np.asarray(labels(0.3, 0)[0]) != truth)).all()
    share, deviation = np.mean(wrong), np.sqrt(0.21 / (8 * len(truth)))
    assert abs(share - 0.3) < 5 * deviation
    assert np.mean(wrong[0] & wrong[1]) < 0.15
    assert (np.asarray(labels(1.0, 0)[0]) != truth).all()


def test_noise_judges_an_action_as_it_judges_the_state_behind_it(env):
    start = (1, 2, 4, 7)
    following = [play(start, action) for action in range(24)]
    said = asked(judges.noisy(env, 0.4, 11), batch([start, *(s or start for s in following)]))
    expected = [bool(k) and s is not None for k, s in zip(said.keep[1:], following, strict=True)]
    assert (said.actions[0] == 0).tolist() == expected
    assert said.score[0] == pytest.approx(np.log(np.mean(expected) + 0.05), rel=1e-5)


def test_reachable_states_are_all_of_them(env):
    found = judges.reachable(env, env.default_params, batch([(4, 9, 10, 13), (3, 3, 7, 12)]))
    expected, frontier = set(), [(4, 9, 10, 13), (3, 3, 7, 12)]
    while frontier:
        numbers = frontier.pop()
        if numbers not in expected:
            expected.add(numbers)
            actions = range({4: 24, 3: 12, 2: 4, 1: 0}[len(numbers)])
            frontier += [s for s in (play(numbers, action) for action in actions) if s]
    states = [held(numbers) for numbers in found.numbers]
    assert len(states) == len(expected) and set(states) == expected


def asked(judge, states):
    """All that a judge says about a batch of states."""

    @jax.jit
    def ask(states):
        every = jax.vmap(judge.score_actions, (0, None)), jax.vmap(judge.keep, (0, None))
        return judges.Answers(judge.score_states(states, None), *(answer(states, None) for answer in every))

    return jax.tree.map(np.asarray, ask(jax.tree.map(jnp.asarray, states)))


@pytest.mark.slow
def test_a_table_gives_the_answers_that_it_was_given(env):
    found = judges.reachable(env, env.default_params, batch([(4, 9, 10, 13)]))
    answers = asked(judges.oracle(env), found)
    tabulated = judges.tabulated(env, judges.answer_table(found.numbers, answers))
    strange = batch([(1, 1, 1, 8), (1, 2, 3)])
    everything = asked(tabulated, jax.tree.map(lambda a, b: np.concatenate([a, b]), found, strange))
    for ours, theirs in zip(everything, answers, strict=True):
        np.testing.assert_array_equal(ours[:-2], theirs)
    assert (everything.actions[-2:] == 0).all() and everything.keep[-2:].all() and (everything.score[-2:] == 0).all()
    with pytest.raises(ValueError, match=r"answers.keep of shape \(1,\): expected 2 rows"):
        judges.answer_table([[1], [2]], judges.Answers(jnp.zeros(2), jnp.zeros((2, 24)), jnp.ones(1, bool)))


def test_a_network_learns_values_and_judges_by_them(env):
    config = judges.ValueConfig(hidden_sizes=(16,), learning_rate=1e-2, batch_size=64, num_updates=300)
    found = judges.reachable(env, env.default_params, batch([(1, 2, 4, 7)]))
    inputs = jax.vmap(env.get_obs)(jax.tree.map(jnp.asarray, found))
    targets = jnp.array([-float(len(held(numbers))) for numbers in found.numbers])
    params, losses = jax.jit(lambda key: judges.train_value(key, config, inputs, targets))(jax.random.key(0))
    assert losses[-20:].mean() < 0.02 < losses[0]
    judge = judges.learned(env, config, params, threshold=-2.5)
    some = batch([(1, 2, 4, 7), (1, 4, 9), (2, 12)])
    said = asked(judge, some)
    np.testing.assert_allclose(said.score, [-4, -3, -2], atol=0.4)
    assert said.keep.tolist() == [False, False, True]
    scores = said.actions[1, :12]  # of 1 4 9
    impossible = [play((1, 4, 9), action) is None for action in range(12)]
    assert (scores == judges.WORST).tolist() == impossible
    np.testing.assert_allclose(scores[~np.array(impossible)], -2, atol=0.4)
    with pytest.raises(ValueError, match=r"targets of shape \(1,\)"):
        judges.train_value(jax.random.key(0), config, inputs, targets[:1])


def test_in_a_grid_a_judge_of_distance_finds_the_treasure_sooner(grid, indifferent):
    env, params, run = grid

    def value(state, params):
        """Minus the steps to what is next on the way: the key, its door, the treasure; later stages are higher."""
        stage = jnp.where(state.keys == 0, 0, jnp.where(state.doors == 0, 1, 2))
        places = jnp.array([env.keys[0], env.doors[0], env.treasure])
        pit = env.is_terminated(state, params) & ((state.y != env.treasure[0]) | (state.x != env.treasure[1]))
        distance = jnp.abs(places[stage] - jnp.stack([state.y, state.x])).sum()
        return 30.0 * stage - distance - 1e3 * pit

    solved_at = {}
    for name, (_, metrics) in {"distance": run(judges.by_value(env, value)), "uniform": indifferent}.items():
        solved_at[name] = np.where(metrics["success"][:, -1] > 0, metrics["solved_at"][:, -1], 401)
        assert (metrics["overflow"] == 0).all()
    assert np.median(solved_at["distance"]) < 0.5 * np.median(solved_at["uniform"])


def test_a_shorter_way_replaces_a_longer_one(grid, indifferent):
    """Follows the log once more: every state of the grid ends with the shortest way by which it was reached."""
    env, params, _ = grid
    final = jax.tree.map(lambda x: np.asarray(x)[0], indifferent[0])
    step = jax.jit(lambda state, action: env.step_env(jax.random.key(0), state, action, params))
    start = env.reset(jax.random.key(0), params)[1]
    reached, first, shortest = {START: (start, 0)}, {env.cell_key(start).item(): 0}, {env.cell_key(start).item(): 0}
    for t, (action, parent) in enumerate(zip(final.actions.tolist(), final.parents.tolist(), strict=True)):
        state, length = reached[parent]
        _, after, _, terminated, _ = step(state, action)
        reached[t] = after, length + 1
        if not terminated:
            cell = env.cell_key(after).item()
            first.setdefault(cell, length + 1)
            shortest[cell] = min(shortest.get(cell, length + 1), length + 1)
    filled = final.archive.score > -np.inf
    states = env.unpack(final.archive.payload[0][filled])
    cells = np.asarray(env.cell_key(states)).tolist()
    assert dict(zip(cells, final.archive.tie[filled].tolist(), strict=True)) == shortest and shortest != first
    assert (final.archive.payload[1] == final.archive.tie)[filled].all()
    assert (states.time == final.archive.tie[filled]).all()
    for slot in np.flatnonzero(filled)[::7]:
        assert len(way_to(final, final.archive.node[slot])) == final.archive.tie[slot]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": 100}, "capacity=100.*nearest is 128"),
        ({"capacity": 0}, "capacity=0"),
        ({"num_operations": 0}, "num_operations=0"),
        ({"walk_length": 0}, "walk_length=0"),
        ({"probes": 1.5}, "probes=1.5"),
        ({"state_temperature": 0.0}, "state_temperature=0.0: expected a number above 0"),
        ({"action_temperature": -1.0}, "action_temperature=-1.0"),
    ],
)
def test_bad_settings_are_refused(env, changes, message):
    with pytest.raises(ValueError, match=message):
        intelligent_go_explore(env, env.default_params, CONFIG.replace(**changes), judges.uniform(env))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score_states": lambda s, p: jnp.float32(0)}, r"judge.score_states returns .*expected float\[3\]"),
        ({"score_actions": lambda s, p: jnp.zeros(23)}, r"judge.score_actions .*float32\[23\].*expected float\[24\]"),
        ({"score_actions": lambda s, p: (1, 2)}, r"judge.score_actions returns \(.*expected float\[24\]"),
        ({"keep": lambda s, p: jnp.float32(1)}, r"judge.keep returns .*float32\[\].*expected bool\[\]"),
    ],
)
def test_bad_judges_are_refused(env, changes, message):
    with pytest.raises(ValueError, match=message):
        intelligent_go_explore(env, env.default_params, CONFIG, judges.uniform(env)._replace(**changes))


def test_bad_worlds_are_refused(env):
    with pytest.raises(TypeError, match="judge=None: expected a Judge"):
        intelligent_go_explore(env, env.default_params, CONFIG, None)
    with pytest.raises(TypeError, match="env=3: expected a gymnax environment"):
        intelligent_go_explore(3, None, CONFIG, judges.uniform(env))
    corridor = Corridor(6)
    with pytest.raises(ValueError, match="no cell_key"):
        intelligent_go_explore(corridor, corridor.default_params, CONFIG, judges.uniform(corridor))
    with pytest.raises(ValueError, match="eps=1.5"):
        judges.noisy(env, 1.5)
