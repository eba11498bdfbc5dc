"""Actions that a world does not admit: which they are, and policies that leave them out.

An environment may tell them from the observation alone, ``admissible_actions: obs -> bool[A]``. Then PPO, DQN and the
random policy draw no others; PPO's probabilities and entropy are those of the actions left (Huang and Ontanon 2022, "A
closer look at invalid action masking in policy gradient algorithms"), and no target of DQN is the value of another.
"""

from collections.abc import Callable

import distrax
import jax
import jax.numpy as jnp

_NEVER = -1e9
"""A logit whose probability is 0; one of minus infinity would have gradients that are not numbers."""


def admissible_of(env) -> Callable[[jax.Array], jax.Array] | None:
    """Which actions are admissible, ``observations [B, ...] -> bool[B, A]``; None where ``env`` does not tell.

    Where none is, all are, so that there is always one to take and to bootstrap from.
    """
    tell = getattr(env, "admissible_actions", None)
    if tell is None:
        return None

    def admissible(obs):
        able = jax.vmap(tell)(obs)
        return able | ~able.any(-1, keepdims=True)

    return admissible


def uniform_actions(
    key: jax.Array, action_space, admissible: Callable[[jax.Array], jax.Array] | None, obs: jax.Array
) -> jax.Array:
    """An action for each of the observations [N, ...], each of the admissible ones as likely, or any of the space."""
    if admissible is None:
        return jax.vmap(action_space.sample)(jax.random.split(key, jax.tree.leaves(obs)[0].shape[0]))
    return jax.random.categorical(key, jnp.where(admissible(obs), 0.0, -jnp.inf))


def require_admissible(env, env_params) -> None:
    """Raises a ValueError unless what ``env`` tells, where it does, is one bool an action."""
    if admissible_of(env) is None:
        return
    num_actions = int(env.action_space(env_params).n)
    obs, _ = jax.eval_shape(lambda key: env.reset_env(key, env_params), jax.random.key(0))
    told = jax.eval_shape(env.admissible_actions, obs)
    if getattr(told, "shape", None) != (num_actions,) or told.dtype != bool:
        raise ValueError(f"admissible_actions of {env.name}: gives {told}, expected bool[{num_actions}]")


class AdmissibleGreedy(distrax.Greedy):
    """The greedy policy of values among admissible actions; the preferences of the others are -inf.

    Attributes:
        admissible: bool[..., A], in each row at least one.
    """

    def __init__(self, preferences: jax.Array, admissible: jax.Array):
        super().__init__(jnp.where(admissible, preferences, -jnp.inf))
        self.admissible = jnp.broadcast_to(admissible, preferences.shape)


class AdmissibleCategorical(distrax.Categorical):
    """The policy of logits f32[..., A] over admissible actions; the probabilities of the others are 0.

    Attributes:
        admissible: bool[..., A], in each row at least one.
    """

    def __init__(self, logits: jax.Array, admissible: jax.Array):
        super().__init__(logits=jnp.where(admissible, logits, _NEVER))
        self.admissible = jnp.broadcast_to(admissible, logits.shape)


def admissible_in(policy: distrax.Distribution) -> jax.Array | None:
    """bool[..., A], the actions that a policy keeps to; None where it knows of none that are not admissible."""
    return getattr(policy, "admissible", None)
