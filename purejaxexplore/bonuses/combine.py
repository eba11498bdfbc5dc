"""Bonuses made from bonuses."""

from purejaxexplore.bonuses.bonus import Bonus


def with_reward(bonus: Bonus, coef: float = 1.0) -> Bonus:
    """The bonus plus ``coef`` times the environment's reward, for one value head over both.

    Two heads with a discount and an episode flag of their own are the alternative: Burda, Edwards, Storkey and Klimov
    (2018), "Exploration by random network distillation", section 2.3.
    """

    def shape(state, raw, batch):
        state, shaped = bonus.shape(state, raw, batch)
        return state, shaped + coef * batch.steps.reward

    def rescore(key, state, steps):
        return bonus.rescore(key, state, steps) + coef * steps.reward

    return bonus._replace(shape=shape, rescore=None if bonus.rescore is None else rescore)
