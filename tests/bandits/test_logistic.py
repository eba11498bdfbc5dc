"""Logistic regressions as explorers: their step, what they share, what they reach, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore import make_train
from purejaxexplore.bandits.logistic import logistic_step
from purejaxexplore.blocks.ridge import new_ridge
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec
from purejaxexplore.testing import check_algorithm, check_policy

DISJOINT = worlds.logistic(3, 2, curvature=0.0, intercept=0.0)


def shared_world(feedback: str) -> worlds.World:
    """Features of each arm, one parameter (1, -2), and rewards 0 or 1."""
    spec = Spec(3, context_dim=2, per_arm=True, feedback=feedback, stationary=False)

    def draw_context(key, theta):
        x = jax.random.normal(key, (3, 2))
        return x, jax.nn.sigmoid(x @ theta)

    def draw_values(key, theta, means):
        return (jax.random.uniform(key, means.shape) < means).astype(jnp.float32)

    return worlds.contextual(spec, lambda key: jnp.array([1.0, -2.0]), draw_context, draw_values)


POLICIES = {
    "thompson": lambda spec: b.logistic_thompson(spec, b.LogisticThompsonConfig()),
    "mbe": lambda spec: b.logistic_mbe(spec, b.LogisticMBEConfig(num_replicates=4)),
}


@pytest.mark.parametrize("policy", [pytest.param("thompson", marks=pytest.mark.slow), "mbe"])
def test_contract(policy):
    check_algorithm(b.bandit(POLICIES[policy](DISJOINT.spec), DISJOINT, pulls=2), num_steps=3)


@pytest.mark.parametrize("feedback", ["bandit", pytest.param("full", marks=pytest.mark.slow)])
def test_no_policy_uses_what_it_has_not_seen(feedback):
    world = shared_world(feedback)
    check_policy(POLICIES["mbe"](world.spec), world, num_pulls=4)


def test_a_sample_is_one_newton_step():
    draw = np.random.default_rng(0)
    model, precision, coef = new_ridge(3, 2.0), 2.0 * np.eye(3), np.zeros(3)
    for x, ones, total in zip(draw.normal(size=(20, 3)), draw.uniform(size=20), draw.uniform(1, 2, 20), strict=True):
        model = logistic_step(model, jnp.float32(x), jnp.float32(ones), jnp.float32(total))
        chance = 1 / (1 + np.exp(-x @ coef))
        precision += total * chance * (1 - chance) * np.outer(x, x)
        coef = coef + np.linalg.solve(precision, x * (ones - total * chance))
    np.testing.assert_allclose(model.coef, coef, atol=1e-4)
    np.testing.assert_allclose(model.root @ model.root.T, np.linalg.inv(precision), atol=1e-5)


def test_replicates_learn_what_their_weights_say():
    """By hand for one pull: the weights of the arm played go to its replicates alone, pseudo-rewards with them."""
    policy = b.logistic_mbe(DISJOINT.spec, b.LogisticMBEConfig(pseudo=0.5, num_replicates=2))
    observation = Observation(jnp.array([1.0, 2.0]), jnp.ones(3, bool), jnp.int32(0))
    seen = jnp.arange(3) == 1
    feedback = Feedback(jnp.where(seen, 1.0, jnp.nan), seen, jnp.float32(1), jnp.zeros(0), jnp.bool_(False))
    weights = jnp.array([[0.3, 1.7], [1.7, 1.7], [0.3, 1.7]])
    models = policy.update(policy.init(jax.random.key(0)), observation, jnp.int32(1), feedback, b.Aux((), weights))
    assert not models.coef[0].any() and not models.coef[2].any()
    for i, (own, good, bad) in enumerate([(0.3, 0.85, 0.15), (1.7, 0.85, 0.85)]):
        total = own + good + bad
        expected = np.array([1.0, 2.0]) * (own + good - total / 2) / (1 + 5 * total / 4)
        np.testing.assert_allclose(models.coef[1, i], expected, rtol=1e-5)


def test_weights_have_the_moments_asked_for():
    policy = b.logistic_mbe(DISJOINT.spec, b.LogisticMBEConfig(weight_sd=0.4, num_replicates=8))
    replicate, weights = policy.noise(jax.random.key(0), 2000)
    assert set(np.unique(replicate)) == set(range(8))
    assert abs(float(weights.mean()) - 1) < 0.01 and abs(float(weights.std()) - 0.4) < 0.01


@pytest.mark.slow
def test_both_learn_a_logistic_world():
    keys = jax.random.split(jax.random.key(1), 20)

    def final(policy):
        train = make_train(b.bandit(policy, DISJOINT, pulls=300), 1)
        return float(jax.jit(jax.vmap(train))(keys)[1]["regret"].mean())

    uniform = final(b.square_cb(DISJOINT.spec, b.SquareCBConfig(gamma=0.0), b.ridge_regressor(DISJOINT.spec)))
    assert all(final(make(DISJOINT.spec)) < 0.5 * uniform for make in POLICIES.values())


def test_bad_input_is_refused_in_one_line():
    spec = DISJOINT.spec
    cases = {
        "context_dim=0": lambda: b.logistic_mbe(worlds.bernoulli((0.1, 0.2)).spec, b.LogisticMBEConfig()),
        "value_range": lambda: b.logistic_thompson(worlds.linear(3, 2).spec, b.LogisticThompsonConfig()),
        "regularisation": lambda: b.logistic_thompson(spec, b.LogisticThompsonConfig(regularisation=0.0)),
        "pseudo": lambda: b.logistic_mbe(spec, b.LogisticMBEConfig(pseudo=-1.0)),
        "weight_sd": lambda: b.logistic_mbe(spec, b.LogisticMBEConfig(weight_sd=1.5)),
        "num_replicates": lambda: b.logistic_mbe(spec, b.LogisticMBEConfig(num_replicates=0)),
        "intercept": lambda: worlds.logistic(3, 2, intercept=np.nan),
    }
    for message, build in cases.items():
        with pytest.raises(ValueError, match=message):
            build()
