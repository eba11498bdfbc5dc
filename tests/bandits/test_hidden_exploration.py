"""Hidden exploration: advice is good for whoever follows it, by exact enumeration of all histories."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.bandits.hidden_exploration import positive_gap
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.world import Feedback, without_context
from purejaxexplore.testing import check_policy
from purejaxexplore.testing.trees import quick_jit

WORLD = worlds.bernoulli((0.6, 0.5))
SPEC = WORLD.spec
PRIOR_A, PRIOR_B = (1.2, 1.0), (0.8, 1.0)  # means 0.6 and 0.5
WARMUP, ROUNDS = 2, 6


def config(**settings):
    return b.HiddenExplorationConfig(PRIOR_A, PRIOR_B, WARMUP, **settings)


def test_no_policy_uses_what_it_has_not_seen():
    check_policy(b.hidden_exploration(SPEC, config(epsilon=0.5), b.moss(SPEC, b.MOSSConfig(20))), WORLD, num_pulls=8)


def test_the_positive_gap_by_hand_and_by_sampling():
    # One reward of arm 0 with prior Beta(1, 1), arm 1 surely 0.4: a loss (chance 1/2) leaves the mean 1/3.
    assert positive_gap((1.0, 4e5), (1.0, 6e5), 1) == pytest.approx(0.5 * (0.4 - 1 / 3), rel=1e-4)
    assert positive_gap((1.0, 1.0), (1.0, 1.0), 0) == 0
    rng = np.random.default_rng(0)
    won = rng.binomial(10, rng.beta(1.2, 0.8, 200_000))
    gap = 0.5 - (1.2 + won) / (2 + 10)
    assert positive_gap(PRIOR_A, PRIOR_B, 10) == pytest.approx(np.maximum(gap, 0).mean(), abs=1e-3)


def gains(epsilon, algorithm):
    """f64[ROUNDS, 2], ``E[(mu_a - mu_other) 1{told a}]`` of every round, over every coin and every reward.

    A history's chance is the product of its coins' and of every reward's posterior predictive.
    """
    policy = b.hidden_exploration(SPEC, config(epsilon=epsilon), algorithm)
    paths = np.array(list(itertools.product((0, 1), repeat=ROUNDS * 2 - WARMUP)))
    rewards = paths[:, :ROUNDS]
    coins = np.concatenate([np.zeros((len(paths), WARMUP), int), paths[:, ROUNDS:]], axis=1)  # 1: explores

    def follow(coins, rewards):
        def pull(state, t_coin_reward):
            t, coin, reward = t_coin_reward
            observation = without_context(SPEC, t)
            action, aux = policy.act((jnp.where(coin, 0.0, 1.0), ()), state, observation)
            seen = jnp.arange(2) == action
            value = jnp.where(seen, reward, jnp.nan)
            feedback = Feedback(value, seen, reward, jnp.zeros(0), jnp.bool_(False))
            return policy.update(state, observation, action, feedback, aux), action

        state = policy.init(jax.random.key(0))
        return jax.lax.scan(pull, state, (jnp.arange(ROUNDS), coins, rewards.astype(jnp.float32)))[1]

    actions = np.asarray(quick_jit(jax.vmap(follow))(coins, rewards))
    a, c = np.tile(PRIOR_A, (len(paths), 1)), np.tile(PRIOR_B, (len(paths), 1))
    chance, every = np.ones(len(paths)), np.arange(len(paths))
    found = np.zeros((ROUNDS, 2))
    for t in range(ROUNDS):
        told = actions[:, t]
        if t >= WARMUP:
            chance *= np.where(coins[:, t] == 1, epsilon, 1 - epsilon)
        mean = a / (a + c)
        advantage = mean[every, told] - mean[every, 1 - told]
        # Rounds to come are summed over: every history up to now stands 2^(their bits) times with weights that add up.
        later = 2 ** (ROUNDS - t) * 2 ** (ROUNDS - max(t + 1, WARMUP))
        for arm in (0, 1):
            found[t, arm] = (chance * advantage)[told == arm].sum() / later
        won = rewards[:, t] == 1
        chance *= np.where(won, mean[every, told], 1 - mean[every, told])
        a[every, told] += won
        c[every, told] += ~won
    return found


@pytest.fixture(scope="module")
def always_other():
    """The algorithm that the guarantee fears most: it tries arm 1 again and again."""
    ucb = b.ucb1(SPEC, b.UCB1Config())
    return ucb._replace(act=lambda noise, state, observation: (jnp.int32(1), b.Aux()))


def test_advice_is_worth_following(always_other):
    """At the largest rate that is proved, after every history; told arm 1 is better news than told arm 0 is bad."""
    rate = positive_gap(PRIOR_A, PRIOR_B, WARMUP) / 3
    found = gains(rate, always_other)
    np.testing.assert_allclose(found[:WARMUP], [[0.1, 0]] * WARMUP, atol=1e-6)
    assert (found >= -1e-6).all() and (found[WARMUP:, 1] > 0.01).all()
    # What following is worth to the agents never falls with what is known.
    np.testing.assert_allclose(found[:, 0] - found[:, 1], 0.1, atol=1e-6)  # E[mu_0 - mu_1], by the tower rule


def test_too_much_exploration_is_not(always_other):
    assert gains(0.9, always_other)[WARMUP, 1] < -0.01


def test_the_algorithm_learns_from_its_own_rounds_only():
    inner = b.ucb1(SPEC, b.UCB1Config())
    policy = b.hidden_exploration(SPEC, config(epsilon=0.5), inner)
    state = policy.init(jax.random.key(0))
    for t, uniform, reward in ((0, 0.0, 1.0), (1, 0.0, 0.0), (2, 0.9, 0.0), (3, 0.1, 1.0)):
        observation = without_context(SPEC, jnp.int32(t))
        action, aux = policy.act((jnp.float32(uniform), ()), state, observation)
        seen = jnp.arange(2) == action
        feedback = Feedback(
            jnp.where(seen, reward, jnp.nan), seen, jnp.float32(reward), jnp.zeros(0), jnp.bool_(False)
        )
        state = policy.update(state, observation, action, feedback, aux)
        if t < 2:
            assert int(action) == 0  # the warm-up, whatever the coin
    assert int(state.arms.n.sum()) == 4 and int(state.inner.n.sum()) == 1


def test_bad_input_is_refused():
    inner = b.ucb1(SPEC, b.UCB1Config())
    three = worlds.bernoulli((0.1, 0.2, 0.3)).spec
    for message, make in {
        "num_arms=3": lambda: b.hidden_exploration(three, config(), inner),
        "better a priori": lambda: b.hidden_exploration(SPEC, b.HiddenExplorationConfig((1, 2), (1, 1)), inner),
        "epsilon=2": lambda: b.hidden_exploration(SPEC, config(epsilon=2), inner),
        "warmup=0: arm 0 is never": lambda: b.hidden_exploration(
            SPEC, b.HiddenExplorationConfig((1.2, 1), (0.8, 1), 0), inner
        ),
        "warmup=-1": lambda: b.hidden_exploration(SPEC, b.HiddenExplorationConfig((2, 1), (1, 1), -1), inner),
        "value_range": lambda: b.hidden_exploration(worlds.gaussian((0.1, 0.2)).spec, config(), inner),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="algorithm=function: expected a Policy"):
        b.hidden_exploration(SPEC, config(), b.ucb1)
