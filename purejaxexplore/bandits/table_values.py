"""Values of every row of a table of combinatorial actions by a network, and the policies that act on them.

Where the paper of :mod:`purejaxexplore.bandits.sequoia` maximises its network by a mixed-integer program, here all
allowed actions are scored in one batch of matrix products, so the maximum is exact.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.policy import Policy
from purejaxexplore.bandits.restless import by_score
from purejaxexplore.checks import choice
from purejaxexplore.envs.bandits.restless import RestlessArms
from purejaxexplore.envs.bandits.world import Spec


def features_of(states: jax.Array, num_states: int, one_hot: bool) -> jax.Array:
    """f32[..., J] or, as one-hot vectors, f32[..., J S]."""
    if not one_hot:
        return states.astype(jnp.float32)
    return jax.nn.one_hot(states, num_states).reshape((*states.shape[:-1], -1))


def table_values(params: Any, features: jax.Array, actions: jax.Array) -> jax.Array:
    """f32[F], the network's values of all actions f32[F, N] with one state's features f32[d].

    The first layer is a sum of what the action gives, one product for the whole table, and what the state gives.
    """
    return value_of_actions(params, features, actions.shape[1])(actions)


def value_of_actions(params: Any, features: jax.Array, size: int) -> Callable[[jax.Array], jax.Array]:
    """``f32[..., N] -> f32[...]``, the network's values of actions of ``size`` parts in a state of features f32[d]."""
    layers = params["params"]
    first = layers["Dense_0"]
    of_state = features @ first["kernel"][size:] + first["bias"]

    def values(actions):
        hidden = actions @ first["kernel"][:size] + of_state
        for i in range(1, len(layers)):
            hidden = jax.nn.relu(hidden) @ layers[f"Dense_{i}"]["kernel"] + layers[f"Dense_{i}"]["bias"]
        return hidden[..., 0]

    return values


def greedy_values(
    spec: Spec, arms: RestlessArms, actions: np.ndarray, params: Any, *, one_hot: bool = False, search: str = "exact"
) -> Policy:
    """The policy that a network of SEQUOIA stands for.

    Args:
        spec, arms, actions: as for the policies of :mod:`purejaxexplore.bandits.restless`.
        params: of the network; may be traced.
        one_hot: as in its config.
        search: ``"exact"``: the best row; ``"iterative"``: the paper's iterative DQN, which adds one part at a time
            while that improves the value and the action stays in the table.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: the world is not one of restless arms with such actions, or an unknown search.
    """
    choice("search", search, ("exact", "iterative"))
    members = jnp.asarray(actions, jnp.float32)
    S = arms.rewards.shape[1]

    def values(noise, states):
        return table_values(params, features_of(states, S, one_hot), members)

    def climb(noise, states):
        row = climbed(values(noise, states), arms.allowed, jnp.asarray(actions), int(actions.sum(1).max()))
        return (jnp.arange(len(actions)) == row).astype(jnp.float32)

    return by_score(spec, arms, actions, values if search == "exact" else climb)


def climbed(values: jax.Array, allowed: jax.Array, actions: jax.Array, most: int) -> jax.Array:
    """i32[], the row reached from the empty action by at most ``most`` additions of the best part, while it helps.

    Args:
        values: f32[F].
        allowed: bool[F].
        actions: bool[F, N], the first row empty.
        most: parts of the largest action.
    """
    sizes = actions.sum(1)

    def add(row, _):
        more = allowed & (actions >= actions[row]).all(1) & (sizes == sizes[row] + 1)
        candidate = jnp.where(more, values, -jnp.inf).argmax()
        better = more[candidate] & (values[candidate] > values[row])
        return jnp.where(better, candidate, row), None

    return jax.lax.scan(add, jnp.int32(0), length=most)[0]
