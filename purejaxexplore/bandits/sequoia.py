"""SEQUOIA: deep Q-learning for coupled restless bandits, with an exact maximum over combinatorial actions.

Xu, Wilder, Khalil and Tambe (2025), "Reinforcement learning with combinatorial actions for coupled restless bandits". A
network ``Q(s, a)`` of the states of all arms and the parts of an action:

1. Pre-training: regression on the expected reward of one round, on strategic and random states with every single part,
   all but one, all, none and random actions. Q is then myopic.
2. Episodes: epsilon-greedy on ``max_a Q(s, a)``; after each round one step of AdamW on the Huber loss to
   ``r + gamma max_a' Q~(s', a')`` for a minibatch of the replay, r the *expected* reward of the round, Q~ a slow copy.

The paper solves both maxima by a mixed-integer program over the network with ReLUs. Here the allowed actions are rows
of a table (:mod:`purejaxexplore.envs.bandits.restless_sets`) and the maximum is over the rows: as exact, in one batch
of matrix products. Tables suit some ten arms; beyond, a local search asks the problem's oracle instead and finds nearly
the maximum (:mod:`purejaxexplore.bandits.set_search`). With the authors' ``tau = 1e-6`` the slow copy stays the myopic
network over all of a training run, so what they publish is in effect one backup on top of it; set ``tau = 5e-3`` for
Q-learning as usual. Values bootstrap through the end of an episode, which is a truncation. Their prioritised replay
never updates a priority; here it is uniform. For interventions their random states of pre-training are 0 or 1 only;
here they are drawn as for the other problems. Weights begin orthogonal.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.bandits.restless import random_row
from purejaxexplore.bandits.set_search import (
    FoundSet,
    SetSearchConfig,
    network_value,
    random_set,
    require_search,
    set_search,
)
from purejaxexplore.bandits.table_values import features_of, table_values
from purejaxexplore.blocks.replay import Replay, init_replay, push, sample_windows
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.restless import RestlessArms, expected_reward, move, require_arms, up_chances
from purejaxexplore.nets import MLP

_AT_ONCE = 4
"""Next states whose rows are scored together: what fits a processor's cache."""


@flax.struct.dataclass
class SequoiaConfig:
    """Attributes:
    horizon: rounds of an episode, H.
    num_top: arms that are put into their top state in the random states of pre-training; the paper's budget B.
    learning_rate, lr_decay: of AdamW, and its factor for every epoch of pre-training and every episode; may be traced.
    weight_decay: of AdamW; may be traced.
    gamma: discount, in [0, 1]; may be traced.
    tau: share of the network that enters its slow copy in every round, in [0, 1]; may be traced.
    epsilon_end, epsilon_start, epsilon_rounds: chance of a random action, ``end + (start - end) e^(-n / rounds)``
        after n rounds; may be traced.
    one_hot: the network sees which state each arm is in, not its number.
    hidden_sizes: of the network.
    batch_size: transitions of a minibatch.
    capacity: transitions of the replay, a tenth of them from pre-training at first.
    pretrain_states: random states of pre-training; 50 H in the paper.
    pretrain_epochs: through the data; 300 in the paper, of which the last 240 have learning rates below 0.002 of the
        first.
    search, target_search: without a table, of the actions that are taken, and of those that targets bootstrap from.
    """

    horizon: int = flax.struct.field(pytree_node=False, default=20)
    num_top: int = flax.struct.field(pytree_node=False, default=5)
    learning_rate: float = 2.5e-4
    lr_decay: float = 0.9
    weight_decay: float = 0.01
    gamma: float = 0.99
    tau: float = 1e-6
    epsilon_end: float = 0.05
    epsilon_start: float = 0.9
    epsilon_rounds: float = 1000.0
    one_hot: bool = flax.struct.field(pytree_node=False, default=False)
    hidden_sizes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(16, 32))
    batch_size: int = flax.struct.field(pytree_node=False, default=32)
    capacity: int = flax.struct.field(pytree_node=False, default=10_000)
    pretrain_states: int = flax.struct.field(pytree_node=False, default=1000)
    pretrain_epochs: int = flax.struct.field(pytree_node=False, default=60)
    search: SetSearchConfig = SetSearchConfig()
    target_search: SetSearchConfig = SetSearchConfig(chains=8, sweeps=2)


class Transition(NamedTuple):
    """Attributes:
    states, next_states: i8[..., J].
    action: bool[..., N].
    reward: f32[...], expected.
    """

    states: jax.Array
    action: jax.Array
    reward: jax.Array
    next_states: jax.Array


class SequoiaState(NamedTuple):
    """Attributes:
    params, target: the network and its slow copy.
    optimiser: clip and AdamW.
    replay: of :class:`Transition`.
    episodes: i32[], done.
    """

    params: Any
    target: Any
    optimiser: Any
    replay: Replay
    episodes: jax.Array


def strategic_actions(size: int) -> np.ndarray:
    """bool[2 N + 2, N]: none, all, every part alone, all parts but one; whether they are allowed or not."""
    alone = np.eye(size, dtype=bool)
    return np.concatenate([np.zeros((1, size), bool), np.ones((1, size), bool), alone, ~alone])


def sequoia(
    arms: RestlessArms,
    actions: np.ndarray | None,
    config: SequoiaConfig,
    *,
    feasible: Callable[[RestlessArms, jax.Array], jax.Array] | None = None,
) -> Algorithm:
    """SEQUOIA; ``init`` pre-trains, one step is one episode of training.

    To draw an instance for every seed: ``per_seed(problem.draw, lambda arms: sequoia(arms, problem.actions, config))``.
    What it learnt acts by :func:`purejaxexplore.bandits.greedy_values`. Without a table it is ``sequoia(arms, None,
    config, feasible=problem.feasible)``, and acts by :func:`purejaxexplore.bandits.searched`.

    Args:
        arms: the instance; may be traced.
        actions: bool[F, N], the table, or None.
        config: its numbers may be traced.
        feasible: the oracle of the instance's problem; asked where there is no table.

    Metrics: ``env_steps``, ``episode_return`` (sum of the rounds' expected rewards, with exploration), ``value_loss``
    (mean Huber loss), ``epsilon`` (at the end).

    Raises:
        ValueError: a setting is out of range, the arrays do not fit together, or neither table nor oracle is given.
    """
    if actions is None and feasible is None:
        raise ValueError("actions=None, feasible=None: expected a table of actions or the oracle of the problem")
    require_arms(arms, actions)
    _require(config, arms)
    J, N = arms.links.shape
    S = arms.rewards.shape[1]
    network = MLP(config.hidden_sizes, 1, "relu", 1.0)
    inner = optax.scale_by_amsgrad(eps=1.5e-4)
    optimiser = optax.chain(optax.clip(5.0), inner, optax.add_decayed_weights(config.weight_decay))
    regression = optax.chain(inner, optax.add_decayed_weights(config.weight_decay))

    def predict(params, states, action):
        """f32[B]."""
        inputs = jnp.concatenate([action.astype(jnp.float32), features_of(states, S, config.one_hot)], axis=-1)
        return network.apply(params, inputs)[..., 0]

    if actions is not None:
        table = jnp.asarray(actions)
        members = table.astype(jnp.float32)

        def best(key, params, states, search):
            """The best allowed action in one state, exactly."""
            values = table_values(params, features_of(states, S, config.one_hot), members)
            values = jnp.where(arms.allowed, values, -jnp.inf)
            return FoundSet(table[values.argmax()], values.max())

        def random_actions(uniform):
            """bool[..., N], maximal ones, from uniform numbers f32[..., N]."""
            return table[random_row(uniform, arms, table)]

    else:
        oracle = partial(feasible, arms)

        def best(key, params, states, search):
            """The best action that a search finds in one state."""
            return set_search(key, network_value(arms, params, states, config.one_hot), oracle, N, search)

        random_actions = jnp.vectorize(partial(random_set, feasible=oracle), signature="(n)->(n)")

    def reward_of(states, action):
        return expected_reward(arms, states.astype(jnp.int32), up_chances(arms, action))

    def pretraining_states(key):
        """i32[2 J + 2 + pretrain_states, J]."""
        key_state, key_top = jax.random.split(key)
        random = jax.random.randint(key_state, (config.pretrain_states, J), 0, S)
        place = jax.random.uniform(key_top, (config.pretrain_states, J))
        least = jax.lax.top_k(place, config.num_top)[0][:, -1:]
        random = jnp.where(place >= least, S - 1, random)
        return jnp.concatenate([jnp.asarray(strategic_actions(J), jnp.int32), random])

    def pretraining_data(key):
        """(states i8[P, J], actions bool[P, N], rewards f32[P]): every state with all its actions."""
        key_states, key_actions = jax.random.split(key)
        states = pretraining_states(key_states)
        fixed = jnp.asarray(strategic_actions(N))

        def with_actions(key_state):
            key, state = key_state
            random = random_actions(jax.random.uniform(key, (10, N)))
            # What pushes the arms that are in their top state, whether it is allowed or not.
            reaching = (arms.links & (state == S - 1)[:, None]).any(0)
            tried = jnp.concatenate([fixed, random, reaching[None]])
            return tried, reward_of(state, tried)

        keys = jax.random.split(key_actions, len(states))
        tried, rewards = jax.lax.map(with_actions, (keys, states))  # bool[states, A, N], f32[states, A]
        every = jnp.broadcast_to(states[:, None].astype(jnp.int8), (*tried.shape[:2], J))
        return every.reshape(-1, J), tried.reshape(-1, N), rewards.reshape(-1)

    def regress(key, params, data):
        """The pre-trained network."""
        size = data[2].shape[0]
        batches = max(size // config.batch_size, 1)

        def fit(carry, rows, rate):
            params, opt_state = carry
            states, action, rewards = (x[rows] for x in data)
            grads = jax.grad(lambda p: jnp.square(predict(p, states, action) - rewards).mean())(params)
            updates, opt_state = regression.update(grads, opt_state, params)
            return jax.tree.map(lambda p, u: p - rate * u, params, updates), opt_state

        def epoch(carry, number_key):
            number, key = number_key
            rate = config.learning_rate * jnp.power(config.lr_decay, number)
            rows = jax.random.randint(key, (batches, config.batch_size), 0, size)
            return jax.lax.scan(lambda carry, rows: (fit(carry, rows, rate), None), carry, rows)[0], None

        epochs = jnp.arange(config.pretrain_epochs, dtype=jnp.float32), jax.random.split(key, config.pretrain_epochs)
        return jax.lax.scan(epoch, (params, regression.init(params)), epochs)[0][0]

    def init(key):
        key_net, key_data, key_fit, key_keep, key_move = jax.random.split(key, 5)
        inputs = jnp.zeros(N + (J * S if config.one_hot else J))
        data = pretraining_data(key_data)
        params = regress(key_fit, network.init(key_net, inputs), data)
        kept = max(min(config.capacity // 10, data[2].shape[0]), 1)
        rows = jax.random.randint(key_keep, (kept,), 0, data[2].shape[0])
        states, tried, rewards = (x[rows] for x in data)
        moved = move(jax.random.uniform(key_move, (kept, J)), arms, states.astype(jnp.int32), up_chances(arms, tried))
        first = Transition(states, tried, rewards, moved.astype(jnp.int8))
        blank = jax.tree.map(lambda x: jnp.zeros_like(x[:1]), first)
        replay = push(init_replay(blank, config.capacity), jax.tree.map(lambda x: x[:, None], first))
        return SequoiaState(params, params, optimiser.init(params), replay, jnp.int32(0))

    def learn(key, key_search, state: SequoiaState, rate):
        rows, _ = sample_windows(key, state.replay, config.batch_size, 1)
        batch = jax.tree.map(lambda x: x[rows[:, 0], 0], state.replay.data)
        next_values = jax.lax.map(
            lambda key_states: best(key_states[0], state.target, key_states[1], config.target_search).value,
            (jax.random.split(key_search, config.batch_size), batch.next_states),
            batch_size=_AT_ONCE,
        )
        targets = batch.reward + config.gamma * next_values

        def loss(params):
            return optax.huber_loss(predict(params, batch.states, batch.action), targets).mean()

        value, grads = jax.value_and_grad(loss)(state.params)
        updates, opt_state = optimiser.update(grads, state.optimiser, state.params)
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        target = optax.incremental_update(params, state.target, config.tau)
        return state._replace(params=params, target=target, optimiser=opt_state), value

    def step(key, state: SequoiaState):
        key_start, key_rounds = jax.random.split(key)
        episode = state.episodes.astype(jnp.float32)
        rate = config.learning_rate * jnp.power(config.lr_decay, episode)

        def epsilon(n):
            above = config.epsilon_start - config.epsilon_end
            return config.epsilon_end + above * jnp.exp(-n / config.epsilon_rounds)

        def play(carry, number_key):
            state, states = carry
            number, key = number_key
            key_explore, key_row, key_move, key_batch, key_best, key_next = jax.random.split(key, 6)
            explores = jax.random.uniform(key_explore) < epsilon(episode * config.horizon + number)
            random = random_actions(jax.random.uniform(key_row, (N,)))
            action = jnp.where(explores, random, best(key_best, state.params, states, config.search).action)
            moved = move(jax.random.uniform(key_move, (J,)), arms, states, up_chances(arms, action))
            reward = reward_of(states, action)
            row = Transition(states.astype(jnp.int8), action, reward, moved.astype(jnp.int8))
            state = state._replace(replay=push(state.replay, jax.tree.map(lambda x: x[None, None], row)))
            state, loss = learn(key_batch, key_next, state, rate)
            return (state, moved), (reward, loss)

        first = jax.random.bernoulli(key_start, 0.5, (J,)).astype(jnp.int32)
        rounds = jnp.arange(config.horizon, dtype=jnp.float32), jax.random.split(key_rounds, config.horizon)
        (state, _), (rewards, losses) = jax.lax.scan(play, (state, first), rounds)
        state = state._replace(episodes=state.episodes + 1)
        rounds_done = state.episodes * config.horizon
        return state, {
            "env_steps": rounds_done,
            "episode_return": rewards.sum(),
            "value_loss": losses.mean(),
            "epsilon": epsilon(rounds_done.astype(jnp.float32)),
        }

    return Algorithm(init, step)


def _require(config: SequoiaConfig, arms: RestlessArms) -> None:
    require_search(config.search)
    require_search(config.target_search)
    require_at_least(
        1, horizon=config.horizon, num_top=config.num_top, batch_size=config.batch_size, capacity=config.capacity,
        pretrain_states=config.pretrain_states, pretrain_epochs=config.pretrain_epochs,
    )  # fmt: skip
    if not config.hidden_sizes:
        raise ValueError("hidden_sizes=(): expected at least one hidden layer")
    require_between(
        0.0, 1.0, gamma=config.gamma, tau=config.tau, lr_decay=config.lr_decay, epsilon_end=config.epsilon_end,
        epsilon_start=config.epsilon_start,
    )  # fmt: skip
    require_between(0.0, np.inf, learning_rate=config.learning_rate, weight_decay=config.weight_decay)
    require_between(1e-9, np.inf, epsilon_rounds=config.epsilon_rounds)
    if config.num_top > len(arms.rewards):
        raise ValueError(f"num_top={config.num_top}: expected at most {len(arms.rewards)}, the number of arms")
