"""The Python libraries that `bandits.py` is measured against: mabwiser and SMPyBandits, as loops over pulls.

Each is used as its documentation says, for Bernoulli arms. SMPyBandits asks scipy for two functions that left it under
these names; they are given back before it is imported.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Peer(NamedTuple):
    """A library's policy.

    Attributes:
        start: ``(draw) -> learner``, where ``draw(arm)`` pulls an arm that the library wants to have seen first.
        choose: ``learner -> arm``.
        learn: ``(learner, arm, reward) -> None``.
    """

    start: Callable[[Callable[[int], int]], Any]
    choose: Callable[[Any], int]
    learn: Callable[[Any, int, int], None]


def mabwiser(name: str, num_arms: int) -> Peer | None:
    """UCB1 and Thompson sampling, else None; every arm is pulled once before, or it refuses to choose."""
    from mabwiser.mab import MAB, LearningPolicy

    rules = {"ucb1": lambda: LearningPolicy.UCB1(alpha=1.0), "beta_thompson": LearningPolicy.ThompsonSampling}
    if name not in rules:
        return None

    def start(draw):
        learner, arms = MAB(list(range(num_arms)), rules[name]()), list(range(num_arms))
        learner.fit(arms, [draw(arm) for arm in arms])
        return learner

    return Peer(start, lambda learner: learner.predict(), lambda learner, a, r: learner.partial_fit([a], [r]))


def smpybandits(name: str, num_arms: int) -> Peer | None:
    """UCB1, Thompson sampling and KL-UCB, else None."""
    from scipy import special

    for old, new in (("btdtri", special.betaincinv), ("btdtr", special.betainc)):
        if not hasattr(special, old):
            setattr(special, old, new)
    from SMPyBandits.Policies import UCB, Thompson, klUCB

    rules = {"ucb1": UCB, "beta_thompson": Thompson, "kl_ucb": klUCB}
    if name not in rules:
        return None

    def start(draw):
        learner = rules[name](num_arms)
        learner.startGame()
        return learner

    return Peer(start, lambda learner: learner.choice(), lambda learner, a, r: learner.getReward(a, float(r)))


def play(peer: Peer, means: np.ndarray, pulls: int, rng: np.random.Generator) -> np.ndarray:
    """How often each arm was pulled, i64[K]; those that ``start`` pulls are among the ``pulls``."""
    counts, uniform = np.zeros(len(means), np.int64), iter(rng.random(pulls))

    def draw(arm: int) -> int:
        counts[arm] += 1
        return int(next(uniform) < means[arm])

    learner = peer.start(draw)
    for _ in range(pulls - counts.sum()):
        arm = peer.choose(learner)
        peer.learn(learner, arm, draw(arm))
    return counts
