"""A route through all of level 0, found by ``experiments/tools/pyramid_route.py``: an expert to measure others by."""

import re

import numpy as np

_LETTERS = {".": 0, "!": 1, "u": 2, "r": 3, "l": 4, "d": 5, "R": 11, "L": 12}
"""Noop, fire, up, right, left, down, jumps to the right and to the left."""

ROUTE = (
    "d12l2L.L.10rR.7ru12l32.7rd12r12d10l14d12r15l28u12lL.4L.6l3r4R.4R.6d12l14d10l4d12r19l32u12lL.5l4r4R.5rd12r13u12"
    "r7R.5r55u10l5r5d10l14d12r2R.4r2R.5rR.18L.4lL.5l4L.6lu12r31R.5r11d12l17r3d10r3R.5r5d12l17.4r17u12l3L.5l5u10r14"
    "u12r27u10l6L.u7L.4l4r3R.5d8L.7l15L.4L.4L.4lr4R.7ru12lL.5l6u10r4R.5r3u12r3.18l22.13r19d12l12d10r12d12r24R.5r2"
    "d10l18d12R.5R.5R.5R.5r11u12r9R.5r.3l3L.5l7d12r7R.5r2d10l18d12r7R.5r32l5u12lL.5l4.7r4R.5rd12l25L.5l5.3l4u12r18"
    "u10l28.12L.5u12l23L.5l67L.5l9d12l21d10rR.5rR.5rd12l35L.5R.5u12lL.5l2r2R.5rd12r40.2r4R.4r4R.6r8.2r4u12r18u10l20"
    "u12r66R.5r3d12l14d10r3R.5r5d12r5.28l5u12l3L.5l5u10r14u12l11L.5l58d12r20d10l18d12r31R.5rR.5r16R.5rR.5r16R.5rR.5"
    "r16R.4"
)
"""Letters, each with the number of its repetitions where there are several."""


def actions(route: str) -> np.ndarray:
    """The actions of a route, ``i32[L]``."""
    runs = re.findall(r"(\D)(\d*)", route)
    return np.repeat([_LETTERS[letter] for letter, _ in runs], [int(n or 1) for _, n in runs]).astype(np.int32)


def compact(actions: list[int]) -> str:
    """The route of some actions."""
    letters = {action: letter for letter, action in _LETTERS.items()}
    text = "".join(letters[action] for action in actions)
    return re.sub(r"(.)\1+", lambda run: f"{run[1]}{len(run[0])}", text)
