"""Heat maps of archives: which way the axes run, and what is refused."""

import numpy as np
import pytest

from purejaxexplore.analysis import archive_maps


def test_first_descriptor_runs_to_the_right_and_second_upwards(tmp_path):
    score = np.full((3, 2), -np.inf)
    score[2, 0] = 7.0  # the largest first descriptor, the smallest second one
    score[0, 1] = 1.0
    figure = archive_maps({"a": score, "b": np.zeros((3, 2))}, ((-3.0, 0.0), (3.0, 1.0)), labels=("x", "y"))
    panel = figure.axes[0]
    image = panel.get_images()[0]
    assert image.origin == "lower" and image.get_extent() == [-3.0, 3.0, 0.0, 1.0]
    shown = image.get_array()
    assert shown.shape == (2, 3) and shown[0, 2] == 7.0 and shown[1, 0] == 1.0
    assert shown.mask.sum() == 4 and image.norm.vmax == 7.0 and image.norm.vmin == 0.0
    figure.savefig(tmp_path / "a.png")


def test_an_empty_archive_can_be_drawn():
    figure = archive_maps({"": np.full((2, 2), -np.inf)}, ((0.0, 0.0), (1.0, 1.0)))
    assert figure.axes[0].get_images()[0].get_array().mask.all()


def test_flat_scores_are_refused():
    with pytest.raises(ValueError, match="shape .4,.*reshape"):
        archive_maps({"a": np.zeros(4)}, ((0.0, 0.0), (1.0, 1.0)))
    with pytest.raises(ValueError, match="at least one"):
        archive_maps({}, ((0.0, 0.0), (1.0, 1.0)))
