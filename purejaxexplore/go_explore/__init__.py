"""Go-Explore and its relatives: return to stored places, then explore."""

from purejaxexplore.go_explore.explore import GoExploreConfig, GoExploreState, go_explore, replay

__all__ = ["GoExploreConfig", "GoExploreState", "go_explore", "replay"]
