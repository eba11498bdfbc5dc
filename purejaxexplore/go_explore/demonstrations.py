"""Demonstrations: trajectories that exploration found, as arrays that a learner can start from and imitate."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments.environment import Environment

from purejaxexplore.archives.packing import like, packing
from purejaxexplore.archives.trajectory import Replay
from purejaxexplore.blocks.episodes import first_episodes
from purejaxexplore.blocks.rollout import reset_lanes, rollout
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.wrappers import Wrapper

NO_LAG = 2**30


class Demonstrations(NamedTuple):
    """``D`` trajectories of at most ``L`` steps, padded with their last state.

    Attributes:
        packed: packed environment states, [D, L + 1, ...]; row t is the state before action t.
        actions: [D, L, ...].
        rewards: f32[D, L], 0 after the end.
        scores: f32[D, L + 1], sum of the rewards before row t.
        lengths: i32[D], steps, at least 1.
    """

    packed: Any
    actions: jax.Array
    rewards: jax.Array
    scores: jax.Array
    lengths: jax.Array


def demonstrations(env, env_params, replays: Sequence[Replay], max_length: int | None = None) -> Demonstrations:
    """Checks that the replays repeat themselves and stacks them.

    Args:
        env, env_params: the environment they were made in.
        replays: from :func:`~purejaxexplore.go_explore.explore.replay`.
        max_length: ``L``; the longest of them when None.

    Raises:
        ValueError: no replay, an empty one, one longer than ``max_length``, or one whose actions lead elsewhere when
            they are taken again under another key: in such a world a demonstration is luck, not a route.
    """
    lengths = [len(replay.actions) for replay in replays]
    if not lengths or min(lengths) < 1:
        raise ValueError(f"replays of {lengths} steps: expected at least one, each of at least one step")
    longest = max(lengths) if max_length is None else max_length
    if max(lengths) > longest:
        raise ValueError(f"max_length={max_length}: expected at least {max(lengths)}, the longest replay")
    pack, _ = packing(env, env_params)

    def padded(x, size):
        x = np.asarray(x)
        return np.concatenate([x, np.repeat(x[-1:], size - len(x), 0)])

    for number, replay in enumerate(replays):
        if not _repeats(env, env_params, replay):
            raise ValueError(f"replays[{number}] leads elsewhere under another key: {env.name} is stochastic here")
    rewards = np.stack([padded(np.append(r.rewards, 0.0), longest + 1)[:-1] for r in replays]).astype(np.float32)
    states = [jax.tree.map(lambda x: padded(x, longest + 1), r.states) for r in replays]
    packed = jax.vmap(jax.vmap(pack))(jax.tree.map(lambda *rows: jnp.asarray(np.stack(rows)), *states))
    scores = np.concatenate([np.zeros((len(replays), 1), np.float32), np.cumsum(rewards, 1)], 1)
    actions = np.stack([padded(r.actions, longest) for r in replays])
    arrays = (jnp.asarray(actions), jnp.asarray(rewards), jnp.asarray(scores), jnp.asarray(lengths, jnp.int32))
    return Demonstrations(packed, *arrays)


def _repeats(env, env_params, replay: Replay) -> bool:
    start = jax.tree.map(lambda x: jnp.asarray(x[0]), replay.states)

    def step(state, key_action):
        key, action = key_action
        _, following, reward, *_ = env.step_env(key, state, action, env_params)
        following = like(following, state)
        return following, (following, jnp.asarray(reward, jnp.float32))

    keys = jax.random.split(jax.random.key(1), len(replay.actions))
    _, (states, rewards) = jax.lax.scan(step, start, (keys, jnp.asarray(replay.actions)))
    same = jax.tree.map(lambda a, b: np.array_equal(np.asarray(a), np.asarray(b)[1:]), states, replay.states)
    return all(jax.tree.leaves(same)) and np.allclose(rewards, replay.rewards)


class DemoSteps(NamedTuple):
    """The demonstrations step by step: obs [D L, ...], action [D L, ...], returns f32[D L], valid bool[D L]."""

    obs: Any
    action: jax.Array
    returns: jax.Array
    valid: jax.Array


def discounted_returns(rewards: jax.Array, gamma) -> jax.Array:
    """``R_t = r_t + gamma R_{t+1}`` along the last axis, f32[D, L]."""

    def accumulate(total, reward):
        total = reward + gamma * total
        return total, total

    return jax.lax.scan(accumulate, jnp.zeros(rewards.shape[0]), rewards.T, reverse=True)[1].T


def demo_steps(env, env_params, demos: Demonstrations, gamma) -> DemoSteps:
    """What a policy in ``env`` would have seen and done along the demonstrations, and its discounted returns."""
    unpack = packing(env, env_params)[1]
    L = demos.rewards.shape[1]
    stored = jax.tree.map(lambda x: x[:, :L], demos.packed)
    obs = jax.vmap(jax.vmap(lambda packed: env.get_obs(unpack(packed), env_params)))(stored)
    valid = jnp.arange(L) < demos.lengths[:, None]
    steps = DemoSteps(obs, demos.actions, discounted_returns(demos.rewards, gamma), valid)
    return jax.tree.map(lambda x: x.reshape((-1, *x.shape[2:])), steps)


def from_the_start(key, noisy: "NoisyStart", params: "NoisyStartParams", act, num_envs: int, num_steps: int) -> dict:
    """``start_success`` and ``start_return`` of the first episode of each of ``num_envs`` lanes.

    An episode that has not ended within ``num_steps`` steps counts as a failure that returned nothing.

    Args:
        key: consumed.
        noisy, params: the world with its noise; where ``params`` would start episodes does not matter.
        act: as of :func:`~purejaxexplore.blocks.rollout.rollout`, with an empty carry.
        num_envs, num_steps: static.
    """
    key_reset, key_run = jax.random.split(key)
    original = noisy.from_the_start(params)
    lanes = reset_lanes(key_reset, noisy, original, num_envs)
    return first_episodes(rollout(key_run, noisy, original, lanes, (), act, num_steps)[3])


def require_shown(env: Environment) -> None:
    """Raises TypeError unless ``env`` has a ``get_obs`` that shows a stored state."""
    params = env.default_params
    try:
        jax.eval_shape(lambda key: env.get_obs(env.reset_env(key, params)[1], params), jax.random.key(0))
    except NotImplementedError:  # gymnax's base class has get_obs only to say that there is none
        raise TypeError(f"env={env!r} has no get_obs(state, params): a stored state cannot be shown") from None


class NoisyStartState(NamedTuple):
    """An episode that started somewhere on a demonstration.

    Attributes:
        env_state: the environment's.
        last_action: the action last carried out.
        moved: bool, whether there is one.
        demo: i32, which demonstration.
        start: i32, its step at which the episode started.
        elapsed: i32, steps since.
        score: f32, the demonstration's score at the start plus the rewards since.
        reached: bool, the score reached the demonstration's final one.
        extra: i32, steps still granted after that.
    """

    env_state: Any
    last_action: jax.Array
    moved: jax.Array
    demo: jax.Array
    start: jax.Array
    elapsed: jax.Array
    score: jax.Array
    reached: jax.Array
    extra: jax.Array


@struct.dataclass
class NoisyStartParams:
    """Where episodes start and how much noise there is.

    Attributes:
        params: the environment's.
        demos: the :class:`Demonstrations`.
        frontier: i32[D], the latest step that the curriculum starts from.
        window: i32, episodes start in the ``window`` steps up to the frontier ...
        spread: ... or, with this probability, anywhere from the frontier to the end.
        sticky: probability that the last action is repeated instead of the chosen one.
        lag: i32, an episode ends when its score is below the demonstration's score ``lag`` steps ago.
    """

    params: Any
    demos: Demonstrations
    frontier: jax.Array
    window: jax.Array
    spread: float = 0.2
    sticky: float = 0.25
    lag: int = 50


class NoisyStart(Wrapper):
    """Episodes that start on a demonstration, under sticky actions (Machado et al., 2018, "Revisiting the Arcade
    Learning Environment").

    Args:
        env: its ``get_obs`` shows a stored state.

    Raises:
        TypeError: it has none.

    An episode from step 0 starts with the environment's own reset, its random no-ops included. ``info["success"]`` says
    that the episode's score has reached the demonstration's; then the episode goes on for floor(exp(7 u)) steps, u
    uniform in [0, 1), as in Salimans and Chen (2018), "Learning Montezuma's Revenge from a single demonstration". There
    as here the learner sees both cuts, of who falls behind and of who has arrived, as terminations; the environment's
    own time limit stays a truncation.
    """

    def inner_state(self, state: NoisyStartState) -> Any:
        return state.env_state

    def inner_params(self, params: NoisyStartParams) -> Any:
        return params.params

    def __init__(self, env: Environment):
        super().__init__(env)
        require_shown(env)

    def begin(self, env_params: Any, demos: Demonstrations, sticky: float = 0.25, lag: int = 50, spread: float = 0.2):
        """Parameters whose frontier is one step before the end of each demonstration.

        Raises:
            ValueError: a probability or the lag is out of range.
        """
        require_between(0.0, 1.0, sticky=sticky, spread=spread)
        require_at_least(1, lag=lag)
        return NoisyStartParams(env_params, demos, demos.lengths - 1, jnp.int32(1), spread, sticky, lag)

    def from_the_start(self, params: NoisyStartParams) -> NoisyStartParams:
        """The same noise, but every episode starts as the environment's own do and none is cut short."""
        return params.replace(frontier=jnp.zeros_like(params.frontier), window=jnp.int32(1), spread=0.0, lag=NO_LAG)

    def reset_env(self, key, params):
        key_demo, key_spread, key_near, key_far, key_env = jax.random.split(key, 5)
        demos = params.demos
        demo = jax.random.randint(key_demo, (), 0, demos.lengths.shape[0])
        frontier, last = params.frontier[demo], demos.lengths[demo] - 1
        near = frontier - jax.random.randint(key_near, (), 0, params.window)
        far = jax.random.randint(key_far, (), frontier, last + 1)
        start = jnp.maximum(jnp.where(jax.random.bernoulli(key_spread, params.spread), far, near), 0)
        _, fresh = self._env.reset_env(key_env, params.params)
        fresh = jax.tree.map(jnp.asarray, fresh)
        stored = packing(self._env, params.params)[1](jax.tree.map(lambda x: x[demo, start], demos.packed))
        env_state = jax.tree.map(lambda a, b: jnp.where(start == 0, a, b), fresh, like(stored, fresh))
        state = NoisyStartState(
            env_state=env_state,
            last_action=demos.actions[demo, jnp.maximum(start - 1, 0)],
            moved=start > 0,
            demo=demo,
            start=start,
            elapsed=jnp.int32(0),
            score=demos.scores[demo, start],
            reached=jnp.bool_(False),
            extra=jnp.int32(0),
        )
        return self._env.get_obs(env_state, params.params), state

    def step_env(self, key, state, action, params):
        key_sticky, key_extra, key_env = jax.random.split(key, 3)
        again = jax.random.bernoulli(key_sticky, params.sticky) & state.moved
        action = jnp.where(again, state.last_action, jnp.asarray(action, state.last_action.dtype))
        obs, env_state, reward, terminated, info = super().step_env(key_env, state, action, params)
        score, elapsed = state.score + reward, state.elapsed + 1
        demos, demo = params.demos, state.demo
        goal = demos.scores[demo, demos.lengths[demo]]
        due = state.start + elapsed - params.lag
        behind = (due > 0) & (score < demos.scores[demo, jnp.clip(due, 0, demos.lengths[demo])] - 1e-6)
        arrives = (score >= goal - 1e-6) & ~state.reached
        granted = jnp.floor(jnp.exp(7.0 * jax.random.uniform(key_extra))).astype(jnp.int32)
        reached = state.reached | arrives
        extra = jnp.where(arrives, granted, state.extra - state.reached)
        over = (behind & ~reached) | (reached & (extra <= 0) & (params.lag < NO_LAG))
        state = NoisyStartState(
            env_state=env_state, last_action=action, moved=jnp.bool_(True), demo=demo, start=state.start,
            elapsed=elapsed, score=score, reached=reached, extra=extra,
        )  # fmt: skip
        return obs, state, reward, terminated | over, {**info, "success": reached}
