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
LARGE = worlds.restless_schedule(8, 3, table=False)
ARMS = quick_jit(LARGE.draw)(jax.random.key(0))
WORLD = worlds.restless(ARMS, None, num_chosen=3, horizon=5)
SEARCH = b.SetSearchConfig(chains=64, sweeps=4)
TINY = b.SetSearchConfig(chains=2, sweeps=1)
CONFIG = b.SequoiaConfig(
    horizon=3, num_top=1, hidden_sizes=(4, 4), batch_size=4, capacity=40, pretrain_states=2, pretrain_epochs=1,
    search=TINY, target_search=TINY,
)  # fmt: skip


@pytest.mark.parametrize(
    "name", [name if name == "schedule" else pytest.param(name, marks=pytest.mark.slow) for name in PROBLEMS]
)
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


EVERY = np.arange(16)[:, None] >> np.arange(4) & 1 > 0
TWO = EVERY.sum(1) <= 2


def members(*parts):
    return np.isin(np.arange(4), parts)


def test_moves_by_hand():
    """Of four parts; ``TWO``: at most two of them."""
    moves = (
        ((0,), 2, 0.0, True, TWO, (0, 2)),  # added
        ((0, 1), 2, 0.0, True, TWO, (1, 2)),  # no room: for the first
        ((0, 1), 2, 0.9, True, TWO, (0, 2)),  # for the second
        ((0, 1), 1, 0.0, True, TWO, (0,)),  # dropped
        ((0, 1), 1, 0.99, False, TWO, (0, 3)),  # swapped for the last outside
        ((0, 1), 2, 0.0, True, TWO & ~EVERY[:, 2], (0, 1)),  # nowhere to go
        ((0, 1, 2, 3), 1, 0.0, False, TWO | True, (0, 2, 3)),  # nothing to swap for
    )
    begin, part, partner, drops, feasible, end = zip(*moves, strict=True)
    weights = jnp.asarray(1 << np.arange(4))
    order = np.array([0.9, 0.1, 0.5, 0.3])

    @quick_jit
    @jax.vmap
    def run(action, part, partner, drops, feasible):
        def oracle(x):
            return feasible[x @ weights]

        return neighbour(action, part, partner, drops, oracle), random_set(jnp.asarray(order), oracle)

    begin = np.stack([members(*parts) for parts in begin])
    found, grown = run(begin, np.array(part), np.array(partner), np.array(drops), np.stack(feasible))
    np.testing.assert_array_equal(found, [members(*parts) for parts in end])
    assert np.flatnonzero(grown[0]).tolist() == [1, 3]
    assert np.flatnonzero(grown[5]).tolist() == [1, 3] and np.asarray(grown[6]).all()


def test_oracles_by_hand():
    np.testing.assert_array_equal(fillings((2, 3), 5), [[1, 1], [2, 0], [0, 1], [1, 0], [0, 0]])
    costs, held = (2, 3), fillings((2, 3), 6)
    kinds, room = np.array([[2, 2], [2, 2], [3, 0]]), np.array([[6, 4], [5, 4], [6, 2]])
    line = np.abs(np.arange(6)[:, None] - np.arange(6))
    places = np.stack([np.isin(np.arange(6), x) for x in ((), (0,), (4,), (1, 3, 5))])

    @quick_jit
    def run():
        fits = jax.vmap(lambda kinds, room: packs(kinds, room, costs, held))(kinds, room)
        return fits, jax.vmap(lambda action: trip(action, jnp.asarray(line), 3))(jnp.asarray(places))

    fits, lengths = run()
    assert fits.tolist() == [True, False, True] and lengths.tolist() == [0, 0, 8, 10]


def test_problems_without_a_table_draw_the_same_instances():
    theirs = quick_jit(PROBLEMS["schedule"].draw)(jax.random.key(0))
    assert LARGE.actions is None and ARMS.allowed.shape == (0,)
    jax.tree.map(np.testing.assert_array_equal, ARMS._replace(allowed=()), theirs._replace(allowed=()))


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


@pytest.mark.slow
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
