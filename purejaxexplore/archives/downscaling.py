"""How small to make a frame, so that similar situations share a cell and different ones do not.

Ecoffet, Huizinga, Lehman, Stanley and Clune (2021), "First return, then explore", Methods, "Dynamic cell
representation": of M recent frames, n distinct cells with frequencies p, a down-scaling is worth::

    score = H(p) / log n  /  sqrt(|n - target M| / (target M) + 1)        0 where all frames share a cell

that is, evenly filled cells, about ``target M`` of them. Before a run, :func:`fitted` scores a table of candidates
whole, which gives the same answer every time. :func:`search` proposes sizes at random as the published program does;
:mod:`.refitting` calls it during a run.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.archives.cells import CellFunction, downscaled, grey_levels, pooling
from purejaxexplore.archives.indices import hash_words
from purejaxexplore.checks import require_at_least, require_between

CANDIDATES = tuple((h, w, d) for h, w in ((3, 4), (5, 6), (8, 8), (8, 11), (11, 11), (14, 14)) for d in (4, 8, 12, 20))
"""``(height, width, depth)`` of the small image."""


class Sizes(NamedTuple):
    """What a frame is shrunk to: height, width and levels of grey."""

    height: jax.Array
    width: jax.Array
    depth: jax.Array


def representativeness(words: jax.Array, target: float = 0.125, valid: jax.Array | bool = True) -> jax.Array:
    """The score f32[] of a cell representation, given the cell of each valid frame as integers i32[M, d]."""
    valid = jnp.broadcast_to(valid, words.shape[:1])
    last = jnp.uint32(0xFFFFFFFF)
    order = jnp.sort(jnp.where(valid, jnp.minimum(hash_words(words, 0x3C6EF372), last - 1), last))
    left, right = jnp.searchsorted(order, order), jnp.searchsorted(order, order, side="right")
    counted, M = order < last, valid.sum()
    distinct = (counted & (left == jnp.arange(order.size))).sum()
    entropy = jnp.where(counted, jnp.log(M / (right - left)), 0.0).sum() / jnp.maximum(M, 1)
    evenness = jnp.where(distinct > 1, entropy / jnp.log(jnp.maximum(distinct, 2)), 0.0)
    wanted = jnp.maximum(target * M, 1e-6)
    return evenness / jnp.sqrt(jnp.abs(distinct - wanted) / wanted + 1.0)


def search(
    key: jax.Array,
    score: Callable[[Sizes], jax.Array],
    most: tuple[int, int, int],
    pixels: tuple[int, int, int],
    num_proposals: int,
) -> Sizes:
    """The best of a chain of random proposals; it begins anywhere, and of equals the last is kept.

    Args:
        key: random key.
        score: ``Sizes -> f32``.
        most: largest height, width and depth; the smallest are 1, 1 and 2.
        pixels: proposals are geometric with a mean of at least a twentieth of these: the height and the width of
            a frame, and 240 for the depth.
        num_proposals: scores to evaluate.
    """
    low, high = jnp.array([1, 1, 2]), jnp.asarray(most)
    key_first, key_chain = jax.random.split(key)

    def propose(carry, key):
        best, best_score = carry
        rate = jnp.minimum(1.0 / (best + jnp.array([1, 1, 0])), 20.0 / jnp.asarray(pixels))
        proposal = _geometric(key, rate, low, high)
        value = score(Sizes(*proposal))
        better = value >= best_score
        return (jnp.where(better, proposal, best), jnp.where(better, value, best_score)), None

    first = jax.random.randint(key_first, (3,), low, high + 1)
    (best, _), _ = jax.lax.scan(propose, (first, -jnp.inf), jax.random.split(key_chain, num_proposals))
    return Sizes(*best)


def _geometric(key: jax.Array, rate: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """Geometric numbers with success probability ``rate``, drawn again until they lie in [low, high], i32."""
    log_stay = jnp.log1p(-rate)
    share = 1.0 - jnp.exp(log_stay * (high - low + 1))
    beyond = jnp.floor(jnp.log1p(-jax.random.uniform(key, rate.shape) * share) / log_stay)
    return jnp.minimum(low + beyond.astype(jnp.int32), high)


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
