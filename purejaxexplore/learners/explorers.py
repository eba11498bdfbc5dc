"""The action side of exploration: how an action is drawn from what the policy network says.

An explorer's log-probability is that of the distribution it really drew from, so that PPO's ratio stays correct.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp

from purejaxexplore.blocks.rollout import Lanes
from purejaxexplore.checks import require_between


class Explorer(NamedTuple):
    """Pure functions; ``es`` is the explorer's own state.

    Attributes:
        init: ``(key, num_envs) -> es``.
        act: ``(key, es, policy, lanes) -> (action [N, ...], log_prob f32[N], es)``; ``policy`` is a distrax
            distribution with batch shape [N]; where ``lanes.done`` an episode begins, and with it whatever lasts one.
        transform: ``(key, params, es) -> params``, called before every rollout (weight noise).
        discrete_only: static, True where ``act`` needs a categorical policy.
    """

    init: Callable[[jax.Array, int], Any]
    act: Callable[[jax.Array, Any, distrax.Distribution, Lanes], tuple[jax.Array, jax.Array, Any]]
    transform: Callable[[jax.Array, Any, Any], Any]
    discrete_only: bool = False


def _stateless(act, discrete_only=False) -> Explorer:
    return Explorer(
        init=lambda key, num_envs: (),
        act=act,
        transform=lambda key, params, es: params,
        discrete_only=discrete_only,
    )


def on_policy() -> Explorer:
    """Samples the policy itself."""

    def act(key, es, policy, lanes):
        action, log_prob = policy.sample_and_log_prob(seed=key)
        return action, log_prob, es

    return _stateless(act)


def uniform_mixture(epsilon: float) -> Explorer:
    """With probability ``epsilon`` (in [0, 1]) a uniform action instead; log-probabilities are the mixture's.

    Raises:
        ValueError: ``epsilon`` is not a probability.
    """
    require_between(0.0, 1.0, epsilon=epsilon)

    def act(key, es, policy, lanes):
        probs = (1.0 - epsilon) * policy.probs + epsilon / policy.num_categories
        action, log_prob = distrax.Categorical(probs=jnp.asarray(probs)).sample_and_log_prob(seed=key)
        return action, log_prob, es

    return _stateless(act, discrete_only=True)
