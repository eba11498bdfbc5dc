"""The error of a reward model: Steinparz, Schmied, Paischer, Dinu, Patil, Bitto-Nemling, Eghbal-zadeh and Hochreiter
(2022), "Reactive exploration to cope with non-stationarity in lifelong reinforcement learning".

A net R predicts the reward of a step; where the rewards of the world change, its error is high until it has learned
the new ones, and draws the agent there::

    raw = kappa/2 (R(o, a) - r)^2        loss = (R(o, a) - r)^2

It goes beside :func:`~purejaxexplore.bonuses.icm.icm`, which does the same for changed dynamics; the paper mixes
``(1 - c1 - c2) r + c1 r_icm + c2 r_rm``, unscaled. Different here: observations are whitened.
"""

from math import inf

import jax.numpy as jnp
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.encoders import action_vectors
from purejaxexplore.bonuses.fitting import fit, flat_steps, init_trained
from purejaxexplore.bonuses.normalising import init_norm, scale_rewards, whiten
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.nets import MLP


@struct.dataclass
class RewardModelConfig:
    """Attributes:
    num_actions: A of a discrete action; 0 for continuous ones.
    kappa: scale of the score, [0, inf).
    learning_rate: Adam's, (0, inf).
    gamma: of the filter that scales rewards, [0, 1].
    hidden_sizes: of the reward net.
    num_epochs, num_minibatches: of the fit to each rollout.
    normalise: whether rewards are scaled by the standard deviation of their discounted sum.
    """

    num_actions: int = struct.field(pytree_node=False)
    kappa: float = 1.0
    learning_rate: float = 1e-3
    gamma: float = 0.99
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(128,))
    num_epochs: int = struct.field(pytree_node=False, default=1)
    num_minibatches: int = struct.field(pytree_node=False, default=4)
    normalise: bool = struct.field(pytree_node=False, default=False)


def reward_model(config: RewardModelConfig) -> Bonus:
    """The bonus.

    Raises:
        ValueError: a size is not positive, or a number is out of its range.
    """
    require_at_least(1, num_epochs=config.num_epochs, num_minibatches=config.num_minibatches)
    require_at_least(0, num_actions=config.num_actions)
    require_between(0.0, 1.0, gamma=config.gamma)
    require_between(0.0, inf, kappa=config.kappa, learning_rate=config.learning_rate)
    net = MLP(config.hidden_sizes, 1, "relu", 1.0)

    def inputs(moments, obs, action):
        return jnp.concatenate([whiten(moments, obs), action_vectors(action, config.num_actions)], -1)

    def squared_errors(params, x, reward):
        return jnp.square(net.apply(params, x)[..., 0] - reward)

    def init(key, steps):
        norm = init_norm(steps)
        example = inputs(norm.obs, steps.next_obs[0, :1], steps.action[0, :1])
        return BonusState(learn=init_trained(net.init(key, example)), norm=norm, t=jnp.int32(0))

    def score(key, state, step):
        x = inputs(state.norm.obs, step.obs, step.action)
        return state, 0.5 * config.kappa * squared_errors(state.learn.params, x, step.reward)

    def shape(state, raw, batch):
        norm, reward = scale_rewards(state.norm, raw, batch, config.gamma, config.normalise)
        return state._replace(norm=norm, t=state.t + 1), reward

    def loss_fn(key, params, batch):
        loss = squared_errors(params, *batch).mean()
        return loss, {"reward_model_loss": loss}

    def update(key, state, batch):
        steps = batch.steps
        action = steps.action.reshape((steps.reward.size, *steps.action.shape[2:]))
        x = inputs(state.norm.obs, flat_steps(steps.obs), action)
        learn, metrics = fit(
            key, loss_fn, state.learn, (x, steps.reward.reshape(-1)), learning_rate=config.learning_rate,
            num_epochs=config.num_epochs, num_minibatches=config.num_minibatches, name="reward model",
        )  # fmt: skip
        return state._replace(learn=learn), metrics

    return Bonus(init, lambda state: observe_nothing(state.norm.filter.shape[0]), score, shape, update)
