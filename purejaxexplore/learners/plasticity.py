"""The update side of exploration: what a network's units do decides how it is trained and how much noise it acts with.

* :func:`drm`: Xu et al. (2024), "DrM: mastering visual reinforcement learning through dormant ratio minimization". The
  share rho of dormant units is a thermostat of noise, of how much of the weights is replaced by fresh ones, and of how
  much a critic's targets trust the best of the replayed actions.
* :func:`adaptive_replay_ratio`: Ma et al. (2024), "Revisiting plasticity in visual reinforcement learning: data,
  modules and training stages". Few updates a step until the share of active units has settled, then many.

Both were made for pixels and continuous actions. Here they are mechanisms of :func:`~purejaxexplore.learners.ddpg.ddpg`
and of :func:`~purejaxexplore.learners.dqn.dqn`, whose noise is the probability of a uniform action and which exploits
nothing. What decides is looked at once an iteration, not once an episode. A mechanism is switched off by replacing its
function, ``drm(...)._replace(keep=lambda ps: jnp.float32(1.0))``, or by the numbers that make it nothing.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.checks import require_at_least, require_between

Schedule = Callable[[jax.Array], jax.Array]


class Plasticity(NamedTuple):
    """Pure functions; ``ps`` is the rule's own state.

    Attributes:
        init: ``() -> ps``.
        observe: ``(ps, activations) -> ps``, once an iteration with the hidden layers' outputs, each f32[E, B, units].
        updates: ``(ps, G) -> i32[]``, how many of an iteration's G updates count.
        noise: ``(ps) -> f32[]``, probability of a uniform action instead of the explorer's; of continuous actions the
            least standard deviation of their noise.
        keep: ``(ps) -> f32[]``, the share of the weights kept at this iteration; the optimiser is cleared below 1.
        exploit: ``(ps) -> f32[]``, weight in [0, 1] of the value of the best replayed actions in a critic's targets,
            for learners that can learn it; None where they need not.
        watched: static, "actor" or "critic": whose hidden layers are observed where a learner has both.
    """

    init: Callable[[], Any]
    observe: Callable[[Any, Sequence[jax.Array]], Any]
    updates: Callable[[Any, int], jax.Array]
    noise: Callable[[Any], jax.Array]
    keep: Callable[[Any], jax.Array]
    exploit: Callable[[Any], jax.Array] | None = None
    watched: str = "critic"


def dormant_ratio(activations: Sequence[jax.Array], threshold: jax.Array) -> jax.Array:
    """f32[], share of units whose mean absolute output over a batch is at most ``threshold`` times their layer's mean.

    Sokar et al. (2023), "The dormant neuron phenomenon in deep reinforcement learning", definition 3.1. A layer whose
    outputs are all zero is dormant as a whole.

    Args:
        activations: one f32[..., B, units] a layer.
        threshold: at least 0.
    """
    dormant, units = jnp.int32(0), 0
    for layer in activations:
        size = jnp.abs(layer).mean(-2)
        dormant += (size <= threshold * size.mean(-1, keepdims=True)).sum()
        units += size.size
    return dormant / units


def active_fraction(activations: Sequence[jax.Array]) -> jax.Array:
    """f32[], share of positive outputs among all units and samples of the layers ``f32[..., B, units]``."""
    return sum((layer > 0).sum() for layer in activations) / sum(layer.size for layer in activations)


def shrink_perturb(params: Any, fresh: Any, keep: jax.Array) -> Any:
    """``keep theta + (1 - keep) theta_fresh`` of every leaf."""
    return jax.tree.map(lambda old, new: keep * old + (1.0 - keep) * new, params, fresh)


def cleared(opt_state: Any, blank: Any, keep: jax.Array) -> Any:
    """``blank``, the optimiser's first state, where weights were perturbed (``keep < 1``), and else ``opt_state``."""
    return jax.tree.map(lambda new, old: jnp.where(keep < 1.0, new, old), blank, opt_state)


class Thermostat(NamedTuple):
    """``rho``: f32[], the last dormant ratio; ``awake``: i32[], the iteration in which it first fell below the
    threshold, -1 before; ``t``: i32[], iterations observed."""

    rho: jax.Array
    awake: jax.Array
    t: jax.Array


def awaken(ps: Thermostat, rho: jax.Array, awake_below: jax.Array) -> Thermostat:
    """The thermostat after it read ``rho``; awake for ever from the first one below ``awake_below``."""
    t = ps.t + 1
    return Thermostat(rho, jnp.where((ps.awake < 0) & (rho < awake_below), t, ps.awake), t)


def drm(
    schedule: Schedule,
    period: int,
    *,
    most_kept: float = 0.9,
    least_kept: float = 0.2,
    perturb_rate: float = 2.0,
    awake_below: float = 0.2,
    most_noise: float = 0.8,
    sharpness: float = 10.0,
    most_exploited: float = 0.6,
    exploit_sharpness: float = 50.0,
    threshold: float = 0.025,
) -> Plasticity:
    """The thermostat of DrM, which reads the actor::

        noise   = most_noise / (1 + exp(-sharpness (rho - awake_below))), and once awake at least schedule(t - t_awake)
        keep    = clip(1 - perturb_rate rho, least_kept, most_kept) at every ``period`` iterations, else 1
        exploit = most_exploited / (1 + exp(exploit_sharpness (rho - awake_below)))

    Args:
        schedule: noise of an awake agent, of the iterations since it awoke, ``i32[] -> f32[]`` in [0, 1].
        period: iterations between two perturbations of the weights.
        most_kept, least_kept, perturb_rate: of a perturbation; the paper's, [0, 1], [0, 1] and at least 0.
        awake_below, most_noise, sharpness: of the noise; the paper's, [0, 1], [0, 1] and at least 0.
        most_exploited, exploit_sharpness: of the exploitation; the paper's, [0, 1] and at least 0.
        threshold: of dormancy, at least 0.

    Raises:
        ValueError: a number is out of its range.
    """
    require_at_least(1, period=period)
    require_between(0.0, 1.0, most_kept=most_kept, least_kept=least_kept)
    require_between(0.0, 1.0, awake_below=awake_below, most_noise=most_noise, most_exploited=most_exploited)
    require_between(0.0, inf, perturb_rate=perturb_rate, sharpness=sharpness, threshold=threshold)
    require_between(0.0, inf, exploit_sharpness=exploit_sharpness)

    def init():
        return Thermostat(jnp.float32(1.0), jnp.int32(-1), jnp.int32(0))

    def observe(ps, activations):
        return awaken(ps, dormant_ratio(activations, threshold), awake_below)

    def noise(ps):
        dormant = most_noise * jax.nn.sigmoid(sharpness * (ps.rho - awake_below))
        return jnp.where(ps.awake < 0, dormant, jnp.maximum(dormant, schedule(ps.t - ps.awake)))

    def keep(ps):
        kept = jnp.clip(1.0 - perturb_rate * ps.rho, least_kept, most_kept)
        return jnp.where((ps.t > 0) & (ps.t % period == 0), kept, 1.0)

    def exploit(ps):
        return most_exploited * jax.nn.sigmoid(exploit_sharpness * (awake_below - ps.rho))

    return Plasticity(init, observe, lambda ps, num_updates: jnp.int32(num_updates), noise, keep, exploit, "actor")


class Settling(NamedTuple):
    """``total``: f32[], sum of the active fractions since the last check; ``last``: f32[], their mean at the last
    check; ``high``: bool[], whether all updates count; ``t``: i32[], iterations observed."""

    total: jax.Array
    last: jax.Array
    high: jax.Array
    t: jax.Array


def adaptive_replay_ratio(first: int, period: int, tolerance: float = 1e-3) -> Plasticity:
    """``first`` updates an iteration until the active fraction has settled, then all, for ever.

    Every ``period`` iterations the mean fraction since the last check is compared with the one before it; a change of
    at most ``tolerance`` is settled. All updates are computed from the start and the late ones discarded: under
    ``vmap`` nothing would be saved by leaving them out.

    Args:
        first: updates an iteration at first, at least 1.
        period: iterations between two checks, at least 1.
        tolerance: at least 0; the paper's.

    Raises:
        ValueError: a number is out of its range.
    """
    require_at_least(1, first=first, period=period)
    require_between(0.0, inf, tolerance=tolerance)

    def init():
        return Settling(jnp.float32(0.0), jnp.float32(inf), jnp.bool_(False), jnp.int32(0))

    def observe(ps, activations):
        total, t = ps.total + active_fraction(activations), ps.t + 1
        mean, checks = total / period, t % period == 0
        high = ps.high | (checks & (jnp.abs(mean - ps.last) <= tolerance))
        return Settling(jnp.where(checks, 0.0, total), jnp.where(checks, mean, ps.last), high, t)

    def updates(ps, num_updates):
        return jnp.where(ps.high, num_updates, min(first, num_updates))

    return Plasticity(init, observe, updates, lambda ps: jnp.float32(0.0), lambda ps: jnp.float32(1.0))
