"""Worlds whose states are a few symbols: numbers, tokens, expressions."""

from purejaxexplore.envs.tokens.game24 import Game24, Game24Params, Game24State, multisets, solvable_puzzles
from purejaxexplore.envs.tokens.game24_puzzles import HARD_PUZZLES

__all__ = ["HARD_PUZZLES", "Game24", "Game24Params", "Game24State", "multisets", "solvable_puzzles"]
