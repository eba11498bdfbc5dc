"""Last-switch-dependent bandits: states by hand, the relaxation against brute force, rounding, and what is refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.algorithm import make_train
from purejaxexplore.bandits.last_switch import best_playing, promises
from purejaxexplore.blocks.cycles import column_of, plan_cycles
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.last_switch import advance
from purejaxexplore.testing import check_algorithm, check_policy

PATIENCE = worlds.patience_table(3)
WORLD = worlds.last_switch(PATIENCE)
PLAN = jax.jit(plan_cycles, static_argnums=1)


@pytest.mark.parametrize("make", [b.rounded_cycles, b.myopic])
def test_no_policy_uses_what_it_has_not_seen(make):
    check_policy(make(WORLD.spec, b.CyclesConfig(PATIENCE)), WORLD, num_pulls=10)


@pytest.mark.slow
def test_contract():
    check_algorithm(
        b.bandit(b.rounded_cycles(WORLD.spec, b.CyclesConfig(PATIENCE)), WORLD, pulls=3), num_steps=2
    )


def test_states_and_columns_by_hand():
    tau = np.array([2, 1, -1, -2])
    np.testing.assert_array_equal(advance(tau, np.array([True, False, True, False]), 2), [-1, 2, -2, 1])
    np.testing.assert_array_equal(advance(tau, np.array([False, True, False, True]), 2), [2, -1, 1, -2])
    np.testing.assert_array_equal(column_of(np.array([-2, -1, 1, 2]), 2), range(4))


def test_the_relaxation_of_the_patience_family():
    """The bounds of an independent implementation; for a wait of 3: the good cycle has 3 rests and 1 play."""
    for wait, bound in ((3, 0.275), (4, 0.230), (6, 0.179)):
        plan = PLAN(jnp.array(worlds.patience_table(wait)), 1)
        assert float(plan.bound) == pytest.approx(bound, abs=1e-3)
        assert (int(plan.rests[0, 1]), int(plan.plays[0, 1])) == (wait, 1)


def brute_force(table, number):
    """The best average reward, by value iteration over all states of all arms, in float64."""
    n, depth = table.shape[0], table.shape[1] // 2
    steps = [tau for tau in range(-depth, depth + 1) if tau]
    states = list(itertools.product(steps, repeat=n))
    place = {state: i for i, state in enumerate(states)}
    actions = [
        np.array([arm in chosen for arm in range(n)]) for chosen in itertools.combinations(range(n), number)
    ]
    rewards, successors = [], []
    for action in actions:
        rewards.append([sum(table[i, column_of(s[i], depth)] for i in range(n) if action[i]) for s in states])
        after = [
            [max(t - 1, -depth) if t < 0 else -1] if a else [min(t + 1, depth) if t > 0 else 1]
            for s in states
            for t, a in zip(s, action, strict=True)
        ]
        flat = np.array(after).reshape(len(states), n)
        successors.append([place[tuple(row)] for row in flat.tolist()])
    rewards, successors = np.array(rewards), np.array(successors)
    value = np.zeros(len(states))
    for _ in range(400):
        value = (rewards + value[successors]).max(0)
    before = value
    for _ in range(120):
        value = (rewards + value[successors]).max(0)
    return float((value - before).max() / 120)


@pytest.mark.parametrize("number", [1, 2])
def test_the_relaxation_bounds_the_best_policy(number):
    draw = jax.jit(worlds.monotone_table(3, 2))
    ratios = []
    for seed in range(4):
        table = np.asarray(draw(jax.random.key(seed)))
        ratios.append(brute_force(table.astype(float), number) / float(PLAN(jnp.array(table), number).bound))
    assert max(ratios) <= 1 + 1e-4 and min(ratios) > 0.75


def test_promises_and_choices_by_hand():
    table = jnp.array([[0.1, 0.2, 0.3, 0.4]] * 4)
    plays, pays = promises(table, jnp.array([2, 2, 1, 0]), jnp.array([1, 2, 2, 0]))
    np.testing.assert_array_equal(plays, [False, True, True, True])
    np.testing.assert_allclose(pays[1:], [0.4, 0.2, 0.1], rtol=1e-6)  # rested twice; played once; always played
    np.testing.assert_array_equal(best_playing(plays, pays, 2), [False, True, True, False])
    np.testing.assert_array_equal(best_playing(jnp.array([False, False, True, False]), pays, 2), [0, 0, 1, 0])


@pytest.fixture(scope="module")
def rewards():
    """Mean reward of 600 rounds, 20 phases, on the patience family with a wait of 4."""
    table = worlds.patience_table(4)
    world, keys = worlds.last_switch(table), jax.random.split(jax.random.key(0), 20)

    def mean(make):
        train = make_train(b.bandit(make(world.spec, b.CyclesConfig(table)), world, pulls=600), 1)
        return np.asarray(jax.jit(jax.vmap(train))(keys)[1]["reward"])[:, 0]

    return {make.__name__: mean(make) for make in (b.rounded_cycles, b.myopic)}


def test_waiting_pays_and_greed_does_not_wait(rewards):
    np.testing.assert_allclose(rewards["myopic"], 0.061, atol=2e-3)
    assert rewards["rounded_cycles"].mean() > 0.9 * 0.230


def test_bad_input_is_refused():
    table = np.tile(np.linspace(0.1, 0.9, 4), (3, 1))
    spec = worlds.last_switch(table).spec
    for message, make in {
        "table of shape": lambda: worlds.last_switch(table[:, :3]),
        "never fall with rest": lambda: worlds.last_switch(table[:, ::-1]),
        "table=": lambda: worlds.last_switch(table + 1),
        "num_chosen=4": lambda: worlds.last_switch(table, 4),
        "num_chosen=0": lambda: worlds.last_switch(table, 0),
        "wait=7: expected at most depth=6": lambda: worlds.patience_table(7),
        "num_arms=1": lambda: worlds.monotone_table(1, 3),
        "action='index'": lambda: b.rounded_cycles(worlds.bernoulli((0.1, 0.2)).spec, b.CyclesConfig(table)),
        "expected 3 rows": lambda: b.myopic(spec, b.CyclesConfig(table[:2])),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
