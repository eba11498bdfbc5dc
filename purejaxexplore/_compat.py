"""What differs between the versions of jax that the package supports (0.10 to 0.11), kept in one place."""

import os
import sys
import warnings
from importlib.metadata import version

SCHEDULER_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler"


def cure_cpu_deadlock() -> None:
    """Switches off the XLA:CPU scheduler of jax < 0.11, under which a vmapped training scan can hang for ever.

    Appends one flag to the user's own ``XLA_FLAGS``; a user who sets that flag, either way, is left alone. Flags are
    read when the first backend starts, so a backend that runs already earns a warning.
    """
    major, minor = map(int, version("jax").split(".")[:2])
    flags = os.environ.get("XLA_FLAGS", "")
    if (major, minor) >= (0, 11) or SCHEDULER_FLAG in flags:
        return
    if _backend_started():
        warnings.warn(
            f"jax started its backend before purejaxexplore was imported; import purejaxexplore first, or set "
            f"XLA_FLAGS={SCHEDULER_FLAG}=false, or vmapped training may hang on CPU with jax < 0.11",
            stacklevel=3,
        )
    os.environ["XLA_FLAGS"] = f"{flags} {SCHEDULER_FLAG}=false".strip()


def _backend_started() -> bool:
    # jax has no public name for this; a version that moves the private one only loses the warning.
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bool(getattr(bridge, "backends_are_initialized", lambda: False)())
