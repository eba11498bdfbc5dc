"""One self-contained HTML page about a run, or several side by side: figures, final scores, configuration.

The page needs no network and no other file: pictures are inside it, the style is twenty lines.
"""

import base64
import html
import io
import json
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from purejaxexplore.analysis.curves import Run, final_scores, metric_names
from purejaxexplore.analysis.ledger import write_whole
from purejaxexplore.analysis.plots import axis_label, learning_curves
from purejaxexplore.analysis.statistics import bootstrap_interval, iqm
from purejaxexplore.provenance import versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAIN_METRICS = ("episode_return", "success", "coverage", "regret", "episode_length")
MAX_FIGURES = 6
MAX_CURVES = 8  # lines a figure; more are hard to tell apart

_CSS = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 62rem; margin: 2rem
auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p { max-width: 44rem; } .note { color: #666; font-size: .9rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.2rem; }
figure { margin: 0; } img { max-width: 100%; height: auto; } figcaption { color: #666; font-size: .9rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid #e4e4e4; vertical-align:
top; } th { font-weight: 600; border-bottom-color: #888; } th:first-child, td:first-child, .text td {
text-align: left; } td small { color: #666; white-space: nowrap; } summary { cursor: pointer; margin-top:
1rem; }
"""


def report(out: Any, path: str | os.PathLike | None = None, metrics: Sequence[str] | None = None) -> Path:
    """Writes the page and returns its path.

    Args:
        out: the directory of a stored run, a run in memory (see :mod:`purejaxexplore.analysis.curves`), or a
            list or a
            dict ``{name: ...}`` of these.
        path: of the page; by default ``report.html`` in the (first) run directory.
        metrics: to draw; by default those of ``MAIN_METRICS`` that the runs have, then others, at most
            ``MAX_FIGURES``.

    Raises:
        ValueError: a directory is missing, there is nothing to report, or a run in memory comes without
            ``path``.
    """
    items = _named(out)
    directories = {name: Path(item) for name, item in items.items() if isinstance(item, str | os.PathLike)}
    for directory in directories.values():
        _require_directory(directory)
    if path is None and not directories:
        raise ValueError(
            "path=None: a report of runs in memory needs the path of its page, such as 'report.html'"
        )
    path = Path(path) if path is not None else next(iter(directories.values())) / "report.html"
    if not path.parent.is_dir():
        raise ValueError(f"path={str(path)!r}: its directory does not exist; make it first")

    runs: dict[str, Run] = {}
    for name, item in items.items():
        runs.update(_configurations(name, _load(directories[name]) if name in directories else item))
    drawn = list(metrics) if metrics is not None else _main_metrics(runs)
    body = [
        f"<h1>{html.escape(', '.join(items))}</h1>",
        f'<p class="note">{_summary(runs)}</p>',
        *_curves_section(runs, drawn),
        *_scores_section(runs),
    ]
    for name, directory in directories.items():
        body += _pictures_section(name, directory) + _config_section(name, directory)
    shown = ", ".join(f"{package} {number}" for package, number in versions().items())
    body.append(f'<p class="note">Page made with {html.escape(shown)}.</p>')
    title = html.escape(", ".join(items))
    write_whole(
        path,
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_CSS}</style></head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n",
    )
    return path


def _named(out: Any) -> dict[str, Any]:
    if isinstance(out, str | os.PathLike):
        return {Path(out).resolve().name: out}
    if isinstance(out, list | tuple) and not hasattr(out, "metrics"):
        names = [
            Path(x).resolve().name if isinstance(x, str | os.PathLike) else f"run {i}"
            for i, x in enumerate(out)
        ]
        out = {
            f"{name} ({i})" if names.count(name) > 1 else name: x
            for i, (name, x) in enumerate(zip(names, out, strict=True))
        }
    elif hasattr(out, "metrics") or hasattr(out, "data_vars") or _is_metrics(out):
        return {"run": out}
    if not isinstance(out, Mapping) or not out:
        raise ValueError(
            f"out of type {type(out).__name__}: expected a run directory, a run, or a list or dict of them"
        )
    return dict(out)


def _is_metrics(out: Any) -> bool:
    return isinstance(out, Mapping) and any(hasattr(value, "shape") for value in out.values())


def _require_directory(directory: Path) -> None:
    if directory.is_dir():
        return
    parent = directory.parent
    siblings = [child.name for child in parent.iterdir() if child.is_dir()] if parent.is_dir() else []
    nearest = get_close_matches(directory.name, siblings, n=1)
    hint = f"; nearest: '{parent / nearest[0]}'" if nearest else ""
    raise ValueError(f"out='{directory}': no such directory; expected that of a stored run{hint}")


def _load(directory: Path) -> Run:
    from purejaxexplore.runner import load

    return load(directory)


class _Configuration(NamedTuple):
    """One configuration of a sweep, in the form of a run."""

    metrics: Any
    evaluations: Any


def _configurations(name: str, run: Run) -> dict[str, Run]:
    """A sweep as one run a configuration, named by its values; any other run as it is."""
    metrics, evaluations = getattr(run, "metrics", run), getattr(run, "evaluations", {})
    swept = [d for d in getattr(metrics, "dims", ()) if d not in ("seed", "step")]
    if not swept:
        return {name: run}
    runs = {}
    for index in product(*(range(metrics.sizes[d]) for d in swept)):
        where = dict(zip(swept, index, strict=True))
        chosen = metrics.isel(where)
        labels = [f"{d}={_number(chosen[d].item() if d in chosen.coords else i)}" for d, i in where.items()]
        evaluated = evaluations.isel(where) if evaluations else evaluations
        runs[" ".join([name, *labels])] = _Configuration(chosen, evaluated)
    return runs


def _main_metrics(runs: Mapping[str, Run]) -> list[str]:
    everywhere = [
        m for m in metric_names(next(iter(runs.values()))) if all(m in metric_names(r) for r in runs.values())
    ]
    first = [m for m in MAIN_METRICS if m in everywhere]
    return (first + [m for m in everywhere if m not in first and m != "env_steps"])[:MAX_FIGURES]


def _summary(runs: Mapping[str, Run]) -> str:
    parts = []
    for name, run in runs.items():
        metric = next(iter(metric_names(run)), None)
        if metric is None:
            raise ValueError(f"run {name!r} holds no metrics: nothing to report")
        parts.append(f"{len(final_scores(run, metric))} seeds")
    seeds = parts[0] if len(set(parts)) == 1 else f"{min(parts)} or more"
    return (
        f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}, {seeds} each." if len(runs) > 1 else f"{seeds}."
    )


def _curves_section(runs: Mapping[str, Run], metrics: Sequence[str]) -> list[str]:
    if not metrics:
        return []
    note = "Interquartile mean over seeds; shades are pointwise 95 % bootstrap intervals."
    shown = dict(runs)
    if len(runs) > MAX_CURVES:
        order = sorted(runs, key=lambda name: -_final_iqm(runs[name], metrics[0]))[:MAX_CURVES]
        shown = {name: runs[name] for name in runs if name in order}
        label = html.escape(axis_label(metrics[0]).lower())
        note += f" The {MAX_CURVES} of {len(runs)} runs with the highest final {label}."
    x = "env_steps" if all("env_steps" in metric_names(run) for run in runs.values()) else "step"
    pictures = [_picture(_png(learning_curves(shown, metric, x)), axis_label(metric)) for metric in metrics]
    return [
        "<h2>Learning curves</h2>",
        f'<p class="note">{note}</p>',
        f'<div class="figures">{"".join(pictures)}</div>',
    ]


def _final_iqm(run: Run, metric: str) -> float:
    scores = final_scores(run, metric)
    scores = scores[np.isfinite(scores)]
    return float(iqm(scores)) if scores.size else -np.inf


def _scores_section(runs: Mapping[str, Run]) -> list[str]:
    metrics = list(dict.fromkeys(metric for run in runs.values() for metric in metric_names(run)))
    head = "".join(f"<th>{html.escape(metric)}</th>" for metric in metrics)
    rows = [
        f"<tr><td>{html.escape(name)}</td>"
        + "".join(f"<td>{_score(run, metric)}</td>" for metric in metrics)
        + "</tr>"
        for name, run in runs.items()
    ]
    note = (
        "Interquartile mean over seeds of each seed's last value, with its 95 % bootstrap interval. Seeds"
        " without a finite value in the last tenth of the run are left out and counted."
    )
    table = f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"
    return ["<h2>Final values</h2>", f'<p class="note">{note}</p>', f'<div class="wide">{table}</div>']


def _score(run: Run, metric: str) -> str:
    if metric not in metric_names(run):
        return ""
    scores = final_scores(run, metric)
    finite = scores[np.isfinite(scores)]
    missing = "" if len(finite) == len(scores) else f"<br><small>{len(finite)} of {len(scores)} seeds</small>"
    if len(finite) < 2:
        return (_number(finite[0]) if len(finite) else "none") + missing
    estimate = bootstrap_interval(finite)
    interval = f"[{_number(estimate.low)}, {_number(estimate.high)}]"
    return f"{_number(estimate.value)}<br><small>{interval}</small>{missing}"


def _pictures_section(name: str, directory: Path) -> list[str]:
    files = sorted((directory / "figures").glob("*.png"))
    if not files:
        return []
    pictures = "".join(_picture(file.read_bytes(), file.stem.replace("_", " ")) for file in files)
    return [f"<h2>Figures of {html.escape(name)}</h2>", f'<div class="figures">{pictures}</div>']


def _config_section(name: str, directory: Path) -> list[str]:
    file = directory / "config.json"
    if not file.is_file():
        return []
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file.name} of {name!r} is not JSON: {error}") from error
    rows = "".join(
        f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in _flat("", config)
    )
    table = (
        f'<div class="wide"><table class="text"><tr><th>setting</th><th>value</th></tr>{rows}</table></div>'
    )
    return [f"<details><summary>Configuration of {html.escape(name)}</summary>{table}</details>"]


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [
            row
            for key, inner in value.items()
            for row in _flat(f"{prefix}.{key}" if prefix else str(key), inner)
        ]
    return [(prefix, value if isinstance(value, str) else json.dumps(value))]


def _number(value: Any) -> str:
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    return buffer.getvalue()


def _picture(png: bytes, caption: str) -> str:
    data = base64.b64encode(png).decode()
    caption = html.escape(caption)
    image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
