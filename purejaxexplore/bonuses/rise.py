"""RISE: Yuan, Pun and Wang (2022), "Rényi state entropy maximization for exploration acceleration in RL".

The k-nearest-neighbour estimate of the Rényi entropy of order alpha, one state at a time::

    raw = d_k(phi(o'))^(1 - alpha)

With alpha < 1 rare states weigh more than in Shannon's entropy (:mod:`~purejaxexplore.bonuses.re3`). Different here:
the random encoder of RE3 in place of the paper's variational autoencoder, as in its authors' later collection of
bonuses, k fixed instead of searched, and neighbours from earlier rollouts.
"""

import jax.numpy as jnp
from flax import struct

from purejaxexplore.blocks.knn import farthest_found
from purejaxexplore.bonuses.bonus import Bonus
from purejaxexplore.bonuses.particles import particle_bonus, random_encoder
from purejaxexplore.checks import require_between

_ROUNDING = 1e-5  # of an embedding in float32; its power would be anything up to 1


@struct.dataclass
class RISEConfig:
    """Attributes:
    alpha: order of the entropy, [0, 1); at 1 every state would be paid the same.
    num_neighbors: k.
    capacity: embeddings stored.
    num_stored: embeddings that a rollout leaves in the store, drawn at random.
    feature_dim: of the embedding.
    hidden_sizes: of the random network.
    """

    alpha: float = 0.5
    num_neighbors: int = struct.field(pytree_node=False, default=5)
    capacity: int = struct.field(pytree_node=False, default=1024)
    num_stored: int = struct.field(pytree_node=False, default=128)
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))


def rise(config: RISEConfig | None = None) -> Bonus:
    """The bonus.

    Raises:
        ValueError: ``alpha`` is out of its range, a size is not positive, or the store holds less than it must.
    """
    config = RISEConfig() if config is None else config
    require_between(0.0, 1.0, alpha=config.alpha)

    def pay(distances):
        distance = farthest_found(distances)
        return jnp.where(distance > _ROUNDING, distance, 0.0) ** (1.0 - config.alpha)

    return particle_bonus(
        random_encoder(config.feature_dim, config.hidden_sizes),
        pay,
        num_neighbors=config.num_neighbors,
        capacity=config.capacity,
        num_stored=config.num_stored,
    )
