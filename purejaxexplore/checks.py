"""The checks of what a user passes; each refusal is one line that says what is allowed."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from operator import index
from typing import Any

import jax
import numpy as np


def nearest(value: Any, allowed: Iterable[str]) -> str:
    """``; did you mean 'ppo'?`` for the closest of ``allowed``, or nothing where none is close."""
    found = get_close_matches(str(value), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def whole_number(name: str, value: Any, low: int, high: int) -> int:
    """``value`` as an int.

    Raises:
        ValueError: not a whole number from ``low`` to ``high``.
    """
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        raise ValueError(f"{name}={value!r}: expected a whole number from {low} to {high}")
    return number


def choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Raises ValueError unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(allowed)}{nearest(value, allowed)}")


def require_at_least(low: int, **sizes: Any) -> None:
    """Raises ValueError unless every size is a whole number of at least ``low``."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
            raise ValueError(f"{name}={value!r}: expected a whole number of at least {low}")


def require_between(low: float, high: float, **values: Any) -> None:
    """Raises ValueError unless every value is in [low, high]; traced values are not looked at."""
    for name, value in values.items():
        if isinstance(value, jax.core.Tracer):
            continue
        if not bool(np.all((np.asarray(value) >= low) & (np.asarray(value) <= high))):
            allowed = f"in [{low:g}, {high:g}]" if high < np.inf else f"of at least {low:g}"
            raise ValueError(f"{name}={value!r}: expected a number {allowed}")
