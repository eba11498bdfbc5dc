"""The digits of scikit-learn as a bandit: what is shown and paid, and the error without scikit-learn."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.envs import bandits as worlds


def test_the_right_digit_pays():
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = datasets.load_digits(return_X_y=True)
    world = worlds.digits(horizon=100)
    assert (world.spec.num_arms, world.spec.context_dim, world.spec.horizon) == (10, 65, 100)
    state = world.reset(jax.random.key(0))
    context = np.asarray(world.observe(state).context)
    assert context[-1] == 1.0 and 0 <= context.min() and context.max() == 1.0
    row = np.flatnonzero((np.abs(images / 16 - context[:-1]) < 1e-6).all(1))
    np.testing.assert_array_equal(np.flatnonzero(state.means), labels[row[:1]])
    for arm in (int(labels[row[0]]), int(labels[row[0]] + 1) % 10):
        _, feedback, regret = world.step(jax.random.key(1), state, jnp.int32(arm))
        assert float(feedback.reward) == (arm == labels[row[0]]) == 1 - float(regret)


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"purejaxexplore\[datasets\]"):
        worlds.digits()
