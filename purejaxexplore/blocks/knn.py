"""Distances to the nearest neighbours in a set of reference points, and the novelty that is their mean.

Lehman and Stanley (2011), "Abandoning objectives: evolution through the search for novelty alone":

    rho(x) = 1/k  sum_{i=1..k} | x - mu_i |,    mu_i the i-th nearest neighbour of x.
"""

import jax
import jax.numpy as jnp

from purejaxexplore.checks import require_at_least

_FEW = 8
"""Dimensions up to which distances come from differences alone."""
_GROUP = 8
"""References of which, for up to five neighbours, only the nearest is ranked first: half the time on CPU."""
_BLOCK = 256
"""Queries at a time: their distances to a thousand references stay in the cache, which halves the time on CPU."""


def nearest(
    ref: jax.Array, mask: jax.Array, query: jax.Array, k: int, exclude_self: bool = False, chunk: int = 4096
) -> jax.Array:
    """Euclidean distances of each query to its ``k`` nearest valid reference points, f32[B, k], nearest first.

    References are taken ``chunk`` at a time and the nearest of each chunk merged with those before, for 256 queries at
    a time: memory is that of ``256 x chunk`` distances. Distances come from differences, never from
    ``|a|^2 + |b|^2 - 2 a b``, which cancels in float32 where points lie close together; above eight dimensions that
    form, one matrix product, chooses the neighbours (of points closer than its rounding any may be chosen), and their
    distances are then taken exactly.

    Args:
        ref: f32[M, D].
        mask: bool[M], which references are valid.
        query: f32[B, D].
        k: neighbours, at least 1.
        exclude_self: query i is reference i and does not count as its own neighbour; others at the same place do.
        chunk: references at a time, rounded up to a multiple of eight for up to five neighbours.

    Returns:
        f32[B, k], inf where fewer than ``k`` references are valid.

    Raises:
        ValueError: ``k`` or ``chunk`` is not positive, or there are more queries than references to exclude.
    """
    require_at_least(1, k=k, chunk=chunk)
    (num_refs, size), num_queries = ref.shape, query.shape[0]
    if exclude_self and num_queries > num_refs:
        raise ValueError(f"exclude_self with {num_queries} queries: expected at most {num_refs}, one a reference")
    group = _GROUP if k <= 5 else 1
    chunk = group * -(-min(chunk, num_refs) // group)
    num_chunks = -(-num_refs // chunk)
    padding = num_chunks * chunk - num_refs
    centre = jnp.where(mask[:, None], ref, 0.0).sum(0) / jnp.maximum(mask.sum(), 1)
    chunks = jnp.pad(ref, ((0, padding), (0, 0))).reshape(num_chunks, chunk, size)
    valid = jnp.pad(mask, (0, padding)).reshape(num_chunks, chunk)
    first = chunk * jnp.arange(num_chunks)  # number of the first reference of each chunk

    def squared_distances(point, ref):
        if size <= _FEW:  # a sum over few dimensions, written out: no array [chunk, D] a query comes about
            return sum(jnp.square(point[d] - ref[:, d]) for d in range(size))
        a, b = point - centre, ref - centre
        return jnp.square(a).sum() + jnp.square(b).sum(1) - jnp.matmul(2.0 * b, a, precision="highest")

    def of_query(i_point):
        i, point = i_point

        def merge(best, part):
            ref, valid, first = part
            if exclude_self:
                valid = valid & (first + jnp.arange(chunk) != i)
            closeness = jnp.where(valid, -squared_distances(point, ref), -jnp.inf)
            number = jnp.arange(chunk)
            if group * k < chunk:  # the k nearest are in the k groups whose nearest are nearest
                groups = jax.lax.top_k(closeness.reshape(group, -1).max(0), k)[1]
                number = number.reshape(group, -1)[:, groups].reshape(-1)
                closeness = closeness[number]
            closeness, place = jax.lax.top_k(jnp.concatenate([best[0], closeness]), k)
            return (closeness, jnp.concatenate([best[1], first + number])[place]), None

        nothing = (jnp.full(k, -jnp.inf), jnp.zeros(k, jnp.int32))
        (closeness, number), _ = jax.lax.scan(merge, nothing, (chunks, valid, first))
        found = closeness > -jnp.inf
        if size <= _FEW:
            return jnp.where(found, jnp.sqrt(jnp.where(found, -closeness, 0.0)), jnp.inf)
        squared = jnp.square(point - ref[jnp.where(found, number, 0)]).sum(-1)
        return jnp.sort(jnp.where(found, jnp.sqrt(squared), jnp.inf))

    return jax.lax.map(of_query, (jnp.arange(num_queries), query), batch_size=_BLOCK)


def novelty(
    ref: jax.Array, mask: jax.Array, query: jax.Array, k: int, exclude_self: bool = False, chunk: int = 4096
) -> jax.Array:
    """The mean of the distances of :func:`nearest`, whose arguments and errors it has.

    Returns:
        f32[B]. Where fewer than ``k`` references are valid, the mean over those; 0 where none is.
    """
    distance = nearest(ref, mask, query, k, exclude_self, chunk)
    found = distance < jnp.inf
    return jnp.where(found, distance, 0.0).sum(1) / jnp.maximum(found.sum(1), 1)


def farthest_found(distance: jax.Array) -> jax.Array:
    """The distance to the k-th nearest, f32[B], of the rows of :func:`nearest`: to the last found, 0 where none is."""
    return jnp.where(distance < jnp.inf, distance, 0.0).max(1)
