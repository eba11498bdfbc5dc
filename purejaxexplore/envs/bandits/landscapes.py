"""Functions on a box whose least value is known: the test problems of Bayesian optimisation, as bandits of points.

The forms and domains are those of Surjanovic and Bingham, "Virtual library of simulation experiments: test functions
and datasets". Points are in the unit box, a point's value is minus the function's, and its regret is how far the
function lies above its least value. All values come from float32, so regrets below about 1e-6 of the values are 0.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.envs.bandits.world import Feedback, Spec, World, require_spec, without_context


class Landscape(NamedTuple):
    """A function to be minimised.

    Attributes:
        value: ``f32[d] -> f32[]``.
        low, high: of every dimension, tuples of length d.
        least: its least value.
    """

    value: Callable[[jax.Array], jax.Array]
    low: tuple[float, ...]
    high: tuple[float, ...]
    least: float


_HARTMANN_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]],
    np.float32,
)
_HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ],
    np.float32,
)
_HARTMANN_C = np.array([1.0, 1.2, 3.0, 3.2], np.float32)
_MICHALEWICZ = {2: -1.8013034, 5: -4.6876582, 10: -9.6601517}


def _branin(x):
    a, b = x
    first = jnp.square(b - 5.1 / (4 * math.pi**2) * a * a + 5 / math.pi * a - 6)
    return first + 10 * (1 - 1 / (8 * math.pi)) * jnp.cos(a) + 10


def _eggholder(x):
    a, b = x[0], x[1] + 47
    return -b * jnp.sin(jnp.sqrt(jnp.abs(b + a / 2))) - a * jnp.sin(jnp.sqrt(jnp.abs(a - b)))


def _goldstein_price(x):
    a, b = x
    first = 1 + jnp.square(a + b + 1) * (19 - 14 * a + 3 * a * a - 14 * b + 6 * a * b + 3 * b * b)
    second = 18 - 32 * a + 12 * a * a + 48 * b - 36 * a * b + 27 * b * b
    return jnp.log(first) + jnp.log(30 + jnp.square(2 * a - 3 * b) * second)


def _hartmann(x):
    return -(_HARTMANN_C * jnp.exp(-(_HARTMANN_A * jnp.square(x - _HARTMANN_P)).sum(1))).sum()


def _ackley(x):
    mean_cos = jnp.cos(2 * math.pi * x).mean()
    return 20 + math.e - 20 * jnp.exp(-0.2 * jnp.sqrt(jnp.square(x).mean())) - jnp.exp(mean_cos)


def _michalewicz(x):
    return -(jnp.sin(x) * jnp.sin(jnp.arange(1, x.size + 1) * x * x / math.pi) ** 20).sum()


def _styblinski_tang(x):
    return (x**4 - 16 * x * x + 5 * x).sum() / 2


def _rosenbrock(x):
    return (100 * jnp.square(x[1:] - jnp.square(x[:-1])) + jnp.square(x[:-1] - 1)).sum()


_FIXED: dict[str, Landscape] = {
    "branin": Landscape(_branin, (-5.0, 0.0), (10.0, 15.0), 0.39788736),
    "eggholder": Landscape(_eggholder, (-512.0,) * 2, (512.0,) * 2, -959.64066),
    "goldstein_price": Landscape(_goldstein_price, (-2.0,) * 2, (2.0,) * 2, math.log(3)),
    "hartmann": Landscape(_hartmann, (0.0,) * 6, (1.0,) * 6, -3.3223680),
}
_ANY_DIM = {
    "ackley": (_ackley, -32.768, 32.768),
    "michalewicz": (_michalewicz, 0.0, math.pi),
    "rosenbrock": (_rosenbrock, -5.0, 10.0),
    "styblinski_tang": (_styblinski_tang, -5.0, 5.0),
}
LANDSCAPES = (*_FIXED, *_ANY_DIM)
"""``goldstein_price`` is the logarithm of that function, ``hartmann`` the one in six dimensions."""


def landscape(name: str, dim: int | None = None) -> Landscape:
    """One of ``LANDSCAPES``.

    Args:
        name: of the function.
        dim: d; needed for ackley, michalewicz (2, 5 or 10, of which the least value is known), rosenbrock (at least 2)
            and styblinski_tang, and that of the function for the others.

    Raises:
        ValueError: no such function, or not in that dimension.
    """
    choice("name", name, LANDSCAPES)
    if name in _FIXED:
        found = _FIXED[name]
        if dim not in (None, len(found.low)):
            raise ValueError(f"dim={dim!r}: {name} has {len(found.low)} dimensions")
        return found
    require_at_least(2 if name in ("rosenbrock", "michalewicz") else 1, dim=dim)
    if name == "michalewicz" and dim not in _MICHALEWICZ:
        raise ValueError(f"dim={dim}: the least value of michalewicz is known for 2, 5 and 10")
    least = {"michalewicz": _MICHALEWICZ.get(dim, 0.0), "styblinski_tang": -39.16616570377142 * dim}.get(name, 0.0)
    value, low, high = _ANY_DIM[name]
    return Landscape(value, (low,) * dim, (high,) * dim, least)


def landscape_world(
    name: str, dim: int | None = None, *, noise_sd: float = 0.0, horizon: int | None = None
) -> World:
    """A bandit whose arms are the points of the unit box, of value minus the function.

    Args:
        name, dim: see :func:`landscape`.
        noise_sd: deviation of the normal noise of a value, >= 0.
        horizon: pulls that the world is meant for.

    Raises:
        ValueError: no such function, not in that dimension, or a negative deviation.
    """
    value, low, high, least = landscape(name, dim)
    require_between(0.0, np.inf, noise_sd=noise_sd)
    d = len(low)
    unbounded = (-np.inf, np.inf)
    spec = require_spec(
        Spec(1, "point", low=(0.0,) * d, high=(1.0,) * d, value_range=unbounded, stationary=False, horizon=horizon)
    )
    corner, size = np.array(low, np.float32), np.array(high, np.float32) - np.array(low, np.float32)

    def step(normal, t, action):
        height = value(corner + size * action)
        earned = -height + noise_sd * normal
        feedback = Feedback(earned[None], jnp.ones(1, bool), earned, jnp.zeros(0), jnp.bool_(False))
        return t + 1, feedback, jnp.maximum(height - least, 0.0)

    return World(
        spec,
        lambda key: jnp.int32(0),
        lambda t: without_context(spec, t),
        step,
        lambda t: jnp.full(1, -least, jnp.float32),
        lambda key, n: jax.random.normal(key, (n,)),
    )
