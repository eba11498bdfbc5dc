"""What every algorithm of this family keeps: a grid archive of elites, and the list of its filled cells."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.archives import archive as table
from purejaxexplore.archives.archive import Archive, InsertInfo
from purejaxexplore.archives.filled import Filled, append, draw, none_filled
from purejaxexplore.archives.indices import grid_slots
from purejaxexplore.checks import require_at_least


class Repertoire(NamedTuple):
    """Attributes:
    archive: Archive of solutions f32[C, n] with descriptors f32[C, 2]; the first coordinate is the slower index.
    filled: the list of its filled cells.
    """

    archive: Archive
    filled: Filled


class Offer(NamedTuple):
    """A batch that was evaluated and offered: fitness f32[B], descriptor f32[B, 2] and the archive's answer."""

    fitness: jax.Array
    descriptor: jax.Array
    info: InsertInfo


def empty(domain: Any, bins: tuple[int, ...]) -> Repertoire:
    """No elites yet.

    Raises:
        TypeError: ``domain`` lacks a part (:mod:`purejaxexplore.envs.domains`).
        ValueError: ``bins`` does not give a positive number of cells for each coordinate of the descriptor.
    """
    require_domain(domain, bins)
    genome = jax.ShapeDtypeStruct((domain.num_genes,), jnp.float32)
    capacity = math.prod(bins)
    return Repertoire(table.init(genome, capacity, descriptor_size=len(bins)), none_filled(capacity))


def offer(
    repertoire: Repertoire, domain: Any, bins: tuple[int, ...], solutions: jax.Array
) -> tuple[Repertoire, Offer]:
    """Evaluates ``solutions`` f32[B, n] and offers them to the archive, all at once."""
    fitness, descriptor = domain.evaluate(solutions)
    slot = grid_slots(descriptor, jnp.array(domain.low), jnp.array(domain.high), bins)
    archive, info = table.insert(repertoire.archive, slot, fitness, solutions, desc=descriptor)
    return Repertoire(archive, append(repertoire.filled, info)), Offer(fitness, descriptor, info)


def elites(repertoire: Repertoire, uniform: jax.Array) -> jax.Array:
    """The solution f32[B, n] of a filled cell for each of ``uniform`` f32[B]; zeros while the archive is empty."""
    return repertoire.archive.payload[draw(repertoire.filled, uniform)]


def clip(domain: Any, solutions: jax.Array) -> jax.Array:
    """``solutions`` moved to the nearest ones that the domain allows."""
    return jnp.clip(solutions, domain.solution_low, domain.solution_high)


def measure(repertoire: Repertoire, env_steps: jax.Array, offset: float) -> dict[str, jax.Array]:
    """Metrics of the family: ``env_steps`` (evaluations) and those of :func:`purejaxexplore.archives.stats`."""
    return {"env_steps": env_steps} | table.stats(repertoire.archive, offset)


def require_domain(domain: Any, bins: tuple[int, ...]) -> None:
    """Refuses what is no domain, or bins that do not suit its descriptor."""
    for name in ("evaluate", "sample", "num_genes", "low", "high", "solution_low", "solution_high"):
        if not hasattr(domain, name):
            raise TypeError(f"domain={domain!r}: has no {name}; expected a domain such as PlanarArm(10)")
    if not isinstance(bins, tuple) or len(bins) != len(domain.low):
        raise ValueError(f"bins={bins!r}: expected a tuple of {len(domain.low)} numbers of cells")
    require_at_least(1, **{f"bins[{i}]": size for i, size in enumerate(bins)})
