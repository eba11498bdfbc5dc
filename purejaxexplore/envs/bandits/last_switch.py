"""Last-switch-dependent bandits: what an arm pays depends on when it was last taken up or laid down.

Laforgue, Clerici, Cesa-Bianchi and Gilad-Bachrach (2022), "A last switch dependent analysis of satiation and
seasonality in bandits". k of n arms are played a round; a rested arm pays at least as much as a tired one. Payoffs are
paid without noise, and the regret of a round is what it lacks to the relaxation's bound on the average reward
(:func:`purejaxexplore.blocks.cycles.plan_cycles`): it can be negative.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.blocks.cycles import column_of, plan_cycles
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec, World, require_spec, reveal, without_context


class SwitchState(NamedTuple):
    """Attributes:
    tau: i32[n], rounds rested, or minus the rounds just played in a row; -D, ..., -1, 1, ..., D.
    t: i32[], pulls.
    """

    tau: jax.Array
    t: jax.Array


def advance(tau: jax.Array, played: jax.Array, depth: int) -> jax.Array:
    """tau i32[n] after a round in which ``played`` bool[n]."""
    tired = jnp.where(tau > 0, -1, jnp.maximum(tau - 1, -depth))
    rested = jnp.where(tau < 0, 1, jnp.minimum(tau + 1, depth))
    return jnp.where(played, tired, rested)


def payoffs_at(table: jax.Array, tau: jax.Array) -> jax.Array:
    """f32[n], what each arm pays if it is played now."""
    return jnp.take_along_axis(table, column_of(tau, table.shape[1] // 2)[:, None], axis=1)[:, 0]


def require_table(table: jax.Array, number: int) -> None:
    """Raises ValueError unless payoffs f32[n, 2 D] lie in [0, 1] and never fall with rest; traced ones: the shape."""
    shape = np.shape(table)
    if len(shape) != 2 or shape[0] < 2 or shape[1] < 2 or shape[1] % 2:
        raise ValueError(f"table of shape {shape}: expected (n, 2 D) with at least 2 arms")
    require_at_least(1, num_chosen=number)
    require_between(0.0, 1.0, table=table)
    if not isinstance(table, jax.core.Tracer) and (np.diff(np.asarray(table), axis=1) < 0).any():
        raise ValueError("table: expected payoffs that never fall with rest, from tau = -D to D")


def last_switch(table: jax.Array, num_chosen: int = 1, *, horizon: int | None = None) -> World:
    """A world of a table of payoffs f32[n, 2 D] in [0, 1], for tau = -D, ..., -1, 1, ..., D; all arms begin rested.

    Raises:
        ValueError: another shape, payoffs outside [0, 1] or falling with rest, or ``num_chosen`` not in [1, n].
    """
    require_table(table, num_chosen)
    table = jnp.asarray(table, jnp.float32)
    n, depth = table.shape[0], table.shape[1] // 2
    spec = require_spec(
        Spec(n, "mask", num_chosen=num_chosen, feedback="semi", stationary=False, horizon=horizon)
    )
    bound = plan_cycles(table, num_chosen).bound

    def reset(key):
        return SwitchState(jnp.full(n, depth, jnp.int32), jnp.int32(0))

    def step(noise, state, action):
        feedback = reveal(spec, action, payoffs_at(table, state.tau))
        return SwitchState(advance(state.tau, action, depth), state.t + 1), feedback, bound - feedback.reward

    return World(
        spec, reset, lambda state: without_context(spec, state.t), step,
        lambda state: payoffs_at(table, state.tau), lambda key, n: (),
    )  # fmt: skip


def monotone_table(num_arms: int, depth: int):
    """``key -> f32[n, 2 D]``: sorted uniform payoffs, independent for the arms.

    Raises:
        ValueError: fewer than two arms or a depth below 1.
    """
    require_at_least(2, num_arms=num_arms)
    require_at_least(1, depth=depth)
    return lambda key: jnp.sort(jax.random.uniform(key, (num_arms, 2 * depth)), axis=1)


def patience_table(wait: int, depth: int = 6) -> np.ndarray:
    """Two arms: one always pays 0.05, the other 0.06, and 0.95 once it has rested ``wait`` rounds.

    Raises:
        ValueError: ``wait`` is not in [2, depth].
    """
    require_at_least(2, wait=wait)
    if wait > depth:
        raise ValueError(f"wait={wait}: expected at most depth={depth}")
    table = np.full((2, 2 * depth), 0.05, np.float32)
    table[1] = np.where(np.arange(2 * depth) >= depth + wait - 1, 0.95, 0.06)
    return table
