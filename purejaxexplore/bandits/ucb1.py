"""UCB1: optimism in the face of uncertainty.

Auer, Cesa-Bianchi and Fischer (2002), "Finite-time analysis of the multiarmed bandit problem". Plays the largest

    mean_a + sqrt(alpha ln t / n_a),        alpha = 2 for values in [0, 1].

Regret: at most ``sum_a 8 ln T / gap_a + (1 + pi^2/3) sum_a gap_a`` for alpha = 2 and values in [0, 1]; its slope in
``ln T`` tends to ``alpha sum_a 1 / gap_a``. Smaller alpha explores less; the smallest with logarithmic regret is
``2 sigma^2`` for sigma-sub-Gaussian values, 1/2 for values in [0, 1].
"""

import flax.struct
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.index import index_policy
from purejaxexplore.bandits.policy import Policy, require_index_world
from purejaxexplore.checks import require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class UCB1Config:
    """Attributes:
    alpha: factor of ``ln t / n`` under the root, in squared units of the values; may be traced.
    """

    alpha: float = 2.0


def ucb1(spec: Spec, config: UCB1Config) -> Policy:
    """The policy; values may be unbounded where ``alpha`` is chosen for their tails.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, or ``alpha`` is negative.
    """
    require_index_world(spec, "ucb1")
    require_between(0.0, np.inf, alpha=config.alpha)

    def index(arms, t):
        return arms.mean + jnp.sqrt(config.alpha * jnp.log(t) * arms.share)

    return index_policy(spec, index)
