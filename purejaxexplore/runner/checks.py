"""The checks of what a user passes; each refusal is one line that says what is allowed."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from operator import index
from typing import Any

import jax


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


def root_key(key: Any) -> jax.Array:
    """The key of a run, from a seed number or a typed key.

    Raises:
        TypeError: neither of the two.
    """
    if (
        isinstance(key, jax.Array)
        and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
        and key.shape == ()
    ):
        return key
    try:
        return jax.random.key(index(key))
    except TypeError:
        raise TypeError(f"key={key!r}: expected a whole number or one typed key, jax.random.key(0)") from None


def chosen_devices(devices: int | Sequence[jax.Device] | None) -> list[jax.Device]:
    """The devices to use: all of this process, the first few of them, or those listed.

    Raises:
        ValueError: none, or more than there are.
    """
    local = jax.local_devices()
    if devices is None:
        return local
    if isinstance(devices, int):
        return local[: whole_number("devices", devices, 1, len(local))]
    devices = list(devices)
    if not devices or not all(isinstance(d, jax.Device) for d in devices):
        raise ValueError(
            f"devices={devices!r}: expected a number from 1 to {len(local)} or a list of jax devices"
        )
    return devices
