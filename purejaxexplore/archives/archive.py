"""The one archive: a table of slots that keeps the best record ever offered to each slot.

Go-Explore's cells, MAP-Elites' repertoire, novelty archives, program databases and task buffers are this
pytree with different optional fields; where a candidate goes is decided by an index function
(:mod:`.indices`), which slot is taken next by a weight function (:mod:`.weights`). Capital ``C`` is the
number of slots, ``B`` the number of candidates.

A batch is inserted by a deterministic scatter-argmax in three rounds (score, then tie, then lane), each made
of scatter-max and scatter-min only. Those are order-free, so the result is bit-equal on every backend, under
``vmap`` and for any split of the candidates into batches, and every field of a record comes from the same
candidate. The usual idiom (segment-max, keep whatever equals the maximum, scatter) leaves ties to the order
of the scatter, field by field.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_at_least

_WORST_TIE = jnp.iinfo(jnp.int32).max
OPTIONAL_FIELDS = ("tie", "node", "seen", "chosen", "fresh", "thr", "key")
FREE = np.uint32(0xFFFFFFFF)  # fingerprint of an unclaimed slot: the largest, so that a scatter-min claims it


class Archive(NamedTuple):
    """``C`` slots; a slot with ``score == -inf`` is empty. Fields that a system does not use are None.

    Attributes:
        score: f32[C], quality of the elite, higher is better.
        owner: i32[C], scratch of :func:`insert` (the winning lane), never read elsewhere.
        payload: pytree of [C, ...], what is kept: packed environment state, genome, tokens ...
        tie: i32[C] or None, smaller is better among equal scores: trajectory length, age, program length.
        node: i32[C] or None, pointer into a trajectory log (:mod:`.trajectory`) or a lineage.
        seen: i32[C] or None, number of rollouts that passed through the slot.
        chosen: i32[C] or None, number of times the slot was selected.
        fresh: i32[C] or None, number of times it was selected since that last led to something new.
        thr: f32[C] or None, an acceptance threshold or a priority of its own.
        key: u32[C] or None, fingerprint of the hash key that claimed the slot; ``FREE`` if none did.
        desc: f32[C, D] or None, descriptor.
        n: i32, items ever offered to a list (:mod:`.indices`).
        overflow: i32, candidates dropped because the index found no slot for them.
    """

    score: jax.Array
    owner: jax.Array
    payload: Any
    tie: jax.Array | None
    node: jax.Array | None
    seen: jax.Array | None
    chosen: jax.Array | None
    fresh: jax.Array | None
    thr: jax.Array | None
    key: jax.Array | None
    desc: jax.Array | None
    n: jax.Array
    overflow: jax.Array

    @property
    def capacity(self) -> int:
        """``C``."""
        return self.score.shape[-1]

    @property
    def filled(self) -> jax.Array:
        """bool[C], which slots hold a record."""
        return self.score > -jnp.inf


class InsertInfo(NamedTuple):
    """What became of each candidate, judged against the archive as it was before the batch.

    Attributes:
        status: i32[B], 0 rejected, 1 better than the slot's old record, 2 the slot was empty.
        value: f32[B], score minus the old score (the score itself for an empty slot, -inf for an invalid
            candidate).
        slot: i32[B], where it was sent; ``C`` is nowhere.
        win: bool[B], it is the one that is stored now; at most one candidate a slot.
    """

    status: jax.Array
    value: jax.Array
    slot: jax.Array
    win: jax.Array


def init(payload: Any, capacity: int, fields: tuple[str, ...] = (), descriptor_size: int | None = None) -> Archive:
    """An empty archive.

    Args:
        payload: pytree of arrays (or shapes), one record without the slot axis.
        capacity: ``C``.
        fields: which of ``OPTIONAL_FIELDS`` to allocate.
        descriptor_size: ``D``, allocates ``desc``.

    Raises:
        ValueError: ``capacity`` is not positive, or a field is unknown.
    """
    require_at_least(1, capacity=capacity)
    for name in fields:
        if name not in OPTIONAL_FIELDS:
            raise ValueError(f"fields={fields!r}: {name!r} is unknown, expected some of {', '.join(OPTIONAL_FIELDS)}")

    def column(name, value, dtype=jnp.int32):
        return jnp.full(capacity, value, dtype) if name in fields else None

    return Archive(
        score=jnp.full(capacity, -jnp.inf, jnp.float32),
        owner=jnp.zeros(capacity, jnp.int32),
        payload=jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), payload),
        tie=column("tie", _WORST_TIE),
        node=column("node", -1),
        seen=column("seen", 0),
        chosen=column("chosen", 0),
        fresh=column("fresh", 0),
        thr=column("thr", -jnp.inf, jnp.float32),
        key=column("key", FREE, jnp.uint32),
        desc=None if descriptor_size is None else jnp.zeros((capacity, descriptor_size), jnp.float32),
        n=jnp.int32(0),
        overflow=jnp.int32(0),
    )


def insert(
    archive: Archive,
    slot: jax.Array,
    score: jax.Array,
    payload: Any,
    *,
    tie: jax.Array | None = None,
    node: jax.Array | None = None,
    desc: jax.Array | None = None,
    valid: jax.Array | bool = True,
) -> tuple[Archive, InsertInfo]:
    """Offers ``B`` candidates; each slot keeps the best of its old record and its candidates.

    Better is a higher score, then a smaller ``tie``; between candidates that are equal in both the lowest
    lane is stored, and an equal candidate never evicts the record that is there.

    Args:
        archive: the archive.
        slot: i32[B], in [0, C); anything else is nowhere. Resolve hash slots for valid lanes only.
        score: f32[B]; NaN and -inf are rejected.
        payload: pytree of [B, ...].
        tie: i32[B], needed if the archive has ``tie``.
        node: i32[B], needed if the archive has ``node``.
        desc: f32[B, D], needed if the archive has ``desc``.
        valid: bool[B].

    Returns:
        The archive and the :class:`InsertInfo`.
    """
    capacity = archive.capacity
    lane = jnp.arange(slot.shape[0], dtype=jnp.int32)
    score = jnp.where(score == 0, 0.0, score).astype(jnp.float32)  # one zero: the maximum of -0 and +0 is either

    valid = valid & (score > -jnp.inf) & (slot >= 0) & (slot < capacity)
    slot = jnp.where(valid, slot, capacity)
    old = archive.score.at[slot].get(mode="fill", fill_value=jnp.inf)
    ahead = score > old
    candidate = ahead
    if archive.tie is not None:
        old_tie = archive.tie.at[slot].get(mode="fill", fill_value=jnp.iinfo(jnp.int32).min)
        candidate = ahead | ((score == old) & (tie < old_tie))

    scores = archive.score.at[_only(candidate, slot, capacity)].max(score, mode="drop")
    finalist = candidate & (score == scores.at[slot].get(mode="fill", fill_value=jnp.inf))

    ties = archive.tie
    if ties is not None:
        # A higher score makes the old tie void; every writer writes the same value, so their order is free.
        ties = ties.at[_only(finalist & ahead, slot, capacity)].set(_WORST_TIE, mode="drop")
        ties = ties.at[_only(finalist, slot, capacity)].min(tie, mode="drop")
        finalist &= tie == ties.at[slot].get(mode="fill", fill_value=_WORST_TIE)

    final_slot = _only(finalist, slot, capacity)
    owner = archive.owner.at[final_slot].set(_WORST_TIE, mode="drop").at[final_slot].min(lane, mode="drop")
    win = finalist & (owner.at[slot].get(mode="fill", fill_value=-1) == lane)

    archive = archive._replace(score=scores, tie=ties, owner=owner)
    archive = write(archive, slot, win, payload=payload, node=node, desc=desc)
    new = old == -jnp.inf
    status = jnp.where(candidate, jnp.where(new, 2, 1), 0).astype(jnp.int32)
    value = jnp.where(valid, jnp.where(new, score, score - old), -jnp.inf)
    return archive, InsertInfo(status, value, slot, win)


def write(archive: Archive, slot: jax.Array, mask: jax.Array, **fields: Any) -> Archive:
    """Overwrites whole records, whatever their scores.

    Args:
        archive: the archive.
        slot: i32[B]; the slots of the masked lanes are distinct and inside [0, C).
        mask: bool[B], which lanes are written.
        **fields: names of :class:`Archive` and their values, pytrees of [B, ...]; a field that the archive
            has not allocated is ignored, one that is not named keeps its old content.
    """
    # Distinct indices also for the lanes that are dropped, so that unique_indices states the truth.
    index = jnp.where(mask, slot, archive.capacity + jnp.arange(slot.shape[0], dtype=jnp.int32))

    def store(column, value):
        return column.at[index].set(value, mode="drop", unique_indices=True)

    return archive._replace(
        **{
            name: jax.tree.map(store, getattr(archive, name), value)
            for name, value in fields.items()
            if getattr(archive, name) is not None
        }
    )


def stats(archive: Archive, offset: float = 0.0, reachable: int | None = None) -> dict[str, jax.Array]:
    """Scalars of an archive, each O(C).

    Args:
        archive: the archive.
        offset: the smallest possible score, subtracted from every score in the QD-score.
        reachable: number of slots that can be filled at all; default ``C``.

    Returns:
        ``cells`` (filled slots), ``coverage`` (cells / reachable), ``qd_score`` (sum of score - offset),
        ``max_score``, ``mean_score`` and, if visits are counted, ``seen_entropy`` (nats, of the visit
        distribution); the maximum and mean of an empty archive are -inf and 0.
    """
    filled = archive.filled
    cells = filled.sum()
    total = jnp.sum(jnp.where(filled, archive.score, 0.0))
    result = {
        "cells": cells,
        "coverage": cells / (reachable or archive.capacity),
        "qd_score": total - offset * cells,
        "max_score": archive.score.max(),
        "mean_score": total / jnp.maximum(cells, 1),
    }
    if archive.seen is not None:
        share = archive.seen / jnp.maximum(archive.seen.sum(), 1)
        result["seen_entropy"] = -jnp.sum(jax.scipy.special.xlogy(share, share))
    return result


def _only(mask: jax.Array, slot: jax.Array, capacity: int) -> jax.Array:
    """``slot`` where ``mask`` holds, nowhere else."""
    return jnp.where(mask, slot, capacity)
