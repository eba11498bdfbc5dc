"""Exploration guided by outside knowledge, such as what a language model says of a symbolic state.

A guide is a pure function ``(key, observation, state) -> logits f32[A]`` of one environment; -inf excludes an action,
so a mask is a guide too. A real model is wrapped by asking it about every symbolic state beforehand
(:func:`tabulated`). Two ways to follow one part of the time:

* :func:`guided`, the guide acts: Ma, Luijkx, Ajanovic and Kober (2024), "ExploRLLM: guiding exploration in
  reinforcement learning with large language models".
* :func:`short_listed`, the guide restricts what the agent may choose from: Golchha, Yerawar, Patel, Dan and Murugesan
  (2024), "Language guided exploration for RL agents in text environments". Only the data are guided: a value target
  still maximises over all actions.

Where a world tells which actions are admissible, and the learner heeds it, a guide cannot advise others.

Both give the log-probability of the mixture, so PPO may use them as well as DQN. The guides that a comparison needs are
here: :func:`tabulated` oracles, :func:`noisy`, :func:`uniform` and :func:`adversarial` ones.
"""

from collections.abc import Callable
from typing import Any

import distrax
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.blocks.rollout import Lanes
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.learners.admissible import admissible_in
from purejaxexplore.learners.explorers import Explorer, Schedule, keep_params, scores_of

Guide = Callable[[jax.Array, Any, Any], jax.Array]


def probabilities(logits: jax.Array) -> jax.Array:
    """Softmax over the last axis; uniform where every action is excluded."""
    return jax.nn.softmax(jnp.where(jnp.isneginf(logits).all(-1, keepdims=True), 0.0, logits))


def tabulated(logits: jax.Array, symbol: Callable[[Any, Any], jax.Array]) -> Guide:
    """What was found out beforehand of every symbolic state: an oracle, or the answers of a model.

    Args:
        logits: f32[S, A].
        symbol: ``(observation, state) -> i32[]`` in [0, S).

    Raises:
        ValueError: ``logits`` is not a table.
    """
    table = jnp.asarray(logits, jnp.float32)
    if table.ndim != 2:
        raise ValueError(f"logits of shape {table.shape}: expected [symbolic states, actions]")
    return lambda key, obs, state: table[symbol(obs, state)]


def uniform(num_actions: int) -> Guide:
    """Knows nothing.

    Raises:
        ValueError: ``num_actions`` is not positive.
    """
    require_at_least(1, num_actions=num_actions)
    return lambda key, obs, state: jnp.zeros(num_actions)


def noisy(guide: Guide, drop: float, add: float) -> Guide:
    """Drops each action that the guide prefers to a uniform choice with probability ``drop``, and raises each other one
    to the guide's best with probability ``add``, anew at every step.

    Raises:
        ValueError: ``drop`` or ``add`` is not a probability.
    """
    require_between(0.0, 1.0, drop=drop, add=add)

    def advise(key, obs, state):
        key_guide, key_noise = jax.random.split(key)
        logits = guide(key_guide, obs, state)
        liked = probabilities(logits) >= 1.0 / logits.size
        u = jax.random.uniform(key_noise, logits.shape)
        return jnp.where(liked, jnp.where(u < drop, -jnp.inf, logits), jnp.where(u < add, logits.max(), logits))

    return advise


def adversarial(guide: Guide) -> Guide:
    """Advises against: never the guide's best action, and another the likelier the less the guide likes it."""

    def advise(key, obs, state):
        liked = probabilities(guide(key, obs, state))
        return jnp.log(liked.max() - liked)

    return advise


def guided(guide: Guide, env, env_params, epsilon: float | Schedule) -> Explorer:
    """With probability ``epsilon`` an action drawn from the guide instead of from the policy.

    Args:
        guide: gives logits of the shape of the environment's actions.
        env, env_params: the world, whose states and observations the guide sees.
        epsilon: in [0, 1], or a function of the environment steps acted so far, ``i32[] -> f32[]``.

    Raises:
        ValueError: ``epsilon`` is not a probability, or the guide's logits are not one for each action.
    """
    _require_guide(guide, env, env_params, epsilon)
    return _mixture(guide, epsilon, lambda policy, logits: probabilities(logits))


def short_listed(guide: Guide, env, env_params, epsilon: float | Schedule, size: int, temperature: float) -> Explorer:
    """With probability ``epsilon`` the policy chooses only among the guide's ``size`` best actions.

    The choice is a softmax of the policy's values (or logits) over ``temperature``, on all actions or on the list.

    Args:
        guide, env, env_params, epsilon: as in :func:`guided`.
        size: of the short-list; actions that the guide excludes are not on it.
        temperature: above 0.

    Raises:
        ValueError: as :func:`guided`, or ``size`` is not between 1 and the number of actions.
    """
    num_actions = _require_guide(guide, env, env_params, epsilon)
    require_at_least(1, size=size)
    require_between(float(np.finfo(np.float32).tiny), np.inf, temperature=temperature)
    if size > num_actions:
        raise ValueError(f"size={size}: expected at most the {num_actions} actions of {env.name}")

    def choose(policy, logits):
        # The k-th best decides, so that ties with it are all listed and no order of actions is preferred.
        least = jax.lax.top_k(logits, size)[0][..., -1:]
        listed = (logits >= least) & ~jnp.isneginf(logits)
        return probabilities(jnp.where(listed, scores_of(policy) / temperature, -jnp.inf))

    return _mixture(guide, epsilon, choose, lambda policy: jax.nn.softmax(scores_of(policy) / temperature))


def _mixture(guide: Guide, epsilon, choose, otherwise=lambda policy: policy.probs) -> Explorer:
    """Draws from ``(1 - epsilon) otherwise(policy) + epsilon choose(policy, the guide's logits)``."""
    scheduled = callable(epsilon)

    def act(key, es, policy, lanes: Lanes):
        key_guide, key_action = jax.random.split(key)
        num_envs = lanes.done.shape[0]
        logits = jax.vmap(guide)(jax.random.split(key_guide, num_envs), lanes.obs, lanes.env_state)
        able = admissible_in(policy)
        if able is not None:
            logits = _restricted(logits, able)
        rate = epsilon(es) if scheduled else epsilon
        mixed = (1.0 - rate) * otherwise(policy) + rate * choose(policy, logits)
        action, log_prob = distrax.Categorical(probs=mixed).sample_and_log_prob(seed=key_action)
        return action, log_prob, es + num_envs if scheduled else es

    init = (lambda key, num_envs: jnp.int32(0)) if scheduled else (lambda key, num_envs: ())
    return Explorer(init, act, keep_params, discrete_only=True)


def _restricted(logits: jax.Array, admissible: jax.Array) -> jax.Array:
    """Excludes what is not admissible; where that leaves nothing, all that is admissible is liked alike."""
    left = admissible & ~jnp.isneginf(logits)
    return jnp.where(left.any(-1, keepdims=True), jnp.where(left, logits, -jnp.inf), jnp.where(admissible, 0, -jnp.inf))


def _require_guide(guide: Guide, env, env_params, epsilon) -> int:
    """The number of actions, once the guide's logits are known to be as many."""
    if not callable(epsilon):
        require_between(0.0, 1.0, epsilon=epsilon)
    key = jax.random.key(0)
    num_actions = int(env.action_space(env_params).n)
    obs, state = jax.eval_shape(lambda key: env.reset_env(key, env_params), key)
    logits = jax.eval_shape(guide, key, obs, state)
    if getattr(logits, "shape", None) != (num_actions,):
        raise ValueError(f"guide: gives {logits}, expected logits of shape ({num_actions},), one for each action")
    return num_actions
