"""NovelD: Zhang, Xu, Wang, Wu, Keutzer, Gonzalez and Tian (2021), "NovelD: a simple yet effective exploration
criterion".

Pays for crossing from the familiar to the novel, once an episode::

    raw = max(n(o') - alpha n(o), 0) 1[N_ep(o') = 1]        n: the error of random network distillation

Different here: visits are of numbered states or of groups of them; the observations in which episodes begin are no
step's successors, so at half of the ends of episodes they train the predictor in place of the terminal successor
(untrained they would hide for ever what lies one step from the start); rewards are scaled as those of RND are.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, score_one, score_rollout
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.checks import require_between


@struct.dataclass
class NovelDConfig:
    """Attributes:
    num_states: size of the table of visits.
    alpha: weight of the novelty that a step leaves, [0, 1].
    rnd: of the novelty, with its scaling.
    episodic: whether only the first visit of an episode is paid; False is the ablation without that factor.
    """

    num_states: int = struct.field(pytree_node=False)
    alpha: float = 0.5
    rnd: RNDConfig = RNDConfig()
    episodic: bool = struct.field(pytree_node=False, default=True)


def novel_d(config: NovelDConfig, groups: np.ndarray | None = None) -> Bonus:
    """The bonus; ``groups`` as of :func:`~purejaxexplore.bonuses.counts.counts`.

    State: that of :func:`~purejaxexplore.bonuses.rnd.rnd` with ``mem: i32[N, S]``, visits of this episode.

    Raises:
        ValueError: ``alpha`` is out of its range, or as ``rnd`` and ``counts``.
    """
    require_between(0.0, 1.0, alpha=config.alpha)
    novelty = rnd(config.rnd)
    visits = counts(CountsConfig(config.num_states, reward="salesman"), groups)

    def init(key, steps):
        key_novelty, key_visits = jax.random.split(key)
        return novelty.init(key_novelty, steps)._replace(mem=visits.init(key_visits, steps).mem)

    def score_all(key, state, steps):
        key_to, key_from, key_visits = jax.random.split(key, 3)
        lifelong = state._replace(mem=())
        _, reached = score_rollout(key_to, novelty, lifelong, steps)
        _, left = score_rollout(key_from, novelty, lifelong, steps._replace(next_obs=steps.obs))
        state, first = score_rollout(key_visits, visits, state, steps)
        gain = jnp.maximum(reached - config.alpha * left, 0.0)
        return state, gain * first if config.episodic else gain

    def update(key, state, batch):
        key_coin, key_fit = jax.random.split(key)
        steps = batch.steps
        begin = steps.done & jax.random.bernoulli(key_coin, 0.5, steps.done.shape)
        begin = begin.reshape((*begin.shape, *[1] * (steps.next_obs.ndim - begin.ndim)))
        trained_on = steps._replace(next_obs=jnp.where(begin, steps.reset_obs, steps.next_obs))
        return novelty.update(key_fit, state, batch._replace(steps=trained_on))

    score = score_one(score_all)
    return Bonus(init, novelty.observe, score, novelty.shape, update, needs_state_id=True, score_all=score_all)
