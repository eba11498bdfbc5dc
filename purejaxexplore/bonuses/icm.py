"""ICM: Pathak, Agrawal, Efros and Darrell (2017), "Curiosity-driven exploration by self-supervised prediction".

The error of a forward model in features that an inverse model learns::

    raw = eta/2 |F(e(o), a) - e(o')|^2
    loss = (1 - beta) L(I(e(o), e(o')), a) + beta/2 |F(sg e(o), a) - sg e(o')|^2

Different here: the forward loss does not reach the encoder (the sg), without which a constant encoder is a minimum;
observations are whitened; rewards are scaled by the standard deviation of their discounted sum, as in Burda, Edwards,
Pathak, Storkey, Darrell and Efros (2019), "Large-scale study of curiosity-driven learning".
"""

from math import inf

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.encoders import forward_model, inverse_dynamics
from purejaxexplore.bonuses.fitting import fit, init_trained, transition_rows
from purejaxexplore.bonuses.normalising import init_norm, scale_rewards, whiten
from purejaxexplore.checks import require_at_least, require_between


@struct.dataclass
class ICMConfig:
    """Attributes:
    num_actions: A of a discrete action; 0 for continuous ones.
    eta: scale of the score, (0, inf).
    beta: weight of the forward loss, [0, 1].
    learning_rate: Adam's, (0, inf).
    gamma: of the filter that scales rewards, [0, 1].
    feature_dim: features (288 in the paper, of images).
    hidden_sizes: of the encoder, the inverse and the forward model.
    num_epochs, num_minibatches: of the fit to each rollout.
    normalise: whether rewards are scaled.
    """

    num_actions: int = struct.field(pytree_node=False)
    eta: float = 0.01
    beta: float = 0.2
    learning_rate: float = 1e-3
    gamma: float = 0.99
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(128,))
    num_epochs: int = struct.field(pytree_node=False, default=1)
    num_minibatches: int = struct.field(pytree_node=False, default=4)
    normalise: bool = struct.field(pytree_node=False, default=True)


def icm(config: ICMConfig) -> Bonus:
    """The bonus.

    State: ``learn.params``: ``inverse`` (of :func:`~purejaxexplore.bonuses.encoders.inverse_dynamics`) and ``forward``.

    Raises:
        ValueError: a size is not positive, or a number is out of its range.
    """
    require_at_least(1, num_epochs=config.num_epochs, num_minibatches=config.num_minibatches)
    require_between(0.0, 1.0, beta=config.beta, gamma=config.gamma)
    require_between(0.0, inf, eta=config.eta, learning_rate=config.learning_rate)
    idm = inverse_dynamics(config.num_actions, config.feature_dim, config.hidden_sizes)
    forward = forward_model(config.num_actions, config.feature_dim, config.hidden_sizes)

    def forward_error(params, phi, action, next_phi):
        """f32[B], the squared distance of the next features to the predicted ones."""
        return jnp.square(forward.predict(params["forward"], phi, action) - next_phi).sum(-1)

    def init(key, steps):
        key_inverse, key_forward = jax.random.split(key)
        norm = init_norm(steps)
        example, action = jnp.zeros((1, *norm.obs.mean.shape)), steps.action[0, :1]
        params = {"inverse": idm.init(key_inverse, example, action), "forward": forward.init(key_forward, action)}
        return BonusState(learn=init_trained(params), norm=norm, t=jnp.int32(0))

    def score(key, state, step):
        params = state.learn.params
        phi, next_phi = (idm.encode(params["inverse"], whiten(state.norm.obs, o)) for o in (step.obs, step.next_obs))
        return state, 0.5 * config.eta * forward_error(params, phi, step.action, next_phi)

    def shape(state, raw, batch):
        norm, reward = scale_rewards(state.norm, raw, batch, config.gamma, config.normalise)
        return state._replace(norm=norm, t=state.t + 1), reward

    def loss_fn(key, params, batch):
        x, action, next_x = batch
        phi, next_phi = (idm.encode(params["inverse"], o) for o in (x, next_x))
        inverse = idm.loss(params["inverse"], phi, next_phi, action).mean()
        detached, target = jax.lax.stop_gradient((phi, next_phi))
        ahead = 0.5 * forward_error(params, detached, action, target).mean()
        metrics = {"inverse_loss": inverse, "forward_loss": ahead}
        return (1.0 - config.beta) * inverse + config.beta * ahead, metrics

    def update(key, state, batch):
        x, action, next_x = transition_rows(batch.steps)
        rows = whiten(state.norm.obs, x), action, whiten(state.norm.obs, next_x)
        learn, metrics = fit(
            key, loss_fn, state.learn, rows, learning_rate=config.learning_rate,
            num_epochs=config.num_epochs, num_minibatches=config.num_minibatches, name="ICM",
        )  # fmt: skip
        return state._replace(learn=learn), metrics

    return Bonus(init, lambda state: observe_nothing(state.norm.filter.shape[0]), score, shape, update)
