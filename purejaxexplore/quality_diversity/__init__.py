"""Quality diversity: archives of elites, one for every kind of solution.

``map_elites`` is the base; ``cma_me``, ``cma_mae`` and ``cma_mega`` direct the search by what improves the archive.
``variation`` and ``rankers`` hold the parts that can be exchanged, ``repertoire`` and ``evolution`` what all share.
"""

from purejaxexplore.quality_diversity import rankers, variation
from purejaxexplore.quality_diversity.cma_mae import CMAMAEConfig, cma_mae
from purejaxexplore.quality_diversity.cma_me import CMAMEConfig, cma_me
from purejaxexplore.quality_diversity.cma_mega import CMAMEGAConfig, cma_mega
from purejaxexplore.quality_diversity.map_elites import MAPElitesConfig, map_elites

__all__ = [
    "CMAMAEConfig", "CMAMEConfig", "CMAMEGAConfig", "MAPElitesConfig", "cma_mae", "cma_me", "cma_mega", "map_elites",
    "rankers", "variation",
]  # fmt: skip
