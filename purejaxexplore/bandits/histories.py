"""What a learned explorer is shown of its past, as features of every arm, and recorded play to learn from.

Nie, Su, Chang, Lee, Chi, Le and Chen (2024), "EVOLvE: Evaluating and optimizing LLMs for exploration", give a sequence
model the raw history, a summary of every arm, or *algorithm-guided support*: the summary with the exploitation value
and the exploration bonus that UCB or LinUCB would use. Here these are f32[K, F], an arm a row, so that one network
scores arms of any number.

The recorded play is a data set of (features, action) pairs, for imitation (:mod:`purejaxexplore.bandits.imitation`)
and for whoever trains a sequence model on whole trajectories elsewhere (:func:`save_trajectories`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.bandit import play_round
from purejaxexplore.bandits.index import most_promising
from purejaxexplore.bandits.linear import LinUCBConfig, fit_models, new_models, of_arms
from purejaxexplore.bandits.policy import Policy, require_index_world
from purejaxexplore.bandits.ucb import UCB1Config
from purejaxexplore.blocks.arms import new_arms, see
from purejaxexplore.blocks.ridge import prediction_width
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, World


class History(NamedTuple):
    """A representation of the past.

    Attributes:
        names: of the F features.
        init: ``() -> state``.
        features: ``(state, observation) -> f32[K, F]``, finite from the first pull on.
        update: ``(state, observation, action, feedback) -> state``.
        recommend: ``state -> i32[]``, the arm that looks best in the end.
    """

    names: tuple[str, ...]
    init: Callable[[], Any]
    features: Callable[[Any, Observation], jax.Array]
    update: Callable[[Any, Observation, jax.Array, Feedback], Any]
    recommend: Callable[[Any], jax.Array]


def arm_summary(spec: Spec) -> History:
    """The mean of an arm's rewards, ``ln(1 + n)`` of its pulls and ``ln t``.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms.
    """
    require_index_world(spec, "arm_summary")
    return History(("mean", "log_pulls", "log_t"), lambda: new_arms(spec.num_arms), _summary, _see, most_promising)


def ucb_support(spec: Spec, config: UCB1Config) -> History:
    """The summary and UCB's bonus ``sqrt(alpha ln t / n)``; an arm never pulled counts half a pull in it.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, or ``alpha`` is negative.
    """
    require_index_world(spec, "ucb_support")
    require_between(0.0, np.inf, alpha=config.alpha)

    def features(arms, observation):
        bonus = jnp.sqrt(config.alpha * jnp.log(observation.t + 1.0) / jnp.maximum(arms.n, 0.5))
        return jnp.column_stack([_summary(arms, observation), bonus])

    names = ("mean", "log_pulls", "log_t", "bonus")
    return History(names, lambda: new_arms(spec.num_arms), features, _see, most_promising)


def lin_ucb_support(spec: Spec, config: LinUCBConfig) -> History:
    """``ln(1 + n)``, ``ln t``, and LinUCB's value and bonus of every arm at this round's context.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, the world shows no context, or a setting is out of range.
    """
    require_index_world(spec, "lin_ucb_support", context=True)
    require_between(0.0, np.inf, alpha=config.alpha)
    require_between(1e-6, np.inf, regularisation=config.regularisation)

    def features(state, observation):
        arms, models = state
        value = of_arms(spec, lambda model, x: x @ model.coef, models, observation.context)
        bonus = config.alpha * of_arms(spec, prediction_width, models, observation.context)
        return jnp.column_stack([_summary(arms, observation)[:, 1:], value, bonus])

    def update(state, observation, action, feedback):
        arms, models = state
        return see(arms, feedback.seen, feedback.value), fit_models(spec, models, observation, action, feedback)

    def init():
        return new_arms(spec.num_arms), new_models(spec, config.regularisation)

    def recommend(state):
        return jnp.int32(0)  # the best arm depends on the context

    return History(("log_pulls", "log_t", "value", "bonus"), init, features, update, recommend)


def _summary(arms, observation):
    log_t = jnp.broadcast_to(jnp.log(observation.t + 1.0), arms.n.shape)
    return jnp.column_stack([arms.mean, jnp.log1p(arms.n.astype(jnp.float32)), log_t])


def _see(arms, observation, action, feedback):
    return see(arms, feedback.seen, feedback.value)


class Trajectory(NamedTuple):
    """T pulls of one seed.

    Attributes:
        action: i32[T].
        reward: f32[T].
        regret: f32[T], exactly 0 where a best arm was pulled.
        context: f32[T, d], f32[T, K, d], or f32[T, K, 0] without contexts.
        features: f32[T, K, F], before each pull.
        advice: i32[T], what the expert would have done there.
    """

    action: jax.Array
    reward: jax.Array
    regret: jax.Array
    context: jax.Array
    features: jax.Array
    advice: jax.Array


def collect(
    policy: Policy, world: World, num_pulls: int, history: History, *, expert: Policy | None = None
) -> Callable[[jax.Array], Trajectory]:
    """``key -> Trajectory`` of ``policy`` in ``world``; ``vmap`` it over keys.

    With the same key, policies meet the same instance and noise. ``expert`` watches and is asked at every pull what it
    would do; by default it is ``policy`` itself. (Asking a teacher along the pupil's own play is DAgger: Ross, Gordon
    and Bagnell 2011, "A reduction of imitation learning and structured prediction to no-regret online learning".)

    Raises:
        ValueError: no pull, or actions that are not single arms.
    """
    require_at_least(1, num_pulls=num_pulls)
    require_index_world(world.spec, "collect", context=bool(world.spec.context_dim))

    def run(key):
        key_reset, key_init, key_world, key_policy, key_expert = jax.random.split(key, 5)
        noise = world.noise(key_world, num_pulls), policy.noise(key_policy, num_pulls)
        advised = () if expert is None else (expert.init(key_init), expert.noise(key_expert, num_pulls))

        def pull(states, noises):
            world_state, policy_state, seen, expert_state = states
            noise, expert_noise = noises
            features = history.features(seen, world.observe(world_state))
            world_state, policy_state, played = play_round(policy, world, world_state, policy_state, noise)
            observation, action, feedback, regret = played
            seen = history.update(seen, observation, action, feedback)
            advice = action
            if expert is not None:
                advice, aux = expert.act(expert_noise, expert_state, observation)
                expert_state = expert.update(expert_state, observation, action, feedback, aux)
            step = Trajectory(action, feedback.reward, regret, observation.context, features, advice)
            return (world_state, policy_state, seen, expert_state), step

        start = world.reset(key_reset), policy.init(key_init), history.init(), advised[0] if advised else ()
        return jax.lax.scan(pull, start, (noise, advised[1] if advised else ()), length=num_pulls)[1]

    return run


def save_trajectories(path: str | Path, trajectories: Trajectory, history: History) -> Path:
    """Writes trajectories (leading axis [seeds]) to a compressed ``.npz``: an array a field, and the features' names.

    Raises:
        FileExistsError: there is a file already; nothing is touched.
        ValueError: the name does not end in ``.npz``.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path={str(path)!r}: expected a name that ends in .npz")
    if path.exists():
        raise FileExistsError(f"path={str(path)!r} exists: expected a new name")
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.asarray(value) for name, value in trajectories._asdict().items()}
    with path.open("xb") as file:
        np.savez_compressed(file, feature_names=np.array(history.names), **arrays)
    return path


def load_trajectories(path: str | Path) -> tuple[Trajectory, tuple[str, ...]]:
    """What :func:`save_trajectories` wrote: NumPy arrays and the names of the features."""
    with np.load(path) as stored:
        return Trajectory(*(stored[name] for name in Trajectory._fields)), tuple(stored["feature_names"].tolist())
