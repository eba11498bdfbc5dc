"""NGU: Badia, Sprechmann, Vitvitskyi, Guo, Piot, Kapturowski, Tieleman, Arjovsky, Pritzel, Bolt and Blundell (2020),
"Never give up: learning directed exploration strategies".

Novelty within the episode, from the k nearest of its embeddings, times novelty over the lifetime::

    D_i = max(d_i^2 / m - xi, 0)        q = sqrt(sum_i eps / (D_i + eps)) + c        raw = 1/q, or 0 if q > s
    r = raw clip(1 + (n(o') - mean) / std, 1, L)        n: the error of random network distillation

m is the running mean of the d_i^2, the mean and std those of n before this rollout. Embeddings are of an inverse model.
Different here: one policy and one coefficient; m is that of the episode (as where rlax is given a fresh state for
each); embeddings have length 1; where the memory is full the oldest goes; rewards are scaled by the standard deviation
of their discounted sum, the part that the rescaled values of the paper's agent play.
"""

from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.blocks.moments import RunningMoments, init_moments, merge_moments
from purejaxexplore.bonuses.bonus import Bonus, BonusState, embed_rollout, observe_nothing, score_one
from purejaxexplore.bonuses.encoders import fit_inverse, inverse_dynamics
from purejaxexplore.bonuses.episode_memory import begin_memory, episodic_novelty
from purejaxexplore.bonuses.fitting import Trained, init_trained, transition_rows
from purejaxexplore.bonuses.normalising import Norm, symlog
from purejaxexplore.bonuses.rnd import Learned as RNDLearned
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.checks import require_at_least, require_between


@struct.dataclass
class NGUConfig:
    """Attributes:
    num_actions: A of a discrete action; 0 for continuous ones.
    cluster_distance, kernel_epsilon, constant, max_similarity: xi, eps, c and s.
    max_factor: L, [1, inf).
    learning_rate: Adam's for the encoder, (0, inf).
    num_neighbors: k.
    capacity: embeddings kept of an episode (30,000 in the paper).
    feature_dim: of the embedding, 2 or more.
    hidden_sizes: of the encoder and the inverse model.
    num_epochs, num_minibatches: of the encoder's fit to each rollout.
    rnd: of the lifelong novelty; its scaling is applied to the product.
    """

    num_actions: int = struct.field(pytree_node=False)
    cluster_distance: float = 0.008
    kernel_epsilon: float = 1e-4
    constant: float = 1e-3
    max_similarity: float = 8.0
    max_factor: float = 5.0
    learning_rate: float = 1e-3
    num_neighbors: int = struct.field(pytree_node=False, default=10)
    capacity: int = struct.field(pytree_node=False, default=256)
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(128,))
    num_epochs: int = struct.field(pytree_node=False, default=1)
    num_minibatches: int = struct.field(pytree_node=False, default=4)
    rnd: RNDConfig = RNDConfig()


class NGULearned(NamedTuple):
    """``encoder``: the inverse model's; ``rnd``: the lifelong novelty's."""

    encoder: Trained
    rnd: RNDLearned


class NGUNorm(NamedTuple):
    """``rnd``: observations and scale of the rewards; ``novelty``: moments of the lifelong novelty, f32[]."""

    rnd: Norm
    novelty: RunningMoments


def lifelong_factor(moments: RunningMoments, error: jax.Array, max_factor: float) -> jax.Array:
    """``clip(1 + (error - mean) / std, 1, max_factor)``, the shape of ``error``."""
    return jnp.clip(1.0 + (error - moments.mean) / (moments.std + 1e-8), 1.0, max_factor)


def ngu(config: NGUConfig) -> Bonus:
    """The bonus.

    Raises:
        ValueError: a size is not positive, or a number is out of its range.
    """
    sizes = ("num_neighbors", "capacity", "num_epochs", "num_minibatches")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    numbers = ("cluster_distance", "kernel_epsilon", "constant", "max_similarity", "learning_rate")
    require_between(0.0, inf, **{name: getattr(config, name) for name in numbers})
    require_between(1.0, inf, max_factor=config.max_factor)
    idm = inverse_dynamics(config.num_actions, config.feature_dim, config.hidden_sizes, sphere=True)
    lifelong = rnd(config.rnd)

    def rnd_state(state):
        return state._replace(learn=state.learn.rnd, norm=state.norm.rnd)

    def embed(learn, obs):
        return idm.encode(learn.encoder.params, symlog(obs))

    def init(key, steps):
        key_encoder, key_rnd = jax.random.split(key)
        inner = lifelong.init(key_rnd, steps)
        example = jnp.zeros((1, *inner.norm.obs.mean.shape))
        learn = NGULearned(init_trained(idm.init(key_encoder, example, steps.action[0, :1])), inner.learn)
        mem = begin_memory(embed(learn, steps.reset_obs[-1]), config.capacity)
        return BonusState(learn=learn, mem=mem, norm=NGUNorm(inner.norm, init_moments()), t=inner.t)

    def score_all(key, state, steps):
        phi, begun = embed_rollout(lambda obs: embed(state.learn, obs), steps)
        memory, raw = episodic_novelty(state.mem, phi, begun, steps.done, config)
        return state._replace(mem=memory), raw

    def shape(state, raw, batch):
        rows = jax.tree.map(lambda x: x.reshape((raw.size, *x.shape[2:])), batch.steps)
        _, errors = lifelong.score(None, rnd_state(state), rows)  # RND's score draws nothing
        factor = lifelong_factor(state.norm.novelty, errors.reshape(raw.shape), config.max_factor)
        inner, reward = lifelong.shape(rnd_state(state), raw * factor, batch)
        norm = NGUNorm(inner.norm, merge_moments(state.norm.novelty, errors))
        return state._replace(norm=norm, t=inner.t), reward

    def update(key, state, batch):
        obs, action, next_obs = transition_rows(batch.steps)
        key_encoder, key_rnd = jax.random.split(key)
        encoder, metrics = fit_inverse(
            key_encoder, idm, state.learn.encoder, (symlog(obs), action, symlog(next_obs)),
            learning_rate=config.learning_rate, num_epochs=config.num_epochs,
            num_minibatches=config.num_minibatches, name="NGU",
        )  # fmt: skip
        inner, rnd_metrics = lifelong.update(key_rnd, rnd_state(state), batch)
        return state._replace(learn=NGULearned(encoder, inner.learn)), metrics | rnd_metrics

    def observe(state):
        return observe_nothing(state.mem.pushed.shape[0])

    return Bonus(init, observe, score_one(score_all), shape, update, score_all=score_all)
