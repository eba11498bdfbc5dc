"""Guided mixtures against hand-worked probabilities, and on a corridor where the guide knows the way."""

from types import SimpleNamespace

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.rollout import reset_lanes, rollout
from purejaxexplore.learners.guides import adversarial, guided, noisy, probabilities, short_listed, tabulated, uniform

N = 4000
KEY = jax.random.key(0)
LOGITS = np.log(np.array([[0.5, 0.3, 0.2, 1e-30], [0.1, 0.2, 0.3, 0.4]]))


class FourWays:
    """Enough of a world for a guide: four actions, and observations that say which of two states it is."""

    name = "FourWays"

    def action_space(self, params):
        return SimpleNamespace(n=4)

    def reset_env(self, key, params):
        return jnp.int32(0), jnp.int32(0)


def table(logits=LOGITS):
    return tabulated(logits, lambda obs, state: obs)


def lanes(obs=0):
    obs = jnp.full(N, obs)
    return SimpleNamespace(done=jnp.zeros(N, bool), obs=obs, env_state=obs)


def shares(action):
    return np.bincount(action, minlength=4) / N


GREEDY = distrax.Greedy(jnp.broadcast_to(jnp.asarray([0.0, 0.0, 0.0, 1.0]), (N, 4)))


@pytest.mark.parametrize("obs", [0, 1])
def test_guided_actions_are_drawn_from_the_mixture(obs):
    action, log_prob, _ = guided(table(), FourWays(), None, 0.4).act(KEY, (), GREEDY, lanes(obs))
    expected = 0.4 * np.exp(LOGITS[obs]) + 0.6 * np.array([0, 0, 0, 1])
    np.testing.assert_allclose(shares(action), expected, atol=0.03)
    np.testing.assert_allclose(np.exp(log_prob), expected[action], rtol=1e-5)


def test_the_short_list_restricts_the_choice_and_not_the_values():
    values = jnp.broadcast_to(jnp.asarray([1.0, 2.0, 3.0, 4.0]), (N, 4))
    explorer = short_listed(table(), FourWays(), None, 0.5, 2, 2.0)
    action, log_prob, _ = explorer.act(KEY, (), distrax.Greedy(values), lanes())
    weights = np.exp(np.arange(1.0, 5) / 2)
    expected = 0.5 * weights / weights.sum() + 0.5 * np.append(weights[:2] / weights[:2].sum(), [0, 0])
    np.testing.assert_allclose(shares(action), expected, atol=0.03)
    np.testing.assert_allclose(np.exp(log_prob), expected[action], rtol=1e-5)


def test_an_excluded_action_is_not_listed_and_nothing_listed_means_everything():
    mask = np.array([[0.0, -np.inf, -np.inf, -np.inf], [-np.inf] * 4])
    explorer = short_listed(table(mask), FourWays(), None, 1.0, 3, 1.0)
    flat = distrax.Categorical(logits=jnp.zeros((N, 4)))
    assert (explorer.act(KEY, (), flat, lanes(0))[0] == 0).all()
    np.testing.assert_allclose(shares(explorer.act(KEY, (), flat, lanes(1))[0]), 0.25, atol=0.03)


def test_a_schedule_ends_the_guidance():
    explorer = guided(table(), FourWays(), None, lambda steps: jnp.where(steps < N, 1.0, 0.0))
    first, _, es = explorer.act(KEY, explorer.init(KEY, N), GREEDY, lanes())
    second, *_ = explorer.act(KEY, es, GREEDY, lanes())
    assert (first != 3).all() and (second == 3).all()


def advice(guide, obs=0):
    keys = jax.random.split(KEY, N)
    return np.asarray(jax.vmap(lambda k: guide(k, jnp.int32(obs), None))(keys))


def test_noise_drops_what_is_liked_and_raises_the_rest():
    logits = advice(noisy(table(), 0.25, 0.5))
    np.testing.assert_allclose(np.isneginf(logits).mean(0), [0.25, 0.25, 0, 0], atol=0.03)  # liked: 0.5 and 0.3
    raised = np.isclose(logits, LOGITS[0].max()).mean(0)
    np.testing.assert_allclose(raised, [0.75, 0, 0.5, 0.5], atol=0.03)
    np.testing.assert_allclose(advice(noisy(table(), 0.0, 0.0))[0], LOGITS[0], rtol=1e-6)


def test_adversaries_avoid_the_best_and_ignorance_is_uniform():
    against = probabilities(advice(adversarial(table()), 1))[0]
    np.testing.assert_allclose(against, np.array([0.3, 0.2, 0.1, 0.0]) / 0.6, atol=1e-6)
    np.testing.assert_allclose(probabilities(advice(adversarial(uniform(4))))[0], 0.25)
    np.testing.assert_array_equal(advice(uniform(4)), 0.0)


def test_the_better_the_guide_the_more_episodes_succeed(corridor):
    """Four or five steps to the end of a corridor within eight: an oracle, a noisy one, ignorance, an adversary."""
    env, params = corridor
    params = params.replace(max_steps_in_episode=8)
    oracle = tabulated(np.tile([-np.inf, 0.0], (6, 1)), lambda obs, state: state.position)
    arms = {
        "oracle": oracle, "noisy": noisy(oracle, 0.0, 0.4), "uniform": uniform(2), "adversarial": adversarial(oracle),
    }  # fmt: skip
    successes, start = {}, reset_lanes(jax.random.key(1), env, params, 64)
    for name, guide in arms.items():
        explorer = guided(guide, env, params, 1.0)

        def act(key, es, lanes, explorer=explorer):
            flat = distrax.Categorical(logits=jnp.zeros((64, 2)))
            action, _, es = explorer.act(key, es, flat, lanes)
            return es, action, ()

        finished = jax.jit(lambda key, started, act=act: rollout(key, env, params, started, (), act, 16)[3])(KEY, start)
        successes[name] = float((finished.done & finished.success).sum() / finished.done.sum())
    assert successes["oracle"] == 1.0 and successes["adversarial"] == 0.0
    assert 1.0 > successes["noisy"] > successes["uniform"] > 0.0


def test_refuses_guides_that_do_not_fit(corridor):
    env, params = corridor
    with pytest.raises(ValueError, match=r"guide: gives .*expected logits of shape \(2,\), one for each action"):
        guided(uniform(3), env, params, 0.5)
    with pytest.raises(ValueError, match=r"expected logits of shape \(2,\)"):
        guided(lambda key, obs, state: obs[None], env, params, 0.5)
    with pytest.raises(ValueError, match="epsilon=1.5"):
        guided(uniform(2), env, params, 1.5)
    with pytest.raises(ValueError, match="size=3: expected at most the 2 actions"):
        short_listed(uniform(2), env, params, 0.5, 3, 1.0)
    with pytest.raises(ValueError, match="temperature=0.0"):
        short_listed(uniform(2), env, params, 0.5, 1, 0.0)
    with pytest.raises(ValueError, match="drop=2.0"):
        noisy(uniform(2), 2.0, 0.0)
    with pytest.raises(ValueError, match=r"logits of shape \(3,\): expected \[symbolic states, actions\]"):
        tabulated(np.zeros(3), lambda obs, state: obs)
