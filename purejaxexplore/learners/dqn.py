"""DQN with K reward streams: Mnih et al. (2015), "Human-level control through deep reinforcement learning".

Double (van Hasselt, Guez and Silver, 2016), n steps (Hessel et al., 2018, "Rainbow"), and optionally an ensemble of E
networks with randomised priors (Osband, Aslanides and Cassirer, 2018, "Randomized prior functions for deep
reinforcement learning"). Each stream k has its own reward, discount and values, of each network i::

    Q_ik = f_ik + beta p_ik            p frozen, in the target too
    a*   = argmax_a sum_k coef_k Q_ik(s', a)
    y_ik = sum_{j<n} gamma_k^j r_{t+j,k} + gamma_k^n Q~_ik(s', a*)
    loss = sum_i mean_B mask_i sum_k huber(Q_ik(s, a) - y_ik)

Targets bootstrap through truncation from the true successor and never through termination; a stream that is not
episodic runs on into the next episode. Different from the paper: N environments step in lockstep, Adam, T steps and
then G updates, and random actions fill the replay before the first iteration, so that no update is ever skipped.

Bonuses are scored where they are collected, and where a bonus can say what a step would be paid now (``rescore``) the
replayed step is paid that. They learn from the newest rollout, not from replayed steps: else old states would stay
familiar because they are replayed.

Where an environment tells which actions are admissible (:mod:`purejaxexplore.learners.admissible`) the others are
neither drawn, at random or otherwise, nor is any target their value.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
import optax

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import coverage, mark_visited, no_state_visited, summarise
from purejaxexplore.blocks.replay import Replay, init_replay, n_step, push, sample_windows
from purejaxexplore.blocks.rollout import Lanes, Step, reset_lanes, rollout
from purejaxexplore.bonuses.bonus import BonusState
from purejaxexplore.learners.admissible import AdmissibleGreedy, admissible_of, uniform_actions
from purejaxexplore.learners.dqn_config import DQNConfig, action_values, is_not, require_dqn
from purejaxexplore.learners.explorers import Explorer, uniform_mixture
from purejaxexplore.learners.plasticity import Plasticity, active_fraction, cleared, dormant_ratio, shrink_perturb
from purejaxexplore.learners.streams import Stream, coefs_at, features_of, learn, pay, score_online


class DQNState(NamedTuple):
    """The learner and its worlds.

    Attributes:
        params, target: of the E networks, leading axis [E].
        prior: of the E frozen networks; () without priors.
        opt_state: gradient clip and Adam of each network, leading axis [E].
        replay: of :class:`Stored`.
        lanes: the N environments.
        explorer: the explorer's state.
        bonuses: one state a bonus, in the order of the streams.
        plasticity: its state; () without.
        visited: bool[num_states], states ever visited; bool[0] where the environment does not number its states.
        updates: i32[], updates done.
        t: i32[], iterations done.
    """

    params: Any
    target: Any
    prior: Any
    opt_state: Any
    replay: Replay
    lanes: Lanes
    explorer: Any
    bonuses: tuple[BonusState, ...]
    plasticity: Any
    visited: jax.Array
    updates: jax.Array
    t: jax.Array


class Stored(NamedTuple):
    """One row of the replay, [N, ...]; ``reset_obs`` and its features are those of the row after it.

    Attributes:
        obs, features, action: as acted.
        next_obs: the true successor.
        reward: f32[N], the environment's.
        rewards: f32[N, K], of the streams, as paid when collected.
        terminated, truncated: bool[N].
        mask: bool[N, E], which networks it trains; bool[N, 0] for all.
    """

    obs: Any
    features: jax.Array
    action: jax.Array
    next_obs: Any
    reward: jax.Array
    rewards: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    mask: jax.Array


class Transitions(NamedTuple):
    """A minibatch.

    Attributes:
        obs, features, action: where the window starts, [B, ...].
        end: ``(obs, features)`` that episodic streams bootstrap from.
        beyond: ``(obs, features)`` that endless streams bootstrap from.
        returns, discounts: f32[B, K].
        mask: f32[B, E] or f32[B, 0].
    """

    obs: Any
    features: jax.Array
    action: jax.Array
    end: tuple[Any, jax.Array]
    beyond: tuple[Any, jax.Array]
    returns: jax.Array
    discounts: jax.Array
    mask: jax.Array


def bootstrap(values, chooser, coefs, shared_argmax: bool, admissible=None) -> jax.Array:
    """Values ``f32[..., A, K]`` at the actions that ``chooser f32[..., A, K]`` prefers: f32[..., K].

    The action is the best of the sum over streams weighted by ``coefs f32[K]``, or each stream's own best; of those
    that are ``admissible bool[..., A]``, where that is given.
    """
    if not shared_argmax:
        if admissible is not None:
            chooser = jnp.where(admissible[..., None], chooser, -jnp.inf)
        return jnp.take_along_axis(values, chooser.argmax(-2, keepdims=True), -2)[..., 0, :]
    scores = chooser @ coefs
    best = (scores if admissible is None else jnp.where(admissible, scores, -jnp.inf)).argmax(-1)
    return jnp.take_along_axis(values, best[..., None, None], -2)[..., 0, :]


def ensemble_loss(chosen, targets, mask, delta) -> jax.Array:
    """``sum_i mean_B mask_i sum_k huber(chosen_ik - y_ik)``: f32[E, B, K] twice, mask f32[B, E] (f32[B, 0]: all)."""
    losses = optax.huber_loss(chosen, targets, delta=delta).sum(-1)
    if not mask.shape[-1]:
        return losses.mean(-1).sum()
    return (losses * mask.T).mean(-1).sum()


def dqn(
    env,
    env_params,
    config: DQNConfig | None = None,
    *,
    streams: Sequence[Stream] | None = None,
    explorer: Explorer | None = None,
    plasticity: Plasticity | None = None,
) -> Algorithm:
    """DQN as an :class:`Algorithm`; one step is one rollout of N environments and G updates.

    Args:
        env, env_params: gymnax environment and its parameters, discrete actions.
        config: hyper-parameters.
        streams: reward streams; the extrinsic one alone by default. Their ``lam`` is PPO's.
        explorer: draws the actions; epsilon-greedy with 0.05 by default.
        plasticity: decides on noise, updates and perturbed weights by the hidden units' outputs in the newest rollout.

    Returns:
        An algorithm whose metrics are ``env_steps``, ``episodes``, ``episode_return``, ``episode_length``,
        ``success``, ``coverage`` (where states are numbered), ``value_loss``, ``action_value`` (mean, weighted by the
        streams' coefficients), and per stream ``NAME_reward`` (mean of the newest rollout) and the bonus's own; with
        ``plasticity`` also ``dormant_ratio``, ``active_fraction``, ``noise`` and ``updates`` (of this iteration).

    Raises:
        ValueError: a size is not positive, the replay is smaller than a minibatch or an n-step window, an unknown
            network or activation, streams without names of their own, a bonus that needs state ids on a world that has
            none, continuous actions, an explorer or plasticity that needs what the network does not have, or an
            ``admissible_actions`` that does not say so of each action.
        TypeError: ``env`` is not an environment.
    """
    config = DQNConfig() if config is None else config
    explorer = uniform_mixture(0.05) if explorer is None else explorer
    streams = (Stream("extrinsic", None, config.gamma),) if streams is None else tuple(streams)
    require_dqn(env, env_params, config, streams, explorer)
    if plasticity is not None and config.network == "table":
        raise ValueError("network='table': expected no plasticity, which needs hidden units")

    N, T, E, n = config.num_envs, config.rollout_length, config.num_heads, config.n_step
    bonuses = [stream.bonus for stream in streams if stream.bonus is not None]
    online = any(not bonus.defer for bonus in bonuses)
    rewarded = [k for k, stream in enumerate(streams) if stream.bonus is not None]
    rescored = [i for i, bonus in enumerate(bonuses) if bonus.rescore is not None]
    numbered = hasattr(env, "state_id")
    admissible = admissible_of(env)
    has_prior, has_mask = is_not(config.prior_scale, 0.0), is_not(config.mask_probability, 1.0)
    network = action_values(env, env_params, config, len(streams))
    prior_network = network.clone(noisy=False, table_scale=1.0)
    optimiser = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.scale_by_adam(eps=config.adam_eps))
    gammas = jnp.stack([jnp.float32(stream.gamma) for stream in streams])
    episodic = tuple(stream.episodic for stream in streams)
    action_space = env.action_space(env_params)
    warmup_steps = config.num_warmup_steps * (2 if bonuses else 1)

    def values_of(key, params, prior, obs, features):
        """f32[E, B, A, K]; noisy layers draw from ``key``, or are their means where it is None."""

        def one(params, key):
            return network.apply(params, obs, features, rngs=None if key is None else {"noise": key})

        noise = jax.random.split(key, E) if config.noisy and key is not None else None
        values = jax.vmap(one, in_axes=(0, None if noise is None else 0))(params, noise)
        if has_prior:
            frozen = jax.vmap(lambda params: prior_network.apply(params, obs, features))(prior)
            values = values + config.prior_scale * jax.lax.stop_gradient(frozen)
        return values

    def policy_of(key, params, state: DQNState, obs, features):
        values = values_of(key, params, state.prior, obs, features) @ coefs_at(streams, state.t)
        values = values if explorer.per_head else values.mean(0)
        return distrax.Greedy(values) if admissible is None else AdmissibleGreedy(values, admissible(obs))

    def activations_of(params, obs, features):
        """Outputs of the hidden layers, each f32[E, B, units]."""

        def one(params):
            return network.apply(params, obs, features, mutable=["activations"])[1]["activations"]

        return jax.tree.leaves(jax.vmap(one)(params))

    def random_actions(key, carry, lanes):
        return carry, uniform_actions(key, action_space, admissible, lanes.obs), features_of(bonuses, carry[1], N)

    def collect(key, state: DQNState, act, num_steps):
        """Steps the worlds and stores what happened: (state, steps, finished, features, rewards f32[T, N, K])."""
        key_rollout, key_score, key_mask = jax.random.split(key, 3)

        def react(key, carry, step):
            explorer_state, bonus_states = carry
            bonus_states, raw = score_online(key, bonuses, bonus_states, step)
            return (explorer_state, bonus_states), raw

        carry = (state.explorer, state.bonuses)
        lanes, (explorer_state, bonus_states), steps, finished, features, raw = rollout(
            key_rollout, env, env_params, state.lanes, carry, act, num_steps, react if online else None
        )
        bonus_states, rewards = pay(key_score, streams, bonus_states, steps, features, raw)
        shape = (num_steps, N, E if has_mask else 0)
        mask = jax.random.bernoulli(key_mask, config.mask_probability, shape)
        rows = Stored(
            steps.obs, features, steps.action, steps.next_obs, steps.reward, rewards, steps.terminated,
            steps.truncated, mask,
        )  # fmt: skip
        visited = mark_visited(state.visited, steps.aux["state_id"]) if numbered else state.visited
        state = state._replace(
            lanes=lanes, explorer=explorer_state, bonuses=bonus_states, replay=push(state.replay, rows), visited=visited
        )
        return state, steps, finished, features, rewards

    def fresh(network, key, obs, features):
        return jax.vmap(lambda key: network.init(key, obs, features))(jax.random.split(key, E))

    def init(key):
        key_reset, key_first, key_bonus, key_net, key_prior, key_explorer, key_fill = jax.random.split(key, 7)
        lanes = reset_lanes(key_reset, env, env_params, N)
        visited = no_state_visited(env)
        if numbered:
            visited = mark_visited(visited, jax.vmap(env.state_id, in_axes=(0, None))(lanes.env_state, env_params))
        bonus_states = ()
        if bonuses:

            def act(key, carry, lanes):
                return carry, uniform_actions(key, action_space, admissible, lanes.obs), ()

            lanes, _, steps, *_ = rollout(key_first, env, env_params, lanes, (), act, config.num_warmup_steps)
            visited = mark_visited(visited, steps.aux["state_id"]) if numbered else visited
            keys = jax.random.split(key_bonus, len(bonuses))
            bonus_states = tuple(bonus.init(k, steps) for bonus, k in zip(bonuses, keys, strict=True))
        features = features_of(bonuses, bonus_states, N)
        params = fresh(network, key_net, lanes.obs, features)
        row = Stored(
            lanes.obs, features, jnp.zeros(N, jnp.int32), lanes.obs, jnp.zeros(N), jnp.zeros((N, len(streams))),
            lanes.done, lanes.done, jnp.zeros((N, E if has_mask else 0), bool),
        )  # fmt: skip
        state = DQNState(
            params, params, fresh(prior_network, key_prior, lanes.obs, features) if has_prior else (),
            jax.vmap(optimiser.init)(params), init_replay(row, config.replay_capacity // N), lanes,
            explorer.init(key_explorer, N), bonus_states, () if plasticity is None else plasticity.init(), visited,
            jnp.int32(0), jnp.int32(0),
        )  # fmt: skip
        state, _, finished, *_ = collect(key_fill, state, random_actions, config.num_warmup_steps)
        episodes, _ = summarise(state.lanes.episodes, finished)
        return state._replace(lanes=state.lanes._replace(episodes=episodes))

    def draw(key, state: DQNState) -> Transitions:
        """A minibatch of n-step transitions, paid as the bonuses pay now."""
        key_rows, key_score = jax.random.split(key)
        stored = state.replay.data
        rows, lanes = sample_windows(key_rows, state.replay, config.batch_size, n + 1)
        window, lane = rows[:, :n], lanes[:, None]

        def at(leaves, rows):
            return jax.tree.map(lambda x: x[rows, lane if rows.ndim > 1 else lanes], leaves)

        rewards, terminated, truncated = at((stored.rewards, stored.terminated, stored.truncated), window)
        if rescored:
            past, after = at(stored, window), at(stored.obs, rows[:, 1:])
            steps = Step(past.obs, past.action, past.reward, past.next_obs, terminated, truncated, after, {})
            steps = jax.tree.map(lambda x: x.reshape((-1, *x.shape[2:])), steps)
            for i, k in zip(rescored, jax.random.split(key_score, len(rescored)), strict=True):
                paid = bonuses[i].rescore(k, state.bonuses[i], steps)
                rewards = rewards.at[..., rewarded[i]].set(paid.reshape(window.shape))

        returned = n_step(rewards, terminated, truncated, gammas, episodic)
        row = jnp.arange(config.batch_size)
        last = window[row, returned.last]
        # The features of a successor that ended its episode are gone; those of the observation before it stand in.
        following = rows[row, returned.last + 1]
        ended = (terminated | truncated)[row, returned.last]
        end = jnp.where(ended, last, following)
        start, beyond = rows[:, 0], rows[:, n]
        return Transitions(
            *at((stored.obs, stored.features, stored.action), start),
            (at(stored.next_obs, last), at(stored.features, end)),
            at((stored.obs, stored.features), beyond),
            returned.returns, returned.discounts, at(stored.mask, start).astype(jnp.float32),
        )  # fmt: skip

    def targets_of(key, state: DQNState, batch: Transitions, coefs):
        """f32[E, B, K]."""

        def following(key, inputs):
            key_target, key_online = jax.random.split(key)
            values = values_of(key_target, state.target, state.prior, *inputs)
            chooser = values_of(key_online, state.params, state.prior, *inputs) if config.double else values
            able = None if admissible is None else admissible(inputs[0])
            return bootstrap(values, chooser, coefs, config.shared_argmax, able)

        key_end, key_beyond = jax.random.split(key)
        if all(episodic):
            next_values = following(key_end, batch.end)
        elif not any(episodic):
            next_values = following(key_beyond, batch.beyond)
        else:
            pair = following(key_end, batch.end), following(key_beyond, batch.beyond)
            next_values = jnp.where(jnp.asarray(episodic), *pair)
        return batch.returns + batch.discounts * next_values

    def fit(key, state: DQNState):
        """The G updates: (state, mean metrics)."""
        coefs = coefs_at(streams, state.t)

        counted = config.num_updates if plasticity is None else plasticity.updates(state.plasticity, config.num_updates)

        def update(before, key_number):
            key, number = key_number
            key_draw, key_target, key_loss = jax.random.split(key, 3)
            params, target, opt_state = before
            batch = draw(key_draw, state)
            targets = targets_of(key_target, state._replace(params=params, target=target), batch, coefs)

            def loss_fn(params):
                values = values_of(key_loss, params, state.prior, batch.obs, batch.features)
                chosen = jnp.take_along_axis(values, batch.action[None, :, None, None], 2)[:, :, 0]
                return ensemble_loss(chosen, targets, batch.mask, config.huber_delta), (chosen @ coefs).mean()

            (loss, value), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
            updates, opt_state = jax.vmap(optimiser.update)(grads, opt_state)
            params = jax.tree.map(lambda p, u: p - config.learning_rate * u, params, updates)
            rate = jnp.where(jnp.mod(state.updates + number, config.target_period) < 1.0, config.target_rate, 0.0)
            after = (params, optax.incremental_update(params, target, rate), opt_state)
            if plasticity is not None:
                after = jax.tree.map(lambda new, old: jnp.where(number <= counted, new, old), after, before)
            return after, {"value_loss": loss, "action_value": value}

        numbers = 1 + jnp.arange(config.num_updates)
        learned = (state.params, state.target, state.opt_state)
        learned, metrics = jax.lax.scan(update, learned, (jax.random.split(key, config.num_updates), numbers))
        params, target, opt_state = learned
        state = state._replace(params=params, target=target, opt_state=opt_state, updates=state.updates + counted)
        return state, jax.tree.map(jnp.mean, metrics)

    def maintain(key, state: DQNState, obs, features):
        """Perturbs the weights where it is time, and looks at the hidden units: (state, metrics)."""
        kept = plasticity.keep(state.plasticity)
        new = fresh(network, key, obs, features)
        params, target = (shrink_perturb(old, new, kept) for old in (state.params, state.target))
        opt_state = cleared(state.opt_state, jax.vmap(optimiser.init)(params), kept)
        activations = activations_of(params, obs, features)
        after = plasticity.observe(state.plasticity, activations)
        metrics = {
            "dormant_ratio": dormant_ratio(activations, 0.025),
            "active_fraction": active_fraction(activations),
            "noise": plasticity.noise(after),
            "updates": plasticity.updates(state.plasticity, config.num_updates),
        }
        return state._replace(params=params, target=target, opt_state=opt_state, plasticity=after), metrics

    def step(key, state: DQNState):
        key_weights, key_collect, key_fit, key_bonus, key_fresh = jax.random.split(key, 5)
        acting = explorer.transform(key_weights, state.params, state.explorer)

        def act(key, carry, lanes):
            explorer_state, bonus_states = carry
            key_noise, key_action, key_mix, key_uniform = jax.random.split(key, 4)
            features = features_of(bonuses, bonus_states, N)
            policy = policy_of(key_noise, acting, state, lanes.obs, features)
            action, _, explorer_state = explorer.act(key_action, explorer_state, policy, lanes)
            if plasticity is not None:
                uniform = (
                    jax.random.randint(key_uniform, (N,), 0, network.num_actions)
                    if admissible is None
                    else uniform_actions(key_uniform, action_space, admissible, lanes.obs)
                )
                replaced = jax.random.uniform(key_mix, (N,)) < plasticity.noise(state.plasticity)
                action = jnp.where(replaced, uniform, action)
            return (explorer_state, bonus_states), action, features

        state, steps, finished, features, rewards = collect(key_collect, state, act, T)
        flat = jax.tree.map(lambda x: x.reshape((T * N, *x.shape[2:])), (steps.obs, features))
        if explorer.adapt is not None:
            plain, acted = (policy_of(None, params, state, *flat) for params in (state.params, acting))
            state = state._replace(explorer=explorer.adapt(state.explorer, plain, acted))

        state, metrics = fit(key_fit, state)
        if plasticity is not None:
            state, observed = maintain(key_fresh, state, *flat)
            metrics |= observed
        for k, stream in enumerate(streams):
            metrics[f"{stream.name}_reward"] = rewards[..., k].mean()
        bonus_states, learned = learn(key_bonus, streams, state.bonuses, steps, features)
        metrics |= learned

        episodes, episode_metrics = summarise(state.lanes.episodes, finished)
        if numbered:
            metrics["coverage"] = coverage(env, state.visited)
        t = state.t + 1
        state = state._replace(lanes=state.lanes._replace(episodes=episodes), bonuses=bonus_states, t=t)
        return state, {"env_steps": N * (warmup_steps + t * T), **episode_metrics, **metrics}

    return Algorithm(init, step)
