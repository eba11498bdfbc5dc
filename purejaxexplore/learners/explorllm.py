"""ExploRLLM: Ma, Luijkx, Ajanović and Kober (2024), "ExploRLLM: guiding exploration in reinforcement learning with
large language models".

A program over detected objects, such as a language model writes, supplies part of the behaviour of an off-policy agent.
States and actions are expressed around objects: an action names one of E objects, ``o``, and an offset ``x`` from where
it is seen, at most the environment's reach each way (here in units of it)::

    with probability eps_g:  (o, x) = program(obs), x + N(0, guide_noise^2)            flagged from_guide
    else:                    o ~ pi(. | s),  x = clip(mu_o(s) + e, -1, 1),  e ~ N(0, sigma^2)
    y  = r + gamma (1 - terminated) sum_o pi(o | s') min_i Q~_i(s', o, clip(mu_o(s') + clip(e, -c, c), -1, 1))
    Q  : min sum_i E (Q_i(s, o, x) - y)^2                                              over all of the one replay
    pi : max E sum_o pi(o | s) [min_i Q_i(s, o, clip(mu_o(s) + clip(e, -c, c), -1, 1)) - alpha log pi(o | s)]

The sum over objects is exact. Nothing clones the program: the actor follows the critics alone. eps_g falls linearly to
0, sigma from ``first_noise`` to ``last_noise``. Targets bootstrap through truncation from the true successor and never
through termination. Different from the paper: objects with features take the place of image crops, and one network
scores every object by its own features and by what concerns all, so that a critic's one-hot object is which of them it
is asked about; DDPG with an entropy bonus on objects takes the place of SAC.
"""

from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import summarise
from purejaxexplore.blocks.replay import Replay, init_replay, push, require_replay, sample_windows
from purejaxexplore.blocks.rollout import Lanes, reset_lanes, rollout
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.learners.ddpg import falling_noise, noisy
from purejaxexplore.learners.evaluation import Policy
from purejaxexplore.learners.requirements import require_environment
from purejaxexplore.nets import ACTIVATIONS, MLP

Program = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""``(key, observation) -> (object i32[], offset f32[2])`` of one environment; the offset in the world's own units."""


@struct.dataclass
class ExploRLLMConfig:
    """Hyper-parameters; the paper's where it names them.

    Attributes:
        learning_rate: Adam's, of all networks, (0, inf).
        gamma: [0, 1].
        adam_eps: Adam's epsilon.
        target_rate: how far the target critics move towards the critics at every update, [0, 1].
        entropy_coef: alpha, at least 0.
        first_noise, last_noise: sigma at the first step and after ``noise_steps``, at least 0, in units of the reach.
        noise_steps: environment steps between them, at least 1.
        noise_clip: c, of imagined offsets, at least 0.
        guide_share: eps_g at the first step, [0, 1]; about 0.2 was best in the paper.
        guide_steps: environment steps after which it is 0, at least 1; inf keeps it.
        guide_noise: standard deviation of what is added to the program's offsets, at least 0, in the world's units.
        num_envs: N.
        rollout_length: T, steps of each environment an iteration.
        num_updates: G, minibatches an iteration.
        batch_size: B, transitions of a minibatch.
        replay_capacity: transitions, a multiple of ``num_envs``.
        hidden_sizes, activation: of all networks.
    """

    learning_rate: float = 3e-4
    gamma: float = 0.9
    adam_eps: float = 1e-8
    target_rate: float = 0.01
    entropy_coef: float = 0.01
    first_noise: float = 0.5
    last_noise: float = 0.1
    noise_steps: float = 30_000.0
    noise_clip: float = 0.3
    guide_share: float = 0.2
    guide_steps: float = 30_000.0
    guide_noise: float = 0.02
    num_envs: int = struct.field(pytree_node=False, default=16)
    rollout_length: int = struct.field(pytree_node=False, default=4)
    num_updates: int = struct.field(pytree_node=False, default=4)
    batch_size: int = struct.field(pytree_node=False, default=128)
    replay_capacity: int = struct.field(pytree_node=False, default=65536)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(128, 128))
    activation: str = struct.field(pytree_node=False, default="relu")


class Networks(NamedTuple):
    """One tree each for the actor and for both critics (leading axis [2])."""

    actor: Any
    critics: Any


class ExploRLLMState(NamedTuple):
    """The learner and its worlds.

    Attributes:
        params: :class:`Networks`.
        target: the slow critics, leading axis [2].
        opt_state: Adam's, in :class:`Networks`.
        replay: of :class:`Stored`.
        lanes: the N environments.
        t: i32[], iterations done.
    """

    params: Networks
    target: Any
    opt_state: Networks
    replay: Replay
    lanes: Lanes
    t: jax.Array


class Stored(NamedTuple):
    """One row of the replay, [N, ...]: ``index`` i32[N], ``offset`` f32[N, 2] in [-1, 1], ``next_obs`` the true one."""

    obs: jax.Array
    index: jax.Array
    offset: jax.Array
    from_guide: jax.Array
    next_obs: jax.Array
    reward: jax.Array
    terminated: jax.Array


def guide_share(config: ExploRLLMConfig, env_steps: jax.Array) -> jax.Array:
    """f32[], eps_g after ``env_steps``."""
    return config.guide_share * jnp.maximum(1.0 - env_steps / config.guide_steps, 0.0)


def expected_value(logits: jax.Array, values: jax.Array, alpha: jax.Array = 0.0) -> jax.Array:
    """``sum_o pi(o) (values[o] - alpha log pi(o))`` over the last axis, pi the softmax of ``logits``."""
    log_pi = jax.nn.log_softmax(logits)
    return (jnp.exp(log_pi) * (values - alpha * log_pi)).sum(-1)


def beside(own: jax.Array, rest: jax.Array) -> jax.Array:
    """f32[..., E, d + c]: what an object is (f32[..., E, d]), and what concerns all (f32[..., c])."""
    return jnp.concatenate([own, jnp.broadcast_to(rest[..., None, :], (*own.shape[:-1], rest.shape[-1]))], -1)


def object_policy(env, config: ExploRLLMConfig) -> tuple[MLP, Callable]:
    """The actor's network, and ``(params, obs) -> (logits f32[..., E], mu f32[..., E, 2])``, mu in [-1, 1]."""
    network = MLP(config.hidden_sizes, 3, config.activation, 0.01)

    def policy(params, obs):
        scores = network.apply(params, beside(*env.elements(obs)))
        return scores[..., 0], jnp.tanh(scores[..., 1:])

    return network, policy


def likeliest_action(env, config: ExploRLLMConfig) -> Policy:
    """The policy without noise and without the program, for
    :func:`~purejaxexplore.learners.evaluation.with_evaluation`."""
    policy = object_policy(env, config)[1]

    def act(key, state, obs):
        logits, means = policy(state.params.actor, obs)
        index = logits.argmax(-1)
        offset = jnp.take_along_axis(means, index[:, None, None], 1)[:, 0]
        return jax.vmap(env.encode)(index, env.reach * offset)

    return act


def explorllm(env, env_params, program: Program, config: ExploRLLMConfig | None = None) -> Algorithm:
    """ExploRLLM as an :class:`Algorithm`; one step is one rollout of N environments and G updates.

    Args:
        env, env_params: a world of objects, such as PickPlace2D: ``elements(obs) -> (f32[..., E, d], f32[..., c])``
            takes an observation apart, ``encode(object, offset)`` is an action, and ``reach`` the largest offset.
        program: acts a part of the time.
        config: hyper-parameters.

    Returns:
        An algorithm whose metrics are ``env_steps``, ``episodes``, ``episode_return``, ``episode_length``, ``success``
        (of the behaviour, the program's part included), ``guide_share`` (eps_g of the newest rollout), ``noise`` (its
        sigma), ``value_loss``, ``action_value``, ``entropy`` (of the objects' choice), and ``from_guide``, the
        program's share of the minibatches.

    Raises:
        ValueError: a number is out of its range, the replay is smaller than a minibatch or than a rollout, an unknown
            activation, or the program gives something else than an object and an offset.
        TypeError: ``env`` is not a world of objects.
    """
    config = ExploRLLMConfig() if config is None else config
    _require(env, env_params, program, config)
    N, T, B = config.num_envs, config.rollout_length, config.batch_size
    actor_net, policy = object_policy(env, config)
    value_net = MLP(config.hidden_sizes, 1, config.activation, 1.0)
    adam = optax.adam(config.learning_rate, eps=config.adam_eps)

    def critics(params, features, offset):
        """f32[2, ...] from what :func:`beside` gives, of any number of objects, and their offsets."""
        x = jnp.concatenate([features, offset], -1)
        return jax.vmap(lambda params: value_net.apply(params, x)[..., 0])(params)

    def imagined(key, actor, twins, obs, sigma):
        """Logits and the least values of all objects at their noisy offsets, both f32[B, E]."""
        logits, means = policy(actor, obs)
        noise = jnp.clip(sigma * jax.random.normal(key, means.shape), -config.noise_clip, config.noise_clip)
        # Not ``.min(0)``, whose gradient is NaN where the compiler computes it twice and rounds apart.
        return logits, jnp.minimum(*critics(twins, beside(*env.elements(obs)), noisy(means, noise)))

    def behave(key, actor, obs, sigma, share):
        """The actions of N environments: (object i32[N], offset f32[N, 2] in [-1, 1], from_guide bool[N])."""
        key_program, key_guide, key_shift, key_object, key_noise = jax.random.split(key, 5)
        advised, shift = jax.vmap(program)(jax.random.split(key_program, N), obs)
        shift = (shift + config.guide_noise * jax.random.normal(key_shift, (N, 2))) / env.reach
        logits, means = policy(actor, obs)
        index = jax.random.categorical(key_object, logits)
        mean = jnp.take_along_axis(means, index[:, None, None], 1)[:, 0]
        offset = mean + sigma * jax.random.normal(key_noise, (N, 2))
        guided = jax.random.uniform(key_guide, (N,)) < share
        offset = jnp.clip(jnp.where(guided[:, None], shift, offset), -1.0, 1.0)
        return jnp.where(guided, advised, index), offset, guided

    def init(key):
        key_reset, key_actor, key_critics = jax.random.split(key, 3)
        lanes = reset_lanes(key_reset, env, env_params, N)
        features, nothing = beside(*env.elements(lanes.obs)), jnp.zeros((N, 2))
        pair = jnp.concatenate([features[:, 0], nothing], -1)
        twins = jax.vmap(lambda key: value_net.init(key, pair))(jax.random.split(key_critics))
        params = Networks(actor_net.init(key_actor, features), twins)
        row = Stored(lanes.obs, jnp.zeros(N, jnp.int32), nothing, lanes.done, lanes.obs, jnp.zeros(N), lanes.done)
        replay = init_replay(row, config.replay_capacity // N)
        return ExploRLLMState(params, twins, Networks(*map(adam.init, params)), replay, lanes, jnp.int32(0))

    def collect(key, state: ExploRLLMState, sigma, share):
        """Steps the worlds and stores what happened: (state, finished)."""

        def act(key, carry, lanes):
            index, offset, guided = behave(key, state.params.actor, lanes.obs, sigma, share)
            return carry, jax.vmap(env.encode)(index, env.reach * offset), (index, offset, guided)

        lanes, _, steps, finished, chosen, _ = rollout(key, env, env_params, state.lanes, (), act, T)
        rows = Stored(steps.obs, *chosen, steps.next_obs, steps.reward, steps.terminated)
        return state._replace(lanes=lanes, replay=push(state.replay, rows)), finished

    def fit(key, state: ExploRLLMState, sigma):
        """The G updates: (state, mean metrics)."""

        def descend(loss, params, opt_state):
            """One step of Adam: (what the loss gives, params, opt_state)."""
            told, grads = jax.value_and_grad(loss, has_aux=True)(params)
            updates, opt_state = adam.update(grads, opt_state)
            return told, optax.apply_updates(params, updates), opt_state

        def update(learned, key):
            key_draw, key_next, key_actor = jax.random.split(key, 3)
            (actor, twins), target, (opt_actor, opt_twins) = learned
            rows, lanes = sample_windows(key_draw, state.replay, B, 1)
            batch = jax.tree.map(lambda x: x[rows[:, 0], lanes], state.replay.data)
            following = expected_value(*imagined(key_next, actor, target, batch.next_obs, sigma))
            y = batch.reward + config.gamma * jnp.where(batch.terminated, 0.0, following)
            features = beside(*env.elements(batch.obs))
            taken = jnp.take_along_axis(features, batch.index[:, None, None], 1)[:, 0]

            def critic_loss(params):
                return jnp.square(critics(params, taken, batch.offset) - y).mean(-1).sum(), None

            (loss, _), twins, opt_twins = descend(critic_loss, twins, opt_twins)

            def actor_loss(params):
                logits, values = imagined(key_actor, params, twins, batch.obs, sigma)
                told = expected_value(logits, values).mean(), expected_value(logits, 0.0, 1.0).mean()
                return -told[0] - config.entropy_coef * told[1], told

            (_, (value, entropy)), actor, opt_actor = descend(actor_loss, actor, opt_actor)
            target = optax.incremental_update(twins, target, config.target_rate)
            metrics = {"value_loss": loss, "action_value": value, "entropy": entropy}
            metrics["from_guide"] = batch.from_guide.mean()
            return (Networks(actor, twins), target, Networks(opt_actor, opt_twins)), metrics

        learned = (state.params, state.target, state.opt_state)
        (params, target, opt_state), metrics = jax.lax.scan(update, learned, jax.random.split(key, config.num_updates))
        return state._replace(params=params, target=target, opt_state=opt_state), jax.tree.map(jnp.mean, metrics)

    def step(key, state: ExploRLLMState):
        key_collect, key_fit = jax.random.split(key)
        sigma, share = falling_noise(config, N * T * state.t), guide_share(config, N * T * state.t)
        state, finished = collect(key_collect, state, sigma, share)
        state, metrics = fit(key_fit, state, sigma)
        episodes, episode_metrics = summarise(state.lanes.episodes, finished)
        t = state.t + 1
        metrics |= {"env_steps": N * T * t, "guide_share": share, "noise": sigma, **episode_metrics}
        return state._replace(lanes=state.lanes._replace(episodes=episodes), t=t), metrics

    return Algorithm(init, step)


def _require(env, env_params, program: Program, config: ExploRLLMConfig) -> None:
    """Raises as :func:`explorllm` says, before anything is compiled."""
    require_environment(env)
    if not all(hasattr(env, name) for name in ("elements", "encode", "reach")):
        raise TypeError(f"env={env.name}: expected a world of objects, such as make('PickPlace2D')")
    require_at_least(1, rollout_length=config.rollout_length, num_updates=config.num_updates)
    require_replay(config.replay_capacity, config.num_envs, config.batch_size, 1, config.rollout_length)
    shares = ("gamma", "target_rate", "guide_share")
    require_between(0.0, 1.0, **{name: getattr(config, name) for name in shares})
    positive = ("learning_rate", "adam_eps", "entropy_coef", "first_noise", "last_noise", "noise_clip", "guide_noise")
    require_between(0.0, inf, **{name: getattr(config, name) for name in positive})
    require_between(1.0, inf, noise_steps=config.noise_steps, guide_steps=config.guide_steps)
    choice("activation", config.activation, sorted(ACTIVATIONS))

    def advise(key):
        key_reset, key_program = jax.random.split(key)
        return program(key_program, env.reset_env(key_reset, env_params)[0])

    advice = jax.eval_shape(advise, jax.random.key(0))
    if [getattr(x, "shape", None) for x in jax.tree.leaves(advice)] != [(), (2,)]:
        raise ValueError(f"program: gives {advice}, expected an object i32[] and an offset f32[2]")
