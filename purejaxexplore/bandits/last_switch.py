"""Planning for last-switch-dependent bandits: randomised rounding of a relaxation, and the myopic baseline.

Foussoul, Goyal, Papadigenopoulos and Zeevi (2023), "Last switch dependent bandits with monotone payoff functions". The
relaxation gives every arm two cycles of rests and plays (:func:`purejaxexplore.blocks.cycles.plan_cycles`). Rounding:

1. Every arm goes through its cycles by itself, from a uniformly random phase; when one is over the next is drawn, the
   second with odds ``(share / its length) : ((1 - share) / the length of the first)``, so that it takes the planned
   share of the time.
2. Of the arms whose cycle plays in a round, the k of the largest payoff *in the cycle* are played.
3. All cycles go on as if their arms had been played. An arm that was left out is really more rested than its cycle
   says, so where payoffs never fall with rest it pays at least what the cycle promises.

In expectation over the phases this earns ``1 - k^k e^-k / k!`` of the best average reward, or more: 0.63 for k = 1,
0.78 for k = 3. The cycles and step 3 are the paper's idea; how the cycles are mixed is ours. The payoffs are known:
this is the planning problem, not learning.
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from purejaxexplore.bandits.policy import Aux, Policy, no_noise
from purejaxexplore.blocks.cycles import column_of, plan_cycles
from purejaxexplore.checks import choice
from purejaxexplore.envs.bandits.last_switch import advance, payoffs_at, require_table
from purejaxexplore.envs.bandits.world import Spec, require_spec


@flax.struct.dataclass
class CyclesConfig:
    """Attributes:
    table: payoffs f32[n, 2 D] of the world, in [0, 1], never falling with rest; may be traced.
    """

    table: jax.Array


class CyclesState(NamedTuple):
    """Attributes:
    second: i32[n], which of its two cycles each arm is in.
    position: i32[n], rounds of it that are over.
    """

    second: jax.Array
    position: jax.Array


def rounded_cycles(spec: Spec, config: CyclesConfig) -> Policy:
    """Randomised rounding of the relaxation.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not masks, or the table does not fit or is not as stated.
    """
    table = _require(spec, config)
    n, k = spec.num_arms, spec.num_chosen
    plan = plan_cycles(table, k)
    length = plan.rests + plan.plays
    arms = jnp.arange(n)
    odds = plan.share / length[1]
    again = odds / (odds + (1 - plan.share) / length[0])

    def init(key):
        key_second, key_position = jax.random.split(key)
        second = (jax.random.uniform(key_second, (n,)) < plan.share).astype(jnp.int32)
        position = jnp.floor(jax.random.uniform(key_position, (n,)) * length[second, arms]).astype(jnp.int32)
        return CyclesState(second, position)

    def choose(state):
        return best_playing(*promises(table, plan.rests[state.second, arms], state.position), k)

    def act(uniform, state, observation):
        return choose(state), Aux((), (uniform < again).astype(jnp.int32))

    def update(state, observation, action, feedback, aux):
        position = state.position + 1
        over = position >= length[state.second, arms]
        second = jnp.where(over, aux.extras, state.second)
        return CyclesState(second, jnp.where(over, 0, position))

    def noise(key, pulls):
        return jax.random.uniform(key, (pulls, n))

    return Policy(spec, init, act, update, choose, noise=noise)


def myopic(spec: Spec, config: CyclesConfig) -> Policy:
    """Plays the k arms that pay most now.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: as for :func:`rounded_cycles`.
    """
    table = _require(spec, config)
    n, k, depth = spec.num_arms, spec.num_chosen, table.shape[1] // 2

    def choose(tau):
        return best_playing(jnp.ones(n, bool), payoffs_at(table, tau), k)

    def act(noise, tau, observation):
        action = choose(tau)
        return action, Aux(action.astype(jnp.float32))

    def update(tau, observation, action, feedback, aux):
        return advance(tau, action, depth)

    return Policy(spec, lambda key: jnp.full(n, depth, jnp.int32), act, update, choose, noise=no_noise)


def promises(table: jax.Array, rests: jax.Array, position: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``(plays bool[n], payoffs f32[n])`` of every arm's cycle at ``position`` i32[n], after ``rests`` i32[n]."""
    depth = table.shape[1] // 2
    played = position - rests  # plays of this cycle so far, negative while it rests
    always = rests == 0
    tau = jnp.where(always, -depth, jnp.where(played == 0, rests, -jnp.maximum(played, 1)))
    tau = jnp.clip(tau, -depth, depth)
    return played >= 0, jnp.take_along_axis(table, column_of(tau, depth)[:, None], axis=1)[:, 0]


def best_playing(plays: jax.Array, payoffs: jax.Array, number: int) -> jax.Array:
    """bool[n], the ``number`` largest payoffs of the arms that play, or all of them if they are fewer."""
    chosen = jnp.zeros(plays.size, bool).at[jax.lax.top_k(jnp.where(plays, payoffs, -1.0), number)[1]].set(True)
    return chosen & plays


def _require(spec, config) -> jax.Array:
    require_spec(spec)
    choice("action", spec.action, ("mask",))
    require_table(config.table, spec.num_chosen)
    if config.table.shape[0] != spec.num_arms:
        raise ValueError(
            f"table of shape {config.table.shape}: expected {spec.num_arms} rows, one for each arm"
        )
    return jnp.asarray(config.table, jnp.float32)
