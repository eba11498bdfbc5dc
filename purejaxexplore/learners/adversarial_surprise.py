"""Adversarial surprise: Fickinger, Jaques, Parajuli, Chang, Rhinehart, Berseth, Russell and Levine (2021), "Explore and
control with adversarial surprise".

Two policies take turns in one body, in rounds of h steps, Explore first. Control is paid for observations that are
likely under a categorical model of what it saw before in this game; Explore for Control's failure. So Explore leads to
where surprise is hard to avoid, and not merely to noise that Control could switch off or leave::

    Control, in the second half of its round:   r_t = log p(o_{t+1}) / s,  then o_{t+1} enters the model
    Explore, at the last step of its round:     r_t = -sum of Control's rewards in the following round

s is the running standard deviation of Control's rewards; Explore is paid the negative of the divided ones, and the game
stays zero-sum. Both policies see the model (shares of classes in every cell, observations counted) and two clocks. Each
is trained by PPO on its own steps alone: they follow each other, the other's round left out.

One iteration is one game of R rounds in each of N fresh episodes. Nothing is bootstrapped from beyond a game's last
round: the rounds are the game's own, and both see the clock. Where an episode terminates inside a game, another begins,
with an empty model.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import coverage, init_episodes, mark_visited, no_state_visited, summarise
from purejaxexplore.blocks.gae import gae
from purejaxexplore.blocks.minibatches import minibatch_epochs, require_divisible
from purejaxexplore.blocks.moments import RunningMoments, init_moments, merge_moments
from purejaxexplore.blocks.rollout import Step, reset_lanes, rollout
from purejaxexplore.bonuses.categorical_surprise import (
    absorb,
    empty_buffer,
    frequencies,
    log_probability,
    where_done,
)
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.learners.explorers import on_policy
from purejaxexplore.learners.losses import policy_loss, value_loss
from purejaxexplore.learners.ppo_config import PPOConfig, actor_critic, require_plain_policy, require_ppo
from purejaxexplore.learners.streams import Stream
from purejaxexplore.nets import policy_of

PLAYERS = ("explore", "control")
EXPLORE, CONTROL = range(2)


@struct.dataclass
class AdversarialSurpriseConfig:
    """Hyper-parameters; the defaults are those of the authors' code.

    Attributes:
        ppo: of both players. ``rollout_length`` is the length of a game, R h; the batch of a player is half of it. No
            recurrent core; there are no bonuses to warm up and the learning rate is constant, so ``num_warmup_steps``
            and ``anneal_iterations`` are not used.
        least_probability: of a class in a cell, [1e-6, 1].
        num_rounds: R, even, divides the game.
        unpaid_share: of Control's round that is neither paid nor counted, at its beginning; [0, 1).
        game_long_buffer: whether the model lasts for the game; else every round of Control begins without one.
    """

    ppo: PPOConfig = PPOConfig(learning_rate=3e-4, rollout_length=128)
    least_probability: float = 1e-3
    num_rounds: int = struct.field(pytree_node=False, default=4)
    unpaid_share: float = struct.field(pytree_node=False, default=0.5)
    game_long_buffer: bool = struct.field(pytree_node=False, default=True)


class AdversarialSurpriseState(NamedTuple):
    """The two players.

    Attributes:
        params, opt_state: of the players' networks and their Adam, leading axis [2] in the order of ``PLAYERS``.
        moments: f32[], of Control's rewards.
        last: averages of the last game in which an episode ended, see :mod:`purejaxexplore.blocks.episodes`.
        visited: bool[num_states], states ever visited; bool[0] where the environment does not number its states.
        t: i32[], games played.
    """

    params: Any
    opt_state: Any
    moments: RunningMoments
    last: dict[str, jax.Array]
    visited: jax.Array
    t: jax.Array


class Turn(NamedTuple):
    """What a player did, [..., h, N].

    Attributes:
        obs, features: what it saw.
        action, log_prob: as acted.
        reward: f32, ``log p`` where Control is paid, else 0.
        done: bool, an episode ended with the step.
    """

    obs: jax.Array
    features: jax.Array
    action: jax.Array
    log_prob: jax.Array
    reward: jax.Array
    done: jax.Array


class Samples(NamedTuple):
    """Rows of a player's loss; ``values`` and ``targets`` f32[B, 1]."""

    obs: jax.Array
    features: jax.Array
    action: jax.Array
    log_prob: jax.Array
    values: jax.Array
    advantages: jax.Array
    targets: jax.Array


def explore_rewards(control: jax.Array) -> jax.Array:
    """Explore's rewards by Control's in the round after, f32[rounds, h, N]; 0 but for the last step of a round."""
    return jnp.zeros_like(control).at[:, -1].set(-control.sum(1))


def own_ends(explore: jax.Array, control: jax.Array) -> jax.Array:
    """Where a player's return ends, bool[2, rounds, h, N], by where episodes end in the rounds of both.

    The successor of the last step of a round is the first of the player's next round, unless an episode ended with the
    step or in the other's round between; the last round has none.
    """
    after_explore = control.any(1).at[-1].set(True)
    after_control = jnp.concatenate([explore.any(1)[1:], jnp.ones_like(explore[:1, 0])])
    ends = jnp.stack([explore, control])
    return ends.at[:, :, -1].set(ends[:, :, -1] | jnp.stack([after_explore, after_control]))


def adversarial_surprise(env, env_params, config: AdversarialSurpriseConfig | None = None) -> Algorithm:
    """Adversarial surprise as an :class:`Algorithm`; one step is one game in N episodes, and an update of both players.

    Args:
        env, env_params: gymnax environment and its parameters; observations f32[..., C] are one-hot in their last axis.
            Its own reward is not used.
        config: hyper-parameters.

    Returns:
        An algorithm whose metrics are ``env_steps``, ``episodes``, ``episode_return``, ``episode_length``,
        ``success`` (by the environment's own reward), ``coverage`` (where states are numbered), ``log_probability``
        (mean over paid steps, undivided), ``explore_return`` and ``control_return`` (mean over rounds, divided), and
        of both players ``NAME_policy_loss``, ``NAME_value_loss`` and ``NAME_entropy``.

    Raises:
        ValueError: an odd number of rounds or one that does not divide the game, minibatches that do not divide half a
            game, a recurrent core, episodes shorter than a game, observations without classes, a number out of its
            range, or as :func:`~purejaxexplore.learners.ppo.ppo`.
        TypeError: ``env`` is not an environment.
    """
    config = AdversarialSurpriseConfig() if config is None else config
    hyper = config.ppo
    _require_game(env, env_params, config)
    N, T, rounds = hyper.num_envs, hyper.rollout_length, config.num_rounds // 2
    h = T // config.num_rounds
    unpaid = int(config.unpaid_share * h)
    network = actor_critic(env, env_params, hyper, 1)
    adam = optax.chain(optax.clip_by_global_norm(hyper.max_grad_norm), optax.scale_by_adam(eps=hyper.adam_eps))
    numbered = hasattr(env, "state_id")

    def shown(buffer, clock):
        """What a player sees besides the observation, f32[N, cells C + 3]."""
        shares, counted = frequencies(buffer).reshape((N, -1)), buffer.size / (rounds * (h - unpaid))
        clocks = jnp.broadcast_to(jnp.stack([clock % h / h, clock / T]), (N, 2))
        return jnp.concatenate([shares, counted[:, None], clocks], -1)

    def encode(params, obs, features):
        blank = jnp.zeros((*obs.shape[: obs.ndim - network.obs_ndim], 0))
        return network.apply(params, blank, obs, features, blank.any(-1), method="encode")[1]

    def turn(key, player, params, lanes, buffer, clock):
        """A round of one player: (lanes, buffer, Turn [h, N], Steps, what finished)."""
        params = jax.tree.map(lambda p: p[player], params)

        def act(key, carry, lanes):
            features = shown(*carry)
            policy = policy_of(network, params, encode(params, lanes.obs, features))
            action, log_prob = policy.sample_and_log_prob(seed=key)
            return carry, action, (features, log_prob)

        def judge(key, carry, step: Step):
            buffer, clock = carry
            paid = (clock % h >= unpaid) & (player == CONTROL)
            reward = jnp.where(paid, log_probability(buffer, step.next_obs, config.least_probability), 0.0)
            after = where_done(step.done, empty_buffer(step.next_obs), absorb(buffer, step.next_obs, paid))
            return (after, clock + 1), reward

        lanes, (buffer, _), steps, finished, (features, log_prob), reward = rollout(
            key, env, env_params, lanes, (buffer, clock), act, h, judge
        )
        return lanes, buffer, Turn(steps.obs, features, steps.action, log_prob, reward, steps.done), steps, finished

    def play(key, params, last):
        """A game: Turns of Explore and of Control [R/2, h, N], then state ids and what finished [T, N]."""
        key_reset, key_rounds = jax.random.split(key)
        lanes = reset_lanes(key_reset, env, env_params, N)
        lanes = lanes._replace(episodes=init_episodes(N)._replace(last=last))

        def two_rounds(carry, inputs):
            (key_explore, key_control), clock = inputs
            lanes, buffer = carry
            lanes, buffer, explored, *first = turn(key_explore, EXPLORE, params, lanes, buffer, clock)
            if not config.game_long_buffer:
                buffer = empty_buffer(lanes.obs)
            lanes, buffer, controlled, *second = turn(key_control, CONTROL, params, lanes, buffer, clock + h)
            seen = [(steps.aux, finished) for steps, finished in (first, second)]
            return (lanes, buffer), (explored, controlled, jax.tree.map(lambda *x: jnp.stack(x), *seen))

        inputs = jax.random.split(key_rounds, (rounds, 2)), jnp.arange(rounds) * 2 * h
        (lanes, _), (explored, controlled, seen) = jax.lax.scan(two_rounds, (lanes, empty_buffer(lanes.obs)), inputs)
        aux, finished = jax.tree.map(lambda x: x.reshape((T, *x.shape[3:])), seen)
        return lanes, explored, controlled, aux, finished

    def samples_of(params, explored: Turn, controlled: Turn, moments: RunningMoments):
        """(Samples [2, R/2 h, N], Control's divided rewards, Explore's)."""
        control = controlled.reward / jnp.maximum(moments.std, 1e-8)
        explore = explore_rewards(control)
        ends = own_ends(explored.done, controlled.done)
        turns = jax.tree.map(lambda *x: jnp.stack(x), explored, controlled)
        turns = turns._replace(reward=jnp.stack([explore, control]))
        turns, ends = jax.tree.map(lambda x: x.reshape((2, rounds * h, *x.shape[3:])), (turns, ends))

        def one(params, turn: Turn, ends):
            values = network.apply(params, encode(params, turn.obs, turn.features), method="critic")
            following = jnp.concatenate([values[1:], jnp.zeros_like(values[:1])])
            ends = ends[..., None]
            advantages = gae(turn.reward[..., None], values, following, ends, ends, hyper.gamma, hyper.gae_lambda)
            return Samples(*turn[:4], values, advantages[..., 0], advantages + values)

        return jax.vmap(one)(params, turns, ends), control, explore

    def loss_fn(params, batch: Samples):
        x = encode(params, batch.obs, batch.features)
        policy, values = policy_of(network, params, x), network.apply(params, x, method="critic")
        advantages = batch.advantages
        if hyper.normalise_advantages:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        ratio = jnp.exp(policy.log_prob(batch.action) - batch.log_prob)
        terms = {
            "policy_loss": policy_loss(ratio, advantages, hyper.clip_ratio),
            "value_loss": value_loss(values, batch.values, batch.targets, hyper.clip_ratio, hyper.clip_values),
            "entropy": policy.entropy().mean(),
        }
        total = terms["policy_loss"] + hyper.value_coef * terms["value_loss"] - hyper.entropy_coef * terms["entropy"]
        return total, terms

    def fit(key, params, opt_state, samples: Samples):
        def update(key, carry, batch):
            params, opt_state = carry
            grads, terms = jax.grad(loss_fn, has_aux=True)(params, batch)
            updates, opt_state = adam.update(grads, opt_state)
            return (jax.tree.map(lambda p, u: p - hyper.learning_rate * u, params, updates), opt_state), terms

        rows = jax.tree.map(lambda x: x.reshape((rounds * h * N, *x.shape[2:])), samples)
        carry, terms = minibatch_epochs(
            key, update, (params, opt_state), rows, hyper.num_epochs, hyper.num_minibatches
        )
        return *carry, jax.tree.map(jnp.mean, terms)

    def init(key):
        key_reset, key_net = jax.random.split(key)
        lanes = reset_lanes(key_reset, env, env_params, N)
        features = shown(empty_buffer(lanes.obs), jnp.int32(0))
        blank = jnp.zeros((N, 0))
        params = jax.vmap(lambda k: network.init(k, blank, lanes.obs, features, lanes.done))(jax.random.split(key_net))
        opt_state, visited = jax.vmap(adam.init)(params), no_state_visited(env)
        return AdversarialSurpriseState(
            params, opt_state, init_moments(), lanes.episodes.last, visited, jnp.int32(0)
        )

    def step(key, state: AdversarialSurpriseState):
        key_play, key_fit = jax.random.split(key)
        lanes, explored, controlled, aux, finished = play(key_play, state.params, state.last)
        paid = controlled.reward[:, unpaid:]
        moments = merge_moments(state.moments, paid)
        samples, control, explore = samples_of(state.params, explored, controlled, moments)
        params, opt_state, terms = jax.vmap(fit)(jax.random.split(key_fit), state.params, state.opt_state, samples)

        episodes, metrics = summarise(lanes.episodes, finished)
        visited = state.visited
        if numbered:
            visited = mark_visited(mark_visited(visited, aux["state_id"]), aux["reset_state_id"])
            metrics["coverage"] = coverage(env, visited)
        returns = {"explore_return": explore.sum(1).mean(), "control_return": control.sum(1).mean()}
        metrics |= {"log_probability": paid.mean(), **returns}
        metrics |= {f"{name}_{term}": x[i] for term, x in terms.items() for i, name in enumerate(PLAYERS)}
        t = state.t + 1
        state = AdversarialSurpriseState(params, opt_state, moments, episodes.last, visited, t)
        return state, {"env_steps": N * T * t, **metrics}

    return Algorithm(init, step)


def _require_game(env, env_params, config: AdversarialSurpriseConfig) -> None:
    hyper = config.ppo
    require_ppo(env, env_params, hyper.replace(num_minibatches=1), (Stream("surprise"),), on_policy())
    require_at_least(2, num_rounds=config.num_rounds)
    if config.num_rounds % 2 or hyper.rollout_length % config.num_rounds:
        game = f"rollout_length={hyper.rollout_length}"
        raise ValueError(f"num_rounds={config.num_rounds}: expected an even number that divides {game}")
    require_at_least(1, num_minibatches=hyper.num_minibatches)
    samples = hyper.num_envs * hyper.rollout_length // 2
    require_divisible("num_minibatches", hyper.num_minibatches, "half of num_envs * rollout_length", samples)
    require_between(1e-6, 1.0, least_probability=config.least_probability)
    require_between(0.0, float(np.nextafter(1.0, 0.0)), unpaid_share=config.unpaid_share)
    require_plain_policy(hyper)
    space = env.observation_space(env_params)
    if not space.shape or space.shape[-1] < 2:
        raise ValueError(f"observations of shape {space.shape}: expected one-hot classes in the last axis, two or more")
    limit = getattr(env_params, "max_steps_in_episode", hyper.rollout_length)
    if not isinstance(limit, jax.core.Tracer) and limit < hyper.rollout_length:
        raise ValueError(
            f"rollout_length={hyper.rollout_length}: expected a game no longer than max_steps_in_episode={limit}"
        )
