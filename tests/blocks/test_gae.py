"""Advantages against cases worked by hand and against a sequential NumPy model of several streams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purejaxexplore.blocks.gae import gae, stream_boundaries


def one_stream(rewards, values, next_values, stop, cut, gamma, lam):
    rows = [jnp.asarray(x)[:, None, None] for x in (rewards, values, next_values, stop, cut)]
    return np.asarray(gae(*rows, gamma, lam))[:, 0, 0]


def sequential(rewards, values, next_values, stop, cut, gamma, lam):
    advantages = np.zeros_like(rewards)
    T, N, K = rewards.shape
    for n in range(N):
        for k in range(K):
            running = 0.0
            for t in reversed(range(T)):
                bootstrap = 0.0 if stop[t, n, k] else next_values[t, n, k]
                delta = rewards[t, n, k] + gamma[k] * bootstrap - values[t, n, k]
                running = delta + (0.0 if cut[t, n, k] else gamma[k] * lam[k] * running)
                advantages[t, n, k] = running
    return advantages


def test_three_steps_without_an_end():
    # gamma lam = 1/4; deltas: 1 + .5*2 - 1 = 1,  0 + .5*3 - 2 = -.5,  4 + .5*8 - 3 = 5
    advantages = one_stream([1.0, 0.0, 4.0], [1.0, 2.0, 3.0], [2.0, 3.0, 8.0], [False] * 3, [False] * 3, 0.5, 0.5)
    np.testing.assert_allclose(advantages, [1 - 0.125 + 5 / 16, -0.5 + 1.25, 5.0])


def test_three_steps_with_termination_in_the_middle():
    end = [False, True, False]
    advantages = one_stream([1.0, 7.0, 4.0], [1.0, 2.0, 3.0], [2.0, 100.0, 8.0], end, end, 0.5, 0.5)
    np.testing.assert_allclose(advantages, [1 + 5 / 4, 7.0 - 2.0, 5.0])


def test_three_steps_with_truncation_in_the_middle():
    cut = [False, True, False]
    advantages = one_stream([1.0, 7.0, 4.0], [1.0, 2.0, 3.0], [2.0, 10.0, 8.0], [False] * 3, cut, 0.5, 0.5)
    np.testing.assert_allclose(advantages, [1 + 10 / 4, 7.0 + 5.0 - 2.0, 5.0])


@pytest.mark.parametrize("gamma, lam, expected", [(1.0, 1.0, [5.0, 4.0, 3.0]), (0.9, 0.0, [1.0, 1.0, 3.0])])
def test_limits_of_lambda(gamma, lam, expected):
    # lam = 1 with no values: the sum of what is still to come; lam = 0: the one-step error.
    stop = [False, False, True]
    advantages = one_stream([1.0, 1.0, 3.0], [0.0] * 3, [0.0] * 3, stop, stop, gamma, lam)
    np.testing.assert_allclose(advantages, expected, rtol=1e-6)


_compiled = jax.jit(gae)


@given(seed=st.integers(0, 10_000))
def test_equals_the_sequential_model(seed):
    rng = np.random.default_rng(seed)
    shape = (11, 3, 4)
    rewards, values, next_values = rng.normal(size=(3, *shape)).astype(np.float32)
    stop, other = rng.random((2, *shape)) < 0.3
    gamma, lam = rng.random((2, shape[-1])).astype(np.float32)
    arguments = (rewards, values, next_values, stop, stop | other, gamma, lam)
    np.testing.assert_allclose(_compiled(*arguments), sequential(*arguments), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "ending, episodic, expected",
    [
        # (bootstraps from, stop, cut)
        ("none", True, ("successor", False, False)),
        ("terminated", True, ("successor", True, True)),
        ("truncated", True, ("successor", False, True)),
        ("none", False, ("reset", False, False)),
        ("terminated", False, ("reset", False, False)),
        ("truncated", False, ("reset", False, False)),
    ],
)
def test_boundaries_of_streams(ending, episodic, expected):
    terminated, truncated = jnp.full((1, 1), ending == "terminated"), jnp.full((1, 1), ending == "truncated")
    successor, reset = jnp.full((1, 1, 1), 3.0), jnp.full((1, 1, 1), 7.0)
    next_values, stop, cut = stream_boundaries(terminated, truncated, successor, reset, (episodic,))
    source = {3.0: "successor", 7.0: "reset"}[float(next_values[0, 0, 0])]
    assert (source, bool(stop[0, 0, 0]), bool(cut[0, 0, 0])) == expected


def test_streams_do_not_mix():
    terminated = jnp.asarray([[False], [True], [False]])
    ones = jnp.ones((3, 1, 2))
    boundaries = stream_boundaries(terminated, jnp.zeros_like(terminated), 2 * ones, 3 * ones, (True, False))
    advantages = gae(ones, 0 * ones, *boundaries, jnp.asarray([0.5, 0.5]), jnp.asarray([1.0, 1.0]))
    # Episodic: 1 + .5*2 = 2, then 1, then 2 + .5*1. Non-episodic: always 1 + .5*3 = 2.5, never cut.
    np.testing.assert_allclose(advantages[:, 0, 0], [2.5, 1.0, 2.0])
    np.testing.assert_allclose(advantages[:, 0, 1], [2.5 + 1.25 + 0.625, 2.5 + 1.25, 2.5])


def test_refuses_value_heads_that_do_not_match_the_streams():
    rewards, one_head = jnp.zeros((3, 2, 2)), jnp.zeros((3, 2, 1))
    with pytest.raises(ValueError, match=r"values of shape \(3, 2, 1\): expected \(3, 2, 2\), one head a reward"):
        gae(rewards, one_head, rewards, rewards > 0, rewards > 0, 0.9, 0.9)
