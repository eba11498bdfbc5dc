"""One look for every figure: colour-blind-safe, readable at half a page's width, a fixed colour a method.

The hues are those of Okabe and Ito (2008), "Color Universal Design", ordered so that neighbours differ most
in lightness too; yellow, too light for a line on white, gives way to a brown.
"""

import io
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import NamedTuple
from zlib import crc32

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4B2A")
REFERENCE = "#767676"
INK = "#222222"

# Half a page of a two-column paper, in inches; at this width the text is 9 points or larger.
HALF_WIDTH = 3.3
FULL_WIDTH = 6.8

_REFERENCES = ("random", "uniform", "optimal", "oracle", "human", "none")
_LINES = ("-", ":", "-.", "--")
_MARKERS = "osD^vP*"


class Look(NamedTuple):
    """How a method is drawn, in every figure.

    Attributes:
        color: hexadecimal.
        linestyle: of its curve; solid until a figure holds more methods than the palette has hues.
        marker: of its points, so that no reader depends on colour.
    """

    color: str
    linestyle: str
    marker: str


def style() -> AbstractContextManager:
    """The look as a context, ``with style(): ...``; matplotlib's settings are put back on leaving it."""
    import matplotlib

    _show_in_notebooks()
    return matplotlib.rc_context(
        {
            "figure.figsize": (HALF_WIDTH, 2.4),
            "figure.dpi": 200,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 200,
            "savefig.facecolor": "white",
            "pdf.fonttype": 42,
            "font.family": "sans-serif",
            "font.size": 9,
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.labelsize": 9,
            "axes.labelcolor": INK,
            "axes.edgecolor": "#888888",
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.prop_cycle": matplotlib.cycler(color=PALETTE),
            "axes.formatter.limits": (-3, 4),
            "axes.formatter.use_mathtext": True,
            "grid.color": "#E8E8E8",
            "grid.linewidth": 0.7,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "xtick.color": "#888888",
            "ytick.color": "#888888",
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "xtick.major.size": 3,
            "ytick.major.size": 3,
            "lines.linewidth": 1.8,
            "lines.solid_capstyle": "round",
            "legend.fontsize": 9,
            "legend.frameon": False,
            "legend.handlelength": 1.4,
            "legend.borderaxespad": 0.2,
            "legend.labelspacing": 0.3,
        }
    )


def _show_in_notebooks() -> None:
    """Has a notebook draw the figures that it is handed, which else only an import of pyplot does."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None:
        return
    from matplotlib.figure import Figure

    formatters = shell.display_formatter.formatters
    if not any(Figure in formatters[kind] for kind in ("image/png", "image/svg+xml", "image/jpeg", "application/pdf")):
        formatters["image/png"].for_type(Figure, _png)


def _png(figure) -> bytes:
    """The figure as a file in memory."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def looks(names: Iterable[str]) -> dict[str, Look]:
    """The look of each method of a figure: a function of its name, moved on only where two names would clash.

    References (``random``, ``uniform``, ``optimal`` ...) are grey and dashed. Beyond ``len(PALETTE)`` methods
    the hues repeat with another line style.
    """
    names = list(names)
    taken: set[tuple[str, str]] = set()
    chosen = {}
    # Sorted, so that the order in which a caller lists the methods cannot change their colours.
    for name in sorted(names):
        start = crc32(name.encode()) % len(PALETTE)
        hues = PALETTE[start:] + PALETTE[:start]
        candidates = [(hue, line) for line in _LINES for hue in hues]
        if name.lower() in _REFERENCES:
            candidates = [(REFERENCE, line) for line in reversed(_LINES)]
        color, line = next((look for look in candidates if look not in taken), candidates[0])
        taken.add((color, line))
        chosen[name] = Look(color, line, _MARKERS[PALETTE.index(color)] if color in PALETTE else "X")
    return {name: chosen[name] for name in names}
