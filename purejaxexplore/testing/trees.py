"""What the contracts share: quick compilation, and comparisons of pytrees that name the leaf that differs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Each program of a check runs a few times only: compiling it is what costs."""


def plain(leaf: Any) -> np.ndarray:
    """A leaf as a NumPy array; a typed key as its words."""
    leaf = jnp.asarray(leaf)
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """``(path, leaf)`` of every leaf."""
    return [(jax.tree_util.keystr(path) or "the value", leaf) for path, leaf in jax.tree.leaves_with_path(tree)]


def require_close(claim: str, actual: Any, expected: Any, *, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Raises AssertionError, saying ``claim`` and which leaf breaks it; leaves that are not floats must be equal."""
    if jax.tree.structure(actual) != jax.tree.structure(expected):
        raise AssertionError(f"{claim}: {jax.tree.structure(actual)} is not {jax.tree.structure(expected)}")
    for (path, x), (_, y) in zip(named_leaves(actual), named_leaves(expected), strict=True):
        x, y = plain(x), plain(y)
        if x.shape != y.shape or x.dtype != y.dtype:
            raise AssertionError(f"{claim}: {path} is {x.dtype}{x.shape}, not {y.dtype}{y.shape}")
        inexact = np.issubdtype(x.dtype, np.inexact)
        same = np.isclose(x, y, rtol=rtol, atol=atol, equal_nan=True) if inexact else x == y
        if not np.all(same):
            worst = tuple(int(i) for i in np.argwhere(~same)[0])
            raise AssertionError(
                f"{claim}: {path}{list(worst) or ''} is {x[worst]!r}, not {y[worst]!r} "
                f"({np.sum(~same)} of {same.size} elements differ)"
            )


def require_finite(claim: str, tree: Any) -> None:
    """Raises AssertionError when a floating leaf holds a NaN or an infinity."""
    for path, x in named_leaves(tree):
        x = plain(x)
        if np.issubdtype(x.dtype, np.inexact) and not np.all(np.isfinite(x)):
            raise AssertionError(f"{claim}: {path} holds {x[~np.isfinite(x)][0]}")


def require_same_types(claim: str, actual: Any, expected: Any) -> None:
    """Raises AssertionError when structure, shapes or dtypes (weak ones told apart) of two trees differ."""
    if jax.tree.structure(actual) != jax.tree.structure(expected):
        raise AssertionError(f"{claim}: {jax.tree.structure(actual)} is not {jax.tree.structure(expected)}")
    for (path, x), (_, y) in zip(named_leaves(actual), named_leaves(expected), strict=True):
        x, y = jax.typeof(x), jax.typeof(y)
        if (x.shape, x.dtype, x.weak_type) != (y.shape, y.dtype, y.weak_type):
            raise AssertionError(f"{claim}: {path} is {x.str_short()}, not {y.str_short()}")
