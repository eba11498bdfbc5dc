"""Local search: exact against tables of eight parts, never infeasible; oracles against tables; SEQUOIA without one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.bandits.set_search import neighbour, random_set
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.restless_oracles import fillings, packs, trip
from purejaxexplore.nets import MLP
from purejaxexplore.testing import check_algorithm, check_policy
from purejaxexplore.testing.trees import quick_jit

PROBLEMS = {
    "interventions": worlds.restless_interventions(24, 8, 3),
    "schedule": worlds.restless_schedule(8, 3),
    "capacity": worlds.restless_capacity(8, 3),
    "path": worlds.restless_path(2, 4, 3),
}
SEARCH = b.SetSearchConfig(chains=64, sweeps=4)
TINY = b.SetSearchConfig(chains=2, sweeps=1)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_best_set_is_found_and_the_oracle_agrees_with_the_table(name):
    """On eight parts, of the myopic value and of a network, in three states, by trying all allowed sets."""
    problem = PROBLEMS[name]
    arms = quick_jit(problem.draw)(jax.random.key(2))
    J, N = arms.links.shape
    every = np.arange(2**N)[:, None] >> np.arange(N) & 1 > 0
    states = jnp.asarray(np.random.default_rng(0).integers(0, 4, (3, J)))
    params = quick_jit(MLP((16, 32), 1, "relu", 1.0).init)(jax.random.key(1), jnp.zeros(N + 4 * J))

    @quick_jit
    def run(keys):
        def decide(key, states):
            values = b.myopic_value(arms, states), b.network_value(arms, params, states, one_hot=True)
            oracle = partial(problem.feasible, arms)
            found = [b.set_search(key, value, oracle, N, SEARCH) for value in values]
            return jax.tree.map(lambda *x: jnp.stack(x), *found), jnp.stack([value(every) for value in values])

        return jax.vmap(partial(problem.feasible, arms))(every), jax.vmap(decide)(keys, states)

    feasible, (found, values) = jax.tree.map(np.asarray, run(jax.random.split(jax.random.key(0), 3)))
    rows = {row.tobytes() for row in problem.actions[np.asarray(arms.allowed)]}
    in_table = np.array([row.tobytes() in rows for row in every])
    np.testing.assert_array_equal(feasible, in_table)
    assert 1 < in_table.sum() < 256
    best = np.where(in_table, values, -np.inf)
    np.testing.assert_allclose(found.value, best.max(-1), rtol=1e-5)
    codes = found.action @ (1 << np.arange(N))
    np.testing.assert_allclose(np.take_along_axis(best, codes[..., None], -1)[..., 0], found.value, rtol=1e-5)


def test_no_infeasible_set_is_returned():
    """Under 200 random oracles, closed under nothing, whose infeasible sets are worth the most."""
    rng = np.random.default_rng(0)
    feasible = rng.random((200, 32)) < rng.random((200, 1))
    feasible[:, 0] = True
    values = rng.normal(size=(200, 32)) + 9.0 * ~feasible
    weights = jnp.asarray(1 << np.arange(5))

    @quick_jit
    @jax.vmap
    def run(key, feasible, values):
        return b.set_search(key, lambda x: values[x @ weights], lambda x: feasible[x @ weights], 5, TINY)

    found = run(jax.random.split(jax.random.key(0), 200), jnp.asarray(feasible), jnp.asarray(values))
    codes = np.asarray(found.action) @ np.asarray(weights)
    row = np.arange(200)
    assert feasible[row, codes].all()
    np.testing.assert_allclose(found.value, values[row, codes], rtol=1e-6)
    assert (np.asarray(found.value) >= values[:, 0] - 1e-6).all() and len(set(codes.tolist())) > 20


def test_moves_by_hand():
    def to(members, part, partner, drops, oracle):
        action = jnp.isin(jnp.arange(4), jnp.array(members))
        found = neighbour(action, jnp.int32(part), jnp.float32(partner), jnp.bool_(drops), oracle)
        return np.flatnonzero(found).tolist()

    def two(action):
        return action.sum() <= 2

    assert to([0], 2, 0.0, True, two) == [0, 2]  # added
    assert to([0, 1], 2, 0.0, True, two) == [1, 2]  # no room: for the first
    assert to([0, 1], 2, 0.9, True, two) == [0, 2]  # for the second
    assert to([0, 1], 1, 0.0, True, two) == [0]  # dropped
    assert to([0, 1], 1, 0.99, False, two) == [0, 3]  # swapped for the last outside
    assert to([0, 1], 2, 0.0, True, lambda x: two(x) & ~x[2]) == [0, 1]  # nowhere to go
    assert to([0, 1, 2, 3], 1, 0.0, False, lambda x: True) == [0, 2, 3]  # nothing to swap for
    order = jnp.array([0.9, 0.1, 0.5, 0.3])
    assert np.flatnonzero(random_set(order, two)).tolist() == [1, 3]
    assert np.flatnonzero(random_set(order, lambda x: two(x) & ~(x[1] & x[3]))).tolist() == [1, 2]


def test_oracles_by_hand():
    np.testing.assert_array_equal(fillings((2, 3), 5), [[1, 1], [2, 0], [0, 1], [1, 0], [0, 0]])
    costs, held = (2, 3), fillings((2, 3), 6)
    for kinds, room, fits in (([2, 2], [6, 4], True), ([2, 2], [5, 4], False), ([3, 0], [6, 2], True)):
        assert packs(jnp.array(kinds), jnp.array(room), costs, held) == fits
    line = jnp.abs(jnp.arange(6)[:, None] - jnp.arange(6))
    for places, length in (([], 0), ([0], 0), ([4], 8), ([1, 3, 5], 10)):
        assert trip(jnp.isin(jnp.arange(6), jnp.array(places)), line, 3) == length


def test_problems_without_a_table_draw_the_same_instances():
    for with_table, without in (
        (PROBLEMS["schedule"], worlds.restless_schedule(8, 3, table=False)),
        (worlds.restless_budget(4, 1), worlds.restless_budget(4, 1, table=False)),
    ):
        ours, theirs = (quick_jit(problem.draw)(jax.random.key(5)) for problem in (without, with_table))
        assert without.actions is None and ours.allowed.shape == (0,)
        jax.tree.map(np.testing.assert_array_equal, ours._replace(allowed=()), theirs._replace(allowed=()))


LARGE = worlds.restless_schedule(8, 3, table=False)
ARMS = quick_jit(LARGE.draw)(jax.random.key(0))
WORLD = worlds.restless(ARMS, None, num_chosen=3, horizon=5)
CONFIG = b.SequoiaConfig(
    horizon=3, num_top=1, hidden_sizes=(4, 4), batch_size=4, capacity=40, pretrain_states=2, pretrain_epochs=1,
    search=TINY, target_search=TINY,
)  # fmt: skip


def test_the_regret_without_a_table_is_no_less_than_with_it():
    arms = quick_jit(PROBLEMS["schedule"].draw)(jax.random.key(0))
    exact = worlds.restless(arms, PROBLEMS["schedule"].actions, horizon=5)
    state = exact.reset(jax.random.key(1))
    uniform, action = jax.random.uniform(jax.random.key(2), (2, 8)), jnp.arange(8) == 3
    with_table, without = (float(quick_jit(world.step)(uniform, state, action)[2]) for world in (exact, WORLD))
    gain = np.asarray(arms.up[:, 1] - arms.up[:, 0]) * np.subtract(
        *(np.asarray(arms.rewards)[np.arange(8), np.clip(np.asarray(state.states) + d, 0, 3)] for d in (1, -1))
    )
    assert without == pytest.approx(np.maximum(gain, 0).sum() - gain[3], rel=1e-4)
    assert 0 <= with_table <= without


def test_sequoia_learns_without_a_table():
    algorithm = b.sequoia(ARMS, None, CONFIG, feasible=LARGE.feasible)
    state, metrics = quick_jit(lambda key: algorithm.step(key, algorithm.init(key)))(jax.random.key(0))
    actions = np.asarray(state.replay.data.action)[:, 0][int(state.replay.size) - 3 : int(state.replay.size)]
    assert all(bool(LARGE.feasible(ARMS, jnp.asarray(action))) for action in actions)
    assert int(metrics["env_steps"]) == 3 and all(np.isfinite(x) for x in metrics.values())


@pytest.mark.slow
def test_contracts():
    check_algorithm(b.sequoia(ARMS, None, CONFIG, feasible=LARGE.feasible), num_steps=1)
    check_policy(b.searched(WORLD.spec, ARMS, LARGE.feasible, partial(b.static_value, ARMS), TINY), WORLD, num_pulls=4)


def test_bad_input_is_refused():
    spec = WORLD.spec
    search = partial(b.set_search, jax.random.key(0), jnp.sum, jnp.any, 5)
    listed = quick_jit(PROBLEMS["path"].draw)(jax.random.key(0))
    small = spec._replace(context_dim=7)
    for message, make in {
        "chains=0: expected a whole number of at least 1": lambda: search(b.SetSearchConfig(chains=0)),
        "sweeps=0: expected a whole number of at least 1": lambda: search(b.SetSearchConfig(sweeps=0)),
        "size=1": lambda: b.set_search(jax.random.key(0), jnp.sum, jnp.any, 1),
        "actions=None, feasible=None: expected a table of actions or the oracle": lambda: b.sequoia(ARMS, None, CONFIG),
        "sweeps=-1": lambda: b.sequoia(
            ARMS, None, CONFIG.replace(target_search=b.SetSearchConfig(sweeps=-1)), feasible=LARGE.feasible
        ),
        "chains=0": lambda: b.searched(spec, ARMS, LARGE.feasible, jnp.sum, b.SetSearchConfig(chains=0)),
        "context_dim=7": lambda: b.searched(small, ARMS, LARGE.feasible, jnp.sum),
        "num_chosen=None: expected it without a table": lambda: worlds.restless(ARMS, None),
        "num_chosen=3: expected it without a table": lambda: worlds.restless(
            listed, PROBLEMS["path"].actions, num_chosen=3
        ),
        "most=9: expected at most size=8": lambda: worlds.restless_schedule(8, 9, table=False),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
