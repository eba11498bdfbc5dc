"""How small to make a frame, so that similar situations share a cell and different ones do not.

Ecoffet, Huizinga, Lehman, Stanley and Clune (2021), "First return, then explore", Methods, "Dynamic cell
representation": of M recent frames, n distinct cells with frequencies p, a down-scaling is worth::

    score = H(p) / log n  /  sqrt(|n - target M| / (target M) + 1)        0 where all frames share a cell

that is, evenly filled cells, about ``target M`` of them. The published program proposes sizes at random; a table of
candidates is scored whole here, which gives the same answer every time and is one program.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.archives.cells import CellFunction, downscaled, grey_levels, pooling
from purejaxexplore.archives.indices import hash_words
from purejaxexplore.checks import require_at_least, require_between

CANDIDATES = tuple((h, w, d) for h, w in ((3, 4), (5, 6), (8, 8), (8, 11), (11, 11), (14, 14)) for d in (4, 8, 12, 20))
"""``(height, width, depth)`` of the small image."""


def representativeness(words: jax.Array, target: float = 0.125) -> jax.Array:
    """The score f32[] of a cell representation, given each frame's cell as integers i32[M, d]."""
    M = words.shape[0]
    order = jnp.sort(hash_words(words, 0x3C6EF372))
    left, right = jnp.searchsorted(order, order), jnp.searchsorted(order, order, side="right")
    distinct = (left == jnp.arange(M)).sum()
    entropy = jnp.log(M / (right - left)).mean()
    evenness = jnp.where(distinct > 1, entropy / jnp.log(jnp.maximum(distinct, 2)), 0.0)
    return evenness / jnp.sqrt(jnp.abs(distinct - target * M) / (target * M) + 1.0)


def scores(
    frames: jax.Array,
    candidates: Sequence[tuple[int, int, int]] = CANDIDATES,
    target: float = 0.125,
    pixel_range: float = 256.0,
) -> jax.Array:
    """The score of every candidate, f32[len(candidates)].

    Args:
        frames: [M, H, W] or [M, H, W, channels], recent observations.
        candidates: ``(height, width, depth)`` each.
        target: distinct cells wanted for each frame, in (0, 1].
        pixel_range: as of :func:`~purejaxexplore.archives.cells.downscaled`.

    Raises:
        ValueError: no frame, a size that is not positive, or a target out of range.
    """
    require_at_least(1, frames=frames.shape[0], candidates=len(candidates))
    require_between(1e-6, 1.0, target=target)
    for height, width, depth in candidates:
        require_at_least(1, height=height, width=width, depth=depth)
    images = jnp.asarray(frames, jnp.float32)
    images = images if images.ndim == 3 else images.mean(-1)
    most_rows, most_columns = (max(sizes) for sizes in list(zip(*candidates, strict=True))[:2])

    def padded(sizes, most, pixels):
        return np.stack([np.pad(pooling(size, pixels), ((0, most - size), (0, 0))) for size in sizes])

    heights, widths, depths = zip(*candidates, strict=True)
    rows = padded(heights, most_rows, images.shape[1])
    columns = padded(widths, most_columns, images.shape[2])

    def score(candidate):
        shrink_rows, shrink_columns, depth = candidate
        level = grey_levels(shrink_rows @ images @ shrink_columns.T, depth, pixel_range)
        return representativeness(level.reshape(level.shape[0], -1), target)

    return jax.lax.map(score, (jnp.asarray(rows), jnp.asarray(columns), jnp.asarray(depths)))


def fitted(
    frames: jax.Array,
    candidates: Sequence[tuple[int, int, int]] = CANDIDATES,
    target: float = 0.125,
    pixel_range: float = 256.0,
) -> tuple[CellFunction, tuple[int, int, int]]:
    """The cell function of the best candidate for these frames (the first of equals), and its sizes.

    Raises:
        ValueError: as :func:`scores`.
    """
    best = tuple(candidates[int(jnp.argmax(scores(frames, candidates, target, pixel_range)))])
    return downscaled(*best, pixel_range=pixel_range), best
