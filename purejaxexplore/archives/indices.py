"""Index functions: which slot of an :class:`~.archive.Archive` a candidate goes to.

``key_slots`` and ``grid_slots`` are arithmetic. ``hash_slots`` gives unbounded integer keys a slot by open
addressing. ``fifo_slots``, ``reservoir_slots`` and ``lowest_slots`` treat the archive as a bounded list;
their slots are distinct and go to :func:`~.archive.write`, which overwrites, not to :func:`~.archive.insert`,
which compares. Slot ``C`` means nowhere.
"""

import math

import jax
import jax.numpy as jnp

from purejaxexplore.archives.archive import FREE, Archive

_GRID_SHIFT = 1e-6  # a descriptor on a cell's lower edge must not fall below it by rounding, as in pyribs

_WINDOW = 8  # probes that a lane looks up at a time: most keys are found in one go, also in a table that is 60 % full


def key_slots(archive: Archive, key: jax.Array, valid: jax.Array) -> tuple[jax.Array, Archive]:
    """Enumerable keys: the slot is the key.

    Args:
        archive: the archive.
        key: i32[B, 1]; a key outside [0, C) goes nowhere.
        valid: bool[B]; an invalid lane goes nowhere.

    Returns:
        slot i32[B], and the archive as it was.
    """
    key = key[:, 0]
    return jnp.where(valid & (key >= 0) & (key < archive.capacity), key, archive.capacity).astype(jnp.int32), archive


def grid_slots(descriptor: jax.Array, low: jax.Array, high: jax.Array, bins: tuple[int, ...]) -> jax.Array:
    """Cells of a regular grid, row-major.

    Args:
        descriptor: f32[B, D]; outliers go to the cells of the edge, a descriptor with a NaN goes nowhere.
        low: f32[D], lower corner.
        high: f32[D], upper corner.
        bins: number of cells along each of the ``D`` dimensions; their product is ``C``.

    Returns:
        slot i32[B].
    """
    bins_per_axis = jnp.asarray(bins, jnp.int32)
    scaled = (descriptor - jnp.asarray(low)) / (jnp.asarray(high) - jnp.asarray(low)) * bins_per_axis + _GRID_SHIFT
    # Clipped as floats: an infinite descriptor has no integer.
    cell = jnp.clip(jnp.floor(scaled), 0, bins_per_axis - 1).astype(jnp.int32)
    slot, capacity = jnp.zeros(descriptor.shape[:-1], jnp.int32), 1
    for axis, size in enumerate(bins):
        slot = slot * size + cell[..., axis]
        capacity *= size
    return jnp.where(jnp.isnan(descriptor).any(-1), capacity, slot)


def mix(word: jax.Array) -> jax.Array:
    """The finaliser of MurmurHash3 (Appleby, 2011): a bijection of u32 that spreads every input bit over the word."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)


def hash_words(words: jax.Array, salt: int) -> jax.Array:
    """A 32-bit hash, u32[B], of integer vectors i32 or u32[B, d]; different salts give independent hashes."""
    words = words.astype(jnp.uint32)
    state = jnp.full(words.shape[:-1], salt, jnp.uint32)
    for i in range(words.shape[-1]):
        state = mix((state ^ words[..., i]) * jnp.uint32(0x9E3779B1) + jnp.uint32(salt))
    return state


def hash_slots(archive: Archive, key: jax.Array, valid: jax.Array, probes: int = 32) -> tuple[jax.Array, Archive]:
    """Finds or claims a slot for each integer key: open addressing with double hashing.

    Equal keys, in this batch or from earlier ones, share a slot. Two different keys share one only if a probe
    of one meets the slot of the other and their 32-bit fingerprints agree: about (occupied slots visited) /
    2^32. Of keys that want the same free slot the smallest fingerprint gets it, so the outcome does not
    depend on the order of lanes. With 32 probes no key is dropped up to a load of about 0.75; size ``C`` for
    0.6 and watch ``overflow``.

    Args:
        archive: the archive, with ``key`` and a capacity that is a power of two.
        key: i32 or u32[B, d]. Quantise floats first.
        valid: bool[B]; an invalid lane claims nothing and goes nowhere.
        probes: slots that a key may try before it is dropped and counted in ``overflow``.

    Returns:
        slot i32[B], and the archive with the new keys claimed.

    Raises:
        ValueError: the capacity is not a power of two.
    """
    fingerprint, slot_at, advance = _probing(archive.capacity, key, probes)

    def claim(carry):
        table, probe, searching = carry
        probe = advance(table, probe, searching)
        searching &= probe < probes
        # Only free slots and slots that hold this very fingerprint are written: a minimum never evicts a key.
        table = table.at[jnp.where(searching, slot_at(probe), archive.capacity)].min(fingerprint, mode="drop")
        return table, probe, searching & (table[slot_at(probe)] != fingerprint)

    start = archive.key, jnp.zeros(valid.shape, jnp.uint32), valid
    table, probe, _ = jax.lax.while_loop(lambda carry: carry[2].any(), claim, start)
    found = valid & (probe < probes)
    slot = jnp.where(found, slot_at(probe), archive.capacity)
    dropped = jnp.sum(valid & ~found, dtype=jnp.int32)
    return slot, archive._replace(key=table, overflow=archive.overflow + dropped)


def find_slots(archive: Archive, key: jax.Array, valid: jax.Array, probes: int = 32) -> jax.Array:
    """The slots that :func:`hash_slots` gave to keys, i32[B]; ``C`` for a key that has none, and an invalid lane."""
    fingerprint, slot_at, advance = _probing(archive.capacity, key, probes)
    probe = advance(archive.key, jnp.zeros(valid.shape, jnp.uint32), valid)
    slot = slot_at(probe)
    return jnp.where(valid & (probe < probes) & (archive.key[slot] == fingerprint), slot, archive.capacity)


def _probing(capacity: int, key: jax.Array, probes: int):
    """Of integer keys [B, d] the fingerprints, the slots ``probe -> i32[B]`` to try, and a way through a table of them.

    The latter, ``(table, probe, searching) -> probe``, moves each searching lane to the first slot that is its own or
    free; it reads the table and never writes it.
    """
    require_power_of_two(capacity)
    home = hash_words(key, 0x2545F491)
    stride = mix(home) | jnp.uint32(1)  # odd, so that the probes of a key run through all of a power of two
    fingerprint = jnp.minimum(hash_words(key, 0x6C62272E), FREE - 1)
    window = jnp.arange(_WINDOW, dtype=jnp.uint32)[:, None]

    def slot_at(probe):
        return ((home + probe * stride) & jnp.uint32(capacity - 1)).astype(jnp.int32)

    def advance(table, probe, searching):
        def look(carry):
            probe, moving = carry
            held = table[jax.vmap(slot_at)(probe + window)]
            passed = jnp.min(jnp.where((held == fingerprint) | (held == FREE), window, _WINDOW), axis=0)
            probe = probe + jnp.where(moving, passed, 0)
            return probe, moving & (passed == _WINDOW) & (probe < probes)

        return jax.lax.while_loop(lambda carry: carry[1].any(), look, (probe, searching))[0]

    return fingerprint, slot_at, advance


def require_power_of_two(capacity: int) -> None:
    """Raises ValueError, naming the nearest valid one, when ``capacity`` does not suit the hash index."""
    if capacity & (capacity - 1):
        nearest = 2 ** round(math.log2(capacity))
        raise ValueError(f"capacity={capacity}: the hash index needs a power of two, the nearest is {nearest}")


def fifo_slots(archive: Archive, valid: jax.Array) -> tuple[jax.Array, Archive]:
    """A ring: the oldest item leaves. Of a batch larger than the ring its last ``C`` valid items stay.

    Returns:
        slot i32[B], and the archive with ``n`` advanced by the number of valid items.
    """
    number = archive.n + jnp.cumsum(valid, dtype=jnp.int32) - 1
    n = archive.n + jnp.sum(valid, dtype=jnp.int32)
    stays = valid & (number >= n - archive.capacity)
    return jnp.where(stays, number % archive.capacity, archive.capacity), archive._replace(n=n)


def reservoir_slots(key: jax.Array, archive: Archive, valid: jax.Array) -> tuple[jax.Array, Archive]:
    """Algorithm R (Vitter, 1985, "Random sampling with a reservoir"): every item ever offered is equally
    likely to be there.

    Item number m is appended while m < C; later it replaces slot j ~ U{0..m} if j < C. The valid items of a
    batch have consecutive numbers; where two want one slot, the later has it, as if they had come one by one.

    Returns:
        slot i32[B], and the archive with ``n`` advanced by the number of valid items (at most 2^31 - 2 in
        all).
    """
    capacity = archive.capacity
    number = archive.n + jnp.cumsum(valid, dtype=jnp.int32) - 1
    drawn = jax.random.randint(key, valid.shape, 0, jnp.maximum(number, 0) + 1)
    slot = jnp.where(number < capacity, number, drawn)
    slot = jnp.where(valid & (slot < capacity), slot, capacity)
    lane = jnp.arange(valid.shape[0], dtype=jnp.int32)
    owner = archive.owner.at[slot].set(-1, mode="drop").at[slot].max(lane, mode="drop")
    slot = jnp.where(owner.at[slot].get(mode="fill", fill_value=-1) == lane, slot, capacity)
    return slot, archive._replace(owner=owner, n=archive.n + jnp.sum(valid, dtype=jnp.int32))


def lowest_slots(archive: Archive, score: jax.Array, valid: jax.Array) -> tuple[jax.Array, Archive]:
    """Keeps the ``C`` highest scores of old and new together: the lowest leave.

    At equal scores an old item stays before a new one and a lower lane before a higher. One ``top_k`` over C
    + B
    items: for capacities up to a few thousand.

    Args:
        archive: the archive; its ``score`` is the priority. Write the new scores with the slots.
        score: f32[B]; NaN and -inf are not stored.
        valid: bool[B].

    Returns:
        slot i32[B], and the archive, in which ``n`` has grown by the number of valid items.
    """
    capacity = archive.capacity
    valid = valid & (score > -jnp.inf)
    joint = jnp.concatenate([archive.score, jnp.where(valid, score, -jnp.inf)])
    _, best = jax.lax.top_k(joint, capacity)
    kept = jnp.zeros(joint.shape, bool).at[best].set(True, unique_indices=True)
    enters = kept[capacity:] & valid
    (vacated,) = jnp.nonzero(~(kept[:capacity] & archive.filled), size=valid.shape[0], fill_value=capacity)
    order = jnp.cumsum(enters, dtype=jnp.int32) - 1
    slot = jnp.where(enters, vacated[jnp.maximum(order, 0)], capacity).astype(jnp.int32)
    return slot, archive._replace(n=archive.n + jnp.sum(valid, dtype=jnp.int32))
