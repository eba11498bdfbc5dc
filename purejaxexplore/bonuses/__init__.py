"""Intrinsic rewards: one interface (:class:`~purejaxexplore.bonuses.bonus.Bonus`), one file a bonus."""
