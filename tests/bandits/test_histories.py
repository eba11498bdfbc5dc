"""Histories shown to networks, recorded play, and imitation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.algorithm import make_train
from purejaxexplore.envs.bandits import bernoulli, linear
from purejaxexplore.testing import check_algorithm, check_policy

WORLD = bernoulli((0.8, 0.5, 0.2))
TEACHER = b.ucb1(WORLD.spec, b.UCB1Config(0.5))
HISTORY = b.ucb_support(WORLD.spec, b.UCB1Config(0.5))
PULLS = 30


@pytest.fixture(scope="module")
def trajectories():
    """Six seeds of the teacher."""
    keys = jax.random.split(jax.random.key(0), 6)
    return jax.jit(jax.vmap(b.collect(TEACHER, WORLD, PULLS, HISTORY)))(keys)


def test_features_are_those_of_the_pulls_before(trajectories):
    seed = 2
    action, reward = np.asarray(trajectories.action[seed]), np.asarray(trajectories.reward[seed], np.float64)
    for t in (0, 1, 7, PULLS - 1):
        n = np.array([(action[:t] == a).sum() for a in range(3)])
        mean = np.array([reward[:t][action[:t] == a].mean() if n[a] else 0.0 for a in range(3)])
        bonus = np.sqrt(0.5 * np.log(t + 1.0) / np.maximum(n, 0.5))
        expected = np.column_stack([mean, np.log1p(n), np.full(3, np.log(t + 1.0)), bonus])
        np.testing.assert_allclose(trajectories.features[seed, t], expected, rtol=1e-5, atol=1e-6)
    assert len(HISTORY.names) == expected.shape[1]


def test_the_teacher_is_the_largest_sum_of_mean_and_bonus(trajectories):
    """Of the recorded features, as the guided network sees them; every arm is played once first."""
    score = np.asarray(trajectories.features[..., 0] + trajectories.features[..., 3])[:, 3:]
    np.testing.assert_array_equal(score.argmax(-1), trajectories.action[:, 3:])
    np.testing.assert_array_equal(trajectories.advice, trajectories.action)


def test_policies_of_one_key_meet_the_same_noise():
    """The outcomes that two policies see where they pull the same arm at the same time are the same."""
    key = jax.random.key(5)
    other = b.epsilon_greedy(WORLD.spec, b.EpsilonGreedyConfig(1.0))
    runs = [jax.jit(b.collect(policy, WORLD, 200, HISTORY))(key) for policy in (TEACHER, other)]
    same = np.asarray(runs[0].action == runs[1].action)
    assert same.sum() > 30
    np.testing.assert_array_equal(runs[0].reward[same], runs[1].reward[same])


def test_an_expert_watches_without_being_followed():
    uniform = b.epsilon_greedy(WORLD.spec, b.EpsilonGreedyConfig(1.0))
    run = jax.jit(b.collect(uniform, WORLD, 60, HISTORY, expert=TEACHER))(jax.random.key(1))
    score = np.asarray(run.features[..., 0] + run.features[..., 3])
    known = np.asarray(run.features[..., 1] > 0).all(-1)
    assert known.sum() > 30
    np.testing.assert_array_equal(run.advice[known], score.argmax(-1)[known])
    assert (run.advice != run.action).any()


def test_lin_ucb_support_is_lin_ucb():
    world = linear(3, 2, shared=False)
    policy = b.lin_ucb(world.spec, b.LinUCBConfig(0.5))
    run = jax.jit(b.collect(policy, world, 40, b.lin_ucb_support(world.spec, b.LinUCBConfig(0.5))))(jax.random.key(2))
    np.testing.assert_array_equal((run.features[..., 2] + run.features[..., 3]).argmax(-1), run.action)
    assert run.context.shape == (40, 2)


def test_trajectories_are_stored_and_never_overwritten(trajectories, tmp_path):
    path = b.save_trajectories(tmp_path / "play.npz", trajectories, HISTORY)
    loaded, names = b.load_trajectories(path)
    assert names == HISTORY.names
    for ours, theirs in zip(loaded, trajectories, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="expected a new name"):
        b.save_trajectories(path, trajectories, HISTORY)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match=r"\.npz"):
        b.save_trajectories(tmp_path / "play.csv", trajectories, HISTORY)


def test_imitation_learns_the_teacher(trajectories):
    features, action = trajectories.features[:, 3:].reshape(-1, 3, 4), trajectories.action[:, 3:].reshape(-1)
    config = b.ImitationConfig(hidden_sizes=(16,), batch_size=64, num_minibatches=80, num_steps=4, learning_rate=2e-2)
    algorithm = b.imitate(features, action, config)
    state, metrics = jax.jit(make_train(algorithm, 4))(jax.random.key(0))
    assert metrics["loss"][-1] < 0.5 * metrics["loss"][0]
    assert metrics["accuracy"][-1] > 0.9
    # The network scores any number of arms, each by itself.
    scores = b.imitated(state.params, config)
    many = jnp.concatenate([features[0], features[0]])
    np.testing.assert_allclose(scores(many), np.tile(scores(features[0]), 2), rtol=1e-5)


def test_contracts(trajectories):
    config = b.ImitationConfig(hidden_sizes=(4,), batch_size=8, num_minibatches=2, num_steps=3)
    check_algorithm(b.imitate(trajectories.features[0], trajectories.action[0], config))
    bonus = b.scoring_policy(WORLD.spec, HISTORY, lambda x: x[:, 0] + x[:, 3], greedy=False)
    check_policy(bonus, WORLD)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b.collect(TEACHER, WORLD, 0, HISTORY), "num_pulls=0"),
        (lambda: b.ucb_support(WORLD.spec, b.UCB1Config(-1.0)), "alpha=-1.0"),
        (lambda: b.lin_ucb_support(WORLD.spec, b.LinUCBConfig()), "needs a context"),
        (lambda: b.scoring_policy(WORLD.spec, HISTORY, lambda x: x), r"scores of shape \(3, 4\): expected \(3,\)"),
        (lambda: b.imitate(jnp.zeros((4, 3, 2)), jnp.zeros(5, int), b.ImitationConfig()), r"expected \[N, K, F\]"),
        (
            lambda: b.imitate(jnp.zeros((4, 3, 2)), jnp.zeros(4, int), b.ImitationConfig(batch_size=0)),
            "batch_size=0",
        ),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
