"""CMA-MAE: CMA-ME with acceptance thresholds that are annealed from the worst fitness towards the elites.

Fontaine and Nikolaidis (2023), "Covariance matrix adaptation MAP-annealing". A sample of fitness f is ranked by
f - t(cell), and if that is positive

    t(cell)  <-  (1 - alpha) t(cell) + alpha f

so a plateau that was visited once is worth visiting again, a little less each time. alpha = 1 is CMA-ME's value,
alpha = 0 leaves plain CMA-ES on f. The best half of the samples are parents; an emitter restarts at a random elite only
where CMA-ES is spent.

What differs: the elites are the best ever found, in one archive, where the paper also keeps the last accepted ones and
restarts from these; C is decomposed once a step (see :mod:`.cma_me`).
"""

import math
import numbers
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.archives.thresholds import anneal
from purejaxexplore.checks import require_between
from purejaxexplore.quality_diversity import rankers
from purejaxexplore.quality_diversity.evolution import Verdict, evolution


@flax.struct.dataclass
class CMAMAEConfig:
    """Settings; the defaults are the paper's for the linear projection.

    Attributes:
        sigma: first step size, positive.
        alpha: learning rate of the thresholds, in [0, 1].
        threshold: ``t`` of a cell that nothing was accepted in, finite; the smallest fitness of interest.
        offset: the smallest possible fitness, subtracted from every score in the QD-score.
        bins: cells along each coordinate of the descriptor.
        num_emitters: ``E``.
        num_samples: ``lambda``, samples of an emitter in a generation, at least 2.
        generations: generations a step, with one decomposition of C; ``cma_es.lazy_gap`` says how many are safe.
        form: of C, ``"full"`` (up to some hundred genes) or ``"diagonal"`` (any number).
    """

    sigma: float = 0.5
    alpha: float = 0.01
    threshold: float = 0.0
    offset: float = 0.0
    bins: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(100, 100))
    num_emitters: int = flax.struct.field(pytree_node=False, default=15)
    num_samples: int = flax.struct.field(pytree_node=False, default=36)
    generations: int = flax.struct.field(pytree_node=False, default=1)
    form: str = flax.struct.field(pytree_node=False, default="full")


def cma_mae(
    domain: Any, config: CMAMAEConfig, *, initial: Callable[[jax.Array, int], jax.Array] | None = None
) -> Algorithm:
    """CMA-MAE on a domain.

    Args:
        domain: see :mod:`purejaxexplore.envs.domains`.
        config: the settings.
        initial: ``(key, E) -> f32[E, n]``, the first means; default the domain's ``sample``. They are evaluated too.

    Returns:
        An :class:`~purejaxexplore.algorithm.Algorithm` with the steps and the metrics of CMA-ME.

    Raises:
        TypeError: ``domain`` is not a domain.
        ValueError: a setting is out of range.
    """
    require_between(1e-12, float("inf"), sigma=config.sigma)
    require_between(0.0, 1.0, alpha=config.alpha)
    if isinstance(config.threshold, numbers.Real) and not math.isfinite(config.threshold):
        raise ValueError(f"threshold={config.threshold!r}: expected a finite number, such as the smallest fitness")
    E, parents = config.num_emitters, config.num_samples // 2

    def judge(thr, offered):
        info = offered.info
        thr, accepted, value = anneal(thr, info.slot, offered.fitness, config.alpha)
        values = rankers.improvement(offered.fitness, info._replace(status=accepted, value=value))
        return Verdict(thr, values, jnp.full(E, parents), jnp.zeros(E, bool))

    thr = jnp.full(math.prod(config.bins), config.threshold, jnp.float32)
    return evolution(domain, config, judge, thr, initial)
