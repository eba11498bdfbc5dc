"""A GIF holds the frames it was given."""

import numpy as np
import pytest
from PIL import Image, ImageSequence

from purejaxexplore.analysis import animate


def test_frames_and_rate_come_back(tmp_path):
    frames = np.zeros((3, 8, 12, 3), np.uint8)
    for number, frame in enumerate(frames):
        frame[2:6, 3 * number : 3 * number + 4] = (250 - 60 * number, 40, 20 * number)
    path = animate(frames, tmp_path / "three.gif", fps=20)
    with Image.open(path) as gif:
        read = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)]
        assert gif.info["duration"] == 50 and gif.info["loop"] == 0
    assert np.array_equal(read, frames)


@pytest.mark.parametrize(
    "frames, fps, message",
    [
        ([], 15, "none given"),
        (np.zeros((2, 4, 4, 3)), 15, r"float64\[4, 4, 3\]: expected u8"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)], 15, "all of one size"),
        (np.zeros((1, 4, 4, 3), np.uint8), 0, "fps=0"),
    ],
)
def test_refusals(tmp_path, frames, fps, message):
    with pytest.raises(ValueError, match=message):
        animate(frames, tmp_path / "x.gif", fps)
    assert not list(tmp_path.iterdir())


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        animate(np.zeros((1, 4, 4, 3), np.uint8), tmp_path / "nowhere" / "x.gif")
