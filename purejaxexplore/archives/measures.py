"""Measures of a finished archive beyond :func:`.archive.stats`: is it true, and is it even?"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from purejaxexplore.archives.archive import Archive, init, insert


def corrected(archive: Archive, evaluate: Callable, locate: Callable[[jax.Array], jax.Array]) -> Archive:
    """The archive that is left when every elite is evaluated once more and offered to an empty one.

    Its QD-score is the corrected QD-score of Justesen, Risi and Mouret (2019), "MAP-Elites for noisy domains by
    adaptive sampling": elites that were stored by luck fall back. An archive of a deterministic domain stays as it is.

    Args:
        archive: with descriptors.
        evaluate: ``payload [C, ...] -> (fitness f32[C], descriptor f32[C, D])``; close over a key where it is noisy.
        locate: ``descriptor f32[C, D] -> slot i32[C]``.
    """
    fitness, descriptor = evaluate(archive.payload)
    record = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), archive.payload)
    fresh = init(record, archive.capacity, descriptor_size=descriptor.shape[-1])
    return insert(
        fresh, locate(descriptor), fitness, archive.payload, desc=descriptor, valid=archive.filled
    )[0]  # fmt: skip


def uniformity(count: jax.Array, reachable: jax.Array | None = None) -> jax.Array:
    """1 - the Jensen-Shannon divergence (base 2) of a histogram from the uniform one on the reachable cells.

    As in Gomes, Mariano and Christensen (2015), "Devising effective novelty search algorithms". 1 for a uniform
    histogram, 0 if nothing reachable was ever hit, and 0 for an empty histogram.

    Args:
        count: i32 or f32[C], of at least 0.
        reachable: bool[C]; default all.
    """
    reachable = jnp.ones(count.shape, bool) if reachable is None else reachable
    total = count.sum()
    p = count / jnp.maximum(total, 1)
    q = reachable / reachable.sum()
    mixed = (p + q) / 2
    entropy = -jax.scipy.special.xlogy(mixed, mixed).sum()
    own = -(jax.scipy.special.xlogy(p, p) + jax.scipy.special.xlogy(q, q)).sum() / 2
    divergence = (entropy - own) / jnp.log(2.0)
    return jnp.where(total > 0, jnp.clip(1.0 - divergence, 0, 1), 0.0)
