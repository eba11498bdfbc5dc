"""Worlds that are tables of states, with the gymnax interface."""

from purejaxexplore.envs.tabular.combo_lock import ComboLock, ComboLockParams, ComboLockState

__all__ = ["ComboLock", "ComboLockParams", "ComboLockState"]
