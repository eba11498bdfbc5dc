"""Domains of quality-diversity optimisation: one evaluation of a solution instead of an episode.

A domain is a frozen object of static sizes with pure methods:

* ``evaluate(solutions f32[B, n]) -> (fitness f32[B], descriptor f32[B, 2])``, differentiable;
* ``sample(key, num) -> f32[num, n]``, the first solutions of the published runs;
* ``render(solution f32[n], size) -> u8[size, size, 3]``.

``num_genes`` is ``n``; ``low`` and ``high`` are the corners of the descriptor box that an archive divides into cells;
solutions stay in ``[solution_low, solution_high]``, which may be infinite; fitness lies in ``fitness_range``.
"""

from purejaxexplore.envs.domains.linear_projection import LinearProjection
from purejaxexplore.envs.domains.planar_arm import PlanarArm

__all__ = ["LinearProjection", "PlanarArm"]
