"""ONE archive for every system that remembers places, solutions or programs.

``archive`` is the table of slots and its deterministic insertion; ``indices`` decide the slot of a candidate,
``cells`` what counts as the same place, ``weights`` which slot is taken next, ``counters`` how often it was seen;
``packing`` brings environment states in and out, ``trajectory`` remembers the way to each of them.
"""

from purejaxexplore.archives import cells, counters, indices, packing, trajectory, weights
from purejaxexplore.archives.archive import Archive, InsertInfo, init, insert, stats, write

__all__ = [
    "Archive", "InsertInfo", "cells", "counters", "indices", "init", "insert", "packing", "stats", "trajectory",
    "weights", "write",
]  # fmt: skip
