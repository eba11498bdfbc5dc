"""Information-directed sampling: pay regret for information about which arm is best.

Russo and Van Roy (2014), "Learning to optimize via information-directed sampling", the variance-based form. With
``Delta_a`` the expected regret of an arm under the posterior and ``v_a = Var_{A*}(E[mean_a | A*])``, how much knowing
the best arm would tell about its mean, the action is drawn from the distribution of two arms that minimises

    (q Delta_i + (1 - q) Delta_j)^2 / (q v_i + (1 - q) v_j).

Regret averaged over instances from the prior: at most ``sqrt(H K T / 2)``, H the entropy of the best arm.

What differs: both quantities are estimated from posterior samples, as in the paper's algorithm 6, drawn anew at each
pull.
"""

import flax.struct
import jax
import jax.numpy as jnp

from purejaxexplore.bandits.index import most_promising
from purejaxexplore.bandits.policy import Aux, Policy, draw_arm, require_index_world, require_unit_values
from purejaxexplore.blocks.arms import new_arms, see
from purejaxexplore.blocks.betas import beta_sample
from purejaxexplore.checks import require_at_least
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class IDSConfig:
    """Attributes:
    num_samples: ``M``, samples of the posterior at every pull, at least 2.
    """

    num_samples: int = flax.struct.field(pytree_node=False, default=1000)


def ids(spec: Spec, config: IDSConfig) -> Policy:
    """Information-directed sampling for Bernoulli rewards with Beta(1, 1) priors.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], or fewer than 2 samples.
    """
    require_index_world(spec, "ids")
    require_unit_values(spec, "ids")
    require_at_least(2, num_samples=config.num_samples)

    def act(key, arms, observation):
        key_sample, key_draw = jax.random.split(key)
        good = jnp.clip(arms.total.value, 0.0, arms.n)
        a = jnp.broadcast_to(1 + good, (config.num_samples, spec.num_arms))
        b = jnp.broadcast_to(1 + arms.n - good, a.shape)
        samples = jnp.where(observation.mask, beta_sample(key_sample, a, b), -jnp.inf)
        prob = least_ratio(*regret_and_information(samples))
        return draw_arm(jax.random.uniform(key_draw), prob), Aux(prob)

    def update(arms, observation, action, feedback, aux):
        return see(arms, feedback.seen, feedback.value)

    return Policy(spec, lambda key: new_arms(spec.num_arms), act, update, most_promising)


def regret_and_information(samples: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``(Delta, v) f32[K]`` of joint samples ``f32[M, K]`` of the means; an arm that is -inf in all cannot be played.

    Its Delta is infinite and its v is 0.
    """
    M, K = samples.shape
    allowed = jnp.isfinite(samples[0])
    best = jax.nn.one_hot(samples.argmax(1), K)
    finite = jnp.where(allowed, samples, 0.0)
    share = best.mean(0)
    mean = finite.mean(0)
    given = (best.T @ finite) / jnp.maximum(best.sum(0), 1.0)[:, None]
    information = (share[:, None] * jnp.square(given - mean)).sum(0)
    regret = samples.max(1).mean() - mean
    return jnp.where(allowed, regret, jnp.inf), jnp.where(allowed, information, 0.0)


def least_ratio(regret: jax.Array, information: jax.Array) -> jax.Array:
    """f32[K], the distribution on at most two arms with the least squared regret per information.

    In ``q``, the ratio ``(a + b q)^2 / (c + d q)`` is convex; it is least at an end or at ``(a d - 2 b c) / (b d)``.
    """
    a, c = regret[None, :], information[None, :]
    b, d = regret[:, None] - a, information[:, None] - c
    inner = (a * d - 2 * b * c) / jnp.where(b * d == 0, 1.0, b * d)
    inner = jnp.where((b * d == 0) | ~jnp.isfinite(inner), 0.0, jnp.clip(inner, 0.0, 1.0))
    weights = jnp.stack([jnp.zeros_like(inner), jnp.ones_like(inner), inner])
    # 0 * inf is no number: an arm that cannot be played must get no weight at all.
    mixed = jnp.where(weights > 0, weights * regret[:, None], 0.0) + jnp.where(weights < 1, (1 - weights) * a, 0.0)
    known = weights * information[:, None] + (1 - weights) * c
    ratio = jnp.where(jnp.isfinite(mixed), jnp.square(mixed) / jnp.maximum(known, 1e-12), jnp.inf)
    which, i, j = jnp.unravel_index(ratio.argmin(), ratio.shape)
    q = weights[which, i, j]
    arm = jnp.arange(regret.size)
    return jnp.where(arm == i, q, 0.0) + jnp.where(arm == j, 1 - q, 0.0)
