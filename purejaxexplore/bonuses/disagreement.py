"""Disagreement: Pathak, Gandhi and Gupta (2019), "Self-supervised exploration via disagreement".

The variance of an ensemble of forward models, which vanishes where the dynamics are learned, be they noisy or not::

    raw = mean_j Var_i F_i(phi(o), a)_j        loss_i = |F_i(phi(o), a) - phi(o')|^2

phi is a frozen random network, as in the authors' code. The variance divides by E, not E - 1. Different here: each
member sees its own random half of every minibatch; observations are whitened; rewards are scaled by the standard
deviation of their discounted sum.
"""

from math import inf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.encoders import forward_model
from purejaxexplore.bonuses.fitting import Trained, fit, init_trained, transition_rows
from purejaxexplore.bonuses.normalising import init_norm, scale_rewards, whiten
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.nets import MLP


@struct.dataclass
class DisagreementConfig:
    """Attributes:
    num_actions: A of a discrete action; 0 for continuous ones.
    keep_fraction: of a minibatch that trains a member, (0, 1].
    learning_rate: Adam's, (0, inf).
    gamma: of the filter that scales rewards, [0, 1].
    num_members: E, 2 or more (5 in the paper).
    feature_dim: features (512 in the paper, of images).
    hidden_sizes: of the random encoder and of the forward models.
    num_epochs, num_minibatches: of the fit to each rollout.
    normalise: whether rewards are scaled.
    """

    num_actions: int = struct.field(pytree_node=False)
    keep_fraction: float = 0.5
    learning_rate: float = 1e-3
    gamma: float = 0.99
    num_members: int = struct.field(pytree_node=False, default=5)
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))
    num_epochs: int = struct.field(pytree_node=False, default=1)
    num_minibatches: int = struct.field(pytree_node=False, default=4)
    normalise: bool = struct.field(pytree_node=False, default=True)


class Learned(NamedTuple):
    """``encoder``: frozen; ``params`` and ``opt_state``: of the forward models, leading axis [E]."""

    encoder: dict
    params: Any
    opt_state: optax.OptState


def disagreement(config: DisagreementConfig) -> Bonus:
    """The bonus.

    Raises:
        ValueError: a size is not positive, there are fewer than two members, or a number is out of its range.
    """
    require_at_least(2, num_members=config.num_members)
    sizes = ("feature_dim", "num_epochs", "num_minibatches")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(0, num_actions=config.num_actions)
    require_between(0.0, 1.0, keep_fraction=config.keep_fraction, gamma=config.gamma)
    require_between(0.0, inf, learning_rate=config.learning_rate)
    encoder = MLP(config.hidden_sizes, config.feature_dim, "relu")
    forward = forward_model(config.num_actions, config.feature_dim, config.hidden_sizes)
    predict_all = jax.vmap(forward.predict, in_axes=(0, None, None))

    def init(key, steps):
        key_encoder, key_members = jax.random.split(key)
        norm = init_norm(steps)
        members = jax.vmap(forward.init, in_axes=(0, None))(
            jax.random.split(key_members, config.num_members), steps.action[0, :1]
        )
        frozen = encoder.init(key_encoder, jnp.zeros((1, *norm.obs.mean.shape)))
        return BonusState(learn=Learned(frozen, *init_trained(members)), norm=norm, t=jnp.int32(0))

    def score(key, state, step):
        phi = encoder.apply(state.learn.encoder, whiten(state.norm.obs, step.obs))

        def member(moments, params):  # Welford's recursion: the outputs of all members at once leave the cache
            n, mean, squares = moments
            deviation = forward.predict(params, phi, step.action) - mean
            mean = mean + deviation / (n + 1.0)
            return (n + 1.0, mean, squares + jnp.square(deviation) * n / (n + 1.0)), None

        moments = (jnp.float32(0.0), jnp.zeros_like(phi), jnp.zeros_like(phi))
        (_, _, squares), _ = jax.lax.scan(member, moments, state.learn.params)
        return state, squares.mean(-1) / config.num_members

    def shape(state, raw, batch):
        norm, reward = scale_rewards(state.norm, raw, batch, config.gamma, config.normalise)
        return state._replace(norm=norm, t=state.t + 1), reward

    def loss_fn(key, params, batch):
        phi, action, next_phi = batch
        errors = jnp.square(predict_all(params, phi, action) - next_phi).mean(-1)
        keep = jax.random.bernoulli(key, config.keep_fraction, errors.shape)
        losses = jnp.where(keep, errors, 0.0).sum(1) / jnp.maximum(keep.sum(1), 1)
        return losses.sum(), {"forward_loss": losses.mean()}

    def update(key, state, batch):
        x, action, next_x = transition_rows(batch.steps)
        phi, next_phi = (encoder.apply(state.learn.encoder, whiten(state.norm.obs, o)) for o in (x, next_x))
        trained, metrics = fit(
            key, loss_fn, Trained(state.learn.params, state.learn.opt_state), (phi, action, next_phi),
            learning_rate=config.learning_rate, num_epochs=config.num_epochs,
            num_minibatches=config.num_minibatches, name="disagreement",
        )  # fmt: skip
        return state._replace(learn=Learned(state.learn.encoder, *trained)), metrics

    return Bonus(init, lambda state: observe_nothing(state.norm.filter.shape[0]), score, shape, update)
