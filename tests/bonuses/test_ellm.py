"""ELLM by hand: which goal a step achieves, what it pays, and what suggesters propose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rollouts import steps_of

from purejaxexplore import envs
from purejaxexplore.blocks.rollout import reset_lanes, rollout
from purejaxexplore.bonuses.bonus import score_rollout
from purejaxexplore.bonuses.ellm import ELLMConfig, achieve, ellm, similarity
from purejaxexplore.bonuses.suggesters import everything, inverted, noisy, uniform
from purejaxexplore.envs.grids import craft
from purejaxexplore.testing import check_bonus, random_steps
from purejaxexplore.testing.trees import quick_jit

KEY = jax.random.key(0)
GOALS = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]], np.float32)


def test_similarity_is_the_cosine_and_nothing_is_like_nothing():
    captions = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]], np.float32)
    half = 0.5**0.5
    np.testing.assert_allclose(similarity(captions, GOALS), [[1, 0, half], [half, half, 1], [0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(
    "like, payable, threshold, pay, goal",
    [
        ([0.9, 0.7, 0.1], [True, True, True], 0.5, 0.9, 0),
        ([0.9, 0.7, 0.1], [False, True, True], 0.5, 0.7, 1),
        ([0.9, 0.7, 0.1], [False, True, True], 0.7, 0.0, None),
        ([0.9, 0.7, 0.1], [False, False, False], 0.0, 0.0, None),
    ],
)
def test_the_likest_payable_goal_is_achieved(like, payable, threshold, pay, goal):
    raw, achieved = achieve(jnp.array([like]), jnp.array([payable]), threshold)
    assert raw[0] == pytest.approx(pay) and np.flatnonzero(achieved[0]).tolist() == ([] if goal is None else [goal])


def walk(visited, done=None):
    """One environment that visits numbered states; observations are the states' numbers."""
    visited = np.asarray(visited)[:, None]
    done = None if done is None else np.asarray(done)[:, None]
    obs = np.concatenate([[[0]], visited[:-1]])[..., None]
    return steps_of(obs, visited[..., None], done=done, state_id=visited, start_id=np.zeros_like(visited))


def scores(bonus, steps):
    def run(steps):
        state = bonus.init(KEY, jax.tree.map(lambda x: x[:1] * 0, steps))
        return score_rollout(KEY, bonus, state, steps)

    return quick_jit(run)(steps)


def test_each_goal_pays_once_an_episode():
    steps = walk([1, 1, 2, 1, 1, 0], done=np.arange(6) == 3)
    _, raw = scores(ellm(ELLMConfig(3)), steps)
    assert raw[:, 0].tolist() == [1, 0, 1, 0, 1, 1]
    _, raw = scores(ellm(ELLMConfig(3, once=False)), steps)
    assert raw[:, 0].tolist() == [1] * 6


def test_only_what_was_proposed_before_the_action_pays():
    """From state 0 goal 2 is proposed, from every other goal 1."""
    bonus = ellm(ELLMConfig(3), suggest=lambda key, obs: jnp.arange(3) == jnp.where(obs[0] == 0, 2, 1))
    _, raw = scores(bonus, walk([1, 2, 1, 0]))
    assert raw[:, 0].tolist() == [0, 0, 1, 0]
    _, raw = scores(bonus, walk([2, 1]))
    assert raw[:, 0].tolist() == [1, 1]


def test_the_policy_can_be_shown_what_pays():
    bonus = ellm(ELLMConfig(3, shown=True), suggest=lambda key, obs: jnp.arange(3) >= 1)
    state, _ = scores(bonus, walk([1]))
    assert bonus.observe(state).tolist() == [[0, 0, 1]] and not bonus.defer
    assert ellm(ELLMConfig(3)).observe(state).shape == (1, 0)
    assert bonus.update(KEY, state, None)[1] == {"suggested": 2, "achieved": 1}


def test_keeps_the_contracts_with_a_memory_that_is_not_drawn(corridor):
    """The registered default is checked as one that draws; where nothing is drawn, the stricter check holds too."""
    check_bonus(ellm(ELLMConfig(6, shown=True))._replace(random_mem=False), random_steps(*corridor))


def test_suggesters():
    keys = jax.random.split(KEY, 2000)

    def oracle(key, obs):
        return jnp.arange(5) < 2

    def shares(suggest):
        return np.asarray(jax.vmap(suggest, (0, None))(keys, None))

    assert everything(5)(KEY, None).all()
    drawn = shares(uniform(5, 2))
    assert (drawn.sum(1) == 2).all()
    np.testing.assert_allclose(drawn.mean(0), 0.4, atol=0.04)
    np.testing.assert_allclose(shares(noisy(oracle, 0.2, 0.1)).mean(0), [0.8, 0.8, 0.1, 0.1, 0.1], atol=0.04)
    assert inverted(oracle)(KEY, None).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("reach", [2, 4])
def test_what_a_crafter_sees_says_what_it_can_do(reach):
    """The oracle of the experiment: deeds feasible by the observation are those feasible in the state."""
    env, params = envs.make("CraftLite", num_levels=4, reach=reach)
    lanes = quick_jit(lambda: reset_lanes(KEY, env, params, 64))()

    def act(key, carry, lanes):
        able = jax.vmap(env.feasible)(lanes.env_state)
        same = (jax.vmap(lambda obs: env.feasible(env.perceived(obs)))(lanes.obs) == able).all()
        wish = jax.random.categorical(key, jnp.concatenate([jnp.zeros((64, 4)), 2.0 + 3.0 * able], axis=1))
        return carry, wish, (same, able)

    *_, (same, able), _ = quick_jit(lambda: rollout(KEY, env, params, lanes, (), act, 60))()
    assert same.all() and able.any((0, 1))[: craft.NUM_ACHIEVEMENTS].sum() >= 8


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: ellm(ELLMConfig(0)), "num_goals=0: expected a whole number of at least 1"),
        (lambda: ellm(ELLMConfig(3, threshold=1.5)), r"threshold=1.5: expected a number in \[0, 1\]"),
        (lambda: ellm(ELLMConfig(2), goals=GOALS), r"goals of shape \(3, 2\): expected \(2, d\), a row for each"),
        (lambda: everything(0), "num_goals=0"),
        (lambda: uniform(3, 4), "num_suggestions=4: expected a whole number from 1 to 3"),
        (lambda: noisy(everything(3), 1.2, 0.0), "drop=1.2"),
    ],
)
def test_ellm_refuses(build, message):
    with pytest.raises(ValueError, match=message):
        build()
