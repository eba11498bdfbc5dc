"""Minibatch epochs: the inner loop of every learner that fits a network to a rollout."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def shuffled_indices(key: jax.Array, n: int) -> jax.Array:
    """A pseudo-random permutation of ``0 .. n - 1``, i32[n], without a sort.

    ``jax.random.permutation`` sorts twice, which on CPU costs a tenth of a PPO update. Where ``n`` is a power of two a
    keyed bijection of the integers mod n (four rounds of multiply by an odd number, add, xor-shift) costs nothing;
    other sizes take one sort of 32-bit words.
    """
    bits = n.bit_length() - 1
    if n != 1 << bits or bits < 4:
        return jnp.argsort(jax.random.bits(key, (n,))).astype(jnp.int32)
    mask = jnp.uint32(n - 1)
    x = jnp.arange(n, dtype=jnp.uint32)
    for multiplier, offset in jax.random.bits(key, (4, 2)):
        x = (x * (multiplier | 1) + (offset >> 7)) & mask
        x = x ^ (x >> ((bits + 1) // 2))
    return x.astype(jnp.int32)


def minibatch_epochs(
    key: jax.Array,
    update: Callable[[jax.Array, Any, Any], tuple[Any, Any]],
    carry: Any,
    batch: Any,
    num_epochs: int,
    num_minibatches: int,
) -> tuple[Any, Any]:
    """Passes ``num_epochs`` times over ``batch`` in shuffled minibatches.

    Args:
        key: consumed once.
        update: ``(key, carry, minibatch) -> (carry, info)``.
        carry: what is being fitted (parameters, optimiser state).
        batch: pytree of ``[B, ...]`` arrays; ``num_minibatches`` divides ``B``.
        num_epochs, num_minibatches: static.

    Returns:
        The last carry and the infos with leading axes ``[num_epochs, num_minibatches]``.
    """
    size = jax.tree.leaves(batch)[0].shape[0]
    packed, unpack = pack_rows(batch)

    def epoch(carry, keys):
        rows = shuffled_indices(keys[0], size).reshape(num_minibatches, -1)

        def minibatch(carry, key_rows):
            key, rows = key_rows
            return update(key, carry, unpack(jax.tree.map(lambda x: x[rows], packed)))

        return jax.lax.scan(minibatch, carry, (keys[1:], rows))

    return jax.lax.scan(epoch, carry, jax.random.split(key, (num_epochs, 1 + num_minibatches)))


def pack_rows(batch: Any) -> tuple[tuple[jax.Array, ...], Callable[[Any], Any]]:
    """Puts the narrow 32-bit leaves of a batch side by side, so that a minibatch gathers one matrix and not each leaf.

    Returns:
        The packed arrays, each with the rows of ``batch``, and the function that takes any gathered rows of them back
        to the structure of ``batch``.
    """
    leaves, structure = jax.tree.flatten(batch)
    narrow = [leaf.dtype.itemsize == 4 and 0 < math.prod(leaf.shape[1:]) <= 32 for leaf in leaves]
    columns = [
        jax.lax.bitcast_convert_type(leaf, jnp.uint32).reshape((leaf.shape[0], -1))
        for leaf, small in zip(leaves, narrow, strict=True)
        if small
    ]
    wide = [leaf for leaf, small in zip(leaves, narrow, strict=True) if not small]
    packed = (jnp.concatenate(columns, 1) if columns else None, *wide)

    def unpack(rows):
        matrix, *rest = rows
        rest, offset, restored = iter(rest), 0, []
        for leaf, small in zip(leaves, narrow, strict=True):
            if not small:
                restored.append(next(rest))
                continue
            width = math.prod(leaf.shape[1:])
            column = jax.lax.bitcast_convert_type(matrix[:, offset : offset + width], leaf.dtype)
            restored.append(column.reshape((matrix.shape[0], *leaf.shape[1:])))
            offset += width
        return jax.tree.unflatten(structure, restored)

    return packed, unpack


def require_divisible(name: str, num_minibatches: int, what: str, size: int) -> None:
    """Raises ValueError unless ``num_minibatches`` divides ``size``, naming both and the nearest choices."""
    if num_minibatches < 1 or size % num_minibatches:
        allowed = [d for d in range(1, min(size, 1024) + 1) if size % d == 0]
        nearest = sorted(sorted(allowed, key=lambda d: abs(d - num_minibatches))[:3])
        raise ValueError(f"{name}={num_minibatches} does not divide {what}={size}: choose one of {nearest}")
