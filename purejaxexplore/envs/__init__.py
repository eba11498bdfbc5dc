"""Worlds as pure functions, all with the interface of gymnax (Lange, 2022, "gymnax: A JAX-based Reinforcement Learning
Environment Library"): ``reset(key, params)`` and the six-value ``step(key, state, action, params)``.

``make("suite/Name")`` builds any of them; ``list()`` names them all; ``wrappers`` changes how they look.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from purejaxexplore.envs.registry import list, make, register

if TYPE_CHECKING:
    from purejaxexplore.envs import wrappers

__all__ = ["list", "make", "register", "wrappers"]


def __getattr__(name: str):
    if name == "wrappers":  # imports gymnax, which takes seconds
        return import_module("purejaxexplore.envs.wrappers")
    raise AttributeError(f"module 'purejaxexplore.envs' has no attribute {name!r}")
