"""Go-Explore and its relatives: return to stored places, then explore.

What learns (``backward``, ``imitation``, ``demonstrations``, ``policy_based``, ``latent``, ``latent_policy``) loads the
networks, so it is imported by module.
"""

from purejaxexplore.go_explore.explore import GoExploreConfig, GoExploreState, go_explore, replay
from purejaxexplore.go_explore.intelligent import (
    IntelligentGoExploreConfig,
    IntelligentGoExploreState,
    Judge,
    intelligent_go_explore,
    way_to,
)

__all__ = [
    "GoExploreConfig", "GoExploreState", "IntelligentGoExploreConfig", "IntelligentGoExploreState", "Judge",
    "go_explore", "intelligent_go_explore", "replay", "way_to",
]  # fmt: skip
