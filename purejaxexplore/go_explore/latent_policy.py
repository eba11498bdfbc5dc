"""Latent Go-Explore that walks: a goal-conditioned policy returns to states whose learned embedding is rare.

Gallouédec and Dellandréa (2023), "Cell-free latent go-explore". Nothing is restored. With an embedding z = phi(o) and
the episodes so far, each round B lanes play an episode of at most T steps::

    select    the r-th rarest state, r ~ Geometric(p) truncated; its own episode up to it gives the sub-goals, thinned
              backwards: the last stays, and an earlier one goes while |z - z'| < c d of the one kept after it
    return    towards the next sub-goal g by an epsilon-greedy Q(o, g, a); standing within d of any of the next
              ``window`` counts for all before it
    explore   after the last one k random actions, each the last one again with probability q; then the episode ends

and after R rounds Q learns from stored steps with virtual goals (Andrychowicz et al., 2017, "Hindsight experience
replay"), phi learns as in :mod:`purejaxexplore.go_explore.latent`, and rarities are estimated anew::

    goal      4 times in 5 a state met up to ``future`` steps later, else the one that was pursued
    target    0 where |phi(o') - phi(g)| < d,  else -1 + gamma Q~(o', g, argmax_a Q(o', g, a))

What differs from the published program: a double DQN stands for SAC and QR-DQN, so the components of a continuous
action take their least, middle or greatest value; arriving at a goal ends the learner's task, and an episode that the
world ends elsewhere never arrives, which is worth -1 / (1 - gamma). Rarities are those of M random states, with K in
proportion. The first episodes, before any state is ranked, only explore.
"""

import math
import numbers
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax
from gymnax.environments import spaces

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.archives import trajectory
from purejaxexplore.archives.packing import like
from purejaxexplore.blocks.episodes import coverage, mark_visited, no_state_visited
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.go_explore.latent import MODULES, Visit, geometric_ranks, module_loss, rarest_first, rarity
from purejaxexplore.go_explore.latent_goals import Played, advance, goal_targets, hindsight, possible_actions, thin
from purejaxexplore.nets import MLP


@flax.struct.dataclass
class LatentPolicyConfig:
    """Settings; the defaults are the paper's for the maze, where it has them.

    Attributes:
        geometric: p in [0, 1), how much rarer states are preferred; 0 takes every ranked state alike.
        distance: d, [0, inf), latent distance within which a goal counts as reached.
        thinning: c, [0, inf), distance between sub-goals in units of d.
        action_repeat: q in [0, 1).
        epsilon: [0, 1], share of random actions on the way; not of the paper, whose policy is stochastic.
        gamma: [0, 1), discount of Q.
        virtual_share: [0, 1], share of steps replayed with a goal met later; 4 in 5.
        target_rate: [0, 1], by which the target network follows after every step of the learner.
        learning_rate: of Adam, for Q.
        encoder_rate, weight_decay: of AdamW, for phi.
        module: what the embedding is learned from: "inverse", "forward" or "autoencoder".
        latent_size: L.
        hidden_sizes: of Q, phi and g.
        window: sub-goals that count when they are reached before their turn.
        future: steps within which a virtual goal lies.
        episode_length: T, steps of an episode, the way included; the world may end it earlier.
        explore_steps: k.
        num_episodes: E, episodes that are kept; the oldest give way.
        capacity: M, states that are ranked.
        neighbours: K; 1,000 of 100,000 states in the paper, which is 1 % of M.
        num_lanes: B.
        num_rounds: R.
        num_q_updates, q_batch_size: gradient steps of Q an iteration, and steps in each.
        num_updates, batch_size: the same of phi; 0 updates leave the embedding at random.
    """

    geometric: float = 0.05
    distance: float = 1.0
    thinning: float = 1.0
    action_repeat: float = 0.9
    epsilon: float = 0.1
    gamma: float = 0.95
    virtual_share: float = 0.8
    target_rate: float = 0.005
    learning_rate: float = 1e-3
    encoder_rate: float = 1e-3
    weight_decay: float = 1e-5
    module: str = flax.struct.field(pytree_node=False, default="inverse")
    latent_size: int = flax.struct.field(pytree_node=False, default=16)
    hidden_sizes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(64, 64))
    window: int = flax.struct.field(pytree_node=False, default=10)
    future: int = flax.struct.field(pytree_node=False, default=100)
    episode_length: int = flax.struct.field(pytree_node=False, default=100)
    explore_steps: int = flax.struct.field(pytree_node=False, default=50)
    num_episodes: int = flax.struct.field(pytree_node=False, default=1000)
    capacity: int = flax.struct.field(pytree_node=False, default=4096)
    neighbours: int = flax.struct.field(pytree_node=False, default=41)
    num_lanes: int = flax.struct.field(pytree_node=False, default=10)
    num_rounds: int = flax.struct.field(pytree_node=False, default=5)
    num_q_updates: int = flax.struct.field(pytree_node=False, default=500)
    q_batch_size: int = flax.struct.field(pytree_node=False, default=256)
    num_updates: int = flax.struct.field(pytree_node=False, default=500)
    batch_size: int = flax.struct.field(pytree_node=False, default=64)


class Ranked(NamedTuple):
    """States that can be chosen: their episode and their place in it, i32[M], and rarity f32[M], -inf for none."""

    episode: jax.Array
    place: jax.Array
    rarity: jax.Array


class LatentPolicyState(NamedTuple):
    """Everything that an exploration knows.

    Attributes:
        played: the last E episodes.
        head: i32, number of episodes ever played; the next is stored at ``head mod E``.
        ranked: the states to choose from.
        encoder: parameters of phi and g, and AdamW's state.
        q: parameters of Q, of its target, and Adam's state.
        visited: bool[num_states], states ever visited; bool[0] where the environment does not number its states.
        succeeded: bool, some episode completed the task.
        env_steps: i32, steps executed.
    """

    played: Played
    head: jax.Array
    ranked: Ranked
    encoder: tuple[Any, Any]
    q: tuple[Any, Any, Any]
    visited: jax.Array
    succeeded: jax.Array
    env_steps: jax.Array


def latent_policy_go_explore(env: Any, env_params: Any, config: LatentPolicyConfig) -> Algorithm:
    """Latent Go-Explore with a goal-conditioned policy that returns.

    Args:
        env: gymnax environment with observations in one array.
        env_params: its parameters.
        config: the settings.

    Returns:
        An :class:`Algorithm`; a step is ``num_rounds`` rounds and their training. Metrics: ``env_steps``, ``episodes``,
        ``coverage`` (where states are numbered), ``success`` (1 once the task was completed), ``return_success`` (share
        of the last round's returns that came to their last sub-goal; 0 while there are none), ``subgoals`` (mean number
        of a return), ``exploring`` (share of the last round's steps), ``encoder_loss``, ``q_loss`` (last of the
        training), ``rarity`` (mean of the ranked), ``rarity_spread`` (standard deviation over mean).

    Raises:
        TypeError: ``env`` is not an environment.
        ValueError: a setting is out of range, or the actions are unbounded or too many.
    """
    space = _require(env, env_params, config)
    moves = possible_actions(space)
    A, E, T, B, M = moves.shape[0], config.num_episodes, config.episode_length, config.num_lanes, config.capacity
    numbered = hasattr(env, "state_id")
    observation = jax.eval_shape(lambda key: env.reset_env(key, env_params)[0], jax.random.key(0))
    d = math.prod(observation.shape)
    inputs, outputs = {
        "inverse": (2 * config.latent_size, A),
        "forward": (config.latent_size + A, 2 * d),
        "autoencoder": (config.latent_size, d),
    }[config.module]
    phi = MLP(config.hidden_sizes, config.latent_size, "relu", 1.0)
    g = MLP(config.hidden_sizes, outputs, "relu", 1.0)
    q = MLP(config.hidden_sizes, A, "relu", 1.0)
    adamw = optax.adamw(config.encoder_rate, weight_decay=config.weight_decay)
    adam = optax.adam(config.learning_rate)

    def flat(observation):
        return jnp.ravel(observation).astype(jnp.float32)

    def values(params, observation, goal):
        return q.apply(params, jnp.concatenate([observation, goal], -1))

    def init(key):
        key_phi, key_g, key_q = jax.random.split(key, 3)
        encoder = {"phi": phi.init(key_phi, jnp.zeros(d)), "g": g.init(key_g, jnp.zeros(inputs))}
        params = q.init(key_q, jnp.zeros(2 * d))
        played = Played(
            jnp.zeros((E, T + 1, d)), jnp.zeros((E, T), jnp.int32), jnp.zeros((E, T, d)), jnp.zeros(E, bool),
            jnp.zeros(E, jnp.int32),
        )  # fmt: skip
        none = jnp.zeros(M, jnp.int32)
        return LatentPolicyState(
            played=played, head=jnp.int32(0), ranked=Ranked(none, none, jnp.full(M, -jnp.inf, jnp.float32)),
            encoder=(encoder, adamw.init(encoder)), q=(params, params, adam.init(params)),
            visited=no_state_visited(env), succeeded=jnp.bool_(False), env_steps=jnp.int32(0),
        )  # fmt: skip

    def choose(key, state: LatentPolicyState):
        """The sub-goals of B lanes: observations f32[B, T + 1, d], embeddings, and their number i32[B]."""
        key_rank, key_ties = jax.random.split(key)
        ranked = state.ranked
        known = (ranked.rarity > -jnp.inf).sum()
        rank = geometric_ranks(jax.random.uniform(key_rank, (B,)), config.geometric, jnp.maximum(known, 1))
        slot = rarest_first(key_ties, ranked.rarity)[rank]
        observations = state.played.observations[ranked.episode[slot]]
        latent = phi.apply(state.encoder[0]["phi"], observations)
        kept = jax.vmap(thin, (0, 0, None))(latent, ranked.place[slot], config.thinning * config.distance)
        order = jnp.argsort(~kept, axis=1, stable=True)
        observations, latent = (jnp.take_along_axis(x, order[..., None], 1) for x in (observations, latent))
        return observations, latent, jnp.where(known > 0, kept.sum(1), 0)

    def play(key, state: LatentPolicyState):
        """B episodes: :class:`Played` of them, and alive, exploring, success, state ids of their steps [T, B]."""
        key_goal, key_reset, key_random, key_run = jax.random.split(key, 4)
        goals, latent_goals, number = choose(key_goal, state)
        repeat = jax.vmap(
            lambda lane: trajectory.repeat_actions(lane, spaces.Discrete(A), T, config.action_repeat), out_axes=1
        )
        blind = repeat(jax.random.split(key_random, B))
        q_params, phi_params = state.q[0], state.encoder[0]["phi"]
        observation, env_state = jax.vmap(env.reset_env, (0, None))(jax.random.split(key_reset, B), env_params)
        env_state = jax.tree.map(jnp.asarray, env_state)
        first = jax.vmap(flat)(observation)

        def progress(observation, place):
            latent = phi.apply(phi_params, observation)
            return jax.vmap(advance, (0, 0, 0, 0, None, None))(
                latent, latent_goals, number, place, config.distance, config.window
            )

        def transition(key, env_state, action):
            observation, following, _, terminated, info = env.step_env(key, env_state, moves[action], env_params)
            following = like(following, env_state)
            success = jnp.asarray(info.get("success", False), bool)
            state_id = env.state_id(following, env_params) if numbered else jnp.int32(0)
            ended = jnp.asarray(terminated, bool)
            return flat(observation), following, ended, env.is_truncated(following, env_params), success, state_id

        def step(carry, inputs):
            env_state, observation, place, explored, alive = carry
            key, random_action = inputs
            key_env, key_epsilon, key_any = jax.random.split(key, 3)
            exploring = place >= number
            goal = jnp.take_along_axis(goals, jnp.minimum(place, T)[:, None, None], 1)[:, 0]
            goal = jnp.where(exploring[:, None], observation, goal)
            careless = jax.random.uniform(key_epsilon, (B,)) < config.epsilon
            greedy = values(q_params, observation, goal).argmax(-1)
            action = jnp.where(careless, jax.random.randint(key_any, (B,), 0, A), greedy)
            action = jnp.where(exploring, random_action, action)
            after, env_state, terminated, truncated, success, state_id = jax.vmap(transition)(
                jax.random.split(key_env, B), env_state, action
            )
            explored = explored + exploring
            going = alive & ~terminated & ~truncated & (explored < config.explore_steps)
            made = (after, action, goal, alive & terminated, alive, exploring, alive & success, state_id)
            return (env_state, after, jnp.where(alive, progress(after, place), place), explored, going), made

        nothing = jnp.zeros(B, jnp.int32)
        carry = (env_state, first, progress(first, nothing), nothing, jnp.ones(B, bool))
        carry, made = jax.lax.scan(step, carry, (jax.random.split(key_run, T), blind))
        after, action, goal, terminated, alive, exploring, success, state_id = made
        played = Played(
            observations=jnp.concatenate([first[None], after]).swapaxes(0, 1),
            actions=action.swapaxes(0, 1),
            goals=goal.swapaxes(0, 1),
            terminated=terminated.any(0),
            length=alive.sum(0, dtype=jnp.int32),
        )
        start_id = jax.vmap(env.state_id, (0, None))(env_state, env_params) if numbered else None
        returns = {
            "return_success": ((carry[2] >= number) & (number > 0)).sum() / jnp.maximum((number > 0).sum(), 1),
            "subgoals": number.mean(dtype=jnp.float32),
            "exploring": (exploring & alive).sum() / alive.sum(),
        }
        return played, alive, success.any(), state_id, start_id, returns

    def round_(state: LatentPolicyState, key):
        played, alive, success, state_id, start_id, returns = play(key, state)
        slot = (state.head + jnp.arange(B)) % E
        stored = jax.tree.map(lambda old, new: old.at[slot].set(new, unique_indices=True), state.played, played)
        # A ranked state whose episode has given way is gone.
        gone = (state.ranked.episode - state.head) % E < B
        visited = state.visited
        if numbered:
            visited = mark_visited(mark_visited(visited, start_id), jnp.where(alive, state_id, env.num_states))
        state = state._replace(
            played=stored,
            head=state.head + B,
            ranked=state.ranked._replace(rarity=jnp.where(gone, -jnp.inf, state.ranked.rarity)),
            visited=visited,
            succeeded=state.succeeded | success,
            env_steps=state.env_steps + alive.sum(dtype=jnp.int32),
        )
        return state, returns

    def fit_encoder(key, state: LatentPolicyState):
        def update(carry, key):
            params, opt_state = carry
            steps = hindsight(key, state.played, config.batch_size, 0.0, 1)
            batch = Visit((), steps.before, jax.nn.one_hot(steps.action, A), steps.after)

            def loss_fn(params):
                return module_loss(
                    config.module, True, lambda x: phi.apply(params["phi"], x), lambda x: g.apply(params["g"], x),
                    batch, jnp.ones(config.batch_size, bool),
                )  # fmt: skip

            loss, grads = jax.value_and_grad(loss_fn)(params)
            updates, opt_state = adamw.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), loss

        encoder, losses = jax.lax.scan(update, state.encoder, jax.random.split(key, config.num_updates))
        return encoder, losses[-1] if config.num_updates else jnp.float32(0.0)

    def fit_q(key, state: LatentPolicyState):
        def embed(observation):
            return phi.apply(state.encoder[0]["phi"], observation)

        def update(carry, key):
            params, target, opt_state = carry
            steps = hindsight(key, state.played, config.q_batch_size, config.virtual_share, config.future)
            reached = jnp.linalg.norm(embed(steps.after) - embed(steps.goal), axis=-1) < config.distance
            best = values(params, steps.after, steps.goal).argmax(-1)
            following = jnp.take_along_axis(values(target, steps.after, steps.goal), best[:, None], 1)[:, 0]
            targets = goal_targets(reached, steps.failed, following, config.gamma)

            def loss_fn(params):
                chosen = jnp.take_along_axis(values(params, steps.before, steps.goal), steps.action[:, None], 1)[:, 0]
                return optax.huber_loss(chosen, targets).mean()

            loss, grads = jax.value_and_grad(loss_fn)(params)
            updates, opt_state = adam.update(grads, opt_state)
            params = optax.apply_updates(params, updates)
            return (params, optax.incremental_update(params, target, config.target_rate), opt_state), loss

        learner, losses = jax.lax.scan(update, state.q, jax.random.split(key, config.num_q_updates))
        return learner, losses[-1] if config.num_q_updates else jnp.float32(0.0)

    def rank(key, state: LatentPolicyState) -> Ranked:
        """All stored states, or M of them drawn alike, and how rare each is among them; ends of the world are none."""
        played = state.played
        counts = jnp.where(played.length > 0, played.length + 1 - played.terminated, 0)
        ends = jnp.cumsum(counts)
        all_fit = ends[-1] <= M
        drawn = jnp.where(all_fit, jnp.arange(M), jax.random.randint(key, (M,), 0, ends[-1]))
        valid = drawn < ends[-1]
        episode = jnp.minimum(jnp.searchsorted(ends, drawn, side="right"), E - 1).astype(jnp.int32)
        place = jnp.where(valid, drawn - (ends[episode] - counts[episode]), 0)
        latent = phi.apply(state.encoder[0]["phi"], played.observations[episode, place])
        return Ranked(episode, place, rarity(latent, valid, config.neighbours))

    def step(key, state: LatentPolicyState):
        key_rounds, key_encoder, key_q, key_rank = jax.random.split(key, 4)
        state, returns = jax.lax.scan(round_, state, jax.random.split(key_rounds, config.num_rounds))
        encoder, encoder_loss = fit_encoder(key_encoder, state)
        state = state._replace(encoder=encoder)
        learner, q_loss = fit_q(key_q, state)
        state = state._replace(q=learner)
        ranked = rank(key_rank, state)
        state = state._replace(ranked=ranked)
        filled = ranked.rarity > -jnp.inf
        mean, spread = (statistic(ranked.rarity, where=filled) for statistic in (jnp.mean, jnp.std))
        metrics = {
            "env_steps": state.env_steps,
            "episodes": state.head,
            "success": state.succeeded.astype(jnp.float32),
            **jax.tree.map(lambda x: x[-1], returns),
            "encoder_loss": encoder_loss,
            "q_loss": q_loss,
            "rarity": mean,
            "rarity_spread": spread / jnp.maximum(mean, 1e-8),
        }
        return state, metrics | ({"coverage": coverage(env, state.visited)} if numbered else {})

    return Algorithm(init, step)


def _require(env: Any, env_params: Any, config: LatentPolicyConfig) -> Any:
    """The action space; raises as :func:`latent_policy_go_explore`."""
    if not (hasattr(env, "step_env") and hasattr(env, "reset_env")):
        raise TypeError(f"env={env!r}: expected a gymnax environment, with step_env and reset_env")
    choice("module", config.module, MODULES)
    sizes = (
        "latent_size", "window", "future", "episode_length", "explore_steps", "num_episodes", "capacity", "neighbours",
        "num_lanes", "num_rounds", "q_batch_size", "batch_size",
    )  # fmt: skip
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(0, num_q_updates=config.num_q_updates, num_updates=config.num_updates)
    for name in ("geometric", "action_repeat", "gamma"):
        value = getattr(config, name)
        if isinstance(value, numbers.Real) and not 0 <= value < 1:
            raise ValueError(f"{name}={value!r}: expected a number in [0, 1)")
    for name in ("epsilon", "virtual_share", "target_rate"):
        require_between(0.0, 1.0, **{name: getattr(config, name)})
    for name in ("distance", "thinning", "learning_rate", "encoder_rate", "weight_decay"):
        require_between(0.0, math.inf, **{name: getattr(config, name)})
    if config.neighbours >= config.capacity:
        raise ValueError(f"neighbours={config.neighbours}: expected fewer than capacity={config.capacity}")
    if config.num_episodes < config.num_lanes:
        raise ValueError(f"num_episodes={config.num_episodes}: expected at least num_lanes={config.num_lanes}")
    space = env.action_space(env_params)
    trajectory.require_bounded(space)
    return space
