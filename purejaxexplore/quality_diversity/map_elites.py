"""MAP-Elites: keep the best solution of every cell of a descriptor space, and vary random ones of them.

Mouret and Clune (2015), "Illuminating search spaces by mapping elites"; the default variation is that of Vassiliades
and Mouret (2018). One step:

    a, b    ~  U(filled cells)                       parents
    x'       =  a + iso N(0, I) + line N(0, 1) (b - a)
    f, d     =  evaluate(x')
    cell(d)  keeps the better of x' and what it had

What differs: a batch of children is evaluated at once, where the paper has one; its members do not see each other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.words import uniforms
from purejaxexplore.checks import require_at_least
from purejaxexplore.quality_diversity import repertoire as elites
from purejaxexplore.quality_diversity.repertoire import Repertoire
from purejaxexplore.quality_diversity.variation import Variation, iso_line


@flax.struct.dataclass
class MAPElitesConfig:
    """Settings.

    Attributes:
        offset: the smallest possible fitness, subtracted from every score in the QD-score; 0 leaves it alone.
        bins: cells along each coordinate of the descriptor.
        batch_size: ``B``, children a step.
    """

    offset: float = 0.0
    bins: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(100, 100))
    batch_size: int = flax.struct.field(pytree_node=False, default=128)


class MAPElitesState(NamedTuple):
    """Attributes:
    repertoire: the elites.
    env_steps: i32, evaluations.
    """

    repertoire: Repertoire
    env_steps: jax.Array


def map_elites(
    domain: Any,
    config: MAPElitesConfig,
    *,
    variation: Variation | None = None,
    initial: Callable[[jax.Array, int], jax.Array] | None = None,
) -> Algorithm:
    """MAP-Elites on a domain.

    Args:
        domain: see :mod:`purejaxexplore.envs.domains`.
        config: the settings.
        variation: default ``iso_line()``.
        initial: ``(key, B) -> f32[B, n]``, the first batch; default the domain's ``sample``.

    Returns:
        An :class:`~purejaxexplore.algorithm.Algorithm`; ``step`` is one batch. Metrics count from the beginning:
        ``env_steps`` (evaluations, the first batch included), ``cells``, ``coverage`` (filled share of all cells),
        ``qd_score``, ``max_score``, ``mean_score``.

    Raises:
        TypeError: ``domain`` is not a domain.
        ValueError: a setting is out of range.
    """
    elites.require_domain(domain, config.bins)
    require_at_least(1, batch_size=config.batch_size)
    variation = iso_line() if variation is None else variation
    initial = domain.sample if initial is None else initial
    B, n, P = config.batch_size, domain.num_genes, variation.num_parents

    def init(key):
        repertoire, _ = elites.offer(elites.empty(domain, config.bins), domain, config.bins, initial(key, B))
        return MAPElitesState(repertoire, jnp.int32(B))

    def step(key, state):
        words = jax.random.bits(key, (P * B + variation.num_words(B, n),), jnp.uint32)
        chosen = uniforms(words[: P * B]).reshape(P, B)
        parents = tuple(elites.elites(state.repertoire, u) for u in chosen)
        children = elites.clip(domain, variation.vary(parents, words[P * B :]))
        repertoire, _ = elites.offer(state.repertoire, domain, config.bins, children)
        state = MAPElitesState(repertoire, state.env_steps + B)
        return state, elites.measure(repertoire, state.env_steps, config.offset)

    return Algorithm(init, step)
