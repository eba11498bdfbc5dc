"""Latent Go-Explore: no cells; explore from states whose learned embedding is rare.

Gallouédec and Dellandréa (2023), "Cell-free latent go-explore", in its form that restores states. A reservoir of M
visited states stands for all of them. Each round B lanes::

    select    the r-th rarest state, r ~ Geometric(p) truncated to the number of stored states
    return    restore it
    explore   k random actions, each the last one again with probability q
    remember  every visited state, with the transition that led to it, is offered to the reservoir

and after R rounds the embedding z = phi(o) is trained on stored transitions (o, a, o'), all states are embedded anew,
and a state's rarity is the distance in z to its K-th nearest neighbour (density ~ K / (M dist^d))::

    inverse       |a - g(z, z')|^2, or the cross-entropy of a discrete action
    forward       -log N(o'; g(z, a))
    autoencoder   |o - g(z)|^2

What differs from the published program: it returns by a goal-conditioned policy and so has sub-goals and hindsight
(:mod:`purejaxexplore.go_explore.latent_policy` does); here a state is restored, which leaves the choice of goals as all
there is to judge. The density is that of a reservoir and not of all states, with K in proportion. A state that has not
been ranked yet counts as the least rare, and equals are ordered at random.
"""

import math
import numbers
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.archives import archive as table
from purejaxexplore.archives import trajectory
from purejaxexplore.archives.archive import Archive
from purejaxexplore.archives.indices import reservoir_slots
from purejaxexplore.archives.packing import like, packing
from purejaxexplore.blocks.episodes import coverage, mark_visited, no_state_visited
from purejaxexplore.blocks.knn import nearest
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.nets import MLP

MODULES = ("inverse", "forward", "autoencoder")


@flax.struct.dataclass
class LatentGoExploreConfig:
    """Settings; the defaults are the paper's for the maze, the reservoir and the number of lanes excepted.

    Attributes:
        geometric: p in [0, 1), how much rarer states are preferred; 0 takes every stored state alike.
        action_repeat: q in [0, 1).
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        module: what the embedding is learned from: "inverse", "forward" or "autoencoder".
        latent_size: L, dimensions of z.
        hidden_sizes: of phi and of g.
        capacity: M, states in the reservoir.
        neighbours: K; 1,000 of 100,000 states in the paper, which is 1 % of M.
        num_lanes: B.
        horizon: k.
        num_rounds: R; the paper trains every 5,000 steps.
        num_updates: gradient steps of a training; 0 leaves the embedding at random.
        batch_size: transitions of a gradient step.
    """

    geometric: float = 0.05
    action_repeat: float = 0.9
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    module: str = flax.struct.field(pytree_node=False, default="inverse")
    latent_size: int = flax.struct.field(pytree_node=False, default=16)
    hidden_sizes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(64, 64))
    capacity: int = flax.struct.field(pytree_node=False, default=4096)
    neighbours: int = flax.struct.field(pytree_node=False, default=41)
    num_lanes: int = flax.struct.field(pytree_node=False, default=20)
    horizon: int = flax.struct.field(pytree_node=False, default=50)
    num_rounds: int = flax.struct.field(pytree_node=False, default=5)
    num_updates: int = flax.struct.field(pytree_node=False, default=500)
    batch_size: int = flax.struct.field(pytree_node=False, default=64)


class Visit(NamedTuple):
    """A visited state and the transition that led to it; the payload of the reservoir.

    Attributes:
        packed: packed environment state.
        before: f32[d], the observation before it; of the first state, its own.
        action: the action taken there, f32[a]; one-hot where it is discrete.
        observation: f32[d].
    """

    packed: Any
    before: jax.Array
    action: jax.Array
    observation: jax.Array


class LatentGoExploreState(NamedTuple):
    """Everything that an exploration knows.

    Attributes:
        reservoir: Archive of :class:`Visit`; ``score`` is the rarity, 0 before the first estimate.
        params: of phi and g.
        opt_state: AdamW's.
        visited: bool[num_states], states ever visited; bool[0] where the environment does not number its states.
        succeeded: bool, some rollout completed the task.
        env_steps: i32, steps executed.
    """

    reservoir: Archive
    params: Any
    opt_state: Any
    visited: jax.Array
    succeeded: jax.Array
    env_steps: jax.Array


def geometric_ranks(uniform: jax.Array, p: jax.Array, num_ranks: jax.Array) -> jax.Array:
    """Ranks i32[B] in [0, num_ranks), P(r) proportional to ``(1 - p)^r``, by the inverse of the truncated law.

    Args:
        uniform: f32[B] in [0, 1).
        p: in [0, 1); 0 makes all ranks alike.
        num_ranks: i32, at least 1.
    """
    log_stay = jnp.log1p(-jnp.asarray(p, jnp.float32))
    safe = jnp.where(log_stay < 0, log_stay, -1.0)
    drawn = jnp.log1p(uniform * jnp.expm1(num_ranks * safe)) / safe
    rank = jnp.where(log_stay < 0, drawn, uniform * num_ranks)
    return jnp.clip(jnp.floor(rank).astype(jnp.int32), 0, num_ranks - 1)


def rarest_first(key: jax.Array, rarity: jax.Array) -> jax.Array:
    """Slots i32[M] by falling rarity f32[M], equals in random order; empty slots (-inf) last."""
    return jnp.lexsort((jax.random.bits(key, rarity.shape), -rarity)).astype(jnp.int32)


def rarity(latent: jax.Array, filled: jax.Array, neighbours: int) -> jax.Array:
    """Distance f32[M] of every embedding f32[M, L] to its K-th nearest among the others; -inf where not ``filled``.

    Where there are fewer than K others, the farthest of them counts; 0 where there is none.
    """
    distances = nearest(latent, filled, latent, neighbours, exclude_self=True, chunk=1024)
    farthest = jnp.max(jnp.where(distances < jnp.inf, distances, 0.0), axis=1)
    return jnp.where(filled, farthest, -jnp.inf)


def module_loss(module: str, discrete: bool, encode, decode, visits: Visit, valid: jax.Array) -> jax.Array:
    """The mean loss of stored transitions.

    Args:
        module: one of ``MODULES``.
        discrete: the actions are one-hot.
        encode: phi, ``f32[B, d] -> f32[B, L]``.
        decode: g, from what the module gives it.
        visits: of B transitions.
        valid: bool[B].
    """
    z = encode(visits.before)
    if module == "inverse":
        predicted = decode(jnp.concatenate([z, encode(visits.observation)], -1))
        if discrete:
            loss = optax.softmax_cross_entropy(predicted, visits.action)
        else:
            loss = jnp.square(predicted - visits.action).mean(-1)
    elif module == "forward":
        mean, log_std = jnp.split(decode(jnp.concatenate([z, visits.action], -1)), 2, -1)
        log_std = jnp.clip(log_std, -5.0, 5.0)
        loss = (log_std + 0.5 * jnp.square((visits.observation - mean) * jnp.exp(-log_std))).mean(-1)
    else:
        loss = jnp.square(decode(z) - visits.before).mean(-1)
    return jnp.where(valid, loss, 0.0).sum() / jnp.maximum(valid.sum(), 1)


def latent_go_explore(env: Any, env_params: Any, config: LatentGoExploreConfig) -> Algorithm:
    """Latent Go-Explore with restored states.

    Args:
        env: gymnax environment with observations in one array. Its ``pack``/``unpack`` keep the reservoir small.
        env_params: its parameters; the horizon of an episode is counted by the clock in the state.
        config: the settings.

    Returns:
        An :class:`Algorithm`; a step is ``num_rounds`` rounds and one training. Metrics: ``env_steps``, ``states``
        (stored), ``offered`` (to the reservoir, so far), ``coverage`` (where states are numbered), ``success`` (1 once
        the task was completed), ``encoder_loss`` (last of the training), ``rarity`` (mean), ``rarity_spread``
        (standard deviation over mean).

    Raises:
        TypeError: ``env`` is not an environment.
        ValueError: a setting is out of range, or the actions are unbounded.
    """
    space = _require(env, env_params, config)
    M, B, k = config.capacity, config.num_lanes, config.horizon
    pack, unpack = packing(env, env_params)
    discrete = hasattr(space, "n")
    action_size = int(space.n) if discrete else math.prod(space.shape)
    numbered = hasattr(env, "state_id")
    observation = jax.eval_shape(lambda key: env.reset_env(key, env_params)[0], jax.random.key(0))
    obs_size = math.prod(observation.shape)
    inputs, outputs = {
        "inverse": (2 * config.latent_size, action_size),
        "forward": (config.latent_size + action_size, 2 * obs_size),
        "autoencoder": (config.latent_size, obs_size),
    }[config.module]
    phi = MLP(config.hidden_sizes, config.latent_size, "relu", 1.0)
    g = MLP(config.hidden_sizes, outputs, "relu", 1.0)
    adam = optax.adamw(config.learning_rate, weight_decay=config.weight_decay)

    def flat(observation):
        return jnp.ravel(observation).astype(jnp.float32)

    def described(action):
        return jax.nn.one_hot(action, action_size) if discrete else jnp.ravel(action)

    def init(key):
        key_reset, key_phi, key_g = jax.random.split(key, 3)
        observation, state = env.reset_env(key_reset, env_params)
        state = jax.tree.map(jnp.asarray, state)
        seen = flat(observation)
        start = Visit(pack(state), seen, jnp.zeros(action_size), seen)
        reservoir = table.init(start, M)._replace(n=jnp.int32(1))
        first = jax.tree.map(lambda x: x[None], start)
        reservoir = table.write(
            reservoir, jnp.zeros(1, jnp.int32), jnp.ones(1, bool), score=jnp.zeros(1), payload=first
        )
        params = {"phi": phi.init(key_phi, seen), "g": g.init(key_g, jnp.zeros(inputs))}
        visited = no_state_visited(env)
        visited = mark_visited(visited, env.state_id(state, env_params)) if numbered else visited
        return LatentGoExploreState(
            reservoir, params, adam.init(params), visited, jnp.bool_(False), jnp.int32(0)
        )

    def explore(key, visits: Visit):
        """Rolls B lanes out from stored states: visits, alive, going on, success and state ids, each [k, B, ...]."""
        key_actions, key_env = jax.random.split(key)
        repeat = jax.vmap(lambda lane: trajectory.repeat_actions(lane, space, k, config.action_repeat), out_axes=1)
        actions = repeat(jax.random.split(key_actions, B))

        def transition(key, state, action):
            observation, following, _, terminated, info = env.step_env(key, state, action, env_params)
            following = like(following, state)
            going = ~jnp.logical_or(terminated, env.is_truncated(following, env_params))
            success = jnp.asarray(info.get("success", False), bool)
            state_id = env.state_id(following, env_params) if numbered else jnp.int32(0)
            return following, flat(observation), going, success, state_id

        def step(carry, inputs):
            states, before, alive = carry
            key, action = inputs
            states, after, going, success, state_id = jax.vmap(transition)(jax.random.split(key, B), states, action)
            visit = Visit(jax.vmap(pack)(states), before, jax.vmap(described)(action), after)
            return (states, after, alive & going), (visit, alive, alive & going, alive & success, state_id)

        start = (jax.vmap(unpack)(visits.packed), visits.observation, jnp.ones(B, bool))
        return jax.lax.scan(step, start, (jax.random.split(key_env, k), actions))[1]

    def round_(state: LatentGoExploreState, key):
        key_rank, key_ties, key_explore, key_keep = jax.random.split(key, 4)
        reservoir = state.reservoir
        rank = geometric_ranks(jax.random.uniform(key_rank, (B,)), config.geometric, reservoir.filled.sum())
        slot = rarest_first(key_ties, reservoir.score)[rank]
        chosen = jax.tree.map(lambda x: x[slot], reservoir.payload)
        visits, alive, going, success, state_id = explore(key_explore, chosen)

        visits, valid = jax.tree.map(lambda x: x.reshape((k * B, *x.shape[2:])), (visits, going))
        slot, reservoir = reservoir_slots(key_keep, reservoir, valid)
        reservoir = table.write(reservoir, slot, slot < M, score=jnp.zeros(k * B), payload=visits)
        visited = state.visited
        if numbered:
            visited = mark_visited(visited, jnp.where(alive, state_id, env.num_states))
        state = state._replace(
            reservoir=reservoir,
            visited=visited,
            succeeded=state.succeeded | success.any(),
            env_steps=state.env_steps + alive.sum(dtype=jnp.int32),
        )
        return state, None

    def train(key, state: LatentGoExploreState):
        """The gradient steps: (parameters, optimiser state, last loss)."""
        reservoir = state.reservoir

        def update(carry, key):
            params, opt_state = carry
            rows = jax.random.randint(key, (config.batch_size,), 0, reservoir.filled.sum())
            batch = jax.tree.map(lambda x: x[rows], reservoir.payload)
            valid = rows > 0  # the first state, in slot 0, is no successor of any

            def loss_fn(params):
                return module_loss(
                    config.module, discrete, lambda x: phi.apply(params["phi"], x),
                    lambda x: g.apply(params["g"], x), batch, valid,
                )  # fmt: skip

            loss, grads = jax.value_and_grad(loss_fn)(params)
            updates, opt_state = adam.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), loss

        keys = jax.random.split(key, config.num_updates)
        (params, opt_state), losses = jax.lax.scan(update, (state.params, state.opt_state), keys)
        return params, opt_state, losses[-1] if config.num_updates else jnp.float32(0.0)

    def step(key, state: LatentGoExploreState):
        key_rounds, key_train = jax.random.split(key)
        state, _ = jax.lax.scan(round_, state, jax.random.split(key_rounds, config.num_rounds))
        params, opt_state, loss = train(key_train, state)
        reservoir = state.reservoir
        filled = reservoir.filled
        latent = phi.apply(params["phi"], reservoir.payload.observation)
        score = rarity(latent, filled, config.neighbours)
        state = state._replace(reservoir=reservoir._replace(score=score), params=params, opt_state=opt_state)

        count = filled.sum(dtype=jnp.int32)
        mean = jnp.where(filled, score, 0.0).sum() / count
        variance = jnp.where(filled, jnp.square(score - mean), 0.0).sum() / count
        metrics = {
            "env_steps": state.env_steps,
            "states": count,
            "offered": reservoir.n,
            "success": state.succeeded.astype(jnp.float32),
            "encoder_loss": loss,
            "rarity": mean,
            "rarity_spread": jnp.sqrt(variance) / jnp.maximum(mean, 1e-8),
        }
        return state, metrics | ({"coverage": coverage(env, state.visited)} if numbered else {})

    return Algorithm(init, step)


def _require(env: Any, env_params: Any, config: LatentGoExploreConfig) -> Any:
    """The action space; raises as :func:`latent_go_explore`."""
    if not (hasattr(env, "step_env") and hasattr(env, "reset_env")):
        raise TypeError(f"env={env!r}: expected a gymnax environment, with step_env and reset_env")
    choice("module", config.module, MODULES)
    sizes = ("latent_size", "capacity", "neighbours", "num_lanes", "horizon", "num_rounds", "batch_size")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(0, num_updates=config.num_updates)
    for name in ("geometric", "action_repeat"):
        value = getattr(config, name)
        if isinstance(value, numbers.Real) and not 0 <= value < 1:
            raise ValueError(f"{name}={value!r}: expected a number in [0, 1)")
    require_between(0.0, math.inf, learning_rate=config.learning_rate, weight_decay=config.weight_decay)
    if config.neighbours >= config.capacity:
        raise ValueError(f"neighbours={config.neighbours}: expected fewer than capacity={config.capacity}")
    space = env.action_space(env_params)
    trajectory.require_bounded(space)
    return space
