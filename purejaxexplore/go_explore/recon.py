"""RECON: sampled latent goals lead to the frontier of a graph of observations, until the goal's own looks near.

Shah, Eysenbach, Rhinehart and Levine (2021), "Rapid exploration for open-world navigation with latent goal models". A
goal model (:mod:`.goal_models`) is learned from old walks in other worlds. In a new world every ``horizon`` steps, with
d the predicted distance from the observation o::

    n     the node nearest by d; o itself becomes a node where none is within ``spacing``
    z     the mean for the goal        where d(goal) < near
          a sample of N(0, I)          else where n was visited less than ``frontier`` times, or not more than m
          the mean for m               else; m is the least visited neighbour of n

the decoder's action for z is run for ``horizon`` steps, the visit of n is counted, and the model is fine-tuned on old
and new pairs, half of each.

What differs from the paper: the robot and its camera are a point and range finders; the decoded action gives the
direction of a step and not its length, since the mean action of a random walk is a slow one; z is encoded anew at every
step where it stands for an observation, or the robot would run past it; edges are drawn where the robot walked from
node to node and not where the model expects a way; a full graph merges the two nodes that are closest. What was not
said, and without which the robot stays where it is: a bump (the paper's robot backs off) draws another sample of
N(0, I), or makes it leave at random for the rest of the decision where it is headed for a node; heading for m counts as
a visit of m, else one tries for ever what cannot be reached; a node that is visited least around is frontier, else
nothing is, once all nodes were visited often; and a goal that looks near is believed ``patience`` times at a node.
"""

from math import inf
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.archives import landmarks as graph
from purejaxexplore.archives.landmarks import Landmarks
from purejaxexplore.blocks.episodes import coverage, first_success, mark_visited, no_state_visited, summarise
from purejaxexplore.blocks.rollout import Lanes, reset_lanes, rollout
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.go_explore.goal_models import GoalModel, Walks, bumped, fit, goal_model, sample_pairs, wander

PROPOSALS = ("prior", "aggregate", "actions")
GOAL, FRONTIER, RETURN = range(3)


@flax.struct.dataclass
class ReconConfig:
    """Settings; what the paper says of a robot with a camera does not carry over, and is in brackets.

    Attributes:
        beta: weight of the divergence, at least 0 [1, of a loss of another scale].
        distance_weight: of the squared error of distances, at least 0.
        negatives: share of pairs with foreign goals, [0, 1].
        learning_rate: of Adam.
        near: predicted steps below which the goal is believed to be near [4].
        frontier: visits below which a node is frontier [15].
        spacing: predicted steps beyond which an observation is a new node [10].
        patience: times that the goal is believed to be near at one node; inf for the paper's rule.
        action_repeat: probability to hold a random heading, [0, 1].
        proposal: at the frontier, z from the "prior", of a pair from the old walks ("aggregate"), or random "actions".
        latent_size: L.
        hidden_sizes: of encoder and decoder.
        max_distance: D, steps [50].
        horizon: H, steps of a decision [5 s].
        capacity: C, nodes.
        memory: new steps that are kept; later ones are not learned from.
        num_decisions: of an iteration.
        num_updates: gradient steps of an iteration.
        batch_size: pairs, half of them new; even.
    """

    beta: float = 0.001
    distance_weight: float = 4.0
    negatives: float = 0.5
    learning_rate: float = 1e-3
    near: float = 10.0
    frontier: float = 2.0
    spacing: float = 11.0
    patience: float = 5.0
    action_repeat: float = 0.9
    proposal: str = flax.struct.field(pytree_node=False, default="prior")
    latent_size: int = flax.struct.field(pytree_node=False, default=8)
    hidden_sizes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(128, 128))
    max_distance: int = flax.struct.field(pytree_node=False, default=20)
    horizon: int = flax.struct.field(pytree_node=False, default=15)
    capacity: int = flax.struct.field(pytree_node=False, default=128)
    memory: int = flax.struct.field(pytree_node=False, default=4096)
    num_decisions: int = flax.struct.field(pytree_node=False, default=10)
    num_updates: int = flax.struct.field(pytree_node=False, default=5)
    batch_size: int = flax.struct.field(pytree_node=False, default=256)


class Plan(NamedTuple):
    """A decision.

    Attributes:
        mode: i32, ``GOAL``, ``FRONTIER`` or ``RETURN``.
        target: f32[d], the observation that is aimed at; of no account at the frontier.
        z: f32[L], what is aimed at at the frontier.
        lost: bool, whether the robot bumped into a wall since.
    """

    mode: jax.Array
    target: jax.Array
    z: jax.Array
    lost: jax.Array


class ReconState(NamedTuple):
    """Everything that an exploration knows.

    Attributes:
        lanes: the one environment.
        goal: f32[d], the observation that is looked for.
        map: :class:`Landmarks` with observations f32[d].
        trusted: i32[C], how often the goal was believed near at each node.
        node: i32, the node of the last decision.
        walked: bool, whether the robot walked on from there, and no episode ended.
        heading: f32[a], of the last random action.
        new: :class:`Walks` of one walk, the memory.
        episode: i32, episodes ended so far.
        params, opt_state: the model's.
        visited: bool[S], cells ever entered; bool[0] where the environment does not number its states.
        first_success: i32, environment steps at the first success; -1 before it.
        t: i32, iterations done.
    """

    lanes: Lanes
    goal: jax.Array
    map: Landmarks
    trusted: jax.Array
    node: jax.Array
    walked: jax.Array
    heading: jax.Array
    new: Walks
    episode: jax.Array
    params: Any
    opt_state: Any
    visited: jax.Array
    first_success: jax.Array
    t: jax.Array


def localise(
    chart: Landmarks, before: jax.Array, distance: jax.Array, observation: jax.Array, spacing: jax.Array
) -> tuple[Landmarks, jax.Array, jax.Array, jax.Array]:
    """Where one is, the observation added as a node where none is near.

    Args:
        chart: the graph.
        before: i32, the node of the last decision.
        distance: f32[C], predicted from the observation to each node.
        observation: f32[d].
        spacing: steps.

    Returns:
        The graph, the node of the last decision (another one if it was merged), the node where one is i32, and whether
        that is new.
    """
    distance = jnp.where(chart.filled, distance, jnp.inf)
    new = distance.min() > spacing
    chart, kept, dropped = graph.merge_closest(chart, new & chart.filled.all())
    before = jnp.where(before == dropped, kept, before)
    distance = jnp.where(chart.filled, distance, jnp.inf)  # a node that was merged is none any more
    chart, slot = graph.add(chart, new, observation)
    added = slot < chart.nodes.capacity
    return chart, before, jnp.where(added, slot, jnp.argmin(distance)).astype(jnp.int32), added


def least_visited(chart: Landmarks, node: jax.Array) -> jax.Array:
    """The neighbour of a node that was visited least, i32; the node itself where it has none."""
    beside = chart.walks[node] > 0
    visits = jnp.where(beside & chart.filled, chart.nodes.seen, jnp.iinfo(jnp.int32).max)
    return jnp.where(beside.any(), jnp.argmin(visits), node).astype(jnp.int32)


def mode_of(
    to_goal: jax.Array, trusted: jax.Array, visits: jax.Array, beside: jax.Array, config: ReconConfig
) -> jax.Array:
    """``GOAL``, ``FRONTIER`` or ``RETURN``, i32.

    Args:
        to_goal: f32, predicted steps to the goal.
        trusted: i32, how often the goal was believed near at this node.
        visits, beside: i32, of this node and of its least visited neighbour.
        config: the settings.
    """
    near = (to_goal < config.near) & (trusted < config.patience)
    return jnp.where(near, GOAL, jnp.where((visits < config.frontier) | (visits <= beside), FRONTIER, RETURN))


def model_of(config: ReconConfig, env: Any, env_params: Any) -> GoalModel:
    """The networks for the actions of ``env``."""
    return goal_model(
        env.action_space(env_params).shape[0], config.latent_size, config.hidden_sizes, config.max_distance
    )


def pretrain(key: jax.Array, env: Any, env_params: Any, config: ReconConfig, old: Walks, num_updates: int):
    """The goal model learned from old walks: parameters and the mean losses."""
    key_init, key_fit = jax.random.split(key)
    model = model_of(config, env, env_params)
    params = model.init(key_init, old.observations.shape[-1])
    optimiser = optax.adam(config.learning_rate)

    def draw(key):
        return sample_pairs(key, old, config.batch_size, config.max_distance, config.negatives)

    params, _, losses = fit(
        key_fit, model, params, optimiser.init(params), optimiser, draw, num_updates, config.beta,
        config.distance_weight,
    )  # fmt: skip
    return params, losses


def recon(env: Any, env_params: Any, config: ReconConfig, *, params: Any, old: Walks) -> Algorithm:
    """RECON's exploration of one world with a goal model from :func:`pretrain`.

    Args:
        env: gymnax environment with flat observations, actions in a Box of one axis that holds the unit ball,
            ``goal_observation(key, env_params)``, and ``odometry(state)``, the last action as it came true.
        env_params: its parameters, the goal included.
        config: the settings, those of the model as in :func:`pretrain`.
        params: of the model.
        old: the walks that it was learned from.

    Returns:
        An :class:`Algorithm`; a step is ``num_decisions`` decisions and one fine-tuning. Metrics: ``env_steps``,
        ``episodes``, ``episode_return``, ``episode_length``, ``success``, ``first_success`` (steps at the first
        success, -1 before it), ``coverage`` (where states are numbered), ``landmarks``, ``toward_goal``,
        ``at_frontier`` and ``to_node`` (shares of the decisions), ``action_loss``, ``distance_loss`` and
        ``divergence`` (of the fine-tuning; 0 without one).

    Raises:
        TypeError: ``env`` is not an environment with goals.
        ValueError: a setting is out of range, or the actions do not suit.
    """
    _require(env, env_params, config)
    model, optimiser = model_of(config, env, env_params), optax.adam(config.learning_rate)
    space = env.action_space(env_params)
    numbered = hasattr(env, "state_id")
    H, M, half = config.horizon, config.memory, config.batch_size // 2

    def draw(key, new: Walks):
        """Old and new pairs, half of each; foreign goals come from old walks: in a single walk they may be near."""
        key_old, key_new = jax.random.split(key)
        walks = ((key_old, old, config.negatives), (key_new, new, 0.0))
        pairs = [sample_pairs(key, walk, half, config.max_distance, share) for key, walk, share in walks]
        return jax.tree.map(lambda *x: jnp.concatenate(x), *pairs)

    def init(key):
        key_reset, key_goal = jax.random.split(key)
        lanes = reset_lanes(key_reset, env, env_params, 1)
        observation = lanes.obs[0]
        chart, node = graph.add(graph.init(observation, config.capacity), jnp.bool_(True), observation)
        new = Walks(
            jnp.zeros((1, M, observation.size)), jnp.zeros((1, M, *space.shape)), jnp.zeros((1, M), jnp.int32),
            jnp.zeros(1, jnp.int32),
        )  # fmt: skip
        visited = no_state_visited(env)
        if numbered:
            visited = mark_visited(visited, jax.vmap(env.state_id, (0, None))(lanes.env_state, env_params))
        return ReconState(
            lanes=lanes, goal=env.goal_observation(key_goal, env_params), map=chart,
            trusted=jnp.zeros(config.capacity, jnp.int32), node=node, walked=jnp.bool_(False),
            heading=jnp.zeros(space.shape), new=new, episode=jnp.int32(0), params=params,
            opt_state=optimiser.init(params), visited=visited, first_success=jnp.int32(-1), t=jnp.int32(0),
        )  # fmt: skip

    def propose(key, observation, params):
        """A z for an unknown goal."""
        if config.proposal == "aggregate":
            key_pair, key = jax.random.split(key)
            pair = sample_pairs(key_pair, old, 1, config.max_distance, 0.0)
            mean, log_std = model.encode(params, pair.observation[0], pair.goal[0])
            return mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        return jax.random.normal(key, (config.latent_size,))

    def decide(key, state: ReconState):
        """Steps 1 to 4 of the paper's algorithm."""
        observation, params = state.lanes.obs[0], state.params
        nodes = state.map.nodes.payload
        distance = model.distance(params, observation, nodes)
        chart, before, node, added = localise(state.map, state.node, distance, observation, config.spacing)
        chart = graph.connect(chart, before, node, jnp.float32(H), state.walked)
        trusted = state.trusted.at[node].multiply(~added)
        to_goal = model.distance(params, observation, state.goal)
        beside = least_visited(chart, node)
        mode = mode_of(to_goal, trusted[node], chart.nodes.seen[node], chart.nodes.seen[beside], config)
        target = jnp.where(mode == GOAL, state.goal, chart.nodes.payload[beside])
        z = propose(key, observation, params)
        chart = graph.visit(graph.visit(chart, node, True), beside, mode == RETURN)
        state = state._replace(map=chart, trusted=trusted.at[node].add(mode == GOAL), node=node)
        return state, Plan(mode, target, z, jnp.bool_(False))

    def act(key, carry, lanes):
        plan, heading, params = carry
        key_renew, key_heading, key_z = jax.random.split(key, 3)
        observation, exploring = lanes.obs[0], plan.mode == FRONTIER
        odometry = jax.vmap(env.odometry)(lanes.env_state)[0]
        bump = bumped(odometry) & ~lanes.done[0]
        renew = bump | (heading == 0).all() | (jax.random.uniform(key_renew) >= config.action_repeat)
        heading = wander(key_heading, heading, renew)
        another = jnp.where(bump, propose(key_z, observation, params), plan.z)
        plan = plan._replace(z=another, lost=plan.lost | bump)
        z = jnp.where(exploring, plan.z, model.encode(params, observation, plan.target)[0])
        towards = model.decode(params, z, observation)[0]
        towards = towards / jnp.maximum(jnp.sqrt(jnp.square(towards).sum()), 1e-6)
        at_random = jnp.where(exploring, config.proposal == "actions", plan.lost)
        return (plan, heading, params), jnp.where(at_random, heading, towards)[None], odometry

    def decision(state: ReconState, given):
        key, number = given
        key_plan, key_run = jax.random.split(key)
        state, plan = decide(key_plan, state)
        lanes, (_, heading, _), steps, finished, before, _ = rollout(
            key_run, env, env_params, state.lanes, (plan, state.heading, state.params), act, H
        )
        came_true = jnp.concatenate([before[1:], jax.vmap(env.odometry)(lanes.env_state)])
        ended = jnp.cumsum(finished.done[:, 0]) - finished.done[:, 0]
        at = state.new.length[0] + jnp.arange(H)
        new = Walks(
            state.new.observations.at[0, at].set(steps.obs[:, 0], mode="drop"),
            state.new.actions.at[0, at].set(came_true, mode="drop"),
            state.new.episodes.at[0, at].set(state.episode + ended, mode="drop"),
            jnp.minimum(state.new.length + H, M),
        )
        visited = mark_visited(state.visited, steps.aux["state_id"]) if numbered else state.visited
        state = state._replace(
            lanes=lanes,
            walked=~finished.done.any(),
            heading=heading,
            new=new,
            episode=state.episode + finished.done.sum(dtype=jnp.int32),
            visited=visited,
            first_success=first_success(state.first_success, finished, number * H),
        )
        return state, (plan.mode, finished)

    def step(key, state: ReconState):
        key_explore, key_fit = jax.random.split(key)
        number = state.t * config.num_decisions + jnp.arange(config.num_decisions)
        state, (mode, finished) = jax.lax.scan(
            decision, state, (jax.random.split(key_explore, config.num_decisions), number)
        )
        params, opt_state, losses = state.params, state.opt_state, (jnp.float32(0.0),) * 3
        if config.num_updates:
            params, opt_state, losses = fit(
                key_fit, model, params, opt_state, optimiser, lambda key: draw(key, state.new), config.num_updates,
                config.beta, config.distance_weight,
            )  # fmt: skip
        finished = jax.tree.map(lambda x: x.reshape(-1, 1), finished)
        episodes, metrics = summarise(state.lanes.episodes, finished)
        state = state._replace(
            lanes=state.lanes._replace(episodes=episodes), params=params, opt_state=opt_state, t=state.t + 1
        )
        metrics |= dict(zip(("action_loss", "distance_loss", "divergence"), losses, strict=True))
        metrics |= {"coverage": coverage(env, state.visited)} if numbered else {}
        return state, metrics | {
            "env_steps": state.t * (config.num_decisions * H),
            "first_success": state.first_success,
            "landmarks": state.map.filled.sum(dtype=jnp.int32),
            "toward_goal": (mode == GOAL).mean(),
            "at_frontier": (mode == FRONTIER).mean(),
            "to_node": (mode == RETURN).mean(),
        }

    return Algorithm(init, step)


def _require(env: Any, env_params: Any, config: ReconConfig) -> None:
    if not (hasattr(env, "goal_observation") and hasattr(env, "odometry")):
        raise TypeError(
            f"env={env!r}: expected a gymnax environment with goal_observation(key, params) and odometry(state)"
        )
    space = env.action_space(env_params)
    if hasattr(space, "n") or len(space.shape) != 1:
        raise ValueError(f"actions of {env.name}: expected a Box of one axis, not {space!r}")
    choice("proposal", config.proposal, PROPOSALS)
    sizes = ("latent_size", "max_distance", "horizon", "capacity", "memory", "num_decisions")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(0, num_updates=config.num_updates)
    require_at_least(2, batch_size=config.batch_size)
    amounts = ("beta", "distance_weight", "learning_rate", "near", "frontier", "spacing", "patience")
    require_between(0, inf, **{name: getattr(config, name) for name in amounts})
    require_between(0, 1, negatives=config.negatives, action_repeat=config.action_repeat)
