"""Repeated hidden exploration: a bandit algorithm that acts through agents who follow only advice that suits them.

Slivkins (2019), "Introduction to multi-armed bandits", chapter 11, after Mansour, Slivkins and Syrgkanis (2015),
"Bayesian incentive-compatible bandit exploration". Agents come one by one; each is told one of two arms, knows the
prior and this policy but not the history, and obeys only if the arm that it is told is the better one in expectation::

    E[mu_a - mu_b | told a] >= 0      (Bayesian incentive compatibility, BIC)

Arm 0 is at least as good a priori, so left to themselves agents might never try arm 1. The first N_0 agents are told
arm 0. From then on each round explores with probability epsilon, hidden among rounds that exploit:

* explore: any bandit algorithm is asked, and it learns from such rounds alone;
* exploit: the arm of the larger posterior mean given *all* data.

With G the posterior gap ``E[mu_1 - mu_0 | N_0 rewards of arm 0]`` this is BIC for rewards in [0, 1], whatever the
algorithm, if ``epsilon <= E[G 1{G > 0}] / 3``; being told arm 1 is then good news often enough. Different from the
book: exploiting rounds count all data and not only those of exploring ones; the gap given more data is a martingale, so
the expectation of its positive part only grows and the proof is the same.
"""

import math
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.policy import Aux, Policy, first_argmax, require_index_world, require_unit_values
from purejaxexplore.blocks.arms import Arms, new_arms, see
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class HiddenExplorationConfig:
    """Attributes:
    prior_a, prior_b: of the arms' independent Beta priors, positive; the mean of arm 0 is not below that of arm 1.
    warmup: N_0, rounds of arm 0 at first.
    epsilon: chance that a later round explores, in [0, 1]; None: the largest that is proved to be BIC.
    """

    prior_a: tuple[float, float] = flax.struct.field(pytree_node=False)
    prior_b: tuple[float, float] = flax.struct.field(pytree_node=False)
    warmup: int = flax.struct.field(pytree_node=False, default=20)
    epsilon: float | None = None


class HiddenState(NamedTuple):
    """Attributes:
    inner: the algorithm's state.
    arms: all that was seen, Arms[2].
    """

    inner: Any
    arms: Arms


def positive_gap(prior_a: tuple[float, float], prior_b: tuple[float, float], warmup: int) -> float:
    """``E[G 1{G > 0}]``, exactly, G the posterior gap of arm 1 over arm 0 after ``warmup`` rewards of arm 0.

    0 means that arm 0 is never in doubt after so few rewards: nobody can be brought to explore.
    """
    a, b = prior_a[0], prior_b[0]
    other = prior_a[1] / (prior_a[1] + prior_b[1])

    def log_beta(x, y):
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    total = 0.0
    for won in range(warmup + 1):
        chance = math.comb(warmup, won) * math.exp(log_beta(a + won, b + warmup - won) - log_beta(a, b))
        total += chance * max(other - (a + won) / (a + b + warmup), 0.0)
    return total


def hidden_exploration(spec: Spec, config: HiddenExplorationConfig, algorithm: Policy) -> Policy:
    """Advice that agents follow, and that explores as ``algorithm`` does.

    Args:
        spec: of a world of two arms with rewards in [0, 1]; for 0 and 1 the posterior is exact.
        config: the common prior, and how much is explored.
        algorithm: a policy for the same spec.

    Raises:
        TypeError: ``spec`` is not a Spec, or ``algorithm`` not a Policy.
        ValueError: not two arms, rewards leave [0, 1], arm 1 is better a priori, a setting is out of range, or
            ``epsilon`` is None and no exploration is BIC after so short a warm-up.
    """
    require_index_world(spec, "hidden_exploration")
    require_unit_values(spec, "hidden_exploration")
    if spec.num_arms != 2:
        raise ValueError(f"num_arms={spec.num_arms}: hidden_exploration is for 2 arms")
    if not isinstance(algorithm, Policy):
        raise TypeError(f"algorithm={type(algorithm).__name__}: expected a Policy, e.g. ucb1(spec, UCB1Config())")
    require_at_least(0, warmup=config.warmup)
    require_between(1e-6, 1e6, prior_a=config.prior_a, prior_b=config.prior_b)
    a, b = np.asarray(config.prior_a, float), np.asarray(config.prior_b, float)
    if a[0] * (a[1] + b[1]) < a[1] * (a[0] + b[0]):
        raise ValueError(
            f"prior_a={config.prior_a}, prior_b={config.prior_b}: expected arm 0 to be the better a priori"
        )
    epsilon = config.epsilon
    if epsilon is None:
        epsilon = positive_gap(config.prior_a, config.prior_b, config.warmup) / 3
        if not epsilon > 0:
            raise ValueError(f"warmup={config.warmup}: arm 0 is never in doubt after it, expected more rounds")
    require_between(0.0, 1.0, epsilon=epsilon)
    prior_a, prior_b = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)

    def better(arms):
        """The arm of the larger posterior mean; arm 0 if they are equal."""
        return first_argmax((prior_a + arms.total.value) / (prior_a + prior_b + arms.n))

    def init(key):
        return HiddenState(algorithm.init(key), new_arms(2))

    def act(noise, state, observation):
        uniform, inner_noise = noise
        action, aux = algorithm.act(inner_noise, state.inner, observation)
        late = observation.t >= config.warmup
        explores = late & (uniform < epsilon)
        told = jnp.where(late, better(state.arms), 0)
        return jnp.where(explores, action, told), Aux((), (explores, aux))

    def update(state, observation, action, feedback, aux):
        explores, inner_aux = aux.extras
        learnt = algorithm.update(state.inner, observation, action, feedback, inner_aux)
        inner = jax.tree.map(lambda old, new: jnp.where(explores, new, old), state.inner, learnt)
        return HiddenState(inner, see(state.arms, feedback.seen, feedback.value))

    def noise(key, n):
        key_coin, key_inner = jax.random.split(key)
        return jax.random.uniform(key_coin, (n,)), algorithm.noise(key_inner, n)

    return Policy(spec, init, act, update, lambda state: better(state.arms), noise=noise)
