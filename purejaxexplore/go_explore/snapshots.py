"""Snapshot reinforcement learning: at first, a student's episodes start at states of a teacher.

Zhao, Qian, Wang, Shan and Qin (2024), "Snapshot reinforcement learning: leveraging prior trajectories for efficiency".
The learner is left as it is. While fewer than T_snap steps have been taken, an episode starts at

    cluster ~ uniform over the non-empty clusters,   state ~ uniform within it     (status classification)
    and is truncated after L steps                                                 (student trajectory truncation)

and from then on as the environment's own do. Both together are S3RL. The states are every tenth of the best episodes of
a teacher; they are clustered by k-means on the teacher's value of each. A truncated episode is bootstrapped.

What differs from the published program: the learner is PPO alone; a value is the discounted return that the teacher
went on to collect, not its critic's; the change to ordinary starts comes between two rollouts.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.archives.packing import like, packing
from purejaxexplore.blocks.episodes import first_episodes
from purejaxexplore.blocks.kmeans import kmeans1d
from purejaxexplore.blocks.rollout import reset_lanes, rollout
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.wrappers import Wrapper
from purejaxexplore.go_explore.demonstrations import Demonstrations, discounted_returns, require_shown
from purejaxexplore.learners.ppo import PPOState, ppo
from purejaxexplore.learners.ppo_config import PPOConfig, actor_critic, require_plain_policy
from purejaxexplore.nets import memoryless, policy_of


@struct.dataclass
class SnapshotConfig:
    """Settings; those of PPO stand in ``ppo``.

    Attributes:
        ppo: of the learner, without memory (``gru_size=0``).
        snapshot_steps: T_snap, environment steps during which episodes start at snapshots; 100,000 of 1,000,000 in the
            paper, 0 for the plain learner.
        truncate: L, steps after which an episode from a snapshot is cut off, in place of the environment's own limit;
            0 for that limit.
        num_eval_steps: steps of each environment in an evaluation; at least an episode's, for one that has not ended
            counts as a failure that returned nothing.
    """

    ppo: PPOConfig
    snapshot_steps: float = 100_000.0
    truncate: int = 100
    num_eval_steps: int = struct.field(pytree_node=False, default=1000)


class Snapshots(NamedTuple):
    """``M`` states of a teacher, of which some may be padding, in ``n_c`` clusters.

    Attributes:
        packed: packed environment states, [M, ...].
        value: f32[M], the teacher's.
        cluster: i32[M], from the lowest values (0) to the highest; ``n_c`` is padding.
        order: i32[M], the states cluster by cluster, padding last.
        offsets: i32[n_c + 1], where each cluster begins in ``order``, and where the last ends.
    """

    packed: Any
    value: jax.Array
    cluster: jax.Array
    order: jax.Array
    offsets: jax.Array


def classify(packed: Any, value: jax.Array, valid: jax.Array, num_clusters: int = 6) -> Snapshots:
    """Sorts states into clusters of similar value.

    Args:
        packed: packed states, [M, ...].
        value: f32[M].
        valid: bool[M]; at least one.
        num_clusters: n_c; with 1 every state is as likely as any other.
    """
    cluster = kmeans1d(value, valid, num_clusters)
    offsets = jnp.searchsorted(jnp.sort(cluster), jnp.arange(num_clusters + 1), side="left").astype(jnp.int32)
    return Snapshots(packed, value, cluster, jnp.argsort(cluster).astype(jnp.int32), offsets)


def draw(key: jax.Array, snapshots: Snapshots) -> jax.Array:
    """The number i32 of a state: of a uniform non-empty cluster, a uniform member."""
    key_cluster, key_member = jax.random.split(key)
    size = jnp.diff(snapshots.offsets)
    cluster = jax.random.categorical(key_cluster, jnp.where(size > 0, 0.0, -jnp.inf))
    member = jax.random.randint(key_member, (), 0, jnp.maximum(size[cluster], 1))
    return snapshots.order[snapshots.offsets[cluster] + member]


def watch_teacher(
    key: jax.Array,
    env,
    env_params,
    teacher: Callable[[jax.Array, Any], jax.Array],
    *,
    num_steps: int,
    gamma: float = 0.99,
    num_episodes: int = 100,
    best: int = 10,
    every: int = 10,
    num_clusters: int = 6,
) -> Snapshots:
    """Lets a teacher play and takes snapshots of its best episodes.

    Args:
        key: consumed.
        env, env_params: the world in which snapshots will be restored.
        teacher: ``(key, observation) -> action``.
        num_steps: longest episode.
        gamma: discount of the values, [0, 1].
        num_episodes: that the teacher plays.
        best: of them, by return, are kept; 10 in the paper.
        every: steps between two snapshots; 10 in the paper.
        num_clusters: 6 in the paper.

    Raises:
        ValueError: a number is out of range.
    """
    sizes = {"num_steps": num_steps, "num_episodes": num_episodes, "best": best, "every": every}
    require_at_least(1, **sizes, num_clusters=num_clusters)
    require_between(0.0, 1.0, gamma=gamma)
    if best > num_episodes:
        raise ValueError(f"best={best}: expected at most num_episodes={num_episodes}")
    pack, _ = packing(env, env_params)

    def episode(key):
        key_reset, key_play = jax.random.split(key)
        obs, state = env.reset_env(key_reset, env_params)
        state = jax.tree.map(jnp.asarray, state)

        def step(carry, key):
            obs, state, alive = carry
            key_act, key_step = jax.random.split(key)
            action = teacher(key_act, obs)
            following_obs, following, reward, terminated, _ = env.step_env(key_step, state, action, env_params)
            over = terminated | env.is_truncated(following, env_params)
            carry = (following_obs, like(following, state), alive & ~over)
            return carry, (pack(state), jnp.where(alive, reward, 0.0).astype(jnp.float32), alive)

        keys = jax.random.split(key_play, num_steps)
        return jax.lax.scan(step, (obs, state, jnp.bool_(True)), keys)[1]

    packed, rewards, alive = jax.vmap(episode)(jax.random.split(key, num_episodes))
    _, chosen = jax.lax.top_k(rewards.sum(1), best)
    value = discounted_returns(rewards, gamma)

    def thin(x):
        x = x[chosen, ::every]
        return x.reshape((-1, *x.shape[2:]))

    return classify(jax.tree.map(thin, packed), thin(value), thin(alive), num_clusters)


def of_demonstrations(demos: Demonstrations, gamma: float = 0.99, every: int = 10, num_clusters: int = 6) -> Snapshots:
    """Snapshots of demonstrations, such as Go-Explore finds: every ``every``-th state."""
    L = demos.rewards.shape[1]
    valid = jnp.arange(L) < demos.lengths[:, None]

    def thin(x):
        return x[:, :L:every].reshape((-1, *x.shape[2:]))

    packed = jax.tree.map(thin, demos.packed)
    return classify(packed, thin(discounted_returns(demos.rewards, gamma)), thin(valid), num_clusters)


class SnapshotStartState(NamedTuple):
    """Attributes:
    env_state: the environment's.
    elapsed: i32, steps since the episode started here.
    limit: i32, steps after which it is truncated; 0 for the environment's own limit.
    """

    env_state: Any
    elapsed: jax.Array
    limit: jax.Array


@struct.dataclass
class SnapshotStartParams:
    """Attributes:
    params: the environment's.
    snapshots: the :class:`Snapshots`.
    active: whether episodes start at snapshots.
    truncate: i32, steps of an episode that did; 0 for the environment's own limit.
    """

    params: Any
    snapshots: Snapshots
    active: jax.Array
    truncate: jax.Array


class SnapshotStart(Wrapper):
    """Episodes that start at snapshots while ``params.active``, and else as the environment's own.

    Raises:
        TypeError: ``env`` has no ``get_obs`` that shows a stored state.
    """

    def __init__(self, env):
        super().__init__(env)
        require_shown(env)

    def inner_state(self, state: SnapshotStartState) -> Any:
        return state.env_state

    def inner_params(self, params: SnapshotStartParams) -> Any:
        return params.params

    def reset_env(self, key, params):
        key_snapshot, key_env = jax.random.split(key)
        _, fresh = self._env.reset_env(key_env, params.params)
        fresh = jax.tree.map(jnp.asarray, fresh)
        index = draw(key_snapshot, params.snapshots)
        stored = packing(self._env, params.params)[1](jax.tree.map(lambda x: x[index], params.snapshots.packed))
        env_state = jax.tree.map(lambda a, b: jnp.where(params.active, a, b), like(stored, fresh), fresh)
        limit = jnp.where(params.active, params.truncate, 0).astype(jnp.int32)
        return self._env.get_obs(env_state, params.params), SnapshotStartState(env_state, jnp.int32(0), limit)

    def step_env(self, key, state, action, params):
        obs, env_state, reward, terminated, info = super().step_env(key, state, action, params)
        env_state = like(env_state, state.env_state)
        return obs, SnapshotStartState(env_state, state.elapsed + 1, state.limit), reward, terminated, info

    def is_truncated(self, state, params):
        return jnp.where(state.limit > 0, state.elapsed >= state.limit, super().is_truncated(state, params))


def snapshot_rl(env, env_params, snapshots: Snapshots, config: SnapshotConfig) -> Algorithm:
    """PPO whose episodes start at snapshots at first.

    Args:
        env, env_params: the world; its ``get_obs`` shows a stored state.
        snapshots: from :func:`watch_teacher`, :func:`of_demonstrations` or :func:`classify`; arrays may be traced.
        config: the settings.

    Returns:
        An :class:`Algorithm` whose state and metrics are those of :func:`~purejaxexplore.learners.ppo.ppo`, and the
        metric ``snapshots``: 1 while episodes start there. ``evaluate`` gives ``start_return`` and ``start_success`` of
        one episode of each environment from its own start.

    Raises:
        ValueError: a setting is out of range, no snapshot is valid, or as :func:`~purejaxexplore.learners.ppo.ppo`.
        TypeError: a stored state cannot be shown, or ``env`` is not an environment.
    """
    hyper = config.ppo
    require_between(0.0, np.inf, snapshot_steps=config.snapshot_steps, truncate=config.truncate)
    require_at_least(1, num_eval_steps=config.num_eval_steps)
    require_plain_policy(hyper)
    if not isinstance(snapshots.offsets, jax.core.Tracer) and int(snapshots.offsets[-1]) < 1:
        raise ValueError("snapshots: expected at least one valid state, got none")
    started = SnapshotStart(env)
    N, steps_each = hyper.num_envs, hyper.num_envs * hyper.rollout_length
    ordinary = SnapshotStartParams(env_params, snapshots, jnp.bool_(False), jnp.int32(0))
    network = actor_critic(started, ordinary, hyper, 1)

    def world(t):
        return ordinary.replace(active=t * steps_each < config.snapshot_steps, truncate=jnp.int32(config.truncate))

    def init(key):
        return ppo(started, world(jnp.int32(0)), hyper).init(key)

    def step(key, state: PPOState):
        now = world(state.t)
        state, metrics = ppo(started, now, hyper).step(key, state)
        return state, {**metrics, "snapshots": now.active.astype(jnp.float32)}

    def evaluate(key, state: PPOState):
        key_reset, key_run = jax.random.split(key)

        def act(key, carry, lanes):
            policy = policy_of(network, state.params, memoryless(network, state.params, lanes.obs))
            return carry, policy.sample(seed=key), ()

        lanes = reset_lanes(key_reset, started, ordinary, N)
        return first_episodes(rollout(key_run, started, ordinary, lanes, (), act, config.num_eval_steps)[3])

    ppo(started, ordinary, hyper)  # checks the settings before anything is compiled
    return Algorithm(init, step, evaluate)
