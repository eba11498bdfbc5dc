"""Visit counters of an :class:`~.archive.Archive`: integers, so that scatter-adds are exact in any order."""

import jax
import jax.numpy as jnp

from purejaxexplore.archives.archive import Archive

COUNTERS = ("seen", "chosen", "fresh")
_PAIRWISE_LIMIT = 48  # longest rollout whose repeats are found by comparing all pairs; beyond it sorting is cheaper


def touch(archive: Archive, slot: jax.Array) -> Archive:
    """Adds 1 to ``seen`` once for every pair of a rollout and a slot that it passed through.

    Args:
        archive: the archive, with ``seen``.
        slot: i32[k, N], slots in the order of visit (first axis) of ``N`` rollouts; ``C`` is nowhere.
    """
    return archive._replace(seen=archive.seen.at[distinct(slot, archive.capacity).ravel()].add(1, mode="drop"))


def distinct(slot: jax.Array, capacity: int) -> jax.Array:
    """The slots of each rollout without repeats: ``slot`` i32[k, N] with every repeat replaced by ``capacity``.

    The order along the first axis is not kept for rollouts longer than 48 steps.
    """
    if slot.shape[0] <= _PAIRWISE_LIMIT:
        earlier = jnp.tri(slot.shape[0], k=-1, dtype=bool)[:, :, None]
        repeat = jnp.any(earlier & (slot[:, None] == slot[None]), axis=1)
        return jnp.where(repeat, capacity, slot)
    ordered = jnp.sort(slot, axis=0)
    repeat = jnp.concatenate([jnp.zeros_like(ordered[:1], bool), ordered[1:] == ordered[:-1]])
    return jnp.where(repeat, capacity, ordered)


def count_visits(
    archive: Archive, origin: jax.Array, slot: jax.Array, win: jax.Array, reset_on_update: bool
) -> Archive:
    """Go-Explore's bookkeeping after the insertion of ``N`` rollouts of ``k`` steps.

    The slot from which a rollout started has ``chosen``, ``fresh`` and ``seen`` raised by 1, every other slot that it
    passed through ``seen``, once. ``fresh`` returns to 0 where a rollout stored something. With ``reset_on_update`` a
    slot with a new record returns to 0 in all three, last of all.

    Args:
        archive: the archive, after the insertion, with all three counters.
        origin: i32[N], slot from which each rollout started; ``C`` is nowhere.
        slot: i32[k, N], slots of the visited states.
        win: bool[k, N], the visit is the one that is stored.
        reset_on_update: see above.
    """
    archive = touch(archive, jnp.concatenate([origin[None], slot]))
    chosen = archive.chosen.at[origin].add(1, mode="drop")
    productive = jnp.where(win.any(0), origin, archive.capacity)
    fresh = archive.fresh.at[origin].add(1, mode="drop").at[productive].set(0, mode="drop")
    archive = archive._replace(chosen=chosen, fresh=fresh)
    if not reset_on_update:
        return archive
    stored = jnp.where(win, slot, archive.capacity).ravel()
    return archive._replace(**{name: getattr(archive, name).at[stored].set(0, mode="drop") for name in COUNTERS})
