"""BYOL-Explore: spans within episodes, the normalised reward, and the slow target."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rollouts import batch_of, walk_of

from purejaxexplore.bonuses.byol_explore import (
    BYOLExploreConfig,
    byol_explore,
    cosine_loss,
    per_observation,
    spans,
    spread,
)

T, N, D, K = 8, 2, 3, 3
CONFIG = BYOLExploreConfig(
    2, horizon=K, feature_dim=4, gru_size=5, hidden_sizes=(6,), num_epochs=1, learning_rate=1e-2
)


def rollout_of(seed, done=None):
    rng = np.random.default_rng(seed)
    return walk_of(rng.normal(size=(T + 1, N, D)), action=rng.integers(0, 2, (T, N)), done=done)


def test_the_loss_is_two_minus_two_cosines():
    p, w = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    cosine = (p * w).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(w, axis=-1)
    np.testing.assert_allclose(cosine_loss(p, w), 2 - 2 * cosine, rtol=1e-4)
    assert np.isfinite(jax.grad(lambda p: cosine_loss(p, jnp.ones(4)))(jnp.zeros(4))).all()


def test_the_spread_of_directions_ignores_lengths_and_is_zero_where_all_point_one_way():
    v = np.array([[[2.0, 0.0], [0.0, 5.0]], [[-1.0, 0.0], [0.0, -3.0]]], np.float32)
    assert spread(v) == pytest.approx(1.0, abs=1e-4)  # four directions around the circle: their mean is 0
    assert spread(v[:, :1]) == pytest.approx(1.0, abs=1e-4)
    assert spread(np.abs(v)) == pytest.approx(0.5, abs=1e-4)
    assert spread(np.outer(np.arange(1.0, 4.0), [3.0, 4.0])) == pytest.approx(0.0, abs=1e-4)


def test_spans_end_with_the_step_that_ends_the_episode_and_with_the_rollout():
    """A public port masks with the done of the step before: predictions then jump over resets."""
    done = np.zeros((T, 1), bool)
    done[2] = done[3] = True
    expected = np.zeros((K, T, 1), bool)
    for t in range(T):
        for i in range(1, K + 1):
            expected[i - 1, t] = t + i <= T and not done[t : t + i - 1].any()
    np.testing.assert_array_equal(spans(jnp.asarray(done), K), expected)


def test_an_observation_is_rewarded_with_the_predictions_of_itself():
    rng = np.random.default_rng(1)
    losses, valid = rng.random((K, T, N)).astype(np.float32), np.asarray(spans(jnp.zeros((T, N), bool), K))
    expected = np.zeros((T, N))
    for step in range(T):  # its successor is predicted from step p with span i where p + i = step + 1
        pairs = [losses[i - 1, step + 1 - i] for i in range(1, K + 1) if step + 1 - i >= 0]
        expected[step] = np.mean(pairs, 0)
    np.testing.assert_allclose(per_observation(jnp.asarray(losses), jnp.asarray(valid)), expected, rtol=1e-5)


@pytest.fixture(scope="module")
def bonus():
    return byol_explore(CONFIG)


@pytest.fixture(scope="module")
def shape(bonus):
    return jax.jit(lambda state, steps: bonus.shape(state, jnp.zeros((T, N)), batch_of(steps)))


def test_another_episode_changes_nothing_before_it(bonus, shape):
    """Rewards within an episode depend on it alone (as the rollout's own moments do not)."""
    done = np.zeros((T, N), bool)
    done[3] = True
    steps, other = rollout_of(0, done), rollout_of(1, done)
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a[:4], b[4:]]), steps, other)
    state = bonus.init(jax.random.key(0), steps)
    # No moment of this rollout may come between: rewards are compared before they are normalised.
    raws = []
    for s in (steps, joined):
        shaped, reward = shape(state, s)
        mean = shaped.norm.first / shaped.norm.start
        sigma = jnp.sqrt(shaped.norm.second / shaped.norm.start - mean**2 + 1e-8)
        raws.append(np.where(np.asarray(reward) > 0, np.asarray(reward) * sigma + mean, np.nan))
    first, second = (raw[:4] for raw in raws)
    known = ~np.isnan(first) & ~np.isnan(second)
    assert known.sum() >= 2
    np.testing.assert_allclose(first[known], second[known], rtol=1e-3)


def test_rewards_are_what_exceeds_the_moving_average_in_standard_deviations(bonus, shape):
    """A public port divides by ``1 - alpha`` at every step, and pays the reward that is not normalised."""
    state, sums = bonus.init(jax.random.key(0), rollout_of(0)), np.zeros(3)
    for c in range(1, 4):
        state, reward = shape(state, rollout_of(c))
        assert reward.min() == 0.0 and 0 < (np.asarray(reward) > 0).mean() < 1
        sums = 0.99 * sums + 0.01
        np.testing.assert_allclose(state.norm.start, 1 - 0.99**c, rtol=1e-4)
    assert state.norm.first / state.norm.start < 4.0 and state.t == 3
    constant = state._replace(norm=state.norm._replace(first=state.norm.first * 0 + 9.0))
    assert not np.any(shape(constant, rollout_of(5))[1])  # all below the average: nothing is paid


def test_without_prioritisation_errors_below_the_average_are_paid_too(bonus, shape):
    every = byol_explore(CONFIG.replace(prioritise=False))
    steps = rollout_of(0)
    state = bonus.init(jax.random.key(0), steps)
    after, above = shape(state, steps)
    _, paid = every.shape(state, jnp.zeros((T, N)), batch_of(steps))
    mean = after.norm.first / after.norm.start
    sigma = jnp.sqrt(after.norm.second / after.norm.start - mean**2 + 1e-8)
    np.testing.assert_allclose(jnp.maximum(paid - mean / sigma, 0.0), above, rtol=1e-3, atol=1e-4)
    assert (np.asarray(paid) > 0).all() and (np.asarray(above) == 0).any()


@pytest.fixture(scope="module")
def update(bonus):
    return jax.jit(lambda state, steps, key: bonus.update(key, state, batch_of(steps)))


def test_the_target_follows_slowly(bonus, update):
    steps = rollout_of(0)
    state = bonus.init(jax.random.key(0), steps)
    after, _ = update(state, steps, jax.random.key(1))
    jax.tree.map(
        lambda old, new, online: np.testing.assert_allclose(new, 0.99 * old + 0.01 * online, rtol=1e-4, atol=1e-6),
        state.learn.target, after.learn.target, after.learn.params["encoder"],
    )  # fmt: skip
    for part in ("encoder", "closed", "open", "predictor"):
        moved = jax.tree.map(lambda a, b: not np.array_equal(a, b), state.learn.params[part], after.learn.params[part])
        assert any(jax.tree.leaves(moved)), part


@pytest.mark.slow
def test_predictions_of_a_world_that_repeats_become_good(bonus, update):
    steps = rollout_of(0)
    state = bonus.init(jax.random.key(0), steps)
    losses = []
    for i in range(200):
        state, metrics = update(state, steps, jax.random.key(i))
        losses.append(float(metrics["prediction_loss"]))
    assert losses[-1] < 0.2 * losses[0]
    latents = jax.tree.leaves(state.learn.target)
    assert all(np.isfinite(leaf).all() for leaf in latents)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"horizon": 0}, "horizon=0"),
        ({"ema": 1.1}, "ema=1.1"),
        ({"num_actions": -1}, "num_actions=-1"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        byol_explore(CONFIG.replace(**change))


def test_refuses_minibatches_that_do_not_divide_the_environments(bonus):
    steps = rollout_of(0)
    with pytest.raises(ValueError, match="num_minibatches of the BYOL-Explore bonus=3 does not divide num_envs=2"):
        split = byol_explore(CONFIG.replace(num_minibatches=3))
        split.update(jax.random.key(0), split.init(jax.random.key(0), steps), batch_of(steps))
