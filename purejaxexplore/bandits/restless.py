"""Policies for restless arms whose model is known: each takes the best row of the table of actions under a score.

* ``restless_whittle``: ``sum_j W_j(s_j) share_j(a)``, Whittle's index of every arm in its state, times the share of its
  full push that an action gives it, 0 or 1 where an arm is pushed or not. With "any B arms" this is Whittle's policy.
* ``restless_myopic``: the expected reward of this round, exactly maximised.
* ``restless_sampled``: the same over a few random actions.
* ``restless_static``: the highest rewards ``sum_j max_s R_j(s) lift_j(a)``, lift the chance to move up that an action
  adds; looks at no state.
* ``restless_random``: the best row under random weights of the parts, so a maximal action.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.policy import Aux, Policy, first_argmax, no_noise
from purejaxexplore.bandits.whittle import index_values
from purejaxexplore.checks import choice, require_at_least
from purejaxexplore.envs.bandits.restless import RestlessArms, best_next, require_arms, up_chances
from purejaxexplore.envs.bandits.world import Spec, require_spec

Score = Callable[[jax.Array, jax.Array], jax.Array]
"""``(noise, states i32[J]) -> f32[F]``; -inf for rows that cannot be chosen."""


def by_score(spec: Spec, arms: RestlessArms, actions: np.ndarray, score: Score, noise: Callable = no_noise) -> Policy:
    """The policy that takes the allowed row of the largest score; the first among equals.

    Args:
        spec: of a world of :func:`purejaxexplore.envs.bandits.restless`.
        arms: the instance; may be traced.
        actions: bool[F, N].
        score: looked at in allowed rows only.
        noise: of the policy.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: the world is not one of restless arms with such actions.
    """
    require_restless_world(spec, arms, actions)
    table = jnp.asarray(actions)

    def act(noise, state, observation):
        states = observation.context.astype(jnp.int32)
        row = first_argmax(jnp.where(arms.allowed, score(noise, states), -jnp.inf))
        return table[row], Aux()

    def update(state, observation, action, feedback, aux):
        return state

    return Policy(spec, lambda key: (), act, update, lambda state: table[0], noise=noise)


def require_restless_world(spec: Spec, arms: RestlessArms, actions: np.ndarray | None) -> None:
    """Raises TypeError or ValueError unless ``spec`` is that of a world of such arms and actions; None: no table."""
    require_spec(spec)
    choice("action", spec.action, ("mask",))
    require_arms(arms, actions)
    J, N = arms.links.shape
    if (spec.context_dim, spec.num_arms) != (J, N):
        raise ValueError(
            f"context_dim={spec.context_dim}, num_arms={spec.num_arms}: expected {J} and {N}, those of the instance"
        )


def random_row(uniform: jax.Array, arms: RestlessArms, actions: jax.Array) -> jax.Array:
    """i32[...], the allowed row that is best under the weights ``uniform`` f32[..., N] of the parts."""
    scores = jnp.where(arms.allowed, (uniform + 1e-3) @ actions.T.astype(jnp.float32), -jnp.inf)
    return scores.argmax(-1).astype(jnp.int32)


def restless_random(spec: Spec, arms: RestlessArms, actions: np.ndarray) -> Policy:
    """A maximal action at random.

    Raises:
        TypeError, ValueError: as for :func:`by_score`.
    """
    members = jnp.asarray(actions, jnp.float32)

    def noise(key, n):
        return jax.random.uniform(key, (n, spec.num_arms), minval=1e-3)

    return by_score(spec, arms, actions, lambda uniform, states: members @ uniform, noise)


def restless_myopic(spec: Spec, arms: RestlessArms, actions: np.ndarray) -> Policy:
    """The best expected reward of this round.

    Raises:
        TypeError, ValueError: as for :func:`by_score`.
    """
    chances = up_chances(arms, jnp.asarray(actions))
    return by_score(spec, arms, actions, lambda noise, states: best_next(arms, states, chances))


def restless_sampled(spec: Spec, arms: RestlessArms, actions: np.ndarray, num_samples: int = 100) -> Policy:
    """The best expected reward of this round among random actions.

    Raises:
        TypeError: as for :func:`by_score`.
        ValueError: also when ``num_samples`` is not positive.
    """
    require_at_least(1, num_samples=num_samples)
    table = jnp.asarray(actions)
    chances = up_chances(arms, table)

    def noise(key, n):
        return jax.random.split(key, n)

    def score(key, states):
        rows = random_row(jax.random.uniform(key, (num_samples, spec.num_arms)), arms, table)
        drawn = jnp.zeros(len(actions), bool).at[rows].set(True)
        return jnp.where(drawn, best_next(arms, states, chances), -jnp.inf)

    return by_score(spec, arms, actions, score, noise)


def restless_static(spec: Spec, arms: RestlessArms, actions: np.ndarray) -> Policy:
    """Always the action that lifts the arms with the highest rewards.

    Raises:
        TypeError, ValueError: as for :func:`by_score`.
    """
    chances = up_chances(arms, jnp.asarray(actions))
    score = (chances - chances[0]) @ arms.rewards.max(-1)
    return by_score(spec, arms, actions, lambda noise, states: score)


def restless_whittle(spec: Spec, arms: RestlessArms, actions: np.ndarray, index: jax.Array) -> Policy:
    """The largest sum of Whittle's indices, each times the share of its full push that the arm is given.

    Args:
        spec, arms, actions: as for :func:`by_score`.
        index: f32[J, S], from :func:`purejaxexplore.bandits.whittle.whittle_index`; may be traced.

    Raises:
        TypeError: as for :func:`by_score`.
        ValueError: also when ``index`` has another shape than the rewards.
    """
    if index.shape != arms.rewards.shape:
        raise ValueError(f"index of shape {index.shape}: expected {arms.rewards.shape}, that of the rewards")
    share = shares(arms, jnp.asarray(actions))
    index = jnp.asarray(index, jnp.float32)
    return by_score(spec, arms, actions, lambda noise, states: share @ index_values(index, states))


def shares(arms: RestlessArms, actions: jax.Array) -> jax.Array:
    """f32[F, J] in [0, 1], how much of the largest lift that any allowed action gives an arm each action gives it."""
    chances = up_chances(arms, actions)
    lift = chances - chances[0]
    most = jnp.where(arms.allowed[:, None], lift, 0.0).max(0)
    return jnp.clip(lift / jnp.where(most > 0, most, 1.0), 0.0, 1.0)
