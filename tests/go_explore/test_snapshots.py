"""Snapshot reinforcement learning: what is stored, where episodes start, how long they last, and when that ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.envs.wrappers import ObserveStateId
from purejaxexplore.go_explore.demonstrations import demonstrations
from purejaxexplore.go_explore.snapshots import (
    SnapshotConfig,
    SnapshotStart,
    SnapshotStartParams,
    classify,
    draw,
    of_demonstrations,
    snapshot_rl,
    watch_teacher,
)
from purejaxexplore.learners.ppo import PPOConfig
from purejaxexplore.testing import check_algorithm, check_environment
from tests.go_explore.test_backward import straight
from tests.go_explore.test_explore import NoisyLine
from tests.toy_envs import Corridor, CorridorParams

PPO = PPOConfig(
    learning_rate=0.05, num_envs=4, rollout_length=8, num_minibatches=2, num_epochs=2, network="table",
)  # fmt: skip
SMALL = SnapshotConfig(ppo=PPO, snapshot_steps=64.0, truncate=3, num_eval_steps=20)


@pytest.fixture(scope="module")
def line():
    """(env, params, snapshots) of a corridor of eight cells; the teacher walks straight to its end."""
    env, params = Corridor(8), CorridorParams(max_steps_in_episode=12, random_start=False)
    snapshots = watch_teacher(
        jax.random.key(0), env, params, lambda key, obs: jnp.int32(1), num_steps=12, gamma=0.5, num_episodes=4, best=2,
        every=2, num_clusters=2,
    )  # fmt: skip
    return env, params, snapshots


def test_snapshots_are_every_second_state_with_the_teachers_returns(line):
    snapshots = line[2]
    # Seven steps lead to the end: states before steps 0, 2, 4, 6, of two episodes, then padding.
    valid = snapshots.cluster < 2
    assert snapshots.packed.position[valid].tolist() == [0, 2, 4, 6] * 2
    np.testing.assert_allclose(snapshots.value[valid], [0.5**6, 0.5**4, 0.5**2, 1.0] * 2)
    assert snapshots.cluster[valid].tolist() == [0, 0, 0, 1] * 2  # 1 lies apart
    assert snapshots.offsets.tolist() == [0, 6, 8]
    assert snapshots.packed.position[snapshots.order[:8]].tolist() == [0, 2, 4, 0, 2, 4, 6, 6]


def test_only_the_best_episodes_are_kept():
    env, params = Corridor(8), CorridorParams(max_steps_in_episode=12, random_start=False)

    def teacher(key, obs):  # some episodes reach the end, most do not
        return (jax.random.uniform(key) < 0.75).astype(jnp.int32)

    kept = watch_teacher(
        jax.random.key(1), env, params, teacher, num_steps=12, gamma=1.0, num_episodes=64, best=4, every=1,
        num_clusters=1,
    )  # fmt: skip
    assert kept.value[kept.cluster == 0].tolist() == [1.0] * int(kept.offsets[-1])


def test_clusters_are_drawn_alike_and_members_alike(line):
    snapshots = line[2]
    drawn = jax.vmap(draw, (0, None))(jax.random.split(jax.random.key(0), 3000), snapshots)
    assert (snapshots.cluster[drawn] < 2).all()
    shares = np.bincount(snapshots.packed.position[drawn], minlength=8) / 3000
    np.testing.assert_allclose(shares[[0, 2, 4, 6]], [1 / 6, 1 / 6, 1 / 6, 1 / 2], atol=0.03)


def test_an_empty_cluster_is_never_drawn():
    snapshots = classify(jnp.arange(4), jnp.array([1.0, 1.0, 1.0, 9.0]), jnp.ones(4, bool), 3)
    assert (jnp.diff(snapshots.offsets) == 0).any()
    drawn = jax.vmap(draw, (0, None))(jax.random.split(jax.random.key(0), 400), snapshots)
    assert set(drawn.tolist()) == {0, 1, 2, 3}
    assert abs((drawn == 3).mean() - 0.5) < 0.1


def test_demonstrations_become_snapshots(line):
    env, params, _ = line
    demos = demonstrations(env, params, [straight(env, params), straight(env, params, 3)])
    snapshots = of_demonstrations(demos, gamma=0.5, every=3, num_clusters=1)
    valid = snapshots.cluster == 0
    assert snapshots.packed.position[valid].tolist() == [0, 3, 6, 0]
    np.testing.assert_allclose(snapshots.value[valid], [0.5**6, 0.5**3, 1.0, 0.0])


def test_keeps_the_environment_contract(line):
    env, params, snapshots = line
    check_environment(SnapshotStart(env), SnapshotStartParams(params, snapshots, jnp.bool_(False), jnp.int32(3)))


def test_a_snapshot_is_cut_off_after_so_many_steps_and_an_ordinary_episode_at_its_own_limit(line):
    env, params, snapshots = line
    started = SnapshotStart(env)

    def lengths(active, truncate):
        """(time of the first state, steps until truncation) walking left for ever."""
        world = SnapshotStartParams(params, snapshots, jnp.bool_(active), jnp.int32(truncate))
        _, state = started.reset_env(jax.random.key(3), world)
        begin, steps, over = int(state.env_state.time), 0, False
        while not over:
            _, state, _, terminated, _ = started.step_env(jax.random.key(0), state, jnp.int32(0), world)
            assert not terminated
            steps, over = steps + 1, bool(started.is_truncated(state, world))
        return begin, steps

    begin, steps = lengths(True, 11)
    assert begin > 1 and steps == 11  # beyond the environment's own limit of 12
    assert lengths(True, 0) == (begin, 12 - begin)
    assert lengths(False, 3) == (0, 12)


@pytest.mark.slow
def test_contract(line):
    env, params, snapshots = line
    tiny = PPO.replace(num_envs=2, rollout_length=2, num_minibatches=1, num_epochs=1)
    tiny = SMALL.replace(ppo=tiny, num_eval_steps=2)
    check_algorithm(snapshot_rl(ObserveStateId(env), params, snapshots, tiny), num_steps=1)


@pytest.mark.slow
def test_starts_return_to_the_environments_own_and_learning_goes_on(line):
    env, params, snapshots = line
    algorithm = snapshot_rl(ObserveStateId(env), params, snapshots, SMALL)
    state, step = algorithm.init(jax.random.key(0)), jax.jit(algorithm.step)
    assert set(state.lanes.env_state.env_state.position.tolist()) <= {0, 2, 4, 6}
    assert (state.lanes.env_state.limit == 3).all()
    active = []
    for t in range(40):
        state, metrics = step(jax.random.key(t), state)
        active.append(float(metrics["snapshots"]))
    assert active == [1.0] * 2 + [0.0] * 38  # 64 steps are two iterations of 32
    assert (state.lanes.env_state.limit == 0).all()
    assert jax.jit(algorithm.evaluate)(jax.random.key(1), state)["start_success"] == 1.0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"snapshot_steps": -1.0}, "snapshot_steps=-1.0: expected a number of at least 0"),
        ({"truncate": -5}, "truncate=-5: expected a number of at least 0"),
        ({"num_eval_steps": 0}, "num_eval_steps=0: expected a whole number of at least 1"),
        ({"ppo": PPO.replace(gru_size=4, network="mlp")}, "gru_size=4: expected 0"),
        ({"ppo": PPO.replace(num_envs=0)}, "num_envs=0"),
    ],
)
def test_refuses_a_bad_config(line, change, message):
    env, params, snapshots = line
    with pytest.raises(ValueError, match=message):
        snapshot_rl(ObserveStateId(env), params, snapshots, SMALL.replace(**change))


def test_refuses_no_snapshot_and_a_world_that_cannot_show_one(line):
    env, params, snapshots = line
    nothing = classify(snapshots.packed, snapshots.value, jnp.zeros(len(snapshots.value), bool))
    with pytest.raises(ValueError, match="snapshots: expected at least one valid state, got none"):
        snapshot_rl(ObserveStateId(env), params, nothing, SMALL)
    with pytest.raises(TypeError, match="has no get_obs"):
        SnapshotStart(NoisyLine())


@pytest.mark.parametrize(
    "change, message",
    [({"best": 5}, "best=5: expected at most num_episodes=4"), ({"every": 0}, "every=0"), ({"gamma": 2.0}, "gamma=2")],
)
def test_refuses_a_bad_teacher(line, change, message):
    with pytest.raises(ValueError, match=message):
        watch_teacher(jax.random.key(0), *line[:2], None, **{"num_steps": 3, "num_episodes": 4, "best": 2, **change})
