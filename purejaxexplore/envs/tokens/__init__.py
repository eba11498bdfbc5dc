"""Worlds whose states are a few symbols: numbers, tokens, expressions."""

from purejaxexplore.envs.tokens.form_fill import FormFill, FormFillParams, FormFillState
from purejaxexplore.envs.tokens.game24 import Game24, Game24Params, Game24State, multisets, solvable_puzzles
from purejaxexplore.envs.tokens.game24_puzzles import HARD_PUZZLES
from purejaxexplore.envs.tokens.text_rooms import TextRooms, TextRoomsParams, TextRoomsState

__all__ = [
    "HARD_PUZZLES",
    "FormFill",
    "FormFillParams",
    "FormFillState",
    "Game24",
    "Game24Params",
    "Game24State",
    "TextRooms",
    "TextRoomsParams",
    "TextRoomsState",
    "multisets",
    "solvable_puzzles",
]
