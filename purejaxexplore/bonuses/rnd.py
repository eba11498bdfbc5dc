"""RND: Burda, Edwards, Storkey and Klimov (2018), "Exploration by random network distillation".

The novelty of an observation is the error of a trained net f that predicts the output of a frozen random net g there::

    x = clip((o' - mean) / std, -5, 5)        raw = mean_j (f_j(x) - g_j(x))^2
    r = raw / std(F),  F_t = gamma F_{t-1} + raw_t

As in the authors' code the score uses the observation statistics of before the rollout, the filter F runs over past
rewards and is never reset, the mean is not subtracted, and there is no gradient clipping. Different here: the
predictor is fitted after PPO's epochs with its own Adam instead of in the same loss, and the standard deviations of the
observations have a floor, without which rarely active binary features are blown up to the clip.
"""

from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.fitting import Trained, fit, flat_steps, init_trained
from purejaxexplore.bonuses.normalising import init_norm, reward_scale, scale_rewards, whiten
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.nets import MLP


@struct.dataclass
class RNDConfig:
    """Defaults of the paper where they fit small observations.

    Attributes:
        learning_rate: Adam's, (0, inf); the paper has 1e-4 with four epochs where here is one.
        gamma: of the forward filter, [0, 1].
        decay: of the step size, ``learning_rate / (1 + decay t)`` after t gradient steps, [0, inf); 0 in the paper.
        keep_fraction: of the samples that train the predictor, [0, 1]; the paper keeps 0.25 at 128 environments.
        obs_clip: bound of whitened observations, in standard deviations.
        std_floor: least standard deviation that an observation feature is divided by.
        feature_dim: outputs of both nets (512 in the paper).
        target_sizes, predictor_sizes: hidden layers; the predictor is the deeper one.
        num_epochs, num_minibatches: of the predictor's fit to each rollout.
        whiten: whether observations are whitened.
        normalise: whether rewards are divided by the standard deviation of the filtered rewards.
    """

    learning_rate: float = 1e-3
    gamma: float = 0.99
    decay: float = 0.0
    keep_fraction: float = 1.0
    obs_clip: float = 5.0
    std_floor: float = 0.1
    feature_dim: int = struct.field(pytree_node=False, default=64)
    target_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(128,))
    predictor_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(128, 128, 128))
    num_epochs: int = struct.field(pytree_node=False, default=1)
    num_minibatches: int = struct.field(pytree_node=False, default=4)
    whiten: bool = struct.field(pytree_node=False, default=True)
    normalise: bool = struct.field(pytree_node=False, default=True)


class Learned(NamedTuple):
    """``target``: what is frozen; ``predictor`` and ``opt_state``: the trained net's."""

    target: Any
    predictor: dict
    opt_state: optax.OptState


def squared_error(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """``mean_j (f_j - g_j)^2``: f32[..., d], f32[..., d] -> f32[...]."""
    return jnp.square(prediction - target).mean(-1)


def target_net(config: RNDConfig) -> MLP:
    """The random net that is never trained."""
    return MLP(config.target_sizes, config.feature_dim, "leaky_relu")


def distillation(
    config: RNDConfig,
    init_target: Callable[[jax.Array, jax.Array], Any],
    label: Callable[[jax.Array, Any, jax.Array], jax.Array],
    error: Callable[[jax.Array, Any, jax.Array], jax.Array],
    name: str = "RND",
) -> Bonus:
    """The bonus that a predictor of something random and frozen makes: RND, and its relatives with noisy targets.

    Args:
        config: nets, whitening, scaling and fit.
        init_target: ``(key, example f32[1, d_in]) -> target``, the frozen parameters.
        label: ``(key, target, x f32[B, d_in]) -> f32[B, d]``, what the predictor is fitted to.
        error: ``(prediction f32[B, d], target, x) -> f32[B]``, the score.
        name: for messages.

    Raises:
        ValueError: a size is not positive, or a number is out of its range.
    """
    require_at_least(1, **{name: getattr(config, name) for name in ("feature_dim", "num_epochs", "num_minibatches")})
    require_between(0.0, 1.0, gamma=config.gamma, keep_fraction=config.keep_fraction)
    nonnegative = ("learning_rate", "decay", "obs_clip", "std_floor")
    require_between(0.0, inf, **{name: getattr(config, name) for name in nonnegative})
    predictor_net = MLP(config.predictor_sizes, config.feature_dim, "leaky_relu")

    def learning_rate(t):
        return config.learning_rate / (1.0 + config.decay * t)

    def inputs(moments, obs):
        if not config.whiten:
            return obs.astype(jnp.float32).reshape((obs.shape[0], -1))
        return whiten(moments, obs, config.obs_clip, config.std_floor)

    def init(key, steps):
        key_target, key_predictor = jax.random.split(key)
        norm = init_norm(steps)
        example = jnp.zeros((1, *norm.obs.mean.shape))
        predictor = init_trained(predictor_net.init(key_predictor, example))
        learn = Learned(init_target(key_target, example), *predictor)
        return BonusState(learn=learn, norm=norm, t=jnp.int32(0))

    def score(key, state, step):
        x = inputs(state.norm.obs, step.next_obs)
        return state, error(predictor_net.apply(state.learn.predictor, x), state.learn.target, x)

    def rescore(key, state, steps):
        return score(key, state, steps)[1] / reward_scale(state.norm.reward, config.normalise)

    def shape(state, raw, batch):
        norm, reward = scale_rewards(state.norm, raw, batch, config.gamma, config.normalise)
        return state._replace(norm=norm, t=state.t + 1), reward

    def update(key, state, batch):
        x = inputs(state.norm.obs, flat_steps(batch.steps.next_obs))

        def loss_fn(key, predictor, x):
            key_label, key_keep = jax.random.split(key)
            keep = jax.random.bernoulli(key_keep, config.keep_fraction, (x.shape[0],))
            errors = squared_error(predictor_net.apply(predictor, x), label(key_label, state.learn.target, x))
            loss = jnp.where(keep, errors, 0.0).sum() / jnp.maximum(keep.sum(), 1)
            return loss, {"predictor_loss": loss}

        trained, metrics = fit(
            key, loss_fn, Trained(state.learn.predictor, state.learn.opt_state), x,
            learning_rate=learning_rate, num_epochs=config.num_epochs,
            num_minibatches=config.num_minibatches, name=name,
        )  # fmt: skip
        return state._replace(learn=Learned(state.learn.target, *trained)), metrics

    def observe(state):
        return observe_nothing(state.norm.filter.shape[0])

    return Bonus(init, observe, score, shape, update, rescore=rescore)


def rnd(config: RNDConfig | None = None) -> Bonus:
    """The bonus; rewards have a standard deviation near 1 whatever the raw error, so anneal its coefficient to end it.

    Raises:
        ValueError: as :func:`distillation`.
    """
    config = RNDConfig() if config is None else config
    target = target_net(config)
    return distillation(
        config,
        target.init,
        lambda key, params, x: target.apply(params, x),
        lambda prediction, params, x: squared_error(prediction, target.apply(params, x)),
    )
