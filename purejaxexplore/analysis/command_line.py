"""The command line of an experiment."""

import dataclasses
from pathlib import Path
from typing import TypeVar

Args = TypeVar("Args")
SMOKE_RESULTS = Path("runs/smoke")


def arguments(kind: type[Args]) -> Args:
    """The command line as the dataclass ``kind``, read by tyro.

    A smoke run writes below ``runs/smoke`` instead of where judged results are kept, the default of ``kind.results``:
    its small figure replaces none that took hours.

    Args:
        kind: of the script's settings, ``smoke: bool`` and ``results: Path`` among them.
    """
    import tyro

    args = tyro.cli(kind)
    if args.smoke and args.results == kind.results:
        args = dataclasses.replace(args, results=SMOKE_RESULTS)
    return args
