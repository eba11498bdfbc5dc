"""The shared networks against matrix products written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.nets import CNN, MLP, ActionValues, ActorCritic, orthogonal
from purejaxexplore.testing.trees import quick_jit


def test_mlp_is_its_matrix_products():
    net = MLP((5, 4), 3, "tanh", 0.01)
    x = jax.random.normal(jax.random.key(0), (2, 7, 6))
    params = net.init(jax.random.key(1), x)
    layers = [params["params"][f"Dense_{i}"] for i in range(3)]
    y = np.asarray(x)
    for layer in layers[:2]:
        y = np.tanh(y @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"]))
    y = y @ np.asarray(layers[2]["kernel"]) + np.asarray(layers[2]["bias"])
    np.testing.assert_allclose(net.apply(params, x), y, atol=1e-5)
    for layer, gain in zip(layers, (2.0, 2.0, 1e-4), strict=True):  # orthogonal, squared gains
        kernel = np.asarray(layer["kernel"])
        gram = kernel.T @ kernel if kernel.shape[0] >= kernel.shape[1] else kernel @ kernel.T
        np.testing.assert_allclose(gram, gain * np.eye(len(gram)), atol=1e-5)
        assert not np.any(layer["bias"])


def test_cnn_keeps_leading_axes():
    net = CNN(channels=2, size=3)
    x = jax.random.normal(jax.random.key(0), (2, 4, 5, 5, 3))
    params = net.init(jax.random.key(1), x)
    y = net.apply(params, x)
    assert y.shape == (2, 4, 3)
    np.testing.assert_allclose(y[1, 2], net.apply(params, x[1, 2][None])[0], atol=1e-5)


@pytest.mark.parametrize("features", [0, 2])
def test_actor_critic_concatenates_flattened_observations_and_features(features):
    net = ActorCritic(num_outputs=3, num_values=2, obs_ndim=2, hidden_sizes=(4,))
    carry, obs = jnp.zeros((5, 0)), jax.random.normal(jax.random.key(0), (5, 2, 3))
    shown, start = jnp.full((5, features), 7.0), jnp.ones(5, bool)
    params = net.init(jax.random.key(1), carry, obs, shown, start)
    (logits,), values = net.apply(params, carry, obs, shown, start)
    assert logits.shape == (5, 3) and values.shape == (5, 2)
    _, x = net.apply(params, carry, obs, shown, start, method="encode")
    np.testing.assert_array_equal(x, np.concatenate([obs.reshape(5, 6), shown], -1))
    np.testing.assert_array_equal(net.apply(params, x, method="actor")[0], logits)
    np.testing.assert_array_equal(net.apply(params, x, method="critic"), values)


def test_a_new_episode_clears_the_recurrent_state():
    net = ActorCritic(num_outputs=2, num_values=1, obs_ndim=1, hidden_sizes=(4,), gru_size=3)
    obs, none = jax.random.normal(jax.random.key(0), (2, 4)), jnp.zeros((2, 0))
    carry = jnp.ones((2, 3))
    params = net.init(jax.random.key(1), carry, obs, none, jnp.zeros(2, bool))
    mixed, x = net.apply(params, carry, obs, none, jnp.asarray([True, False]), method="encode")
    fresh, _ = net.apply(params, 0 * carry, obs, none, jnp.zeros(2, bool), method="encode")
    kept, _ = net.apply(params, carry, obs, none, jnp.zeros(2, bool), method="encode")
    np.testing.assert_allclose(mixed, np.stack([fresh[0], kept[1]]), rtol=1e-6)
    np.testing.assert_array_equal(mixed, x)
    assert not np.allclose(fresh, kept)


def test_a_gaussian_actor_has_one_log_std_a_dimension():
    net = ActorCritic(num_outputs=2, num_values=1, obs_ndim=1, hidden_sizes=(4,), continuous=True)
    arguments = jnp.zeros((3, 0)), jnp.ones((3, 4)), jnp.zeros((3, 0)), jnp.ones(3, bool)
    (mean, log_std), _ = net.apply(net.init(jax.random.key(0), *arguments), *arguments)
    assert mean.shape == (3, 2)
    np.testing.assert_array_equal(log_std, np.zeros(2))


@pytest.mark.parametrize("shape", [(8, 8), (20, 6), (6, 20), (3, 3, 2, 5)])
def test_orthogonal_weights_are_orthonormal(shape):
    weights = np.asarray(orthogonal(2.0)(jax.random.key(0), shape)).reshape(-1, shape[-1]) / 2.0
    gram = weights.T @ weights if weights.shape[0] >= weights.shape[1] else weights @ weights.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)


def test_initialising_many_networks_uses_no_batched_qr():
    """Batched QRs of many vmapped networks can wait for each other for ever on CPU."""
    net = ActorCritic(4, 1, 1, (128, 128), gru_size=8)
    inputs = (jnp.zeros((2, 8)), jnp.zeros((2, 5)), jnp.zeros((2, 0)), jnp.zeros(2, bool))
    program = jax.make_jaxpr(jax.vmap(lambda key: net.init(key, *inputs)))(jax.random.split(jax.random.key(0), 3))
    assert not any(word in str(program) for word in ("householder", "geqrf", "= qr["))


def test_factored_actions_share_the_embeddings_of_their_factors():
    net = ActionValues(6, 2, 1, hidden_sizes=(4,), network="factored", action_factors=(2, 3))
    obs, none = jax.random.normal(jax.random.key(0), (7, 5)), jnp.zeros((7, 0))
    params = quick_jit(net.init)(jax.random.key(1), obs, none)
    p = jax.tree.map(np.asarray, params["params"])
    values = quick_jit(net.apply)(params, obs, none)
    assert values.shape == (7, 6, 2) and p["factor_0"].shape == (2, 4) and p["factor_1"].shape == (3, 4)
    first, last = p["Dense_0"], p["Dense_1"]
    states = np.maximum(np.asarray(obs) @ first["kernel"] + first["bias"], 0) @ last["kernel"] + last["bias"]
    for action, (verb, thing) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]):
        meaning = np.maximum(p["factor_0"][verb] + p["factor_1"][thing], 0)
        np.testing.assert_allclose(values[:, action], states.reshape(7, 2, 4) @ meaning, atol=1e-5)
