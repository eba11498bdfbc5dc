"""WGE: Liu, Guu, Pasupat, Shi and Liang (2018), "Reinforcement learning on web interfaces using workflow-guided
exploration".

A few demonstrations are not imitated: each of their actions is turned into all the workflow steps z that it satisfies
("click something that is labelled send"), a lattice of constraints. Exploration stays within a lattice and learns which
constraints lead to success, and a neural policy without constraints learns from the successes::

    demonstration d uniform, z_t ~ softmax(psi[d, t]) over the lattice, a_t uniform among the actions that satisfy z_t
    psi[d, t] += alpha mean (G - v[d, t]) (1[z_t] - p[d, t]),    G = 1 for success, else -1,    v their running mean
    policy loss = -E[(R - V) log pi] + c_v E[(R - V)^2] / 2 - c_e H        over its own episodes
                  - c_i E[log pi(a | s)]                                   over successful explored episodes

An episode whose page offers nothing that satisfies z_t ends there. Different from the paper: lattices have no shortcuts
over several actions; a world that knows workflow steps takes the place of a browser; and a small network that scores
each element by itself and by the page that of the paper's. Whole episodes are played, so returns need no bootstrap.
Lattices come from :func:`~purejaxexplore.learners.workflows.induce`.
"""

from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.learners.guides import probabilities
from purejaxexplore.learners.workflows import Played, play, reinforce


@struct.dataclass
class WGEConfig:
    """Hyper-parameters; the paper names none of these numbers but gamma's role.

    Attributes:
        learning_rate: Adam's, of the neural policy, (0, inf).
        workflow_rate: alpha, step size of the workflow policy, at least 0; 0 keeps it uniform.
        baseline_rate: of v, [0, 1].
        gamma: discount of the neural policy's returns R, [0, 1].
        value_coef, entropy_coef, imitation_coef: c_v, c_e and c_i, at least 0.
        max_grad_norm: bound of the gradient's global norm, (0, inf].
        horizon: steps of an episode, at most the world's limit.
        num_explore: episodes of workflow exploration an iteration; 0 leaves actor-critic alone.
        num_play: episodes of the neural policy an iteration.
        replay_capacity: steps of successful episodes that are kept, the newest ones.
        num_updates, batch_size: minibatches an iteration, and their steps of the replay.
        size: width of the network's layers.
        num_eval: greedy episodes of an evaluation.
    """

    learning_rate: float = 1e-3
    workflow_rate: float = 1.0
    baseline_rate: float = 0.1
    gamma: float = 0.95
    value_coef: float = 0.5
    entropy_coef: float = 0.01
    imitation_coef: float = 1.0
    max_grad_norm: float = 1.0
    horizon: int = struct.field(pytree_node=False, default=8)
    num_explore: int = struct.field(pytree_node=False, default=32)
    num_play: int = struct.field(pytree_node=False, default=32)
    replay_capacity: int = struct.field(pytree_node=False, default=4096)
    num_updates: int = struct.field(pytree_node=False, default=4)
    batch_size: int = struct.field(pytree_node=False, default=128)
    size: int = struct.field(pytree_node=False, default=64)
    num_eval: int = struct.field(pytree_node=False, default=256)


class Successes(NamedTuple):
    """A ring of steps: ``obs`` [C, ...], ``action`` i32[C], ``head`` i32[] (written next), ``size`` i32[] (filled)."""

    obs: Any
    action: jax.Array
    head: jax.Array
    size: jax.Array


class WGEState(NamedTuple):
    """The learner.

    Attributes:
        psi: f32[D, H, V], logits of the workflow policy.
        baseline: f32[D, H], v.
        params, opt_state: of the neural policy.
        successes: what exploration did in successful episodes.
        env_steps: i32[], taken so far by both policies.
    """

    psi: jax.Array
    baseline: jax.Array
    params: Any
    opt_state: Any
    successes: Successes
    env_steps: jax.Array


def keep(successes: Successes, obs: Any, action: jax.Array, kept: jax.Array) -> Successes:
    """Adds those of the steps ``[M, ...]`` that are ``kept: bool[M]``; the oldest give way."""
    capacity = successes.action.shape[0]
    place = (successes.head + jnp.cumsum(kept) - 1) % capacity
    place = jnp.where(kept, place, capacity)
    count = kept.sum(dtype=jnp.int32)
    obs = jax.tree.map(lambda ring, x: ring.at[place].set(x, mode="drop"), successes.obs, obs)
    action = successes.action.at[place].set(action, mode="drop")
    return Successes(obs, action, (successes.head + count) % capacity, jnp.minimum(successes.size + count, capacity))


def returns_to_go(reward: jax.Array, gamma: jax.Array) -> jax.Array:
    """``R_t = r_t + gamma R_{t+1}`` of f32[H, N]."""

    def accumulate(following, reward):
        following = reward + gamma * following
        return following, following

    return jax.lax.scan(accumulate, jnp.zeros(reward.shape[1:]), reward, reverse=True)[1]


class ElementPolicy(nn.Module):
    """Scores the actions on all elements: ``(elements f32[..., E, d], rest f32[..., c]) -> (f32[..., E k], f32[...])``.

    The same function scores all elements, from what an element is and from the page: the most and the mean over its
    elements, and the rest. The second result is the page's value.

    Attributes:
        num_kinds: k, actions on an element.
        size: width of the layers.
    """

    num_kinds: int
    size: int

    @nn.compact
    def __call__(self, elements: jax.Array, rest: jax.Array) -> tuple[jax.Array, jax.Array]:
        own = nn.relu(nn.Dense(self.size)(elements))
        page = nn.relu(nn.Dense(self.size)(jnp.concatenate([own.max(-2), own.mean(-2), rest], -1)))
        around = jnp.broadcast_to(page[..., None, :], own.shape)
        x = nn.relu(nn.Dense(self.size)(jnp.concatenate([own, around], -1)))
        scores = nn.Dense(self.num_kinds, kernel_init=nn.initializers.zeros)(x)
        return scores.reshape((*scores.shape[:-2], -1)), nn.Dense(1)(page)[..., 0]


def element_policy(env, env_params, size: int) -> tuple[ElementPolicy, Callable]:
    """The network for a world, and ``(params, obs) -> (distrax.Categorical, values)``."""
    obs, _ = jax.eval_shape(env.reset_env, jax.random.key(0), env_params)
    num_elements = jax.eval_shape(env.elements, obs)[0].shape[-2]
    network = ElementPolicy(int(env.action_space(env_params).n) // num_elements, size)

    def policy(params, obs):
        logits, value = network.apply(params, *env.elements(obs))
        return distrax.Categorical(logits=logits), value

    return network, policy


def wge(env, env_params, lattice: jax.Array, config: WGEConfig | None = None) -> Algorithm:
    """WGE as an :class:`Algorithm`; one step is N explored and N played episodes and G updates.

    Args:
        env, env_params: a world that knows workflow steps: ``num_constraints`` V, ``satisfying(state, z) -> bool[A]``,
            and ``elements(obs)`` for the network.
        lattice: bool[D, H', V], H' at most ``horizon``, of demonstrations; may be traced.
        config: hyper-parameters.

    Returns:
        An algorithm whose metrics are ``env_steps``, ``success`` and ``episode_return`` of the neural policy's
        episodes, ``explore_success``, ``num_successes`` (steps kept), ``workflow_entropy`` (mean over the lattice's
        steps), and the means of ``policy_loss``, ``value_loss``, ``entropy`` and ``imitation_loss``; ``evaluate`` gives
        ``success`` of greedy episodes.

    Raises:
        ValueError: a size is not positive, a number is out of its range, or the lattice has the wrong shape.
        TypeError: the world knows no workflow steps.
    """
    config = WGEConfig() if config is None else config
    _require(env, lattice, config)
    lattice = jnp.asarray(lattice)
    D, length, V = lattice.shape
    H, capacity = config.horizon, config.replay_capacity
    network, policy = element_policy(env, env_params, config.size)
    adam = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.scale_by_adam())

    def init(key):
        key_reset, key_net = jax.random.split(key)
        obs, _ = env.reset_env(key_reset, env_params)
        params = network.init(key_net, *env.elements(obs))
        ring = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), obs)
        successes = Successes(ring, jnp.zeros(capacity, jnp.int32), jnp.int32(0), jnp.int32(0))
        psi = jnp.zeros((D, length, V))
        return WGEState(psi, jnp.zeros((D, length)), params, adam.init(params), successes, jnp.int32(0))

    def explore(key, state: WGEState):
        """Workflow exploration: (state, its episodes)."""
        key_demo, key_play = jax.random.split(key)
        demo = jax.random.randint(key_demo, (config.num_explore,), 0, D)
        logits = jnp.log(probabilities(jnp.where(lattice, state.psi, -jnp.inf)))
        known = lattice.any(-1)

        def act(key, t, demo, obs, page):
            key_constraint, key_action = jax.random.split(key)
            z = jax.random.categorical(key_constraint, logits[demo, t])
            allowed = env.satisfying(page, z)
            action = jax.random.categorical(key_action, jnp.where(allowed, 0.0, -jnp.inf))
            return action, known[demo, t] & allowed.any(), z

        played = play(key_play, env, env_params, config.num_explore, length, act, demo)
        psi, baseline = reinforce(
            state.psi, state.baseline, lattice, demo, played.extras, played.valid,
            jnp.where(played.success, 1.0, -1.0), config.workflow_rate, config.baseline_rate,
        )  # fmt: skip
        kept = (played.valid & played.success).reshape(-1)
        successes = keep(state.successes, *flat((played.obs, played.action)), kept)
        return state._replace(psi=psi, baseline=baseline, successes=successes), played

    def flat(tree):
        return jax.tree.map(lambda x: x.reshape((-1, *x.shape[2:])), tree)

    def actor_critic_loss(params, played: Played):
        obs, action, valid = flat((played.obs, played.action, played.valid))
        count = jnp.maximum(valid.sum(), 1)
        chosen, values = policy(params, obs)
        gap = returns_to_go(played.reward, config.gamma).reshape(-1) - values
        actor = -(chosen.log_prob(action) * jax.lax.stop_gradient(gap) * valid).sum() / count
        critic = 0.5 * (jnp.square(gap) * valid).sum() / count
        entropy = (chosen.entropy() * valid).sum() / count
        loss = actor + config.value_coef * critic - config.entropy_coef * entropy
        return loss, {"policy_loss": actor, "value_loss": critic, "entropy": entropy}

    def descend(carry, loss, *data):
        params, opt_state = carry
        grads, metrics = jax.grad(loss, has_aux=True)(params, *data)
        updates, opt_state = adam.update(grads, opt_state)
        return (jax.tree.map(lambda p, u: p - config.learning_rate * u, params, updates), opt_state), metrics

    def imitate(key, learned, ring: Successes):
        """Imitation of what succeeded: (params and optimiser's state, mean loss)."""

        def imitation_loss(params, rows):
            chosen, _ = policy(params, jax.tree.map(lambda x: x[rows], ring.obs))
            loss = jnp.where(ring.size > 0, -chosen.log_prob(ring.action[rows]).mean(), 0.0)
            return config.imitation_coef * loss, loss

        def update(learned, key):
            rows = jax.random.randint(key, (config.batch_size,), 0, jnp.maximum(ring.size, 1))
            return descend(learned, imitation_loss, rows)

        learned, losses = jax.lax.scan(update, learned, jax.random.split(key, config.num_updates))
        return learned, losses.mean()

    def sample(params):
        def act(key, t, given, obs, page):
            return policy(params, obs)[0].sample(seed=key), jnp.bool_(True), ()

        return act

    def step(key, state: WGEState):
        key_explore, key_play, key_imitate = jax.random.split(key, 3)
        explored = {"explore_success": jnp.float32(0.0), "imitation_loss": jnp.float32(0.0)}
        env_steps = state.env_steps
        if config.num_explore:
            state, exploration = explore(key_explore, state)
            env_steps += exploration.valid.sum(dtype=jnp.int32)
            explored["explore_success"] = exploration.success.mean()
        played = play(key_play, env, env_params, config.num_play, H, sample(state.params))
        env_steps += played.valid.sum(dtype=jnp.int32)
        learned, metrics = descend((state.params, state.opt_state), actor_critic_loss, played)
        if config.num_explore:
            learned, explored["imitation_loss"] = imitate(key_imitate, learned, state.successes)
        params, opt_state = learned
        state = state._replace(params=params, opt_state=opt_state, env_steps=env_steps)
        p = probabilities(jnp.where(lattice, state.psi, -jnp.inf))
        known = lattice.any(-1)
        spread = jnp.where(known, distrax.Categorical(probs=p).entropy(), 0.0).sum() / jnp.maximum(known.sum(), 1)
        return state, {
            "env_steps": env_steps,
            "success": played.success.mean(),
            "episode_return": played.reward.sum(0).mean(),
            "num_successes": state.successes.size,
            "workflow_entropy": spread,
            **explored,
            **metrics,
        }

    def evaluate(key, state: WGEState):
        def act(key, t, given, obs, page):
            return policy(state.params, obs)[0].mode(), jnp.bool_(True), ()

        return {"success": play(key, env, env_params, config.num_eval, H, act).success.mean()}

    return Algorithm(init, step, evaluate)


def _require(env, lattice: jax.Array, config: WGEConfig) -> None:
    if not all(hasattr(env, name) for name in ("num_constraints", "satisfying", "elements")):
        raise TypeError(f"env={env!r}: expected a world with workflow steps, such as make('FormFill')")
    sizes = ("horizon", "num_play", "replay_capacity", "num_updates", "batch_size", "size", "num_eval")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(0, num_explore=config.num_explore)
    coefs = ("learning_rate", "workflow_rate", "value_coef", "entropy_coef", "imitation_coef", "max_grad_norm")
    require_between(0.0, inf, **{name: getattr(config, name) for name in coefs})
    require_between(0.0, 1.0, baseline_rate=config.baseline_rate, gamma=config.gamma)
    shape = jnp.shape(lattice)
    if len(shape) != 3 or shape[1] > config.horizon or shape[2] != env.num_constraints:
        raise ValueError(
            f"lattice of shape {shape}: expected (demonstrations, at most {config.horizon}, {env.num_constraints})"
        )
    if config.num_explore * shape[1] > config.replay_capacity:
        raise ValueError(
            f"replay_capacity={config.replay_capacity}: expected at least the {config.num_explore * shape[1]} steps"
            " that an iteration may add"
        )
