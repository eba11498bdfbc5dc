"""Whittle's index of restless arms, exactly, and the bound of his relaxation; on the host, in float64.

Whittle (1988), "Restless bandits: activity allocation in a changing world". An arm that is left alone earns a subsidy m
on top; the index of a state is the m at which acting and resting are worth the same there::

    W(s):  Q_m(s, act) = Q_m(s, rest),
    Q_m(s, a) = r(s, a) + m [a = rest] + discount sum_s' P_a(s, s') max_a' Q_m(s', a')

An arm is *indexable* if the set of states in which resting is optimal only grows with m; only then is the index more
than a number. With J arms of which B may be pushed, no policy earns more than the arms do one by one when pushes are
priced: the relaxation asks for B pushes on average only.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.restless import RestlessArms, up_chances

_BISECTIONS = 48
_SPLITS = 60
_TIE = 1e-9


class Whittle(NamedTuple):
    """Attributes:
    index: f64[J, S].
    indexable: bool[J], the passive set grew with the subsidy over the whole grid.
    """

    index: np.ndarray
    indexable: np.ndarray


def single_arms(arms: RestlessArms, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(transitions f64[J, 2, S, S], rewards f64[J, 2, S])`` of every arm alone: at rest, and pushed.

    Pushed is under the allowed action that lifts the arm most; where an arm is only ever pushed by one part, that is
    acting on it.
    """
    chances = np.asarray(up_chances(arms, jnp.asarray(actions)), np.float64)
    pushed = np.where(np.asarray(arms.allowed)[:, None], chances, -1.0).max(0)
    up = np.stack([chances[0], pushed], axis=1)[:, :, None]
    pays = np.asarray(arms.rewards, np.float64)
    J, S = pays.shape
    transitions = np.zeros((J, 2, S, S))
    for state in range(S):
        transitions[:, :, state, min(state + 1, S - 1)] += up[:, :, 0]
        transitions[:, :, state, max(state - 1, 0)] += 1 - up[:, :, 0]
    return transitions, np.einsum("jast,jt->jas", transitions, pays)


def advantage(transitions: np.ndarray, rewards: np.ndarray, subsidy: np.ndarray, discount: float) -> np.ndarray:
    """f64[M, S], ``Q(s, act) - Q(s, rest)`` of M arms, each with its own subsidy f64[M], by policy iteration.

    Args:
        transitions: f64[M, 2, S, S].
        rewards: f64[M, 2, S].
        subsidy: f64[M].
        discount: in [0, 1).
    """
    M, _, S, _ = transitions.shape
    paid = rewards + np.stack([subsidy, np.zeros(M)], axis=1)[:, :, None]
    acts = np.zeros((M, S), int)
    arm, state = np.arange(M)[:, None], np.arange(S)
    while True:
        matrix = np.eye(S) - discount * transitions[arm, acts, state]
        value = np.linalg.solve(matrix, paid[arm, acts, state][..., None])[..., 0]
        q = paid + discount * np.einsum("mast,mt->mas", transitions, value)
        gain = q[:, 1] - q[:, 0]
        better = np.where(np.abs(gain) > _TIE, gain > 0, acts)
        if (better == acts).all():
            return gain
        acts = better.astype(int)


def whittle_index(
    transitions: np.ndarray, rewards: np.ndarray, discount: float = 0.99, grid: int = 200
) -> Whittle:
    """Whittle's indices of J arms of S states, and which of the arms are indexable.

    Args:
        transitions: f64[J, 2, S, S], at rest and pushed.
        rewards: f64[J, 2, S].
        discount: in [0, 1).
        grid: subsidies at which the passive sets are compared.

    Returns:
        The index bisected to 1e-9 of its range; of an arm that is not indexable, one of the subsidies at which acting
        and resting are worth the same.

    Raises:
        ValueError: shapes that do not fit, rows of transitions that do not sum to 1, or a discount outside [0, 1).
    """
    transitions, rewards = np.asarray(transitions, float), np.asarray(rewards, float)
    if transitions.ndim != 4 or transitions.shape[1] != 2 or rewards.shape != transitions.shape[:3]:
        raise ValueError(
            f"transitions of shape {transitions.shape}, rewards of {rewards.shape}: expected (J, 2, S, S), (J, 2, S)"
        )
    if (transitions < 0).any() or not np.allclose(transitions.sum(-1), 1):
        raise ValueError("transitions: expected chances that sum to 1 over the next states")
    require_between(0.0, 1 - 1e-9, discount=discount)
    require_at_least(2, grid=grid)
    J, _, S, _ = transitions.shape
    # A subsidy beyond all that an action can make of the future, on either side.
    spread = (rewards.max((1, 2)) - rewards.min((1, 2))) / (1 - discount) + 1e-9
    of_arm = np.repeat(np.arange(J), S)
    at = np.tile(np.arange(S), J)
    low, high = -spread[of_arm], spread[of_arm]
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        gain = advantage(transitions[of_arm], rewards[of_arm], middle, discount)[np.arange(J * S), at]
        low, high = np.where(gain > 0, middle, low), np.where(gain > 0, high, middle)
    index = ((low + high) / 2).reshape(J, S)
    # Passive sets change at indices only, if the arm is indexable: look closely between and around them.
    margin = np.ptp(index, axis=1) * 0.5 + 0.05 * spread
    grids = np.linspace(index.min(1) - margin, index.max(1) + margin, grid)
    gains = np.stack([advantage(transitions, rewards, subsidy, discount) for subsidy in grids])  # [G, J, S]
    passive = gains <= 0
    indexable = ~(passive[:-1] & (gains[1:] > 1e-7 * spread[:, None])).any((0, 2))
    return Whittle(index, indexable)


def relaxed_bound(
    transitions: np.ndarray, rewards: np.ndarray, starts: np.ndarray, num_pulls: int, horizon: int
) -> float:
    """What no policy exceeds in expectation over ``horizon`` rounds, undiscounted, pushing at most B of J arms a round.

    ``min over prices m >= 0 of sum_j V_j(m) + m B horizon``, V_j the value of arm j alone when every push costs m,
    averaged over ``starts`` f64[J, S], the chances of the first states.

    Raises:
        ValueError: ``num_pulls`` is not in [0, J], or the horizon is not positive.
    """
    J = len(transitions)
    require_at_least(0, num_pulls=num_pulls)
    require_at_least(1, horizon=horizon)
    if num_pulls > J:
        raise ValueError(f"num_pulls={num_pulls}: expected at most {J}, the number of arms")

    def bound(price):
        value = np.zeros(rewards.shape[::2])
        for _ in range(horizon):
            q = rewards + np.einsum("jast,jt->jas", transitions, value)
            value = np.maximum(q[:, 0], q[:, 1] - price)
        return float((starts * value).sum() + price * num_pulls * horizon)

    # Convex in the price; at the spread of all values nobody is pushed.
    low, high = 0.0, float(np.ptp(rewards) * horizon)
    for _ in range(_SPLITS):
        third = (high - low) / 3
        if bound(low + third) <= bound(high - third):
            high -= third
        else:
            low += third
    return bound((low + high) / 2)


def index_values(index: jax.Array, states: jax.Array) -> jax.Array:
    """f32[..., J], the entries of f32[J, S] at ``states`` i32[..., J]."""
    return index[jnp.arange(index.shape[0]), states]
