"""LESSON: Kim, Kim and Sung (2023), "LESSON: learning to integrate exploration strategies for reinforcement learning
via an option framework".

How to act now is an option: uniformly at random, repeating one random action, greedily by the values of a curiosity
reward, or greedily by those of the task. Option values Q_o and termination probabilities b_o are learned with both
rewards, the task's values off-policy from everything that happened::

    p(o | s)  ~ exp(sharpness Q_o(s) / max(max_o Q_o(s), 1)), clipped to [0.05, 0.95] and normalised
    y_o = scale r + c r_i + gamma ((1 - b_o(s')) Q~_o(s') + b_o(s') max_o Q~_o(s'))
    termination loss = E[b_o(s) (Q_o(s) - max_o Q_o(s) + xi)],  xi = -E[Q_o(s) - max_o Q_o(s)]

An option is drawn anew where it terminated or an episode begins. xi, the deliberation cost, adapts so that the mean
advantage is 0. Different from the authors' code: the clipped probabilities are normalised (there they sum to up to 1.10
and options late in the list, the greedy one is last, are drawn too rarely), N environments step in lockstep, and the
curiosity reward is any bonus of this package, paid where it is collected.
"""

from math import inf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from gymnax.environments import spaces

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import coverage, mark_visited, no_state_visited, summarise
from purejaxexplore.blocks.replay import Replay, init_replay, push, require_replay, sample_windows
from purejaxexplore.blocks.rollout import Lanes, reset_lanes, rollout
from purejaxexplore.bonuses.bonus import Bonus, BonusState
from purejaxexplore.bonuses.rnd import rnd
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.learners.requirements import require_environment, require_network
from purejaxexplore.learners.streams import Stream, learn, pay, require_streams
from purejaxexplore.nets import ActionValues

OPTIONS = ("uniform", "persistent", "curious", "greedy")


@struct.dataclass
class LessonConfig:
    """Hyper-parameters; defaults are the authors' where they suit small worlds.

    Attributes:
        learning_rate: Adam's, (0, inf); 1e-4 in the paper.
        gamma: discount of all values, [0, 1].
        intrinsic_coef: c, weight of the curiosity reward in the option values, at least 0.
        reward_scale: of the task's reward, at least 0.
        sharpness: inverse temperature of the option probabilities, at least 0; 0 draws options uniformly.
        least_probability: of an option, [0, 0.25]; the most is 1 less that, before normalising.
        least_termination: of an option at a step, [0, 0.5]; the most is 1 less that.
        max_grad_norm, adam_eps: of the optimiser.
        target_period: updates between two copies to the target networks, at least 1.
        num_envs, rollout_length, num_updates, batch_size: N, T, then G minibatches of B transitions.
        replay_capacity: transitions, a multiple of ``num_envs``.
        num_warmup_steps: random steps of each environment that fill the replay, and as many before for the bonus.
        hidden_sizes, activation, network: of the networks of values, as in DQN.
    """

    learning_rate: float = 1e-3
    gamma: float = 0.99
    intrinsic_coef: float = 0.1
    reward_scale: float = 10.0
    sharpness: float = 50.0
    least_probability: float = 0.05
    least_termination: float = 0.1
    max_grad_norm: float = 10.0
    adam_eps: float = 1e-8
    target_period: float = 100.0
    num_envs: int = struct.field(pytree_node=False, default=16)
    rollout_length: int = struct.field(pytree_node=False, default=4)
    num_updates: int = struct.field(pytree_node=False, default=1)
    batch_size: int = struct.field(pytree_node=False, default=128)
    replay_capacity: int = struct.field(pytree_node=False, default=16384)
    num_warmup_steps: int = struct.field(pytree_node=False, default=64)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))
    activation: str = struct.field(pytree_node=False, default="relu")
    network: str = struct.field(pytree_node=False, default="mlp")


class Parameters(NamedTuple):
    """``actions``: of the values of actions for the task and for curiosity; ``options``: of the values of options and
    the logits of their termination."""

    actions: Any
    options: Any


class LessonState(NamedTuple):
    """The learner and its worlds.

    Attributes:
        params, target: the networks.
        opt_state: gradient clip and Adam.
        replay: of :class:`Stored`.
        lanes: the N environments.
        option: i32[N], the option acting.
        held: i32[N], the action that the persistent option repeats.
        bonus: the curiosity reward's state.
        visited: bool[num_states], states ever visited; bool[0] where the environment does not number its states.
        t: i32[], iterations done.
    """

    params: Parameters
    target: Parameters
    opt_state: Any
    replay: Replay
    lanes: Lanes
    option: jax.Array
    held: jax.Array
    bonus: BonusState
    visited: jax.Array
    t: jax.Array


class Stored(NamedTuple):
    """One row of the replay, [N, ...].

    Attributes:
        obs, action, next_obs: the transition, with the true successor.
        rewards: f32[N, 2], the task's times ``reward_scale``, and the curiosity's.
        terminated: bool[N].
        option: i32[N], active when the action was chosen.
    """

    obs: Any
    action: jax.Array
    next_obs: Any
    rewards: jax.Array
    terminated: jax.Array
    option: jax.Array


def option_probabilities(values: jax.Array, sharpness: jax.Array, least: jax.Array) -> jax.Array:
    """The distribution over options of values ``f32[..., O]``, clipped and then normalised."""
    scale = jnp.maximum(values.max(-1, keepdims=True), 1.0)
    probabilities = jnp.clip(jax.nn.softmax(sharpness * values / scale), least, 1.0 - least)
    return probabilities / probabilities.sum(-1, keepdims=True)


def option_target(reward, discount, termination, value, best) -> jax.Array:
    """``r + discount ((1 - b) Q_o(s') + b max_o Q_o(s'))``, all f32[B]."""
    return reward + discount * ((1.0 - termination) * value + termination * best)


def termination_loss(termination: jax.Array, advantage: jax.Array, going_on: jax.Array) -> jax.Array:
    """``E[b (A - E[A])]`` over the steps that did not terminate; ``advantage`` is ``Q_o - max_o Q_o``, f32[B]."""
    advantage = jax.lax.stop_gradient(advantage - advantage.mean())
    return (termination * advantage * going_on).mean()


def lesson(env, env_params, config: LessonConfig | None = None, *, bonus: Bonus | None = None) -> Algorithm:
    """LESSON as an :class:`Algorithm`; one step is one rollout of N environments and G updates.

    Args:
        env, env_params: gymnax environment and its parameters, discrete actions.
        config: hyper-parameters.
        bonus: the curiosity reward, scored after the rollout; RND by default.

    Returns:
        An algorithm whose metrics are ``env_steps``, ``episodes``, ``episode_return``, ``episode_length``,
        ``success``, ``coverage`` (where states are numbered), ``value_loss``, ``option_loss``, ``termination_loss``,
        ``termination`` (mean probability), ``option_NAME`` (share of the rollout's steps for each of ``OPTIONS``) and
        ``curiosity_reward`` with the bonus's own.

    Raises:
        ValueError: a size is not positive, the replay is too small, an unknown network or activation, continuous
            actions, or a bonus that the policy must see or that needs state ids on a world that has none.
        TypeError: ``env`` is not an environment.
    """
    config = LessonConfig() if config is None else config
    stream = Stream("curiosity", rnd() if bonus is None else bonus)
    _require_lesson(env, env_params, config, stream)
    N, T = config.num_envs, config.rollout_length
    numbered = hasattr(env, "state_id")
    space, action_space = env.observation_space(env_params), env.action_space(env_params)
    num_actions = int(action_space.n)
    network = ActionValues(
        num_actions, 2, len(space.shape), config.hidden_sizes, config.activation, config.network,
        num_states=int(space.n) if config.network == "table" else 0,
    )  # fmt: skip
    option_network = network.clone(num_actions=len(OPTIONS))
    optimiser = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.scale_by_adam(eps=config.adam_eps))

    def none(obs):
        return jnp.zeros((*obs.shape[: obs.ndim - len(space.shape)], 0))

    def action_values(params, obs):
        """f32[B, A, 2]: of the task, and of curiosity."""
        return network.apply(params.actions, obs, none(obs))

    def option_values(params, obs):
        """Values of options f32[B, O], and probabilities f32[B, O] that they terminate."""
        outputs = option_network.apply(params.options, obs, none(obs))
        return outputs[..., 0], jax.nn.sigmoid(outputs[..., 1])

    def clipped(termination):
        return jnp.clip(termination, config.least_termination, 1.0 - config.least_termination)

    def random_actions(key, carry, lanes):
        return carry, jax.vmap(action_space.sample)(jax.random.split(key, N)), jnp.zeros(N, jnp.int32)

    def choose(key, params: Parameters, option, held, lanes):
        """Options that terminated give way to new ones, and the option acts: (option, held, action)."""
        key_end, key_option, key_held, key_uniform, key_greedy = jax.random.split(key, 5)
        values, termination = option_values(params, lanes.obs)
        ends = jax.random.uniform(key_end, (N,)) < clipped(termination)[jnp.arange(N), option]
        renewed = lanes.done | ends
        probabilities = option_probabilities(values, config.sharpness, config.least_probability)
        drawn = jax.random.categorical(key_option, jnp.log(probabilities)).astype(jnp.int32)
        option = jnp.where(renewed, drawn, option)
        held = jnp.where(renewed, jax.random.randint(key_held, (N,), 0, num_actions), held)
        q = action_values(params, lanes.obs)
        # A tie is broken at random: a fresh table would otherwise repeat one action for ever.
        noise = jax.random.uniform(key_greedy, q.shape)
        best = jnp.where(q == q.max(1, keepdims=True), noise, -1.0).argmax(1)
        uniform = jax.random.randint(key_uniform, (N,), 0, num_actions)
        candidates = jnp.stack([uniform, held, best[:, 1], best[:, 0]])
        return option, held, candidates[option, jnp.arange(N)]

    def collect(key, state: LessonState, act, num_steps):
        key_rollout, key_score = jax.random.split(key)
        lanes, (option, held), steps, finished, options, _ = rollout(
            key_rollout, env, env_params, state.lanes, (state.option, state.held), act, num_steps
        )
        features = jnp.zeros((num_steps, N, 0))
        (bonus_state,), curiosity = pay(key_score, [stream], (state.bonus,), steps, features, ())
        rewards = jnp.concatenate([config.reward_scale * steps.reward[..., None], curiosity], -1)
        rows = Stored(steps.obs, steps.action, steps.next_obs, rewards, steps.terminated, options)
        visited = mark_visited(state.visited, steps.aux["state_id"]) if numbered else state.visited
        state = state._replace(
            lanes=lanes, option=option, held=held, bonus=bonus_state, replay=push(state.replay, rows), visited=visited
        )
        return state, steps, finished, options, curiosity

    def init(key):
        key_reset, key_first, key_bonus, key_actions, key_options, key_fill = jax.random.split(key, 6)
        lanes = reset_lanes(key_reset, env, env_params, N)
        visited = no_state_visited(env)
        if numbered:
            visited = mark_visited(visited, jax.vmap(env.state_id, in_axes=(0, None))(lanes.env_state, env_params))
        lanes, _, steps, *_ = rollout(key_first, env, env_params, lanes, (), random_actions, config.num_warmup_steps)
        visited = mark_visited(visited, steps.aux["state_id"]) if numbered else visited
        params = Parameters(
            network.init(key_actions, lanes.obs, none(lanes.obs)),
            option_network.init(key_options, lanes.obs, none(lanes.obs)),
        )
        zeros = jnp.zeros(N, jnp.int32)
        replay = init_replay(
            Stored(lanes.obs, zeros, lanes.obs, jnp.zeros((N, 2)), lanes.done, zeros), config.replay_capacity // N
        )
        bonus_state = stream.bonus.init(key_bonus, steps)
        state = LessonState(
            params, params, optimiser.init(params), replay, lanes, zeros, zeros, bonus_state, visited, jnp.int32(0)
        )
        state, _, finished, *_ = collect(key_fill, state, random_actions, config.num_warmup_steps)
        episodes, _ = summarise(state.lanes.episodes, finished)
        return state._replace(lanes=state.lanes._replace(episodes=episodes))

    def losses(params: Parameters, target: Parameters, batch: Stored):
        at = jnp.arange(config.batch_size)
        discount = config.gamma * (1.0 - batch.terminated)
        chosen = action_values(params, batch.obs)[at, batch.action]
        following = action_values(target, batch.next_obs).max(1)
        goal = batch.rewards + discount[:, None] * following
        value_loss = 0.5 * jnp.square(chosen - goal).mean(0).sum()

        values, termination = option_values(params, batch.obs)
        next_termination = clipped(option_values(params, batch.next_obs)[1][at, batch.option])
        next_values, _ = option_values(target, batch.next_obs)
        reward = batch.rewards[:, 0] + config.intrinsic_coef * batch.rewards[:, 1]
        goal = option_target(
            reward, discount, next_termination, next_values[at, batch.option], next_values.max(-1)
        )
        value = values[at, batch.option]
        option_loss = 0.5 * jnp.square(value - jax.lax.stop_gradient(goal)).mean()
        ending = termination[at, batch.option]
        going_on = 1.0 - batch.terminated
        ending_loss = termination_loss(ending, value - values.max(-1), going_on)
        metrics = {
            "value_loss": value_loss, "option_loss": option_loss, "termination_loss": ending_loss,
            "termination": ending.mean(),
        }  # fmt: skip
        return value_loss + option_loss + ending_loss, metrics

    def fit(key, state: LessonState):
        def update(learned, key_number):
            key, number = key_number
            params, target, opt_state = learned
            rows, lanes = sample_windows(key, state.replay, config.batch_size, 1)
            batch = jax.tree.map(lambda x: x[rows[:, 0], lanes], state.replay.data)
            grads, metrics = jax.grad(losses, has_aux=True)(params, target, batch)
            updates, opt_state = optimiser.update(grads, opt_state)
            params = jax.tree.map(lambda p, u: p - config.learning_rate * u, params, updates)
            moves = jnp.where(jnp.mod(number, config.target_period) < 1.0, 1.0, 0.0)
            return (params, optax.incremental_update(params, target, moves), opt_state), metrics

        numbers = state.t * config.num_updates + 1 + jnp.arange(config.num_updates)
        learned = (state.params, state.target, state.opt_state)
        learned, metrics = jax.lax.scan(update, learned, (jax.random.split(key, config.num_updates), numbers))
        params, target, opt_state = learned
        return state._replace(params=params, target=target, opt_state=opt_state), jax.tree.map(jnp.mean, metrics)

    def step(key, state: LessonState):
        key_collect, key_fit, key_bonus = jax.random.split(key, 3)

        def act(key, carry, lanes):
            option, held, action = choose(key, state.params, *carry, lanes)
            return (option, held), action, option

        state, steps, finished, options, curiosity = collect(key_collect, state, act, T)
        state, metrics = fit(key_fit, state)
        (bonus_state,), learned = learn(key_bonus, [stream], (state.bonus,), steps, jnp.zeros((T, N, 0)))
        metrics |= learned | {"curiosity_reward": curiosity.mean()}
        metrics |= {f"option_{name}": (options == i).mean() for i, name in enumerate(OPTIONS)}
        episodes, episode_metrics = summarise(state.lanes.episodes, finished)
        if numbered:
            metrics["coverage"] = coverage(env, state.visited)
        t = state.t + 1
        state = state._replace(lanes=state.lanes._replace(episodes=episodes), bonus=bonus_state, t=t)
        return state, {"env_steps": N * (2 * config.num_warmup_steps + t * T), **episode_metrics, **metrics}

    return Algorithm(init, step)


def _require_lesson(env, env_params, config: LessonConfig, stream: Stream) -> None:
    require_environment(env)
    require_at_least(1, num_updates=config.num_updates)
    num_rows = max(config.rollout_length, config.num_warmup_steps)
    require_replay(config.replay_capacity, config.num_envs, config.batch_size, 1, num_rows)
    require_between(0.0, 1.0, gamma=config.gamma)
    require_between(0.0, 1.0 / len(OPTIONS), least_probability=config.least_probability)
    require_between(0.0, 0.5, least_termination=config.least_termination)
    numbers = ("learning_rate", "intrinsic_coef", "reward_scale", "sharpness", "max_grad_norm", "adam_eps")
    require_between(0.0, inf, **{name: getattr(config, name) for name in numbers})
    require_between(1.0, inf, target_period=config.target_period)
    require_network(env, env_params, config.network, config.activation, [stream])
    require_streams(env, [stream])
    if not stream.bonus.defer:
        raise ValueError("bonus: expected one that shows nothing to the policy, scored after the rollout")
    if not isinstance(env.action_space(env_params), spaces.Discrete):
        raise ValueError(f"actions of {env.name}: expected a Discrete space, one value for each action")
