"""GIRM: Yu, Lyu and Tsang (2020), "Intrinsic reward driven imitation learning via generative model", as explorer.

A variational model infers the action between two observations and from it generates the next one. As a bonus for
exploration, without demonstrations, it is that of the RLLTE collection::

    z ~ N(mu, sigma^2)(e(o), e(o')),   a_hat = softmax(z),   phi_hat' = G(e(o), w a + (1 - w) a_hat)
    raw = mean_j (phi_hat'_j - e(o')_j)^2
    loss = |phi_hat' - e(o')|^2 / d + beta KL(z | N(0, I)) + L(z, a)

Different here: scores take z = mu; the generator is trained on the mixed action that it is scored with; generating
does not reach the encoder, without which constant features are a minimum; KL is a mean over samples; observations are
whitened, rewards scaled by the standard deviation of their discounted sum.
"""

from math import inf

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.encoders import action_loss, action_vectors, forward_model
from purejaxexplore.bonuses.fitting import fit, init_trained, transition_rows
from purejaxexplore.bonuses.normalising import init_norm, scale_rewards, whiten
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.nets import MLP


@struct.dataclass
class GIRMConfig:
    """Attributes:
    num_actions: A of a discrete action; 0 for continuous ones (then ``a_hat = z``).
    action_weight: w, [0, 1].
    kl_weight: beta, [0, inf).
    learning_rate: Adam's, (0, inf).
    gamma: of the filter that scales rewards, [0, 1].
    feature_dim: d.
    hidden_sizes: of the encoder, of z's net and of the generator.
    num_epochs, num_minibatches: of the fit to each rollout.
    normalise: whether rewards are scaled.
    """

    num_actions: int = struct.field(pytree_node=False)
    action_weight: float = 0.5
    kl_weight: float = 1.0
    learning_rate: float = 1e-3
    gamma: float = 0.99
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(128,))
    num_epochs: int = struct.field(pytree_node=False, default=1)
    num_minibatches: int = struct.field(pytree_node=False, default=4)
    normalise: bool = struct.field(pytree_node=False, default=True)


def gaussian_kl(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """``KL(N(mean, exp(log_variance)) | N(0, I))`` over the last axis."""
    return 0.5 * (jnp.exp(log_variance) + jnp.square(mean) - 1.0 - log_variance).sum(-1)


def sample(mean: jax.Array, log_variance: jax.Array, noise: jax.Array) -> jax.Array:
    """``N(mean, exp(log_variance))`` by standard normal ``noise``, all of one shape."""
    return mean + jnp.exp(0.5 * log_variance) * noise


def girm(config: GIRMConfig) -> Bonus:
    """The bonus.

    State: ``learn.params``: ``encoder``, ``posterior`` (mean and log-variance of z) and ``generator``.

    Raises:
        ValueError: a size is not positive, or a number is out of its range.
    """
    sizes = ("feature_dim", "num_epochs", "num_minibatches")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(0, num_actions=config.num_actions)
    require_between(0.0, 1.0, action_weight=config.action_weight, gamma=config.gamma)
    require_between(0.0, inf, kl_weight=config.kl_weight, learning_rate=config.learning_rate)
    encoder = MLP(config.hidden_sizes, config.feature_dim, "relu")
    generator = forward_model(0, config.feature_dim, config.hidden_sizes)

    def posterior_net(action):
        return MLP(config.hidden_sizes, 2 * action_vectors(action, config.num_actions).shape[-1], "relu", 0.01)

    def infer(params, phi, next_phi, action):
        """``(mean, log_variance)`` of z, f32[B, A] each; ``action`` gives the width alone."""
        outputs = posterior_net(action).apply(params["posterior"], jnp.concatenate([phi, next_phi], -1))
        return jnp.split(outputs, 2, -1)

    def generate(params, phi, action, z):
        inferred = jax.nn.softmax(z) if config.num_actions else z
        weight = config.action_weight
        mixed = weight * action_vectors(action, config.num_actions) + (1.0 - weight) * inferred
        return generator.predict(params["generator"], phi, mixed)

    def init(key, steps):
        key_encoder, key_posterior, key_generator = jax.random.split(key, 3)
        norm = init_norm(steps)
        action = steps.action[0, :1]
        params = {
            "encoder": encoder.init(key_encoder, jnp.zeros((1, *norm.obs.mean.shape))),
            "posterior": posterior_net(action).init(key_posterior, jnp.zeros((1, 2 * config.feature_dim))),
            "generator": generator.init(key_generator, action_vectors(action, config.num_actions)),
        }
        return BonusState(learn=init_trained(params), norm=norm, t=jnp.int32(0))

    def score(key, state, step):
        params = state.learn.params
        phi, next_phi = (
            encoder.apply(params["encoder"], whiten(state.norm.obs, o)) for o in (step.obs, step.next_obs)
        )
        mean, _ = infer(params, phi, next_phi, step.action)
        return state, jnp.square(generate(params, phi, step.action, mean) - next_phi).mean(-1)

    def shape(state, raw, batch):
        norm, reward = scale_rewards(state.norm, raw, batch, config.gamma, config.normalise)
        return state._replace(norm=norm, t=state.t + 1), reward

    def loss_fn(key, params, batch):
        x, action, next_x = batch
        phi, next_phi = (encoder.apply(params["encoder"], o) for o in (x, next_x))
        noise = jax.random.normal(key, action_vectors(action, config.num_actions).shape)
        mean, log_variance = infer(params, phi, next_phi, action)
        kl = gaussian_kl(mean, log_variance).mean()
        inferred = action_loss(sample(mean, log_variance, noise), action, config.num_actions).mean()
        detached, target = jax.lax.stop_gradient((phi, next_phi))
        z = sample(*infer(params, detached, target, action), noise)
        generated = jnp.square(generate(params, detached, action, z) - target).mean()
        metrics = {"generation_loss": generated, "kl": kl, "action_loss": inferred}
        return generated + config.kl_weight * kl + inferred, metrics

    def update(key, state, batch):
        x, action, next_x = transition_rows(batch.steps)
        rows = whiten(state.norm.obs, x), action, whiten(state.norm.obs, next_x)
        learn, metrics = fit(
            key, loss_fn, state.learn, rows, learning_rate=config.learning_rate,
            num_epochs=config.num_epochs, num_minibatches=config.num_minibatches, name="GIRM",
        )  # fmt: skip
        return state._replace(learn=learn), metrics

    return Bonus(init, lambda state: observe_nothing(state.norm.filter.shape[0]), score, shape, update)
