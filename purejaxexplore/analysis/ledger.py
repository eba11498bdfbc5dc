"""The ledger: one JSON file an experiment, which says what was claimed, how it was judged and what came out.

An experiment writes its own entry with :func:`record`; the README's and the docs' tables are generated from
the entries with :func:`update_readme`, and :func:`readme_agrees` says whether they still match. Benchmarks
append one JSON line a measurement with :func:`benchmark_line`. Entries hold no host names and no absolute
paths: they are published.
"""

import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from purejaxexplore.analysis.statistics import Estimate
from purejaxexplore.provenance import provenance

RESULTS = Path("experiments/results")
VERDICTS = ("holds", "does not hold", "not judged")
BEGIN, END = "<!-- ledger:begin -->", "<!-- ledger:end -->"

_NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_ABSOLUTE_PATH = re.compile(r"(^|[\s='\":,])(/|~|[A-Za-z]:\\)\S")


class Claim(NamedTuple):
    """One entry of the ledger.

    Attributes:
        name: of the experiment and of its file, ``lower_case_words``.
        family: the group it is listed under, for instance ``"bandits"``.
        claim: one sentence that could be false.
        source: authors, year, title.
        criterion: when the claim holds, as it was written before the run.
        env_steps: environment steps of one judged run.
        baselines: name -> its settings.
        tuning_seeds: seeds on which anything was chosen.
        judging_seeds: seeds of the run that was judged; none of them is a tuning seed.
        effect: what was measured, with its 95 % interval; None where nothing was.
        statistic: what ``effect`` is, with its unit.
        verdict: one of ``VERDICTS``.
        reason: why this verdict, in one sentence.
        command: that repeats the experiment, relative to the repository.
        versions, hardware, git: see :mod:`purejaxexplore.provenance`.
    """

    name: str
    family: str
    claim: str
    source: str
    criterion: str
    env_steps: int
    baselines: dict[str, Any]
    tuning_seeds: tuple[int, ...]
    judging_seeds: tuple[int, ...]
    effect: Estimate | None
    statistic: str
    verdict: str
    reason: str
    command: str
    versions: dict[str, str]
    hardware: dict[str, Any]
    git: dict[str, Any] | None


def record(
    name: str,
    claim: str,
    source: str,
    criterion: str,
    env_steps: int,
    baselines: Mapping[str, Any],
    tuning_seeds: Iterable[int],
    judging_seeds: Iterable[int],
    effect: Estimate | None,
    statistic: str,
    verdict: str,
    reason: str,
    command: str,
    family: str = "",
    directory: str | os.PathLike = RESULTS,
) -> Path:
    """Writes ``directory/NAME.json``, a :class:`Claim` with versions, hardware and revision, all at once.

    Returns:
        The file.

    Raises:
        ValueError: a field is malformed, the seeds overlap, or a judged claim lacks seeds or effect; nothing
            is written.
    """
    directory = Path(directory)
    claim_ = Claim(
        name, family, claim, source, criterion, int(env_steps), dict(baselines),
        tuple(map(int, tuning_seeds)), tuple(map(int, judging_seeds)),
        None if effect is None else Estimate(*map(float, effect)), statistic, verdict, reason, command,
        **provenance(Path(__file__).parent),
    )  # fmt: skip
    _validate(claim_)
    text = json.dumps(_to_json(claim_), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    write_whole(path, text)
    return path


def load_ledger(directory: str | os.PathLike = RESULTS) -> list[Claim]:
    """All entries, ordered by family and name.

    Raises:
        ValueError: the directory is missing, or a file is not an entry (the message names it).
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ValueError(
            f"directory={str(directory)!r}: no such directory; expected the ledger, such as '{RESULTS}'"
        )
    return sorted((_read(path) for path in directory.glob("*.json")), key=lambda c: (c.family, c.name))


def systems_table(directory: str | os.PathLike = RESULTS, relative_to: str | os.PathLike = ".") -> str:
    """The ledger as a Markdown table, one row a claim; links are relative to ``relative_to``.

    Of the source it shows the authors and the year, and of the statistic what stands before the first semicolon: the
    whole is in the file that the row links to.
    """
    link = Path(os.path.relpath(directory, relative_to)).as_posix()
    rows = [
        "| system | claim | effect (95 % interval) | seeds | steps | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for claim in load_ledger(directory):
        cells = (
            f"[{claim.name.replace('_', ' ')}]({link}/{claim.name}.json)",
            f"{claim.claim} ({_authors(claim.source)})",
            _effect_text(claim),
            str(len(claim.judging_seeds)),
            f"{claim.env_steps:,}",
            f"**{claim.verdict}**" if claim.verdict == "holds" else f"{claim.verdict}: {claim.reason}",
        )
        rows.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(rows)


def update_readme(path: str | os.PathLike = "README.md", directory: str | os.PathLike = RESULTS) -> bool:
    """Writes the table of systems between the marker lines of a Markdown file; returns whether it changed.

    Raises:
        ValueError: the file is missing, or does not hold ``BEGIN`` and then ``END`` once each.
    """
    path = Path(path)
    old = _text(path)
    new = _with_table(path, old, directory)
    if new != old:
        write_whole(path, new)
    return new != old


def readme_agrees(path: str | os.PathLike = "README.md", directory: str | os.PathLike = RESULTS) -> bool:
    """Whether :func:`update_readme` would change nothing."""
    path = Path(path)
    return _with_table(path, _text(path), directory) == _text(path)


def benchmark_line(
    name: str, *, directory: str | os.PathLike = RESULTS / "benchmarks", **fields: Any
) -> dict[str, Any]:
    """Prints one measurement as a JSON line and appends it to ``directory/NAME.jsonl``.

    Args:
        fields: of JSON values; the unit stands in the name, for instance ``steps_per_second=1.2e6``.

    Returns:
        The line: ``name``, ``fields``, then versions, hardware and revision.
    """
    _require_name(name)
    taken = sorted({"name", "versions", "hardware", "git"} & set(fields))
    if taken:
        raise ValueError(f"fields {taken} are filled in by benchmark_line: choose other names")
    line = {"name": name, **fields, **provenance(Path(__file__).parent)}
    try:
        text = json.dumps(line, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"fields of {name!r}: expected finite JSON values ({error})") from error
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / f"{name}.jsonl", "a", encoding="utf-8") as file:
        file.write(text + "\n")
    print(text)
    return line


def write_whole(path: Path, text: str) -> None:
    """Replaces a text file at once: a reader, or a crash, sees the old file or the new one."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, path.stat().st_mode if path.exists() else 0o644)
    os.replace(file.name, path)


def _validate(claim: Claim) -> None:
    _require_name(claim.name)
    for field in ("claim", "source", "criterion", "statistic", "reason", "command"):
        if not isinstance(getattr(claim, field), str) or not getattr(claim, field).strip():
            raise ValueError(f"{field}={getattr(claim, field)!r}: expected a sentence")
    if claim.verdict not in VERDICTS:
        raise ValueError(f"verdict={claim.verdict!r}: expected one of {VERDICTS}")
    if claim.env_steps < 0:
        raise ValueError(f"env_steps={claim.env_steps}: expected at least 0")
    if _ABSOLUTE_PATH.search(claim.command):
        raise ValueError(
            f"command={claim.command!r}: holds an absolute path; expected paths relative to the repository"
        )
    for field in ("tuning_seeds", "judging_seeds"):
        seeds = getattr(claim, field)
        if len(set(seeds)) < len(seeds) or min(seeds, default=0) < 0:
            raise ValueError(
                f"{field}={format_seeds(seeds)!r}: expected different whole numbers of at least 0"
            )
    both = set(claim.tuning_seeds) & set(claim.judging_seeds)
    if both:
        raise ValueError(
            f"judging_seeds: {format_seeds(both)} are tuning seeds too; expected seeds never tuned on"
        )
    if claim.verdict != "not judged" and (claim.effect is None or not claim.judging_seeds):
        raise ValueError(
            f"verdict={claim.verdict!r} without an effect and judging seeds: expected both, or 'not judged'"
        )
    if claim.effect is not None and not (
        all(map(math.isfinite, claim.effect)) and claim.effect.low <= claim.effect.high
    ):
        raise ValueError(f"effect={tuple(claim.effect)}: expected finite value, low <= high")


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        nearest = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "my_experiment"
        raise ValueError(f"name={name!r}: expected lower_case_words, for instance {nearest!r}")


def _to_json(claim: Claim) -> dict[str, Any]:
    fields = claim._asdict()
    fields["tuning_seeds"] = format_seeds(claim.tuning_seeds)
    fields["judging_seeds"] = format_seeds(claim.judging_seeds)
    fields["effect"] = None if claim.effect is None else claim.effect._asdict()
    return fields


def _read(path: Path) -> Claim:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["tuning_seeds"] = parse_seeds(fields["tuning_seeds"])
        fields["judging_seeds"] = parse_seeds(fields["judging_seeds"])
        fields["effect"] = None if fields["effect"] is None else Estimate(**fields["effect"])
        claim = Claim(**fields)
        _validate(claim)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path.name} is not an entry of the ledger: {error}") from error
    if claim.name != path.stem:
        raise ValueError(f"{path.name} holds the claim {claim.name!r}: expected the file {claim.name}.json")
    return claim


def format_seeds(seeds: Iterable[int]) -> str:
    """Seeds as ranges with both ends, ``"0-63, 100"``; the inverse of :func:`parse_seeds` if sorted."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def parse_seeds(text: str) -> tuple[int, ...]:
    """``"0-2, 7"`` as ``(0, 1, 2, 7)``."""
    ranges = [[int(end) for end in part.split("-")] for part in text.split(",") if part.strip()]
    return tuple(seed for ends in ranges for seed in range(ends[0], ends[-1] + 1))


def _effect_text(claim: Claim) -> str:
    if claim.effect is None:
        return "not measured"
    value, low, high = (f"{x:.3g}" for x in claim.effect)
    return f"{value} [{low}, {high}] {claim.statistic.split(';')[0]}"


def _authors(source: str) -> str:
    """``"A and B (2018), A title" -> "A and B 2018"``; a source without a year stays."""
    found = re.match(r"([^(]*) \((\d{4})\)", source)
    return f"{found[1]} {found[2]}" if found else source


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _text(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"path={str(path)!r}: no such file; expected a Markdown file with the line {BEGIN}")
    return path.read_text(encoding="utf-8")


def _with_table(path: Path, text: str, directory: str | os.PathLike) -> str:
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{path.name}: expected the line {BEGIN} and, below it, {END}, once each")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{systems_table(directory, path.parent)}\n{END}{after}"
