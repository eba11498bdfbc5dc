"""Two learners against each other in a zero-sum matrix game: no regret of either is an equilibrium of both.

The row player is paid ``A[i, j]`` in [0, 1], the column player ``1 - A[i, j]``. With the shares ``x`` and ``y`` of
their actions so far and the regrets ``R_1 = max_i sum_t A[i, j_t] - sum_t A[i_t, j_t]`` and ``R_2`` likewise,

    gap(x, y) = max_i (A y)_i - min_j (x A)_j = (R_1 + R_2) / T,

so the average play of two no-regret learners tends to a Nash equilibrium. Freund and Schapire (1999), "Adaptive game
playing using multiplicative weights"; Slivkins (2019), "Introduction to multi-armed bandits", chapter 9.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.bandits.policy import Policy, require_index_world
from purejaxexplore.checks import choice, require_at_least
from purejaxexplore.envs.bandits.world import Spec, reveal, without_context


class SelfPlayState(NamedTuple):
    """Attributes:
    row, column: the learners' states.
    counts: i32[K, L], how often each pair of actions was played; everything that is measured follows from it.
    """

    row: Any
    column: Any
    counts: jax.Array


def duality_gap(payoff: jax.Array, counts: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """``(gap f32[], the row player's regret f32[], the column player's f32[])`` of plays ``counts`` i32[K, L].

    Differences of payoffs are summed, not payoffs: the two sums of a long game would agree in nearly all digits.
    """
    row = (counts * (payoff[:, None] - payoff)).sum((1, 2)).max()
    column = (counts[..., None] * (payoff[..., None] - payoff[:, None])).sum((0, 1)).max()
    return (row + column) / jnp.maximum(counts.sum(), 1), row, column


def player_spec(num_actions: int, feedback: str = "full") -> Spec:
    """What a player's policy is built for: values in [0, 1] that the opponent may change at any time."""
    return Spec(num_actions, feedback=feedback, stationary=False)


def self_play(row: Policy, column: Policy, payoff: jax.Array, *, pulls: int = 1) -> Algorithm:
    """``row`` against ``column``; one step is ``pulls`` rounds in which both act at once.

    A policy of a spec with feedback "full" sees what each of its actions would have earned, "bandit" the one it took.
    Metrics: ``env_steps`` (rounds so far), ``duality_gap`` (of the average play so far), ``row_regret`` and
    ``column_regret`` (sums), ``reward`` (the row player's mean payoff).

    Args:
        row, column: policies of :func:`player_spec`, of K and L actions.
        payoff: f32[K, L] in [0, 1]; may be traced.
        pulls: rounds of a step.

    Raises:
        TypeError: ``row`` or ``column`` is not a Policy.
        ValueError: the payoffs are not a table of the policies' sizes or lie outside [0, 1], a policy expects another
            kind of world, or ``pulls`` is not positive.
    """
    require_at_least(1, pulls=pulls)
    for name, player in (("row", row), ("column", column)):
        if not isinstance(player, Policy):
            raise TypeError(f"{name}={type(player).__name__}: expected a Policy")
        require_index_world(player.spec, f"the {name} player")
        choice("feedback", player.spec.feedback, ("bandit", "full"))
    K, L = row.spec.num_arms, column.spec.num_arms
    if jnp.shape(payoff) != (K, L):
        raise ValueError(f"payoff of shape {jnp.shape(payoff)}: expected ({K}, {L}), the players' actions")
    if not isinstance(payoff, jax.core.Tracer) and not np.all((np.asarray(payoff) >= 0) & (np.asarray(payoff) <= 1)):
        raise ValueError("payoff: expected values in [0, 1]; rescale the game")
    payoff = jnp.asarray(payoff, jnp.float32)

    def init(key):
        key_row, key_column = jax.random.split(key)
        return SelfPlayState(row.init(key_row), column.init(key_column), jnp.zeros((K, L), jnp.int32))

    def learn(player, state, observation, action, aux, value):
        seen = jnp.ones(player.spec.num_arms, bool) if player.spec.feedback == "full" else None
        return player.update(state, observation, action, reveal(player.spec, action, value, seen), aux)

    def play(state, noise):
        t = state.counts.sum()
        seen_by_row, seen_by_column = without_context(row.spec, t), without_context(column.spec, t)
        i, aux_row = row.act(noise[0], state.row, seen_by_row)
        j, aux_column = column.act(noise[1], state.column, seen_by_column)
        return SelfPlayState(
            learn(row, state.row, seen_by_row, i, aux_row, payoff[:, j]),
            learn(column, state.column, seen_by_column, j, aux_column, 1.0 - payoff[i]),
            state.counts.at[i, j].add(1),
        ), None

    def step(key, state):
        key_row, key_column = jax.random.split(key)
        state, _ = jax.lax.scan(play, state, (row.noise(key_row, pulls), column.noise(key_column, pulls)), length=pulls)
        gap, regret_row, regret_column = duality_gap(payoff, state.counts)
        rounds = state.counts.sum()
        return state, {
            "env_steps": rounds,
            "duality_gap": gap,
            "row_regret": regret_row,
            "column_regret": regret_column,
            "reward": (payoff * state.counts).sum() / rounds,
        }

    return Algorithm(init, step)
