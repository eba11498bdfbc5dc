"""DDPG with twin critics and n steps, the learner of DrQ-v2 without pixels, for continuous actions.

Lillicrap et al. (2016), "Continuous control with deep reinforcement learning"; Yarats, Fergus, Lazaric and Pinto
(2022), "Mastering visual continuous control: improved data-augmented reinforcement learning". A :class:`Plasticity`
adds what Xu et al. (2024), "DrM: mastering visual reinforcement learning through dormant ratio minimization", and Ma et
al. (2024), "Revisiting plasticity in visual reinforcement learning", build on it::

    a   = clip(pi(s) + e, -1, 1),  e ~ N(0, sigma^2)                  acted, in units of half the range of the actions
    a'  = clip(pi(s') + clip(e, -c, c), -1, 1)                        imagined, also in the policy's loss
    y   = sum_{j<n} gamma^j r_{t+j} + gamma^n [ l V(s') + (1 - l) min_i Q~_i(s', a') ]
    Q   : min sum_i E (Q_i(s, a) - y)^2
    V   : min E |tau - 1{V(s) > q}| (q - V(s))^2 with q = min_i Q_i(s, a), over replayed actions
    pi  : max E min_i Q_i(s, clip(pi(s) + clip(e, -c, c), -1, 1)), the outer clip passing gradients on

sigma falls linearly from ``first_noise`` to ``last_noise``, and is never below the noise of the rule; l is the rule's
``exploit``, and without it there is no V. Targets bootstrap through truncation from the true successor and never
through termination. Different from the papers: no pixels, so no encoder, no augmentation and no normalised trunk; N
environments step in lockstep, T steps and then G updates; uniform actions fill the replay before the first iteration.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import coverage, mark_visited, no_state_visited, summarise
from purejaxexplore.blocks.replay import Replay, init_replay, n_step, push, sample_windows
from purejaxexplore.blocks.rollout import Lanes, reset_lanes, rollout
from purejaxexplore.learners.ddpg_config import DDPGConfig, require_ddpg
from purejaxexplore.learners.plasticity import Plasticity, active_fraction, cleared, dormant_ratio, shrink_perturb
from purejaxexplore.nets import MLP


class Networks(NamedTuple):
    """One tree each for the actor, both critics (leading axis [2]) and V; V's is () where nothing exploits it."""

    actor: Any
    critics: Any
    value: Any


class DDPGState(NamedTuple):
    """The learner and its worlds.

    Attributes:
        params: :class:`Networks`.
        target: the slow critics, leading axis [2].
        opt_state: Adam's, in :class:`Networks`.
        replay: of :class:`Stored`.
        lanes: the N environments.
        plasticity: its state; () without.
        visited: bool[num_states], states ever visited; bool[0] where the environment does not number its states.
        updates: i32[], updates done.
        t: i32[], iterations done.
    """

    params: Networks
    target: Any
    opt_state: Networks
    replay: Replay
    lanes: Lanes
    plasticity: Any
    visited: jax.Array
    updates: jax.Array
    t: jax.Array


class Stored(NamedTuple):
    """One row of the replay, [N, ...]: ``action f32[N, A]`` in [-1, 1] and ``next_obs`` the true successor."""

    obs: Any
    action: jax.Array
    next_obs: Any
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array


class Transitions(NamedTuple):
    """A minibatch: ``y = returns + discounts * (value of end)``, both f32[B]; obs, action and end are [B, ...]."""

    obs: Any
    action: jax.Array
    end: Any
    returns: jax.Array
    discounts: jax.Array


def falling_noise(config: DDPGConfig, env_steps: jax.Array) -> jax.Array:
    """f32[], the standard deviation of the actions' noise after ``env_steps``."""
    done = jnp.minimum(env_steps / config.noise_steps, 1.0)
    return (1.0 - done) * config.first_noise + done * config.last_noise


def noisy(mean: jax.Array, noise: jax.Array) -> jax.Array:
    """``clip(mean + noise, -1, 1)``, through which gradients pass to ``mean`` as if nothing were clipped."""
    return mean + jax.lax.stop_gradient(jnp.clip(mean + noise, -1.0, 1.0) - mean)


def expectile_loss(values: jax.Array, targets: jax.Array, tau: jax.Array) -> jax.Array:
    """``E |tau - 1{V > q}| (q - V)^2``, least where V is the tau-expectile of q; f32[B] twice."""
    weights = jnp.where(values > targets, 1.0 - tau, tau)
    return (weights * jnp.square(targets - values)).mean()


def ddpg(env, env_params, config: DDPGConfig | None = None, *, plasticity: Plasticity | None = None) -> Algorithm:
    """DDPG as an :class:`Algorithm`; one step is one rollout of N environments and G updates.

    Args:
        env, env_params: gymnax environment and its parameters; actions in a box.
        config: hyper-parameters.
        plasticity: decides on noise, updates, perturbed weights and exploitation by the hidden units' outputs on a
            replayed minibatch.

    Returns:
        An algorithm whose metrics are ``env_steps``, ``episodes``, ``episode_return``, ``episode_length``,
        ``success``, ``coverage`` (where states are numbered), ``value_loss``, ``action_value``, ``noise`` (sigma of the
        newest rollout); with ``plasticity`` also ``dormant_ratio`` and ``active_fraction`` of the network that it
        watches, ``updates`` (of this iteration) and, where it exploits, ``exploitation``.

    Raises:
        ValueError: a number is out of its range, the replay is smaller than a minibatch or what is pushed at once, an
            unknown activation, or actions that are not a box of one axis with finite bounds.
        TypeError: ``env`` is not an environment.
    """
    config = DDPGConfig() if config is None else config
    require_ddpg(env, env_params, config)
    N, T, B = config.num_envs, config.rollout_length, config.batch_size
    actions = env.action_space(env_params)
    obs_ndim = len(env.observation_space(env_params).shape)
    low, high = (jnp.broadcast_to(jnp.asarray(x, jnp.float32), actions.shape) for x in (actions.low, actions.high))
    numbered = hasattr(env, "state_id")
    exploits = plasticity is not None and plasticity.exploit is not None
    actor_net = MLP(config.hidden_sizes, actions.shape[0], config.activation, 1.0)
    value_net = MLP(config.hidden_sizes, 1, config.activation, 1.0)
    optimiser = optax.scale_by_adam(eps=config.adam_eps)

    def flat(obs):
        return obs.astype(jnp.float32).reshape((*obs.shape[: obs.ndim - obs_ndim], -1))

    def policy(params, obs):
        """f32[B, A] in [-1, 1]."""
        return jnp.tanh(actor_net.apply(params, flat(obs)))

    def critics(params, obs, action):
        """f32[2, B]."""
        x = jnp.concatenate([flat(obs), action], -1)
        return jax.vmap(lambda params: value_net.apply(params, x)[..., 0])(params)

    def least(params, obs, action):
        """f32[B]; not ``.min(0)``, whose gradient is NaN where the compiler computes it twice and rounds apart."""
        return jnp.minimum(*critics(params, obs, action))

    def imagined(key, params, obs, sigma):
        mean = policy(params, obs)
        noise = jnp.clip(sigma * jax.random.normal(key, mean.shape), -config.noise_clip, config.noise_clip)
        return noisy(mean, noise)

    def watched_activations(params: Networks, obs, action):
        """Outputs of the hidden layers of the network that the rule watches, each f32[..., B, units]."""

        def hidden(net, params, x):
            return net.apply(params, x, mutable=["activations"])[1]["activations"]

        if plasticity.watched == "actor":
            return jax.tree.leaves(hidden(actor_net, params.actor, flat(obs)))
        x = jnp.concatenate([flat(obs), action], -1)
        return jax.tree.leaves(jax.vmap(lambda params: hidden(value_net, params, x))(params.critics))

    def fresh(key, obs) -> Networks:
        key_actor, key_critics, key_value = jax.random.split(key, 3)
        x = flat(obs)
        pair = jnp.concatenate([x, jnp.zeros((N, *actions.shape))], -1)
        return Networks(
            actor_net.init(key_actor, x),
            jax.vmap(lambda key: value_net.init(key, pair))(jax.random.split(key_critics)),
            value_net.init(key_value, x) if exploits else (),
        )

    def sigma_of(state: DDPGState):
        sigma = falling_noise(config, N * T * state.t)
        return sigma if plasticity is None else jnp.maximum(sigma, plasticity.noise(state.plasticity))

    def collect(key, state: DDPGState, choose, num_steps):
        """Steps the worlds by ``choose(key, obs) -> f32[N, A]`` and stores what happened: (state, finished)."""

        def act(key, carry, lanes):
            action = choose(key, lanes.obs)
            return carry, low + 0.5 * (action + 1.0) * (high - low), action

        lanes, _, steps, finished, action, _ = rollout(key, env, env_params, state.lanes, (), act, num_steps)
        rows = Stored(steps.obs, action, steps.next_obs, steps.reward, steps.terminated, steps.truncated)
        visited = mark_visited(state.visited, steps.aux["state_id"]) if numbered else state.visited
        return state._replace(lanes=lanes, replay=push(state.replay, rows), visited=visited), finished

    def init(key):
        key_reset, key_net, key_fill = jax.random.split(key, 3)
        lanes = reset_lanes(key_reset, env, env_params, N)
        visited = no_state_visited(env)
        if numbered:
            visited = mark_visited(visited, jax.vmap(env.state_id, in_axes=(0, None))(lanes.env_state, env_params))
        params = fresh(key_net, lanes.obs)
        nothing = jnp.zeros((N, *actions.shape))
        row = Stored(lanes.obs, nothing, lanes.obs, jnp.zeros(N), lanes.done, lanes.done)
        state = DDPGState(
            params, params.critics, Networks(*map(optimiser.init, params)),
            init_replay(row, config.replay_capacity // N), lanes, () if plasticity is None else plasticity.init(),
            visited, jnp.int32(0), jnp.int32(0),
        )  # fmt: skip

        def uniform(key, obs):
            return jax.random.uniform(key, nothing.shape, minval=-1.0, maxval=1.0)

        state, finished = collect(key_fill, state, uniform, config.num_warmup_steps)
        episodes, _ = summarise(state.lanes.episodes, finished)
        return state._replace(lanes=state.lanes._replace(episodes=episodes))

    def draw(key, replay: Replay) -> Transitions:
        """A minibatch of n-step transitions."""
        rows, lanes = sample_windows(key, replay, B, config.n_step)
        stored, lane = replay.data, lanes[:, None]
        flags = stored.terminated[rows, lane], stored.truncated[rows, lane]
        gammas = jnp.float32(config.gamma)[None]
        returned = n_step(stored.reward[rows, lane][..., None], *flags, gammas, (True,))
        last = rows[jnp.arange(B), returned.last]
        obs, action = stored.obs[rows[:, 0], lanes], stored.action[rows[:, 0], lanes]
        return Transitions(obs, action, stored.next_obs[last, lanes], returned.returns[:, 0], returned.discounts[:, 0])

    def descend(loss, params, opt_state):
        """One step of Adam: (loss, params, opt_state)."""
        value, grads = jax.value_and_grad(loss)(params)
        updates, opt_state = optimiser.update(grads, opt_state)
        return value, jax.tree.map(lambda p, u: p - config.learning_rate * u, params, updates), opt_state

    def fit(key, state: DDPGState, sigma):
        """The G updates: (state, mean metrics)."""
        counted = config.num_updates if plasticity is None else plasticity.updates(state.plasticity, config.num_updates)

        def update(before, key_number):
            key, number = key_number
            key_draw, key_next, key_action = jax.random.split(key, 3)
            (actor, twins, value), target, opt_state = before
            opt_actor, opt_twins, opt_value = opt_state
            batch = draw(key_draw, state.replay)
            end_value = least(target, batch.end, imagined(key_next, actor, batch.end, sigma))
            if exploits:
                best = least(twins, batch.obs, batch.action)

                def value_loss(params):
                    return expectile_loss(value_net.apply(params, flat(batch.obs))[..., 0], best, config.expectile)

                _, value, opt_value = descend(value_loss, value, opt_value)
                weight = plasticity.exploit(state.plasticity)
                end_value = weight * value_net.apply(value, flat(batch.end))[..., 0] + (1.0 - weight) * end_value
            targets = batch.returns + batch.discounts * end_value

            def critic_loss(params):
                return jnp.square(critics(params, batch.obs, batch.action) - targets).mean(-1).sum()

            loss, twins, opt_twins = descend(critic_loss, twins, opt_twins)

            def actor_loss(params):
                return -least(twins, batch.obs, imagined(key_action, params, batch.obs, sigma)).mean()

            negative, actor, opt_actor = descend(actor_loss, actor, opt_actor)
            target = optax.incremental_update(twins, target, config.target_rate)
            after = Networks(actor, twins, value), target, Networks(opt_actor, opt_twins, opt_value)
            if plasticity is not None:
                after = jax.tree.map(lambda new, old: jnp.where(number <= counted, new, old), after, before)
            return after, {"value_loss": loss, "action_value": -negative}

        numbers = 1 + jnp.arange(config.num_updates)
        learned = (state.params, state.target, state.opt_state)
        learned, metrics = jax.lax.scan(update, learned, (jax.random.split(key, config.num_updates), numbers))
        params, target, opt_state = learned
        state = state._replace(params=params, target=target, opt_state=opt_state, updates=state.updates + counted)
        return state, jax.tree.map(jnp.mean, metrics)

    def maintain(key, state: DDPGState):
        """Perturbs the weights where it is time, and looks at the hidden units: (state, metrics)."""
        key_fresh, key_draw = jax.random.split(key)
        before = state.plasticity
        kept, new = plasticity.keep(before), fresh(key_fresh, state.lanes.obs)
        params = shrink_perturb(state.params, new, kept)
        target = shrink_perturb(state.target, new.critics, kept)
        opt_state = cleared(state.opt_state, Networks(*map(optimiser.init, params)), kept)
        batch = draw(key_draw, state.replay)
        activations = watched_activations(params, batch.obs, batch.action)
        metrics = {
            "dormant_ratio": dormant_ratio(activations, 0.025),
            "active_fraction": active_fraction(activations),
            "updates": plasticity.updates(before, config.num_updates),
        }
        if exploits:
            metrics["exploitation"] = plasticity.exploit(before)
        after = plasticity.observe(before, activations)
        return state._replace(params=params, target=target, opt_state=opt_state, plasticity=after), metrics

    def step(key, state: DDPGState):
        key_collect, key_fit, key_maintain = jax.random.split(key, 3)
        sigma = sigma_of(state)

        def choose(key, obs):
            mean = policy(state.params.actor, obs)
            return noisy(mean, sigma * jax.random.normal(key, mean.shape))

        state, finished = collect(key_collect, state, choose, T)
        state, metrics = fit(key_fit, state, sigma)
        metrics["noise"] = sigma
        if plasticity is not None:
            state, observed = maintain(key_maintain, state)
            metrics |= observed
        episodes, episode_metrics = summarise(state.lanes.episodes, finished)
        if numbered:
            metrics["coverage"] = coverage(env, state.visited)
        t = state.t + 1
        state = state._replace(lanes=state.lanes._replace(episodes=episodes), t=t)
        return state, {"env_steps": N * (config.num_warmup_steps + t * T), **episode_metrics, **metrics}

    return Algorithm(init, step)
