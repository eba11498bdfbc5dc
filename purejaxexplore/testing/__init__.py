"""Conformance checks that a user's own parts can be put through, each one function that raises ``AssertionError``."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from purejaxexplore.testing.algorithm import check_algorithm
    from purejaxexplore.testing.bandits import check_policy
    from purejaxexplore.testing.bonus import check_bonus, random_steps
    from purejaxexplore.testing.environment import check_environment

__all__ = ["check_algorithm", "check_bonus", "check_environment", "check_policy", "random_steps"]

_LAZY = {
    "check_algorithm": "purejaxexplore.testing.algorithm",
    "check_bonus": "purejaxexplore.testing.bonus",
    "check_environment": "purejaxexplore.testing.environment",
    "check_policy": "purejaxexplore.testing.bandits",
    "random_steps": "purejaxexplore.testing.bonus",
}


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'purejaxexplore.testing' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
