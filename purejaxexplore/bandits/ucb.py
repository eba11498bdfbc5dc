"""The family of upper confidence bounds for rewards of bounded range or of given tails.

Each plays the arm of the largest index, with ``m`` the mean and ``v`` the variance of the ``n`` rewards of an arm:

* ``ucb1``: ``m + sqrt(alpha ln t / n)``. Auer, Cesa-Bianchi and Fischer (2002), "Finite-time analysis of the
  multiarmed bandit problem", alpha = 2.
* ``ucb_tuned``: ``m + sqrt(ln t / n * min(1/4, v + sqrt(2 ln t / n)))``. The same paper; no bound is proved.
* ``ucb_v``: ``m + sqrt(2 zeta v ln t / n) + 3 c zeta ln t / n``. Audibert, Munos and Szepesvari (2009),
  "Exploration-exploitation tradeoff using variance estimates in multi-armed bandits".
* ``moss``: ``m + sqrt(max(0, ln(T / (K n))) / n)``. Audibert and Bubeck (2009), "Minimax policies for adversarial and
  stochastic bandits".
"""

import flax.struct
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.index import index_policy
from purejaxexplore.bandits.policy import Policy, require_horizon, require_index_world, require_unit_values
from purejaxexplore.checks import require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class UCB1Config:
    """Attributes:
    alpha: factor of ``ln t / n`` under the root, in squared units of the rewards; may be traced.
    """

    alpha: float = 2.0


@flax.struct.dataclass
class UCBVConfig:
    """Attributes:
    zeta: factor of ``ln t``, above 1 for logarithmic regret.
    c: factor of the term of order ``1 / n``, which covers the error of the variance.
    """

    zeta: float = 1.0
    c: float = 1.0


@flax.struct.dataclass
class MOSSConfig:
    """Attributes:
    horizon: ``T``, pulls, at least the number of arms; may be traced.
    sigma: the rewards are sigma-sub-Gaussian; 1/2 for rewards in [0, 1].
    """

    horizon: float
    sigma: float = 0.5


def ucb1(spec: Spec, config: UCB1Config) -> Policy:
    """UCB1, and UCB(alpha) for another ``alpha``; rewards may be unbounded where ``alpha`` is chosen for their tails.

    Regret: at most ``8 sum_a ln T / gap_a + (1 + pi^2/3) sum_a gap_a`` for alpha = 2 and rewards in [0, 1]. Its slope
    in ``ln T`` tends to ``alpha sum_a 1 / gap_a``. The smallest alpha with logarithmic regret is ``2 sigma^2`` for
    sigma-sub-Gaussian rewards: 1/2 for rewards in [0, 1].

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, or ``alpha`` is negative.
    """
    require_index_world(spec, "ucb1")
    require_between(0.0, np.inf, alpha=config.alpha)

    def index(arms, t):
        return arms.mean + jnp.sqrt(config.alpha * jnp.log(t) * arms.share)

    return index_policy(spec, index)


def ucb_tuned(spec: Spec) -> Policy:
    """UCB1-tuned, for rewards in [0, 1]; no regret bound is known, though it beats UCB1 nearly everywhere.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, or rewards leave [0, 1].
    """
    require_index_world(spec, "ucb_tuned")
    require_unit_values(spec, "ucb_tuned")

    def index(arms, t):
        ratio = jnp.log(t) * arms.share
        return arms.mean + jnp.sqrt(ratio * jnp.minimum(0.25, arms.variance + jnp.sqrt(2 * ratio)))

    return index_policy(spec, index, variance=True)


def ucb_v(spec: Spec, config: UCBVConfig) -> Policy:
    """UCB-V, for rewards in [0, 1].

    Regret: at most ``10 sum_a (v_a / gap_a + 2) ln T`` for zeta = 1.2, c = 1, with ``v_a`` the variance of arm a:
    smaller than UCB1's where rewards vary little.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], or a setting is negative.
    """
    require_index_world(spec, "ucb_v")
    require_unit_values(spec, "ucb_v")
    require_between(0.0, np.inf, zeta=config.zeta, c=config.c)

    def index(arms, t):
        ratio = config.zeta * jnp.log(t) * arms.share
        return arms.mean + jnp.sqrt(2 * arms.variance * ratio) + 3 * config.c * ratio

    return index_policy(spec, index, variance=True)


def moss(spec: Spec, config: MOSSConfig) -> Policy:
    """MOSS.

    Regret: at most ``49 sqrt(K T)`` for rewards in [0, 1] (Theorem 5), the minimax rate without a logarithm. Its
    slope in ``ln T`` at a fixed horizon is no constant of the instance: the index stops exploring an arm with
    ``n >= T / K``.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, the horizon is below the number of arms, ``sigma`` is
            negative.
    """
    require_index_world(spec, "moss")
    require_horizon(config.horizon, spec.num_arms)
    require_between(0.0, np.inf, sigma=config.sigma)

    def index(arms, t):
        left = jnp.maximum(jnp.log(config.horizon / spec.num_arms * arms.share), 0.0)
        return arms.mean + 2 * config.sigma * jnp.sqrt(left * arms.share)

    return index_policy(spec, index)
