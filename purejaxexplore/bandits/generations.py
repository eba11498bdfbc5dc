"""A contextual bandit in production: deploy a model, log a batch with it, refit, deploy the next generation.

Within a generation the model is frozen, so a whole batch is decided without learning, and the next model is fitted by
ridge regression, for each arm apart, on the last ``memory`` batches alone. A good generation plays almost always the
same arm in a context; so with a short memory the next model sees little else, errs on the other arms, and its
successor, which saw those errors, is good again: an oscillation. Vangara and Egg (2025), "Contextual bandits in payment
processing: non-uniform exploration and supervised learning", saw it in a payment processor. Inverse-gap weighting is
that of Foster and Rakhlin (2020), "Beyond UCB: optimal and efficient contextual bandits with regression oracles",
whose bound needs an online regression and does not hold for batches.

An arm that the memory does not hold is predicted to pay 0, the prior's mean: less than any arm that was seen where
rewards are not negative, and so it is explored only as far as the rule explores.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.bandits.policy import draw_arm, require_index_world
from purejaxexplore.bandits.square_cb import inverse_gap_weights
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import World

Rule = Callable[[jax.Array, jax.Array], jax.Array]
"""``(predicted f32[K], mask bool[K]) -> prob f32[K]``."""


@flax.struct.dataclass
class GenerationsConfig:
    """Attributes:
    batch_size: pulls of a generation.
    memory: batches that a model is fitted on.
    delay: generations that rewards are late; 0: the next model knows those of the batch before it.
    regularisation: of the ridge regression, > 0; may be traced.
    """

    batch_size: int = flax.struct.field(pytree_node=False, default=3000)
    memory: int = flax.struct.field(pytree_node=False, default=1)
    delay: int = flax.struct.field(pytree_node=False, default=0)
    regularisation: float = 1.0


class GenerationsState(NamedTuple):
    """Attributes:
    world: its state.
    coef: f32[K, d + 1], the deployed model; the last feature is a constant.
    gram: f32[memory + delay, K, d + 1, d + 1], ``sum x x^T`` of the batches, the newest first.
    moment: f32[memory + delay, K, d + 1], ``sum x y``.
    """

    world: Any
    coef: jax.Array
    gram: jax.Array
    moment: jax.Array


def inverse_gap_rule(gamma: float) -> Rule:
    """Inverse-gap weighting; a larger ``gamma`` >= 0 explores less."""
    require_between(0.0, np.inf, gamma=gamma)
    return lambda predicted, mask: inverse_gap_weights(predicted, mask, gamma)


def epsilon_greedy_rule(epsilon: float) -> Rule:
    """The best arm, and with probability ``epsilon`` a uniform one of those available."""
    require_between(0.0, 1.0, epsilon=epsilon)

    def rule(predicted, mask):
        best = jnp.arange(mask.size) == jnp.where(mask, predicted, -jnp.inf).argmax()
        return (1 - epsilon) * best + epsilon * mask / mask.sum()

    return rule


def generations(world: World, config: GenerationsConfig, rule: Rule) -> Algorithm:
    """One step is one generation.

    Metrics, means over the generation: ``regret``, ``greedy_regret`` (of the deployed model's best arms, in the same
    contexts), ``entropy`` (nats, of the probabilities), ``reward``, ``effective_sample_size`` (of the batch, as a share
    of it, for judging the uniform policy by importance weights); and ``env_steps`` (pulls of this step).

    Raises:
        TypeError: ``world`` is not a World.
        ValueError: its actions are not single arms with one context for all, it shows more than the arm played, or a
            setting is out of range.
    """
    if not isinstance(world, World):
        raise TypeError(f"world={type(world).__name__}: expected a World, e.g. logistic(10, 8)")
    spec = require_index_world(world.spec, "generations", context=True)
    if spec.per_arm or spec.feedback != "bandit":
        raise ValueError(
            f"per_arm={spec.per_arm}, feedback={spec.feedback!r}: generations needs one context and bandit feedback"
        )
    require_at_least(1, batch_size=config.batch_size, memory=config.memory)
    require_at_least(0, delay=config.delay)
    require_between(1e-6, np.inf, regularisation=config.regularisation)
    K, size, kept = spec.num_arms, spec.context_dim + 1, config.memory + config.delay

    def init(key):
        empty = jnp.zeros((kept, K, size, size))
        return GenerationsState(world.reset(key), jnp.zeros((K, size)), empty, empty[..., 0])

    def step(key, state):
        key_world, key_policy = jax.random.split(key)
        noise = world.noise(key_world, config.batch_size), jax.random.uniform(key_policy, (config.batch_size,))

        def pull(world_state, noise):
            observation = world.observe(world_state)
            x = jnp.append(observation.context, 1.0)
            predicted = state.coef @ x
            prob = rule(predicted, observation.mask)
            action = draw_arm(noise[1], prob)
            means = world.means(world_state)
            greedy = jnp.where(observation.mask, predicted, -jnp.inf).argmax()
            lost = jnp.where(observation.mask, means, -jnp.inf).max() - means[greedy]
            world_state, feedback, regret = world.step(noise[0], world_state, action)
            weight = 1.0 / (observation.mask.sum() * prob[action])
            entropy = jax.scipy.special.entr(prob).sum()
            return world_state, (x, action, feedback.reward, regret, lost, entropy, weight)

        world_state, (x, action, reward, regret, lost, entropy, weight) = jax.lax.scan(pull, state.world, noise)
        chosen = jax.nn.one_hot(action, K)
        gram = jnp.roll(state.gram, 1, 0).at[0].set(jnp.einsum("nk,np,nq->kpq", chosen, x, x))
        moment = jnp.roll(state.moment, 1, 0).at[0].set(jnp.einsum("nk,np,n->kp", chosen, x, reward))
        known = slice(config.delay, None)
        coef = fit_arms(gram[known].sum(0), moment[known].sum(0), config.regularisation)
        return GenerationsState(world_state, coef, gram, moment), {
            "regret": regret.mean(),
            "greedy_regret": lost.mean(),
            "entropy": entropy.mean(),
            "reward": reward.mean(),
            "effective_sample_size": jnp.square(weight.sum()) / (jnp.square(weight).sum() * config.batch_size),
            "env_steps": jnp.int32(config.batch_size),
        }

    return Algorithm(init, step)


def fit_arms(gram: jax.Array, moment: jax.Array, regularisation: float) -> jax.Array:
    """``(gram_a + regularisation I)^-1 moment_a`` of every arm, f32[K, p], from f32[K, p, p] and f32[K, p]."""
    shifted = gram + regularisation * jnp.eye(gram.shape[-1])
    return jax.vmap(lambda a, b: jax.scipy.linalg.solve(a, b, assume_a="pos"))(shifted, moment)
