"""Selection weights: how promising a slot is as a place to return to.

The first group are formulas on visit counts; the second are rules ``archive -> f32[C]`` for
:func:`purejaxexplore.go_explore.go_explore`, which sets the weight of empty slots to 0.
"""

import jax
import jax.numpy as jnp

from purejaxexplore.archives.archive import Archive


def count_weight(count: jax.Array, power: float = 0.5) -> jax.Array:
    """``1 / (count + 1)^power``: 2021 Go-Explore with power 0.5, on the number of visits."""
    return (count + 1.0) ** -power


def legacy_count(count: jax.Array, coefficient: float, power: float) -> jax.Array:
    """``coefficient / (count + 0.001)^power + 0.00001``: one sub-score of 2019 Go-Explore."""
    return coefficient * (count + 1e-3) ** -power + 1e-5


def steps_weight(count: jax.Array) -> jax.Array:
    """``1 / (1 + count / 2)``: policy-based Go-Explore, on the number of steps spent in the cell."""
    return 1.0 / (1.0 + 0.5 * count)


def dgm_weight(score: jax.Array, children: jax.Array, slope: float = 10.0, midpoint: float = 0.5) -> jax.Array:
    """``sigmoid(slope (score - midpoint)) / (1 + children)``: Darwin Gödel Machine, on scores in [0, 1]."""
    return jax.nn.sigmoid(slope * (score - midpoint)) / (1.0 + children)


def level_weight(level: jax.Array, filled: jax.Array, base: float = 0.1) -> jax.Array:
    """``base^(highest filled level - level)``: prefers cells of the highest game level, given ``level`` i32[C]."""
    highest = jnp.max(jnp.where(filled, level, jnp.iinfo(jnp.int32).min))
    return jnp.where(filled, jnp.asarray(base, jnp.float32) ** (highest - level), 0.0)


def no_knowledge(archive: Archive) -> jax.Array:
    """``1 / sqrt(seen + 1)``, Ecoffet, Huizinga, Lehman, Stanley, Clune (2021), "First return, then explore"."""
    return jax.lax.rsqrt(archive.seen + 1.0)


def sub_scores(
    archive: Archive,
    coefficients: tuple[float, float, float] = (0.1, 0.0, 0.3),
    powers: tuple[float, float, float] = (0.5, 0.5, 0.5),
) -> jax.Array:
    """1 + the sum of ``legacy_count`` over (chosen, fresh, seen), Ecoffet et al. (2019), "Go-Explore".

    The form is the paper's; its coefficients were tuned to each game, so give your own.
    """
    counts = (archive.chosen, archive.fresh, archive.seen)
    return 1.0 + sum(legacy_count(n, w, p) for n, w, p in zip(counts, coefficients, powers, strict=True))


def uniform(archive: Archive) -> jax.Array:
    """Every known cell alike."""
    return jnp.ones_like(archive.score)


def start(archive: Archive) -> jax.Array:
    """No cell at all, so that every rollout starts a new episode: the baseline that never returns."""
    return jnp.zeros_like(archive.score)
