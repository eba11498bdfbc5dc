"""CombUCB1: several arms at once, each by its upper confidence bound.

Kveton, Wen, Ashkan and Szepesvari (2015), "Tight regret bounds for stochastic combinatorial semi-bandits". Plays the
set of the largest sum of ``mean + sqrt(alpha ln t / n)``, alpha = 1.5, after having seen every arm once. The mean
regret is ``O(K m ln T / gap)`` for sets of m of the K arms; with sets of one arm it is UCB1 with alpha = 1.5.
"""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.policy import Aux, Policy, no_noise, require_unit_values
from purejaxexplore.blocks.arms import new_arms, see
from purejaxexplore.checks import choice, require_between
from purejaxexplore.envs.bandits.combinatorial import best_set
from purejaxexplore.envs.bandits.world import Spec, require_spec

_UNSEEN = 1e6
"""The bound of an arm that was never seen: finite, as sets add bounds."""


@flax.struct.dataclass
class CombUCBConfig:
    """Attributes:
    alpha: of the bonus, >= 0; may be traced.
    """

    alpha: float = 1.5


def comb_ucb1(spec: Spec, config: CombUCBConfig, sets: np.ndarray | None = None) -> Policy:
    """CombUCB1.

    Args:
        spec: of a world of masks whose chosen arms are seen.
        config: the bonus.
        sets: bool[F, K], the sets that can be played, each arm in one of them; None: any ``num_chosen`` arms.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: the world's actions are not masks, rewards leave [0, 1], ``alpha`` is negative, or the table of sets
            does not fit.
    """
    require_spec(spec)
    choice("action", spec.action, ("mask",))
    require_unit_values(spec, "comb_ucb1")
    require_between(0.0, np.inf, alpha=config.alpha)
    choose = _chooser(spec, sets)

    def act(noise, arms, observation):
        bound = arms.mean + jnp.sqrt(config.alpha * jnp.log(observation.t + 1.0) * arms.share)
        action = choose(jnp.where(arms.n > 0, bound, _UNSEEN))
        return action, Aux(action.astype(jnp.float32))

    def update(arms, observation, action, feedback, aux):
        return see(arms, feedback.seen, feedback.value)

    return Policy(
        spec, lambda key: new_arms(spec.num_arms), act, update, lambda arms: choose(arms.mean), noise=no_noise
    )


def _chooser(spec, sets) -> Callable[[jax.Array], jax.Array]:
    """``weights f32[K] -> bool[K]``, the best set under the weights."""
    K, m = spec.num_arms, spec.num_chosen
    if sets is None:
        return lambda weights: jnp.zeros(K, bool).at[jax.lax.top_k(weights, m)[1]].set(True)
    table = np.asarray(sets)
    if table.ndim != 2 or table.dtype != bool or table.shape[1] != K:
        raise ValueError(f"sets: {table.dtype} of shape {table.shape}, expected bool of (F, {K})")
    if not table.any(0).all() or table.sum(1).max() > m:
        hidden = np.flatnonzero(~table.any(0)).tolist()
        raise ValueError(
            f"sets: up to {table.sum(1).max()} arms, {hidden} in none; expected at most {m} and every arm"
        )
    members = jnp.asarray(table)
    return lambda weights: best_set(members, weights)
