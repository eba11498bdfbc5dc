"""Distances to the nearest neighbours in a set of reference points, and novelty, which is their mean.

Lehman and Stanley (2011), "Abandoning objectives: evolution through the search for novelty alone":

    rho(x) = 1/k  sum_{i=1..k} | x - mu_i |,    mu_i the i-th nearest neighbour of x.
"""

import jax
import jax.numpy as jnp

from purejaxexplore.checks import require_at_least


def novelty(
    ref: jax.Array, mask: jax.Array, query: jax.Array, k: int, exclude_self: bool = False, chunk: int = 4096
) -> jax.Array:
    """The exact mean Euclidean distance of each query to its ``k`` nearest valid reference points.

    Args, Raises: as :func:`nearest_distances`.

    Returns:
        f32[B]. Where fewer than ``k`` references are valid, the mean over those; 0 where none is.
    """
    distance = nearest_distances(ref, mask, query, k, exclude_self, chunk)
    found = distance < jnp.inf
    return jnp.where(found, distance, 0.0).sum(1) / jnp.maximum(found.sum(1), 1)


def nearest_distances(
    ref: jax.Array, mask: jax.Array, query: jax.Array, k: int, exclude_self: bool = False, chunk: int = 4096
) -> jax.Array:
    """The exact Euclidean distances of each query to its ``k`` nearest valid reference points, the nearest first.

    References are taken ``chunk`` at a time and the nearest of each chunk merged with those before: memory is that of
    ``B x chunk`` distances. They come from differences, never from ``|a|^2 + |b|^2 - 2 a b``, which cancels in float32
    where points lie close together.

    Args:
        ref: f32[M, D].
        mask: bool[M], which references are valid.
        query: f32[B, D].
        k: neighbours, at least 1.
        exclude_self: query i is reference i and does not count as its own neighbour; others at the same place do.
        chunk: references at a time.

    Returns:
        f32[B, k]; infinite where fewer than ``k`` references are valid.

    Raises:
        ValueError: ``k`` or ``chunk`` is not positive, or there are more queries than references to exclude.
    """
    require_at_least(1, k=k, chunk=chunk)
    (num_refs, size), num_queries = ref.shape, query.shape[0]
    if exclude_self and num_queries > num_refs:
        raise ValueError(f"exclude_self with {num_queries} queries: expected at most {num_refs}, one a reference")
    chunk = min(chunk, num_refs)
    num_chunks = -(-num_refs // chunk)
    padding = num_chunks * chunk - num_refs
    ref = jnp.pad(ref, ((0, padding), (0, 0))).reshape(num_chunks, chunk, size)
    mask = jnp.pad(mask, (0, padding)).reshape(num_chunks, chunk)
    number = jnp.arange(num_chunks * chunk).reshape(num_chunks, chunk)

    def merge(nearest, part):
        ref, mask, number = part
        # A sum over few dimensions, written out: no array [B, chunk, D] comes about.
        squared = sum(jnp.square(query[:, d, None] - ref[:, d]) for d in range(size))
        valid = mask
        if exclude_self:
            valid = mask & (number != jnp.arange(num_queries)[:, None])
        candidates = jnp.concatenate([nearest, jnp.where(valid, -squared, -jnp.inf)], axis=1)
        return jax.lax.top_k(candidates, k)[0], None

    nearest, _ = jax.lax.scan(merge, jnp.full((num_queries, k), -jnp.inf), (ref, mask, number))
    found = nearest > -jnp.inf
    return jnp.where(found, jnp.sqrt(jnp.where(found, -nearest, 0.0)), jnp.inf)
