"""ICM, disagreement, GIRM and the reward model against NumPy, and what they must do with noise and with change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rollouts import batch_of, dense, relu, walk_of

from purejaxexplore.bonuses.bonus import score_rollout
from purejaxexplore.bonuses.disagreement import DisagreementConfig, disagreement
from purejaxexplore.bonuses.girm import GIRMConfig, gaussian_kl, girm
from purejaxexplore.bonuses.icm import ICMConfig, icm
from purejaxexplore.bonuses.reward_model import RewardModelConfig, reward_model

T, N, D, A = 16, 4, 3, 2
SMALL = {"num_actions": A, "hidden_sizes": (8,)}
BONUSES = {
    "icm": icm(ICMConfig(feature_dim=4, **SMALL)),
    "disagreement": disagreement(DisagreementConfig(feature_dim=4, num_members=3, **SMALL)),
    "girm": girm(GIRMConfig(feature_dim=4, **SMALL)),
    "reward_model": reward_model(RewardModelConfig(**SMALL)),
}


def rollout_of(seed):
    rng = np.random.default_rng(seed)
    path = rng.normal(size=(T + 1, N, D))
    return walk_of(path, action=rng.integers(0, A, (T, N)), reward=rng.normal(size=(T, N)))


@pytest.fixture(scope="module")
def scored():
    """name -> (parameters, whitened obs and next_obs, actions, scores)."""
    warmup, steps = rollout_of(0), rollout_of(1)
    seen = np.asarray(warmup.next_obs).reshape(-1, D)
    x, next_x = (np.clip((np.asarray(o) - seen.mean(0)) / seen.std(0), -5, 5) for o in (steps.obs, steps.next_obs))
    found = {}
    for name, bonus in BONUSES.items():
        state = bonus.init(jax.random.key(0), warmup)
        _, raw = score_rollout(jax.random.key(1), bonus, state, steps)
        found[name] = state.learn, x, next_x, np.eye(A)[steps.action], np.asarray(raw)
    return found, steps


def test_icm_is_the_forward_error_in_features(scored):
    learn, x, next_x, action, raw = scored[0]["icm"]
    phi, next_phi = (dense(learn.params["inverse"]["encoder"], o, relu) for o in (x, next_x))
    ahead = dense(learn.params["forward"], np.concatenate([phi, action], -1), relu)
    np.testing.assert_allclose(raw, 0.005 * np.square(ahead - next_phi).sum(-1), rtol=2e-3, atol=1e-5)


def test_disagreement_is_the_variance_over_members_divided_by_their_number(scored):
    learn, x, _, action, raw = scored[0]["disagreement"]
    phi = dense(learn.encoder, x, relu)
    inputs = np.concatenate([phi, action], -1)
    members = [dense(jax.tree.map(lambda p, i=i: p[i], learn.params), inputs, relu) for i in range(3)]
    np.testing.assert_allclose(raw, np.var(members, 0).mean(-1), rtol=2e-3, atol=1e-5)


def test_girm_generates_from_half_the_action_and_half_the_inferred_one(scored):
    learn, x, next_x, action, raw = scored[0]["girm"]
    phi, next_phi = (dense(learn.params["encoder"], o, relu) for o in (x, next_x))
    mean = dense(learn.params["posterior"], np.concatenate([phi, next_phi], -1), relu)[..., :A]
    inferred = np.exp(mean) / np.exp(mean).sum(-1, keepdims=True)
    mixed = 0.5 * action + 0.5 * inferred
    generated = dense(learn.params["generator"], np.concatenate([phi, mixed], -1), relu)
    np.testing.assert_allclose(raw, np.square(generated - next_phi).mean(-1), rtol=2e-3, atol=1e-5)


def test_the_reward_models_error_is_that_of_the_reward_of_the_step(scored):
    learn, x, _, action, raw = scored[0]["reward_model"]
    predicted = dense(learn.params, np.concatenate([x, action], -1), relu)[..., 0]
    np.testing.assert_allclose(raw, 0.5 * np.square(predicted - scored[1].reward), rtol=2e-3, atol=1e-5)


def test_kl_of_gaussians():
    mean, log_variance = jnp.array([0.5, -1.0]), jnp.log(jnp.array([2.0, 0.25]))
    expected = 0.5 * (2.0 + 0.25 - 1 - np.log(2.0)) + 0.5 * (0.25 + 1.0 - 1 - np.log(0.25))
    np.testing.assert_allclose(gaussian_kl(mean, log_variance), expected, rtol=1e-6)


def test_icms_forward_loss_does_not_reach_the_encoder_and_its_inverse_loss_does():
    """Trained by the forward loss alone, a constant encoder is the best: the public form collapses."""
    steps = rollout_of(2)
    for beta, moves in ((1.0, False), (0.0, True)):
        bonus = icm(ICMConfig(feature_dim=4, beta=beta, **SMALL))
        state = bonus.init(jax.random.key(0), steps)
        after, _ = bonus.update(jax.random.key(1), state, batch_of(steps))
        encoders = (s.learn.params["inverse"]["encoder"] for s in (state, after))
        same = jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), *encoders))
        assert same != moves


def test_frozen_features_stay_and_members_train_apart():
    bonus, steps = BONUSES["disagreement"], rollout_of(2)
    state = bonus.init(jax.random.key(0), steps)
    after, _ = bonus.update(jax.random.key(1), state, batch_of(steps))
    jax.tree.map(np.testing.assert_array_equal, after.learn.encoder, state.learn.encoder)
    kernel = np.asarray(after.learn.params["params"]["Dense_0"]["kernel"])
    assert not np.allclose(kernel[0], kernel[1])


@pytest.fixture(scope="module")
def noise_learned():
    """Scores before and after training where successors are noise, nothing of which can be predicted."""
    rng = np.random.default_rng(3)
    start = np.tile(np.eye(D), (22, 1))[: T * N].reshape(T, N, D)
    found = {}
    for name in ("icm", "disagreement"):
        bonus = BONUSES[name]
        train = jax.jit(lambda state, steps, key, bonus=bonus: bonus.update(key, state, batch_of(steps))[0])

        def draw():
            steps = walk_of(rng.normal(size=(T + 1, N, D)), action=rng.integers(0, A, (T, N)))
            return steps._replace(obs=jnp.asarray(start, jnp.float32))

        state = bonus.init(jax.random.key(0), draw())
        means = []
        for i in range(150):
            if i in (0, 149):
                means.append(float(np.mean(score_rollout(jax.random.key(1), bonus, state, draw())[1])))
            state = train(state, draw(), jax.random.key(i))
        found[name] = means
    return found


@pytest.mark.slow
def test_a_noisy_screen_holds_icm_and_not_disagreement(noise_learned):
    first, last = noise_learned["disagreement"]
    assert last < 0.1 * first
    first, last = noise_learned["icm"]
    assert last > 0.2 * first


def test_a_flip_of_the_rewards_raises_the_reward_models_error():
    rng = np.random.default_rng(4)
    bonus = reward_model(RewardModelConfig(num_actions=A, hidden_sizes=(16,), learning_rate=1e-2, num_epochs=2))
    action = rng.integers(0, A, (T, N))
    path = rng.normal(size=(T + 1, N, D))
    before = walk_of(path, action=action, reward=2.0 * action - 1.0)
    after = walk_of(path, action=action, reward=1.0 - 2.0 * action)
    state = bonus.init(jax.random.key(0), before)
    train = jax.jit(lambda state, key: bonus.update(key, state, batch_of(before))[0])
    for i in range(40):
        state = train(state, jax.random.key(i))
    calm, alarmed = (float(np.mean(score_rollout(jax.random.key(0), bonus, state, s)[1])) for s in (before, after))
    assert alarmed > 3 * calm and alarmed == pytest.approx(2.0, rel=0.3)  # (kappa/2) (1 - -1)^2


def test_continuous_actions_are_fed_as_they_are():
    rng = np.random.default_rng(5)
    steps = walk_of(rng.normal(size=(T + 1, N, D)), action=rng.normal(size=(T, N, 2)).astype(np.float32))
    for make, config in ((icm, ICMConfig), (girm, GIRMConfig)):
        bonus = make(config(num_actions=0, hidden_sizes=(4,), feature_dim=4))
        state = bonus.init(jax.random.key(0), steps)
        _, raw = score_rollout(jax.random.key(1), bonus, state, steps)
        moved = steps._replace(action=steps.action + 1.0)
        assert raw.shape == (T, N) and not np.allclose(raw, score_rollout(jax.random.key(1), bonus, state, moved)[1])
        _, metrics = bonus.update(jax.random.key(2), state, batch_of(steps))
        assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize(
    "make, config, message",
    [
        (icm, ICMConfig(2, beta=1.5), r"beta=1.5: expected a number in \[0, 1\]"),
        (icm, ICMConfig(2, num_minibatches=0), "num_minibatches=0"),
        (icm, ICMConfig(-1), "num_actions=-1"),
        (disagreement, DisagreementConfig(2, num_members=1), "num_members=1: expected a whole number of at least 2"),
        (disagreement, DisagreementConfig(2, keep_fraction=2.0), "keep_fraction=2.0"),
        (girm, GIRMConfig(2, action_weight=-1.0), "action_weight=-1.0"),
        (girm, GIRMConfig(2, feature_dim=0), "feature_dim=0"),
        (reward_model, RewardModelConfig(2, kappa=-1.0), "kappa=-1.0: expected a number of at least 0"),
        (reward_model, RewardModelConfig(-2), "num_actions=-2"),
    ],
)
def test_refuses(make, config, message):
    with pytest.raises(ValueError, match=message):
        make(config)
