"""Where a number comes from: versions, hardware and revision, without names of people, hosts or paths."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("purejaxexplore", "jax", "jaxlib", "flax", "optax", "gymnax", "numpy")


def versions() -> dict[str, str]:
    """The versions of Python and of the installed ones of ``PACKAGES``."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """The machine: ``cpu`` (model), ``cores`` (usable by this process), ``memory_gib``, and jax's devices.

    Starts jax's backend where none runs yet. ``platform`` is ``cpu``, ``gpu`` or ``tpu``; ``device`` and
    ``num_devices`` count the devices of all processes.
    """
    import jax

    devices = jax.devices()
    return {
        "cpu": _cpu_model(),
        "cores": _usable_cores(),
        "memory_gib": _memory_gib(),
        "platform": devices[0].platform,
        "device": devices[0].device_kind,
        "num_devices": len(devices),
    }


def git_revision(directory: str | os.PathLike = ".") -> dict[str, Any] | None:
    """``{"revision": 40 hex digits, "modified": bool}`` of the checkout of ``directory``, None outside one.

    ``modified`` looks at tracked Python and TOML files only: what a run itself writes changes no result.
    """
    revision = _git(directory, "rev-parse", "--verify", "--quiet", "HEAD")
    if not revision:
        return None
    changed = _git(
        directory, "status", "--porcelain", "--untracked-files=no", "--", ":(top)*.py", ":(top)*.toml"
    )
    return {"revision": revision, "modified": bool(changed)}


def provenance(directory: str | os.PathLike = ".") -> dict[str, Any]:
    """``{"versions": ..., "hardware": ..., "git": ...}``, ready for JSON.

    Args:
        directory: where to look for a checkout.
    """
    return {"versions": versions(), "hardware": hardware(), "git": git_revision(directory)}


def _git(directory: str | os.PathLike, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", os.fspath(directory), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    if platform.system() == "Darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        return asked.stdout.strip() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
