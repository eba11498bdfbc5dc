"""Values of policies from logs: by hand, unbiased over many logs, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.bandits.off_policy import off_policy_value

LOGGING, TARGET, MEANS = jnp.array([0.7, 0.2, 0.1]), jnp.array([0.1, 0.3, 0.6]), jnp.array([0.2, 0.5, 0.8])


def test_two_pulls_by_hand():
    target = jnp.array([[0.5, 0.5], [0.25, 0.75]])
    model = jnp.array([[0.5, 1.0], [0.0, 0.4]])
    found = off_policy_value(jnp.array([0, 1]), jnp.array([1.0, 0.5]), jnp.array([0.25, 0.75]), target, model)
    np.testing.assert_allclose(found.ips, (2 * 1 + 1 * 0.5) / 2, rtol=1e-6)
    np.testing.assert_allclose(found.snips, 2.5 / 3, rtol=1e-6)
    np.testing.assert_allclose(found.direct, (0.75 + 0.3) / 2, rtol=1e-6)
    np.testing.assert_allclose(found.doubly_robust, (0.75 + 2 * 0.5 + 0.3 + 1 * 0.1) / 2, rtol=1e-6)
    np.testing.assert_allclose(found.effective_samples, 9 / 5, rtol=1e-6)


def test_over_many_logs_weights_are_unbiased_and_a_model_lowers_their_variance():
    def one(key):
        key_action, key_reward = jax.random.split(key)
        action = jax.random.categorical(key_action, jnp.log(LOGGING), shape=(50,))
        reward = (jax.random.uniform(key_reward, (50,)) < MEANS[action]).astype(jnp.float32)
        target = jnp.broadcast_to(TARGET, (50, 3))
        wrong = jnp.broadcast_to(MEANS - 0.1, (50, 3))
        return off_policy_value(action, reward, LOGGING[action], target, wrong)

    found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 10_000))
    truth = float(TARGET @ MEANS)
    for values in (found.ips, found.doubly_robust):
        assert abs(float(values.mean()) - truth) < 4 * float(values.std()) / 100
    assert abs(float(found.direct.mean()) - truth + 0.1) < 1e-5
    assert float(found.doubly_robust.std()) < 0.8 * float(found.ips.std())
    assert float(found.snips.std()) < 0.8 * float(found.ips.std())


def test_bad_logs_are_refused_in_one_line():
    log = jnp.array([0, 1]), jnp.ones(2), jnp.full(2, 0.5), jnp.full((2, 3), 1 / 3)
    cases = {
        r"expected \[n, K\]": lambda: off_policy_value(log[0], jnp.ones(3), *log[2:]),
        r"model \(3, 2\)": lambda: off_policy_value(*log, jnp.ones((3, 2))),
        r"logged: expected probabilities in \(0, 1\]": lambda: off_policy_value(*log[:2], jnp.zeros(2), log[3]),
        "target: expected probabilities that sum to 1": lambda: off_policy_value(*log[:3], jnp.ones((2, 3))),
        "action: expected numbers from 0 to 2": lambda: off_policy_value(jnp.array([0, 3]), *log[1:]),
        "most": lambda: off_policy_value(*log, most=0.0),
    }
    for message, build in cases.items():
        with pytest.raises(ValueError, match=message):
            build()
