"""Weighted tallying bandits: what an arm pays depends on how often it was played lately.

Malik, Igoe, Li and Singh (2023), "Weighted tallying bandits: overcoming intractability via repeated exposure
optimality". In round t arm a loses ``f_a(y_a) + noise``, ``y_a = sum_{j<m} w_j 1[a_{t-j} = a]``. Where some arm is best
when it is repeated ("repeated exposure optimality"), always playing that arm is the best of all sequences, and the
regret is measured against it, its transient included: the complete policy regret.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec, World, require_spec, reveal_one, without_context


class TallyState(NamedTuple):
    """Attributes:
    recent: i32[m], the arms of the last m pulls, at ``t % m``; -1 before the first.
    t: i32[], pulls.
    """

    recent: jax.Array
    t: jax.Array


def tallying(
    losses: Callable[[jax.Array], jax.Array], weights: Sequence[float], *, num_arms: int, sd: float = 0.1, horizon=None
) -> World:
    """A weighted tallying bandit; rewards are ``1 - loss``.

    Args:
        losses: ``tallies f32[K] -> f32[K]``, elementwise: the expected losses ``f_a(y_a)``, in [0, 1].
        weights: ``w`` f32[m] >= 0, of the latest pull first; m is the memory of the world.
        num_arms: K.
        sd: of the Gaussian noise; may be traced.
        horizon: pulls it is meant for.

    Raises:
        ValueError: fewer than two arms, no weight or a negative one, a negative ``sd``, or losses of another shape.
    """
    w = np.asarray(weights, np.float32)
    if w.ndim != 1 or not w.size:
        raise ValueError(f"weights of shape {w.shape}: expected (m,) with m at least 1")
    require_between(0.0, np.inf, weights=w, sd=sd)
    require_at_least(2, num_arms=num_arms)
    shape = jax.eval_shape(losses, jnp.zeros(num_arms)).shape
    if shape != (num_arms,):
        raise ValueError(f"losses of shape {shape}: expected ({num_arms},), one for each arm")
    spec = require_spec(Spec(num_arms, value_range=(-np.inf, np.inf), stationary=False, horizon=horizon))
    m, arms = len(w), jnp.arange(num_arms)
    so_far = jnp.concatenate([jnp.zeros(1), jnp.cumsum(jnp.asarray(w))])
    best = jnp.argmin(losses(jnp.full(num_arms, float(w.sum()))))

    def after(state, action):
        """Expected losses f32[K] of every arm if ``action`` f32[K] said which one is played now."""
        age = (state.t - 1 - jnp.arange(m)) % m + 1  # of the pull at place i of the ring, 1 for the latest
        lasting = jnp.where(age < m, jnp.asarray(w)[jnp.minimum(age, m - 1)], 0.0)
        tallies = (lasting[:, None] * (state.recent[:, None] == arms)).sum(0)
        return losses(tallies + w[0] * action)

    def reset(key):
        return TallyState(jnp.full(m, -1, jnp.int32), jnp.int32(0))

    def step(normal, state, action):
        loss = after(state, 1.0)[action]
        alone = losses(jnp.full(num_arms, so_far[jnp.minimum(state.t + 1, m)]))[best]
        recent = state.recent.at[state.t % m].set(action)
        feedback = reveal_one(spec, action, 1 - loss + sd * normal)
        return TallyState(recent, state.t + 1), feedback, loss - alone

    return World(
        spec, reset, lambda state: without_context(spec, state.t), step, lambda state: 1 - after(state, 1.0),
        lambda key, n: jax.random.normal(key, (n,)),
    )  # fmt: skip


def improves_with_exposure(num_arms: int = 10, memory: int = 20, *, sd: float = 0.1, horizon=None) -> World:
    """The last arm loses ``0.9 - 0.7 y``, better the more it is played; the others ``0.35 + 0.15 y``; ``w = 1/m``.

    A policy that does not repeat itself finds the last arm to be the worst.

    Raises:
        ValueError: fewer than two arms, a memory below 1, or a negative ``sd``.
    """
    require_at_least(1, memory=memory)

    def losses(y):
        return jnp.where(jnp.arange(num_arms) == num_arms - 1, 0.9 - 0.7 * y, 0.35 + 0.15 * y)

    return tallying(losses, np.full(memory, 1.0 / memory), num_arms=num_arms, sd=sd, horizon=horizon)


def repeating_is_optimal(
    losses: Callable[[np.ndarray], np.ndarray], weights: Sequence[float], num_arms: int, horizon: int
) -> bool:
    """Whether no sequence of ``horizon`` pulls loses less than the best repeated arm, by dynamic programming.

    For small worlds: the states are the ``K^m`` patterns of the last pulls.

    Raises:
        ValueError: more than 4 weights or more than 3 arms.
    """
    m = len(weights)
    if m > 4 or num_arms > 3:
        raise ValueError(f"weights: {m}, num_arms={num_arms}: expected at most 4 and 3")
    arms = np.arange(num_arms)

    def loss(pattern: tuple[int, ...], arm: int) -> float:
        pulls = np.array((arm, *pattern))[:m]
        return float(np.asarray(losses(((pulls[:, None] == arms) * np.asarray(weights)[:, None]).sum(0)))[arm])

    patterns = list(itertools.product((-1, *range(num_arms)), repeat=m - 1))
    best = dict.fromkeys(patterns, 0.0)
    for _ in range(horizon):
        best = {p: min(loss(p, arm) + best[(arm, *p)[: m - 1]] for arm in arms.tolist()) for p in patterns}
    repeated = []
    for arm in arms.tolist():
        pattern, total = (-1,) * (m - 1), 0.0
        for _ in range(horizon):
            total += loss(pattern, arm)
            pattern = (arm, *pattern)[: m - 1]
        repeated.append(total)
    return min(repeated) <= best[(-1,) * (m - 1)] + 1e-9
