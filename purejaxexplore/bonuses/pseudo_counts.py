"""Pseudo-counts of an episode: how many of its states were like this one, by a kernel over nearest neighbours.

The episodic half of Badia, Sprechmann, Vitvitskyi, Guo, Piot, Kapturowski, Tieleman, Arjovsky, Pritzel, Bolt and
Blundell (2020), "Never give up: learning directed exploration strategies", alone
(:func:`~purejaxexplore.bonuses.episode_memory.episodic_novelty`)::

    D_i = max(d_i^2 / m - xi, 0)        q = sqrt(sum_i eps / (D_i + eps)) + c        raw = 1/q, or 0 if q > s

q^2 is about the number of visits. Embeddings are of a frozen random network instead of a trained inverse model.
"""

from math import inf

import jax.numpy as jnp
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, embed_rollout, observe_nothing, score_one
from purejaxexplore.bonuses.episode_memory import begin_memory, episodic_novelty
from purejaxexplore.bonuses.particles import flat_rows, random_encoder
from purejaxexplore.checks import require_at_least, require_between


@struct.dataclass
class PseudoCountsConfig:
    """Attributes:
    cluster_distance, kernel_epsilon, constant, max_similarity: xi, eps, c and s, [0, inf).
    num_neighbors: k.
    capacity: embeddings kept of an episode, oldest overwritten first.
    feature_dim: of the embedding.
    hidden_sizes: of the random network.
    """

    cluster_distance: float = 0.008
    kernel_epsilon: float = 1e-4
    constant: float = 1e-3
    max_similarity: float = 8.0
    num_neighbors: int = struct.field(pytree_node=False, default=10)
    capacity: int = struct.field(pytree_node=False, default=256)
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))


def pseudo_counts(config: PseudoCountsConfig | None = None) -> Bonus:
    """The bonus.

    State: ``learn`` the frozen encoder, ``mem`` an :class:`~purejaxexplore.bonuses.episode_memory.EpisodeMemory`, in
    which the observation that an episode starts with is the first.

    Raises:
        ValueError: a size is not positive, or a number is out of its range.
    """
    config = PseudoCountsConfig() if config is None else config
    require_at_least(1, num_neighbors=config.num_neighbors, capacity=config.capacity)
    numbers = ("cluster_distance", "kernel_epsilon", "constant", "max_similarity")
    require_between(0.0, inf, **{name: getattr(config, name) for name in numbers})
    encoder = random_encoder(config.feature_dim, config.hidden_sizes)

    def init(key, steps):
        frozen = encoder.init(key, steps)
        phi = encoder.encode(frozen, flat_rows(steps.reset_obs, steps)[-1])
        return BonusState(frozen, mem=begin_memory(phi, config.capacity), t=jnp.int32(0))

    def score_all(key, state, steps):
        def embed(obs):
            return encoder.encode(state.learn, obs.astype(jnp.float32).reshape((obs.shape[0], -1)))

        memory, raw = episodic_novelty(state.mem, *embed_rollout(embed, steps), steps.done, config)
        return state._replace(mem=memory), raw

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    def update(key, state, batch):
        return state, {}

    def observe(state):
        return observe_nothing(state.mem.pushed.shape[0])

    return Bonus(init, observe, score_one(score_all), shape, update, score_all=score_all)
