"""PPO with K reward streams: Schulman, Wolski, Dhariwal, Radford and Klimov (2017), "Proximal policy optimization".

Each stream has its own reward (the environment's, or a bonus's), discount, episodic flag and value head, as in Burda et
al. (2018), "Exploration by random network distillation", section 2.3::

    A = sum_k coef_k A_k
    loss = -E[min(rho A, clip(rho, 1 - eps, 1 + eps) A)] + c_v sum_k E[(V_k - target_k)^2] / 2 - c_e H

With one stream it computes the update of PureJaxRL (Lu et al., 2022), except that a value target bootstraps through
truncation from the true successor, which ``bootstrap_truncation=False`` undoes.

Where an environment tells which actions are admissible (:mod:`purejaxexplore.learners.admissible`) the policy has no
others.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import coverage, mark_visited, no_state_visited, summarise
from purejaxexplore.blocks.gae import gae, stream_boundaries
from purejaxexplore.blocks.minibatches import minibatch_epochs
from purejaxexplore.blocks.rollout import Lanes, Step, reset_lanes, rollout
from purejaxexplore.blocks.selected import map_selected
from purejaxexplore.bonuses.bonus import BonusState
from purejaxexplore.learners.admissible import AdmissibleCategorical, admissible_of, uniform_actions
from purejaxexplore.learners.explorers import Explorer, on_policy
from purejaxexplore.learners.losses import explained_variance, policy_loss, value_loss
from purejaxexplore.learners.ppo_config import PPOConfig, actor_critic, require_ppo
from purejaxexplore.learners.streams import Stream, coefs_at, features_of, learn, pay, score_online
from purejaxexplore.nets import policy_of


class PPOState(NamedTuple):
    """The learner and its worlds.

    Attributes:
        params: of the :class:`ActorCritic`.
        opt_state: gradient clip and Adam.
        lanes: the N environments.
        hidden: f32[N, gru_size], recurrent state.
        explorer: the explorer's state.
        bonuses: one state a bonus, in the order of the streams.
        visited: bool[num_states], states ever visited; bool[0] where the environment does not number its states.
        t: i32[], iterations done.
    """

    params: Any
    opt_state: Any
    lanes: Lanes
    hidden: jax.Array
    explorer: Any
    bonuses: tuple[BonusState, ...]
    visited: jax.Array
    t: jax.Array


class Transitions(NamedTuple):
    """What the policy's loss needs of a rollout; axes [T, N], then [B] in minibatches.

    Attributes:
        obs, features, start: the network's input (``start``: first step of an episode).
        hidden: f32[1, N, gru_size], recurrent state at the start of the rollout.
        action: as acted.
        log_prob: f32, of the explorer.
        values: f32[..., K].
        advantages: f32.
        targets: f32[..., K].
    """

    obs: jax.Array
    features: jax.Array
    start: jax.Array
    hidden: jax.Array
    action: jax.Array
    log_prob: jax.Array
    values: jax.Array
    advantages: jax.Array
    targets: jax.Array


def ppo(
    env,
    env_params,
    config: PPOConfig | None = None,
    *,
    streams: Sequence[Stream] | None = None,
    explorer: Explorer | None = None,
) -> Algorithm:
    """PPO as an :class:`Algorithm`; one step is one rollout and its update.

    Args:
        env, env_params: gymnax environment and its parameters, discrete or continuous actions.
        config: hyper-parameters.
        streams: reward streams; the extrinsic one alone by default.
        explorer: draws the actions; the policy itself by default.

    Returns:
        An algorithm whose metrics are ``env_steps``, ``episodes``, ``episode_return``, ``episode_length``,
        ``success``, ``coverage`` (where states are numbered), the losses, and per stream ``NAME_reward`` (mean),
        ``NAME_explained_variance`` and the bonus's own.

    Raises:
        ValueError: a size is not positive, the minibatches do not divide, an unknown network or activation, streams
            without names of their own, a bonus that needs state ids on a world that has none, a "cnn" for flat
            observations, a discrete-only explorer on continuous actions, or an ``admissible_actions`` that does not
            say so of each action.
        TypeError: ``env`` is not an environment.
    """
    config = PPOConfig() if config is None else config
    explorer = on_policy() if explorer is None else explorer
    streams = (Stream("extrinsic", None, config.gamma, config.gae_lambda),) if streams is None else tuple(streams)
    require_ppo(env, env_params, config, streams, explorer)

    N, T = config.num_envs, config.rollout_length
    bonuses = [stream.bonus for stream in streams if stream.bonus is not None]
    online = any(not bonus.defer for bonus in bonuses)
    recurrent = config.gru_size > 0
    action_space = env.action_space(env_params)
    network = actor_critic(env, env_params, config, len(streams))
    adam = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.scale_by_adam(eps=config.adam_eps))
    gammas = jnp.stack([jnp.float32(stream.gamma) for stream in streams])
    lams = jnp.stack([jnp.float32(stream.lam) for stream in streams])
    episodic = tuple(stream.episodic for stream in streams)
    numbered = hasattr(env, "state_id")
    admissible = admissible_of(env)
    warmup = config.num_warmup_steps if bonuses else 0

    def encode(params, hidden, obs, features, start):
        return network.apply(params, hidden, obs, features, start, method="encode")

    def policy_at(params, x, obs, noise):
        policy = policy_of(network, params, x, noise)
        return policy if admissible is None else AdmissibleCategorical(policy.logits, admissible(obs))

    def encode_rollout(params, hidden, obs, features, start):
        """``obs [T, ...] -> (hidden after every step [T, ...], network inputs [T, ...])`` from ``hidden`` on."""
        if not recurrent:
            return encode(params, jnp.zeros((*start.shape, 0)), obs, features, start)

        def advance(hidden, inputs):
            hidden, x = encode(params, hidden, *inputs)
            return hidden, (hidden, x)

        return jax.lax.scan(advance, hidden, (obs, features, start))[1]

    def init(key):
        key_reset, key_warmup, key_bonus, key_net, key_explorer = jax.random.split(key, 5)
        lanes = reset_lanes(key_reset, env, env_params, N)
        visited = no_state_visited(env)
        if numbered:
            visited = mark_visited(visited, jax.vmap(env.state_id, in_axes=(0, None))(lanes.env_state, env_params))
        bonus_states = ()
        if bonuses:

            def act(key, carry, lanes):
                return carry, uniform_actions(key, action_space, admissible, lanes.obs), ()

            lanes, _, steps, finished, *_ = rollout(key_warmup, env, env_params, lanes, (), act, warmup)
            lanes = lanes._replace(episodes=summarise(lanes.episodes, finished)[0])
            visited = mark_visited(visited, steps.aux["state_id"]) if numbered else visited
            keys = jax.random.split(key_bonus, len(bonuses))
            bonus_states = tuple(bonus.init(k, steps) for bonus, k in zip(bonuses, keys, strict=True))
        hidden = jnp.zeros((N, config.gru_size))
        params = network.init(key_net, hidden, lanes.obs, features_of(bonuses, bonus_states, N), lanes.done)
        explorer_state = explorer.init(key_explorer, N)
        return PPOState(
            params, adam.init(params), lanes, hidden, explorer_state, bonus_states, visited, jnp.int32(0)
        )

    def collect(key_weights, noise, key_rollout, state: PPOState):
        """The rollout: (state, steps, finished, what was acted on, raw scores of the bonuses scored online)."""
        params = explorer.transform(key_weights, state.params, state.explorer)

        def act(key, carry, lanes):
            hidden, explorer_state, bonus_states = carry
            features = features_of(bonuses, bonus_states, N)
            next_hidden, x = encode(params, hidden, lanes.obs, features, lanes.done)
            policy = policy_at(params, x, lanes.obs, noise)
            action, log_prob, explorer_state = explorer.act(key, explorer_state, policy, lanes)
            extras = (features, lanes.done, log_prob)
            return (next_hidden, explorer_state, bonus_states), action, extras

        def react(key, carry, step):
            *others, bonus_states = carry
            bonus_states, raw = score_online(key, bonuses, bonus_states, step)
            return (*others, bonus_states), raw

        carry = (state.hidden, state.explorer, state.bonuses)
        lanes, (hidden, explorer_state, bonus_states), steps, finished, acted, raw = rollout(
            key_rollout, env, env_params, state.lanes, carry, act, T, react if online else None
        )
        state = state._replace(lanes=lanes, hidden=hidden, explorer=explorer_state, bonuses=bonus_states)
        return state, steps, finished, acted, raw

    def evaluate_rollout(state: PPOState, hidden, steps: Step, acted) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Values of the T observations, of their true successors and of the observations acted on next, [T, N, K].

        The statistics a bonus shows of a successor that ended its episode are gone with the episode; those of the
        observation before it stand in.
        """
        features, start, _ = acted
        after, x = encode_rollout(state.params, hidden, steps.obs, features, start)
        values = network.apply(state.params, x, method="critic")
        last_features = features_of(bonuses, state.bonuses, N)
        _, x = encode(state.params, state.hidden, state.lanes.obs, last_features, state.lanes.done)
        last = network.apply(state.params, x, method="critic")
        reset_values = jnp.concatenate([values[1:], last[None]])
        if not config.bootstrap_truncation:
            return values, reset_values, reset_values

        # The successor of a step that went on is acted on next, and that of a terminal step is worth nothing: only
        # truncated steps have a successor that must be valued apart.
        def value_successors(rows):
            inputs = (after, steps.next_obs, features)
            hidden, obs, shown = jax.tree.map(lambda x: x.reshape((T * N, *x.shape[2:]))[rows], inputs)
            _, x = encode(state.params, hidden, obs, shown, jnp.zeros(N, bool))
            return network.apply(state.params, x, method="critic")

        known = reset_values.reshape((T * N, -1))
        successor_values = map_selected(value_successors, steps.truncated.reshape(-1), known, N)
        return values, successor_values.reshape(values.shape), reset_values

    def loss_fn(params, noise, batch: Transitions):
        if recurrent:  # [B, T, ...] sequences, each from the hidden state it was collected with
            inputs = (batch.obs, batch.features, batch.start)
            obs, features, start = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), inputs)
            _, x = encode_rollout(params, batch.hidden[:, 0], obs, features, start)
            x = jnp.swapaxes(x, 0, 1).reshape((-1, x.shape[-1]))
            batch = jax.tree.map(lambda y: y.reshape((y.shape[0] * y.shape[1], *y.shape[2:])), batch)
        else:
            _, x = encode_rollout(params, None, batch.obs, batch.features, batch.start)
        policy = policy_at(params, x, batch.obs, noise)
        values = network.apply(params, x, method="critic")
        advantages = batch.advantages
        if config.normalise_advantages:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_ratio = policy.log_prob(batch.action) - batch.log_prob
        ratio = jnp.exp(log_ratio)
        policy_term = policy_loss(ratio, advantages, config.clip_ratio)
        value_term = value_loss(values, batch.values, batch.targets, config.clip_ratio, config.clip_values)
        entropy = policy.entropy().mean()
        metrics = {
            "policy_loss": policy_term,
            "value_loss": value_term,
            "entropy": entropy,
            "approx_kl": (ratio - 1.0 - log_ratio).mean(),
            "clip_fraction": (jnp.abs(ratio - 1.0) > config.clip_ratio).mean(),
        }
        return policy_term + config.value_coef * value_term - config.entropy_coef * entropy, metrics

    def learning_rate(t):
        fraction = 1.0 - t / jnp.maximum(config.anneal_iterations, 1.0)
        return config.learning_rate * jnp.where(config.anneal_iterations > 0, jnp.maximum(fraction, 0.0), 1.0)

    def fit(key, noise, state: PPOState, batch: Transitions):
        """The epochs: (state, mean metrics of the losses)."""
        rate = learning_rate(state.t)

        def update(key, carry, minibatch):
            params, opt_state = carry
            grads, metrics = jax.grad(loss_fn, has_aux=True)(params, noise, minibatch)
            updates, opt_state = adam.update(grads, opt_state)
            return (jax.tree.map(lambda p, u: p - rate * u, params, updates), opt_state), metrics

        rows = jax.tree.map(
            (lambda x: jnp.swapaxes(x, 0, 1)) if recurrent else (lambda x: x.reshape((T * N, *x.shape[2:]))), batch
        )
        (params, opt_state), metrics = minibatch_epochs(
            key, update, (state.params, state.opt_state), rows, config.num_epochs, config.num_minibatches
        )
        return state._replace(params=params, opt_state=opt_state), jax.tree.map(jnp.mean, metrics)

    def step(key, state: PPOState):
        key_weights, key_rollout, key_score, key_fit, key_bonus = jax.random.split(key, 5)
        key_weights, noise = jax.random.split(key_weights) if config.noisy else (key_weights, None)
        hidden = state.hidden
        state, steps, finished, acted, raw = collect(key_weights, noise, key_rollout, state)
        features, start, log_prob = acted
        bonus_states, rewards = pay(key_score, streams, state.bonuses, steps, features, raw)
        state = state._replace(bonuses=bonus_states)
        values, successor_values, reset_values = evaluate_rollout(state, hidden, steps, acted)
        ended, cut_off = steps.terminated, steps.truncated
        if not config.bootstrap_truncation:
            ended, cut_off = steps.done, jnp.zeros_like(steps.done)
        next_values, stop, cut = stream_boundaries(ended, cut_off, successor_values, reset_values, episodic)
        advantages = gae(rewards, values, next_values, stop, cut, gammas, lams)
        batch = Transitions(
            steps.obs, features, start, hidden[None], steps.action, log_prob,
            values, advantages @ coefs_at(streams, state.t), advantages + values,
        )  # fmt: skip
        state, metrics = fit(key_fit, noise, state, batch)

        explained = explained_variance(values, batch.targets)
        for k, stream in enumerate(streams):
            metrics[f"{stream.name}_reward"] = rewards[..., k].mean()
            metrics[f"{stream.name}_explained_variance"] = explained[k]
        bonus_states, learned = learn(key_bonus, streams, state.bonuses, steps, features)
        metrics |= learned

        episodes, episode_metrics = summarise(state.lanes.episodes, finished)
        visited = state.visited
        if numbered:
            visited = mark_visited(visited, steps.aux["state_id"])
            metrics["coverage"] = coverage(env, visited)
        t = state.t + 1
        state = state._replace(
            lanes=state.lanes._replace(episodes=episodes), bonuses=bonus_states, visited=visited, t=t
        )
        return state, {"env_steps": N * (warmup + t * T), **episode_metrics, **metrics}

    return Algorithm(init, step)
