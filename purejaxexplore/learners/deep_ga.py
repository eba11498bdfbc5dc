"""Deep GA: a genetic algorithm, by mutation alone, on the weights of a network; by reward or by novelty.

Such, Madhavan, Conti, Lehman, Stanley and Clune (2017), "Deep neuroevolution: genetic algorithms are a competitive
alternative for training deep neural networks for reinforcement learning"; the novelty is that of Lehman and Stanley
(2011), "Abandoning objectives". One generation of P networks with weights theta:

    theta_1 = the elite, unchanged;   theta_i = theta_parent(i) + sigma eps_i,   parent(i) ~ U{1..T},  eps_i ~ N(0, I)
    score   = the return, or the mean distance of the final descriptor to its k nearest neighbours among the
              generation and an archive, into which every newborn goes with a small probability
    the T networks with the highest scores are the next parents, the first of them the elite

A network is the list of its mutations: eps_i is a pure function of its birth (generation and lane), so 4 bytes a birth
are a family tree from which :func:`rebuild` makes the weights of any network that ever lived, bit for bit.

What differs from the paper:

- The elite is evaluated again with every generation, in place of 30 further episodes of the ten best: in a stochastic
  environment luck does not last, in a deterministic one nothing changes. An evaluation is the mean of ``num_episodes``.
- The first weights are N(0, 1 / fan-in), biases 0.
- The novelty archive is bounded: a reservoir, in which every individual ever offered is equally likely to be.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from purejaxexplore.algorithm import Algorithm, step_key
from purejaxexplore.archives import archive as table
from purejaxexplore.archives import indices, trajectory
from purejaxexplore.archives.archive import Archive
from purejaxexplore.archives.packing import like
from purejaxexplore.blocks.knn import novelty
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.nets import MLP

SELECTIONS = ("reward", "novelty", "random")


@flax.struct.dataclass
class DeepGAConfig:
    """Settings; the defaults are the paper's, except for the network and the sizes of tables.

    Attributes:
        sigma: standard deviation of a mutation, at least 0.
        archive_probability: in [0, 1], that a newborn is offered to the novelty archive.
        population: ``P``, networks a generation.
        num_parents: ``T``, at most ``P``.
        num_episodes: episodes an evaluation.
        horizon: steps after which an episode is broken off, if it has not ended.
        hidden_sizes: of the network, with tanh.
        neighbours: ``k`` of the novelty.
        archive_capacity: individuals in the novelty archive.
        num_generations: ``G``, generations whose births are logged; ``G * P`` is below 2^31. Later ones evolve all the
            same, but cannot be rebuilt; the metric ``unlogged`` counts them.
    """

    sigma: float = 0.005
    archive_probability: float = 0.01
    population: int = flax.struct.field(pytree_node=False, default=1000)
    num_parents: int = flax.struct.field(pytree_node=False, default=20)
    num_episodes: int = flax.struct.field(pytree_node=False, default=1)
    horizon: int = flax.struct.field(pytree_node=False, default=500)
    hidden_sizes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(64, 64))
    neighbours: int = flax.struct.field(pytree_node=False, default=25)
    archive_capacity: int = flax.struct.field(pytree_node=False, default=1024)
    num_generations: int = flax.struct.field(pytree_node=False, default=1000)


class Policy(NamedTuple):
    """A network whose weights are one vector.

    Attributes:
        unravel: ``genome f32[n] -> weights``.
        act: ``(weights, observation) -> action``, the output with the highest value or, in a Box, outputs squashed
            between its bounds.
        scale: f32[n], standard deviations of the first weights.
    """

    unravel: Callable[[jax.Array], Any]
    act: Callable[[Any, jax.Array], jax.Array]
    scale: np.ndarray


class Log(NamedTuple):
    """What is remembered of every birth and evaluation of the first ``G`` generations.

    Attributes:
        parent: i32[G, P], birth of the parent; ``trajectory.START`` for a network without one, ``trajectory.UNLOGGED``
            where nobody was born: in the lane of the elite, and in generations to come.
        descriptor: f32[G, P, D], how its evaluation ended.
        fitness: f32[G, P], its return.
    """

    parent: jax.Array
    descriptor: jax.Array
    fitness: jax.Array


class DeepGAState(NamedTuple):
    """Everything that evolution knows.

    Attributes:
        genome: f32[T, n], weights of the parents, the elite first.
        birth: i32[T], generation * P + lane of their births; ``trajectory.UNLOGGED`` where the log was full.
        archive: novelty archive with ``desc`` f32[C, D] and, as ``node``, births; None without novelty.
        log: the :class:`Log`.
        best: f32, highest return ever.
        succeeded: bool, some episode completed the task.
        env_steps: i32.
        t: i32, generations done.
    """

    genome: jax.Array
    birth: jax.Array
    archive: Archive | None
    log: Log
    best: jax.Array
    succeeded: jax.Array
    env_steps: jax.Array
    t: jax.Array


class Outcome(NamedTuple):
    """An episode: return f32, steps i32, success bool, final descriptor f32[D]."""

    fitness: jax.Array
    length: jax.Array
    success: jax.Array
    descriptor: jax.Array


def make_policy(env: Any, env_params: Any, config: Any) -> Policy:
    """The network that evolves in ``env``, with hidden layers ``config.hidden_sizes``.

    Raises:
        ValueError: the actions are unbounded.
    """
    space = env.action_space(env_params)
    trajectory.require_bounded(space)
    discrete = hasattr(space, "n")
    network = MLP(config.hidden_sizes, space.n if discrete else int(np.prod(space.shape)))
    observation = jax.eval_shape(env.reset_env, jax.random.key(0), env_params)[0]
    weights = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(observation.size))
    _, unravel = ravel_pytree(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), weights))
    scales = [np.full(leaf.size, leaf.shape[0] ** -0.5 if leaf.ndim > 1 else 0.0) for leaf in jax.tree.leaves(weights)]

    def act(weights, observation):
        output = network.apply(weights, jnp.ravel(observation).astype(jnp.float32))
        if discrete:
            return jnp.argmax(output)
        low, high = jnp.asarray(space.low), jnp.asarray(space.high)
        return low + (high - low) * jax.nn.sigmoid(output.reshape(space.shape))

    return Policy(unravel, act, np.concatenate(scales).astype(np.float32))


def beget(key: jax.Array, parent: jax.Array, is_first: jax.Array, sigma: jax.Array, scale: jax.Array) -> jax.Array:
    """The weights f32[n] of a newborn, by its key and its parent's weights alone; one that ``is_first`` has no parent.

    The barriers have every intermediate rounded in whatever program this is compiled: without them XLA merges constant
    factors, or a product with the sum after it, and the same birth differs in its last bits.
    """
    noise = jax.lax.optimization_barrier(jax.random.normal(key, parent.shape))
    mutation = jax.lax.optimization_barrier(jnp.where(is_first, scale, sigma) * noise)
    return jnp.where(is_first, mutation, parent + mutation)


def play(key: jax.Array, env: Any, env_params: Any, act: Callable, describe: Callable, horizon: int) -> Outcome:
    """One episode of at most ``horizon`` steps with the policy ``observation -> action``."""
    key_reset, key_steps = jax.random.split(key)
    observation, state = env.reset_env(key_reset, env_params)
    state = jax.tree.map(jnp.asarray, state)

    def step(carry, j):
        observation, state, total, length, success, alive = carry
        new, following, reward, terminated, info = env.step_env(
            jax.random.fold_in(key_steps, j), state, act(observation), env_params
        )
        following = like(following, state)
        observation, state = jax.tree.map(
            lambda a, b: jnp.where(alive, a, b), (like(new, observation), following), (observation, state)
        )
        success |= alive & jnp.asarray(info.get("success", False), bool)
        total += jnp.where(alive, jnp.asarray(reward, jnp.float32), 0.0)
        length += alive
        alive &= ~jnp.logical_or(terminated, env.is_truncated(following, env_params))
        return (observation, state, total, length, success, alive), None

    start = (observation, state, jnp.float32(0), jnp.int32(0), jnp.bool_(False), jnp.bool_(True))
    (observation, state, total, length, success, _), _ = jax.lax.scan(step, start, jnp.arange(horizon))
    return Outcome(total, length, success, describe(observation, state, env_params))


def deep_ga(
    env: Any,
    env_params: Any,
    config: DeepGAConfig,
    *,
    selection: str = "reward",
    descriptor: Callable[[Any, Any, Any], jax.Array] | None = None,
) -> Algorithm:
    """The genetic algorithm.

    Args:
        env: gymnax environment with discrete or bounded actions.
        env_params: its parameters.
        config: the settings.
        selection: ``"reward"``; ``"novelty"``, which never looks at the reward; or ``"random"``, the random search that
            both are compared with: all but the best so far are drawn afresh in every generation.
        descriptor: ``(observation, state, env_params) -> f32[D]`` at the end of an episode; default the environment's
            ``descriptor(state, env_params)``, or the last observation where it has none.

    Returns:
        An :class:`~purejaxexplore.algorithm.Algorithm`; ``step`` is one generation. Metrics: ``env_steps``,
        ``episode_return`` and ``episode_length`` of the generation's best by return, ``mean_return``, ``best_return``
        (ever), ``success`` (1 once an episode completed the task), ``unlogged``; with novelty also ``novelty`` (mean
        over the generation), ``archive_size`` and ``archive_offered``.

    Raises:
        TypeError: ``env`` is not an environment.
        ValueError: a setting is out of range, or the actions are unbounded.
    """
    _require(env, config, selection)
    policy = make_policy(env, env_params, config)
    describe = _descriptor(env) if descriptor is None else descriptor
    P, T, G, n = config.population, config.num_parents, config.num_generations, policy.scale.size
    by_novelty = selection == "novelty"

    def evaluate(key, genome):
        weights = policy.unravel(genome)

        def episode(key):
            return play(key, env, env_params, lambda seen: policy.act(weights, seen), describe, config.horizon)

        return jax.vmap(episode)(jax.random.split(key, config.num_episodes))

    D = jax.eval_shape(evaluate, jax.random.key(0), jax.ShapeDtypeStruct((n,), jnp.float32)).descriptor.shape[-1]

    def init(key):
        archive = table.init((), config.archive_capacity, ("node",), descriptor_size=D) if by_novelty else None
        return DeepGAState(
            genome=jnp.zeros((T, n)),
            birth=jnp.full(T, trajectory.START, jnp.int32),
            archive=archive,
            log=Log(jnp.full((G, P), trajectory.UNLOGGED, jnp.int32), jnp.zeros((G, P, D)), jnp.zeros((G, P))),
            best=jnp.float32(-jnp.inf),
            succeeded=jnp.bool_(False),
            env_steps=jnp.int32(0),
            t=jnp.int32(0),
        )

    def reproduce(key, key_parent, state):
        """The generation's genomes f32[P, n], births i32[P] and parents' births i32[P]."""
        lane = jnp.arange(P)
        is_elite = (lane == 0) & (state.t > 0)
        is_first = (state.t == 0) | (selection == "random")
        parent = jnp.where(is_elite, 0, jax.random.randint(key_parent, (P,), 0, T))
        keys = jax.vmap(trajectory.lane_key, (None, 0))(key, lane)
        of_parent = state.genome[parent]
        newborn = jax.vmap(beget, (0, 0, None, None, None))(keys, of_parent, is_first, config.sigma, policy.scale)
        birth = jnp.where(state.t < G, state.t * P + lane, trajectory.UNLOGGED)
        ancestor = jnp.where(is_first, trajectory.START, state.birth[parent])
        ancestor = jnp.where(is_elite, trajectory.UNLOGGED, ancestor)
        genome = jnp.where(is_elite[:, None], of_parent, newborn)
        return genome, jnp.where(is_elite, state.birth[0], birth), ancestor

    def step(key, state):
        key_parent, key_play, key_offer, key_slot = jax.random.split(trajectory.select_key(key), 4)
        genome, birth, ancestor = reproduce(key, key_parent, state)
        episodes = jax.vmap(evaluate)(jax.random.split(key_play, P), genome)
        fitness, descriptor = episodes.fitness.mean(1), episodes.descriptor.mean(1)

        score, archive, metrics = fitness, state.archive, {}
        if by_novelty:
            known = jnp.concatenate([descriptor, archive.desc])
            valid = jnp.concatenate([jnp.ones(P, bool), archive.filled])
            score = novelty(known, valid, descriptor, config.neighbours, exclude_self=True)
            newborn = (jnp.arange(P) > 0) | (state.t == 0)
            offered = newborn & (jax.random.uniform(key_offer, (P,)) < config.archive_probability)
            slot, archive = indices.reservoir_slots(key_slot, archive, offered)
            archive = table.write(
                archive, slot, slot < archive.capacity, score=fitness, desc=descriptor, node=birth
            )
            metrics = {"novelty": score.mean(), "archive_size": archive.filled.sum(dtype=jnp.int32)}
            metrics["archive_offered"] = archive.n

        _, fittest = jax.lax.top_k(jnp.where(jnp.isnan(score), -jnp.inf, score), T)
        champion = jnp.argmax(fitness)
        log = Log(
            parent=state.log.parent.at[state.t].set(ancestor, mode="drop"),
            descriptor=state.log.descriptor.at[state.t].set(descriptor, mode="drop"),
            fitness=state.log.fitness.at[state.t].set(fitness, mode="drop"),
        )
        state = DeepGAState(
            genome=genome[fittest],
            birth=birth[fittest],
            archive=archive,
            log=log,
            best=jnp.maximum(state.best, fitness.max()),
            succeeded=state.succeeded | episodes.success.any(),
            env_steps=state.env_steps + episodes.length.sum(dtype=jnp.int32),
            t=state.t + 1,
        )
        return state, metrics | {
            "env_steps": state.env_steps,
            "episode_return": fitness[champion],
            "episode_length": episodes.length[champion].mean(),
            "mean_return": fitness.mean(),
            "best_return": state.best,
            "success": state.succeeded.astype(jnp.float32),
            "unlogged": jnp.maximum(state.t - G, 0),
        }

    return Algorithm(init, step)


def lineage(state: DeepGAState, birth: int) -> list[int]:
    """The births from the first ancestor to ``birth``, on the host; ``state`` is that of one seed.

    Raises:
        ValueError: the network was born after the log was full, or was never born.
    """
    parent = np.asarray(state.log.parent)
    if birth == trajectory.UNLOGGED:
        raise ValueError(f"birth={birth}: born after the log of {parent.shape[0]} generations was full")
    if not 0 <= birth < parent.size or parent.flat[birth] == trajectory.UNLOGGED:
        raise ValueError(f"birth={birth}: nobody was born there; expected generation * {parent.shape[1]} + lane")
    births = [int(birth)]
    while parent.flat[births[-1]] != trajectory.START:
        births.append(int(parent.flat[births[-1]]))
    return births[::-1]


def rebuild(
    env: Any, env_params: Any, config: DeepGAConfig, state: DeepGAState, birth: int, seed_key: jax.Array
) -> jax.Array:
    """The weights f32[n] of any network that ever lived, from its lineage alone, in the order in which it came about.

    Args:
        env, env_params, config: of the run.
        state: final state of one seed, without a seed axis.
        birth: of the network, for instance ``state.birth[0]`` of the elite.
        seed_key: the key from which the runner derived this seed's iterations.

    Raises:
        ValueError: the network was born after the log was full, or was never born.
    """
    scale = make_policy(env, env_params, config).scale
    genome = jnp.zeros(scale.size)
    for number, ancestor in enumerate(lineage(state, int(birth))):
        generation, lane = divmod(ancestor, config.population)
        key = trajectory.lane_key(step_key(seed_key, generation), lane)
        genome = _beget(key, genome, number == 0, config.sigma, scale)
    return genome


_beget = jax.jit(beget)


def _descriptor(env: Any) -> Callable[[Any, Any, Any], jax.Array]:
    if hasattr(env, "descriptor"):
        return lambda observation, state, params: env.descriptor(state, params)
    return lambda observation, state, params: jnp.ravel(observation).astype(jnp.float32)


def _require(env: Any, config: DeepGAConfig, selection: str) -> None:
    if not (hasattr(env, "step_env") and hasattr(env, "reset_env")):
        raise TypeError(f"env={env!r}: expected a gymnax environment, with step_env and reset_env")
    choice("selection", selection, SELECTIONS)
    sizes = ("population", "num_parents", "num_episodes", "horizon", "neighbours", "archive_capacity")
    require_at_least(1, **{name: getattr(config, name) for name in (*sizes, "num_generations")})
    require_between(0, np.inf, sigma=config.sigma)
    require_between(0, 1, archive_probability=config.archive_probability)
    if config.num_parents > config.population:
        raise ValueError(f"num_parents={config.num_parents}: expected at most population={config.population}")
    if config.num_generations * config.population >= 2**31:
        most = (2**31 - 1) // config.population
        raise ValueError(f"num_generations={config.num_generations}: expected at most {most}, for births below 2^31")
