"""Figures of archives: the score of every cell over the descriptor."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from purejaxexplore.analysis.style import FULL_WIDTH, HALF_WIDTH, INK, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EMPTY = "#EDEDED"


def archive_maps(
    scores: Mapping[str, np.ndarray],
    box: tuple[tuple[float, float], tuple[float, float]],
    *,
    labels: tuple[str, str] = ("First descriptor", "Second descriptor"),
    label: str = "Fitness",
    limits: tuple[float, float] | None = None,
) -> "Figure":
    """One heat map an archive, side by side on one colour scale; empty cells are grey.

    The first coordinate of the descriptor runs to the right and the second upwards, whatever the numbers of cells:
    that is the layout of an archive whose ``score`` was reshaped to its ``bins``.

    Args:
        scores: method -> f64[bins_x, bins_y], -inf where a cell is empty.
        box: lower and upper corner of the descriptor.
        labels: of the two axes, with their units.
        label: of the colour bar.
        limits: lowest and highest score of the colour bar; by default those of the archives.

    Raises:
        ValueError: no archive, or one that is not two-dimensional.
    """
    if not scores:
        raise ValueError("scores: expected at least one archive")
    scores = {name: np.asarray(table, np.float64) for name, table in scores.items()}
    for name, table in scores.items():
        if table.ndim != 2:
            raise ValueError(f"scores of {name!r} have shape {table.shape}: expected [bins_x, bins_y], reshape them")
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    finite = np.concatenate([table[np.isfinite(table)] for table in scores.values()])
    if limits is None:
        limits = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    norm, cmap = Normalize(*limits), colormaps["viridis"]
    columns = min(4, len(scores))
    rows = -(-len(scores) // columns)
    width = HALF_WIDTH if columns == 1 else FULL_WIDTH
    (left, bottom), (right, top) = box
    with style():
        side = (width - 1.7) / columns
        figure = Figure(figsize=(width, rows * (side + 0.2) + 0.55))
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for panel, (name, table) in zip(axes.flat, scores.items(), strict=False):
            shown = np.ma.masked_invalid(table).T
            panel.imshow(
                shown, origin="lower", extent=(left, right, bottom, top), aspect="auto", interpolation="nearest",
                cmap=cmap, norm=norm,
            )  # fmt: skip
            panel.set(facecolor=_EMPTY, box_aspect=(top - bottom) / (right - left))
            panel.set_title(name, fontweight="normal" if len(scores) > 1 else "bold")
            panel.grid(visible=False)
            panel.set_xticks([left, (left + right) / 2, right])
            panel.set_yticks([bottom, (bottom + top) / 2, top])
            for tick, side_of_it in zip(panel.get_xticklabels(), ("left", "center", "right"), strict=True):
                tick.set_horizontalalignment(side_of_it)  # so that neighbouring panels keep their labels apart
        for panel in axes.flat[len(scores) :]:
            panel.set_axis_off()
        figure.supxlabel(labels[0], fontsize=9, color=INK)
        figure.supylabel(labels[1], fontsize=9, color=INK)
        bar = figure.colorbar(ScalarMappable(norm, cmap), ax=list(axes.flat), fraction=0.05, pad=0.02, aspect=18)
        bar.set_label(label)
        bar.outline.set_visible(False)
    return figure
