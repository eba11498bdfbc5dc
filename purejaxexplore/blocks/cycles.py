"""Plans for arms whose payoff depends on how long they have rested or been played in a row.

An arm has a payoff ``p(tau)``: tau = 1, ..., D rounds of rest, or tau = -1, ..., -D after as many plays in a row. What
one arm does for ever is a cycle of x rests and y plays, which pays ``p(x) + p(-1) + ... + p(-(y - 1))``. With a price
lambda on every play the arms no longer compete, and the relaxation

    U(lambda) = k lambda + sum_i max over cycles of (reward - lambda y) / (x + y)

bounds what k plays a round can pay on average, for every lambda; its least value is the Whittle relaxation's.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

_BISECTIONS = 30


class Plan(NamedTuple):
    """Attributes:
    bound: f32[], U at the best price: no policy earns more a round, on average.
    price: f32[], lambda.
    rests, plays: i32[2, n], x and y of two best cycles of every arm at that price: one that plays less, one more;
        always playing is (0, 1) and never is (1, 0).
    share: f32[], fraction of the time to spend in the second cycles, so that k arms are played a round.
    """

    bound: jax.Array
    price: jax.Array
    rests: jax.Array
    plays: jax.Array
    share: jax.Array


def column_of(tau: jax.Array, depth: int) -> jax.Array:
    """The column of ``tau`` in a table of payoffs f32[n, 2 D], from -D, ..., -1, 1, ..., D."""
    return tau + depth - (tau > 0)


def plan_cycles(table: jax.Array, number: int) -> Plan:
    """The relaxation's plan for a table of payoffs f32[n, 2 D] and ``number`` plays a round, k."""
    n, depth = table.shape[0], table.shape[1] // 2
    length = jnp.arange(1, depth + 1)
    played = table[:, :depth][:, ::-1]  # p(-1), p(-2), ..., p(-D)
    later = jnp.concatenate([jnp.zeros((n, 1)), jnp.cumsum(played, axis=1)[:, :-1]], axis=1)
    pays = table[:, depth:, None] + later[:, None, :]
    rests, plays = jnp.broadcast_to(length[:, None], (depth, depth)), jnp.broadcast_to(length, (depth, depth))
    # All cycles in one row, with always and never.
    pays = jnp.concatenate([pays.reshape(n, -1), table[:, :1], jnp.zeros((n, 1))], axis=1)
    rests = jnp.concatenate([rests.ravel(), jnp.array([0, 1])])
    plays = jnp.concatenate([plays.ravel(), jnp.array([1, 0])])

    def best(price):
        """Cycle of every arm i32[n], and the value f32[n] of each."""
        value = (pays - price * plays) / (rests + plays)
        return value.argmax(1), value.max(1)

    def density(cycle):
        return (plays[cycle] / (rests[cycle] + plays[cycle])).sum()

    def halve(bounds, _):
        low, high = bounds
        middle = (low + high) / 2
        crowded = density(best(middle)[0]) > number
        return (jnp.where(crowded, middle, low), jnp.where(crowded, high, middle)), None

    # Above the largest payoff nothing is played, and a free play is at least as good as rest.
    (low, high), _ = jax.lax.scan(halve, (jnp.float32(0.0), table.max() + 1e-3), length=_BISECTIONS)
    dear, free = best(high)[0], best(low)[0]
    missing = number - density(dear)
    share = jnp.clip(missing / jnp.maximum(density(free) - density(dear), 1e-9), 0.0, 1.0)
    cycles = jnp.stack([dear, free])
    return Plan(number * high + best(high)[1].sum(), high, rests[cycles], plays[cycles], share)
