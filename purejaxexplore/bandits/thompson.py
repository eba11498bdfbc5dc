"""Thompson sampling: play each arm as often as it is likely to be the best.

Thompson (1933), "On the likelihood that one unknown probability exceeds another in view of the evidence of two
samples". A sample of each arm's mean is drawn from its posterior, and the arm of the largest is played.

Regret: for Bernoulli rewards and Beta(1, 1) priors asymptotically ``sum_a gap_a ln T / kl(mean_a, max mean)``
(Kaufmann, Korda and Munos 2012, "Thompson sampling: an asymptotically optimal finite-time analysis"); averaged over
instances drawn from the prior at most ``sqrt(H K T / 2)``, with H <= ln K the entropy of the best arm (Russo and Van
Roy 2016, "An information-theoretic analysis of Thompson sampling").
"""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.index import most_promising
from purejaxexplore.bandits.policy import Aux, Policy, first_argmax, require_index_world, require_unit_values
from purejaxexplore.blocks.arms import forget, new_arms, see
from purejaxexplore.blocks.betas import beta_log_odds
from purejaxexplore.checks import require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class BetaThompsonConfig:
    """Attributes:
    prior_a, prior_b: of the Beta prior, at least 1; may be traced.
    discount: of everything seen, at each pull; 1 for the stationary policy, 0.99 in Raj and Kalyani (2017), "Taming
        non-stationary bandits: a Bayesian approach"; may be traced.
    """

    prior_a: float = 1.0
    prior_b: float = 1.0
    discount: float = 1.0


@flax.struct.dataclass
class GaussianThompsonConfig:
    """Attributes:
    sigma: standard deviation of the rewards that the posterior assumes; 1/2 for rewards in [0, 1]; may be traced.
    prior_mean: of the means; may be traced.
    prior_sd: standard deviation of the prior, infinite for a flat one (every arm is then played once first).
    """

    sigma: float = 0.5
    prior_mean: float = 0.0
    prior_sd: float = np.inf


def beta_thompson(spec: Spec, config: BetaThompsonConfig) -> Policy:
    """Thompson sampling for Bernoulli rewards; a reward r in [0, 1] counts as r successes and 1 - r failures.

    Samples are made of one normal each (:mod:`purejaxexplore.blocks.betas`), within 0.0004 of the exact distribution.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], or a setting is out of range.
    """
    require_index_world(spec, "beta_thompson")
    require_unit_values(spec, "beta_thompson")
    require_between(1.0, np.inf, prior_a=config.prior_a, prior_b=config.prior_b)
    require_between(0.0, 1.0, discount=config.discount)

    def init(key):
        return new_arms(spec.num_arms, discounted=True)

    def act(normal, arms, observation):
        good = jnp.clip(arms.total.value, 0.0, arms.n)
        sample = beta_log_odds(normal, config.prior_a + good, config.prior_b + arms.n - good)
        return first_argmax(jnp.where(observation.mask, sample, -jnp.inf)), Aux()

    def update(arms, observation, action, feedback, aux):
        return see(forget(arms, config.discount), feedback.seen, feedback.value)

    return Policy(spec, init, act, update, most_promising, noise=normals(spec))


def gaussian_thompson(spec: Spec, config: GaussianThompsonConfig) -> Policy:
    """Thompson sampling with a Gaussian posterior.

    For rewards that are no Gaussians of standard deviation ``sigma`` it is still a policy of logarithmic regret if they
    are sigma-sub-Gaussian, with slope ``2 sigma^2 sum_a 1 / gap_a``.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, or a setting is out of range.
    """
    require_index_world(spec, "gaussian_thompson")
    require_between(1e-12, np.inf, sigma=config.sigma, prior_sd=config.prior_sd)

    def act(normal, arms, observation):
        ratio = jnp.square(config.sigma / config.prior_sd)  # pulls that the prior is worth
        weight = arms.n + ratio
        mean = (arms.total.value + ratio * config.prior_mean) / jnp.maximum(weight, 1e-30)
        sample = jnp.where(weight > 0, mean + config.sigma * normal * jax.lax.rsqrt(weight), jnp.inf)
        return first_argmax(jnp.where(observation.mask, sample, -jnp.inf)), Aux()

    def update(arms, observation, action, feedback, aux):
        return see(arms, feedback.seen, feedback.value)

    return Policy(spec, lambda key: new_arms(spec.num_arms), act, update, most_promising, noise=normals(spec))


def normals(spec: Spec) -> Callable[[jax.Array, int], jax.Array]:
    """The noise of a policy that draws a standard normal for each arm: ``(key, n) -> f32[n, K]``."""
    return lambda key, n: jax.random.normal(key, (n, spec.num_arms))
