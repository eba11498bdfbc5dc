"""A sequence of pictures as a moving one."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def animate(frames: Iterable[np.ndarray], path: str | os.PathLike, fps: float = 15.0) -> Path:
    """Writes frames as a GIF that plays for ever; in a notebook, ``IPython.display.Image(animate(...))`` shows it.

    Args:
        frames: ``u8[H, W, 3]`` each, at least one, all of one size; an array ``u8[T, H, W, 3]`` will do. Frames of at
            most 256 colours are kept exactly.
        path: of the file; its directory exists.
        fps: frames a second, 1 to 50. A GIF counts in hundredths of a second, so the rate is rounded.

    Returns:
        The path.

    Raises:
        ValueError: no frames, frames of another form, a rate out of range, or no such directory.
    """
    from PIL import Image

    path, frames = Path(path), [np.asarray(frame) for frame in frames]
    if not frames:
        raise ValueError("frames: none given, expected at least one")
    wrong = [f for f in frames if f.dtype != np.uint8 or f.ndim != 3 or f.shape[2] != 3 or f.shape != frames[0].shape]
    if wrong:
        raise ValueError(f"frames hold {wrong[0].dtype}{list(wrong[0].shape)}: expected u8[H, W, 3], all of one size")
    if not 1 <= fps <= 50:
        raise ValueError(f"fps={fps!r}: expected 1 to 50 frames a second")
    if not path.parent.is_dir():
        raise ValueError(f"path={str(path)!r}: its directory does not exist; make it first")
    first, *rest = (Image.fromarray(frame) for frame in frames)
    first.save(path, "GIF", save_all=True, append_images=rest, duration=10 * round(100 / fps), loop=0)
    return path
