"""Episodes of learned values, on a corridor where the best action is known."""

import math

import jax
import jax.numpy as jnp
import pytest

from purejaxexplore.learners.dqn import DQNConfig, dqn
from purejaxexplore.learners.evaluation import greedy_policy, softmax_policy, with_evaluation
from purejaxexplore.testing.trees import quick_jit

CONFIG = DQNConfig(
    num_envs=2, rollout_length=2, num_warmup_steps=4, batch_size=4, replay_capacity=64, hidden_sizes=(4,)
)


def test_the_greedy_policy_is_judged(corridor):
    """Values that prefer one action everywhere: right arrives after five steps from cell 0, left never does."""
    env, params = corridor
    params = params.replace(random_start=False)
    learner = dqn(env, params, CONFIG)
    algorithm = with_evaluation(learner, env, params, greedy_policy(env, params, CONFIG), 3, 5)
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state.params)
    evaluate = quick_jit(lambda params: algorithm.evaluate(jax.random.key(0), state._replace(params=params)))

    def preferring(action):
        last = jnp.where(jnp.arange(2) == action, 1.0, 0.0)
        return jax.tree.map(lambda x: x + last if x.shape[1:] == (2,) else x, blank)

    assert {name: float(x) for name, x in evaluate(preferring(1)).items()} == {"start_success": 1, "start_return": 1}
    assert evaluate(preferring(0))["start_success"] == 0

    policy = softmax_policy(env, params, CONFIG, 0.5)
    drawn = quick_jit(lambda key, params: policy(key, state._replace(params=params), jnp.zeros((4000, 2))))
    assert drawn(jax.random.key(1), preferring(1)).mean() == pytest.approx(1 / (1 + math.exp(-2)), abs=0.02)

    certain = softmax_policy(env, params, CONFIG, 1e-3)
    algorithm = with_evaluation(learner, env, params, certain, 3, 5)
    evaluate = quick_jit(lambda params: algorithm.evaluate(jax.random.key(0), state._replace(params=params)))
    assert evaluate(preferring(1))["start_return"] == 1


@pytest.mark.parametrize("numbers, message", [((0, 5), "num_episodes=0"), ((3, 0), "num_steps=0")])
def test_an_evaluation_of_nothing_is_refused(corridor, numbers, message):
    with pytest.raises(ValueError, match=message):
        with_evaluation(dqn(*corridor, CONFIG), *corridor, greedy_policy(*corridor, CONFIG), *numbers)


def test_values_with_a_prior_are_refused(corridor):
    with pytest.raises(ValueError, match="prior_scale=1.0: expected 0, values without a prior"):
        greedy_policy(*corridor, CONFIG.replace(prior_scale=1.0))
    with pytest.raises(ValueError, match="temperature=0.0"):
        softmax_policy(*corridor, CONFIG, 0.0)
