"""Variation operators: children of elites drawn from an archive.

A :class:`Variation` is handed random words, drawn once for the whole batch, and spends them as it likes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from purejaxexplore.blocks.words import normals, uniforms, words_for_normals
from purejaxexplore.checks import require_between


class Variation(NamedTuple):
    """A way to make children.

    Attributes:
        num_parents: elites that a child is made of.
        num_words: ``(B, n) -> int``, random words for ``B`` children of ``n`` genes.
        vary: ``(parents, words) -> f32[B, n]``, with ``num_parents`` arrays f32[B, n] (of which the first may be
            used for its shape alone) and words u32[num_words(B, n)].
    """

    num_parents: int
    num_words: Callable[[int, int], int]
    vary: Callable[[tuple[jax.Array, ...], jax.Array], jax.Array]


def gaussian(sigma: jax.Array | float = 0.5) -> Variation:
    """``x = a + sigma N(0, I)``.

    Raises:
        ValueError: ``sigma`` is negative.
    """
    require_between(0.0, float("inf"), sigma=sigma)

    def vary(parents, words):
        (a,) = parents
        return a + sigma * normals(words, a.size).reshape(a.shape)

    return Variation(1, lambda B, n: words_for_normals(B * n), vary)


def iso_line(iso: jax.Array | float = 0.01, line: jax.Array | float = 0.2) -> Variation:
    """``x = a + iso N(0, I) + line N(0, 1) (b - a)``.

    Vassiliades and Mouret (2018), "Discovering the elite hypervolume by leveraging interspecies correlation".

    Raises:
        ValueError: ``iso`` or ``line`` is negative.
    """
    require_between(0.0, float("inf"), iso=iso, line=line)

    def vary(parents, words):
        a, b = parents
        noise = normals(words, a.size + a.shape[0])
        along = noise[a.size :, None]
        return a + iso * noise[: a.size].reshape(a.shape) + line * along * (b - a)

    return Variation(2, lambda B, n: words_for_normals(B * (n + 1)), vary)


def uniform(low: jax.Array | float = 0.0, high: jax.Array | float = 1.0) -> Variation:
    """``x`` uniform in ``[low, high]^n``, whoever the parents are: random search, the baseline."""

    def vary(parents, words):
        return low + (high - low) * uniforms(words).reshape(parents[0].shape)

    return Variation(1, lambda B, n: B * n, vary)
