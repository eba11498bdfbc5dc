"""ExIt, exploratory iteration: train single turns of self-improvement, on a growing buffer of partial histories.

Jiang, Lupu and Bachrach (2025), "Bootstrapping task spaces for self-improvement". Each iteration, P groups of G
responses to one history each:

    history   with probability p_new a new task, otherwise one of the buffer ~ its priority
    respond   G revisions of it, r_i the improvement of quality over the history's attempt, 0 where it is worse
    learn     grad  E[A log pi],  A_i = (r_i - mean r) / std r, 0 where all are equal      (Shao et al., 2024, GRPO)
    grow      one revision of each group enters the buffer with priority var(r); the priority of the history that was
              used becomes var(r); the lowest leave

so that what is trained on are turns from which some revisions are better than others. At test time the policy revises
its own attempts for more turns than it was trained in a row.

What differs from the paper: the policy is a small network and a revision one action, not text; there is hence no
prompt that asks for a different solution, but the diversity bonus is here: advantages are multiplied by the distance of
a response from the centroid of its group, relative to the group's mean distance. Probabilities are our own. Priorities
are shrunk to their mean, because the variance of a few responses is noisy.
"""

from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.archives import archive as table
from purejaxexplore.archives.archive import Archive
from purejaxexplore.archives.indices import fifo_slots, lowest_slots
from purejaxexplore.blocks.sampling import sample_slots
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.go_explore.revisions import Revision
from purejaxexplore.nets import MLP

SOURCES = ("variance", "uniform", "base", "episodes")


@struct.dataclass
class ExItConfig:
    """Settings.

    Attributes:
        learning_rate: Adam's, (0, inf).
        entropy_coef: weight of the policy's entropy, [0, inf).
        new_probability: p_new, that a group works on a new task although the buffer holds some.
        shrinkage: share of the mean in a priority, [0, 1].
        diversity: whether advantages are multiplied by the relative distance from the group's centroid.
        num_groups: P.
        group_size: G, at least 2.
        capacity: C, histories in the buffer.
        source: of histories: "variance" (the paper's), or a baseline: "uniform" (the newest C, all alike), "base" (new
            tasks alone) and "episodes" (``depth`` turns in a row from a new task).
        depth: turns of such an episode.
        hidden_sizes: of the policy's network.
        num_eval_tasks: held-out tasks in an evaluation.
        num_eval_turns: turns at each, an even number.
    """

    learning_rate: float = 3e-3
    entropy_coef: float = 0.01
    new_probability: float = 0.2
    shrinkage: float = 0.1
    diversity: bool = struct.field(pytree_node=False, default=False)
    num_groups: int = struct.field(pytree_node=False, default=64)
    group_size: int = struct.field(pytree_node=False, default=8)
    capacity: int = struct.field(pytree_node=False, default=1024)
    source: str = struct.field(pytree_node=False, default="variance")
    depth: int = struct.field(pytree_node=False, default=4)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))
    num_eval_tasks: int = struct.field(pytree_node=False, default=256)
    num_eval_turns: int = struct.field(pytree_node=False, default=8)


class Turn(NamedTuple):
    """A partial history: the domain's own (task and last attempt), and how many turns it took, i32."""

    history: Any
    depth: jax.Array


class ExItState(NamedTuple):
    """Attributes:
    params: of the policy.
    opt_state: Adam's.
    buffer: Archive of :class:`Turn`; ``score`` is the priority.
    last: Turn [P, ...], one continuation of each group of the last iteration.
    t: i32, iterations done.
    """

    params: Any
    opt_state: Any
    buffer: Archive
    last: Turn
    t: jax.Array


def group_advantages(rewards: jax.Array) -> jax.Array:
    """``(r - mean) / std`` within each group f32[P, G]; 0 where all rewards of the group are equal."""
    centred = rewards - rewards.mean(-1, keepdims=True)
    spread = rewards.std(-1, keepdims=True)
    return jnp.where(spread > 1e-6, centred / jnp.maximum(spread, 1e-6), 0.0)


def relative_distance(embeddings: jax.Array) -> jax.Array:
    """Distance of each response f32[P, G, d] from its group's centroid over the group's mean distance: f32[P, G].

    1 where all are equal.
    """
    distance = jnp.linalg.norm(embeddings - embeddings.mean(1, keepdims=True), axis=-1)
    mean = distance.mean(-1, keepdims=True)
    return jnp.where(mean > 1e-6, distance / jnp.maximum(mean, 1e-6), 1.0)


def priorities(buffer: Archive, shrinkage) -> jax.Array:
    """Sampling weights f32[C] of the histories, moved towards their mean; 0 where a slot is empty."""
    score = jnp.where(buffer.filled, buffer.score, 0.0)
    mean = score.sum() / jnp.maximum(buffer.filled.sum(), 1)
    return jnp.where(buffer.filled, (1.0 - shrinkage) * score + shrinkage * mean, 0.0)


def refresh(buffer: Archive, slot: jax.Array, priority: jax.Array) -> Archive:
    """New priorities f32[P] of the histories at ``slot`` i32[P], the highest where one was used twice."""
    score = buffer.score.at[slot].set(-jnp.inf, mode="drop").at[slot].max(priority, mode="drop")
    return buffer._replace(score=score)


def exploratory_iteration(domain: Revision, config: ExItConfig) -> Algorithm:
    """ExIt's training of a self-improvement policy.

    Args:
        domain: what is revised.
        config: the settings.

    Returns:
        An :class:`Algorithm`; a step is one iteration of P groups. Metrics: ``env_steps`` (responses), ``quality``
        (mean over responses), ``group_variance``, ``informative`` (share of groups that differ), ``new`` (share of
        groups on new tasks), ``depth`` (mean turns of the histories used), ``buffered``, ``entropy``. ``evaluate``
        gives, for held-out tasks, ``solved_half`` and ``solved`` (by half of the turns and by all, the best attempt
        counts) and ``solved_last`` (the last attempt counts).

    Raises:
        ValueError: a setting is out of range.
    """
    _check(config)
    P, G, C = config.num_groups, config.group_size, config.capacity
    network = MLP(config.hidden_sizes, domain.num_actions, "relu", 0.01)
    adam = optax.scale_by_adam()
    observe, revise, quality = (jax.vmap(f) for f in (domain.observe, domain.revise, domain.quality))

    def policy_at(params, obs):
        return distrax.Categorical(logits=network.apply(params, obs))

    def new_turns(key):
        return Turn(jax.vmap(domain.base)(jax.random.split(key, P)), jnp.zeros(P, jnp.int32))

    def choose(key, state):
        """The P histories to work on, their slots in the buffer (C for those that are not from there)."""
        key_new, key_which, key_slot = jax.random.split(key, 3)
        fresh = new_turns(key_new)
        if config.source == "base":
            return fresh, jnp.full(P, C)
        if config.source == "episodes":
            again = (state.last.depth % config.depth == 0) | (state.t == 0)
            return _select(again, fresh, state.last), jnp.full(P, C)
        by_variance = config.source == "variance"
        weight = priorities(state.buffer, config.shrinkage) if by_variance else state.buffer.filled * 1.0
        slot = sample_slots(key_slot, weight, P)
        slot = jnp.where(jax.random.bernoulli(key_which, config.new_probability, (P,)), C, slot)
        stored = jax.tree.map(lambda x: x.at[slot].get(mode="clip"), state.buffer.payload)
        return _select(slot >= C, fresh, stored), slot

    def grow(state, slot, continued: Turn, variance):
        if config.source in ("base", "episodes"):
            return state.buffer
        buffer, valid = state.buffer, jnp.ones(P, bool)
        if config.source == "uniform":
            place, buffer = fifo_slots(buffer, valid)
        else:
            buffer = refresh(buffer, slot, variance)
            place, buffer = lowest_slots(buffer, variance, valid)
        return table.write(buffer, place, place < C, score=variance, payload=continued)

    def init(key):
        key_net, key_turns = jax.random.split(key)
        turns = new_turns(key_turns)
        params = network.init(key_net, observe(turns.history))
        buffer = table.init(jax.tree.map(lambda x: x[0], turns), C)
        return ExItState(params, adam.init(params), buffer, turns, jnp.int32(0))

    def step(key, state):
        key_choose, key_act, key_keep = jax.random.split(key, 3)
        turns, slot = choose(key_choose, state)
        obs = observe(turns.history)
        action = policy_at(state.params, obs).sample(seed=key_act, sample_shape=(G,)).T  # [P, G]
        responses = jax.vmap(lambda h, a: jax.vmap(lambda one: domain.revise(h, one))(a))(turns.history, action)
        before, after = quality(turns.history), jax.vmap(quality)(responses)
        rewards = jnp.maximum(after - before[:, None], 0.0)
        advantages = group_advantages(rewards)
        if config.diversity:
            advantages = advantages * relative_distance(jax.vmap(observe)(responses))

        def loss_fn(params):
            policy = policy_at(params, obs)
            log_prob = policy.log_prob(action.T).T
            entropy = policy.entropy().mean()
            return -(advantages * log_prob).mean() - config.entropy_coef * entropy, entropy

        grads, entropy = jax.grad(loss_fn, has_aux=True)(state.params)
        updates, opt_state = adam.update(grads, state.opt_state)
        params = jax.tree.map(lambda p, u: p - config.learning_rate * u, state.params, updates)

        kept = jax.random.randint(key_keep, (P,), 0, G)
        continued = Turn(jax.tree.map(lambda x: x[jnp.arange(P), kept], responses), turns.depth + 1)
        variance = rewards.var(-1)
        buffer = grow(state, slot, continued, variance)
        t = state.t + 1
        return ExItState(params, opt_state, buffer, continued, t), {
            "env_steps": P * G * t,
            "quality": after.mean(),
            "group_variance": variance.mean(),
            "informative": (variance > 1e-12).mean(),
            "new": (turns.depth == 0).mean(),
            "depth": turns.depth.mean(),
            "buffered": buffer.filled.sum(dtype=jnp.int32),
            "entropy": entropy,
        }

    def evaluate(key, state):
        key_tasks, key_turns = jax.random.split(key)
        histories = jax.vmap(domain.held_out)(jax.random.split(key_tasks, config.num_eval_tasks))

        def turn(histories, key):
            action = policy_at(state.params, observe(histories)).sample(seed=key)
            histories = revise(histories, action)
            return histories, quality(histories) >= 1.0

        solved = jax.lax.scan(turn, histories, jax.random.split(key_turns, config.num_eval_turns))[1]
        half = config.num_eval_turns // 2
        return {
            "solved_half": solved[:half].any(0).mean(),
            "solved": solved.any(0).mean(),
            "solved_last": solved[-1].mean(),
        }

    return Algorithm(init, step, evaluate)


def _select(mask, yes, no):
    return jax.tree.map(lambda a, b: jnp.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b), yes, no)


def _check(config: ExItConfig) -> None:
    choice("source", config.source, SOURCES)
    sizes = ("num_groups", "capacity", "depth", "num_eval_tasks")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(2, group_size=config.group_size, num_eval_turns=config.num_eval_turns)
    if config.num_eval_turns % 2:
        raise ValueError(f"num_eval_turns={config.num_eval_turns}: expected an even number")
    require_between(0.0, np.inf, learning_rate=config.learning_rate, entropy_coef=config.entropy_coef)
    require_between(0.0, 1.0, new_probability=config.new_probability, shrinkage=config.shrinkage)
