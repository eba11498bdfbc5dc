"""Myopic multitask exploration: planning by hand, and a lock that opens only with diverse tasks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.algorithm import make_train
from purejaxexplore.learners.myopic import Model, MyopicConfig, greedy, myopic_multitask, plan
from purejaxexplore.testing import check_algorithm

DEPTH = 7


def lock(levels, **fields):
    env, params = envs.make("ComboLock", num_levels=DEPTH)
    tasks = jax.vmap(lambda m: params.replace(task=m))(jnp.asarray(levels))
    return env, tasks, MyopicConfig(epsilon=1 / DEPTH, horizon=DEPTH, **fields)


def test_plan_against_a_slow_induction():
    rng = np.random.default_rng(0)
    S, A, M, H = 4, 2, 3, 3
    tried = rng.integers(0, 4, (S, A))
    led = np.stack([[rng.multinomial(max(n - 1, 0), np.ones(S) / S) for n in row] for row in tried])
    paid = rng.random((M, S, A)) * (tried > 0) * 0.2
    expected = np.zeros((H + 1, M, S, A))
    for h in reversed(range(H)):
        for m, s, a in np.ndindex(M, S, A):
            n = max(tried[s, a], 1)
            following = sum(led[s, a, t] / n * expected[h + 1, m, t].max() for t in range(S))
            expected[h, m, s, a] = min(paid[m, s, a] / n + 0.1 / np.sqrt(n) + following, 0.3)
    model = Model(jnp.asarray(tried), jnp.asarray(led), jnp.asarray(paid, jnp.float32))
    np.testing.assert_allclose(plan(model, 0.1, 0.3, H), expected[:H], atol=1e-5)
    assert (expected == 0.3).any() and (expected[0] < 0.3).any()


def test_ties_are_broken_at_random():
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = jax.vmap(greedy, (0, None))(keys, jnp.array([0.5, 0.0, 0.5, 0.2]))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, [0.5, 0, 0.5, 0], atol=0.03)


@pytest.mark.slow
def test_contract_of_myopic_multitask():
    check_algorithm(myopic_multitask(*lock([1, 2, 5], num_exploring=2)))


def test_diverse_tasks_open_the_lock_and_shallow_ones_do_not():
    """Four actions: uniform play opens it once in 16,384 episodes; the shallowest task leaves six levels to chance."""

    @jax.jit
    def opened(levels):
        train = make_train(myopic_multitask(*lock(levels, num_exploring=7)), 40)
        return jax.vmap(train)(jax.random.split(jax.random.key(1), 30))[1]["solved"][:, -1].mean()

    assert opened(jnp.array([1, 2, 3, 4, 5, 6, 7, 7])) > 0.9
    assert opened(jnp.array([1, 1, 1, 1, 1, 1, 1, 7])) < 0.25


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"num_exploring": 4}, "num_exploring=4: expected a whole number from 1 to 3"),
        ({"optimism": -0.1}, "optimism=-0.1"),
    ],
)
def test_myopic_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        myopic_multitask(*lock([1, 2, 3], **fields))


def test_myopic_needs_numbered_states(cartpole):
    with pytest.raises(ValueError, match="expected a world that numbers its states"):
        myopic_multitask(cartpole[0], jax.tree.map(lambda x: jnp.stack([x] * 2), cartpole[1]))
