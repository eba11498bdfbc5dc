"""The command line: list, run, resume, plot, report, watch. Each command is a function; tyro reads its signature."""

import os
import runpy
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Literal

from purejaxexplore.checks import nearest
from purejaxexplore.runner.cache import enable_compilation_cache


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point ``purejaxexplore``; bad input ends with one line on standard error and exit code 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        # What follows the name belongs to the experiment, --help included, so it never reaches our parser.
        if arguments[:1] == ["run"] and len(arguments) > 1 and not arguments[1].startswith("-"):
            run(arguments[1], tuple(arguments[2:]))
        else:
            _parse(arguments or ["--help"])
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if not _raised_here(error):
            raise
        print(f"purejaxexplore: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def list_(kind: Literal["systems", "environments", "bonuses"] = "systems", /, pattern: str = "*") -> None:
    """Names what there is.

    Args:
        kind: what to list.
        pattern: only names that match this shell pattern, such as "navix/*doorkey*".
    """
    if kind == "environments":
        from purejaxexplore import envs

        rows = [(name, "") for name in envs.list(pattern)]
    else:
        from purejaxexplore.systems import BONUSES, SYSTEMS

        table = SYSTEMS if kind == "systems" else BONUSES
        rows = [
            (name, line) for name, (_, line) in table.items() if fnmatchcase(name.lower(), pattern.lower())
        ]
    if not rows:
        raise ValueError(f"pattern={pattern!r}: matches none of the {kind}; list {kind} shows them all")
    width = max(len(name) for name, _ in rows)
    for name, line in rows:
        print(f"{name:<{width}}  {line}".rstrip())


def run(experiment: str, arguments: tuple[str, ...] = (), /) -> None:
    """Runs an experiment of experiments/ with its own arguments; run NAME --help shows those.

    Args:
        experiment: the name of a script in experiments/, or the path of one.
        arguments: passed on to the script.
    """
    _run_script(_script(experiment), arguments)


def resume(directory: Path, /) -> None:
    """Continues a stored run: repeats the script that made it, with the same arguments, where it was called.

    Args:
        directory: the out of the run.
    """
    config = _config(directory)
    script, *arguments = config["argv"] or [""]
    place = Path(config["directory"])
    if not script.endswith(".py") or not (place / script).is_file():
        raise ValueError(
            f"{str(directory)!r} was made by {script!r}, no script to repeat: make the same call again"
        )
    os.chdir(place)
    _run_script(Path(script), arguments)


def plot(directories: tuple[Path, ...], /, metric: str = "episode_return", x: str = "env_steps") -> None:
    """Draws the learning curves of stored runs into figures/METRIC.png of the first.

    Args:
        directories: stored runs, one line each.
        metric: the metric to draw.
        x: the metric along the axis, or "step" for iterations.
    """
    from purejaxexplore.analysis import learning_curves
    from purejaxexplore.runner import load

    runs = {directory.resolve().name: load(directory) for directory in directories}
    if len(runs) < len(directories):
        runs = {str(directory): load(directory) for directory in directories}
    path = directories[0] / "figures" / f"{metric.replace('/', '_')}.png"
    figure = learning_curves(runs, metric, x)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)
    print(path)


def report(directory: Path, /) -> None:
    """Writes the page of a stored run: curves, scores, pictures and settings in one file.

    Args:
        directory: the out of the run.
    """
    print(import_module("purejaxexplore.analysis").report(directory))


def watch(directory: Path, /, out: Path | None = None, fps: float = 15.0, every: int = 1) -> None:
    """Shows the best trajectory of a stored Go-Explore run as a GIF.

    Args:
        directory: the out of the run, whose config names its world.
        out: the file; by default best.gif in the directory.
        fps: frames a second.
        every: steps from one frame to the next.
    """
    from purejaxexplore import watch
    from purejaxexplore.analysis import animate

    trajectory = watch.best_trajectory(directory)
    path = animate(watch.pictures(trajectory, every), directory / "best.gif" if out is None else out, fps)
    print(f"{path}: seed {trajectory.seed}, score {trajectory.score:g}, {len(trajectory.replay.rewards)} steps")


def _raised_here(error: Exception) -> bool:
    """Whether the package itself refused something; any other error is a bug and keeps its traceback."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith("purejaxexplore")


def _parse(arguments: list[str]) -> None:
    from tyro.extras import SubcommandApp

    application = SubcommandApp()
    for name, command in (
        ("list", list_),
        ("run", run),
        ("resume", resume),
        ("plot", plot),
        ("report", report),
        ("watch", watch),
    ):
        application.command(command, name=name)
    application.cli(args=arguments, prog="purejaxexplore", description=__doc__.split(". ")[0])


def _script(experiment: str) -> Path:
    """The script of that name, below the working directory or in the checkout around the package."""
    if experiment.endswith(".py") and Path(experiment).is_file():
        return Path(experiment)
    roots = dict.fromkeys((Path.cwd() / "experiments", Path(__file__).parents[1] / "experiments"))
    found = {
        p.stem: p
        for root in reversed(roots)
        for p in sorted(root.rglob("*.py"))
        if not p.stem.startswith("_")
    }
    if experiment not in found:
        known = ", ".join(sorted(found)) or "none found in ./experiments"
        raise ValueError(f"experiment={experiment!r}: unknown{nearest(experiment, found)} (known: {known})")
    return found[experiment]


def _run_script(script: Path, arguments: Sequence[str]) -> None:
    """Runs a script as ``python script arguments`` would, in this process and with the compilation cache."""
    enable_compilation_cache()
    sys.argv = [str(script.absolute()), *arguments]
    sys.path[:0] = [str(script.absolute().parent)]
    runpy.run_path(str(script), run_name="__main__")


def _config(directory: Path) -> dict:
    """``config.json`` of a run, or of the first run of a sweep."""
    from purejaxexplore.runner.store import Store

    places = [directory, *sorted(p.parent for p in directory.glob("*/config.json"))]
    found = next((place for place in places if (place / "config.json").is_file()), None)
    if found is None:
        raise ValueError(
            f"directory={str(directory)!r}: expected the directory of a stored run, with a config.json"
        )
    return Store(found).config
