"""CombUCB1: several arms at once, each by its upper confidence bound.

Kveton, Wen, Ashkan and Szepesvari (2015), "Tight regret bounds for stochastic combinatorial semi-bandits". Plays the
set of the largest sum of ``mean + sqrt(alpha ln t / n)``, alpha = 1.5, after having seen every arm once. The mean
regret is ``O(K m ln T / gap)`` for sets of m of the K arms; with sets of one arm it is UCB1 with alpha = 1.5.

``sets_as_arms`` is what there is without semi-bandit feedback: any policy of single arms, to which a set is an arm.
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
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, require_spec

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


def sets_as_arms(spec: Spec, sets: np.ndarray, make: Callable[[Spec], Policy]) -> Policy:
    """A policy of F arms, one for each set, that sees of a set nothing but its reward, divided by ``num_chosen``.

    Args:
        spec: of a world of masks.
        sets: bool[F, K], the sets that can be played, each arm in one of them.
        make: ``spec of F arms -> Policy``, for instance ``lambda spec: ucb1(spec, UCB1Config())``.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: the world's actions are not masks, rewards leave [0, 1], or the table of sets does not fit.
    """
    require_spec(spec)
    choice("action", spec.action, ("mask",))
    require_unit_values(spec, "sets_as_arms")
    members = jnp.asarray(_table(spec, sets))
    F = len(members)
    inner = make(Spec(F, stationary=spec.stationary, horizon=spec.horizon))

    def shown(observation):
        return Observation(jnp.zeros((F, 0)), jnp.ones(F, bool), observation.t)

    def act(noise, state, observation):
        number, aux = inner.act(noise, state, shown(observation))
        return members[number], Aux((), (number, aux))

    def update(state, observation, action, feedback, aux):
        number, own = aux.extras
        seen, value = jnp.arange(F) == number, feedback.reward / spec.num_chosen
        whole = Feedback(jnp.where(seen, value, jnp.nan), seen, value, feedback.cost, feedback.done)
        return inner.update(state, shown(observation), number, whole, own)

    return Policy(spec, inner.init, act, update, lambda state: members[inner.recommend(state)], inner.noise)


def _chooser(spec, sets) -> Callable[[jax.Array], jax.Array]:
    """``weights f32[K] -> bool[K]``, the best set under the weights."""
    K, m = spec.num_arms, spec.num_chosen
    if sets is None:
        return lambda weights: jnp.zeros(K, bool).at[jax.lax.top_k(weights, m)[1]].set(True)
    members = jnp.asarray(_table(spec, sets))
    return lambda weights: best_set(members, weights)


def _table(spec, sets) -> np.ndarray:
    """``sets``, if they fit."""
    K, m = spec.num_arms, spec.num_chosen
    table = np.asarray(sets)
    if table.ndim != 2 or table.dtype != bool or table.shape[1] != K:
        raise ValueError(f"sets: {table.dtype} of shape {table.shape}, expected bool of (F, {K})")
    if not table.any(0).all() or table.sum(1).max() > m:
        hidden = np.flatnonzero(~table.any(0)).tolist()
        raise ValueError(
            f"sets: up to {table.sum(1).max()} arms, {hidden} in none; expected at most {m} and every arm"
        )
    return table
