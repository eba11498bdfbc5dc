"""One rollout of N environments as a scan: the only place where learners step their worlds."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.episodes import Episodes, Finished, advance, init_episodes


class Step(NamedTuple):
    """One step of N environments (leading axes ``[N]``, or ``[T, N]`` for a rollout): all that a bonus may see.

    Attributes:
        obs: the observation acted on.
        action: the action taken.
        reward: f32, extrinsic reward.
        next_obs: the true successor, never the observation after a reset.
        terminated, truncated: bool.
        reset_obs: the observation acted on next (equal to ``next_obs`` unless the episode ended).
        aux: dict with any of ``state_id`` (i32, of the true successor), ``reset_state_id`` (i32, of the state acted
            on next); present where the environment numbers its states.
    """

    obs: Any
    action: jax.Array
    reward: jax.Array
    next_obs: Any
    terminated: jax.Array
    truncated: jax.Array
    reset_obs: Any
    aux: dict[str, jax.Array]

    @property
    def done(self) -> jax.Array:
        """bool, terminated or truncated."""
        return self.terminated | self.truncated


class Lanes(NamedTuple):
    """N environments between two rollouts.

    Attributes:
        env_state: pytree with leading axis [N].
        obs: the observations to act on, [N, ...].
        done: bool[N], whether the previous step ended an episode (True at the start of a run).
        episodes: bookkeeping of the running episodes.
    """

    env_state: Any
    obs: Any
    done: jax.Array
    episodes: Episodes


def reset_lanes(key: jax.Array, env, env_params, num_envs: int) -> Lanes:
    """Resets ``num_envs`` environments."""
    obs, env_state = jax.vmap(env.reset_env, in_axes=(0, None))(jax.random.split(key, num_envs), env_params)
    return Lanes(env_state, obs, jnp.ones(num_envs, bool), init_episodes(num_envs))


def rollout(
    key: jax.Array,
    env,
    env_params,
    lanes: Lanes,
    carry: Any,
    act: Callable[[jax.Array, Any, Lanes], tuple[Any, jax.Array, Any]],
    num_steps: int,
    react: Callable[[jax.Array, Any, Step], tuple[Any, Any]] | None = None,
) -> tuple[Lanes, Any, Step, Finished, Any, Any]:
    """Steps N environments ``num_steps`` times with automatic resets.

    An environment with ``draw_starts`` (:class:`~purejaxexplore.envs.starts.StartPool`) makes its starts before that.

    Args:
        key: consumed once.
        env, env_params: gymnax environment and its parameters.
        lanes: where the environments stand.
        carry: whatever ``act`` and ``react`` carry along (recurrent state, online bonus states).
        act: ``(key, carry, lanes) -> (carry, action[N], extras)``.
        num_steps: T, static.
        react: ``(key, carry, step) -> (carry, extras)``, called after the environments stepped and before the next
            observation is acted on.

    Returns:
        ``lanes, carry, steps [T, N], finished [T, N], extras of act [T, ...], extras of react [T, ...]``.
    """
    num_envs = lanes.done.shape[0]
    numbered = hasattr(env, "state_id")
    if hasattr(env, "draw_starts"):
        key, key_starts = jax.random.split(key)
        env_params = env.draw_starts(key_starts, env_params)
    env_step = jax.vmap(env.step, in_axes=(0, 0, 0, None))

    def advance_lanes(carried, keys):
        lanes, carry = carried
        carry, action, act_extras = act(keys[0], carry, lanes)
        obs, env_state, reward, terminated, truncated, info = env_step(keys[2:], lanes.env_state, action, env_params)
        reward = reward.astype(jnp.float32)
        done = terminated | truncated
        aux = {}
        if numbered:
            reset_id = jax.vmap(env.state_id, in_axes=(0, None))(env_state, env_params)
            aux = {"state_id": info["state_id"], "reset_state_id": reset_id}
        step = Step(lanes.obs, action, reward, info["final_observation"], terminated, truncated, obs, aux)
        react_extras = ()
        if react is not None:
            carry, react_extras = react(keys[1], carry, step)
        success = info.get("success", jnp.zeros(num_envs, bool))
        episodes, finished = advance(lanes.episodes, reward, done, success)
        recorded = step._replace(reset_obs=None)
        return (Lanes(env_state, obs, done, episodes), carry), (recorded, finished, act_extras, react_extras)

    # All keys in one call: a split inside the loop costs as much as the step of a small world.
    keys = jax.random.split(key, (num_steps, 2 + num_envs))
    (lanes, carry), (steps, finished, act_extras, react_extras) = jax.lax.scan(advance_lanes, (lanes, carry), keys)
    # The observation acted on next is the following row: stored once, not twice.
    reset_obs = jax.tree.map(lambda o, last: jnp.concatenate([o[1:], last[None]]), steps.obs, lanes.obs)
    return lanes, carry, steps._replace(reset_obs=reset_obs), finished, act_extras, react_extras
