"""Cell functions: which states count as the same place.

A cell function is ``(observation, state, env_params) -> i32[d]`` (or a scalar) for one environment. Vectors
of any integers go with the hash index; a scalar id in [0, C) goes with the key index as well, and a negative
id is nowhere. An environment with a method ``cell_key(state, params)`` brings its own.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.archives.indices import grid_slots
from purejaxexplore.checks import require_at_least

CellFunction = Callable[[Any, Any, Any], jax.Array]


def own_cells(env: Any) -> CellFunction:
    """The cells that an environment defines itself.

    Raises:
        ValueError: the environment has no ``cell_key(state, params)``.
    """
    if not hasattr(env, "cell_key"):
        raise ValueError(
            f"env={type(env).__name__}: has no cell_key(state, params); pass cell=, for instance cells.exact or"
            " cells.quantised(low, high, bins)"
        )
    return lambda observation, state, params: jnp.asarray(env.cell_key(state, params))


def exact(observation: Any, state: Any, params: Any) -> jax.Array:
    """Every distinct observation is a cell: the bits of all its numbers, i32[d]."""
    return jnp.concatenate([_bits(leaf) for leaf in jax.tree.leaves(observation)])


def quantised(low: Any, high: Any, bins: Any) -> CellFunction:
    """Rounds a vector observation down to a grid: one integer a dimension, i32[D], for the hash index.

    Args:
        low: f32[D], lower corner.
        high: f32[D], upper corner; the grid goes on beyond the corners, up to 2^20 cells.
        bins: i32[D], cells between the corners. A NaN has a cell of its own.
    """

    def cell(observation, state, params):
        scaled = (jnp.ravel(observation) - jnp.asarray(low)) / (jnp.asarray(high) - jnp.asarray(low))
        place = jnp.clip(jnp.floor(scaled * jnp.asarray(bins)), -(2.0**20), 2.0**20)
        return jnp.where(jnp.isnan(place), 2.0**20 + 1, place).astype(jnp.int32)

    return cell


def grid(low: Any, high: Any, bins: tuple[int, ...], descriptor: Callable[[Any, Any, Any], jax.Array] | None = None):
    """Cells of a bounded grid over a descriptor f32[D], as one id in [0, prod(bins)), for the key index.

    Args:
        low: f32[D], lower corner.
        high: f32[D], upper corner; outliers belong to the edge.
        bins: cells along each dimension.
        descriptor: ``(observation, state, params) -> f32[D]``; default the raveled observation.
    """

    def cell(observation, state, params):
        x = jnp.ravel(observation) if descriptor is None else descriptor(observation, state, params)
        slot = grid_slots(x, low, high, bins)
        return jnp.where(slot < math.prod(bins), slot, -1)

    return cell


def downscaled(height: int, width: int, depth: int, pixel_range: float = 256.0) -> CellFunction:
    """Go-Explore's domain-free cells: a grey image shrunk by area pooling, in ``depth`` levels of grey.

    Args:
        height: rows of the small image, at most those of the observation.
        width: its columns.
        depth: levels of grey, 2 to 255.
        pixel_range: the length of the interval of pixel values: 256 for bytes, 1 for floats in [0, 1].

    The image is ``[H, W]`` or ``[H, W, channels]``, of which the mean over channels is used.

    Returns:
        A cell function with i32[height * width].

    Raises:
        ValueError: a size is not positive.
    """
    require_at_least(1, height=height, width=width, depth=depth)

    def cell(observation, state, params):
        image = jnp.asarray(observation, jnp.float32)
        image = image if image.ndim == 2 else image.mean(-1)
        small = pooling(height, image.shape[0]) @ image @ pooling(width, image.shape[1]).T
        return grey_levels(small, depth, pixel_range).ravel()

    return cell


def shrunk(shrink: Callable[[Any], jax.Array], depth: jax.Array | int, pixel_range: float = 256.0) -> CellFunction:
    """As :func:`downscaled`, for a world that shrinks its frames without drawing them, by a :func:`digest`: i32[2].

    Args:
        shrink: ``state -> [h, w]``, the small grey image; a world's ``shrinking(rows, columns)`` makes one.
        depth: levels of grey, which like the image may depend on data.
        pixel_range: as of :func:`downscaled`.
    """
    return lambda observation, state, params: digest(grey_levels(shrink(state), depth, pixel_range))


def digest(levels: jax.Array) -> jax.Array:
    """Two 32-bit hashes of the numbers of an array, i32[2]: equal for equal arrays of one shape, whatever the shape.

    Each is a sum with fixed random coefficients modulo 2^32 (multilinear hashing, Carter and Wegman, 1979). Two given
    arrays of numbers below 256 share both with a probability below 2^-48.
    """
    coefficients = np.random.default_rng(0).integers(0, 2**32, (2, levels.size), dtype=np.uint32)
    sums = (levels.ravel().astype(jnp.uint32) * coefficients).sum(-1, dtype=jnp.uint32)
    return jax.lax.bitcast_convert_type(sums, jnp.int32)


def _bits(leaf: jax.Array) -> jax.Array:
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        value = jnp.ravel(leaf).astype(jnp.float32)
        return jax.lax.bitcast_convert_type(jnp.where(value == 0, 0.0, value), jnp.int32)
    return jnp.ravel(leaf).astype(jnp.int32)


def grey_levels(image: jax.Array, depth: jax.Array | int, pixel_range: float) -> jax.Array:
    """Pixels in [0, pixel_range) as i32 levels 0 to ``depth - 1``."""
    # The shift keeps a flat image, whose pooled value carries rounding error, in one level.
    level = jnp.floor(image * (depth / pixel_range) + 1e-4)
    return jnp.clip(level, 0, depth - 1).astype(jnp.int32)


def pooling(out: int, size: int) -> np.ndarray:
    """f32[out, size]: each row averages its share of ``size`` pixels, shares of a pixel included."""
    edges = np.arange(out + 1) * size / out
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.clip(overlap, 0, None) * out / size).astype(np.float32)


def areas(out: jax.Array, most: int, size: int) -> jax.Array:
    """:func:`pooling` for a number of rows that is data, f32[most, size]: the rows from ``out`` on are 0."""
    edges = jnp.minimum(jnp.arange(most + 1), out) * (size / out)
    pixel = jnp.arange(size)
    overlap = jnp.minimum(edges[1:, None], pixel + 1) - jnp.maximum(edges[:-1, None], pixel)
    return jnp.clip(overlap, 0) * (out / size)
