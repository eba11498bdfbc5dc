"""Worlds that show a context before every pull: linear, the wheel, low-rank ratings, and classification data.

The context of a round comes from outside with its noise, so it never depends on what was played. The regret of a round
is that of its context: the mean of the best arm there minus the mean of the arm played.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.envs.bandits.world import Observation, Spec, World, regret_of, require_spec, reveal


class ContextState(NamedTuple):
    """Attributes:
    instance: what was drawn at reset, any pytree.
    context: f32[d] or f32[K, d], of this round.
    means: f32[K], expected values at this context.
    t: i32[], pulls.
    """

    instance: Any
    context: jax.Array
    means: jax.Array
    t: jax.Array


def contextual(
    spec: Spec,
    draw_instance: Callable[[jax.Array], Any],
    draw_context: Callable[[jax.Array, Any], tuple[jax.Array, jax.Array]],
    draw_values: Callable[[jax.Array, Any, jax.Array], jax.Array],
) -> World:
    """A world with contexts.

    Args:
        spec: with ``context_dim`` positive and ``stationary`` False; feedback "bandit" or "full".
        draw_instance: ``key -> instance``.
        draw_context: ``(key, instance) -> (context, means f32[K] at it)``.
        draw_values: ``(key, instance, means) -> f32[K]``, the outcomes.

    Raises:
        ValueError: no context, a world said to be stationary, or another feedback.
    """
    require_spec(spec)
    require_at_least(1, context_dim=spec.context_dim)
    choice("feedback", spec.feedback, ("bandit", "full"))
    if spec.stationary:
        raise ValueError("stationary=True: expected False, the best arm depends on the context")
    full = jnp.full(spec.num_arms, spec.feedback == "full")

    def reset(key):
        key_instance, key_context = jax.random.split(key)
        instance = draw_instance(key_instance)
        return ContextState(instance, *draw_context(key_context, instance), jnp.int32(0))

    def observe(state):
        return Observation(state.context, jnp.ones(spec.num_arms, bool), state.t)

    def step(noise, state, action):
        key_context, key_values = jax.random.split(noise)
        value = draw_values(key_values, state.instance, state.means)
        feedback = reveal(spec, action, value, full | (jnp.arange(spec.num_arms) == action))
        regret = regret_of(spec, action, state.means)
        context, means = draw_context(key_context, state.instance)
        return ContextState(state.instance, context, means, state.t + 1), feedback, regret

    return World(spec, reset, observe, step, lambda state: state.means)


def linear(
    num_arms: int, dim: int, *, sd: float = 0.1, shared: bool = True, feedback: str = "bandit", horizon=None
) -> World:
    """Means ``x_a^T theta`` (shared), or ``x^T theta_a``, with ``theta`` uniform on the unit sphere and Gaussian noise.

    Contexts are uniform on the unit sphere, so means lie in [-1, 1].

    Args:
        num_arms, dim: K and d.
        sd: of the noise; may be traced.
        shared: every arm has features, f32[K, d], and one parameter serves all; else one context f32[d].
        feedback: ``"bandit"`` or ``"full"``.
        horizon: pulls it is meant for.

    Raises:
        ValueError: fewer than two arms, no dimension, a negative ``sd``.
    """
    require_at_least(1, dim=dim)
    require_between(0.0, np.inf, sd=sd)
    spec = Spec(
        num_arms, context_dim=dim, per_arm=shared, value_range=(-np.inf, np.inf), feedback=feedback, stationary=False,
        horizon=horizon,
    )  # fmt: skip

    def draw_instance(key):
        return on_sphere(key, (dim,) if shared else (num_arms, dim))

    def draw_context(key, theta):
        x = on_sphere(key, (num_arms, dim) if shared else (dim,))
        return x, (x @ theta if shared else theta @ x)

    return contextual(spec, draw_instance, draw_context, lambda key, theta, means: noisy(key, means, sd))


def cosine(num_arms: int, dim: int, *, sd: float = 0.1, horizon=None) -> World:
    """Means ``cos(3 x_a^T theta)`` of features f32[K, d] on the unit sphere, theta too, with Gaussian noise.

    One of the functions of Zhou, Li and Gu (2020), "Neural contextual bandits with UCB-based exploration", section 6.

    Raises:
        ValueError: fewer than two arms, no dimension, a negative ``sd``.
    """
    require_at_least(1, dim=dim)
    require_between(0.0, np.inf, sd=sd)
    spec = Spec(
        num_arms, context_dim=dim, per_arm=True, value_range=(-np.inf, np.inf), stationary=False, horizon=horizon
    )

    def draw_context(key, theta):
        x = on_sphere(key, (num_arms, dim))
        return x, jnp.cos(3 * (x @ theta))

    return contextual(
        spec, lambda key: on_sphere(key, (dim,)), draw_context, lambda key, theta, means: noisy(key, means, sd)
    )


def wheel(delta: float, *, horizon=None) -> World:
    """The wheel of Riquelme, Tucker and Snoek (2018), "Deep Bayesian bandits showdown", section 5.4: 5 arms, d = 2.

    Contexts are uniform in the unit disc. Arm 0 has mean 1.2, the others 1.0, except that outside the radius ``delta``
    the arm of the quadrant has 50; the noise has standard deviation 0.01.

    Raises:
        ValueError: ``delta`` is not in (0, 1).
    """
    require_between(0.0, 1.0, delta=delta)
    spec = Spec(5, context_dim=2, value_range=(-np.inf, np.inf), stationary=False, horizon=horizon)

    def draw_context(key, instance):
        key_radius, key_angle = jax.random.split(key)
        radius = jnp.sqrt(jax.random.uniform(key_radius))
        x = radius * on_sphere(key_angle, (2,))
        quadrant = 1 + 2 * (x[1] < 0) + (x[0] < 0)
        ordinary = jnp.where(jnp.arange(5) == 0, 1.2, 1.0)
        return x, jnp.where((jnp.arange(5) == quadrant) & (radius > delta), 50.0, ordinary)

    return contextual(spec, lambda key: (), draw_context, lambda key, instance, means: noisy(key, means, 0.01))


def low_rank(num_arms: int, rank: int | None = None, *, users: str = "train", horizon: int = 200) -> World:
    """Recommendation as in BanditBench (Nie et al. 2024, "EVOLvE"): a user's features and the ratings of K films.

    The ratings matrix of :func:`ratings_matrix` is approximated by its ``rank`` largest singular directions, ``U S
    V^T``; a round draws a user, shows the row of ``U``, and pays the entry of ``U S V^T`` without noise. Each arm is
    linear in the context.

    Args:
        num_arms: K films; 10 or 30 in the benchmark.
        rank: d; by default the smaller of 20 and K, as the benchmark's script has it (the paper: 5).
        users: ``"train"``: the first 200; ``"eval"``: the others.
        horizon: pulls it is meant for.

    Raises:
        ValueError: fewer than two arms, a rank above K, or another pool of users.
    """
    require_at_least(2, num_arms=num_arms)
    rank = min(20, num_arms) if rank is None else rank
    if not 1 <= rank <= num_arms:
        raise ValueError(f"rank={rank}: expected 1 to {num_arms}, the number of arms")
    choice("users", users, ("train", "eval"))
    left, singular, right = np.linalg.svd(ratings_matrix(num_arms), full_matrices=False)
    pool = slice(0, 200) if users == "train" else slice(200, None)
    features = jnp.asarray(left[pool, :rank], jnp.float32)
    ratings = jnp.asarray((left[pool, :rank] * singular[:rank]) @ right[:rank], jnp.float32)
    low, high = float(ratings.min()), float(ratings.max())
    spec = Spec(num_arms, context_dim=rank, value_range=(low, high), stationary=False, horizon=horizon)

    def draw_context(key, instance):
        user = jax.random.randint(key, (), 0, features.shape[0])
        return features[user], ratings[user]

    return contextual(spec, lambda key: (), draw_context, lambda key, instance, means: means)


def ratings_matrix(num_films: int, *, num_users: int = 6040, seed: int = 0) -> np.ndarray:
    """A synthetic table of ratings f64[num_users, num_films] with MovieLens' size: 35 % are known, the rest are 0.

    ``clip(round(3.5 + b_user + c_film + z_user . w_film), 0, 5)`` with tastes of rank 5, drawn from a fixed seed, so
    that it is the same table everywhere.
    """
    draw = np.random.default_rng(seed)
    user, film = 0.5 * draw.standard_normal((num_users, 1)), 0.5 * draw.standard_normal(num_films)
    taste = draw.standard_normal((num_users, 5)) @ draw.standard_normal((5, num_films)) / np.sqrt(5.0)
    rating = np.clip(np.round(3.5 + user + film + taste), 0, 5)
    return np.where(draw.random(rating.shape) < 0.35, rating, 0.0)


def classification(features: np.ndarray, labels: np.ndarray, *, horizon: int | None = None) -> World:
    """A data set as a bandit: a row is shown, a class is chosen, and the reward is 1 if it is right.

    Rows are drawn with replacement. Bietti, Agarwal and Langford (2021), "A contextual bandit bake-off".

    Args:
        features: f32[n, d].
        labels: integers [n], classes 0 to K - 1.
        horizon: pulls it is meant for.

    Raises:
        ValueError: not one label a row, features that are not finite, or fewer than two classes.
    """
    features, labels = np.asarray(features, np.float32), np.asarray(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(f"features {features.shape}, labels {labels.shape}: expected [n, d] and [n]")
    if not np.isfinite(features).all():
        raise ValueError("features: expected finite numbers")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() < 1:
        raise ValueError("labels: expected integers from 0, of at least two classes")
    spec = Spec(int(labels.max()) + 1, context_dim=features.shape[1], stationary=False, horizon=horizon)
    table, right = jnp.asarray(features), jax.nn.one_hot(jnp.asarray(labels), spec.num_arms)

    def draw_context(key, instance):
        row = jax.random.randint(key, (), 0, table.shape[0])
        return table[row], right[row]

    return contextual(spec, lambda key: (), draw_context, lambda key, instance, means: means)


def on_sphere(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Vectors f32[..., d] uniform on the unit sphere."""
    normal = jax.random.normal(key, shape)
    return normal / jnp.linalg.norm(normal, axis=-1, keepdims=True)


def noisy(key: jax.Array, means: jax.Array, sd) -> jax.Array:
    """``means`` plus Gaussian noise."""
    return means + sd * jax.random.normal(key, means.shape)
