"""Domains of self-improvement: an attempt at a task that is revised turn by turn."""

from collections.abc import Callable
from itertools import permutations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import whole_number


class Revision(NamedTuple):
    """A domain as pure functions; a history is a task with the last attempt at it.

    Attributes:
        base: ``key -> history`` of a training task before the first turn.
        held_out: ``key -> history`` of a task that no training episode begins with.
        observe: ``history -> f32[d]``, what the policy is shown.
        revise: ``(history, action i32) -> history`` after one more turn.
        quality: ``history -> f32`` in [0, 1]; 1 is solved.
        num_actions: static.
    """

    base: Callable[[jax.Array], Any]
    held_out: Callable[[jax.Array], Any]
    observe: Callable[[Any], jax.Array]
    revise: Callable[[Any, jax.Array], Any]
    quality: Callable[[Any], jax.Array]
    num_actions: int


def sorting(n: int = 7, held_out: float = 0.2) -> Revision:
    """Sort ``n`` numbers by swaps: a history is a permutation i32[n], and its quality the share that stands in order
    from the front.

    Action 0 leaves the attempt as it is; the others swap one pair of places each. No single swap of a random attempt
    shows how to continue a long ordered front, because such an attempt begins with k numbers in place with probability
    (n - k)! / n! only: late turns are learnt from histories, if at all. Held-out tasks are permutations of their own;
    a training episode may pass through one, but none begins there.

    Args:
        n: 2 to 8; all n! permutations are stored.
        held_out: share of the permutations that are held out, in (0, 1); the same ones every time.

    Raises:
        ValueError: an argument out of range.
    """
    n = whole_number("n", n, 2, 8)
    first, second = np.triu_indices(n, 1)
    first, second = np.append(0, first), np.append(0, second)

    attempts = np.array(list(permutations(range(n))), np.int32)
    order = np.random.default_rng(0).permutation(len(attempts))
    last = round(held_out * len(attempts))
    if not 0 < last < len(attempts):
        raise ValueError(f"held_out={held_out}: expected a share that leaves tasks on both sides, of {len(attempts)}")
    held, trained = jnp.asarray(attempts[order[:last]]), jnp.asarray(attempts[order[last:]])

    def sample(tasks):
        return lambda key: tasks[jax.random.randint(key, (), 0, len(tasks))]

    def revise(attempt, action):
        i, j = jnp.asarray(first)[action], jnp.asarray(second)[action]
        return attempt.at[i].set(attempt[j]).at[j].set(attempt[i])

    def quality(attempt):
        return jnp.cumprod(attempt == jnp.arange(n)).sum() / n

    def observe(attempt):
        return jax.nn.one_hot(attempt, n).ravel()

    return Revision(sample(trained), sample(held), observe, revise, quality, len(first))
