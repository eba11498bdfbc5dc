"""The checks of what a run is given; each refusal is one line that says what is allowed."""

from collections.abc import Sequence
from operator import index
from typing import Any

import jax

from purejaxexplore.checks import whole_number


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
