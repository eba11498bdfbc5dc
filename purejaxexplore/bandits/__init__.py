"""Bandits: ``bandit(policy, world)`` is an algorithm, ``policy = ucb1(world.spec, UCB1Config())`` a learner.

The interface of policies is in :mod:`purejaxexplore.bandits.policy`, that of worlds in
:mod:`purejaxexplore.envs.bandits.world`.
"""

from purejaxexplore.bandits.bandit import bandit
from purejaxexplore.bandits.policy import Aux, Policy
from purejaxexplore.bandits.ucb1 import UCB1Config, ucb1

__all__ = ["Aux", "Policy", "UCB1Config", "bandit", "ucb1"]
