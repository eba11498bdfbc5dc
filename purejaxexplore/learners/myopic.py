"""Myopic multitask exploration: Xu, Xu, Wang, Jain and Liu (2024), "Sample efficient myopic exploration through
multitask reinforcement learning with diverse tasks".

Epsilon-greedy alone needs time exponential in the horizon. With tasks that share their dynamics and are diverse enough,
the near-optimal policy of one leads to where another must explore, and no bonus is needed. A round:

    for every task m: an episode of epsilon-greedy by Q_m; all steps go into one model, with the rewards of all tasks
    Q_m,h(s, a) = r_m(s, a) + c / sqrt(n(s, a)) + sum_s' P(s' | s, a) max_a' Q_m,h+1(s', a')       for h = H ... 1

r_m and P are empirical means, and 0 where nothing was tried. c = 0 is the method; c > 0 is optimism, the reference.
Ties are broken at random, so that no action is preferred before it is known to be good.
"""

from math import inf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.checks import require_at_least, require_between, whole_number


@struct.dataclass
class MyopicConfig:
    """Attributes:
    epsilon: share of random actions, [0, 1]; 1/H in the experiments.
    optimism: c, at least 0; 0 in the paper.
    most: returns are at most this, which bounds optimism.
    horizon: H, steps of an episode.
    num_exploring: the first tasks, which act; the others learn from what those do. None for all.
    """

    epsilon: float = 1 / 12
    optimism: float = 0.0
    most: float = 1.0
    horizon: int = struct.field(pytree_node=False, default=12)
    num_exploring: int | None = struct.field(pytree_node=False, default=None)


class Model(NamedTuple):
    """What was seen by all tasks together.

    Attributes:
        tried: i32[S, A].
        led: i32[S, A, S], to which states, where the episode went on.
        paid: f32[M, S, A], summed rewards of every task.
    """

    tried: jax.Array
    led: jax.Array
    paid: jax.Array


class MyopicState(NamedTuple):
    """``model``: of the shared dynamics; ``env_steps``: i32[], taken so far."""

    model: Model
    env_steps: jax.Array


def plan(model: Model, optimism: jax.Array, most: jax.Array, horizon: int) -> jax.Array:
    """Values f32[H, M, S, A] of the empirical model by backward induction."""
    n = jnp.maximum(model.tried, 1)
    reward = model.paid / n + optimism / jnp.sqrt(n)
    transitions = model.led / n[..., None]

    def back(following, _):
        values = jnp.minimum(reward + jnp.einsum("sat,mt->msa", transitions, following.max(-1)), most)
        return values, values

    return jax.lax.scan(back, jnp.zeros(model.paid.shape), None, horizon)[1][::-1]


def greedy(key: jax.Array, values: jax.Array) -> jax.Array:
    """The best of ``values f32[A]``, ties broken at random."""
    return jax.random.categorical(key, jnp.where(values >= values.max(), 0.0, -jnp.inf))


def myopic_multitask(env, tasks: Any, config: MyopicConfig | None = None) -> Algorithm:
    """The method as an :class:`Algorithm`; one step is a round: an episode of every task.

    Args:
        env: a world with numbered states, in which the tasks differ in rewards only.
        tasks: parameters of the world with a leading axis [M]; the last task is the one that is judged.
        config: hyper-parameters.

    Returns:
        An algorithm whose metrics are ``env_steps``, ``success`` (share of the round's episodes that solved their
        task), ``solved`` (a greedy episode of the last task succeeded after the round) and ``coverage``.

    Raises:
        ValueError: a number is out of its range, or the world numbers no states.
    """
    config = MyopicConfig() if config is None else config
    require_at_least(1, horizon=config.horizon)
    require_between(0.0, 1.0, epsilon=config.epsilon)
    require_between(0.0, inf, optimism=config.optimism, most=config.most)
    if not hasattr(env, "state_id"):
        raise ValueError(f"env={env.name}: expected a world that numbers its states")
    H, S, A = config.horizon, env.num_states, env.num_actions
    M = len(jax.tree.leaves(tasks)[0])
    acting = M if config.num_exploring is None else whole_number("num_exploring", config.num_exploring, 1, M)
    first, last = jax.tree.map(lambda x: x[:acting], tasks), jax.tree.map(lambda x: x[-1], tasks)

    def episode(key, task, values, epsilon):
        """One episode by ``values f32[H, S, A]``: (state, action, next state, going on, rewards [M], valid) [H]."""
        key_reset, key_steps = jax.random.split(key)
        _, start = env.reset_env(key_reset, task)

        def advance(carry, t_keys):
            values, (key_act, key_mix, key_uniform, key_env) = t_keys
            state, running, success = carry
            place = env.state_id(state, task)
            uniform = jax.random.randint(key_uniform, (), 0, A)
            mixed = jax.random.uniform(key_mix) < epsilon
            action = jnp.where(mixed, uniform, greedy(key_act, values[place]))
            _, after, _, terminated, info = env.step_env(key_env, state, action, task)
            paid = jax.vmap(lambda other: env.step_env(key_env, state, action, other)[2])(tasks)
            success |= running & info["success"]
            going = running & ~terminated
            record = (place, action, info["state_id"], going, jnp.where(running, paid, 0.0), running)
            return (after, going, success), record

        keys = jax.random.split(key_steps, (H, 4))
        (*_, success), records = jax.lax.scan(advance, (start, jnp.bool_(True), jnp.bool_(False)), (values, keys))
        return records, success

    def init(key):
        model = Model(jnp.zeros((S, A), jnp.int32), jnp.zeros((S, A, S), jnp.int32), jnp.zeros((M, S, A)))
        return MyopicState(model, jnp.int32(0))

    def step(key, state: MyopicState):
        key_round, key_judge = jax.random.split(key)
        model = state.model
        values = plan(model, config.optimism, config.most, H)
        records, success = jax.vmap(episode, (0, 0, 1, None))(
            jax.random.split(key_round, acting), first, values[:, :acting], config.epsilon
        )
        place, action, following, going, paid, valid = records
        model = Model(
            model.tried.at[place, action].add(valid),
            model.led.at[place, action, following].add(going),
            model.paid.at[:, place, action].add(jnp.moveaxis(paid, -1, 0)),
        )
        after = plan(model, 0.0, config.most, H)[:, -1]
        _, solved = episode(key_judge, last, after, 0.0)
        env_steps = state.env_steps + valid.sum(dtype=jnp.int32)
        metrics = {
            "env_steps": env_steps,
            "success": success.mean(),
            "solved": solved,
            "coverage": (model.tried > 0).any(1).mean(),
        }
        return MyopicState(model, env_steps), metrics

    return Algorithm(init, step)
