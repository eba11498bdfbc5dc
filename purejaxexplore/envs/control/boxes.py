"""Plane geometry of axis-aligned boxes and discs that are data, not constants: levels may be drawn under ``jit``."""

import jax
import jax.numpy as jnp


def clearance(x: jax.Array, y: jax.Array, boxes: jax.Array) -> jax.Array:
    """Distance from a point to each box, f32[B]; 0 inside. ``boxes: f32[B, 4]`` of rows (x0, y0, x1, y1)."""
    away_x = jnp.maximum(jnp.maximum(boxes[:, 0] - x, x - boxes[:, 2]), 0.0)
    away_y = jnp.maximum(jnp.maximum(boxes[:, 1] - y, y - boxes[:, 3]), 0.0)
    return jnp.sqrt(jnp.square(away_x) + jnp.square(away_y))


def sight_of_boxes(x: jax.Array, y: jax.Array, dx: jax.Array, dy: jax.Array, boxes: jax.Array) -> jax.Array:
    """How far each ray goes to each box, f32[R, B], by the slab test; inf where it misses.

    Args:
        x, y: where all rays start, outside the boxes.
        dx, dy: f32[R], unit directions.
        boxes: f32[B, 4].
    """
    # A ray parallel to a slab gets a direction so small that the slab is met beyond every range, or always.
    safe_x, safe_y = (jnp.where(jnp.abs(d) < 1e-9, 1e-9, d)[:, None] for d in (dx, dy))
    x0, x1 = (boxes[:, 0] - x) / safe_x, (boxes[:, 2] - x) / safe_x
    y0, y1 = (boxes[:, 1] - y) / safe_y, (boxes[:, 3] - y) / safe_y
    enter = jnp.maximum(jnp.minimum(x0, x1), jnp.minimum(y0, y1))
    leave = jnp.minimum(jnp.maximum(x0, x1), jnp.maximum(y0, y1))
    return jnp.where((enter <= leave) & (leave >= 0.0), jnp.maximum(enter, 0.0), jnp.inf)


def sight_of_discs(x, y, dx: jax.Array, dy: jax.Array, centres: jax.Array, radius: float) -> jax.Array:
    """How far each ray goes to each disc, f32[R, D]; inf where it misses. ``centres: f32[D, 2]``."""
    cx, cy = centres[:, 0] - x, centres[:, 1] - y
    along = dx[:, None] * cx + dy[:, None] * cy
    inside = radius**2 - (jnp.square(cx) + jnp.square(cy) - jnp.square(along))
    near = along - jnp.sqrt(jnp.maximum(inside, 0.0))
    return jnp.where((inside >= 0.0) & (near >= 0.0), near, jnp.inf)
