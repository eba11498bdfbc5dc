"""The PPO peers that `ppo.py` is measured against: rejax through an adapter, and PureJaxRL's algorithm.

Both take our :class:`~purejaxexplore.learners.ppo.PPOConfig`, so that one object sets the network, the epochs, the
minibatches and the steps of every contender, and return ``train(key) -> pytree``. Both treat truncation as termination,
as they do at home, and clip values and normalise advantages per minibatch, as we do.
"""

from typing import Any, NamedTuple

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.linen.initializers import orthogonal
from flax.training.train_state import TrainState
from gymnax.environments import spaces

from purejaxexplore.learners.ppo import PPOConfig

PUREJAXRL_COMMIT = "31756b197773a52db763fdbe6d635e4b46522a73"


def flat_size(env: Any, env_params: Any) -> int:
    """Numbers in one observation."""
    return int(np.prod(env.observation_space(env_params).shape))


class FlatFiveValueStep:
    """A gymnax 1.x environment in the form that rejax 0.1 expects: a step of five values, flat float observations."""

    def __init__(self, env: Any):
        self._env = env

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # deepcopy asks before ``_env`` exists
            raise AttributeError(name)
        return getattr(self._env, name)

    def reset(self, key, params):
        observation, state = self._env.reset(key, params)
        return observation.astype(jnp.float32).ravel(), state

    def step(self, key, state, action, params):
        observation, state, reward, terminated, truncated, _ = self._env.step(key, state, action, params)
        return observation.astype(jnp.float32).ravel(), state, reward, terminated | truncated, {}

    def observation_space(self, params):
        return spaces.Box(-jnp.inf, jnp.inf, (flat_size(self._env, params),), jnp.float32)


def rejax_ppo(env: Any, env_params: Any, config: PPOConfig, num_updates: int):
    """rejax's PPO without evaluation; it clips gradients element by element and optimises each tower on its own."""
    import rejax

    total = num_updates * config.num_envs * config.rollout_length
    algorithm = rejax.PPO.create(
        env=FlatFiveValueStep(env),
        env_params=env_params,
        agent_kwargs={"activation": config.activation, "hidden_layer_sizes": config.hidden_sizes},
        total_timesteps=total,
        eval_freq=total,
        skip_initial_evaluation=True,
        num_envs=config.num_envs,
        num_steps=config.rollout_length,
        num_epochs=config.num_epochs,
        num_minibatches=config.num_minibatches,
        learning_rate=config.learning_rate,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_eps=config.clip_ratio,
        vf_coef=config.value_coef,
        ent_coef=config.entropy_coef,
        max_grad_norm=config.max_grad_norm,
    )
    return algorithm.replace(eval_callback=lambda algorithm, state, key: ()).train


class Towers(nn.Module):
    """PureJaxRL's network: separate tanh towers, ``f32[..., d] -> (logits f32[..., A], value f32[...])``."""

    num_actions: int
    hidden_sizes: tuple[int, ...]

    @nn.compact
    def __call__(self, x):
        outputs = []
        for size, scale in ((self.num_actions, 0.01), (1, 1.0)):
            y = x
            for width in self.hidden_sizes:
                y = nn.tanh(nn.Dense(width, kernel_init=orthogonal(2**0.5))(y))
            outputs.append(nn.Dense(size, kernel_init=orthogonal(scale))(y))
        return outputs[0], outputs[1][..., 0]


class EpisodeLog(NamedTuple):
    """PureJaxRL's bookkeeping of episodes, each [N]: running totals, totals of the last finished episode, steps."""

    returns: jax.Array
    lengths: jax.Array
    last_returns: jax.Array
    last_lengths: jax.Array
    steps: jax.Array


class Sample(NamedTuple):
    """One transition, as its minibatches need it."""

    obs: jax.Array
    action: jax.Array
    reward: jax.Array
    done: jax.Array
    value: jax.Array
    log_prob: jax.Array


def purejaxrl_ppo(env: Any, env_params: Any, config: PPOConfig, num_updates: int):
    """PureJaxRL's PPO (Lu et al., 2022), written anew from its published program at ``PUREJAXRL_COMMIT``.

    Every choice that costs time is its own: the key is split anew for each use, the value network runs at every step,
    the rollout is gathered whole through ``jax.random.permutation`` in each epoch, the backward scan of the advantages
    is unrolled 16 times, and the episode log of every step of the run is returned. Only the final observations, which
    gymnax 1.x added to ``info``, are left out of that log.
    """
    N, T = config.num_envs, config.rollout_length
    network = Towers(env.action_space(env_params).n, config.hidden_sizes)
    optimiser = optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(config.learning_rate, eps=config.adam_eps)
    )
    env_reset = jax.vmap(env.reset, in_axes=(0, None))
    env_step = jax.vmap(env.step, in_axes=(0, 0, 0, None))

    def loss(params, samples, advantages, targets):
        logits, values = network.apply(params, samples.obs)
        policy = distrax.Categorical(logits=logits)
        moved = samples.value + jnp.clip(values - samples.value, -config.clip_ratio, config.clip_ratio)
        value_loss = 0.5 * jnp.maximum(jnp.square(values - targets), jnp.square(moved - targets)).mean()
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        ratio = jnp.exp(policy.log_prob(samples.action) - samples.log_prob)
        limited = jnp.clip(ratio, 1.0 - config.clip_ratio, 1.0 + config.clip_ratio)
        policy_loss = -jnp.minimum(ratio * advantages, limited * advantages).mean()
        entropy = policy.entropy().mean()
        total = policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy
        return total, (value_loss, policy_loss, entropy)

    def act_and_step(carry, _):
        learner, env_state, log, obs, key = carry
        key, key_action = jax.random.split(key)
        logits, value = network.apply(learner.params, obs)
        policy = distrax.Categorical(logits=logits)
        action = policy.sample(seed=key_action)
        log_prob = policy.log_prob(action)
        key, key_step = jax.random.split(key)
        next_obs, env_state, reward, terminated, truncated, info = env_step(
            jax.random.split(key_step, N), env_state, action, env_params
        )
        done = terminated | truncated
        returns, lengths = log.returns + reward, log.lengths + 1
        log = EpisodeLog(
            returns * (1 - done),
            lengths * (1 - done),
            log.last_returns * (1 - done) + returns * done,
            log.last_lengths * (1 - done) + lengths * done,
            log.steps + 1,
        )
        kept = {name: value for name, value in info.items() if name != "final_observation"}
        kept |= {"returns": log.last_returns, "lengths": log.last_lengths, "steps": log.steps, "done": done}
        sample = Sample(obs, action, reward, done, value, log_prob)
        return (learner, env_state, log, next_obs.reshape(N, -1), key), (sample, kept)

    def advantages_of(samples, last_value):
        def backwards(carry, sample):
            advantage, next_value = carry
            delta = sample.reward + config.gamma * next_value * (1 - sample.done) - sample.value
            advantage = delta + config.gamma * config.gae_lambda * (1 - sample.done) * advantage
            return (advantage, sample.value), advantage

        start = (jnp.zeros_like(last_value), last_value)
        return jax.lax.scan(backwards, start, samples, reverse=True, unroll=16)[1]

    def fit_minibatch(learner, minibatch):
        value, grads = jax.value_and_grad(loss, has_aux=True)(learner.params, *minibatch)
        return learner.apply_gradients(grads=grads), value

    def epoch(carry, _):
        learner, batch, key = carry
        key, key_shuffle = jax.random.split(key)
        order = jax.random.permutation(key_shuffle, N * T)
        shuffled = jax.tree.map(lambda x: jnp.take(x.reshape(N * T, *x.shape[2:]), order, axis=0), batch)
        minibatches = jax.tree.map(lambda x: x.reshape(config.num_minibatches, -1, *x.shape[1:]), shuffled)
        learner, losses = jax.lax.scan(fit_minibatch, learner, minibatches)
        return (learner, batch, key), losses

    def update(carry, _):
        carry, (samples, log) = jax.lax.scan(act_and_step, carry, None, T)
        learner, env_state, episodes, obs, key = carry
        advantages = advantages_of(samples, network.apply(learner.params, obs)[1])
        batch = (samples, advantages, advantages + samples.value)
        (learner, _, key), _ = jax.lax.scan(epoch, (learner, batch, key), None, config.num_epochs)
        return (learner, env_state, episodes, obs, key), log

    def train(key):
        key, key_network = jax.random.split(key)
        params = network.init(key_network, jnp.zeros(flat_size(env, env_params)))
        learner = TrainState.create(apply_fn=network.apply, params=params, tx=optimiser)
        key, key_reset = jax.random.split(key)
        obs, env_state = env_reset(jax.random.split(key_reset, N), env_params)
        nothing, none = jnp.zeros(N), jnp.zeros(N, jnp.int32)
        episodes = EpisodeLog(nothing, none, nothing, none, none)
        return jax.lax.scan(update, (learner, env_state, episodes, obs.reshape(N, -1), key), None, num_updates)

    return train
