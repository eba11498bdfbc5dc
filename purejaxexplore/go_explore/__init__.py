"""Go-Explore and its relatives: return to stored places, then explore."""

from purejaxexplore.go_explore.backward import BackwardConfig, backward
from purejaxexplore.go_explore.demonstrations import Demonstrations, NoisyStart, demonstrations
from purejaxexplore.go_explore.explore import GoExploreConfig, GoExploreState, go_explore, replay
from purejaxexplore.go_explore.imitation import ImitationConfig, imitation
from purejaxexplore.go_explore.intelligent import (
    IntelligentGoExploreConfig,
    IntelligentGoExploreState,
    Judge,
    intelligent_go_explore,
    way_to,
)

__all__ = [
    "BackwardConfig", "Demonstrations", "GoExploreConfig", "GoExploreState", "ImitationConfig",
    "IntelligentGoExploreConfig", "IntelligentGoExploreState", "Judge", "NoisyStart", "backward", "demonstrations",
    "go_explore", "imitation", "intelligent_go_explore", "replay", "way_to",
]  # fmt: skip
