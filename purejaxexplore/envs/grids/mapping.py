"""Maps that are drawn while one walks: what a range finder sees, frontiers, and the policies that go to them.

A finder has 32 rays and reaches six cells; along each ray it sees every cell up to the first that is blocked, that one
included. Where a world keeps its levels in its parameters, what is seen from every cell is computed once for each
level (:func:`sight_table`), and a step looks it up.
"""

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.envs.grids.squares import DOWN_RIGHT, distances, neighbours

NUM_RAYS, REACH = 32, 6
WINDOW = 2 * REACH + 1


def ray_cells(num_rays: int = NUM_RAYS, reach: int = REACH) -> np.ndarray:
    """Rows and columns of the cells on each ray, from the nearest, by unit steps, i64[num_rays, reach, 2]."""
    angle = np.arange(num_rays) * (2 * np.pi / num_rays)
    steps = np.arange(1, reach + 1)[:, None] * np.stack([np.sin(angle), np.cos(angle)], -1)[:, None]
    return np.rint(steps).astype(int)


def sight(blocked: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """What is seen from ``(y, x)``, bool[13, 13] around it; ``blocked: bool[H, W]``, and so is all outside."""
    rays = ray_cells()
    height, width = blocked.shape
    padded = jnp.pad(blocked, REACH, constant_values=True)
    met = padded[y + REACH + rays[..., 0], x + REACH + rays[..., 1]]
    seen = jnp.cumsum(met, axis=1) - met == 0
    rows, columns = y + rays[..., 0], x + rays[..., 1]
    seen &= (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    window = jnp.zeros((WINDOW, WINDOW), bool).at[REACH, REACH].set(True)
    return window.at[rays[..., 0] + REACH, rays[..., 1] + REACH].max(seen)


def sight_table(blocked: jax.Array) -> jax.Array:
    """:func:`sight` from every cell of a level, bool[H W, 13, 13]."""
    height, width = blocked.shape
    y, x = np.indices((height, width)).reshape(2, -1)
    return jax.vmap(sight, (None, 0, 0))(blocked, y, x)


def unknown(height: int, width: int) -> jax.Array:
    """A map of which nothing is known, with a margin of :data:`REACH` on all sides, bool[H + 12, W + 12]."""
    return jnp.zeros((height + 2 * REACH, width + 2 * REACH), bool)


def look(known: jax.Array, window: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """The map with a margin after what is seen from ``(y, x)`` was drawn into it."""
    before = jax.lax.dynamic_slice(known, (y, x), (WINDOW, WINDOW))
    return jax.lax.dynamic_update_slice(known, before | window, (y, x))


def inside(known: jax.Array) -> jax.Array:
    """A map without its margin, bool[H, W]."""
    return known[REACH:-REACH, REACH:-REACH]


def observable(blocked: jax.Array, y: int, x: int) -> jax.Array:
    """Cells that can be reached from ``(y, x)`` and the obstacles beside them, bool[H, W]."""
    start = jnp.zeros(blocked.shape, bool).at[y, x].set(True)
    reachable = distances(~blocked, start) < blocked.size
    return reachable | blocked & neighbours(reachable)


def frontiers(known: jax.Array, blocked: jax.Array) -> jax.Array:
    """Known free cells that have an unknown one among their eight neighbours, bool[H, W]."""
    padded = jnp.pad(~known, 1)
    height, width = known.shape
    near = jnp.zeros_like(known)
    for down in range(3):
        for right in range(3):
            near |= padded[down : down + height, right : right + width]
    return known & ~blocked & near


def utility_action(known: jax.Array, blocked: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """The move, i32, that makes the summed straight distance to all frontiers smallest; obstacles are not looked at."""
    away = _straight(known.shape, y, x)
    return jnp.argmin(jnp.sum(away * frontiers(known, blocked), axis=(1, 2)))


def cost_action(known: jax.Array, blocked: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """The move, i32, towards the frontier that is nearest in a straight line; obstacles are not looked at."""
    height, width = known.shape
    rows, columns = np.indices((height, width))
    here = jnp.square(rows - y) + jnp.square(columns - x)
    target = jnp.argmin(jnp.where(frontiers(known, blocked), here, 2 * known.size**2))
    return jnp.argmin(_straight(known.shape, y, x)[:, target // width, target % width])


def nearest_frontier_action(known: jax.Array, blocked: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """The first move, i32, of a shortest way over known free cells to the nearest frontier."""
    return towards(known & ~blocked, frontiers(known, blocked) & ~_only(known.shape, y, x), y, x)


def towards(free: jax.Array, targets: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """The first move, i32, of a shortest way over ``free: bool[H, W]`` to the nearest of ``targets: bool[H, W]``."""
    far = jnp.pad(distances(free, targets), 1, constant_values=free.size + 1)
    beside = far[y + 1 + DOWN_RIGHT[:, 0], x + 1 + DOWN_RIGHT[:, 1]]
    passable = jnp.pad(free | targets, 1)[y + 1 + DOWN_RIGHT[:, 0], x + 1 + DOWN_RIGHT[:, 1]]
    return jnp.argmin(jnp.where(passable, beside, free.size + 1))


def _straight(shape: tuple[int, int], y: jax.Array, x: jax.Array) -> jax.Array:
    """Straight distances from where each move would lead to every cell, f32[4, H, W]."""
    rows, columns = np.indices(shape)
    after_y, after_x = (y + DOWN_RIGHT[:, 0])[:, None, None], (x + DOWN_RIGHT[:, 1])[:, None, None]
    return jnp.sqrt((jnp.square(rows - after_y) + jnp.square(columns - after_x)).astype(jnp.float32))


def _only(shape: tuple[int, int], y: jax.Array, x: jax.Array) -> jax.Array:
    rows, columns = np.indices(shape)
    return (rows == y) & (columns == x)

