"""Figures of trajectories: the ways that episodes took, drawn over the picture of their world."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from purejaxexplore.analysis.plots import picture_of
from purejaxexplore.analysis.style import FULL_WIDTH, HALF_WIDTH, INK, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LANE = 0.16  # of a tile: how far from its middle line a way is drawn


def path_maps(
    paths: Mapping[str, Sequence[np.ndarray]],
    background: np.ndarray,
    tiles: tuple[int, int],
    *,
    label: str = "Step of the episode",
) -> "Figure":
    """One panel a method: its paths over the picture of the world, coloured by the step.

    A path keeps to the right of the tiles that it passes, so that ways there and back lie side by side. A circle marks
    its start and a star its end.

    Args:
        paths: method -> paths f64[L, 2] of at least one point each, rows and columns of tiles from the upper left
            one, whose middle is (0, 0).
        background: u8[H, W, 3], for instance ``env.map_background(params)``.
        tiles: rows and columns of tiles in the picture.
        label: of the colour bar.

    Raises:
        ValueError: no method, a path that is none, or a background that is no picture.
    """
    if not paths:
        raise ValueError("paths: expected at least one method")
    paths = {name: [_path(name, path) for path in group] for name, group in paths.items()}
    picture = picture_of("background", background)
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.figure import Figure

    longest = max((len(path) for group in paths.values() for path in group), default=1)
    norm = Normalize(0, max(longest - 1, 1))
    cmap = ListedColormap(colormaps["plasma"](np.linspace(0.0, 0.82, 256)))  # its yellow end is lost on a light floor
    columns = min(3, len(paths))
    rows = -(-len(paths) // columns)
    width = HALF_WIDTH if columns == 1 else FULL_WIDTH
    with style():
        tall = rows * ((width - 0.7) / columns * picture.shape[0] / picture.shape[1] + 0.25)
        figure = Figure(figsize=(width, tall))
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
        for panel, (name, group) in zip(axes, paths.items(), strict=False):
            panel.imshow(picture, extent=(-0.5, tiles[1] - 0.5, tiles[0] - 0.5, -0.5), interpolation="nearest")
            panel.autoscale(False)
            for path in group:
                drawn = _to_the_right(path)[:, ::-1]
                segments = np.stack([drawn[:-1], drawn[1:]], 1)
                panel.add_collection(
                    LineCollection(
                        segments, array=np.arange(len(segments)), cmap=cmap, norm=norm, capstyle="round",
                        linewidth=1.8 if len(group) == 1 else 1.1, alpha=1.0 if len(group) == 1 else 0.7,
                    )  # fmt: skip
                )
                ends = {"edgecolor": "white", "linewidth": 0.7, "zorder": 3}
                panel.scatter(*drawn[0], s=26, color=cmap(0.0), marker="o", **ends)
                panel.scatter(*drawn[-1], s=60, color=cmap(norm(len(path) - 1)), marker="*", **ends)
            panel.set_title(name, fontweight="normal" if len(paths) > 1 else "bold")
        for panel in axes:
            panel.set_axis_off()
        bar = figure.colorbar(
            ScalarMappable(norm, cmap), ax=list(axes), fraction=0.05, pad=0.02, aspect=22, shrink=0.95
        )
        bar.set_label(label, color=INK)
        bar.outline.set_visible(False)
    return figure


def _path(name: str, path: np.ndarray) -> np.ndarray:
    path = np.asarray(path, np.float64)
    if path.ndim != 2 or path.shape[1] != 2 or not len(path) or not np.isfinite(path).all():
        raise ValueError(f"a path of {name!r} has shape {path.shape}: expected finite rows and columns [L, 2]")
    return path


def _to_the_right(path: np.ndarray) -> np.ndarray:
    """The path f64[L, 2], rows and columns, moved to the right-hand side of its own direction."""
    move = np.diff(path, axis=0)
    length = np.linalg.norm(move, axis=1, keepdims=True)
    going = length[:, 0] > 0
    if not going.any():
        return path
    # Who stands still keeps the direction of the last move, or has that of the first one to come.
    number = np.maximum.accumulate(np.where(going, np.arange(len(move)), going.argmax()))
    direction = (move / np.maximum(length, 1e-12))[number]
    right = np.stack([direction[:, 1], -direction[:, 0]], 1)  # rows grow downwards
    beside = (np.concatenate([right[:1], right]) + np.concatenate([right, right[-1:]])) / 2
    return path + _LANE * beside
