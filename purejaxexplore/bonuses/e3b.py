"""E3B: Henaff, Raileanu, Jiang and Rocktaschel (2022), "Exploration via elliptical episodic bonuses".

A count of this episode's states for any embedding::

    C = lambda I + sum_{i < t} phi_i phi_i^T        raw = phi_t^T C^-1 phi_t

With one-hot features it is ``1 / (lambda + n)``. Features are those of an inverse model, and o_{t+1} is scored for
a_t. The inverse is kept by Sherman and Morrison's update, ``C^-1 - u u^T / (1 + phi^T u)`` with ``u = C^-1 phi``.
Different here: features are standardised to length 1, so that the score is at most 1 / lambda and repeated features
stay accurate in float32; the features that lie in C are those of the encoder at the time.
"""

from math import inf

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, embed_rollout, observe_nothing, score_one
from purejaxexplore.bonuses.encoders import fit_inverse, inverse_dynamics
from purejaxexplore.bonuses.fitting import init_trained, transition_rows
from purejaxexplore.bonuses.normalising import init_norm, scale_rewards, symlog
from purejaxexplore.checks import require_at_least, require_between


@struct.dataclass
class E3BConfig:
    """Attributes:
    num_actions: A of a discrete action; 0 for continuous ones.
    ridge: lambda, (0, inf).
    learning_rate: Adam's, (0, inf); the paper has 1e-4.
    gamma: of the filter that scales rewards, [0, 1]; 0, as in the paper, divides by their own standard deviation.
    feature_dim: d, 2 or more; the memory of an environment is d x d.
    hidden_sizes: of the encoder and the inverse model (1024 in the paper, of images).
    num_epochs, num_minibatches: of the fit to each rollout.
    normalise: whether rewards are scaled.
    """

    num_actions: int = struct.field(pytree_node=False)
    ridge: float = 0.1
    learning_rate: float = 1e-3
    gamma: float = 0.0
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(128,))
    num_epochs: int = struct.field(pytree_node=False, default=1)
    num_minibatches: int = struct.field(pytree_node=False, default=4)
    normalise: bool = struct.field(pytree_node=False, default=True)


def absorb(inverse: jax.Array, phi: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``phi^T C^-1 phi`` and the inverse of ``C + phi phi^T``: f32[N, d, d], f32[N, d] -> f32[N, d, d], f32[N]."""
    u = jnp.einsum("nij,nj->ni", inverse, phi)
    score = jnp.maximum((u * phi).sum(-1), 0.0)
    return downdate(inverse, u, score), score


def downdate(inverse: jax.Array, u: jax.Array, score: jax.Array) -> jax.Array:
    """``inverse - u u^T / (1 + score)``, f32[N, d, d]: the outer product is symmetric to the last bit."""
    return inverse - u[:, :, None] * u[:, None, :] / (1.0 + score)[:, None, None]


def e3b(config: E3BConfig) -> Bonus:
    """The bonus.

    State: ``mem: f32[N, d, d]``, the inverse of C in this episode; the observation it began with is in it.

    Raises:
        ValueError: a size is not positive, ``feature_dim`` is below 2, or a number is out of its range.
    """
    require_at_least(1, num_epochs=config.num_epochs, num_minibatches=config.num_minibatches)
    require_between(0.0, 1.0, gamma=config.gamma)
    require_between(0.0, inf, learning_rate=config.learning_rate)
    require_between(1e-6, inf, ridge=config.ridge)
    idm = inverse_dynamics(config.num_actions, config.feature_dim, config.hidden_sizes, sphere=True)

    def embed(learn, obs):
        return idm.encode(learn.params, symlog(obs))

    def begin(phi):
        """The inverse of ``lambda I + phi phi^T``."""
        u = phi / config.ridge
        return downdate(jnp.eye(config.feature_dim) / config.ridge, u, (u * phi).sum(-1))

    def init(key, steps):
        norm = init_norm(steps)
        learn = init_trained(idm.init(key, jnp.zeros((1, *norm.obs.mean.shape)), steps.action[0, :1]))
        return BonusState(learn=learn, mem=begin(embed(learn, steps.reset_obs[-1])), norm=norm, t=jnp.int32(0))

    def score_all(key, state, steps):
        def follow(inverse, seen):
            phi, begun, done = seen
            inverse, raw = absorb(inverse, phi)
            return jnp.where(done[:, None, None], begin(begun), inverse), raw

        phi, begun = embed_rollout(lambda obs: embed(state.learn, obs), steps)
        mem, raw = jax.lax.scan(follow, state.mem, (phi, begun, steps.done))
        return state._replace(mem=mem), raw

    def shape(state, raw, batch):
        norm, reward = scale_rewards(state.norm, raw, batch, config.gamma, config.normalise)
        return state._replace(norm=norm, t=state.t + 1), reward

    def update(key, state, batch):
        obs, action, next_obs = transition_rows(batch.steps)
        learn, metrics = fit_inverse(
            key, idm, state.learn, (symlog(obs), action, symlog(next_obs)), learning_rate=config.learning_rate,
            num_epochs=config.num_epochs, num_minibatches=config.num_minibatches, name="E3B",
        )  # fmt: skip
        return state._replace(learn=learn), metrics

    def observe(state):
        return observe_nothing(state.norm.filter.shape[0])

    return Bonus(init, observe, score_one(score_all), shape, update, score_all=score_all)
