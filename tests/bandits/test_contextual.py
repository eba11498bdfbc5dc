"""Contextual worlds and policies: contracts, exact cases, what a good policy must reach, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore import make_train
from purejaxexplore.bandits.linear import confidence_radius, fit_models, new_models
from purejaxexplore.bandits.square_cb import inverse_gap_weights
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.world import Feedback, Observation
from purejaxexplore.testing import check_algorithm, check_policy

DRAW = np.random.default_rng(0)
LABELS = np.arange(60) % 3
BLOBS = (np.eye(3)[LABELS] + 0.3 * DRAW.standard_normal((60, 3))).astype(np.float32)
WORLDS = {
    "shared": worlds.linear(3, 2),
    "disjoint": worlds.linear(3, 2, shared=False),
    "full": worlds.linear(3, 2, feedback="full"),
    "full_disjoint": worlds.linear(3, 2, feedback="full", shared=False),
    "wheel": worlds.wheel(0.9),
    "low_rank": worlds.low_rank(4, 2),
    "classification": worlds.classification(BLOBS, LABELS),
}
POLICIES = {
    "lin_ucb": lambda spec: b.lin_ucb(spec, b.LinUCBConfig()),
    "oful": lambda spec: b.oful(spec, b.OFULConfig()),
    "linear_thompson": lambda spec: b.linear_thompson(spec, b.LinearThompsonConfig()),
    "square_cb": lambda spec: b.square_cb(spec, b.SquareCBConfig(), b.ridge_regressor(spec)),
    "square_cb_network": lambda spec: b.square_cb(
        spec, b.SquareCBConfig(), b.network_regressor(spec, b.NetworkRegressorConfig(hidden_sizes=(4,)))
    ),
}


@pytest.mark.parametrize(
    "policy", [pytest.param(name, marks=[pytest.mark.slow] * name.endswith("network")) for name in POLICIES]
)
def test_contract(policy):
    world = WORLDS["disjoint"]
    check_algorithm(b.bandit(POLICIES[policy](world.spec), world, pulls=2), num_steps=3)


PAIRS = [*(("lin_ucb", world) for world in WORLDS), ("square_cb_network", "shared"), ("square_cb_network", "wheel")]


@pytest.mark.parametrize(("policy", "world"), PAIRS)
def test_no_policy_uses_what_it_has_not_seen(policy, world):
    check_policy(POLICIES[policy](WORLDS[world].spec), WORLDS[world], num_pulls=5)


@pytest.mark.parametrize("world", ["shared", "disjoint", "full", "full_disjoint"])
def test_models_are_the_ridge_regression_of_what_was_seen(world):
    spec = WORLDS[world].spec
    K, d = spec.num_arms, spec.context_dim
    draw = np.random.default_rng(1)
    context = draw.standard_normal((20, K, d) if spec.per_arm else (20, d)).astype(np.float32)
    value, actions = draw.standard_normal((20, K)).astype(np.float32), draw.integers(0, K, 20)
    seen = np.ones((20, K), bool) if spec.feedback == "full" else np.arange(K) == actions[:, None]

    def update(models, row):
        context, value, action, seen = row
        feedback = Feedback(jnp.where(seen, value, jnp.nan), seen, value[action], jnp.zeros(0), jnp.bool_(False))
        observation = Observation(context, jnp.ones(K, bool), jnp.int32(0))
        return fit_models(spec, models, observation, action, feedback), None

    models, _ = jax.lax.scan(update, new_models(spec, 2.0), (context, value, actions, seen))
    rows = np.broadcast_to(context if spec.per_arm else context[:, None], (20, K, d)).astype(np.float64)
    for arm in range(K):
        mask = seen if spec.per_arm else seen & (np.arange(K) == arm)
        x, y = rows[mask], value[mask]
        expected = np.linalg.solve(2.0 * np.eye(d) + x.T @ x, x.T @ y)
        coef = models.coef if spec.per_arm else models.coef[arm]
        np.testing.assert_allclose(coef, expected, atol=1e-4)


def test_inverse_gap_weights_by_hand():
    prob = inverse_gap_weights(jnp.array([0.5, 0.9, 0.4, 5.0]), jnp.array([True, True, True, False]), 10.0)
    first, third = 1 / (3 + 4), 1 / (3 + 5)
    np.testing.assert_allclose(prob, [first, 1 - first - third, third, 0.0], rtol=1e-6)
    greedy = inverse_gap_weights(jnp.array([0.5, 0.9, 0.4, 5.0]), jnp.ones(4, bool), 1e9)
    np.testing.assert_allclose(greedy, [0, 0, 0, 1], atol=1e-6)


def test_with_one_hot_features_lin_ucb_is_ucb_with_its_own_bonus():
    """A world that always shows the identity: the width of arm a is 1 / sqrt(lambda + n_a)."""
    spec = worlds.linear(3, 3).spec
    policy = b.lin_ucb(spec, b.LinUCBConfig(alpha=1.5, regularisation=1e-6))
    observation = Observation(jnp.eye(3), jnp.ones(3, bool), jnp.int32(0))
    values, models, counts = np.array([0.3, 0.5, 0.45]), policy.init(jax.random.key(0)), np.zeros(3)
    for _ in range(30):
        action, _ = policy.act((), models, observation)
        index = np.where(counts > 0, values + 1.5 / np.sqrt(np.maximum(counts, 1)), np.inf)
        assert np.isclose(index[action], index.max(), atol=1e-3) or not counts.all()
        seen = jnp.arange(3) == action
        feedback = Feedback(jnp.where(seen, values, jnp.nan), seen, values[action], jnp.zeros(0), jnp.bool_(False))
        models = policy.update(models, observation, action, feedback, ())
        counts[int(action)] += 1


def test_the_confidence_set_of_oful_holds_the_parameter():
    """In at least 1 - delta of 300 runs at all of 200 pulls; half its noise term fails far more often."""
    world, config = worlds.linear(3, 4, sd=0.5), b.OFULConfig(noise=0.5, norm=1.0, delta=0.1)
    policy = b.oful(world.spec, config)

    def run(key):
        key_world, key_noise = jax.random.split(key)
        state = world.reset(key_world)
        theta = state.instance

        def pull(carry, noise):
            state, models = carry
            observation = world.observe(state)
            action, aux = policy.act((), models, observation)
            state, feedback, _ = world.step(noise, state, action)
            models = policy.update(models, observation, action, feedback, aux)
            error = jnp.linalg.solve(models.root, theta - models.coef)  # |root^-1 e| = |e| in the norm of V
            ratio = jnp.linalg.norm(error) / confidence_radius(models, config)
            return (state, models), ratio

        return jax.lax.scan(pull, (state, policy.init(key)), world.noise(key_noise, 200))[1].max()

    worst = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(3), 300))
    assert (worst <= 1.0).mean() >= 0.9
    assert (worst <= 0.4).mean() < 0.9


@pytest.fixture(scope="module")
def regrets():
    """Mean regret of 20 seeds after 400 pulls in a linear world, by policy."""
    world = WORLDS["shared"]
    spec = world.spec
    chosen = {name: make(spec) for name, make in POLICIES.items() if name != "square_cb_network"}
    chosen["uniform"] = b.square_cb(spec, b.SquareCBConfig(gamma=0.0), b.ridge_regressor(spec))
    keys = jax.random.split(jax.random.key(5), 20)

    def final(policy):
        train = make_train(b.bandit(policy, world, pulls=400), 1)
        return jax.jit(jax.vmap(train))(keys)[1]["regret"][:, 0].mean()

    return {name: float(final(policy)) for name, policy in chosen.items()}


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["lin_ucb", "oful", "linear_thompson", "square_cb"])
def test_learns_a_linear_world(policy, regrets):
    assert regrets[policy] < 0.25 * regrets["uniform"]


def test_the_wheel_pays_as_it_says():
    world = worlds.wheel(0.5)
    states = jax.vmap(world.reset)(jax.random.split(jax.random.key(0), 2000))
    x, means = np.asarray(states.context), np.asarray(states.means)
    radius = np.linalg.norm(x, axis=1)
    assert abs((radius < 0.5).mean() - 0.25) < 0.03
    assert np.all(means[:, 0] == np.float32(1.2))
    assert np.all((means == 50).sum(1) == (radius > 0.5))
    upper_right = (radius > 0.5) & (x > 0).all(1)
    assert np.all(means[upper_right, 1] == 50)


def test_low_rank_ratings_are_linear_in_the_context_and_differ_between_pools():
    train, held_out = worlds.low_rank(6, 3), worlds.low_rank(6, 3, users="eval")
    states = jax.vmap(train.reset)(jax.random.split(jax.random.key(0), 200))
    fitted, residual, *_ = np.linalg.lstsq(np.asarray(states.context), np.asarray(states.means), rcond=None)
    assert fitted.shape == (3, 6) and np.max(residual) < 1e-6
    assert held_out.spec.value_range != train.spec.value_range


def test_bad_input_is_refused_in_one_line():
    spec = WORLDS["shared"].spec
    plain = worlds.bernoulli((0.1, 0.2))
    cases = {
        "context_dim=0": lambda: b.lin_ucb(plain.spec, b.LinUCBConfig()),
        "regularisation": lambda: b.linear_thompson(spec, b.LinearThompsonConfig(regularisation=0.0)),
        "alpha": lambda: b.lin_ucb(spec, b.LinUCBConfig(alpha=-1.0)),
        "delta": lambda: b.oful(spec, b.OFULConfig(delta=0.0)),
        "gamma": lambda: b.square_cb(spec, b.SquareCBConfig(gamma=-1.0), b.ridge_regressor(spec)),
        "context_dim=2 of the policy": lambda: b.bandit(b.lin_ucb(spec, b.LinUCBConfig()), worlds.linear(3, 5)),
        "rank=9": lambda: worlds.low_rank(4, 9),
        "users": lambda: worlds.low_rank(4, users="test"),
        "labels": lambda: worlds.classification(BLOBS, np.zeros(60, int)),
        "features": lambda: worlds.classification(BLOBS * np.nan, LABELS),
        "sd": lambda: worlds.linear(3, 2, sd=-1.0),
    }
    for message, make in cases.items():
        with pytest.raises(ValueError, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="Regressor"):
        b.square_cb(spec, b.SquareCBConfig(), lambda x: x)
