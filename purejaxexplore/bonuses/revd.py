"""REVD: Yuan, Li, Jin and Zeng (2022), "Rewarding episodic visitation discrepancy for exploration in RL".

The Rényi divergence between the states of this rollout and of the one before, of the same environment::

    r = L (d_k(phi(o'); previous rollout) / d_k(phi(o'); this rollout))^(1 - alpha),   L = mean_t d_1(; this rollout)

Each reward depends on the whole rollout, so ``score`` gives nothing and ``shape`` everything. Different here: a floor
under the denominator, without which a state visited k times in the rollout would be paid without bound; a rollout of
an environment in place of an episode; and the previous one is a thinned set of ``capacity`` embeddings. The rollout
before the first is the random warm-up.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.blocks.knn import farthest_found, nearest
from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.particles import flat_rows, random_encoder
from purejaxexplore.checks import require_at_least, require_between


@struct.dataclass
class REVDConfig:
    """Attributes:
    alpha: order of the divergence, [0, 1].
    least_distance: floor of the denominator, (0, inf).
    num_neighbors: k.
    capacity: embeddings of the previous rollout that each environment keeps, evenly spaced in time.
    feature_dim: of the embedding.
    hidden_sizes: of the random network.
    """

    alpha: float = 0.5
    least_distance: float = 1e-3
    num_neighbors: int = struct.field(pytree_node=False, default=5)
    capacity: int = struct.field(pytree_node=False, default=128)
    feature_dim: int = struct.field(pytree_node=False, default=32)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))


class Previous(NamedTuple):
    """``data``: f32[N, capacity, d], embeddings of the previous rollout; ``size``: i32[N], how many are filled."""

    data: jax.Array
    size: jax.Array


def thinned(phi: jax.Array, capacity: int) -> Previous:
    """``capacity`` of the embeddings ``f32[T, N, d]``, evenly spaced in time, or all of them where T is smaller."""
    T, N, _ = phi.shape
    size = min(T, capacity)
    kept = jnp.swapaxes(phi[(jnp.arange(size) * T) // size], 0, 1)
    return Previous(jnp.pad(kept, ((0, 0), (0, capacity - size), (0, 0))), jnp.full(N, size, jnp.int32))


def discrepancy(
    phi: jax.Array, previous: jax.Array, mask: jax.Array, k: int, alpha: float, least_distance: float
) -> jax.Array:
    """Rewards f32[T] of one environment: ``phi f32[T, d]`` against ``previous f32[P, d]`` where ``mask bool[P]``."""
    outer = farthest_found(nearest(previous, mask, phi, k))
    inner = nearest(phi, jnp.ones(phi.shape[0], bool), phi, k, exclude_self=True)
    spread = jnp.where(inner[:, 0] < jnp.inf, inner[:, 0], 0.0).mean()
    return spread * (outer / jnp.maximum(farthest_found(inner), least_distance)) ** (1.0 - alpha)


def revd(config: REVDConfig | None = None) -> Bonus:
    """The bonus.

    Raises:
        ValueError: a number is out of its range, a size is not positive, or fewer embeddings are kept than neighbours.
    """
    config = REVDConfig() if config is None else config
    require_between(0.0, 1.0, alpha=config.alpha)
    require_between(1e-30, float("inf"), least_distance=config.least_distance)
    require_at_least(1, num_neighbors=config.num_neighbors)
    require_at_least(config.num_neighbors, capacity=config.capacity)
    encoder = random_encoder(config.feature_dim, config.hidden_sizes)

    def init(key, steps):
        frozen = encoder.init(key, steps)
        phi = encoder.encode(frozen, flat_rows(steps.next_obs, steps))
        return BonusState(frozen, norm=thinned(phi, config.capacity), t=jnp.int32(0))

    def score(key, state, step):
        return state, jnp.zeros(step.reward.shape)

    def shape(state, raw, batch):
        phi = encoder.encode(state.learn, flat_rows(batch.steps.next_obs, batch.steps))
        mask = jnp.arange(config.capacity) < state.norm.size[:, None]

        def of_lane(phi, previous, mask):
            return discrepancy(phi, previous, mask, config.num_neighbors, config.alpha, config.least_distance)

        reward = jax.vmap(of_lane, in_axes=(1, 0, 0), out_axes=1)(phi, state.norm.data, mask)
        return state._replace(norm=thinned(phi, config.capacity), t=state.t + 1), raw + reward

    def update(key, state, batch):
        return state, {}

    return Bonus(init, lambda state: observe_nothing(state.norm.size.shape[0]), score, shape, update)
