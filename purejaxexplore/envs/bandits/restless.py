"""Restless arms, coupled by what can be done to them together.

Every arm is a chain of states that moves one up or one down in every round, also when it is left alone; an action
pushes several arms up, and only the actions of a table can be taken. The arms' rewards add up. Xu, Wilder,
Khalil and Tambe (2025), "Reinforcement learning with combinatorial actions for coupled restless bandits" (coRMAB); with
"any B arms" as the table it is the restless bandit of Whittle (1988), "Restless bandits: activity allocation in a
changing world". The problems of the paper are in :mod:`purejaxexplore.envs.bandits.restless_sets`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, World, require_spec


class RestlessArms(NamedTuple):
    """An instance of J arms with S states and actions of N parts.

    Attributes:
        rewards: f32[J, S], for *entering* a state, or staying in it at an end of the chain.
        links: bool[J, N], the parts of an action that push an arm.
        up: f32[J, C + 1], the chance of moving up with 0, ..., C of its parts in the action; else the arm moves down.
        allowed: bool[F], which rows of the table of actions can be taken; the first always can. Empty without a table.
        rules: what the oracle of its problem asks.
    """

    rewards: jax.Array
    links: jax.Array
    up: jax.Array
    allowed: jax.Array
    rules: Any = ()


class RestlessState(NamedTuple):
    """Attributes:
    arms: the instance.
    states: i32[J].
    t: i32[], rounds.
    """

    arms: RestlessArms
    states: jax.Array
    t: jax.Array


def up_chances(arms: RestlessArms, actions: jax.Array) -> jax.Array:
    """f32[..., J], the chance of every arm to move up under actions bool[..., N]."""
    pushes = (actions.astype(jnp.float32) @ arms.links.T.astype(jnp.float32)).astype(jnp.int32)
    return arms.up[jnp.arange(arms.up.shape[0]), pushes]


def ends(arms: RestlessArms, states: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``(f32[..., J] twice)``, the reward of every arm of ``states`` i32[..., J] if it moves down, and if up."""
    row, last = jnp.arange(arms.rewards.shape[0]), arms.rewards.shape[1] - 1
    down, up = jnp.maximum(states - 1, 0), jnp.minimum(states + 1, last)
    return arms.rewards[row, down], arms.rewards[row, up]


def expected_reward(arms: RestlessArms, states: jax.Array, chances: jax.Array) -> jax.Array:
    """f32[...], of a round in ``states`` i32[..., J] with chances f32[..., J] to move up."""
    down, up = ends(arms, states)
    return (down + chances * (up - down)).sum(-1)


def best_next(arms: RestlessArms, states: jax.Array, chances: jax.Array) -> jax.Array:
    """f32[F], the expected reward of this round for every row of a table of chances f32[F, J]; -inf: not allowed."""
    down, up = ends(arms, states)
    return jnp.where(arms.allowed, chances @ (up - down) + down.sum(), -jnp.inf)


def move(uniform: jax.Array, arms: RestlessArms, states: jax.Array, chances: jax.Array) -> jax.Array:
    """i32[J], the states after a round, by one uniform number in [0, 1) for each arm."""
    return jnp.clip(states + jnp.where(uniform < chances, 1, -1), 0, arms.rewards.shape[1] - 1)


def restless(
    arms: RestlessArms, actions: np.ndarray | None, *, num_chosen: int | None = None, horizon: int = 20,
    start: float = 0.2,
) -> World:  # fmt: skip
    """A world of masks over the N parts of an action; it shows the states of all arms, and begins anew every horizon.

    The reward of a round is the sum over all arms, none is seen by itself. The regret is that of *this* round's
    expected reward: a policy that plans has some, deliberately; compare rewards.

    Args:
        arms: the instance; may be traced.
        actions: bool[F, N], the rows that a policy chooses from, the first one empty; or None, and then the regret is
            against the best chance of every arm by itself, which is at least the regret.
        num_chosen: parts of the largest action; asked for without a table only.
        horizon: rounds of an episode, H.
        start: chance of an arm to start in state 1 rather than 0.

    Raises:
        ValueError: arrays that do not fit together, a table without the empty action, or ``start`` outside [0, 1].
    """
    require_arms(arms, actions)
    require_at_least(1, horizon=horizon)
    require_between(0.0, 1.0, start=start)
    J, N = arms.links.shape
    if (actions is None) == (num_chosen is None):
        raise ValueError(f"num_chosen={num_chosen!r}: expected it without a table of actions, and only then")
    most = int(actions.sum(1).max()) if num_chosen is None else num_chosen
    spec = require_spec(
        Spec(
            N, "mask", context_dim=J, num_chosen=most, value_range=(0.0, np.inf), stationary=False, horizon=horizon,
        )
    )  # fmt: skip
    table = None if actions is None else up_chances(arms, jnp.asarray(actions))

    def best(states):
        if table is not None:
            return best_next(arms, states, table).max()
        down, up = ends(arms, states)
        return (down + (arms.up * (up - down)[:, None]).max(-1)).sum()

    def first(uniform):
        return (uniform < start).astype(jnp.int32)

    def reset(key):
        return RestlessState(arms, first(jax.random.uniform(key, (J,))), jnp.int32(0))

    def observe(state):
        return Observation(state.states.astype(jnp.float32), jnp.ones(N, bool), state.t)

    def step(uniform, state, action):
        chances = up_chances(arms, action)
        states = move(uniform[0], arms, state.states, chances)
        reward = arms.rewards[jnp.arange(J), states].sum()
        feedback = Feedback(jnp.full(N, jnp.nan), jnp.zeros(N, bool), reward, jnp.zeros(0), jnp.bool_(False))
        expected = expected_reward(arms, state.states, chances)
        regret = jnp.maximum(best(state.states) - expected, 0.0)
        t = state.t + 1
        return RestlessState(arms, jnp.where(t % horizon == 0, first(uniform[1]), states), t), feedback, regret

    def means(state):
        """What each part of an action by itself adds to the expected reward of this round."""
        down, up = ends(arms, state.states)
        alone = up_chances(arms, jnp.concatenate([jnp.zeros((1, N), bool), jnp.eye(N, dtype=bool)]))
        return (alone[1:] - alone[0]) @ (up - down)

    return World(spec, reset, observe, step, means, lambda key, n: jax.random.uniform(key, (n, 2, J)))


def require_arms(arms: RestlessArms, actions: np.ndarray | None) -> None:
    """Raises ValueError unless the arrays of an instance and a table of actions fit together; traced ones: shapes."""
    table = np.asarray(actions)
    if actions is not None and (table.ndim != 2 or table.dtype != bool or table[0].any() or not table.any()):
        raise ValueError(
            f"actions: {table.dtype} of shape {table.shape}, expected bool of (F, N), the first row empty and others"
            " not"
        )
    J, (F, N) = len(arms.rewards), (None, arms.links.shape[-1]) if actions is None else table.shape
    shapes = {"rewards": arms.rewards.shape[:1], "links": arms.links.shape, "up": arms.up.shape[:1]}
    for name, expected in {"rewards": (J,), "links": (J, N), "up": (J,)}.items():
        if shapes[name] != expected:
            raise ValueError(f"{name} of shape {getattr(arms, name).shape}: expected {expected} to begin with")
    if actions is not None and arms.allowed.shape != (F,):
        raise ValueError(f"allowed of shape {arms.allowed.shape}: expected ({F},), one for each action")
    require_between(0.0, 1.0, up=arms.up)
