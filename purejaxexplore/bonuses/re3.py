"""RE3: Seo, Chen, Shin, Lee, Abbeel and Lee (2021), "State entropy maximization with random encoders".

The k-nearest-neighbour estimate of the entropy of visited states, one state at a time::

    raw = log(1 + d_k(phi(o')))        phi: a random network, d_k: distance to the k-th nearest of the stored embeddings

The paper's decay of the coefficient is ``anneal(re3(), lambda t: (1 - rho) ** t)`` or a schedule of the stream.
Different here: neighbours are of earlier rollouts (the paper: of the replay buffer, this one included), and embeddings
are standardised.
"""

import jax.numpy as jnp
from flax import struct

from purejaxexplore.blocks.knn import farthest_found
from purejaxexplore.bonuses.bonus import Bonus
from purejaxexplore.bonuses.particles import particle_bonus, random_encoder


@struct.dataclass
class RE3Config:
    """Attributes:
    num_neighbors: k; 3 in the paper.
    capacity: embeddings stored.
    num_stored: embeddings that a rollout leaves in the store, drawn at random.
    feature_dim: of the embedding; 50 in the paper.
    hidden_sizes: of the random network.
    """

    num_neighbors: int = struct.field(pytree_node=False, default=3)
    capacity: int = struct.field(pytree_node=False, default=1024)
    num_stored: int = struct.field(pytree_node=False, default=128)
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))


def re3(config: RE3Config | None = None) -> Bonus:
    """The bonus.

    Raises:
        ValueError: a size is not positive, or the store holds less than it must.
    """
    config = RE3Config() if config is None else config
    return particle_bonus(
        random_encoder(config.feature_dim, config.hidden_sizes),
        lambda distances: jnp.log1p(farthest_found(distances)),
        num_neighbors=config.num_neighbors,
        capacity=config.capacity,
        num_stored=config.num_stored,
    )
