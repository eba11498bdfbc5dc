"""Linear projection: a distorted descriptor space in which a Gaussian about the origin reaches almost nothing.

Fontaine, Togelius, Nikolaidis and Hoover (2020), "Covariance matrix adaptation for the rapid illumination of behavior
space"; as in Fontaine and Nikolaidis (2023), "Covariance matrix adaptation MAP-annealing". With s = 0.4 x 5.12,

    f(x) = -sum_i (x_i - s)^2                                   sphere
    f(x) = -sum_i [10 + (x_i - s)^2 - 10 cos(2 pi (x_i - s))]   Rastrigin

rescaled linearly, so that the optimum x = s has 100 and x = (-5.12, ..., -5.12) has 0. The descriptor is

    d(x) = (sum of clip(x_i) over the first half, over the second half),   clip(x) = x if |x| <= 5.12 else 5.12 / x

of which each coordinate lies in [-5.12 n/2, 5.12 n/2]. The corners need every gene near +-5.12, and the sum of n/2
independent genes is concentrated at its middle.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.blocks.turns import cos_sin
from purejaxexplore.checks import choice, require_at_least

FUNCTIONS = ("sphere", "rastrigin")
EDGE = 5.12
SHIFT = 0.4 * EDGE
_FIRST_SIGMA = 0.5


@dataclasses.dataclass(frozen=True)
class LinearProjection:
    """The domain with ``num_genes`` genes, an even number.

    Attributes:
        num_genes: ``n``, at least 2; 100 or 1,000 in the papers.
        function: ``"sphere"`` or ``"rastrigin"``.

    Raises:
        ValueError: an argument outside its range.
    """

    num_genes: int = 100
    function: str = "sphere"

    solution_low = -np.inf
    solution_high = np.inf
    fitness_range = (-np.inf, 100.0)

    def __post_init__(self):
        require_at_least(2, num_genes=self.num_genes)
        if self.num_genes % 2:
            raise ValueError(f"num_genes={self.num_genes}: expected an even number, the descriptor sums two halves")
        choice("function", self.function, FUNCTIONS)

    @property
    def high(self) -> tuple[float, float]:
        """Upper corner of the descriptor box."""
        return (EDGE * self.num_genes / 2,) * 2

    @property
    def low(self) -> tuple[float, float]:
        """Lower corner of the descriptor box."""
        return tuple(-corner for corner in self.high)

    def evaluate(self, solutions: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Fitness f32[B] in (-inf, 100] and descriptor f32[B, 2] of solutions f32[B, n]."""
        worst = self.num_genes * self._loss(jnp.float32(-EDGE - SHIFT))
        fitness = 100.0 * (1.0 - self._loss(solutions - SHIFT).sum(-1) / worst)
        outside = jnp.abs(solutions) > EDGE
        # The quotient is never taken of a small number, whose gradient would be infinite on the branch not used.
        clipped = jnp.where(outside, EDGE / jnp.where(outside, solutions, EDGE), solutions)
        halves = clipped.reshape(*clipped.shape[:-1], 2, self.num_genes // 2)
        return fitness, halves.sum(-1)

    def sample(self, key: jax.Array, num: int) -> jax.Array:
        """``num`` solutions f32[num, n] about the origin, each gene with standard deviation 0.5."""
        return _FIRST_SIGMA * jax.random.normal(key, (num, self.num_genes))

    def render(self, solution: jax.Array, size: int = 256) -> jax.Array:
        """The descriptor square, u8[size, size, 3]: first coordinate to the right, second upwards.

        Lines through the middle, the optimum as a ring, and the solution as a disc, the bluer the fitter.
        """
        axis = (jnp.arange(size) + 0.5) / size
        x, y = axis[None, :], 1.0 - axis[:, None]
        fitness, place = self.evaluate(solution[None])
        place = (place[0] / self.high[0] + 1) / 2
        best = (SHIFT / EDGE + 1) / 2
        cross = (jnp.abs(x - 0.5) < 1 / size) | (jnp.abs(y - 0.5) < 1 / size)
        ring = jnp.abs(jnp.hypot(x - best, y - best) - 0.03) < 0.006
        disc = jnp.hypot(x - place[0], y - place[1]) < 0.025
        share = jnp.clip(fitness[0] / 100.0, 0, 1)
        color = (1 - share) * jnp.array([213.0, 94.0, 0.0]) + share * jnp.array([0.0, 114.0, 178.0])
        picture = jnp.where(cross[..., None], 222.0, jnp.full((size, size, 3), 250.0))
        picture = jnp.where(ring[..., None], 118.0, picture)
        return jnp.where(disc[..., None], color, picture).astype(jnp.uint8)

    def _loss(self, offset):
        """Loss of one gene, 0 at its optimum."""
        if self.function == "sphere":
            return jnp.square(offset)
        return 10.0 + jnp.square(offset) - 10.0 * cos_sin(offset)[0]
