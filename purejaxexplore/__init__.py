"""purejaxexplore: exploration research as compiled programs.

Every experiment is an :class:`Algorithm`, a pair of pure functions; :func:`run` gives it thousands of seeds, many
devices, checkpoints and stored results. Heavy packages load when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from purejaxexplore._compat import cure_cpu_deadlock
from purejaxexplore.algorithm import Algorithm, Metrics, make_train, per_seed

if TYPE_CHECKING:
    from purejaxexplore import analysis, envs
    from purejaxexplore.envs import make
    from purejaxexplore.runner import load, run, sweep

cure_cpu_deadlock()  # importing jax starts no backend, which is what reads the flag

__version__ = "0.1.0"
__all__ = [
    "Algorithm", "Metrics", "analysis", "envs", "load", "make", "make_train", "per_seed", "run", "sweep",
]  # fmt: skip

_LAZY = {
    "analysis": ("purejaxexplore.analysis", None),
    "envs": ("purejaxexplore.envs", None),
    "make": ("purejaxexplore.envs", "make"),
    "run": ("purejaxexplore.runner", "run"),
    "sweep": ("purejaxexplore.runner", "sweep"),
    "load": ("purejaxexplore.runner", "load"),
}


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'purejaxexplore' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    value = import_module(module)
    return value if attribute is None else getattr(value, attribute)


def __dir__():
    return sorted(__all__)
