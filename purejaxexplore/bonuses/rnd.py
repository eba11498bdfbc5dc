"""RND: Burda, Edwards, Storkey and Klimov (2018), "Exploration by random network distillation".

The novelty of an observation is the error of a trained net f that predicts the output of a frozen random net g there::

    x = clip((o' - mean) / std, -5, 5)        raw = mean_j (f_j(x) - g_j(x))^2
    r = raw / std(F),  F_t = gamma F_{t-1} + raw_t

As in the authors' code the score uses the observation statistics of before the rollout, the filter F runs over past
rewards and is never reset, the mean is not subtracted, and there is no gradient clipping. Different here: the
predictor is fitted after PPO's epochs with its own Adam instead of in the same loss, and the standard deviations of the
observations have a floor, without which rarely active binary features are blown up to the clip.
"""

from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from purejaxexplore.blocks.minibatches import minibatch_epochs, require_divisible
from purejaxexplore.blocks.moments import RunningMoments, forward_filter, init_moments, merge_moments
from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.nets import MLP


@struct.dataclass
class RNDConfig:
    """Defaults of the paper where they fit small observations.

    Attributes:
        learning_rate: Adam's, (0, inf); the paper has 1e-4 with four epochs where here is one.
        gamma: of the forward filter, [0, 1].
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
    """``target``: the frozen net's parameters; ``predictor`` and ``opt_state``: the trained net's."""

    target: dict
    predictor: dict
    opt_state: optax.OptState


class Norm(NamedTuple):
    """``obs``: moments per feature, f32[d]; ``filter``: f32[N]; ``reward``: moments of the filtered rewards, f32[]."""

    obs: RunningMoments
    filter: jax.Array
    reward: RunningMoments


def whiten(moments: RunningMoments, obs: jax.Array, clip: float, std_floor: float) -> jax.Array:
    """``clip((obs - mean) / max(std, floor), -clip, clip)`` of flattened observations, f32[..., d]."""
    x = obs.astype(jnp.float32).reshape((obs.shape[0], -1))
    return jnp.clip((x - moments.mean) / jnp.maximum(moments.std, std_floor), -clip, clip)


def rnd(config: RNDConfig | None = None) -> Bonus:
    """The bonus; rewards have a standard deviation near 1 whatever the raw error, so anneal its coefficient to end it.

    Raises:
        ValueError: a size is not positive, or a number is out of its range.
    """
    config = RNDConfig() if config is None else config
    require_at_least(1, **{name: getattr(config, name) for name in ("feature_dim", "num_epochs", "num_minibatches")})
    require_between(0.0, 1.0, gamma=config.gamma, keep_fraction=config.keep_fraction)
    nonnegative = ("learning_rate", "obs_clip", "std_floor")
    require_between(0.0, inf, **{name: getattr(config, name) for name in nonnegative})
    target_net = MLP(config.target_sizes, config.feature_dim, "leaky_relu")
    predictor_net = MLP(config.predictor_sizes, config.feature_dim, "leaky_relu")
    adam = optax.scale_by_adam()

    def inputs(moments, obs):
        if not config.whiten:
            return obs.astype(jnp.float32).reshape((obs.shape[0], -1))
        return whiten(moments, obs, config.obs_clip, config.std_floor)

    def errors(predictor, target, x):
        return jnp.square(predictor_net.apply(predictor, x) - target_net.apply(target, x)).mean(-1)

    def init(key, steps):
        key_target, key_predictor = jax.random.split(key)
        M, N = steps.reward.shape
        obs = steps.next_obs.reshape((M * N, -1))
        moments = merge_moments(init_moments(obs.shape[1:]), obs)
        example = jnp.zeros((1, obs.shape[1]))
        predictor = predictor_net.init(key_predictor, example)
        learn = Learned(target_net.init(key_target, example), predictor, adam.init(predictor))
        return BonusState(learn=learn, norm=Norm(moments, jnp.zeros(N), init_moments()), t=jnp.int32(0))

    def score(key, state, step):
        x = inputs(state.norm.obs, step.next_obs)
        return state, errors(state.learn.predictor, state.learn.target, x)

    def scale(moments):
        return jnp.sqrt(moments.variance + 1e-8) if config.normalise else 1.0

    def rescore(key, state, steps):
        return score(key, state, steps)[1] / scale(state.norm.reward)

    def shape(state, raw, batch):
        filtered, trace = forward_filter(state.norm.filter, raw, config.gamma)
        reward = merge_moments(state.norm.reward, trace)
        obs = batch.steps.next_obs.reshape((raw.size, -1))
        norm = Norm(merge_moments(state.norm.obs, obs), filtered, reward)
        return state._replace(norm=norm, t=state.t + 1), raw / scale(reward)

    def update(key, state, batch):
        x = inputs(state.norm.obs, batch.steps.next_obs.reshape((batch.steps.reward.size, -1)))
        require_divisible("num_minibatches of the RND bonus", config.num_minibatches, "rollout samples", x.shape[0])
        targets = target_net.apply(state.learn.target, x)

        def fit(key, carry, minibatch):
            predictor, opt_state = carry
            x, target = minibatch
            keep = jax.random.bernoulli(key, config.keep_fraction, (x.shape[0],))

            def loss_fn(predictor):
                error = jnp.square(predictor_net.apply(predictor, x) - target).mean(-1)
                return jnp.where(keep, error, 0.0).sum() / jnp.maximum(keep.sum(), 1)

            loss, grads = jax.value_and_grad(loss_fn)(predictor)
            updates, opt_state = adam.update(grads, opt_state)
            predictor = jax.tree.map(lambda p, u: p - config.learning_rate * u, predictor, updates)
            return (predictor, opt_state), loss

        carry = (state.learn.predictor, state.learn.opt_state)
        (predictor, opt_state), losses = minibatch_epochs(
            key, fit, carry, (x, targets), config.num_epochs, config.num_minibatches
        )
        learn = state.learn._replace(predictor=predictor, opt_state=opt_state)
        return state._replace(learn=learn), {"predictor_loss": losses.mean()}

    def observe(state):
        return observe_nothing(state.norm.filter.shape[0])

    return Bonus(init, observe, score, shape, update, rescore=rescore)
