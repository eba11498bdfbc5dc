"""Judges for Intelligent Go-Explore: indifferent, exact, noisy, learned and tabulated.

Each factory returns a :class:`~.intelligent.Judge` of pure functions. Arguments such as ``eps`` and ``salt`` may be
traced, so that seeds, error rates and trained networks can be swept by ``vmap``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from purejaxexplore.archives import archive as table
from purejaxexplore.archives import indices
from purejaxexplore.archives.archive import Archive
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.go_explore.intelligent import Judge
from purejaxexplore.nets import MLP

WORST = -1e4  # the score of what is known to be useless


def uniform(env: Any) -> Judge:
    """Everything alike, every state kept."""
    return Judge(
        score_states=lambda states, params: jnp.zeros(jax.tree.leaves(states)[0].shape[0]),
        score_actions=lambda state, params: jnp.zeros(env.num_actions),
        keep=lambda state, params: jnp.bool_(True),
    )


def by_value(
    env: Any,
    value: Callable[[Any, Any], jax.Array],
    keep: Callable[[Any, Any], jax.Array] | None = None,
) -> Judge:
    """Scores a state by ``value(state, env_params) -> f32`` and an action by the value of the state it leads to.

    Args:
        env: deterministic environment; ``info["impossible"]``, if there is one, marks actions that count as worst.
        value: higher is better; a logit.
        keep: ``(state, env_params) -> bool``; default everything.
    """

    def action_value(state, action, params):
        _, after, _, _, info = env.step_env(jax.random.key(0), state, action, params)
        return jnp.where(info.get("impossible", False), WORST, value(after, params))

    return Judge(
        score_states=jax.vmap(value, (0, None)),
        score_actions=lambda state, params: jax.vmap(action_value, (None, 0, None))(
            state, jnp.arange(env.num_actions), params
        ),
        keep=(lambda state, params: jnp.bool_(True)) if keep is None else keep,
    )


def oracle(env: Any) -> Judge:
    """Exact: the logarithm of the probability that uniform play succeeds; keeps what can succeed.

    Args:
        env: with ``success_probability(state, params) -> f32`` and ``success_probabilities(state, params) -> f32[A]``.
    """

    def log(probability):
        return jnp.where(probability > 0, jnp.log(probability), WORST)

    return Judge(
        score_states=lambda states, params: log(jax.vmap(env.success_probability, (0, None))(states, params)),
        score_actions=lambda state, params: log(env.success_probabilities(state, params)),
        keep=lambda state, params: env.success_probability(state, params) > 0,
    )


def noisy(env: Any, eps: jax.Array | float, salt: jax.Array | int = 0, doubt: float = 0.05) -> Judge:
    """Knows which states can succeed, but is wrong about a share ``eps`` of them, always about the same ones.

    A label is "can succeed", flipped where a hash of the state and the salt falls below ``eps``. An action's score is 0
    or minus infinity by the label of the state it leads to. A state is kept by its label, and returned to in proportion
    to the share of its actions that lead to a good label, plus ``doubt``: graded, because a state with a wrongly good
    label seldom has well labelled successors, while trust in the label alone would send every walk there.

    Args:
        env: as for :func:`oracle`, with ``legal_actions`` and ``cell_key``.
        eps: share of wrong labels in [0, 1]; at 0.5 the labels say nothing.
        salt: a whole number below 2^32, another one for each seed.
        doubt: what even a state without well labelled successors gets, above 0.

    Raises:
        ValueError: ``eps`` is outside [0, 1].
    """
    require_between(0.0, 1.0, eps=eps)

    def wrong(state, params):
        words = jnp.append(jnp.atleast_1d(env.cell_key(state, params)).astype(jnp.uint32), jnp.uint32(salt))
        return indices.hash_words(words, 0x3C6EF372).astype(jnp.float32) / 2.0**32 < eps

    def label(state, params):
        return (env.success_probability(state, params) > 0) ^ wrong(state, params)

    def labels(state, params):
        """bool[A], of the states that the actions lead to; False where an action is impossible."""

        def look(action):
            _, after, _, _, info = env.step_env(jax.random.key(0), state, action, params)
            return wrong(after, params), ~jnp.asarray(info.get("impossible", False))

        flipped, possible = jax.vmap(look)(jnp.arange(env.num_actions))
        return possible & ((env.success_probabilities(state, params) > 0) ^ flipped)

    def score_state(state, params):
        legal = env.legal_actions(state, params)
        return jnp.log((labels(state, params) & legal).sum() / jnp.maximum(legal.sum(), 1) + doubt)

    return Judge(
        score_states=jax.vmap(score_state, (0, None)),
        score_actions=lambda state, params: jnp.where(labels(state, params), 0.0, WORST),
        keep=label,
    )


@flax.struct.dataclass
class ValueConfig:
    """Training of a learned judge.

    Attributes:
        hidden_sizes: widths of the network.
        learning_rate: at the start; it falls to 0 along a cosine.
        batch_size: examples of an update.
        num_updates: of Adam.
    """

    hidden_sizes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(128, 128))
    learning_rate: float = 2e-3
    batch_size: int = flax.struct.field(pytree_node=False, default=512)
    num_updates: int = flax.struct.field(pytree_node=False, default=4000)


def train_value(key: jax.Array, config: ValueConfig, inputs: jax.Array, targets: jax.Array) -> tuple[Any, jax.Array]:
    """Fits a network to values by squared error: ``(parameters, losses f32[num_updates])``.

    Args:
        key: consumed.
        config: the settings.
        inputs: [M, ...], observations, flattened here; integer types are widened batch by batch.
        targets: f32[M], for instance the log probability that uniform play succeeds.

    Raises:
        ValueError: a size is not positive, or inputs and targets differ in number.
    """
    require_at_least(1, batch_size=config.batch_size, num_updates=config.num_updates, num_inputs=len(inputs))
    if targets.shape != inputs.shape[:1]:
        raise ValueError(f"targets of shape {targets.shape}: expected {inputs.shape[:1]}, one for each input")
    network = MLP(config.hidden_sizes, 1, "relu")
    optimiser = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.num_updates))
    key_init, key_train = jax.random.split(key)
    params = network.init(key_init, _flat(inputs[:1]))

    def loss(params, x, y):
        return jnp.square(network.apply(params, x)[:, 0] - y).mean()

    def update(carry, key):
        params, moments = carry
        rows = jax.random.randint(key, (config.batch_size,), 0, len(inputs))
        error, gradient = jax.value_and_grad(loss)(params, _flat(inputs[rows]), targets[rows])
        change, moments = optimiser.update(gradient, moments)
        return (optax.apply_updates(params, change), moments), error

    keys = jax.random.split(key_train, config.num_updates)
    (params, _), losses = jax.lax.scan(update, (params, optimiser.init(params)), keys)
    return params, losses


def learned(env: Any, config: ValueConfig, params: Any, threshold: float) -> Judge:
    """A judge by a network that :func:`train_value` fitted to values of other tasks.

    Args:
        env: its observations are the network's inputs.
        config: the settings of the training.
        params: the network's parameters.
        threshold: states of a lower value are not kept.
    """
    network = MLP(config.hidden_sizes, 1, "relu")

    def value(state, task):
        return network.apply(params, _flat(env.get_obs(state, task)[None]))[0, 0]

    return by_value(env, value, lambda state, task: value(state, task) > threshold)


def _flat(inputs: jax.Array) -> jax.Array:
    return inputs.reshape(len(inputs), -1).astype(jnp.float32)


class Answers(NamedTuple):
    """What somebody said about states, each [M, ...].

    Attributes:
        score: f32[M], of returning to the state.
        actions: f32[M, A], of its actions.
        keep: bool[M].
    """

    score: jax.Array
    actions: jax.Array
    keep: jax.Array


def answer_table(keys: Any, answers: Answers) -> Archive:
    """A table of answers that :func:`tabulated` looks up in: an Archive under the states' keys.

    Args:
        keys: i32[M, d], the ``cell_key`` of each state; of equal ones the first counts.
        answers: Answers [M, ...].

    Raises:
        ValueError: keys and answers differ in number.
    """
    keys = jnp.asarray(keys, jnp.int32)
    answers = Answers(*map(jnp.asarray, answers))
    for name, column in answers._asdict().items():
        if column.shape[:1] != keys.shape[:1]:
            raise ValueError(f"answers.{name} of shape {column.shape}: expected {len(keys)} rows, as many as keys")
    capacity = 1 << int(np.ceil(np.log2(max(len(keys), 1) / 0.5)))
    book = table.init(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), answers), capacity, ("key",))
    slot, book = indices.hash_slots(book, keys, jnp.ones(len(keys), bool))
    return table.insert(book, slot, jnp.zeros(len(keys)), answers)[0]


def tabulated(env: Any, book: Archive) -> Judge:
    """Looks its answers up in a table; a state without an answer scores 0, with all its actions, and is kept.

    This is how a foundation model judges: its answers for the states of a task are collected once, outside
    (``experiments/examples/judge_table.py``), and every run repeats exactly.

    Args:
        env: with ``cell_key``.
        book: from :func:`answer_table`; may carry further leading axes under ``vmap``.
    """
    unknown = Answers(jnp.float32(0), jnp.zeros(env.num_actions), jnp.bool_(True))

    def look_up(state, params):
        key = jnp.atleast_1d(env.cell_key(state, params)).astype(jnp.int32)
        slot = indices.hash_slots(book, key[None], jnp.ones(1, bool))[0][0]  # a missing key claims a slot of the copy
        known = book.filled.at[slot].get(mode="fill", fill_value=False)
        return jax.tree.map(lambda column, default: jnp.where(known, column[slot], default), book.payload, unknown)

    return Judge(
        score_states=jax.vmap(lambda state, params: look_up(state, params).score, (0, None)),
        score_actions=lambda state, params: look_up(state, params).actions,
        keep=lambda state, params: look_up(state, params).keep,
    )


def reachable(env: Any, env_params: Any, starts: Any) -> Any:
    """All states that some sequence of actions leads to, found on the host, breadth first.

    Args:
        env: deterministic environment with discrete actions and ``cell_key``.
        env_params: its parameters; the successors of a state must not depend on the task in them.
        starts: environment states [M, ...].

    Returns:
        The states [N, ...], one for each different ``cell_key``, the starts first; ends of episodes included, states
        after an ``info["impossible"]`` action not.
    """

    @jax.jit
    def expand(states):
        def one(state, action):
            _, after, _, terminated, info = env.step_env(jax.random.key(0), state, action, env_params)
            return after, terminated, jnp.asarray(info.get("impossible", False))

        every = jnp.arange(env.num_actions)
        after, terminated, impossible = jax.vmap(jax.vmap(one, (None, 0)), (0, None))(states, every)
        after = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), after)
        return after, jax.vmap(env.cell_key, (0, None))(after, env_params), terminated.ravel(), impossible.ravel()

    seen: set[bytes] = set()
    found, frontier = [], jax.tree.map(np.asarray, starts)
    keys = np.asarray(jax.vmap(env.cell_key, (0, None))(frontier, env_params))
    ended = impossible = np.zeros(len(keys), bool)
    while len(keys):
        rows = []
        for row, key in enumerate(map(bytes, np.ascontiguousarray(keys))):
            if not impossible[row] and key not in seen:
                seen.add(key)
                rows.append(row)
        found.append(jax.tree.map(lambda x, rows=rows: x[rows], frontier))
        alive = [row for row in rows if not ended[row]]
        if not alive:
            break
        padded = np.resize(alive, 1 << (len(alive) - 1).bit_length())  # few sizes, few compilations
        frontier, keys, ended, impossible = jax.tree.map(
            np.asarray, expand(jax.tree.map(lambda x, rows=padded: x[rows], frontier))
        )
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)
