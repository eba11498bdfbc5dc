"""Plane geometry of walls that are line segments.

Walls are constants, an ``f64[W, 4]`` of rows ``(x0, y0, x1, y1)``, and every function is unrolled over them: points and
directions are scalars, so that under ``vmap`` each step of a formula is one operation on a whole batch, and the
compiler makes one loop over the batch of it.
"""

import jax
import jax.numpy as jnp
import numpy as np

Point = tuple[jax.Array, jax.Array]


def clearance_squared(point: Point, walls: np.ndarray) -> jax.Array:
    """Squared distance from ``point`` to the nearest wall, f32[]."""
    nearest = jnp.float32(jnp.inf)
    for x0, y0, x1, y1 in walls:
        ex, ey = float(x1 - x0), float(y1 - y0)
        rx, ry = point[0] - float(x0), point[1] - float(y0)
        along = jnp.clip(rx * (ex / (ex**2 + ey**2)) + ry * (ey / (ex**2 + ey**2)), 0.0, 1.0)
        nearest = jnp.minimum(nearest, jnp.square(rx - along * ex) + jnp.square(ry - along * ey))
    return nearest


def sight(point: Point, direction: Point, walls: np.ndarray, reach: float) -> jax.Array:
    """How far one sees from ``point`` in a direction, f32[] in [0, reach].

    Distances n / d to the walls are compared as fractions, crosswise, and divided once at the end: XLA would keep each
    division in a loop of its own, which was measured to take twice the time.

    Args:
        point: where the ray starts.
        direction: a unit vector.
        walls: f64[W, 4]; a wall parallel to the ray is not met.
        reach: what a ray that meets no wall reports.
    """
    (px, py), (dx, dy) = point, direction
    n, d = jnp.full_like(px, reach), jnp.ones_like(px)
    for x0, y0, x1, y1 in walls:
        ex, ey = float(x1 - x0), float(y1 - y0)
        rx, ry = float(x0) - px, float(y0) - py
        # point + (n / d) direction = start + (u / d) wall, by cross products with the wall and with the direction.
        cross = dx * ey - dy * ex
        sign = jnp.where(cross < 0.0, -1.0, 1.0)
        wall_d, wall_n, wall_u = jnp.abs(cross), sign * (rx * ey - ry * ex), sign * (rx * dy - ry * dx)
        met = (wall_u >= 0.0) & (wall_u <= wall_d) & (wall_n >= 0.0) & (wall_d > 0.0)
        nearer = met & (wall_n * d < n * wall_d)
        n, d = jnp.where(nearer, wall_n, n), jnp.where(nearer, wall_d, d)
    return n / d
