"""Novelty within an episode, from the nearest of the embeddings that it has seen: what NGU and pseudo-counts share.

Badia, Sprechmann, Vitvitskyi, Guo, Piot, Kapturowski, Tieleman, Arjovsky, Pritzel, Bolt and Blundell (2020), "Never
give up: learning directed exploration strategies", section 2 and algorithm 1::

    D_i = max(d_i^2 / m - xi, 0)        q = sqrt(sum_i eps / (D_i + eps)) + c        novelty = 1/q, or 0 if q > s

over the k nearest, m being the running mean of the d_i^2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

_LANES = 4
"""Environments at a time: their similarities to all that they may remember stay in the cache."""


class EpisodeMemory(NamedTuple):
    """The embeddings of this episode.

    Attributes:
        points: f32[N, L, d], oldest overwritten first.
        pushed: i32[N], embeddings ever pushed in this episode.
        distance_sum, distance_count: f32[N], of the squared distances to nearest neighbours seen in this episode.
    """

    points: jax.Array
    pushed: jax.Array
    distance_sum: jax.Array
    distance_count: jax.Array


def begin_memory(phi: jax.Array, capacity: int) -> EpisodeMemory:
    """The memory of an episode that begins at ``phi f32[N, d]``."""
    N, d = phi.shape
    points = jnp.zeros((N, capacity, d)).at[:, 0].set(phi)
    return EpisodeMemory(points, jnp.ones(N, jnp.int32), jnp.zeros(N), jnp.zeros(N))


def episodic_novelty(
    memory: EpisodeMemory, phi: jax.Array, begun: jax.Array, done: jax.Array, config
) -> tuple[EpisodeMemory, jax.Array]:
    """The novelty of a rollout, each step of which is compared with what its episode holds and then put into it.

    All steps are compared at once: with the memory and with the steps before them, where those are of the same episode
    and would not have been overwritten. Neighbours are chosen by products and their distances taken from differences,
    as in :func:`~purejaxexplore.blocks.knn.nearest`.

    Args:
        memory: as it was before the rollout.
        phi: f32[T, N, d], of the true successors.
        begun: f32[T, N, d], of the observations that episodes begin with; read where ``done``.
        done: bool[T, N].
        config: with ``num_neighbors``, ``cluster_distance``, ``kernel_epsilon``, ``constant``, ``max_similarity``.

    Returns:
        The memory after the rollout, and f32[T, N].
    """
    T, capacity = phi.shape[0], memory.points.shape[1]
    k = min(config.num_neighbors, capacity)

    def of_lane(lane):
        memory, phi, begun, done = lane
        step = jnp.arange(T)
        # What each slot and each step leaves behind: a point, the episode of the rollout it belongs to, and its number
        # in that episode. The successor that ends an episode is of use to none; the next one's beginning stands there.
        episode = jnp.cumsum(done) - done
        begin = jax.lax.cummax(jnp.where(done, step + 1, 0))
        begin = jnp.concatenate([jnp.zeros(1, begin.dtype), begin[:-1]])
        number = jnp.where(episode == 0, memory.pushed + step, 1 + step - begin)
        slot = jnp.arange(capacity)
        newest = slot + (memory.pushed - 1 - slot) // capacity * capacity  # negative where the slot is empty
        points = jnp.concatenate([memory.points, jnp.where(done[:, None], begun, phi)])
        episode_of = jnp.concatenate([jnp.zeros(capacity, episode.dtype), episode + done])
        number_of = jnp.concatenate([newest, jnp.where(done, 0, number)])

        def held(episode, number):
            """Whether each point is in the memory when the point of that number is compared."""
            own = (number_of >= 0) & (number_of < number) & (number_of >= number - capacity)
            return own & (episode_of == episode)

        closeness = jnp.matmul(2.0 * phi, points.T, precision="highest") - jnp.square(points).sum(-1)
        closeness, place = jax.lax.top_k(jnp.where(jax.vmap(held)(episode, number), closeness, -jnp.inf), k)
        found = closeness > -jnp.inf
        distances = jnp.where(found, jnp.square(phi[:, None] - points[place]).sum(-1), 0.0)

        last, total = episode[-1] + done[-1], jnp.where(done[-1], 1, number[-1] + 1)
        into = jnp.where(held(last, total), number_of % capacity, capacity)
        kept = jnp.zeros_like(memory.points).at[into].set(points, mode="drop")
        return kept, total, distances, found

    lanes = (memory, *(jnp.swapaxes(x, 0, 1) for x in (phi, begun, done)))
    points, pushed, distances, found = jax.lax.map(of_lane, lanes, batch_size=_LANES)

    def running_mean(before, step):
        *new, done = step
        total, count = (old + more for old, more in zip(before, new, strict=True))
        return (jnp.where(done, 0.0, total), jnp.where(done, 0.0, count)), total / jnp.maximum(count, 1.0)

    new = (distances.sum(-1).T, found.sum(-1).T.astype(jnp.float32), done)
    (total, count), mean = jax.lax.scan(running_mean, (memory.distance_sum, memory.distance_count), new)
    relative = jnp.maximum(distances / (mean.T[..., None] + 1e-8) - config.cluster_distance, 0.0)
    kernel = jnp.where(found, config.kernel_epsilon / (relative + config.kernel_epsilon), 0.0)
    similarity = jnp.sqrt(kernel.sum(-1)) + config.constant
    novelty = jnp.where(similarity > config.max_similarity, 0.0, 1.0 / similarity)
    return EpisodeMemory(points, pushed, total, count), novelty.T
