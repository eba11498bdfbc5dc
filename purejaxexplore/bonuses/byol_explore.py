"""BYOL-Explore: Guo, Thakoor, Pislar, Avila Pires, Altche, Tallec, Saade, Calandriello, Grill, Tang, Valko, Munos, Azar
and Piot (2022), "BYOL-Explore: exploration by bootstrapped prediction".

Predictions of the future's latents, over several steps, are loss and reward at once::

    b_t = GRU_c(b_{t-1}, [e(o_t), a_{t-1}])           b_{t,i} = GRU_o(b_{t,i-1}, a_{t+i-1}),  b_{t,0} = b_t
    loss(t, i) = | p/|p| - w/|w| |^2,   p = h(b_{t,i}),   w = sg e_ema(o_{t+i}),   i = 1 .. K
    raw of the step into o_{t+1} = sum over p + q = t + 1 of loss(p, q)
    r = max((raw - m1) / sig, 0),   m1 and sig of moving averages of raw and raw^2

e_ema follows e with rate 1 - alpha at every gradient step, and a prediction counts only where the steps that it spans
lie in one episode. Different here: the policy reads observations, not b_t; histories begin anew with each rollout; a
step near the beginning of a rollout or an episode is predicted from fewer steps, so raw is the mean over its
predictions instead of their sum; observations are whitened.
"""

from math import inf
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from purejaxexplore.blocks.minibatches import minibatch_epochs, require_divisible
from purejaxexplore.blocks.moments import RunningMoments, init_moments, merge_moments
from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.encoders import action_vectors
from purejaxexplore.bonuses.fitting import Trained, adam_step, flat_steps, init_trained
from purejaxexplore.bonuses.normalising import whiten
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.nets import MLP, orthogonal


@struct.dataclass
class BYOLExploreConfig:
    """Attributes:
    num_actions: A of a discrete action; 0 for continuous ones.
    ema: alpha of the target encoder, [0, 1].
    reward_ema: of the moments of raw, [0, 1).
    learning_rate: Adam's, (0, inf); 1e-4 in the paper.
    horizon: K, steps predicted ahead (8 in the paper).
    feature_dim: latents (512 in the paper).
    gru_size: of both recurrent cores (256 in the paper).
    hidden_sizes: of the encoder and of the predictor h.
    num_epochs, num_minibatches: of the fit to each rollout; a minibatch holds whole environments.
    prioritise: whether only what exceeds the average is paid; False pays raw / sig, the paper's ablation.
    """

    num_actions: int = struct.field(pytree_node=False)
    ema: float = 0.99
    reward_ema: float = 0.99
    learning_rate: float = 3e-4
    horizon: int = struct.field(pytree_node=False, default=4)
    feature_dim: int = struct.field(pytree_node=False, default=32)
    gru_size: int = struct.field(pytree_node=False, default=64)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))
    num_epochs: int = struct.field(pytree_node=False, default=4)
    num_minibatches: int = struct.field(pytree_node=False, default=1)
    prioritise: bool = struct.field(pytree_node=False, default=True)


class BYOLLearned(NamedTuple):
    """``params``, ``opt_state``: ``encoder``, ``closed``, ``open``, ``predictor``; ``target``: the slow encoder's."""

    params: Any
    opt_state: optax.OptState
    target: dict


class BYOLNorm(NamedTuple):
    """``obs``: moments per feature; ``first``, ``second``: moving averages of raw and raw^2, f32[], not yet corrected
    for their start; ``start``: f32[], what to divide them by; ``lanes``: f32[N], zeros that tell N."""

    obs: RunningMoments
    first: jax.Array
    second: jax.Array
    start: jax.Array
    lanes: jax.Array


class Sequences(NamedTuple):
    """A rollout as the models see it: ``x, next_x f32[T, N, d_in]``, ``action f32[T, N, A]``, ``done bool[T, N]``."""

    x: jax.Array
    next_x: jax.Array
    action: jax.Array
    done: jax.Array


def cosine_loss(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """``|p/|p| - w/|w||^2 = 2 - 2 cos``, in [0, 4], over the last axis; finite for vectors of length 0."""
    return jnp.square(direction(prediction) - direction(target)).sum(-1)


def direction(v: jax.Array) -> jax.Array:
    """``v/|v|`` over the last axis, f32[..., d]; about 0 for vectors of length 0."""
    return v * jax.lax.rsqrt(jnp.square(v).sum(-1, keepdims=True) + 1e-8)


def spread(latents: jax.Array) -> jax.Array:
    """Variance of the latents' directions, f32[..., d] -> f32[] in [0, 1]: 0 where all have collapsed to one."""
    unit = direction(latents).reshape((-1, latents.shape[-1]))
    return jnp.square(unit - unit.mean(0)).sum(-1).mean()


def spans(done: jax.Array, horizon: int) -> jax.Array:
    """Whether steps t .. t + i - 1 are in the rollout and in one episode: bool[T, N] -> bool[horizon, T, N]."""
    T = done.shape[0]

    def longer(within, i):
        ended = jnp.roll(done, 1 - i, 0)  # whether step t + i - 1 ended its episode, for the span of the next length
        inside = within & (jnp.arange(T)[:, None] + i < T)
        return inside & ~ended, within

    return jax.lax.scan(longer, jnp.ones_like(done), jnp.arange(1, horizon + 1))[1]


def per_observation(losses: jax.Array, valid: jax.Array) -> jax.Array:
    """The mean of the predictions of each step's successor: f32[horizon, T, N], bool[horizon, T, N] -> f32[T, N].

    ``losses[i - 1, t]`` belongs to the successor of step ``t + i - 1``.
    """
    ahead = jnp.arange(losses.shape[0])
    shifted = jax.vmap(lambda x, i: jnp.roll(x, i, 0))
    total = shifted(jnp.where(valid, losses, 0.0), ahead).sum(0)
    return total / shifted(valid, ahead).sum(0)


def byol_explore(config: BYOLExploreConfig) -> Bonus:
    """The bonus; it needs the whole rollout, so ``score`` gives zeros and ``shape`` the rewards.

    Its metrics are ``prediction_loss`` (mean of the fit to the newest rollout, in [0, 4]) and ``feature_variance``
    (:func:`spread` of the slow encoder's latents of it after the fit).

    Raises:
        ValueError: a size is not positive, or a number is out of its range.
    """
    sizes = ("horizon", "feature_dim", "gru_size", "num_epochs", "num_minibatches")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(0, num_actions=config.num_actions)
    require_between(0.0, 1.0, ema=config.ema, reward_ema=config.reward_ema)
    require_between(0.0, inf, learning_rate=config.learning_rate)
    encoder = MLP(config.hidden_sizes, config.feature_dim, "tanh")
    predictor = MLP(config.hidden_sizes, config.feature_dim, "relu")
    core = nn.GRUCell(config.gru_size, recurrent_kernel_init=orthogonal(1.0))

    def sequences(moments, steps) -> Sequences:
        def rows(obs):
            return whiten(moments, flat_steps(obs)).reshape((*steps.reward.shape, -1))

        return Sequences(
            rows(steps.obs), rows(steps.next_obs), action_vectors(steps.action, config.num_actions), steps.done
        )

    def histories(params, seq: Sequences):
        """b_t, f32[T, N, gru_size]."""
        before = jnp.concatenate([jnp.zeros_like(seq.action[:1]), seq.action[:-1]])
        start = jnp.concatenate([jnp.ones_like(seq.done[:1]), seq.done[:-1]])[..., None]
        latents = encoder.apply(params["encoder"], seq.x)
        inputs = jnp.concatenate([latents, jnp.where(start, 0.0, before)], -1)

        def advance(carry, input_start):
            x, start = input_start
            carry, _ = core.apply(params["closed"], jnp.where(start, 0.0, carry), x)
            return carry, carry

        return jax.lax.scan(advance, jnp.zeros((seq.done.shape[1], config.gru_size)), (inputs, start))[1]

    def losses_of(params, target, seq: Sequences):
        """``loss(t, i)`` f32[K, T, N]; where a span is not within an episode it means nothing."""
        ahead = jax.lax.stop_gradient(encoder.apply(target, seq.next_x))

        def further(belief, i):
            belief, _ = core.apply(params["open"], belief, jnp.roll(seq.action, -i, 0))
            predicted = predictor.apply(params["predictor"], belief)
            return belief, cosine_loss(predicted, jnp.roll(ahead, -i, 0))

        return jax.lax.scan(further, histories(params, seq), jnp.arange(config.horizon))[1]

    def init(key, steps):
        key_encoder, key_closed, key_open, key_predictor = jax.random.split(key, 4)
        obs = merge_moments(init_moments((steps.next_obs[0, 0].size,)), flat_steps(steps.next_obs))
        x, action = jnp.zeros((1, *obs.mean.shape)), action_vectors(steps.action[0, :1], config.num_actions)
        belief = jnp.zeros((1, config.gru_size))
        latent = jnp.zeros((1, config.feature_dim))
        params = {
            "encoder": encoder.init(key_encoder, x),
            "closed": core.init(key_closed, belief, jnp.concatenate([latent, action], -1)),
            "open": core.init(key_open, belief, action),
            "predictor": predictor.init(key_predictor, belief),
        }
        zero = jnp.float32(0.0)
        norm = BYOLNorm(obs, zero, zero, zero, jnp.zeros(steps.reward.shape[1]))
        return BonusState(learn=BYOLLearned(*init_trained(params), params["encoder"]), norm=norm, t=jnp.int32(0))

    def score(key, state, step):
        return state, jnp.zeros(step.reward.shape)

    def shape(state, raw, batch):
        norm, rate = state.norm, config.reward_ema
        losses = losses_of(state.learn.params, state.learn.target, sequences(norm.obs, batch.steps))
        raw = per_observation(losses, spans(batch.steps.done, config.horizon))
        first = rate * norm.first + (1.0 - rate) * raw.mean()
        second = rate * norm.second + (1.0 - rate) * jnp.square(raw).mean()
        start = rate * norm.start + (1.0 - rate)
        mean = first / start
        sigma = jnp.sqrt(jnp.maximum(second / start - jnp.square(mean), 0.0) + 1e-8)
        obs = merge_moments(norm.obs, flat_steps(batch.steps.next_obs))
        norm = BYOLNorm(obs, first, second, start, norm.lanes)
        paid = jnp.maximum(raw - mean, 0.0) if config.prioritise else raw
        return state._replace(norm=norm, t=state.t + 1), paid / sigma

    def update(key, state, batch):
        seq = sequences(state.norm.obs, batch.steps)
        num_envs = seq.done.shape[1]
        require_divisible("num_minibatches of the BYOL-Explore bonus", config.num_minibatches, "num_envs", num_envs)

        def loss_fn(params, target, seq):
            valid = spans(seq.done, config.horizon)
            losses = losses_of(params, target, seq)
            return jnp.where(valid, losses, 0.0).sum() / jnp.maximum(valid.sum(), 1)

        def step(key, learn, lanes):
            seq = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), lanes)
            loss, grads = jax.value_and_grad(loss_fn)(learn.params, learn.target, seq)
            trained = adam_step(Trained(learn.params, learn.opt_state), grads, config.learning_rate)
            target = optax.incremental_update(trained.params["encoder"], learn.target, 1.0 - config.ema)
            return BYOLLearned(*trained, target), loss

        lanes = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), seq)
        learn, losses = minibatch_epochs(key, step, state.learn, lanes, config.num_epochs, config.num_minibatches)
        variance = spread(encoder.apply(learn.target, seq.next_x))
        return state._replace(learn=learn), {"prediction_loss": losses.mean(), "feature_variance": variance}

    return Bonus(init, lambda state: observe_nothing(state.norm.lanes.shape[0]), score, shape, update)
