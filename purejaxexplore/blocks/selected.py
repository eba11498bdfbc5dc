"""Work that only a few rows of a batch need."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def map_selected(
    function: Callable[[jax.Array], jax.Array], selected: jax.Array, default: jax.Array, block_size: int
) -> jax.Array:
    """``default`` with the selected rows replaced by ``function`` of their indices, a block of rows at a time.

    Costs as many calls of ``function`` as blocks of selected rows exist (under ``vmap``, as the seed with most of them
    needs), where a masked ``function(all rows)`` would pay for every row.

    Args:
        function: ``i32[block_size] -> [block_size, ...]``, the rows' new values; indices of padding repeat a valid row.
        selected: bool[B].
        default: [B, ...].
        block_size: static, at most B.
    """
    size = selected.shape[0]
    num_blocks = -(-size // block_size)
    count = selected.sum()
    rows = jnp.nonzero(selected, size=num_blocks * block_size, fill_value=size)[0]

    def unfinished(carry):
        return carry[0] * block_size < count

    def replace(carry):
        block, values = carry
        chosen = jax.lax.dynamic_slice_in_dim(rows, block * block_size, block_size)
        return block + 1, values.at[chosen].set(function(jnp.minimum(chosen, size - 1)), mode="drop")

    return jax.lax.while_loop(unfinished, replace, (jnp.int32(0), default))[1]
