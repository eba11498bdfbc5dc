"""Exponential weights where playing one arm shows the losses of others: EXP3.G, EXP3-SET and EXP3-EX.

With the graph G known, bool[N, N], G[i, j] that playing i shows j, all three play ``p = (1 - gamma) q + gamma u``,
``q ~ exp(-eta L)``, and add to L what they saw, ``loss_j / P_j``, ``P_j = sum_i p_i G[i, j]``. Let alpha be the
independence number (of the largest set of arms none of which shows another), T the horizon:

* ``exp3_set``: no exploration, ``eta = sqrt(2 ln N / (alpha T))``, for graphs in which every arm shows itself; regret
  ``O(sqrt(alpha T ln N))`` up to a logarithm. Alon, Cesa-Bianchi, Gentile and Mansour (2013), "From bandits to experts:
  a tale of domination and independence".
* ``exp3_g``: u uniform on an exploration set. Where every arm shows itself or is shown by all others, that is the set
  of all arms, ``gamma = min(1/2, (alpha T)^(-1/2))`` and ``eta = 2 gamma``; else it is a set D of delta arms that shows
  every other arm, ``gamma = min(1/2, (delta ln N / T)^(1/3))``, ``eta = gamma^2 / delta``, for a regret of
  ``O((delta ln N)^(1/3) T^(2/3))``. Alon, Cesa-Bianchi, Dekel and Koren (2015), "Online learning with feedback graphs:
  beyond bandits".
* ``exp3_ex``: explores as much as the horizon is worth. For ``T < alpha^3`` both regrets above are not minimax: rounds
  spent on bad arms that show many others pay. Kocak and Carpentier (2023), "Online learning with feedback graphs: the
  true shape of regret", whose construction of u is more intricate; ours has the same aim. Of the greedy prefixes ``D_0
  = {} < D_1 < ...`` (each adds the arm that shows most arms not yet shown), with ``alpha_k`` the independence number
  of what D_k does not show, it takes the k that makes ``sqrt(alpha_k T ln N) + (|D_k| T^2 ln N)^(1/3)`` least, u
  uniform on D_k, ``gamma = min(1/2, (|D_k| ln N / T)^(1/3))`` and ``eta = sqrt(ln N / (T (|D_k| / gamma +
  alpha_k)))``. With k = 0 it is EXP3-SET.

Independence numbers and dominating sets are NP-hard: all are greedy, alpha is thus a lower estimate.
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.exponential import LossState, exponential_weights
from purejaxexplore.bandits.policy import (
    Aux,
    Policy,
    draw_arm,
    first_argmax,
    require_horizon,
    require_index_world,
    require_unit_values,
)
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class FeedbackGraphConfig:
    """Attributes:
    horizon: T, pulls, at least the number of arms.
    rate_factor: multiplies the learning rate eta; may be traced.
    exploration_factor: multiplies gamma, which stays below 1/2; may be traced.
    """

    horizon: int = flax.struct.field(pytree_node=False)
    rate_factor: float = 1.0
    exploration_factor: float = 1.0


class Exploration(NamedTuple):
    """Attributes:
    arms: the arms of D_k, in the order in which they were added.
    unshown: alpha_k, estimated independence number of what they do not show.
    """

    arms: tuple[int, ...]
    unshown: int


def exp3_set(spec: Spec, graph: np.ndarray, config: FeedbackGraphConfig) -> Policy:
    """EXP3-SET.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: the world is not one of single arms, rewards in [0, 1] and feedback of a graph, ``graph`` does not
            fit, an arm does not show itself, or a setting is out of range.
    """
    graph = _require(spec, "exp3_set", graph, config)
    _require_loops(graph, "exp3_set")
    N = spec.num_arms
    eta = np.sqrt(2 * np.log(N) / (independence_number(graph) * config.horizon))
    return _weighted(spec, graph, config.rate_factor * eta, 0.0, np.full(N, 1 / N))


def exp3_g(spec: Spec, graph: np.ndarray, config: FeedbackGraphConfig) -> Policy:
    """EXP3.G.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: as for :func:`exp3_set`, but arms need not show themselves.
    """
    graph = _require(spec, "exp3_g", graph, config)
    N, T = spec.num_arms, config.horizon
    strong = strongly_observable(graph)
    if strong.all():
        arms, gamma = tuple(range(N)), min(0.5, 1 / np.sqrt(independence_number(graph) * T))
        eta = 2 * gamma
    else:
        arms = covering_arms(graph, ~strong)
        gamma = min(0.5, (len(arms) * np.log(N) / T) ** (1 / 3))
        eta = gamma**2 / len(arms)
    return _weighted(
        spec, graph, config.rate_factor * eta, config.exploration_factor * gamma, _uniform_on(arms, N)
    )


def exp3_ex(spec: Spec, graph: np.ndarray, config: FeedbackGraphConfig) -> Policy:
    """EXP3-EX.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: as for :func:`exp3_set`.
    """
    graph = _require(spec, "exp3_ex", graph, config)
    _require_loops(graph, "exp3_ex")
    N, T = spec.num_arms, config.horizon
    arms, unshown = exploration_set(graph, T)
    gamma = min(0.5, (len(arms) * np.log(N) / T) ** (1 / 3))
    variance = len(arms) / gamma + unshown if arms else unshown / 2  # without exploration q / p is 1, else up to 2
    eta = np.sqrt(np.log(N) / (T * variance))
    return _weighted(
        spec, graph, config.rate_factor * eta, config.exploration_factor * gamma, _uniform_on(arms, N)
    )


def exploration_set(graph: np.ndarray, horizon: int) -> Exploration:
    """The greedy prefix of least bound, see the head of this file."""
    N = graph.shape[0]
    order = covering_arms(graph, np.ones(N, bool))
    prefixes = [
        Exploration(order[:k], independence_number(graph, ~graph[list(order[:k])].any(0)))
        for k in range(len(order) + 1)
    ]

    def bound(prefix):
        size = len(prefix.arms)
        return np.sqrt(prefix.unshown * horizon * np.log(N)) + (size * horizon**2 * np.log(N)) ** (1 / 3)

    return min(prefixes, key=bound)


def covering_arms(graph: np.ndarray, wanted: np.ndarray) -> tuple[int, ...]:
    """Arms that together show all of ``wanted`` bool[N], each the one that shows most of what is left."""
    left, arms = wanted.copy(), []
    while left.any():
        arms.append(int((graph & left).sum(1).argmax()))
        left &= ~graph[arms[-1]]
    return tuple(arms)


def independence_number(graph: np.ndarray, within: np.ndarray | None = None) -> int:
    """A lower estimate of the largest number of arms ``within`` bool[N] none of which shows another.

    Greedy: again and again the arm with the fewest neighbours.
    """
    joined = (graph | graph.T) & ~np.eye(graph.shape[0], dtype=bool)
    left = np.ones(graph.shape[0], bool) if within is None else within.copy()
    degree = (joined & left).sum(1)
    number = 0
    while left.any():
        arm = np.where(left, degree, degree.size).argmin()
        gone = (joined[arm] | (np.arange(left.size) == arm)) & left
        left &= ~gone
        degree -= joined[:, gone].sum(1)
        number += 1
    return number


def strongly_observable(graph: np.ndarray) -> np.ndarray:
    """bool[N], the arms that show themselves or are shown by all others."""
    others = (graph | np.eye(graph.shape[0], dtype=bool)).all(0)
    return np.diagonal(graph) | others


def _weighted(spec: Spec, graph: np.ndarray, eta, gamma, spread: np.ndarray) -> Policy:
    """Exponential weights on what was seen, mixed with ``gamma`` of exploration by ``spread`` f32[N]."""
    edges = jnp.asarray(graph, jnp.float32)
    spread = jnp.asarray(spread, jnp.float32)
    gamma = jnp.minimum(gamma, 0.5)

    def act(uniform, state, observation):
        own = exponential_weights(state.losses, eta, observation.mask)
        explored = jnp.where(observation.mask, spread, 0.0)
        prob = (1 - gamma) * own + gamma * explored / jnp.maximum(explored.sum(), 1e-9)
        prob = prob / prob.sum()
        return draw_arm(uniform, prob), Aux(prob)

    def update(state, observation, action, feedback, aux):
        chance = aux.prob @ edges
        loss = 1 - jnp.where(feedback.seen, feedback.value, 1.0)
        losses = state.losses + loss / jnp.maximum(chance, 1e-9)
        return LossState(losses - losses.min())

    def noise(key, n):
        return jax.random.uniform(key, (n,))

    return Policy(
        spec, lambda key: LossState(jnp.zeros(spec.num_arms)), act, update,
        lambda state: first_argmax(-state.losses), noise=noise,
    )  # fmt: skip


def _uniform_on(arms: tuple[int, ...], N: int) -> np.ndarray:
    """f64[N], uniform on ``arms``, or on all where there is none."""
    chosen = np.isin(np.arange(N), arms) if arms else np.ones(N, bool)
    return chosen / chosen.sum()


def _require(spec, name, graph, config) -> np.ndarray:
    require_index_world(spec, name)
    require_unit_values(spec, name)
    choice("feedback", spec.feedback, ("graph",))
    require_at_least(1, horizon=config.horizon)
    require_horizon(config.horizon, spec.num_arms)
    require_between(0.0, np.inf, rate_factor=config.rate_factor, exploration_factor=config.exploration_factor)
    graph, N = np.asarray(graph), spec.num_arms
    if graph.shape != (N, N) or graph.dtype != bool:
        raise ValueError(f"graph: {graph.dtype} of shape {graph.shape}, expected bool of ({N}, {N})")
    if not graph.any(0).all():
        raise ValueError(
            f"graph: arms {np.flatnonzero(~graph.any(0)).tolist()} are shown by no arm: no policy can learn"
        )
    return graph


def _require_loops(graph, name) -> None:
    if not np.diagonal(graph).all():
        hidden = np.flatnonzero(~np.diagonal(graph)).tolist()
        raise ValueError(f"graph: arms {hidden} do not show themselves, which {name} needs; expected exp3_g")
