"""An explorer learned from another one's play: behaviour cloning of whole learning histories.

A network scores every arm from its features alone (:mod:`purejaxexplore.bandits.histories`), the same weights for all
arms, and is trained on ``-log softmax(scores)[action]`` at *all* times of the teacher's trajectories, so that it
imitates how the teacher's behaviour changes, and not only where it ends. Nie, Su, Chang, Lee, Chi, Le and Chen (2024),
"EVOLvE: Evaluating and optimizing LLMs for exploration", section 4, with a small network in the place of their
language model.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.bandits.histories import History
from purejaxexplore.bandits.policy import Aux, Policy, draw_arm, first_argmax, one_hot, require_index_world
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec
from purejaxexplore.nets import MLP


@flax.struct.dataclass
class ImitationConfig:
    """Attributes:
    hidden_sizes: widths of the network.
    batch_size: pulls a minibatch.
    num_minibatches: of one step of the algorithm.
    learning_rate: of Adam, at the start; it falls to 0 along a cosine.
    num_steps: steps of the algorithm that the learning rate is planned for.
    """

    hidden_sizes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(64, 64))
    batch_size: int = flax.struct.field(pytree_node=False, default=1024)
    num_minibatches: int = flax.struct.field(pytree_node=False, default=100)
    learning_rate: float = 3e-3
    num_steps: int = flax.struct.field(pytree_node=False, default=30)


class ImitationState(NamedTuple):
    """Attributes:
    params: of the network.
    optimiser: its state.
    """

    params: Any
    optimiser: Any


def arm_scores(hidden_sizes: tuple[int, ...]) -> MLP:
    """The network: f32[..., K, F] -> f32[..., K, 1], every arm by itself."""
    return MLP(hidden_sizes, 1, activation="relu", output_scale=0.01)


def imitate(features: jax.Array, action: jax.Array, config: ImitationConfig) -> Algorithm:
    """Fits the network to N pulls of a teacher.

    Metrics, means over a step's minibatches: ``loss`` (nats a pull), ``accuracy`` (share of pulls in which the arm of
    the largest score is the teacher's); ``samples`` (pulls drawn so far, with repetition, by this step).

    Args:
        features: f32[N, K, F].
        action: i32[N].
        config: settings.

    Raises:
        ValueError: features and actions do not match, or a size or the learning rate is out of range.
    """
    if features.ndim != 3 or action.shape != features.shape[:1]:
        raise ValueError(f"features {features.shape}, action {action.shape}: expected [N, K, F] and [N]")
    require_at_least(
        1, batch_size=config.batch_size, num_minibatches=config.num_minibatches, num_steps=config.num_steps,
        **{f"hidden_sizes[{i}]": size for i, size in enumerate(config.hidden_sizes)},
    )  # fmt: skip
    require_between(0.0, 1.0, learning_rate=config.learning_rate)
    network = arm_scores(config.hidden_sizes)
    schedule = optax.cosine_decay_schedule(config.learning_rate, config.num_steps * config.num_minibatches)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule, eps=1e-5))

    def loss_of(params, x, chosen):
        scores = network.apply(params, x)[..., 0]
        loss = optax.softmax_cross_entropy_with_integer_labels(scores, chosen).mean()
        return loss, (scores.argmax(-1) == chosen).mean()

    def init(key):
        params = network.init(key, features[0])
        return ImitationState(params, optimiser.init(params))

    def step(key, state):
        rows = jax.random.randint(key, (config.num_minibatches, config.batch_size), 0, features.shape[0])

        def minibatch(state, rows):
            (loss, accuracy), gradient = jax.value_and_grad(loss_of, has_aux=True)(
                state.params, features[rows], action[rows]
            )
            updates, opt_state = optimiser.update(gradient, state.optimiser, state.params)
            return ImitationState(optax.apply_updates(state.params, updates), opt_state), (loss, accuracy)

        state, (loss, accuracy) = jax.lax.scan(minibatch, state, rows)
        return state, {"loss": loss.mean(), "accuracy": accuracy.mean(), "samples": jnp.int32(rows.size)}

    return Algorithm(init, step)


def scoring_policy(
    spec: Spec, history: History, scores: Callable[[jax.Array], jax.Array], *, greedy: bool = True
) -> Policy:
    """Plays by the scores of the arms.

    Args:
        spec: of the world.
        history: what the scores are computed from.
        scores: ``f32[K, F] -> f32[K]``, logits; :func:`imitated` gives those of a fitted network.
        greedy: the arm of the largest score; else one drawn from the softmax.

    Regret: none is known; it is as good as its scores.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, or the scores are not one for each arm.
    """
    require_index_world(spec, "scoring_policy", context=bool(spec.context_dim))
    shape = jax.eval_shape(scores, jax.ShapeDtypeStruct((spec.num_arms, len(history.names)), jnp.float32)).shape
    if shape != (spec.num_arms,):
        raise ValueError(f"scores of shape {shape}: expected ({spec.num_arms},), one for each arm")

    def act(uniform, state, observation):
        logits = jnp.where(observation.mask, scores(history.features(state, observation)), -jnp.inf)
        if greedy:
            action = first_argmax(logits)
            return action, Aux(one_hot(spec, action))
        prob = jax.nn.softmax(logits)
        return draw_arm(uniform, prob), Aux(prob)

    def update(state, observation, action, feedback, aux):
        return history.update(state, observation, action, feedback)

    def noise(key, n):
        return jax.random.uniform(key, (n,))

    return Policy(spec, lambda key: history.init(), act, update, history.recommend, noise=noise)


def imitated(params: Any, config: ImitationConfig) -> Callable[[jax.Array], jax.Array]:
    """``scores`` of a fitted network, for :func:`scoring_policy`."""
    network = arm_scores(config.hidden_sizes)
    return lambda features: network.apply(params, features)[..., 0]
