"""The encoder that most bonuses share: features from which the action between two observations can be told.

Pathak, Agrawal, Efros and Darrell (2017), "Curiosity-driven exploration by self-supervised prediction": an inverse
model I is trained to predict a_t from e(o_t) and e(o_{t+1}), so e keeps what the agent can influence and has no reason
to keep the rest.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from purejaxexplore.bonuses.fitting import Trained, fit
from purejaxexplore.checks import require_at_least
from purejaxexplore.nets import MLP


class InverseDynamics(NamedTuple):
    """Pure functions around one set of parameters; ``x`` stands for flat observations f32[B, d_in].

    Attributes:
        init: ``(key, x, action) -> params``.
        encode: ``(params, x) -> f32[B, d]``.
        predict: ``(params, phi f32[B, d], next_phi) -> f32[B, A]``, logits of the action, or the action itself.
        loss: ``(params, phi, next_phi, action) -> f32[B]``.
    """

    init: Callable[[jax.Array, jax.Array, jax.Array], Any]
    encode: Callable[[Any, jax.Array], jax.Array]
    predict: Callable[[Any, jax.Array, jax.Array], jax.Array]
    loss: Callable[[Any, jax.Array, jax.Array, jax.Array], jax.Array]


def action_vectors(action: jax.Array, num_actions: int) -> jax.Array:
    """Actions as a network's input: one-hot f32[..., A], or as they are f32[..., A] where ``num_actions`` is 0."""
    return jax.nn.one_hot(action, num_actions) if num_actions else action.astype(jnp.float32)


def action_loss(prediction: jax.Array, action: jax.Array, num_actions: int) -> jax.Array:
    """f32[B]: cross-entropy of the logits f32[B, A], or half the squared error where ``num_actions`` is 0."""
    if num_actions:
        return optax.softmax_cross_entropy_with_integer_labels(prediction, action)
    return optax.l2_loss(prediction, action).sum(-1)


def to_sphere(phi: jax.Array) -> jax.Array:
    """Standardises each f32[..., d] over its features and scales it to length 1 (0 where all features are equal)."""
    centred = phi - phi.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.square(centred).sum(-1, keepdims=True) + 1e-6)


def inverse_dynamics(
    num_actions: int, feature_dim: int, hidden_sizes: tuple[int, ...], sphere: bool = False
) -> InverseDynamics:
    """The encoder and its inverse model.

    Args:
        num_actions: A of a discrete action; 0 for continuous ones.
        feature_dim: d.
        hidden_sizes: hidden layers of the encoder and of the inverse model.
        sphere: whether features have length 1 (:func:`to_sphere`), for bonuses that compare distances: then they mean
            the same throughout training.

    Raises:
        ValueError: a size is negative, or ``feature_dim`` is not positive.
    """
    require_at_least(0, num_actions=num_actions)
    require_at_least(2 if sphere else 1, feature_dim=feature_dim)
    encoder = MLP(hidden_sizes, feature_dim, "relu")

    def inverse_model(num_outputs):
        return MLP(hidden_sizes, num_outputs, "relu", 0.01)

    def init(key, x, action):
        key_encoder, key_inverse = jax.random.split(key)
        pair = jnp.zeros((1, 2 * feature_dim))
        outputs = num_actions if num_actions else action.shape[-1]
        return {"encoder": encoder.init(key_encoder, x), "inverse": inverse_model(outputs).init(key_inverse, pair)}

    def encode(params, x):
        phi = encoder.apply(params["encoder"], x)
        return to_sphere(phi) if sphere else phi

    def predict(params, phi, next_phi):
        outputs = params["inverse"]["params"][f"Dense_{len(hidden_sizes)}"]["bias"].shape[-1]
        return inverse_model(outputs).apply(params["inverse"], jnp.concatenate([phi, next_phi], -1))

    def loss(params, phi, next_phi, action):
        return action_loss(predict(params, phi, next_phi), action, num_actions)

    return InverseDynamics(init, encode, predict, loss)


def fit_inverse(
    key: jax.Array, idm: InverseDynamics, trained: Trained, rows: tuple[jax.Array, jax.Array, jax.Array], **settings
) -> tuple[Trained, dict[str, jax.Array]]:
    """Fits an encoder and its inverse model to ``rows``: ``(x f32[B, d_in], action [B, ...], next_x f32[B, d_in])``.

    ``settings`` are those of :func:`~purejaxexplore.bonuses.fitting.fit`; the metric is ``inverse_loss``.
    """

    def loss_fn(key, params, batch):
        x, action, next_x = batch
        loss = idm.loss(params, idm.encode(params, x), idm.encode(params, next_x), action).mean()
        return loss, {"inverse_loss": loss}

    return fit(key, loss_fn, trained, rows, **settings)


class ForwardModel(NamedTuple):
    """Predicts the next features.

    Attributes:
        init: ``(key, action) -> params``.
        predict: ``(params, phi f32[B, d], action) -> f32[B, d]``.
    """

    init: Callable[[jax.Array, jax.Array], Any]
    predict: Callable[[Any, jax.Array, jax.Array], jax.Array]


def forward_model(num_actions: int, feature_dim: int, hidden_sizes: tuple[int, ...]) -> ForwardModel:
    """A network F(phi, a); arguments as of :func:`inverse_dynamics`."""
    net = MLP(hidden_sizes, feature_dim, "relu")

    def inputs(phi, action):
        return jnp.concatenate([phi, action_vectors(action, num_actions)], -1)

    def init(key, action):
        return net.init(key, inputs(jnp.zeros((action.shape[0], feature_dim)), action))

    return ForwardModel(init, lambda params, phi, action: net.apply(params, inputs(phi, action)))
