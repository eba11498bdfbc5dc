"""What the bonuses share: the optimiser, the scale of rewards, and the encoder of inverse dynamics."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rollouts import batch_of, dense, relu, walk_of

from purejaxexplore.bonuses.encoders import action_loss, action_vectors, forward_model, inverse_dynamics, to_sphere
from purejaxexplore.bonuses.fitting import adam_step, fit, init_trained, transition_rows
from purejaxexplore.bonuses.normalising import init_norm, scale_rewards


def test_a_step_is_that_of_optax():
    params, grads = {"w": jnp.array([1.0, -2.0])}, {"w": jnp.array([0.3, -4.0])}
    ours, reference = init_trained(params), optax.adam(0.1)
    theirs, opt_state = params, reference.init(params)
    for _ in range(3):
        ours = adam_step(ours, grads, 0.1)
        updates, opt_state = reference.update(grads, opt_state)
        theirs = optax.apply_updates(theirs, updates)
    np.testing.assert_allclose(ours.params["w"], theirs["w"], rtol=1e-6)


def test_a_learning_rate_may_depend_on_the_steps_taken():
    trained = init_trained(jnp.array(1.0))
    for t in range(3):  # the first moment over the root of the second is 1 for a constant gradient
        before, trained = trained, adam_step(trained, jnp.array(2.0), lambda t: 0.1 / (1.0 + t))
        np.testing.assert_allclose(before.params - trained.params, 0.1 / (1 + t), rtol=1e-3)


def test_fit_sees_every_row_once_an_epoch_and_refuses_a_remainder(key):
    def loss_fn(key, params, rows):
        return (params * rows).sum(), {"seen": rows.sum()}

    rows = jnp.arange(12.0)
    _, metrics = fit(
        key, loss_fn, init_trained(jnp.array(0.0)), rows, learning_rate=0.1, num_epochs=2, num_minibatches=3, name="X"
    )
    assert metrics["seen"] == rows.sum() / 3
    with pytest.raises(ValueError, match="num_minibatches of the X bonus=5 does not divide rollout samples=12"):
        fit(key, loss_fn, init_trained(0.0), rows, learning_rate=0.1, num_epochs=1, num_minibatches=5, name="X")


def test_rewards_are_scaled_over_time_and_not_over_environments():
    """A widely used port filters over environments (its scale here would be 3.4 x too small)."""
    raw = np.random.default_rng(0).exponential(1.0, (12, 4)).astype(np.float32) * np.array([1, 5, 25, 125], np.float32)
    steps = walk_of(np.zeros((13, 4, 2)))
    norm, reward = scale_rewards(init_norm(steps), jnp.asarray(raw), batch_of(steps), 0.9)
    filtered, trace = np.zeros(4), []
    for row in raw:
        filtered = 0.9 * filtered + row
        trace.append(filtered)
    np.testing.assert_allclose(reward, raw / np.std(trace), rtol=1e-3)
    np.testing.assert_allclose(norm.filter, filtered, rtol=1e-4)
    _, plain = scale_rewards(init_norm(steps), jnp.asarray(raw), batch_of(steps), 0.0)
    np.testing.assert_allclose(plain, raw / raw.std(), rtol=1e-3)
    _, untouched = scale_rewards(init_norm(steps), jnp.asarray(raw), batch_of(steps), 0.9, normalise=False)
    np.testing.assert_array_equal(untouched, raw)


def test_features_on_the_sphere():
    phi = np.array([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]], np.float32)
    centred = phi[0] - 3.0
    np.testing.assert_allclose(to_sphere(jnp.asarray(phi))[0], centred / np.linalg.norm(centred), rtol=1e-5)
    np.testing.assert_array_equal(to_sphere(jnp.asarray(phi))[1], 0.0)


def test_actions_are_one_hot_or_as_they_are():
    np.testing.assert_array_equal(action_vectors(jnp.array([2, 0]), 3), np.eye(3)[[2, 0]])
    np.testing.assert_array_equal(action_vectors(jnp.array([[0.5, -1.0]]), 0), [[0.5, -1.0]])
    logits = np.array([[1.0, 2.0, 0.5]])
    np.testing.assert_allclose(
        action_loss(jnp.asarray(logits), jnp.array([1]), 3), np.log(np.exp(logits).sum()) - 2.0, rtol=1e-5
    )
    np.testing.assert_allclose(action_loss(jnp.array([[1.0, 3.0]]), jnp.array([[0.0, 1.0]]), 0), [2.5])


def test_models_are_the_networks_they_say(key):
    rng = np.random.default_rng(0)
    x, next_x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    action = jnp.array([0, 1, 1, 0, 1])
    idm = inverse_dynamics(2, 4, (6,))
    params = idm.init(key, jnp.asarray(x[:1]), action[:1])
    phi, next_phi = (np.asarray(idm.encode(params, jnp.asarray(o))) for o in (x, next_x))
    np.testing.assert_allclose(phi, dense(params["encoder"], x, relu), rtol=1e-4, atol=1e-5)
    logits = dense(params["inverse"], np.concatenate([phi, next_phi], -1), relu)
    np.testing.assert_allclose(idm.predict(params, phi, next_phi), logits, rtol=1e-4, atol=1e-5)
    forward = forward_model(2, 4, (6,))
    params = forward.init(key, action[:1])
    ahead = dense(params, np.concatenate([phi, np.eye(2)[action]], -1), relu)
    np.testing.assert_allclose(forward.predict(params, phi, action), ahead, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_encoder_keeps_what_the_action_moves_and_learns_to_tell_it(key):
    """The action moves one coordinate up or down; the others are noise."""
    rng = np.random.default_rng(0)
    action = rng.integers(0, 2, (32, 4))
    noise = rng.normal(size=(33, 4, 3))
    position = np.concatenate([np.zeros((1, 4)), np.cumsum(2 * action - 1, 0)])[..., None] / 5
    x, actions, next_x = transition_rows(walk_of(np.concatenate([position, noise], -1), action=action))
    assert actions.shape == (128,) and x.shape == (128, 4)
    idm = inverse_dynamics(2, 4, (16,))

    def loss_fn(key, params, rows):
        x, action, next_x = rows
        loss = idm.loss(params, idm.encode(params, x), idm.encode(params, next_x), action).mean()
        return loss, {"loss": loss}

    trained = init_trained(idm.init(key, x[:1], actions[:1]))
    trained, metrics = jax.jit(
        lambda trained: fit(
            key, loss_fn, trained, (x, actions, next_x),
            learning_rate=1e-2, num_epochs=150, num_minibatches=1, name="X",
        )  # fmt: skip
    )(trained)
    phi, next_phi = (idm.encode(trained.params, o) for o in (x, next_x))
    assert (idm.predict(trained.params, phi, next_phi).argmax(-1) == actions).mean() > 0.95


@pytest.mark.parametrize(
    "arguments, message",
    [((-1, 4, ()), "num_actions=-1: .*at least 0"), ((2, 0, ()), "feature_dim=0"), ((2, 1, (), True), "feature_dim=1")],
)
def test_refuses_encoders(arguments, message):
    with pytest.raises(ValueError, match=message):
        inverse_dynamics(*arguments)
