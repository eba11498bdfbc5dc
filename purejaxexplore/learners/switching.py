"""A learner whose world changes in the middle of a run, and which is not told.

The protocol of Balloch, Bhagat, Zollicoffer, Jia, Kim and Riedl (2024), "Is exploration all you need? Effective
exploration characteristics for transfer in reinforcement learning", section 4: train on one task, change the task at a
fixed step, go on. Nothing is reset: parameters, optimiser, the memory of every bonus and running episodes stay.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.checks import require_at_least


class SwitchingState(NamedTuple):
    """``learner``: its state; ``t``: i32[], iterations done."""

    learner: Any
    t: jax.Array


def switching(make: Callable[[Any], Algorithm], before: Any, after: Any, iteration: int) -> Algorithm:
    """``make(before)`` for ``iteration`` steps, and ``make(after)`` from then on with the same state.

    Args:
        make: ``env_params -> Algorithm``, such as ``lambda params: ppo(env, params, config)``. It is called with traced
            parameters; the states of the algorithms it returns must not depend on them in shape.
        before, after: parameters of the world, pytrees of the same structure, shapes and types; leaves may be traced,
            so that one program can be swept over many changes.
        iteration: steps before the change, at least 0.

    Returns:
        An algorithm with the metrics of ``make``'s.

    Raises:
        ValueError: ``before`` and ``after`` are of different structure, or ``iteration`` is negative.
    """
    require_at_least(0, iteration=iteration)
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise ValueError("before and after: expected parameters of the same world")

    def init(key):
        return SwitchingState(make(before).init(key), jnp.int32(0))

    def step(key, state: SwitchingState):
        params = jax.tree.map(lambda old, new: jnp.where(state.t < iteration, old, new), before, after)
        learner, metrics = make(params).step(key, state.learner)
        return SwitchingState(learner, state.t + 1), metrics

    return Algorithm(init, step)
