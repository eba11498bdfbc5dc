"""CMA-ME: CMA-ES emitters whose samples are ranked by how much they improve an archive of elites.

Fontaine, Togelius, Nikolaidis and Hoover (2020), "Covariance matrix adaptation for the rapid illumination of behavior
space", with improvement emitters: samples that fill a new cell come first, then those that improve one, each by how
much; all of these, and only these, are parents. An emitter that improves nothing, or whose distribution is spent,
starts again at a random elite.

What differs: C is decomposed once a step, which may hold several generations, and the rank-one update and the path of
C are the tutorial's (:mod:`purejaxexplore.blocks.cma_es`); the common library squares c_1 and leaves sigma in the path.
"""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.checks import require_between
from purejaxexplore.quality_diversity import rankers
from purejaxexplore.quality_diversity.evolution import Verdict, evolution


@flax.struct.dataclass
class CMAMEConfig:
    """Settings; the defaults are those of the papers for the linear projection.

    Attributes:
        sigma: first step size, positive.
        offset: the smallest possible fitness, subtracted from every score in the QD-score.
        bins: cells along each coordinate of the descriptor.
        num_emitters: ``E``.
        num_samples: ``lambda``, samples of an emitter in a generation, at least 2.
        generations: generations a step, with one decomposition of C; ``cma_es.lazy_gap`` says how many are safe.
        form: of C, ``"full"`` (up to some hundred genes) or ``"diagonal"`` (any number).
    """

    sigma: float = 0.5
    offset: float = 0.0
    bins: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(100, 100))
    num_emitters: int = flax.struct.field(pytree_node=False, default=15)
    num_samples: int = flax.struct.field(pytree_node=False, default=36)
    generations: int = flax.struct.field(pytree_node=False, default=1)
    form: str = flax.struct.field(pytree_node=False, default="full")


def cma_me(
    domain: Any,
    config: CMAMEConfig,
    *,
    ranker: rankers.Ranker = rankers.two_stage,
    initial: Callable[[jax.Array, int], jax.Array] | None = None,
) -> Algorithm:
    """CMA-ME on a domain.

    Args:
        domain: see :mod:`purejaxexplore.envs.domains`.
        config: the settings.
        ranker: default the improvement emitter; ``rankers.objective`` gives the optimising emitter.
        initial: ``(key, E) -> f32[E, n]``, the first means; default the domain's ``sample``. They are evaluated too.

    Returns:
        An :class:`~purejaxexplore.algorithm.Algorithm`; ``step`` is ``generations`` generations of all emitters.
        Metrics count from the beginning: ``env_steps`` (evaluations), ``cells``, ``coverage`` (filled share of all
        cells), ``qd_score``, ``max_score``, ``mean_score``, ``restarts``.

    Raises:
        TypeError: ``domain`` is not a domain.
        ValueError: a setting is out of range.
    """
    require_between(1e-12, float("inf"), sigma=config.sigma)

    def judge(thr, offered):
        improved = (offered.info.status > 0).reshape(config.num_emitters, config.num_samples).sum(1)
        return Verdict(None, ranker(offered.fitness, offered.info), improved, improved == 0)

    return evolution(domain, config, judge, None, initial)
