"""Who proposes goals: pure functions that stand for a language model asked what would be sensible to do now.

A suggester is ``(key, observation) -> bool[G]``, which of G goals it proposes. A real model is wrapped by asking it
about every symbolic state beforehand and looking its answers up. The key is the same for all environments of a step, so
that it makes no difference which of them a state is met in.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from purejaxexplore.checks import require_at_least, require_between, whole_number

Suggester = Callable[[jax.Array, Any], jax.Array]


def everything(num_goals: int) -> Suggester:
    """Proposes all goals always: what remains of the method is that each pays once an episode.

    Raises:
        ValueError: ``num_goals`` is not positive.
    """
    require_at_least(1, num_goals=num_goals)
    return lambda key, obs: jnp.ones(num_goals, bool)


def uniform(num_goals: int, num_suggestions: int) -> Suggester:
    """Knows nothing: ``num_suggestions`` different goals, drawn uniformly at every step.

    Raises:
        ValueError: ``num_suggestions`` is not from 1 to ``num_goals``.
    """
    whole_number("num_suggestions", num_suggestions, 1, num_goals)
    chosen = jnp.arange(num_goals) < num_suggestions
    return lambda key, obs: jax.random.permutation(key, chosen)


def noisy(suggester: Suggester, drop: float, add: float) -> Suggester:
    """Leaves each proposal out with probability ``drop`` and makes each other one with ``add``, anew at every step.

    Raises:
        ValueError: ``drop`` or ``add`` is not a probability.
    """
    require_between(0.0, 1.0, drop=drop, add=add)

    def suggest(key, obs):
        key_inner, key_noise = jax.random.split(key)
        proposed = suggester(key_inner, obs)
        u = jax.random.uniform(key_noise, proposed.shape)
        return jnp.where(proposed, u >= drop, u < add)

    return suggest


def inverted(suggester: Suggester) -> Suggester:
    """Proposes exactly what ``suggester`` does not, such as only what cannot be done now."""
    return lambda key, obs: ~suggester(key, obs)
