"""RIDE: Raileanu and Rocktaschel (2020), "RIDE: rewarding impact-driven exploration for procedurally-generated
environments".

How far a step moved in features of what the agent can influence, discounted by visits of this episode::

    raw = |e(o') - e(o)| / sqrt(N_ep(o'))
    loss = w_I L(I(e(o), e(o')), a) + w_F/2 |F(e(o), a) - e(o')|^2

N_ep counts the current visit, and the forward loss reaches the encoder, both as in the authors' code. Different here:
visits are of numbered states or of groups of them; observations are whitened; rewards are scaled by the standard
deviation of their discounted sum instead of a coefficient for each task.
"""

from math import inf

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing, score_one, score_rollout
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.bonuses.encoders import forward_model, inverse_dynamics
from purejaxexplore.bonuses.fitting import fit, flat_steps, init_trained, transition_rows
from purejaxexplore.bonuses.normalising import init_norm, scale_rewards, whiten
from purejaxexplore.checks import require_at_least, require_between


@struct.dataclass
class RIDEConfig:
    """Attributes:
    num_actions: A of a discrete action; 0 for continuous ones.
    num_states: size of the table of visits.
    forward_weight, inverse_weight: w_F and w_I, [0, inf).
    learning_rate: Adam's, (0, inf).
    gamma: of the filter that scales rewards, [0, 1].
    feature_dim: features (128 in the paper).
    hidden_sizes: of the encoder, the inverse and the forward model.
    num_epochs, num_minibatches: of the fit to each rollout.
    normalise: whether rewards are scaled.
    episodic: whether visits of the episode divide them; False is the ablation without that factor.
    """

    num_actions: int = struct.field(pytree_node=False)
    num_states: int = struct.field(pytree_node=False)
    forward_weight: float = 10.0
    inverse_weight: float = 0.1
    learning_rate: float = 1e-3
    gamma: float = 0.99
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(128,))
    num_epochs: int = struct.field(pytree_node=False, default=1)
    num_minibatches: int = struct.field(pytree_node=False, default=4)
    normalise: bool = struct.field(pytree_node=False, default=True)
    episodic: bool = struct.field(pytree_node=False, default=True)


def ride(config: RIDEConfig, groups: np.ndarray | None = None) -> Bonus:
    """The bonus; ``groups`` as of :func:`~purejaxexplore.bonuses.counts.counts`.

    State: ``mem: i32[N, S]``, visits of this episode; ``learn.params``: ``inverse`` and ``forward``.

    Raises:
        ValueError: a size is not positive, a number is out of its range, or as ``counts``.
    """
    require_at_least(1, num_epochs=config.num_epochs, num_minibatches=config.num_minibatches)
    require_between(0.0, 1.0, gamma=config.gamma)
    nonnegative = ("forward_weight", "inverse_weight", "learning_rate")
    require_between(0.0, inf, **{name: getattr(config, name) for name in nonnegative})
    visits = counts(CountsConfig(config.num_states), groups)
    idm = inverse_dynamics(config.num_actions, config.feature_dim, config.hidden_sizes)
    forward = forward_model(config.num_actions, config.feature_dim, config.hidden_sizes)

    def init(key, steps):
        key_inverse, key_forward, key_visits = jax.random.split(key, 3)
        norm = init_norm(steps)
        example, action = jnp.zeros((1, *norm.obs.mean.shape)), steps.action[0, :1]
        params = {"inverse": idm.init(key_inverse, example, action), "forward": forward.init(key_forward, action)}
        mem = visits.init(key_visits, steps).mem
        return BonusState(learn=init_trained(params), mem=mem, norm=norm, t=jnp.int32(0))

    def score_all(key, state, steps):
        params = state.learn.params["inverse"]
        rows = [whiten(state.norm.obs, flat_steps(obs)) for obs in (steps.obs, steps.next_obs)]
        phi, next_phi = (idm.encode(params, x) for x in rows)
        state, rarity = score_rollout(key, visits, state, steps)
        moved = jnp.linalg.norm(next_phi - phi, axis=-1).reshape(rarity.shape)
        return state, moved * rarity if config.episodic else moved

    def shape(state, raw, batch):
        norm, reward = scale_rewards(state.norm, raw, batch, config.gamma, config.normalise)
        return state._replace(norm=norm, t=state.t + 1), reward

    def loss_fn(key, params, batch):
        x, action, next_x = batch
        phi, next_phi = (idm.encode(params["inverse"], o) for o in (x, next_x))
        inverse = idm.loss(params["inverse"], phi, next_phi, action).mean()
        ahead = 0.5 * jnp.square(forward.predict(params["forward"], phi, action) - next_phi).sum(-1).mean()
        metrics = {"inverse_loss": inverse, "forward_loss": ahead}
        return config.inverse_weight * inverse + config.forward_weight * ahead, metrics

    def update(key, state, batch):
        x, action, next_x = transition_rows(batch.steps)
        rows = whiten(state.norm.obs, x), action, whiten(state.norm.obs, next_x)
        learn, metrics = fit(
            key, loss_fn, state.learn, rows, learning_rate=config.learning_rate,
            num_epochs=config.num_epochs, num_minibatches=config.num_minibatches, name="RIDE",
        )  # fmt: skip
        return state._replace(learn=learn), metrics

    def observe(state):
        return observe_nothing(state.norm.filter.shape[0])

    return Bonus(init, observe, score_one(score_all), shape, update, needs_state_id=True, score_all=score_all)
