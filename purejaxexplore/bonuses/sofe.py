"""SOFE: Castanyer, Courville and Bengio (2023), "Improving intrinsic exploration by creating stationary objectives".

A count bonus depends on data that the policy cannot see, so its objective drifts. SOFE appends the bonus's sufficient
statistics to the observation, ``[o_t, phi(N_t)]``, and the augmented problem is stationary. ``N_t`` includes ``o_t``,
excludes ``o_{t+1}``. The encoding of counts (``log1p``) is ours; the paper leaves it open.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bonuses.bonus import Bonus, BonusState
from purejaxexplore.bonuses.counts import CountsConfig, counts


def expose(bonus: Bonus, features: Callable[[BonusState], jax.Array]) -> Bonus:
    """Shows the policy ``features(state) -> f32[N, F]`` of a bonus, which must then be scored inside the rollout."""
    return bonus._replace(observe=features, defer=False)


def log_counts(state: BonusState) -> jax.Array:
    """``log(1 + N)`` of an episodic count table, f32[N, S]."""
    return jnp.log1p(state.mem.astype(jnp.float32))


def sofe(
    config: CountsConfig,
    groups: np.ndarray | None = None,
    features: Callable[[BonusState], jax.Array] = log_counts,
) -> Bonus:
    """Episodic counts of states, or of groups of states, exposed.

    Raises:
        ValueError: the counts are not episodic (lifelong ones grow without bound; expose them relative to their
            maximum with :func:`expose`), or as :func:`~purejaxexplore.bonuses.counts.counts`.
    """
    if not config.episodic:
        raise ValueError("episodic=False: sofe exposes episodic counts; use expose(counts(config), features) instead")
    return expose(counts(config, groups), features)
