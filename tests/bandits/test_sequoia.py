"""SEQUOIA: the maximum over a table against brute force, iterative search by hand, learning, and what is refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.algorithm import scan_steps
from purejaxexplore.bandits.sequoia import strategic_actions
from purejaxexplore.bandits.table_values import climbed, features_of, table_values
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.restless import expected_reward, up_chances
from purejaxexplore.nets import MLP
from purejaxexplore.testing import check_algorithm, check_policy
from purejaxexplore.testing.trees import quick_jit

PROBLEM = worlds.restless_budget(4, 1)
ARMS = PROBLEM.draw(jax.random.key(0))
TINY = b.SequoiaConfig(
    horizon=4, num_top=1, hidden_sizes=(4, 4), batch_size=4, capacity=40, pretrain_states=2, pretrain_epochs=1
)


@pytest.mark.slow
def test_contract():
    check_algorithm(b.sequoia(ARMS, PROBLEM.actions, TINY), num_steps=1)


@pytest.mark.parametrize("one_hot", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_table_is_searched_exactly(one_hot):
    """J = 8, any three arms, by evaluating every action one by one in NumPy."""
    network = MLP((16, 32), 1, "relu", 1.0)
    rng = np.random.default_rng(0)
    states = rng.integers(0, 4, 8)
    features = np.asarray(features_of(jnp.asarray(states), 4, one_hot))
    expected_features = np.eye(4)[states].ravel() if one_hot else states
    np.testing.assert_array_equal(features, expected_features)
    params = quick_jit(network.init)(jax.random.key(1), jnp.zeros(8 + features.size))
    layers = [params["params"][f"Dense_{i}"] for i in range(3)]
    table = worlds.restless_budget(8, 3).actions
    best, found = -np.inf, None
    for k in range(4):
        for members in itertools.combinations(range(8), k):
            x = np.concatenate([np.isin(np.arange(8), members), features]).astype(float)
            for i, layer in enumerate(layers):
                x = x @ np.asarray(layer["kernel"], float) + np.asarray(layer["bias"], float)
                x = x if i == 2 else np.maximum(x, 0)
            if x[0] > best:
                best, found = x[0], members
    values = table_values(params, jnp.asarray(features), jnp.asarray(table, jnp.float32))
    assert tuple(np.flatnonzero(table[values.argmax()])) == found
    assert float(values.max()) == pytest.approx(best, rel=1e-5)


def test_iterative_search_stops_where_no_single_part_helps():
    """Values of the 8 sets of 3 parts: alone only part 2 helps, and with it nothing; the best set is {0, 1}."""
    table = worlds.restless_budget(3, 3).actions
    values = {(): 0.0, (0,): -1.0, (1,): -1.0, (2,): 1.0, (0, 1): 5.0, (0, 2): 0.5, (1, 2): 0.9, (0, 1, 2): 3.0}
    scores = jnp.array([values[tuple(np.flatnonzero(row).tolist())] for row in table])
    everywhere = jnp.ones(8, bool)
    row = climbed(scores, everywhere, jnp.asarray(table), 3)
    assert np.flatnonzero(table[row]).tolist() == [2]
    without = everywhere.at[int(np.flatnonzero((table == [False, False, True]).all(1))[0])].set(False)
    assert int(climbed(scores, without, jnp.asarray(table), 3)) == 0


def test_strategic_actions():
    np.testing.assert_array_equal(
        strategic_actions(2).astype(int), [[0, 0], [1, 1], [1, 0], [0, 1], [0, 1], [1, 0]]
    )


CONFIG = b.SequoiaConfig(
    horizon=5, num_top=1, learning_rate=0.01, tau=0.05, hidden_sizes=(16,), pretrain_states=60, pretrain_epochs=30,
    lr_decay=0.95, epsilon_rounds=30.0, capacity=1000, one_hot=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    """The network after pre-training and after 40 episodes, and the metrics."""
    algorithm = b.sequoia(ARMS, PROBLEM.actions, CONFIG)

    @quick_jit
    def train(key):
        start = algorithm.init(key)
        return start, *scan_steps(algorithm, key, start, 0, 40)

    return train(jax.random.key(0))


def test_pretraining_learns_the_expected_reward_of_a_round(trained):
    start, *_ = trained
    states = jnp.asarray(np.random.default_rng(0).integers(0, 4, (30, 4)))
    table = jnp.asarray(PROBLEM.actions)
    truth = np.stack([expected_reward(ARMS, s, up_chances(ARMS, table)) for s in states])
    members = table.astype(jnp.float32)
    guess = np.stack([table_values(start.params, features_of(s, 4, True), members) for s in states])
    assert np.corrcoef(truth.ravel(), guess.ravel())[0, 1] > 0.9


def test_learning_moves_the_target_and_bootstraps(trained):
    start, state, metrics = trained
    assert int(metrics["env_steps"][-1]) == 200 and int(state.episodes) == 40
    np.testing.assert_allclose(metrics["epsilon"][-1], 0.05 + 0.85 * np.exp(-200 / 30), rtol=1e-4)
    assert np.isfinite(metrics["value_loss"]).all()
    members = jnp.asarray(PROBLEM.actions, jnp.float32)
    features = features_of(jnp.array([3, 3, 3, 3]), 4, True)
    before, after = (table_values(x.params, features, members).max() for x in (start, state))
    assert after > 1.3 * before  # a round more of reward is worth more than one round's
    moved = jax.tree.map(lambda old, new: bool((old != new).any()), start.target, state.target)
    assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize("search", ["exact", pytest.param("iterative", marks=pytest.mark.slow)])
def test_what_is_learnt_acts(search, trained):
    world = worlds.restless(ARMS, PROBLEM.actions, horizon=5)
    policy = b.greedy_values(world.spec, ARMS, PROBLEM.actions, trained[1].params, one_hot=True, search=search)
    check_policy(policy, world, num_pulls=4)


def test_bad_input_is_refused(trained):
    spec = worlds.restless(ARMS, PROBLEM.actions).spec
    for message, make in {
        "tau=2": lambda: b.sequoia(ARMS, PROBLEM.actions, TINY.replace(tau=2)),
        "horizon=0": lambda: b.sequoia(ARMS, PROBLEM.actions, TINY.replace(horizon=0)),
        "num_top=5: expected at most 4": lambda: b.sequoia(ARMS, PROBLEM.actions, TINY.replace(num_top=5)),
        "hidden_sizes": lambda: b.sequoia(ARMS, PROBLEM.actions, TINY.replace(hidden_sizes=())),
        "learning_rate=-1": lambda: b.sequoia(ARMS, PROBLEM.actions, TINY.replace(learning_rate=-1)),
        "epsilon_rounds=0": lambda: b.sequoia(ARMS, PROBLEM.actions, TINY.replace(epsilon_rounds=0)),
        "actions: bool": lambda: b.sequoia(ARMS, PROBLEM.actions[1:], TINY),
        "search='greedy'": lambda: b.greedy_values(spec, ARMS, PROBLEM.actions, {}, search="greedy"),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
