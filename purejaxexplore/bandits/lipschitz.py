"""Bandits on an interval: a fixed grid of arms, and zooming, which adds arms where it pays.

* ``discretised`` plays any policy of K arms on K evenly spaced points. With ``K = (T L^2 / ln T)^(1/3)`` and a policy
  of optimal order the regret is ``O(T^(2/3) (L ln T)^(1/3))``.
* ``zooming`` keeps active points, each with a confidence radius ``r = sqrt(2 ln T / (n + 1))`` in value, which at
  Lipschitz constant L covers ``r / L`` on both sides. It activates a point that none covers, and plays the point of the
  largest ``mean + 2 r``: more and more points appear where the mean is high. Kleinberg, Slivkins and Upfal (2008),
  "Multi-armed bandits in metric spaces"; Slivkins (2019), "Introduction to multi-armed bandits", section 4.3.

New points are taken from a grid of ``resolution`` points, the first of them that is uncovered.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.policy import Aux, Policy, no_noise
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.lipschitz import even_points
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, require_spec


@flax.struct.dataclass
class ZoomingConfig:
    """Attributes:
    horizon: T, pulls; may be traced.
    lipschitz: L > 0, change of the mean over the whole interval; may be traced.
    scale: multiplies the confidence radius, 1 in the book; may be traced.
    capacity: most active points; when it is reached no further point is activated.
    resolution: points of the grid from which points are activated.
    """

    horizon: float
    lipschitz: float = 1.0
    scale: float = 1.0
    capacity: int = flax.struct.field(pytree_node=False, default=128)
    resolution: int = flax.struct.field(pytree_node=False, default=257)


class ZoomingState(NamedTuple):
    """Attributes:
    points: f32[M], active points; those from ``number`` on are not looked at.
    n: f32[M], pulls of each.
    mean: f32[M], mean rewards.
    number: i32[], active points.
    """

    points: jax.Array
    n: jax.Array
    mean: jax.Array
    number: jax.Array


def zooming(spec: Spec, config: ZoomingConfig) -> Policy:
    """The zooming algorithm on [0, 1].

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not points of one dimension, or a setting is out of range.
    """
    _require_interval(spec, "zooming")
    require_between(2.0, np.inf, horizon=config.horizon)
    require_between(1e-6, np.inf, lipschitz=config.lipschitz, scale=config.scale)
    require_at_least(1, capacity=config.capacity)
    require_at_least(2, resolution=config.resolution)
    M = config.capacity
    places = jnp.arange(M)
    grid = even_points(config.resolution)

    def radius(n):
        return config.scale * jnp.sqrt(2 * jnp.log(config.horizon) / (n + 1))

    def chosen(state):
        """``(state with a point activated where one is uncovered, place of the point to play)``."""
        active = places < state.number
        reach = jnp.where(active, radius(state.n) / config.lipschitz, -1.0)
        covered = (jnp.abs(grid[:, None] - state.points) <= reach).any(1)
        add = ~covered.all() & (state.number < M)
        points = jnp.where(add & (places == state.number), grid[covered.argmin()], state.points)
        state = state._replace(points=points, number=state.number + add)
        bound = jnp.where(places < state.number, state.mean + 2 * radius(state.n), -jnp.inf)
        return state, bound.argmax()

    def init(key):
        return ZoomingState(jnp.zeros(M), jnp.zeros(M), jnp.zeros(M), jnp.int32(0))

    def act(noise, state, observation):
        state, place = chosen(state)
        return state.points[place][None], Aux()

    def update(state, observation, action, feedback, aux):
        state, place = chosen(state)
        n = state.n + (places == place)
        value = jnp.where(feedback.seen, feedback.value, 0.0)[0]
        mean = jnp.where(places == place, state.mean + (value - state.mean) / jnp.maximum(n, 1.0), state.mean)
        return state._replace(n=n, mean=mean)

    def recommend(state):
        return state.points[jnp.where(state.n > 0, state.mean, -jnp.inf).argmax()][None]

    return Policy(spec, init, act, update, recommend, noise=no_noise)


def discretised(spec: Spec, num_points: int, make: Callable[[Spec], Policy]) -> Policy:
    """A policy of arms on ``num_points`` evenly spaced points of [0, 1].

    Args:
        spec: of a world of points of one dimension.
        num_points: K, at least 2; :func:`best_number_of_points` for the book's.
        make: ``spec of K arms -> Policy``, for instance ``lambda spec: ucb1(spec, UCB1Config())``.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not points of one dimension, or fewer than two points.
    """
    _require_interval(spec, "discretised")
    require_at_least(2, num_points=num_points)
    K = num_points
    inner = make(Spec(K, value_range=spec.value_range, stationary=spec.stationary, horizon=spec.horizon))
    points = even_points(K)

    def shown(observation):
        return Observation(jnp.zeros((K, 0)), jnp.ones(K, bool), observation.t)

    def act(noise, state, observation):
        arm, aux = inner.act(noise, state, shown(observation))
        return points[arm][None], Aux((), (arm, aux))

    def update(state, observation, action, feedback, aux):
        arm, own = aux.extras
        seen = (jnp.arange(K) == arm) & feedback.seen
        of_arms = Feedback(
            jnp.where(seen, feedback.value, jnp.nan), seen, feedback.reward, feedback.cost, feedback.done
        )
        return inner.update(state, shown(observation), arm, of_arms, own)

    return Policy(
        spec, inner.init, act, update, lambda state: points[inner.recommend(state)][None], inner.noise
    )


def best_number_of_points(horizon: int, lipschitz: float) -> int:
    """``(T L^2 / ln T)^(1/3)``, rounded up: the book's size of a fixed grid."""
    return max(2, math.ceil((horizon * lipschitz**2 / math.log(horizon)) ** (1 / 3)))


def _require_interval(spec, name) -> None:
    require_spec(spec)
    if spec.action != "point" or spec.low != (0.0,) or spec.high != (1.0,):
        raise ValueError(
            f"action={spec.action!r} in {spec.low} to {spec.high}: {name} chooses a point of [0, 1]"
        )
