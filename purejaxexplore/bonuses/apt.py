"""APT: Liu and Abbeel (2021), "Behavior from the void: unsupervised active pre-training".

Particle entropy in a learned space::

    raw = log(1 + mean_{i <= k} |e(o') - e(o_i)|),    o_i the nearest of the stored observations

Different here: the encoder e is that of an inverse model, as in the benchmark of unsupervised learning that the paper's
authors took part in, in place of contrasted image crops, which vectors do not have; its features have length 1, so that
distances keep their meaning while it learns. Observations are stored and encoded anew for every rollout; those of the
rollout being paid are not among them.
"""

from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.blocks.knn import novelty
from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.encoders import fit_inverse, inverse_dynamics
from purejaxexplore.bonuses.fitting import Trained, init_trained, transition_rows
from purejaxexplore.bonuses.particles import Fifo, flat_rows, init_fifo, push_sample
from purejaxexplore.checks import require_at_least, require_between


@struct.dataclass
class APTConfig:
    """Attributes:
    num_actions: A of a discrete action; 0 for continuous ones.
    learning_rate: Adam's for the encoder, (0, inf).
    num_neighbors: k.
    capacity: observations stored.
    num_stored: observations that a rollout leaves in the store, drawn at random.
    feature_dim: of the embedding, 2 or more.
    hidden_sizes: of the encoder and the inverse model.
    num_epochs, num_minibatches: of the encoder's fit to each rollout.
    """

    num_actions: int = struct.field(pytree_node=False)
    learning_rate: float = 1e-3
    num_neighbors: int = struct.field(pytree_node=False, default=12)
    capacity: int = struct.field(pytree_node=False, default=1024)
    num_stored: int = struct.field(pytree_node=False, default=128)
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))
    num_epochs: int = struct.field(pytree_node=False, default=1)
    num_minibatches: int = struct.field(pytree_node=False, default=4)


class APTLearned(NamedTuple):
    """``encoder``: the inverse model's; ``store``: observations of the rollouts before this one."""

    encoder: Trained
    store: Fifo


def apt(config: APTConfig) -> Bonus:
    """The bonus.

    Raises:
        ValueError: a size is out of its range, or the store does not hold the neighbours or one rollout's observations.
    """
    sizes = ("num_neighbors", "num_stored", "num_epochs", "num_minibatches")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(max(config.num_neighbors, config.num_stored), capacity=config.capacity)
    require_between(0.0, inf, learning_rate=config.learning_rate)
    idm = inverse_dynamics(config.num_actions, config.feature_dim, config.hidden_sizes, sphere=True)

    def stored(key, store, steps):
        obs = flat_rows(steps.next_obs, steps)
        return push_sample(key, store, obs.reshape((-1, obs.shape[-1])), config.num_stored)

    def init(key, steps):
        key_encoder, key_store = jax.random.split(key)
        example = flat_rows(steps.next_obs, steps)[0, :1]
        encoder = init_trained(idm.init(key_encoder, example, steps.action[0, :1]))
        store = stored(key_store, init_fifo(config.capacity, example.shape[-1]), steps)
        norm = jnp.zeros((steps.reward.shape[1], 0))
        return BonusState(APTLearned(encoder, store), norm=norm, t=jnp.int32(0))

    def score(key, state, step):
        (params, _), store = state.learn
        phi = idm.encode(params, flat_rows(step.next_obs, step))
        distance = novelty(idm.encode(params, store.data), store.mask, phi, config.num_neighbors)
        return state, jnp.log1p(distance)

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    def update(key, state, batch):
        key_store, key_fit = jax.random.split(key)
        encoder, metrics = fit_inverse(
            key_fit, idm, state.learn.encoder, transition_rows(batch.steps),
            learning_rate=config.learning_rate, num_epochs=config.num_epochs,
            num_minibatches=config.num_minibatches, name="APT",
        )  # fmt: skip
        learn = APTLearned(encoder, stored(key_store, state.learn.store, batch.steps))
        return state._replace(learn=learn), metrics

    return Bonus(init, lambda state: observe_nothing(state.norm.shape[0]), score, shape, update)
