"""The latent goal model of RECON: what to do next, and how far it is, to come from one observation to another.

Shah, Eysenbach, Rhinehart and Levine (2021), "Rapid exploration for open-world navigation with latent goal models",
equation 1. A goal o_g, seen from o_t, is encoded as z, which is all that the decoder learns of it::

    max  E_{z ~ p(z | o_t, o_g)} [ log q(a_t, d_t^g | z, o_t) ] - beta KL( p(z | o_t, o_g) | N(0, I) )

for o_g = o_{t+d} of the same walk. The bottleneck keeps out of z what predicts neither action nor distance, and lets
z ~ N(0, I) stand for a goal that could be reached from here. Encoder and decoder are Gaussian, the decoder with fixed
variances, so that its logarithm is -|a - a'|^2 / 2 - distance_weight (d - d')^2 / (2 D^2), with D the longest distance.
A share of the goals comes from other walks and is D away, without an action to learn (Shah, Eysenbach, Kahn, Rhinehart
and Levine, 2021, "ViNG: learning open-world navigation with visual goals").

The action that is learned is the one that came true, by the robot's odometry: what a wall took of a step leads nowhere.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from purejaxexplore.nets import MLP

_LOG_STD = (-5.0, 2.0)  # of z
_BUMP = 0.5  # less than this of a step means that the robot is against a wall


class Walks(NamedTuple):
    """Walks that are learned from.

    Attributes:
        observations: f32[W, T, d], the observation acted on.
        actions: f32[W, T, a], as they came true.
        episodes: i32[W, T], steps of one walk with different numbers are not connected.
        length: i32[W], the steps of each walk that are there; it starts at 0.
    """

    observations: jax.Array
    actions: jax.Array
    episodes: jax.Array
    length: jax.Array


class Pairs(NamedTuple):
    """Observations and goals, f32[B, d] each.

    Attributes:
        action: f32[B, a], at the observation.
        distance: f32[B], steps from the observation to the goal.
        weight, acts: f32[B], what the pair counts, and what its action does.
    """

    observation: jax.Array
    goal: jax.Array
    action: jax.Array
    distance: jax.Array
    weight: jax.Array
    acts: jax.Array


class Losses(NamedTuple):
    """f32 each: squared error of the action, of the distance in steps, and the divergence in nats."""

    action: jax.Array
    distance: jax.Array
    divergence: jax.Array


class GoalModel(NamedTuple):
    """The two networks.

    Attributes:
        encoder: ``(o_t, o_g, o_g - o_t) -> mean and logarithm of the standard deviation of z``.
        decoder: ``(z, o_t) -> action, distance / max_distance``.
        max_distance: D, steps.
    """

    encoder: MLP
    decoder: MLP
    max_distance: int

    def init(self, key: jax.Array, obs_size: int) -> dict[str, Any]:
        """Fresh parameters."""
        key_encoder, key_decoder = jax.random.split(key)
        latent_size = self.encoder.num_outputs // 2
        return {
            "encoder": self.encoder.init(key_encoder, jnp.zeros(3 * obs_size)),
            "decoder": self.decoder.init(key_decoder, jnp.zeros(latent_size + obs_size)),
        }

    def encode(self, params, observation: jax.Array, goal: jax.Array) -> tuple[jax.Array, jax.Array]:
        """``f32[..., d], f32[..., d] ->`` mean and logarithm of the standard deviation of z, f32[..., L] each."""
        inputs = jnp.concatenate(jnp.broadcast_arrays(observation, goal, goal - observation), -1)
        mean, log_std = jnp.split(self.encoder.apply(params["encoder"], inputs), 2, -1)
        return mean, jnp.clip(log_std, *_LOG_STD)

    def decode(self, params, z: jax.Array, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        """``f32[..., L], f32[..., d] ->`` action f32[..., a] and distance f32[...] in steps, at least 0."""
        lead = jnp.broadcast_shapes(z.shape[:-1], observation.shape[:-1])
        parts = (jnp.broadcast_to(x, (*lead, x.shape[-1])) for x in (z, observation))
        output = self.decoder.apply(params["decoder"], jnp.concatenate([*parts], -1))
        return output[..., :-1], jnp.maximum(output[..., -1], 0.0) * self.max_distance

    def distance(self, params, observation: jax.Array, goal: jax.Array) -> jax.Array:
        """Steps f32[...] from observations to goals, at the mean of z."""
        return self.decode(params, self.encode(params, observation, goal)[0], observation)[1]


def goal_model(
    action_size: int, latent_size: int, hidden_sizes: tuple[int, ...], max_distance: int
) -> GoalModel:
    """Networks of the given sizes."""
    encoder = MLP(hidden_sizes, 2 * latent_size, "relu", 1.0)
    return GoalModel(encoder, MLP(hidden_sizes, action_size + 1, "relu", 1.0), max_distance)


def bumped(odometry: jax.Array) -> jax.Array:
    """Whether a step of length 1 was mostly taken by a wall, bool[...]."""
    return jnp.square(odometry).sum(-1) < _BUMP**2


def wander(key: jax.Array, heading: jax.Array, renew: jax.Array) -> jax.Array:
    """A random heading, f32[a] of length 1, where ``renew``; else the old one."""
    fresh = jax.random.normal(key, heading.shape)
    return jnp.where(renew, fresh / jnp.maximum(jnp.sqrt(jnp.square(fresh).sum()), 1e-6), heading)


def random_walks(key: jax.Array, env: Any, env_params: Any, num_steps: int, repeat: float) -> Walks:
    """One walk of random headings in each of W worlds; each is held with probability ``repeat``, until a wall.

    Ends of episodes are walked over: nothing but the movement is learned from a walk.

    Args:
        key: consumed.
        env: gymnax environment with ``odometry(state)``.
        env_params: a batch of W parameters, every leaf with a leading axis.
        num_steps: T.
        repeat: in [0, 1].
    """
    num_walks = jax.tree.leaves(env_params)[0].shape[0]

    def walk(key, level):
        key_reset, key_steps = jax.random.split(key)
        observation, state = env.reset_env(key_reset, level)

        def step(carry, keys):
            observation, state, heading = carry
            renew = (jax.random.uniform(keys[0]) >= repeat) | bumped(env.odometry(state))
            heading = wander(keys[1], heading, renew)
            following, state, *_ = env.step_env(keys[2], state, heading, level)
            return (following, state, heading), (observation, env.odometry(state))

        heading = jnp.zeros(env.action_space(level).shape)
        return jax.lax.scan(step, (observation, state, heading), jax.random.split(key_steps, (num_steps, 3)))[1]

    observations, actions = jax.vmap(walk)(jax.random.split(key, num_walks), env_params)
    episodes = jnp.zeros((num_walks, num_steps), jnp.int32)
    return Walks(observations, actions, episodes, jnp.full(num_walks, num_steps, jnp.int32))


def sample_pairs(key: jax.Array, walks: Walks, batch_size: int, max_distance: int, negatives: float) -> Pairs:
    """Pairs from uniformly drawn walks, 1 to ``max_distance`` steps apart; a share of ``negatives`` has foreign goals.

    A pair that is cut by the end of an episode, or drawn from a walk that is too short, weighs nothing.
    """
    keys = jax.random.split(key, 5)
    num_walks = walks.length.size
    row = jax.random.randint(keys[0], (batch_size,), 0, num_walks)
    apart = jax.random.randint(keys[1], (batch_size,), 1, max_distance + 1)
    room = walks.length[row] - apart
    at = jnp.floor(jax.random.uniform(keys[2], (batch_size,)) * jnp.maximum(room, 1)).astype(jnp.int32)
    connected = (room > 0) & (walks.episodes[row, at] == walks.episodes[row, at + apart])
    foreign = jax.random.uniform(keys[3], (batch_size,)) < negatives
    key_row, key_at = jax.random.split(keys[4])
    other = jax.random.randint(key_row, (batch_size,), 0, num_walks)
    elsewhere = jnp.floor(jax.random.uniform(key_at, (batch_size,)) * walks.length[other]).astype(jnp.int32)
    goal = jnp.where(
        foreign[:, None], walks.observations[other, elsewhere], walks.observations[row, at + apart]
    )
    return Pairs(
        observation=walks.observations[row, at],
        goal=goal,
        action=walks.actions[row, at],
        distance=jnp.where(foreign, max_distance, apart).astype(jnp.float32),
        weight=(connected | foreign & (walks.length[row] > 0)).astype(jnp.float32),
        acts=(connected & ~foreign).astype(jnp.float32),
    )


def bottleneck_loss(
    key: jax.Array, model: GoalModel, params, pairs: Pairs, beta: jax.Array, distance_weight: jax.Array
) -> tuple[jax.Array, Losses]:
    """The negative of equation 1, averaged over the pairs by their weights, and its parts."""
    mean, log_std = model.encode(params, pairs.observation, pairs.goal)
    z = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
    action, distance = model.decode(params, z, pairs.observation)

    def average(values, weight):
        return (weight * values).sum() / jnp.maximum(weight.sum(), 1.0)

    total = jnp.maximum(pairs.weight.sum(), 1.0)
    parts = Losses(
        action=average(jnp.square(action - pairs.action).sum(-1), pairs.acts),
        distance=average(jnp.square(distance - pairs.distance), pairs.weight),
        divergence=average((0.5 * (jnp.square(mean) + jnp.exp(2 * log_std) - 1.0) - log_std).sum(-1), pairs.weight),
    )
    scaled = distance_weight * parts.distance / model.max_distance**2
    return 0.5 * parts.action * pairs.acts.sum() / total + 0.5 * scaled + beta * parts.divergence, parts


def fit(key: jax.Array, model: GoalModel, params, opt_state, optimiser, draw, num_updates: int, beta, distance_weight):
    """Gradient steps on pairs from ``draw(key)``: parameters, optimiser state and the mean :class:`Losses`."""

    def update(carry, key):
        params, opt_state = carry
        key_pairs, key_noise = jax.random.split(key)
        pairs = draw(key_pairs)

        def loss(params):
            return bottleneck_loss(key_noise, model, params, pairs, beta, distance_weight)

        gradient, parts = jax.grad(loss, has_aux=True)(params)
        updates, opt_state = optimiser.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), parts

    (params, opt_state), parts = jax.lax.scan(update, (params, opt_state), jax.random.split(key, num_updates))
    return params, opt_state, jax.tree.map(jnp.mean, parts)
