"""Figures of runs: learning curves, final scores, and where in a world the seeds have been.

Every function returns a ``matplotlib.figure.Figure`` that belongs to no window and no ``pyplot`` state: save
it with ``figure.savefig("x.png")``, or leave it as the last line of a notebook cell after ``%matplotlib
inline``.
"""

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from purejaxexplore.analysis.curves import Run, curves
from purejaxexplore.analysis.statistics import Statistic, bootstrap_interval, iqm, iqm_bands
from purejaxexplore.analysis.style import FULL_WIDTH, HALF_WIDTH, INK, looks, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CURVES_HEIGHT = 2.2  # inches, without the legend

LABELS = {
    "env_steps": "Environment steps",
    "step": "Iteration",
    "episode_return": "Episode return",
    "episode_length": "Episode length (steps)",
    "episodes": "Episodes",
    "success": "Success rate",
    "coverage": "States visited (fraction)",
    "regret": "Cumulative regret (reward)",
    "qd_score": "QD-score",
}


def axis_label(metric: str) -> str:
    """What an axis calls a metric: its entry in ``LABELS``, or the name in words."""
    return LABELS.get(metric, metric.replace("_", " ").replace("/", ": ").capitalize())


def learning_curves(
    runs: Mapping[str, Run],
    metric: str = "episode_return",
    x: str = "env_steps",
    *,
    level: float = 0.95,
    num_points: int = 200,
    title: str = "",
    ax: "Axes | None" = None,
) -> "Figure":
    """IQM over seeds against ``x``, one line a method, with pointwise bootstrap intervals as shades.

    Seeds without a value at a point are left out there; the legend says how many a method has at its last
    point when that is not all of them. A point where fewer than half of the seeds have a value is not drawn.

    Args:
        runs: method -> run (see :mod:`purejaxexplore.analysis.curves`).
        metric, x: metrics of every run; ``x="step"`` counts iterations.
        level: coverage of the shades.
        num_points: at most so many points a line; each is the mean of its bin.
        ax: axes to draw into, instead of a new figure of half a page's width.
    """
    _require_names("runs", runs)
    with style():
        own = ax is None
        figure, ax = _axes(ax, HALF_WIDTH, _CURVES_HEIGHT)
        for name, look in looks(runs).items():
            at, y = curves(runs[name], metric, x, num_points)
            present = np.isfinite(y).sum(0)
            drawn = (present > 0) & (2 * present >= len(y))
            band = iqm_bands(y, level)
            missing = (
                ""
                if not drawn.any() or present[drawn][-1] == len(y)
                else f" ({present[drawn][-1]} of {len(y)} seeds)"
            )
            line = {"color": look.color, "linestyle": look.linestyle, "label": name + missing}
            if drawn.sum() == 1:
                line["marker"] = look.marker
            ax.plot(at[drawn], band.value[drawn], zorder=3, **line)
            ax.fill_between(
                at[drawn], band.low[drawn], band.high[drawn], color=look.color, alpha=0.18, linewidth=0
            )
        _thousands(ax.xaxis)
        if metric == "success":
            ax.set_ylim(-0.03, 1.03)
        ax.set(xlabel=axis_label(x), ylabel=axis_label(metric), title=title)
        ax.margins(x=0.01)
        if len(runs) > 1 or "(" in ax.get_lines()[0].get_label():
            _legend(figure, ax, own)
    return figure


def score_bars(
    scores: Mapping[str, Any],
    *,
    statistic: Statistic = iqm,
    level: float = 0.95,
    label: str = "Final score (IQM)",
    title: str = "",
    ax: "Axes | None" = None,
) -> "Figure":
    """One row a method: its score with a bootstrap interval as a bar, over a faint dot for every seed.

    Args:
        scores: method -> f64[seeds], at least two, finite; drawn from top to bottom in the order given.
        statistic: as in :func:`~purejaxexplore.analysis.statistics.bootstrap_interval`.
        label: of the axis, with its unit.
    """
    _require_names("scores", scores)
    with style():
        figure, ax = _axes(ax, HALF_WIDTH, 0.62 + 0.34 * len(scores))
        for row, (name, look) in enumerate(looks(scores).items()):
            seeds = np.asarray(scores[name], np.float64)
            estimate = bootstrap_interval(seeds, statistic, level)
            # Ranks, not chance, spread the dots: equal data make an equal figure.
            spread = ((np.argsort(np.argsort(seeds)) * 0.618034) % 1 - 0.5) * 0.5
            ax.scatter(seeds, row + spread, s=9, color=look.color, alpha=0.3, linewidth=0, zorder=2)
            ax.plot(
                [estimate.low, estimate.high], [row, row], color=look.color, linewidth=6, alpha=0.45, zorder=3
            )
            point = {"marker": look.marker, "markeredgecolor": "white", "markersize": 6.5}
            ax.plot(estimate.value, row, color=look.color, zorder=4, **point)
        ax.set_yticks(range(len(scores)), list(scores))
        ax.set_ylim(len(scores) - 0.45, -0.55)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel(label, loc="right")
        ax.set_title(title)
    return figure


def coverage_map(
    background: np.ndarray,
    visits: np.ndarray,
    *,
    scale: str = "fraction",
    label: str = "",
    title: str = "",
    ax: "Axes | None" = None,
) -> "Figure":
    """Where the seeds have been, laid over the picture of the world; unvisited tiles show the picture itself.

    Args:
        background: u8[H, W, 3], for instance ``env.render(state, params)``.
        visits: f32[h, w], one value a tile of the picture: the fraction of seeds that visited it, or a count.
            ``h`` divides ``H`` and ``w`` divides ``W``.
        scale: ``"fraction"`` (0 to 1, linear) or ``"log"`` (counts, logarithmic).
        label: of the colour bar; by default what ``scale`` says.
    """
    return _coverage_row({title: visits}, {title: background}, scale, label, ax)


def coverage_maps(
    visits: Mapping[str, np.ndarray],
    background: "np.ndarray | Mapping[str, np.ndarray]",
    *,
    scale: str = "fraction",
    label: str = "",
) -> "Figure":
    """Small multiples of :func:`coverage_map`, one a method, on one shared colour scale.

    Args:
        visits: method -> f32[h, w].
        background: one u8[H, W, 3] for all methods, or one a method.
    """
    _require_names("visits", visits)
    if not isinstance(background, Mapping):
        background = dict.fromkeys(visits, background)
    if set(background) != set(visits):
        raise ValueError(
            f"background has names {sorted(background)}: expected those of visits, {sorted(visits)}"
        )
    return _coverage_row(visits, background, scale, label, None)


def _coverage_row(visits, backgrounds, scale, label, ax) -> "Figure":
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import NullFormatter

    visits = {name: _tiles(name, visits[name], backgrounds[name], scale) for name in visits}
    norm = _norm(visits, scale)
    tallest = max(len(b) / b.shape[1] for b in map(np.asarray, backgrounds.values()))
    columns = min(5, len(visits))
    rows = -(-len(visits) // columns)
    width = HALF_WIDTH if columns == 1 else FULL_WIDTH
    with style():
        if ax is None:
            figure, _ = _figure(width, rows * ((width - 0.7) / columns * tallest + 0.25))
            axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
        else:
            figure, axes = ax.figure, np.array([ax])
        cmap = _overlay_colors()
        for panel, (name, tiles) in zip(axes, visits.items(), strict=False):
            picture = np.asarray(backgrounds[name])
            extent = (0, picture.shape[1], picture.shape[0], 0)
            panel.imshow(picture, extent=extent, interpolation="nearest")
            panel.imshow(tiles, extent=extent, interpolation="nearest", cmap=cmap, norm=norm)
            panel.set_title(name, fontweight="normal" if len(visits) > 1 else "bold")
        for panel in axes:
            panel.set_axis_off()
        default = "Fraction of seeds" if scale == "fraction" else "Visits"
        bar = figure.colorbar(
            ScalarMappable(norm, cmap), ax=list(axes), fraction=0.05, pad=0.02, aspect=22, shrink=0.95
        )
        # Eleven characters an inch: a bar is short where the worlds are many, and its label must not be cut.
        bar.set_label(fill(label or default, max(8, int(11 * figure.get_figheight()))))
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        # The colours are translucent: the bar shows them over the commonest colour that lies below the tiles.
        bar.ax.set_facecolor(_commonest_color(visits, backgrounds))
    return figure


def picture_of(argument: str, picture: np.ndarray) -> np.ndarray:
    """``picture`` as an array.

    Raises:
        ValueError: it is no u8[H, W, 3].
    """
    picture = np.asarray(picture)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"{argument} is {picture.dtype}{list(picture.shape)}: expected u8[H, W, 3]")
    return picture


def _tiles(name: str, visits: np.ndarray, background: np.ndarray, scale: str) -> np.ndarray:
    """``visits`` with unvisited tiles masked, checked against the picture."""
    if scale not in ("fraction", "log"):
        raise ValueError(f"scale={scale!r}: expected 'fraction' or 'log'")
    where = f" of {name!r}" if name else ""
    visits, background = np.asarray(visits, np.float64), picture_of(f"background{where}", background)
    if visits.ndim != 2 or any(b % v for b, v in zip(background.shape, visits.shape, strict=False)):
        raise ValueError(
            f"visits{where} of shape {visits.shape} do not tile a picture of shape {background.shape[:2]}: "
            "expected [h, w] that divide its height and width"
        )
    if not np.isfinite(visits).all() or (visits < 0).any() or (scale == "fraction" and (visits > 1).any()):
        allowed = (
            "fractions from 0 to 1 (counts need scale='log')"
            if scale == "fraction"
            else "counts of at least 0"
        )
        raise ValueError(f"visits{where} range from {visits.min()} to {visits.max()}: expected {allowed}")
    return np.ma.masked_equal(visits, 0)


def _norm(visits: Mapping[str, np.ma.MaskedArray], scale: str):
    from matplotlib.colors import LogNorm, Normalize

    if scale == "fraction":
        return Normalize(0, 1)
    positive = np.concatenate([tiles.compressed() for tiles in visits.values()])
    lowest, highest = (positive.min(), positive.max()) if positive.size else (1, 10)
    decades = np.floor(np.log10(lowest)), np.ceil(np.log10(highest))
    return LogNorm(10 ** decades[0], 10 ** max(decades[1], decades[0] + 1))


def _commonest_color(visits: Mapping[str, np.ma.MaskedArray], backgrounds: Mapping[str, np.ndarray]):
    """RGB in [0, 1] of the median visited pixel of the first picture; white where nothing was visited."""
    name = next(iter(visits))
    picture = np.asarray(backgrounds[name])
    visited = ~np.ma.getmaskarray(visits[name])
    scale = [big // small for big, small in zip(picture.shape, visited.shape, strict=False)]
    pixels = picture[np.kron(visited, np.ones(scale, bool))]
    return tuple(np.median(pixels, axis=0) / 255) if len(pixels) else (1.0, 1.0, 1.0)


def _overlay_colors():
    """A colour map that grows more opaque as it grows: rare tiles still show the world below them."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    colors = matplotlib.colormaps["plasma"](np.linspace(0.28, 1, 256))
    colors[:, 3] = np.linspace(0.6, 0.92, 256)
    return ListedColormap(colors).with_extremes(bad=(0, 0, 0, 0))


def _axes(ax: "Axes | None", width: float, height: float) -> "tuple[Figure, Axes]":
    if ax is not None:
        return ax.figure, ax
    figure, _ = _figure(width, height)
    return figure, figure.subplots()


def _figure(width: float, height: float):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, FigureCanvasAgg(figure)


def _legend(figure: "Figure", ax: "Axes", own: bool) -> None:
    """Above the axes, the figure growing by it, if the figure is ours; inside axes of the caller."""
    if own:
        labels = [line.get_label() for line in ax.get_lines()]
        columns = max(1, min(4, 36 // (max(map(len, labels)) + 5)))
        rows = -(-len(labels) // columns)
        figure.set_size_inches(HALF_WIDTH, _CURVES_HEIGHT + 0.17 * rows)
        figure.legend(loc="outside upper left", ncols=columns, columnspacing=1.2, labelcolor=INK)
    else:
        ax.legend(loc="best", labelcolor=INK)


def _thousands(axis) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axis.set_major_formatter(EngFormatter(sep=""))
    axis.set_major_locator(MaxNLocator(5))


def _require_names(argument: str, mapping: Any) -> None:
    if not isinstance(mapping, Mapping) or not mapping:
        raise ValueError(
            f"{argument} is {type(mapping).__name__}: expected a dict from method names, with at least one"
        )
