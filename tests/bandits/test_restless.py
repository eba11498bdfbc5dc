"""Restless arms: chances and moves by hand, tables against brute force, Whittle's index, and what is refused."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.bandits.whittle import advantage
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.restless import best_next, expected_reward, move, up_chances
from purejaxexplore.envs.bandits.restless_sets import packable, round_trips, servable, subsets
from purejaxexplore.testing import check_policy
from purejaxexplore.testing.trees import quick_jit

PROBLEM = worlds.restless_budget(4, 2)
ARMS = PROBLEM.draw(jax.random.key(0))
WORLD = worlds.restless(ARMS, PROBLEM.actions, horizon=5)
INDEX = np.arange(16.0).reshape(4, 4)


@pytest.mark.parametrize(
    "make",
    [
        b.restless_sampled,
        pytest.param(partial(b.restless_whittle, index=INDEX), marks=pytest.mark.slow),
        pytest.param(b.restless_myopic, marks=pytest.mark.slow),
        pytest.param(b.restless_random, marks=pytest.mark.slow),
        pytest.param(b.restless_static, marks=pytest.mark.slow),
    ],
)
def test_no_policy_uses_what_it_has_not_seen(make):
    check_policy(make(WORLD.spec, ARMS, PROBLEM.actions), WORLD, num_pulls=6)


# Two arms, three parts: arm 0 is pushed by parts 0 and 1, arm 1 by part 2.
TWO = worlds.RestlessArms(
    rewards=jnp.array([[0.0, 1.0, 5.0], [2.0, 0.0, 3.0]]),
    links=jnp.array([[True, True, False], [False, False, True]]),
    up=jnp.array([[0.0, 0.5, 1.0], [0.25, 1.0, 1.0]]),
    allowed=jnp.array([True, True, True, False]),
)
ROWS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]], bool)


def test_a_round_by_hand():
    chances = up_chances(TWO, jnp.asarray(ROWS))
    np.testing.assert_allclose(chances, [[0, 0.25], [0.5, 0.25], [1, 0.25], [1, 1]])
    states = jnp.array([1, 0])
    # Arm 0 down 0, up 5; arm 1 stays for 2, or moves up to 0.
    np.testing.assert_allclose(expected_reward(TWO, states, chances), [1.5, 4.0, 6.5, 5.0])
    np.testing.assert_allclose(best_next(TWO, states, chances), [1.5, 4.0, 6.5, -np.inf])
    np.testing.assert_array_equal(move(jnp.array([0.4, 0.3]), TWO, states, chances[1]), [2, 0])
    np.testing.assert_array_equal(move(jnp.array([0.6, 0.2]), TWO, jnp.array([0, 2]), chances[1]), [0, 2])


def test_an_episode_begins_anew_and_pays_the_new_states():
    world = worlds.restless(TWO, ROWS, horizon=2, start=1.0)
    state = world.reset(jax.random.key(0))
    np.testing.assert_array_equal(state.states, [1, 1])
    uniform = jnp.full((2, 2), 0.4)
    state, feedback, regret = world.step(uniform, state, jnp.array([True, False, False]))
    np.testing.assert_array_equal(state.states, [2, 0])
    assert float(feedback.reward) == 5 + 2 and not feedback.seen.any()
    assert float(regret) == pytest.approx(2.5)  # one of two chances to rise from 1 to 5 instead of falling to 0
    state, *_ = world.step(uniform, state, jnp.array([True, False, False]))
    np.testing.assert_array_equal(state.states, [1, 1])
    np.testing.assert_allclose(world.means(state), [2.5, 2.5, 0.75])


def test_scores_choose_rows_by_hand():
    spec = worlds.restless(TWO, ROWS).spec
    observation = worlds.restless(TWO, ROWS).observe(worlds.restless(TWO, ROWS).reset(jax.random.key(0)))
    observation = observation._replace(context=jnp.array([1.0, 0.0]))
    act = {
        "myopic": b.restless_myopic(spec, TWO, ROWS),
        "static": b.restless_static(spec, TWO, ROWS),
        "whittle": b.restless_whittle(spec, TWO, ROWS, jnp.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])),
        "rest": b.restless_whittle(spec, TWO, ROWS, jnp.full((2, 3), -1.0)),
    }
    chosen = {name: policy.act((), (), observation)[0].tolist() for name, policy in act.items()}
    assert chosen == {
        "myopic": [True, True, False],
        "static": [True, True, False],
        "whittle": [True, True, False],
        "rest": [False, False, False],
    }


def test_tables_are_complete():
    assert subsets(20, 5).shape == (21_700, 20) and not subsets(3, 2)[0].any()
    assert len({tuple(row) for row in subsets(6, 6)}) == 64
    tours = worlds.restless_path(2, 3, 2).actions
    # Two steps out and two back reach every place of a 2 x 3 grid but the far corner; pairs must share one walk.
    assert {tuple(np.flatnonzero(row)) for row in tours} == {
        (), (0,), (1,), (2,), (3,), (4,), (0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (3, 4),
    }  # fmt: skip


def test_round_trips_are_shortest_walks():
    """Against all closed walks of a 3 x 3 grid, step by step."""
    places = np.stack(np.divmod(np.arange(9), 3), axis=1)
    distance = np.abs(places[:, None] - places).sum(-1)
    walks = {(0, frozenset([0]))}
    closed = [walks]
    for _ in range(6):
        walks = {(n, seen | {n}) for place, seen in walks for n in np.flatnonzero(distance[place] == 1).tolist()}
        closed.append(walks)
    sets = subsets(9, 3)
    lengths = round_trips(sets, distance)
    for row, length in zip(sets, lengths, strict=True):
        members = set(np.flatnonzero(row).tolist())
        steps = [t for t in range(7) if any(place == 0 and members <= seen for place, seen in closed[t])]
        assert length == steps[0] if steps else length > 6


def can_serve(arms, arms_free, workers_free):
    """Gives hours to arms one by one, every way."""
    hours = [arm for arm in arms for _ in range(2)]
    places = [(w, t) for w in range(len(workers_free)) for t in range(workers_free.shape[1]) if workers_free[w, t]]

    def place(i, taken):
        if i == len(hours):
            return True
        free = [p for p in places if p not in taken and arms_free[hours[i], p[1]]]
        return any(place(i + 1, taken | {p}) for p in free)

    return place(0, frozenset())


def test_halls_condition_is_an_assignment():
    rng = np.random.default_rng(0)
    sets, slots, served = subsets(5, 3), subsets(3, 3), 0
    for _ in range(6):
        arms_free, workers_free = rng.random((5, 3)) < 0.5, rng.random((3, 3)) < 0.7
        found = np.asarray(servable(sets, slots, jnp.asarray(arms_free), jnp.asarray(workers_free)))
        truth = [can_serve(np.flatnonzero(row), arms_free, workers_free) for row in sets]
        np.testing.assert_array_equal(found, truth)
        served += found.sum()
    assert 6 < served < 6 * len(sets)


def test_packing_against_all_assignments():
    rng = np.random.default_rng(1)
    sets = subsets(5, 5)
    pack = quick_jit(partial(packable, sets))
    for _ in range(4):
        costs, room = rng.integers(2, 7, 5), rng.integers(2, 8, 3)
        found = np.asarray(pack(costs, room))
        for row, fits in zip(sets, found, strict=True):
            arms = np.flatnonzero(row)
            ways = itertools.product(range(3), repeat=arms.size)
            assert fits == any(
                all(costs[arms[np.array(way, int) == w]].sum() <= room[w] for w in range(3)) for way in ways
            )


@pytest.fixture(scope="module")
def drawn():
    """An instance of every problem at the paper's size, or the largest that suits a test."""
    problems = {
        "interventions": worlds.restless_interventions(),
        "schedule": worlds.restless_schedule(8, 3),
            }
    return {
        name: (problem.actions, quick_jit(problem.draw)(jax.random.key(3))) for name, problem in problems.items()
    }


def test_base_arms_dip_on_the_way_to_the_best_tops(drawn):
    arms = drawn["schedule"][1]
    dips = np.asarray(arms.rewards)[:, 0] > 0.15
    assert dips.sum() == 3 and (np.asarray(arms.rewards)[dips, 3] >= 4).all()
    assert (np.asarray(arms.rewards)[~dips, 3] <= 3).all()
    rest, push = np.asarray(arms.up).T
    assert rest.max() <= 0.2 and push.min() >= 0.7 and push.max() <= 0.9


def test_interventions_share_arms_in_threes(drawn):
    actions, arms = drawn["interventions"]
    links = np.asarray(arms.links)
    assert actions.shape == (638, 10)
    np.testing.assert_array_equal(links.sum(0), 3)
    np.testing.assert_array_equal(np.sort(links[:10].sum(1)), [0, 1, 1, 1, 1, 1, 1, 3, 3, 3])
    np.testing.assert_array_equal(np.sort(links[10:].sum(1)), [0, 1, 1, 1, 1, 1, 1, 3, 3, 3])
    up = np.asarray(arms.up)
    np.testing.assert_allclose(up[:, 0], 0.01, atol=1e-6)
    assert up[10:, 1].max() < 0.05 and up[10:, 3].min() > 0.6
    assert up[:10, 1].min() > 0.05 and up[:10, 3].max() < 0.5
    # a = 0.7 to 1 and b, x0 at the ends of their ranges: 0.98 s(3 b c - x0) + 0.01, less nearly nothing.
    assert 0.7 * 0.98 / (1 + np.exp(10 - 3 * 1.4 * 2)) <= up[10:, 2].min() + 0.01


def test_whittle_indices_by_hand():
    # Acting in state 0 earns 1 and stays, in state 1 it earns 2 and goes to 0; rest leads to 1 and earns nothing.
    transitions = np.array([[[[0, 1], [0, 1]], [[1, 0], [1, 0]]]], float)
    rewards = np.array([[[0, 0], [1, 2]]], float)
    found = b.whittle_index(transitions, rewards, 0.5)
    np.testing.assert_allclose(found.index, [[1 * (1 + 0.5) - 0.5 * 2, 2]], atol=1e-6)
    assert found.indexable.all()
    # Arms that never move are worth what they pay; and Gittins: at rest nothing changes, acting leads to the end.
    frozen = np.broadcast_to(np.eye(2), (1, 2, 2, 2))
    np.testing.assert_allclose(b.whittle_index(frozen, rewards, 0.9).index, [[1, 2]], atol=1e-6)
    leads = np.stack([np.eye(2), [[0, 1], [0, 1]]])[None]
    np.testing.assert_allclose(b.whittle_index(leads, rewards, 0.9).index, [[1 * 0.1 + 2 * 0.9, 2]], atol=1e-6)


def slow_advantage(transitions, rewards, subsidy, discount):
    value = np.zeros(rewards.shape[-1])
    for _ in range(500):
        q = rewards + np.array([[subsidy], [0.0]]) + discount * transitions @ value
        value = q.max(0)
    return q[1] - q[0]


def test_advantages_against_value_iteration():
    rng = np.random.default_rng(5)
    transitions, rewards = rng.dirichlet(np.ones(4), (2, 2, 4)), rng.random((2, 2, 4))
    subsidy = np.array([0.1, -0.3])
    fast = advantage(transitions, rewards, subsidy, 0.95)
    for arm in range(2):
        np.testing.assert_allclose(
            fast[arm], slow_advantage(transitions[arm], rewards[arm], subsidy[arm], 0.95), atol=1e-8
        )


def test_an_arm_that_is_not_indexable_is_found():
    """By random search; a state that rests at a low subsidy acts again at a higher one, by value iteration too."""
    rng = np.random.default_rng(0)
    transitions = rng.dirichlet(np.full(3, 0.1), (60, 2, 3))
    rewards = rng.random((60, 2, 3))
    found = b.whittle_index(transitions, rewards, 0.95, grid=60)
    failing = np.flatnonzero(~found.indexable)
    assert 0 < failing.size < 6
    worst = failing[0]
    grid = np.linspace(found.index[worst].min() - 1, found.index[worst].max() + 1, 60)
    gains = np.stack([slow_advantage(transitions[worst], rewards[worst], m, 0.95) for m in grid])
    assert ((gains[:-1] < 0) & (gains[1:] > 0)).any()


def test_base_arms_are_indexable_and_the_single_arm_follows_the_instance(drawn):
    actions, arms = drawn["schedule"]
    transitions, rewards = b.single_arms(arms, actions)
    # An arm that no allowed action serves is at rest under both.
    reached = actions[np.asarray(arms.allowed)].any(0)
    up = np.where([[True, False]] | reached[:, None], arms.up, arms.up[:, :1])
    np.testing.assert_allclose(transitions[:, :, 1, 2], up, rtol=1e-6)
    np.testing.assert_allclose(transitions[:, :, 0, 0], 1 - up, rtol=1e-6)
    push, pays = float(arms.up[0, 1]), np.asarray(arms.rewards[0])
    np.testing.assert_allclose(rewards[0, 1, 0], push * pays[1] + (1 - push) * pays[0], rtol=1e-6)
    found = b.whittle_index(transitions, rewards)
    assert found.indexable.all()
    assert (found.index[reached, 2] > found.index[reached, 0]).all()  # nearest the top an arm is dearest
    np.testing.assert_allclose(found.index[~reached], 0, atol=1e-6)
    assert 0 < reached.sum() < 8


def test_the_relaxation_bounds_the_best_joint_policy():
    rng = np.random.default_rng(2)
    transitions, rewards = rng.dirichlet(np.full(2, 0.3), (2, 2, 2)), rng.random((2, 2, 2))
    starts = np.full((2, 2), 0.5)
    for pulls in (0, 1, 2):
        value = np.zeros((2, 2))
        for _ in range(6):
            options = [
                rewards[0, a][:, None] + rewards[1, c] + transitions[0, a] @ value @ transitions[1, c].T
                for a in (0, 1) for c in (0, 1) if a + c <= pulls
            ]  # fmt: skip
            value = np.max(options, axis=0)
        bound = b.relaxed_bound(transitions, rewards, starts, pulls, 6)
        assert value.mean() <= bound + 1e-9
        if pulls != 1:
            assert bound == pytest.approx(value.mean())  # nothing is relaxed where the limit does not bind


def test_bad_input_is_refused():
    spec = WORLD.spec
    chain, pays = b.single_arms(ARMS, PROBLEM.actions)
    for message, make in {
        "actions: bool of shape": lambda: worlds.restless(ARMS, PROBLEM.actions[1:]),
        "actions: int64": lambda: worlds.restless(ARMS, PROBLEM.actions.astype(int)),
        "allowed of shape": lambda: worlds.restless(ARMS, PROBLEM.actions[:5]),
        "links of shape": lambda: worlds.restless(ARMS._replace(links=ARMS.links[:3]), PROBLEM.actions),
        "up=": lambda: worlds.restless(ARMS._replace(up=ARMS.up + 1), PROBLEM.actions),
        "start=2": lambda: worlds.restless(ARMS, PROBLEM.actions, start=2),
        "horizon=0": lambda: worlds.restless(ARMS, PROBLEM.actions, horizon=0),
        "most=5: expected at most size=4": lambda: worlds.restless_budget(4, 5),
        "expected at most 262144": lambda: worlds.restless_budget(40, 10),
        "num_arms=10: 5 of one kind": lambda: worlds.restless_interventions(10, 10, 5),
        "num_chosen=4: expected fewer": lambda: worlds.restless_interventions(20, 4, 4),
        "num_workers=0": lambda: worlds.restless_capacity(5, 0),
        "rows=0": lambda: worlds.restless_path(0, 3, 2),
        "num_samples=0": lambda: b.restless_sampled(spec, ARMS, PROBLEM.actions, 0),
        "index of shape": lambda: b.restless_whittle(spec, ARMS, PROBLEM.actions, INDEX[:, :3]),
        "action='index'": lambda: b.restless_myopic(worlds.bernoulli((0.1, 0.2)).spec, ARMS, PROBLEM.actions),
        "context_dim=4, num_arms=4: expected 2 and 3": lambda: b.restless_myopic(spec, TWO, ROWS),
        "discount=1.0": lambda: b.whittle_index(chain, pays, 1.0),
        "transitions of shape": lambda: b.whittle_index(chain[0], pays),
        "sum to 1": lambda: b.whittle_index(chain * 0.5, pays),
        "num_pulls=5: expected at most 4": lambda: b.relaxed_bound(chain, pays, np.ones((4, 4)) / 4, 5, 3),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
