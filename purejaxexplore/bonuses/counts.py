"""Count bonuses over numbered states, episodic or lifelong.

Strehl and Littman (2008), "An analysis of model-based interval estimation for Markov decision processes": the n-th
visit of a state pays ``1/sqrt(n)``. The "salesman" form, which pays 1 for a first visit only, is that of Castanyer,
Courville and Bengio (2023), "Improving intrinsic exploration by creating stationary objectives", equation 3.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.checks import choice, require_at_least

REWARDS = {"sqrt": lambda n: jax.lax.rsqrt(n.astype(jnp.float32)), "salesman": lambda n: (n == 1).astype(jnp.float32)}


@struct.dataclass
class CountsConfig:
    """Attributes:
    num_states: table size S; what is counted is in [0, num_states).
    episodic: counts of this episode of this environment, or of the whole run over all environments.
    reward: "sqrt" or "salesman".
    """

    num_states: int = struct.field(pytree_node=False)
    episodic: bool = struct.field(pytree_node=False, default=True)
    reward: str = struct.field(pytree_node=False, default="sqrt")


def counts(config: CountsConfig, groups: np.ndarray | None = None) -> Bonus:
    """The bonus.

    Args:
        config: what is counted and how it is paid.
        groups: i32[number of environment states], the group in [0, num_states) of every ``state_id``, such as its
            position; by default states are counted themselves.

    Raises:
        ValueError: ``num_states`` is not positive, ``reward`` is unknown, or a group is out of range.
    """
    require_at_least(1, num_states=config.num_states)
    if groups is not None and not 0 <= np.min(groups) <= np.max(groups) < config.num_states:
        raise ValueError(f"groups: {np.min(groups)} to {np.max(groups)}, expected 0 to {config.num_states - 1}")
    group_of = (lambda state_id: state_id) if groups is None else (lambda state_id: jnp.asarray(groups)[state_id])

    def number(learn, step):
        return group_of(step.aux["state_id"]), group_of(step.aux["reset_state_id"])

    return counting(config, lambda key, steps: (), number)._replace(needs_state_id=True)


def counting(
    config: CountsConfig,
    init_number: Callable[[jax.Array, Step], Any],
    number: Callable[[Any, Step], tuple[jax.Array, jax.Array]],
) -> Bonus:
    """Counts of whatever ``number`` numbers.

    All environments of a lifelong table add first and are paid afterwards, so their order is no matter.

    State: ``mem: i32[N, S]`` (episodic; what an episode starts in counts as visited once), or ``life: i32[S]``.

    Args:
        config: table and pay.
        init_number: ``(key, steps [M, N]) -> learn``, what ``number`` needs.
        number: ``(learn, step [...]) -> (i32[...], i32[...])``, the numbers in [0, S) of the true successor and of
            what is acted on next.

    Returns:
        The bonus, whose metric ``table_load`` is the share of the lifelong table (the mean share of the running
        episodes' tables) in use.
    """
    choice("reward", config.reward, sorted(REWARDS))
    pay = REWARDS[config.reward]

    def init(key, steps):
        learn = init_number(key, steps)
        start = number(learn, steps)[1][-1]
        N = start.shape[0]
        state = BonusState(learn=learn, norm=jnp.zeros((N, 0)), t=jnp.int32(0))
        if config.episodic:
            fresh = jnp.zeros((N, config.num_states), jnp.int32)
            return state._replace(mem=fresh.at[jnp.arange(N), start].set(1))
        return state._replace(life=jnp.zeros(config.num_states, jnp.int32))

    def score(key, state, step):
        visited, start = number(state.learn, step)
        if not config.episodic:
            life = state.life.at[visited].add(1)
            return state._replace(life=life), pay(life[visited])
        lanes = jnp.arange(visited.shape[0])
        table = state.mem.at[lanes, visited].add(1)
        raw = pay(table[lanes, visited])
        table = jnp.where(step.done[:, None], 0, table).at[lanes, start].add(step.done.astype(jnp.int32))
        return state._replace(mem=table), raw

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    def update(key, state, batch):
        table = state.mem if config.episodic else state.life
        return state, {"table_load": (table > 0).mean()}

    return Bonus(init, lambda state: observe_nothing(state.norm.shape[0]), score, shape, update)
