"""Cells of shrunk frames whose size and depth are searched anew during a run.

Ecoffet, Huizinga, Lehman, Stanley and Clune (2021), "First return, then explore", Methods, "Dynamic cell
representation", and the released program. Frames met lately are kept with a small probability. Every so many steps, and
when the archive has grown beyond a limit, a height, a width and a depth are searched that divide these frames best
(:func:`.downscaling.representativeness`). Proposals come one after the other from geometric distributions with the best
one so far as their mean, or a twentieth of the frame and 12 levels where that is more. Then every record moves to its
cell under the new sizes, where the usual comparison decides between records.

The sizes are data: images are padded to the largest size, and a cell is a hash of its levels. What differs from the
program: instead of frames the packed states are kept, from which frames are drawn when they are needed, so equal frames
may be among them; at least ``num_frames`` of them are met between two searches that the size of the archive calls for;
and only the records of today's archive move, not those that lost their place under earlier sizes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from purejaxexplore.archives import archive as table
from purejaxexplore.archives import cells, indices
from purejaxexplore.archives.archive import Archive
from purejaxexplore.archives.counters import COUNTERS
from purejaxexplore.archives.downscaling import Sizes, representativeness, search
from purejaxexplore.archives.packing import packing
from purejaxexplore.checks import require_at_least, require_between

_CHUNK = 1024  # records whose frames are drawn at a time


@flax.struct.dataclass
class RefitConfig:
    """When and how the sizes are searched; the defaults are the paper's, except for the sizes of tables.

    Attributes:
        every: steps between two searches; the paper's 10 million frames are 2.5 million steps of four.
        first: steps before the first search; 100,000 frames in the paper.
        max_cells: records beyond which sizes are searched at once; 50,000 in the paper.
        keep: probability that a visited state is kept for the next search.
        target: cells wanted for each frame.
        initial: height, width and depth before the first search; those of Go-Explore on Montezuma (2019).
        most: largest height and width.
        num_frames: ``M``, states kept, the latest ones; 10,000 in the paper.
        num_proposals: sizes tried in a search; 3,000 in the paper.
        pixel_range: length of the interval of pixel values.
    """

    every: int = 2_500_000
    first: int = 25_000
    max_cells: int = 50_000
    keep: float = 0.01
    target: float = 0.125
    initial: tuple[int, int, int] = flax.struct.field(pytree_node=False, default=(8, 11, 8))
    most: tuple[int, int] = flax.struct.field(pytree_node=False, default=(16, 16))
    num_frames: int = flax.struct.field(pytree_node=False, default=1000)
    num_proposals: int = flax.struct.field(pytree_node=False, default=100)
    pixel_range: float = flax.struct.field(pytree_node=False, default=256.0)


class View(NamedTuple):
    """What decides the cells now.

    Attributes:
        sizes: the :class:`.downscaling.Sizes`, i32 each.
        recent: Archive of M packed states, a ring; ``n`` counts those since the last search.
        due: i32, steps at which the next search is due.
        fits: i32, searches done.
    """

    sizes: Sizes
    recent: Archive
    due: jax.Array
    fits: jax.Array


class RefittedCells(NamedTuple):
    """Cells that change during a run, to be given to ``go_explore`` as ``cell``.

    Attributes:
        init: ``packed state -> View``.
        cell: ``View -> CellFunction``; a cell is i32[2].
        update: ``(key, view, packed states [N, ...], kept bool[N], archive, env_steps, probes, reset_on_update) ->
            (view, archive)``, after each iteration; the archive's payload has the field ``packed``.
    """

    init: Callable[[Any], View]
    cell: Callable[[View], cells.CellFunction]
    update: Callable[..., tuple[View, Archive]]


def refitted(env: Any, env_params: Any, config: RefitConfig) -> RefittedCells:
    """Cells of shrunk frames, refitted during the run.

    Args:
        env: an environment whose observations are images [H, W] or [H, W, channels] and follow from the state by
            ``get_obs``, or that has ``frame_shape`` and ``shrinking(rows, columns)``, which makes a function from
            a state to ``rows @ frame @ columns.T``.
        env_params: its parameters.
        config: the settings.

    Raises:
        ValueError: a setting is out of range, or the observation is not an image.
    """
    shrinking, pixels = shrinker(env, env_params)
    _require(config, pixels)
    unpack = packing(env, env_params)[1]

    def function(sizes):
        rows, columns = (
            cells.areas(out, most, size)
            for out, most, size in zip(sizes[:2], config.most, pixels, strict=True)
        )
        return cells.shrunk(shrinking(rows, columns), sizes.depth, config.pixel_range)

    def init(packed):
        sizes = Sizes(*map(jnp.int32, config.initial))
        return View(sizes, table.init(packed, config.num_frames), jnp.int32(config.first), jnp.int32(0))

    def words(sizes, packed):
        """The cells of packed states, i32[N, 2]."""
        cell = function(sizes)
        return jax.lax.map(lambda one: cell(None, unpack(one), env_params), packed, batch_size=_CHUNK)

    def update(key, view, packed, kept, archive, env_steps, probes, reset_on_update):
        key_keep, key_search = jax.random.split(key)
        kept &= jax.random.uniform(key_keep, kept.shape) < config.keep
        slot, recent = indices.fifo_slots(view.recent, kept)
        view = view._replace(recent=table.write(recent, slot, slot < config.num_frames, payload=packed))

        def refit(carry):
            _, view, archive = carry
            met = jnp.arange(config.num_frames) < view.recent.n

            def score(sizes):
                return representativeness(words(sizes, view.recent.payload), config.target, met)

            most = (*config.most, 255)
            sizes = search(key_search, score, most, (*pixels, 240), config.num_proposals)
            archive = reindex(archive, words(sizes, archive.payload.packed), probes, reset_on_update)
            recent = view.recent._replace(n=jnp.int32(0))
            return jnp.bool_(False), View(sizes, recent, env_steps + config.every, view.fits + 1), archive

        crowded = (archive.filled.sum() > config.max_cells) & (view.recent.n >= config.num_frames)
        due = crowded | (env_steps >= view.due)
        # A loop of at most one round: unlike a condition it costs nothing under vmap while no seed is due.
        return jax.lax.while_loop(lambda carry: carry[0], refit, (due, view, archive))[1:]

    return RefittedCells(init, lambda view: function(view.sizes), update)


def shrinker(env: Any, env_params: Any) -> tuple[Callable, tuple[int, int]]:
    """``(shrinking, (H, W))``: the environment's own, or one that draws its observation.

    Raises:
        ValueError: the observation is not an image.
    """
    if hasattr(env, "shrinking"):
        return env.shrinking, env.frame_shape
    state = jax.eval_shape(env.reset_env, jax.random.key(0), env_params)[1]
    shape = jax.eval_shape(lambda state: env.get_obs(state, env_params), state).shape
    if len(shape) not in (2, 3):
        raise ValueError(f"env={type(env).__name__}: observations {shape} are no images [H, W] or [H, W, channels]")

    def shrinking(rows, columns):
        def shrink(state):
            image = jnp.asarray(env.get_obs(state, env_params), jnp.float32)
            return rows @ (image if image.ndim == 2 else image.mean(-1)) @ columns.T

        return shrink

    return shrinking, shape[:2]


def reindex(archive: Archive, key: jax.Array, probes: int, reset_on_update: bool) -> Archive:
    """The archive with every record in the slot of a new key; the best of those that meet there stays.

    Args:
        archive: the archive, with ``tie``, ``node``, ``key`` and the counters.
        key: i32[C, d], the new key of each record.
        probes: as of :func:`.indices.hash_slots`; what is dropped counts in ``overflow``.
        reset_on_update: a slot takes over the counters of its record; otherwise their sum over the records that met.
    """
    fields = [name for name in table.OPTIONAL_FIELDS if getattr(archive, name) is not None]
    record = jax.tree.map(lambda column: jax.ShapeDtypeStruct(column.shape[1:], column.dtype), archive.payload)
    fresh = table.init(record, archive.capacity, tuple(fields))._replace(n=archive.n, overflow=archive.overflow)
    slot, fresh = indices.hash_slots(fresh, key, archive.filled, probes)
    fresh, info = table.insert(fresh, slot, archive.score, archive.payload, tie=archive.tie, node=archive.node)
    counts = {name: getattr(archive, name) for name in COUNTERS}
    if reset_on_update:
        return table.write(fresh, info.slot, info.win, **counts)
    sums = {name: getattr(fresh, name).at[info.slot].add(counts[name], mode="drop") for name in COUNTERS}
    return fresh._replace(**sums)


def _require(config: RefitConfig, pixels: tuple[int, int]) -> None:
    sizes = ("every", "first", "max_cells", "num_frames", "num_proposals")
    require_at_least(1, **{name: getattr(config, name) for name in sizes if isinstance(getattr(config, name), int)})
    require_between(1e-6, 1.0, keep=config.keep, target=config.target)
    for name, most, given in zip(("height", "width"), config.most, pixels, strict=True):
        if not 1 <= most <= given:
            raise ValueError(f"most={config.most}: expected a {name} of 1 to {given}, the pixels of a frame")
    height, width, depth = config.initial
    if not (1 <= height <= config.most[0] and 1 <= width <= config.most[1] and 2 <= depth <= 255):
        raise ValueError(f"initial={config.initial}: expected at most {config.most}, and a depth of 2 to 255")
