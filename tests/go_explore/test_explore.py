"""Go-Explore's exploration phase on worlds small enough to enumerate, and on KeyRooms."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import environment, spaces

from purejaxexplore.algorithm import make_train, per_seed
from purejaxexplore.archives import archive as table
from purejaxexplore.archives import cells, trajectory, weights
from purejaxexplore.envs.grids.key_rooms import KeyRooms
from purejaxexplore.go_explore import GoExploreConfig, go_explore, replay
from purejaxexplore.go_explore.explore import Best, Place, choose, improve
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit
from tests.toy_envs import Corridor

SMALL = GoExploreConfig(action_repeat=0.5, num_lanes=4, horizon=6, capacity=64, num_iterations=12)


class NoisyState(NamedTuple):
    position: jax.Array
    time: jax.Array
    key: jax.Array


class NoisyLine(environment.Environment):
    """A line on which every step is a continuous push plus noise, from the step's key and from a key in the state.

    Beyond +2 the episode ends with reward 5; each step pays the position, so that ends of episodes can be the best.
    """

    @property
    def default_params(self):
        return environment.EnvParams(max_steps_in_episode=9)

    def reset_env(self, key, params):
        state = NoisyState(jnp.float32(0.0), 0, key)
        return state.position[None], state

    def step_env(self, key, state, action, params):
        carried, used = jax.random.split(state.key)
        noise = 0.1 * jax.random.normal(key) + 0.1 * jax.random.normal(used)
        position = state.position + 0.5 * action[0] + noise
        ended = position > 2.0
        state = NoisyState(position, state.time + 1, carried)
        return position[None], state, position + 5.0 * ended, ended, {}

    def action_space(self, params):
        return spaces.Box(-1.0, 1.0, (1,))


noisy_cell = cells.quantised([-4.0], [4.0], [16])


def run(algorithm, seed_key, num_steps):
    return jax.jit(make_train(algorithm, num_steps))(seed_key)


@pytest.fixture(scope="module")
def noisy(key):
    env = NoisyLine()
    params = env.default_params
    state, metrics = run(go_explore(env, params, SMALL, cell=noisy_cell), key, 12)
    return env, params, state, metrics


@pytest.fixture(scope="module")
def key_rooms(key):
    """One KeyRooms run of four seeds, long enough for chains of several rollouts."""
    env = KeyRooms()
    config = GoExploreConfig(action_repeat=0.8, num_lanes=8, horizon=20, capacity=1024, num_iterations=60)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(4))
    train = jax.jit(jax.vmap(make_train(go_explore(env, env.default_params, config), 60)))
    state, metrics = train(keys)
    return env, config, keys, state, metrics


def test_contract():
    env = Corridor(6)
    check_algorithm(go_explore(env, env.default_params, SMALL, cell=cells.exact), num_steps=2)


@pytest.mark.slow
def test_contract_with_typed_keys_noise_and_continuous_actions():
    env = NoisyLine()
    check_algorithm(go_explore(env, env.default_params, SMALL, cell=noisy_cell), num_steps=2)


def test_choose_restores_records_and_starts_anew_without_weight():
    archive = table.init(Place(jnp.int32(0), jnp.int32(0)), 4, ("tie", "node"))
    payload = Place(jnp.array([10, 20]), jnp.array([3, 5]))
    archive, _ = table.insert(
        archive, jnp.array([0, 2]), jnp.array([1.0, 2.0]), payload, tie=payload.length, node=jnp.array([7, 8])
    )
    weight = jnp.array([0.0, 9.0, 1.0, 9.0])  # slots 1 and 3 are empty
    origin = choose(jax.random.key(0), archive, weight, jnp.int32(99), 3)
    for value, expected in zip(origin, (2, 20, 2.0, 5, 8), strict=True):
        assert value.tolist() == [expected] * 3
    origin = choose(jax.random.key(0), archive, jnp.zeros(4), jnp.int32(99), 3)
    for value, expected in zip(origin, (4, 99, 0.0, 0, trajectory.START), strict=True):
        assert value.tolist() == [expected] * 3


def test_improve_prefers_score_then_length_and_ignores_the_dead_and_nan():
    best = Best(jnp.float32(1), jnp.int32(4), jnp.int32(0))
    score = jnp.array([[2.0, 2.0, 9.0], [2.0, jnp.nan, 9.0]])
    length = jnp.array([[8, 6, 1], [7, 1, 1]])
    node = jnp.arange(6).reshape(2, 3)
    alive = jnp.array([[True, True, False], [True, True, False]])
    found = improve(best, score, length, node, alive)
    assert (float(found.score), int(found.length), int(found.node)) == (2.0, 6, 1)
    assert int(improve(found, score, length, node + 10, alive).node) == 1
    assert int(improve(best, score, length, node, jnp.zeros_like(alive)).node) == 0


def test_cells_are_visited_states_and_ends_are_not(key):
    env = Corridor(6)
    params = env.default_params.replace(random_start=False)
    state, metrics = run(go_explore(env, params, SMALL, cell=lambda o, s, p: s.position), key, 12)
    filled = np.asarray(state.archive.filled)
    positions = np.asarray(state.archive.payload.packed.position)[filled]
    # The sixth position ends the episode by success, and the fifth step by truncation, so five lengths remain.
    assert sorted(positions) == [0, 1, 2, 3, 4]
    assert state.archive.tie[filled].tolist() == positions.tolist()  # the shortest way to each
    assert metrics["success"][-1] == 1 and metrics["coverage"][-1] == 1
    assert state.best.score == 1 and state.best.length == 5
    assert metrics["cells"].dtype == jnp.int32 and metrics["cells"][-1] == 5
    steps = np.diff(metrics["env_steps"], prepend=0)
    assert (steps <= 4 * 5).all() and (np.diff(metrics["env_steps_replayed"], prepend=0) >= steps).all()


def test_hash_and_key_index_find_the_same_cells(key):
    env = Corridor(6)
    params = env.default_params.replace(random_start=False)
    found = []

    def cell(observation, state, params):
        return state.position

    for index in ("hash", "key"):
        algorithm = go_explore(env, params, SMALL.replace(index=index), cell=cell)
        state, _ = run(algorithm, key, 12)
        filled = np.asarray(state.archive.filled)
        order = np.argsort(np.asarray(state.archive.payload.packed.position)[filled])
        found.append((np.asarray(state.archive.tie)[filled][order], np.asarray(state.archive.score)[filled][order]))
    np.testing.assert_array_equal(*found)


def test_start_weights_never_return(key):
    env = Corridor(6)
    algorithm = go_explore(env, env.default_params, SMALL, cell=cells.exact, weight=weights.start)
    state, metrics = run(algorithm, key, 4)
    assert (state.parent[:4] == trajectory.START).all() and (state.parent[4:] == trajectory.UNLOGGED).all()
    assert state.archive.chosen.sum() == 0
    np.testing.assert_array_equal(metrics["env_steps_replayed"], metrics["env_steps"])


def test_tie_decides_among_equal_scores(key):
    env = Corridor(6)
    params = env.default_params.replace(random_start=False)
    def latest(length, state, params):
        return -state.time

    state, _ = run(go_explore(env, params, SMALL, cell=lambda o, s, p: s.position, tie=latest), key, 12)
    filled = np.asarray(state.archive.filled)
    time = np.asarray(state.archive.payload.packed.time)[filled]
    position = np.asarray(state.archive.payload.packed.position)[filled]
    assert time[position == 0] == 4  # the start itself gives way to the latest return to its cell
    np.testing.assert_array_equal(state.archive.tie[filled], -time)
    np.testing.assert_array_equal(state.archive.payload.length[filled], time)


def replayed_exactly(env, params, config, state, slots, seed_key):
    """Whether each elite is reached again: same state, score (up to the order of additions) and length."""
    packed = env.pack if hasattr(env, "pack") else lambda s: s
    exact = 0
    for slot in slots:
        again = replay(env, params, config, state, state.archive.node[slot], seed_key)
        last = packed(jax.tree.map(lambda x: jnp.asarray(x[-1]), again.states))
        stored = jax.tree.map(lambda x, slot=slot: x[slot], state.archive.payload.packed)
        same = jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), stored, last))
        score = np.isclose(again.rewards.sum(), state.archive.score[slot], rtol=1e-6)
        exact += same and score and len(again.rewards) == state.archive.payload.length[slot]
    return exact


def test_sixty_of_sixty_elites_of_key_rooms_replay(key_rooms):
    env, config, keys, states, _ = key_rooms
    exact, deepest = 0, 0
    for seed in range(4):
        state = jax.tree.map(lambda x, seed=seed: x[seed], states)
        slots = np.random.default_rng(seed).choice(np.flatnonzero(state.archive.filled), 15, replace=False)
        exact += replayed_exactly(env, env.default_params, config, state, slots, keys[seed])
        deepest = max(deepest, *(len(trajectory.extract(state.parent, state.archive.node[s], 20)) for s in slots))
    assert exact == 60
    assert deepest >= 5


def test_the_best_score_of_key_rooms_replays(key_rooms):
    env, config, keys, states, metrics = key_rooms
    state = jax.tree.map(lambda x: x[0], states)
    again = replay(env, env.default_params, config, state, state.best.node, keys[0])
    assert again.rewards.sum() == state.best.score == metrics["best_score"][0, -1]
    assert len(again.actions) == state.best.length == len(again.states.time) - 1


def test_noise_typed_keys_and_continuous_actions_replay(noisy, key):
    env, params, state, _ = noisy
    slots = np.flatnonzero(state.archive.filled)
    assert len(slots) > 5
    assert replayed_exactly(env, params, SMALL, state, slots, key) == len(slots)
    again = replay(env, params, SMALL, state, state.best.node, key)
    assert again.actions.shape == (state.best.length, 1) and np.abs(again.actions).max() <= 1
    np.testing.assert_allclose(again.rewards.sum(), state.best.score, rtol=1e-6)


def test_replay_under_per_seed(key):
    """The world is drawn at init; the keys of the steps pass through unchanged."""
    env = Corridor(6)

    def sample(key):
        return env.default_params.replace(max_steps_in_episode=jax.random.randint(key, (), 4, 40))

    config = SMALL.replace(num_iterations=6)
    algorithm = per_seed(sample, lambda params: go_explore(env, params, config, cell=cells.exact))
    (params, state), _ = run(algorithm, key, 6)
    slots = np.flatnonzero(state.archive.filled)
    assert replayed_exactly(env, params, config, state, slots, key) == len(slots)


def assert_same_exploration(restored, replayed):
    """Both states and metrics, but for what a record keeps of its state and for the steps of returns."""
    (state, metrics), (again, metrics_again) = restored, replayed
    assert again.archive.payload.packed == () and state.rollout_keys is None
    for name in ("score", "tie", "node", "seen", "chosen", "fresh", "key"):
        np.testing.assert_array_equal(getattr(again.archive, name), getattr(state.archive, name), err_msg=name)
    np.testing.assert_array_equal(again.archive.payload.length, state.archive.payload.length)
    np.testing.assert_array_equal(again.parent, state.parent)
    for value, expected in zip(jax.tree.leaves(again.best), jax.tree.leaves(state.best), strict=True):
        np.testing.assert_array_equal(value, expected)
    for name in metrics.keys() - {"env_steps"}:
        np.testing.assert_array_equal(metrics_again[name], metrics[name], err_msg=name)
    np.testing.assert_array_equal(metrics["env_steps"], metrics["env_steps_explored"])
    np.testing.assert_array_equal(metrics_again["env_steps"], metrics["env_steps_replayed"])


def test_returning_by_replay_finds_the_very_archive_of_restored_states(key_rooms):
    env, config, keys, *restored = key_rooms
    algorithm = go_explore(env, env.default_params, config.replace(return_mode="replay"))
    state, metrics = quick_jit(jax.vmap(make_train(algorithm, 60)))(keys)
    assert_same_exploration(restored, (state, metrics))
    # Ways of up to hundreds of steps, through several rollouts: not a run that never left the start.
    assert (metrics["env_steps"][:, -1] > 2 * metrics["env_steps_explored"][:, -1]).all()
    one = jax.tree.map(lambda x: x[0], state)
    again = replay(env, env.default_params, config, one, one.best.node, keys[0])
    assert again.rewards.sum() == one.best.score


@pytest.mark.slow
def test_replay_repeats_the_luck_of_a_noisy_world(noisy, key):
    env, params, *restored = noisy
    algorithm = go_explore(env, params, SMALL.replace(return_mode="replay"), cell=noisy_cell)
    assert_same_exploration(restored, run(algorithm, key, 12))


@pytest.mark.slow
def test_the_contract_of_returning_by_replay():
    env = Corridor(6)
    config = SMALL.replace(return_mode="replay")
    check_algorithm(go_explore(env, env.default_params, config, cell=cells.exact), num_steps=2)


def test_a_full_log_ends_the_storing_of_what_only_a_replay_could_reach(key):
    env = Corridor(30)
    params = env.default_params.replace(max_steps_in_episode=100)
    config = SMALL.replace(num_iterations=1, return_mode="replay")
    algorithm = go_explore(env, params, config, cell=lambda o, s, p: s.position)
    state, metrics = quick_jit(make_train(algorithm, 6))(key)
    assert metrics["unlogged"].tolist() == [0, 4, 8, 12, 16, 20]
    assert (metrics["cells"] == metrics["cells"][0]).all() and metrics["cells"][0] > 1
    assert (np.asarray(state.archive.node) >= trajectory.START).all()
    assert metrics["coverage"][-1] > metrics["coverage"][0]  # what is met still counts


def test_a_full_log_is_counted_and_refuses_to_replay(key):
    env = Corridor(30)
    params = env.default_params.replace(max_steps_in_episode=100)
    config = SMALL.replace(num_iterations=1)
    state, metrics = run(go_explore(env, params, config, cell=lambda o, s, p: s.position), key, 6)
    assert metrics["unlogged"].tolist() == [0, 4, 8, 12, 16, 20]
    assert metrics["cells"][-1] > metrics["cells"][0]
    slot = int(jnp.argmin(state.archive.node))
    with pytest.raises(ValueError, match="log of 1 iterations was full"):
        replay(env, params, config, state, state.archive.node[slot], key)


@pytest.mark.slow
def test_action_repeat_may_be_swept(key):
    env = Corridor(6)

    def final_cells(repeat):
        algorithm = go_explore(env, env.default_params, SMALL.replace(action_repeat=repeat), cell=cells.exact)
        return make_train(algorithm, 3)(key)[1]["cells"][-1]

    swept = jax.jit(jax.vmap(final_cells))(jnp.array([0.5, 0.0]))
    assert swept.tolist() == [int(jax.jit(partial(final_cells, repeat))()) for repeat in (0.5, 0.0)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": 100}, "capacity=100.*nearest is 128"),
        ({"capacity": 2}, "capacity=2.*num_lanes=4"),
        ({"num_lanes": -1}, "num_lanes=-1"),
        ({"horizon": 0}, "horizon=0"),
        ({"num_iterations": 2.5}, "num_iterations=2.5"),
        ({"num_iterations": 10**8}, "num_iterations=100000000: expected at most 89478485"),
        ({"action_repeat": 1.0}, "action_repeat=1.0"),
        ({"action_repeat": -0.1}, "action_repeat=-0.1"),
        ({"index": "grid"}, "index='grid'.*cells.grid"),
        ({"return_mode": "reply"}, "return_mode='reply': expected one of restore, replay; did you mean 'replay'"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    env = Corridor(6)
    with pytest.raises(ValueError, match=message):
        go_explore(env, env.default_params, SMALL.replace(**changes), cell=cells.exact)


def test_bad_environments_are_refused():
    env = Corridor(6)
    with pytest.raises(TypeError, match="env=.*step_env"):
        go_explore(lambda action: 0.0, None, SMALL)
    with pytest.raises(ValueError, match="Corridor.*cell="):
        go_explore(env, env.default_params, SMALL)

    class Unbounded(NoisyLine):
        def action_space(self, params):
            return spaces.Box(-jnp.inf, jnp.inf, (1,))

    with pytest.raises(ValueError, match="finite bounds"):
        go_explore(Unbounded(), None, SMALL, cell=cells.exact)
