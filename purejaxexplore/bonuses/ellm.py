"""ELLM: Du, Watkins, Wang, Colas, Darrell, Abbeel, Gupta and Andreas (2023), "Guiding pretraining in reinforcement
learning with large language models".

A language model proposes goals that make sense now, and the agent is paid where what it just did, described by a
caption, is like one of them that it has not achieved in this episode::

    d = max_{g proposed, not achieved} cos(E(caption(o, a, o')), E(g)),        r = d if d > tau else 0

The goal that paid is achieved and pays no more until the next episode. Goals are proposed for the observation that is
acted on, before the action is chosen. The model is any function from observations to sets of goals
(:mod:`~purejaxexplore.bonuses.suggesters`), asked at every step, and embeddings are a table; with none, a caption is
like its own goal only.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.suggesters import Suggester, everything
from purejaxexplore.checks import require_at_least, require_between


@struct.dataclass
class ELLMConfig:
    """Attributes:
    num_goals: G.
    threshold: tau, similarity above which a caption achieves a goal, [0, 1]; the authors' 0.5, 0.99 for exact words.
    once: whether a goal pays once an episode only; the paper's filter, without which easy goals are repeated.
    shown: whether the policy sees the goals that would pay (the paper's goal-conditioned form).
    """

    num_goals: int = struct.field(pytree_node=False)
    threshold: float = 0.5
    once: bool = struct.field(pytree_node=False, default=True)
    shown: bool = struct.field(pytree_node=False, default=False)


class Goals(NamedTuple):
    """Attributes:
    suggested: bool[N, G], proposed for the observation that is acted on next.
    achieved: bool[N, G], in this episode.
    """

    suggested: jax.Array
    achieved: jax.Array


def similarity(captions: jax.Array, goals: jax.Array) -> jax.Array:
    """Cosines of ``captions f32[N, d]`` and ``goals f32[G, d]``, f32[N, G]; 0 where either is zero."""
    lengths = jnp.linalg.norm(captions, axis=-1)[:, None] * jnp.linalg.norm(goals, axis=-1)
    return captions @ goals.T / jnp.maximum(lengths, 1e-12)


def achieve(like: jax.Array, payable: jax.Array, threshold: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What a step pays and which goal it achieves: ``like f32[N, G]``, ``payable bool[N, G]`` -> f32[N], bool[N, G]."""
    best = jnp.where(payable, like, -jnp.inf).max(-1)
    paid = best > threshold
    goal = jnp.where(payable, like, -jnp.inf).argmax(-1)
    achieved = paid[:, None] & (goal[:, None] == jnp.arange(like.shape[-1]))
    return jnp.where(paid, best, 0.0), achieved


def ellm(
    config: ELLMConfig,
    suggest: Suggester | None = None,
    caption: Callable[[Step], jax.Array] | None = None,
    goals: np.ndarray | None = None,
) -> Bonus:
    """The bonus.

    Args:
        config: number of goals and rules.
        suggest: ``(key, observation) -> bool[G]``; all goals always by default.
        caption: ``step of one environment -> f32[d]``, the embedding of what the step did, zero for nothing; by
            default the number of the successor, so that a goal is a state to reach.
        goals: f32[G, d], embeddings of the goals; one-hot by default.

    Returns:
        The bonus, whose metrics are ``suggested`` and ``achieved``, the mean numbers of goals proposed for the last
        observations and achieved in the running episodes. Its memory is a :class:`Goals`.

    Raises:
        ValueError: ``num_goals`` is not positive, ``threshold`` is out of its range, or ``goals`` is not a table of
            ``num_goals`` rows.
    """
    G = config.num_goals
    require_at_least(1, num_goals=G)
    require_between(0.0, 1.0, threshold=config.threshold)
    table = np.eye(G, dtype=np.float32) if goals is None else np.asarray(goals, np.float32)
    if table.ndim != 2 or len(table) != G:
        raise ValueError(f"goals of shape {table.shape}: expected ({G}, d), a row for each of num_goals")
    suggest = everything(G) if suggest is None else suggest
    describe = caption if caption is not None else lambda step: jax.nn.one_hot(step.aux["state_id"], G)

    def propose(key, obs):
        return jax.vmap(suggest, (None, 0))(key, obs)

    def payable(goals: Goals):
        return goals.suggested & ~goals.achieved if config.once else goals.suggested

    def init(key, steps):
        suggested = propose(key, jax.tree.map(lambda x: x[-1], steps.reset_obs))
        return BonusState(mem=Goals(suggested, jnp.zeros_like(suggested)), t=jnp.int32(0))

    def observe(state):
        return payable(state.mem).astype(jnp.float32) if config.shown else observe_nothing(len(state.mem.achieved))

    def score(key, state, step):
        like = similarity(jax.vmap(describe)(step), jnp.asarray(table))
        raw, achieved = achieve(like, payable(state.mem), config.threshold)
        achieved = ~step.done[:, None] & (state.mem.achieved | achieved)
        return state._replace(mem=Goals(propose(key, step.reset_obs), achieved)), raw

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    def update(key, state, batch):
        return state, {name: field.sum(-1).mean() for name, field in state.mem._asdict().items()}

    return Bonus(
        init, observe, score, shape, update, defer=not config.shown, needs_state_id=caption is None, random_mem=True
    )
