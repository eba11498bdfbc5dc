"""Planar arm: a robot arm of n equal links in the plane that reaches for every place with the straightest joints.

Cully, Clune, Tarapore and Mouret (2015), "Robots that can adapt like animals"; the form is that of Vassiliades and
Mouret (2018), "Discovering the elite hypervolume by leveraging interspecies correlation". Joint i turns the rest of the
arm by 2 pi x_i - pi, with x in [0, 1]^n, and

    f(x) = -standard deviation of x        d(x) = end point, scaled from [-n, n]^2 to [0, 1]^2.

The end points fill the disc of radius 1/2: at most pi/4 of the square, plus the cells that the circle cuts.
"""

import dataclasses

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.turns import cos_sin
from purejaxexplore.checks import require_at_least

_UNROLLED = 32  # joints computed by straight-line code; longer arms loop
_GROUND, _LINK, _JOINT, _HAND = (250.0, 250.0, 250.0), (0.0, 114.0, 178.0), (34.0, 34.0, 34.0), (213.0, 94.0, 0.0)


@dataclasses.dataclass(frozen=True)
class PlanarArm:
    """The domain with ``num_genes`` joints.

    Attributes:
        num_genes: ``n``, joints and links, at least 1.

    Raises:
        ValueError: ``num_genes`` is not positive.
    """

    num_genes: int = 10

    solution_low = 0.0
    solution_high = 1.0
    fitness_range = (-0.5, 0.0)
    low = (0.0, 0.0)
    high = (1.0, 1.0)

    def __post_init__(self):
        require_at_least(1, num_genes=self.num_genes)

    def evaluate(self, solutions: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Fitness f32[B] in [-0.5, 0] and descriptor f32[B, 2] in the disc, of solutions f32[B, n] in [0, 1]."""
        hand, variance = self._walk(solutions)
        # The gradient of the root at 0 is infinite: a straight arm gets the gradient 0.
        spread = jnp.where(variance > 0, jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 0.0)
        return -spread, 0.5 + 0.5 / self.num_genes * jnp.stack(hand, -1)

    def sample(self, key: jax.Array, num: int) -> jax.Array:
        """``num`` solutions f32[num, n], uniform."""
        return jax.random.uniform(key, (num, self.num_genes))

    def joints(self, solution: jax.Array) -> jax.Array:
        """Where the shoulder, the joints and the hand are, f32[n + 1, 2] in the scale of the descriptor."""
        turns = jnp.cumsum(solution - 0.5)
        links = jnp.stack(cos_sin(turns), -1)
        places = jnp.concatenate([jnp.zeros((1, 2)), jnp.cumsum(links, 0)])
        return 0.5 + 0.5 / self.num_genes * places

    def render(self, solution: jax.Array, size: int = 256) -> jax.Array:
        """The arm f32[n] in the unit square, u8[size, size, 3]: first coordinate to the right, second upwards."""
        axis = (jnp.arange(size) + 0.5) / size
        pixel = jnp.stack(jnp.meshgrid(axis, axis[::-1]), -1)
        places = self.joints(solution)
        start, link = places[:-1], jnp.diff(places, axis=0)
        offset = pixel[:, :, None] - start
        along = jnp.clip((offset * link).sum(-1) / jnp.square(link).sum(-1), 0, 1)
        to_link = jnp.linalg.norm(offset - along[..., None] * link, axis=-1).min(-1)
        to_joint = jnp.linalg.norm(pixel[:, :, None] - places, axis=-1)
        to_edge = jnp.abs(jnp.linalg.norm(pixel - 0.5, axis=-1) - 0.5)
        picture = jnp.where((to_edge < 1.5 / size)[..., None], 190.0, jnp.array(_GROUND))
        for distance, radius, color in (
            (to_link, 0.010, _LINK), (to_joint[..., :-1].min(-1), 0.013, _JOINT), (to_joint[..., -1], 0.02, _HAND)
        ):  # fmt: skip
            cover = jnp.clip((radius - distance) * size + 0.5, 0, 1)[..., None]  # a soft edge one pixel wide
            picture = (1 - cover) * picture + cover * jnp.array(color)
        return jnp.round(picture).astype(jnp.uint8)

    def _walk(self, solutions):
        """End point (x, y) in links, and variance of the joints, joint by joint: so a batch fills whole vectors."""

        def turn(carry, joint):
            turns, x, y, mean, squares = carry
            angle, share = joint
            turns = turns + angle - 0.5
            cos, sin = cos_sin(turns)
            offset = angle - mean
            mean = mean + share * offset  # Welford (1962): as exact as two passes
            return (turns, x + cos, y + sin, mean, squares + offset * (angle - mean)), None

        joints = jnp.moveaxis(solutions, -1, 0)
        start = (jnp.zeros_like(joints[0]),) * 5
        shares = 1.0 / jnp.arange(1, self.num_genes + 1)
        carry, _ = jax.lax.scan(turn, start, (joints, shares), unroll=min(self.num_genes, _UNROLLED))
        _, x, y, _, squares = carry
        return (x, y), squares / self.num_genes
