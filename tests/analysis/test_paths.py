"""Paths over a world: where they are drawn, and what is refused."""

import numpy as np
import pytest

from purejaxexplore.analysis import path_maps
from purejaxexplore.analysis.paths import _LANE, _to_the_right

WORLD = np.full((32, 48, 3), 200, np.uint8)  # two rows of three tiles
THERE = np.array([[0, 0], [0, 1], [0, 1], [0, 2]])


def test_a_way_there_and_back_keeps_to_the_right():
    """To the right in the picture is below a way to the right, above a way to the left, left of a way down."""
    np.testing.assert_allclose(_to_the_right(THERE), THERE + (_LANE, 0.0))
    np.testing.assert_allclose(_to_the_right(THERE[::-1]), THERE[::-1] - (_LANE, 0.0))
    down = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(_to_the_right(down), down - (0.0, _LANE))
    corner = _to_the_right(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))[1]
    np.testing.assert_allclose(corner, [_LANE / 2, 1.0 - _LANE / 2])
    for still in (THERE[:1], THERE[1:3]):
        np.testing.assert_array_equal(_to_the_right(still), still)


def test_one_panel_a_method_and_one_scale():
    figure = path_maps({"Demonstration": [THERE], "Policy": [THERE[:2], THERE[:1]]}, WORLD, (2, 3))
    figure.canvas.draw()
    *panels, bar = figure.axes
    assert [panel.get_title("left") for panel in panels] == ["Demonstration", "Policy"]
    assert [len(panel.collections) for panel in panels] == [3, 6]  # a line, a start and an end for each path
    line = panels[0].collections[0]
    np.testing.assert_allclose(line.get_segments()[0], [[0.0, _LANE], [1.0, _LANE]])  # x, then y
    assert line.get_clim() == panels[1].collections[0].get_clim() == (0, 3)
    assert panels[0].get_xlim() == (-0.5, 2.5) and panels[0].get_ylim() == (1.5, -0.5)
    assert bar.get_ylabel() == "Step of the episode"


@pytest.mark.parametrize(
    ("paths", "background", "message"),
    [
        ({}, WORLD, "paths: expected at least one method"),
        ({"a": [np.zeros((0, 2))]}, WORLD, r"a path of 'a' has shape \(0, 2\): expected"),
        ({"a": [np.zeros((4, 3))]}, WORLD, r"a path of 'a' has shape \(4, 3\)"),
        ({"a": [[[0.0, np.nan]]]}, WORLD, "expected finite rows and columns"),
        ({"a": [THERE]}, WORLD / 255, r"background is float64\[32, 48, 3\]: expected u8\[H, W, 3\]"),
    ],
)
def test_what_is_no_path_is_refused(paths, background, message):
    with pytest.raises(ValueError, match=message):
        path_maps(paths, background, (2, 3))
