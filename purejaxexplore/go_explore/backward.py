"""Go-Explore, robustification phase: the backward algorithm with PPO and self-imitation.

Salimans and Chen (2018), "Learning Montezuma's Revenge from a single demonstration"; Ecoffet, Huizinga, Lehman, Stanley
and Clune (2021), "First return, then explore". A demonstration that was found without noise becomes a policy that
survives it: episodes start near the demonstration's end, and the start moves back as they succeed. Each iteration::

    collect   T steps of N environments that start at the frontier m, or (20 %) anywhere behind it
    record    s_i <- success rate of the episodes that started at step i
    move      m <- the first i with (s_0 + ... + s_i) / w >= threshold; m + retreat where there is none
    learn     PPO on what was collected, plus on demonstration steps with return R
              -c_p E[(R - V)_+ log pi(a|s)] + c_v E[(R - V)_+^2] / 2        (Oh et al., 2018, self-imitation)

What differs from the published program: s_i is a running average over episodes and not the last batch's rate; the
demonstration steps of self-imitation are drawn uniformly into every minibatch instead of being replayed in
environments of their own; the policy has no memory, so nothing has to be burnt in.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import summarise
from purejaxexplore.blocks.gae import gae, stream_boundaries
from purejaxexplore.blocks.minibatches import minibatch_epochs
from purejaxexplore.blocks.rollout import Lanes, reset_lanes, rollout
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.envs.wrappers import ObserveStateId
from purejaxexplore.go_explore.demonstrations import Demonstrations, DemoSteps, NoisyStart, demo_steps, from_the_start
from purejaxexplore.learners.explorers import on_policy
from purejaxexplore.learners.losses import policy_loss, self_imitation_loss, value_loss
from purejaxexplore.learners.ppo_config import PPOConfig, actor_critic, require_plain_policy, require_ppo
from purejaxexplore.learners.streams import Stream
from purejaxexplore.nets import memoryless, policy_of


@struct.dataclass
class BackwardConfig:
    """Settings; those of PPO stand in ``ppo``.

    Attributes:
        ppo: learning rate, sizes, network ("mlp", "cnn" or "table"), discount; there are no bonuses to warm up, so
            ``num_warmup_steps`` is not used.
        threshold: share of the window's starts that must succeed, (0, 1]; 0.2 in the original, 0.1 in Go-Explore.
        sticky: probability that an action is repeated instead of the chosen one.
        spread: probability that an episode starts behind the frontier instead of in the window.
        rate: weight of an episode in the running success rate of its start, (0, 1].
        sil_policy, sil_value: c_p and c_v; 0.1 and 0.01 in Go-Explore.
        window: w, steps.
        retreat: steps by which the frontier goes back to the end where nothing succeeds; 100 on Atari.
        lag: an episode that falls behind the demonstration's score of that many steps ago is ended.
        sil_batch: demonstration steps in every minibatch; 0 for PPO alone.
        num_eval_steps: steps of each environment in an evaluation, from the environment's own start.
        start: "backward", or "beginning": no curriculum, every episode from the environment's own start.
    """

    ppo: PPOConfig
    threshold: float = 0.2
    sticky: float = 0.25
    spread: float = 0.2
    rate: float = 0.1
    sil_policy: float = 0.1
    sil_value: float = 0.01
    window: int = struct.field(pytree_node=False, default=10)
    retreat: int = struct.field(pytree_node=False, default=10)
    lag: int = struct.field(pytree_node=False, default=50)
    sil_batch: int = struct.field(pytree_node=False, default=64)
    num_eval_steps: int = struct.field(pytree_node=False, default=800)
    start: str = struct.field(pytree_node=False, default="backward")


class BackwardState(NamedTuple):
    """The learner and its curriculum.

    Attributes:
        params: of the network.
        opt_state: Adam's.
        lanes: the N environments.
        frontier: i32[D], step of each demonstration that episodes start from.
        rates: f32[D, L + 1], running success rate of the episodes that started at a step.
        t: i32, iterations done.
    """

    params: Any
    opt_state: Any
    lanes: Lanes
    frontier: jax.Array
    rates: jax.Array
    t: jax.Array


class Samples(NamedTuple):
    """What PPO's loss needs, [T, N, ...]."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    values: jax.Array
    advantages: jax.Array
    targets: jax.Array


def update_rates(rates, demo, start, done, success, rate) -> jax.Array:
    """Running success rates f32[D, L + 1] after the episodes that ended (``done``), arrays of one shape."""
    index = (demo.ravel(), start.ravel())
    ended = jnp.zeros_like(rates).at[index].add(done.ravel().astype(jnp.float32))
    won = jnp.zeros_like(rates).at[index].add((done & success).ravel().astype(jnp.float32))
    kept = (1.0 - rate) ** ended
    return jnp.where(ended > 0, kept * rates + (1.0 - kept) * won / jnp.maximum(ended, 1.0), rates)


def move_frontier(frontier, rates, lengths, window: int, threshold, retreat: int) -> jax.Array:
    """The first step whose cumulative success reaches ``threshold`` windows, or ``retreat`` steps on: i32[D].

    The frontier never moves beyond the last step before the end.
    """
    share = jnp.cumsum(rates, 1) / window
    reached = share >= threshold
    forward = jnp.minimum(frontier + retreat, lengths - 1)
    return jnp.where(reached.any(1), jnp.minimum(reached.argmax(1), lengths - 1), forward).astype(jnp.int32)


def backward(env, env_params, demos: Demonstrations, config: BackwardConfig) -> Algorithm:
    """Turns demonstrations into a robust policy.

    Args:
        env, env_params: the world, without sticky actions of its own; random no-ops belong in its ``reset_env``. With
            ``ppo.network="table"`` the policy is shown the number of the state.
        demos: found by exploration in it; its arrays may be traced (another demonstration in every lane of a sweep).
        config: the settings.

    Returns:
        An :class:`Algorithm`; a step is one rollout and its update. Metrics: ``env_steps``, ``episodes``,
        ``episode_return``, ``episode_length``, ``success`` (of episodes from wherever they started), ``frontier`` (mean
        share of the demonstration that is skipped), ``policy_loss``, ``value_loss``, ``entropy``, ``sil_loss``.
        ``evaluate`` gives ``start_success`` and ``start_return`` of episodes from the environment's own start.

    Raises:
        ValueError: a setting is out of range, or as :func:`~purejaxexplore.learners.ppo.ppo`.
        TypeError: a table for an environment that does not number its states.
    """
    hyper = config.ppo
    _check(config)
    seen = ObserveStateId(env) if hyper.network == "table" else env
    noisy = NoisyStart(seen)
    beginning = noisy.begin(env_params, demos, config.sticky, config.lag, config.spread)
    original = noisy.from_the_start(beginning)
    require_ppo(noisy, beginning, hyper, (Stream("extrinsic"),), on_policy())
    N, T = hyper.num_envs, hyper.rollout_length
    network = actor_critic(noisy, beginning, hyper, 1)
    adam = optax.chain(optax.clip_by_global_norm(hyper.max_grad_norm), optax.scale_by_adam(eps=hyper.adam_eps))

    def policy_at(params, obs):
        return policy_of(network, params, memoryless(network, params, obs))

    def value(params, obs):
        return network.apply(params, memoryless(network, params, obs), method="critic")

    def world(frontier):
        if config.start == "beginning":
            return original
        return beginning.replace(frontier=frontier, window=jnp.int32(config.window))

    def act_by(params):
        def act(key, carry, lanes):
            policy = policy_at(params, lanes.obs)
            action, log_prob = policy.sample_and_log_prob(seed=key)
            return carry, action, (log_prob, lanes.env_state.demo, lanes.env_state.start)

        return act

    def init(key):
        key_reset, key_net = jax.random.split(key)
        lanes = reset_lanes(key_reset, noisy, world(beginning.frontier), N)
        blank = jnp.zeros((N, 0))
        params = network.init(key_net, blank, lanes.obs, blank, lanes.done)
        rates = jnp.zeros(demos.scores.shape)
        return BackwardState(params, adam.init(params), lanes, beginning.frontier, rates, jnp.int32(0))

    def loss_fn(params, batch: Samples, shown: DemoSteps):
        policy = policy_at(params, batch.obs)
        values = value(params, batch.obs)
        advantages = batch.advantages
        if hyper.normalise_advantages:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        ratio = jnp.exp(policy.log_prob(batch.action) - batch.log_prob)
        terms = {
            "policy_loss": policy_loss(ratio, advantages, hyper.clip_ratio),
            "value_loss": value_loss(values, batch.values, batch.targets, hyper.clip_ratio, hyper.clip_values),
            "entropy": policy.entropy().mean(),
            "sil_loss": self_imitation(params, shown),
        }
        total = terms["policy_loss"] + hyper.value_coef * terms["value_loss"] - hyper.entropy_coef * terms["entropy"]
        return total + terms["sil_loss"], terms

    def self_imitation(params, shown: DemoSteps):
        if not config.sil_batch:
            return jnp.float32(0.0)
        log_prob = policy_at(params, shown.obs).log_prob(shown.action)
        # The padding of short demonstrations is no demonstration.
        values = value(params, shown.obs)[:, 0]
        return self_imitation_loss(
            log_prob, values, shown.returns, shown.valid, config.sil_policy, config.sil_value
        )

    def fit(key, state: BackwardState, samples: Samples):
        shown = demo_steps(seen, env_params, demos, hyper.gamma)

        def update(key, carry, batch):
            params, opt_state = carry
            rows = jax.random.randint(key, (config.sil_batch,), 0, shown.valid.size)
            drawn = jax.tree.map(lambda x: x[rows], shown)
            grads, terms = jax.grad(loss_fn, has_aux=True)(params, batch, drawn)
            updates, opt_state = adam.update(grads, opt_state)
            params = jax.tree.map(lambda p, u: p - hyper.learning_rate * u, params, updates)
            return (params, opt_state), terms

        rows = jax.tree.map(lambda x: x.reshape((T * N, *x.shape[2:])), samples)
        carry = (state.params, state.opt_state)
        (params, opt_state), terms = minibatch_epochs(
            key, update, carry, rows, hyper.num_epochs, hyper.num_minibatches
        )
        return state._replace(params=params, opt_state=opt_state), jax.tree.map(jnp.mean, terms)

    def step(key, state: BackwardState):
        key_collect, key_fit = jax.random.split(key)
        lanes, _, steps, finished, (log_prob, demo, start), _ = rollout(
            key_collect, noisy, world(state.frontier), state.lanes, (), act_by(state.params), T
        )
        rates = update_rates(state.rates, demo, start, finished.done, finished.success, config.rate)
        frontier = move_frontier(
            state.frontier, rates, demos.lengths, config.window, config.threshold, config.retreat
        )

        values, next_values, acted_next = (value(state.params, x) for x in (steps.obs, steps.next_obs, steps.reset_obs))
        next_values, stop, cut = stream_boundaries(steps.terminated, steps.truncated, next_values, acted_next, (True,))
        rewards = steps.reward[..., None]
        advantages = gae(rewards, values, next_values, stop, cut, hyper.gamma, hyper.gae_lambda)
        samples = Samples(steps.obs, steps.action, log_prob, values, advantages[..., 0], advantages + values)
        state, metrics = fit(key_fit, state, samples)

        episodes, episode_metrics = summarise(lanes.episodes, finished)
        t = state.t + 1
        state = state._replace(lanes=lanes._replace(episodes=episodes), frontier=frontier, rates=rates, t=t)
        skipped = (frontier / demos.lengths).mean()
        return state, {"env_steps": N * T * t, "frontier": skipped, **episode_metrics, **metrics}

    def evaluate(key, state: BackwardState):
        return from_the_start(key, noisy, beginning, act_by(state.params), N, config.num_eval_steps)

    return Algorithm(init, step, evaluate)


def _check(config: BackwardConfig) -> None:
    choice("start", config.start, ("backward", "beginning"))
    sizes = ("window", "retreat", "lag", "num_eval_steps")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(0, sil_batch=config.sil_batch)
    for name in ("threshold", "sticky", "spread", "rate"):
        require_between(0.0, 1.0, **{name: getattr(config, name)})
    require_plain_policy(config.ppo)
    if not config.ppo.bootstrap_truncation:
        raise ValueError("bootstrap_truncation=False: expected True, truncation is always bootstrapped here")
    anneal = config.ppo.anneal_iterations
    if isinstance(anneal, jax.core.Tracer) or anneal != 0:
        raise ValueError(f"anneal_iterations={anneal}: expected 0, the learning rate is constant here")
