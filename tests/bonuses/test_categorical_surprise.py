"""The categorical model of an episode against counting by hand, and its two signs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import score_rollout
from purejaxexplore.bonuses.categorical_surprise import (
    CategoricalSurpriseConfig,
    absorb,
    categorical_surprise,
    empty_buffer,
    frequencies_and_size,
    log_probability,
)
from purejaxexplore.bonuses.sofe import expose

T, C = 6, 3


@pytest.fixture(scope="module")
def steps():
    """One lane, two cells; the episode ends at step 3, and the next begins elsewhere."""
    classes = np.random.default_rng(0).integers(0, C, (T + 1, 1, 2))
    obs, reset = np.eye(C, dtype=np.float32)[classes], np.eye(C, dtype=np.float32)[classes[::-1]]
    done = np.zeros((T, 1), bool)
    done[3] = True
    after = np.where(done[..., None, None], reset[:T], obs[1:])
    before = np.concatenate([obs[:1], after[:-1]])
    blank = np.zeros((T, 1), np.float32)
    return jax.tree.map(jnp.asarray, Step(before, blank.astype(int), blank, obs[1:], done, blank > 0, after, {}))


def by_hand(steps, least) -> list[float]:
    """Mean log-probability of the two cells at every step."""
    obs, following, reset = (np.asarray(x)[:, 0].argmax(-1) for x in (steps.obs, steps.next_obs, steps.reset_obs))
    seen, logs = [obs[0]], []
    for t in range(T):
        shares = [np.mean([o[cell] == following[t][cell] for o in seen]) for cell in range(2)]
        logs.append(np.log(np.maximum(shares, least)).mean())
        seen = [reset[t]] if steps.terminated[t, 0] else [*seen, following[t]]
    return logs


@pytest.mark.parametrize("seek", [True, False])
def test_pays_the_surprise_of_the_episode_or_its_negative(steps, seek):
    bonus = categorical_surprise(CategoricalSurpriseConfig(0.01, seek))
    first = jax.tree.map(lambda x: x[:1], steps)._replace(reset_obs=steps.obs[:1])
    state = bonus.init(jax.random.key(0), first)
    raw = score_rollout(jax.random.key(0), bonus, state, steps)[1]
    np.testing.assert_allclose(raw[:, 0], np.array(by_hand(steps, 0.01)) * (-1 if seek else 1), rtol=1e-5)


def test_an_empty_model_is_uniform_and_uncounted_lanes_stay():
    obs = jnp.eye(C)[jnp.array([[0, 1], [2, 2]])]
    buffer = empty_buffer(obs)
    np.testing.assert_allclose(log_probability(buffer, obs, 1e-3), 2 * np.log(1 / C), rtol=1e-6)
    buffer = absorb(buffer, obs, jnp.array([True, False]))
    assert buffer.size.tolist() == [1, 0] and buffer.counts[1].sum() == 0
    np.testing.assert_allclose(log_probability(buffer, obs, 1e-3), [0.0, 2 * np.log(1 / C)], atol=1e-6)
    np.testing.assert_allclose(log_probability(buffer, obs[::-1], 1e-3)[0], 2 * np.log(1e-3), rtol=1e-6)


def test_the_model_can_be_shown(steps):
    bonus = expose(categorical_surprise(), frequencies_and_size)
    shown = bonus.observe(bonus.init(jax.random.key(0), steps))
    np.testing.assert_allclose(shown[0, :-1], np.asarray(steps.reset_obs)[-1, 0].reshape(-1))
    assert shown[0, -1] == pytest.approx(np.log(2))


def test_refuses_a_probability_of_nothing():
    with pytest.raises(ValueError, match=r"least_probability=0.0: expected a number in \[1e-06, 1\]"):
        categorical_surprise(CategoricalSurpriseConfig(0.0))
