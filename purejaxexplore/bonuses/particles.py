"""Particle entropy: a state is novel that lies far from its nearest neighbours among the states of before.

What RE3, RISE and REVD share: the frozen random encoder of Seo, Chen, Shin, Lee, Abbeel and Lee (2021), "State entropy
maximization with random encoders for efficient exploration", and a store of embeddings. Observations are whitened by
the moments of the random warm-up rollout and embeddings standardised by theirs, then divided by sqrt(d): distances are
of order 1 whatever the world, which ``log(1 + d)`` needs, and mean the same throughout a run.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.knn import nearest
from purejaxexplore.blocks.minibatches import shuffled_indices
from purejaxexplore.blocks.moments import RunningMoments, init_moments, merge_moments
from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.checks import require_at_least
from purejaxexplore.nets import MLP

_LEAST_STD = 0.1  # of an observation feature: rarely active binary ones would drown the others
_BOUND = 5.0


class FrozenEncoder(NamedTuple):
    """``params``: of the random network; ``obs``, ``phi``: moments of the warm-up's observations and outputs."""

    params: dict
    obs: RunningMoments
    phi: RunningMoments


class RandomEncoder(NamedTuple):
    """``init: (key, steps [M, N]) -> FrozenEncoder``; ``encode: (frozen, obs [..., d_in]) -> f32[..., d]``."""

    init: Callable[[jax.Array, Step], FrozenEncoder]
    encode: Callable[[FrozenEncoder, jax.Array], jax.Array]


def random_encoder(feature_dim: int, hidden_sizes: tuple[int, ...]) -> RandomEncoder:
    """The encoder; ``feature_dim`` is d.

    Raises:
        ValueError: ``feature_dim`` is not positive.
    """
    require_at_least(1, feature_dim=feature_dim)
    network = MLP(hidden_sizes, feature_dim, "relu")

    def output(params, moments, obs):
        x = jnp.clip((obs - moments.mean) / jnp.maximum(moments.std, _LEAST_STD), -_BOUND, _BOUND)
        return network.apply(params, x)

    def init(key, steps):
        obs = flat_rows(steps.next_obs, steps)
        seen = merge_moments(init_moments(obs.shape[-1:]), obs)
        params = network.init(key, jnp.zeros((1, obs.shape[-1])))
        phi = merge_moments(init_moments((feature_dim,)), output(params, seen, obs))
        return FrozenEncoder(params, seen, phi)

    def encode(frozen, obs):
        phi = output(frozen.params, frozen.obs, obs)
        return (phi - frozen.phi.mean) / (jnp.maximum(frozen.phi.std, 1e-3) * feature_dim**0.5)

    return RandomEncoder(init, encode)


def flat_rows(obs: jax.Array, steps: Step) -> jax.Array:
    """One observation a step as a vector, f32[*steps, d_in]."""
    return obs.astype(jnp.float32).reshape((*steps.reward.shape, -1))


class Fifo(NamedTuple):
    """The newest points.

    Attributes:
        data: f32[B, d].
        size: i32[], how many of them are filled.
        next: i32[], where the next one goes.
    """

    data: jax.Array
    size: jax.Array
    next: jax.Array

    @property
    def mask(self) -> jax.Array:
        """bool[B], which rows are filled."""
        return jnp.arange(self.data.shape[0]) < self.size


def init_fifo(capacity: int, dim: int) -> Fifo:
    """A store of ``capacity`` points with none in it."""
    return Fifo(jnp.zeros((capacity, dim)), jnp.int32(0), jnp.int32(0))


def push(fifo: Fifo, x: jax.Array) -> Fifo:
    """Adds the points ``x f32[M, d]``, M <= B, over the oldest ones."""
    capacity = fifo.data.shape[0]
    places = (fifo.next + jnp.arange(x.shape[0])) % capacity
    return Fifo(
        fifo.data.at[places].set(x),
        jnp.minimum(fifo.size + x.shape[0], capacity),
        (fifo.next + x.shape[0]) % capacity,
    )


def push_sample(key: jax.Array, fifo: Fifo, x: jax.Array, num: int) -> Fifo:
    """Adds ``num`` of the points ``x f32[M, d]`` drawn without replacement, or all of them where M <= num."""
    return push(fifo, x[shuffled_indices(key, x.shape[0])[:num]])


class Particles(NamedTuple):
    """``encoder``: frozen; ``store``: embeddings of rollouts before this one."""

    encoder: FrozenEncoder
    store: Fifo


def particle_bonus(
    encoder: RandomEncoder,
    pay: Callable[[jax.Array], jax.Array],
    *,
    num_neighbors: int,
    capacity: int,
    num_stored: int,
) -> Bonus:
    """Pays by the distances to the nearest of the stored embeddings.

    The rollout being paid is not among them, so no state is its own neighbour and the k-th is the k-th. Scoring a
    rollout is one call.

    Args:
        encoder: of the true successors.
        pay: ``distances f32[M, k] (inf where fewer are stored) -> f32[M]``.
        num_neighbors: k.
        capacity: B, embeddings in the store.
        num_stored: of every rollout, drawn at random; B / num_stored rollouts are remembered.

    Raises:
        ValueError: a size is not positive, or the store does not hold the neighbours or one rollout's embeddings.
    """
    require_at_least(1, num_neighbors=num_neighbors, num_stored=num_stored)
    require_at_least(max(num_neighbors, num_stored), capacity=capacity)

    def init(key, steps):
        key_encoder, key_store = jax.random.split(key)
        frozen = encoder.init(key_encoder, steps)
        phi = encoder.encode(frozen, flat_rows(steps.next_obs, steps)).reshape((steps.reward.size, -1))
        store = push_sample(key_store, init_fifo(capacity, phi.shape[1]), phi, num_stored)
        return BonusState(Particles(frozen, store), norm=jnp.zeros((steps.reward.shape[1], 0)), t=jnp.int32(0))

    def score(key, state, step):
        encoder_state, store = state.learn
        phi = encoder.encode(encoder_state, flat_rows(step.next_obs, step))
        return state, pay(nearest(store.data, store.mask, phi, num_neighbors))

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    def update(key, state, batch):
        frozen, store = state.learn
        steps = batch.steps
        phi = encoder.encode(frozen, flat_rows(steps.next_obs, steps)).reshape((steps.reward.size, -1))
        return state._replace(learn=Particles(frozen, push_sample(key, store, phi, num_stored))), {}

    return Bonus(init, lambda state: observe_nothing(state.norm.shape[0]), score, shape, update)
