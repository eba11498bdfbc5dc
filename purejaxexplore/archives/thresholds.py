"""Soft acceptance thresholds of archive slots, annealed from the worst fitness to the best.

Fontaine and Nikolaidis (2023), "Covariance matrix adaptation MAP-annealing". A candidate of score f is acceptable to
its slot if f > thr, and improves it by f - thr. A slot with k acceptable candidates of mean m moves to

    thr <- (1 - alpha)^k thr + (1 - (1 - alpha)^k) m

as if each were the mean. With alpha = 0 the thresholds stand still, with alpha = 1 they are the last accepted scores.
"""

import jax
import jax.numpy as jnp


def anneal(
    thr: jax.Array, slot: jax.Array, score: jax.Array, alpha: jax.Array | float, valid: jax.Array | bool = True
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Offers ``B`` candidates to the thresholds of their slots.

    Sums of scores are added in the order of the lanes on a CPU; an accelerator may add them in another order, which
    rounds differently.

    Args:
        thr: f32[C], finite.
        slot: i32[B]; outside [0, C) is nowhere.
        score: f32[B]; NaN is not acceptable.
        alpha: learning rate in [0, 1].
        valid: bool[B].

    Returns:
        The new thresholds; accepted bool[B]; value f32[B], score minus the old threshold (-inf for a candidate that is
        invalid or nowhere).
    """
    capacity = thr.shape[0]
    inside = valid & (slot >= 0) & (slot < capacity) & (score > -jnp.inf)
    old = thr.at[slot].get(mode="fill", fill_value=jnp.inf)
    accepted = inside & (score > old)
    index = jnp.where(accepted, slot, capacity)
    count = jnp.zeros(capacity, jnp.int32).at[index].add(1, mode="drop")
    excess = jnp.zeros(capacity).at[index].add(jnp.where(accepted, score - old, 0.0), mode="drop")
    here = jnp.maximum(count.at[index].get(mode="clip"), 1)
    mean_excess = excess.at[index].get(mode="clip") / here
    moved = old + (1.0 - jnp.power(1.0 - jnp.asarray(alpha, jnp.float32), here)) * mean_excess
    # All lanes of a slot write the same number, so their order is free.
    return thr.at[index].set(moved, mode="drop"), accepted, jnp.where(inside, score - old, -jnp.inf)
