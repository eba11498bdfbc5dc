"""Workflows: what demonstrations say of how to explore, and the episodes that stay within it.

A workflow step is a constraint on an action ("click something that is labelled send"), one of V that a world knows, and
an action of a demonstration stands for all those it satisfies: Liu, Guu, Pasupat, Shi and Liang (2018), "Reinforcement
learning on web interfaces using workflow-guided exploration", sections 3 and 4.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.learners.guides import probabilities


class Played(NamedTuple):
    """N whole episodes of at most H steps.

    Attributes:
        state, obs: before each step, [H, N, ...].
        action, reward: i32[H, N], f32[H, N].
        valid: bool[H, N], which steps were taken.
        extras: of ``act``, [H, N, ...].
        success: bool[N].
    """

    state: Any
    obs: Any
    action: jax.Array
    reward: jax.Array
    valid: jax.Array
    extras: Any
    success: jax.Array


def play(key: jax.Array, env, env_params, num_episodes: int, horizon: int, act: Callable, given: Any = ()) -> Played:
    """Episodes from their start.

    An episode ends where the world terminates, where ``act`` is not able to go on, or after ``horizon`` steps.

    Args:
        key: consumed.
        env, env_params: gymnax environment and its parameters.
        num_episodes, horizon: N and H, static.
        act: ``(key, t, given, obs, state) -> (action, able bool[], extras)`` of one episode.
        given: pytree with leading axis [N], what each episode's ``act`` is given.
    """
    key_reset, key_steps = jax.random.split(key)
    obs, state = jax.vmap(env.reset_env, (0, None))(jax.random.split(key_reset, num_episodes), env_params)

    def advance(carry, t_keys):
        t, act_keys, env_keys = t_keys
        obs, state, going, success = carry
        action, able, extras = jax.vmap(act, (0, None, 0, 0, 0))(act_keys, t, given, obs, state)
        valid = going & able
        after_obs, after, reward, terminated, info = jax.vmap(env.step_env, (0, 0, 0, None))(
            env_keys, state, action, env_params
        )
        success |= valid & info["success"]
        record = (state, obs, action, jnp.where(valid, reward, 0.0), valid, extras)
        return (after_obs, after, valid & ~terminated, success), record

    going, success = jnp.ones(num_episodes, bool), jnp.zeros(num_episodes, bool)
    keys = jax.random.split(key_steps, (2, horizon, num_episodes))
    (*_, success), records = jax.lax.scan(advance, (obs, state, going, success), (jnp.arange(horizon), *keys))
    return Played(*records, success)


def demonstrate(key: jax.Array, env, env_params, expert: Callable, num_demos: int, horizon: int) -> Played:
    """Demonstrations by an expert ``state -> bool[A]``, who chooses among its right actions at random."""

    def act(key, t, given, obs, state):
        return jax.random.categorical(key, jnp.where(expert(state), 0.0, -jnp.inf)), jnp.bool_(True), ()

    return play(key, env, env_params, num_demos, horizon, act)


def induce(env, demos: Played) -> jax.Array:
    """The workflow lattices of demonstrations: which steps each of their actions satisfies, bool[D, H, V]."""

    def steps_of(state, action):
        return jax.vmap(lambda z: env.satisfying(state, z)[action])(jnp.arange(env.num_constraints))

    lattice = jax.vmap(jax.vmap(steps_of))(demos.state, demos.action) & demos.valid[..., None]
    return jnp.swapaxes(lattice, 0, 1)


def reinforce(psi, baseline, lattice, demo, chosen, valid, outcome, rate, baseline_rate):
    """One REINFORCE step of the workflow policy: ``(psi f32[D, H, V], baseline f32[D, H])``.

    Args:
        psi, baseline, lattice: [D, H, V], [D, H], bool[D, H, V].
        demo: i32[N], whose lattice each episode followed.
        chosen, valid: i32[H, N] and bool[H, N], the workflow steps.
        outcome: f32[N], G.
        rate, baseline_rate: alpha, and that of v.
    """
    place = (demo, jnp.arange(chosen.shape[0])[:, None])
    p = probabilities(jnp.where(lattice, psi, -jnp.inf))
    count = jnp.zeros(baseline.shape).at[place].add(valid)
    total = jnp.zeros(baseline.shape).at[place].add(jnp.where(valid, outcome, 0.0))
    surplus = jnp.where(valid, outcome - baseline[place], 0.0)
    away = jax.nn.one_hot(chosen, psi.shape[-1]) - p[place]
    gradient = jnp.zeros(psi.shape).at[place].add(surplus[..., None] * away) / jnp.maximum(count, 1.0)[..., None]
    mean = total / jnp.maximum(count, 1.0)
    return psi + rate * gradient, jnp.where(count > 0, baseline + baseline_rate * (mean - baseline), baseline)
