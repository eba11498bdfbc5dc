"""The ledger: written whole, read back equal, refused when dishonest, and the README that follows it."""

import json

import pytest

from purejaxexplore.analysis import ledger
from purejaxexplore.analysis.statistics import Estimate

CLAIM = {
    "claim": "Random network distillation finds the goal | more often than no bonus.",
    "source": 'Burda et al. (2018), "Exploration by Random Network Distillation"',
    "criterion": "95 % interval of the difference in success rate above 0",
    "env_steps": 1_000_000,
    "baselines": {"none": {"bonus_coef": 0.0}},
    "tuning_seeds": range(100, 104),
    "judging_seeds": [0, 1, 2, 3, 7],
    "effect": Estimate(0.6, 0.41, 0.75),
    "statistic": "difference in success rate",
    "verdict": "holds",
    "reason": "the interval lies above 0",
    "command": "python experiments/rnd.py --seeds 5",
    "family": "intrinsic",
}


def write(directory, name="rnd_key_rooms", **changes):
    return ledger.record(name, directory=directory, **{**CLAIM, **changes})


def test_an_entry_is_read_back_as_written(tmp_path):
    path = write(tmp_path / "results")
    fields = json.loads(path.read_text())
    assert fields["judging_seeds"] == "0-3, 7" and fields["effect"]["low"] == 0.41
    assert {"python", "jax", "jaxlib", "flax"} <= set(fields["versions"])
    assert fields["hardware"]["cores"] >= 1
    (claim,) = ledger.load_ledger(tmp_path / "results")
    assert claim.judging_seeds == (0, 1, 2, 3, 7) and claim.effect == CLAIM["effect"]
    assert claim.tuning_seeds == (100, 101, 102, 103) and claim.family == "intrinsic"
    assert sorted(p.name for p in (tmp_path / "results").iterdir()) == ["rnd_key_rooms.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "maybe"},
        {"verdict": "holds", "effect": None},
        {"judging_seeds": []},
        {"judging_seeds": [103, 104]},
        {"judging_seeds": [1, 1]},
        {"effect": Estimate(0.5, 0.7, 0.3)},
        {"effect": Estimate(float("nan"), 0.0, 1.0)},
        {"reason": " "},
        {"env_steps": -1},
        {"command": "python /root/rnd.py"},
        {"command": "python x.py --out=~/runs"},
        {"baselines": {"none": float("inf")}},
        {"name": "RND KeyRooms"},
    ],
)
def test_dishonest_entries_are_refused_and_the_old_one_stays(tmp_path, changes):
    before = write(tmp_path).read_text()
    with pytest.raises(ValueError):
        write(tmp_path, **changes)
    assert [p.read_text() for p in tmp_path.iterdir()] == [before]


def test_what_was_not_judged_needs_a_reason_only(tmp_path):
    write(tmp_path, verdict="not judged", effect=None, judging_seeds=[], reason="needs a GPU")
    assert "not measured" in ledger.systems_table(tmp_path) and "needs a GPU" in ledger.systems_table(
        tmp_path
    )


def test_files_that_are_no_entries_are_named(tmp_path):
    (tmp_path / "broken.json").write_text('{"name": "broken"}')
    with pytest.raises(ValueError, match="broken.json"):
        ledger.load_ledger(tmp_path)
    (tmp_path / "broken.json").write_text(write(tmp_path).read_text())
    with pytest.raises(ValueError, match="expected the file rnd_key_rooms.json"):
        ledger.load_ledger(tmp_path)
    with pytest.raises(ValueError, match="no such directory"):
        ledger.load_ledger(tmp_path / "missing")


def test_seeds_round_trip():
    for seeds in ((), (3,), (0, 1, 2), (0, 2, 3, 4, 9)):
        assert ledger.parse_seeds(ledger.format_seeds(seeds)) == seeds


def test_the_readme_follows_the_ledger(tmp_path):
    results = tmp_path / "experiments" / "results"
    write(results)
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n{ledger.BEGIN}\nold\n{ledger.END}\nend\n")
    assert not ledger.readme_agrees(readme, results)
    assert ledger.update_readme(readme, results) and ledger.readme_agrees(readme, results)
    text = readme.read_text()
    assert text.startswith("# Title\n") and text.endswith(f"{ledger.END}\nend\n") and "\nold\n" not in text
    assert "[rnd key rooms](experiments/results/rnd_key_rooms.json)" in text
    row = next(line for line in text.splitlines() if "rnd key" in line)
    assert row.replace("\\|", "").count("|") == 7 and "0.6 [0.41, 0.75]" in row and "**holds**" in row
    assert not ledger.update_readme(readme, results)
    write(results, verdict="does not hold", reason="the interval holds 0")
    assert not ledger.readme_agrees(readme, results)


def test_a_readme_without_markers_is_refused(tmp_path):
    write(tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text(f"{ledger.END} {ledger.BEGIN}")
    with pytest.raises(ValueError, match="README.md: expected the line"):
        ledger.update_readme(readme, tmp_path)


def test_benchmarks_append_lines(tmp_path, capsys):
    for speed in (1.0, 2.0):
        ledger.benchmark_line("stepping", directory=tmp_path, env="CartPole", steps_per_second=speed)
    lines = [json.loads(line) for line in (tmp_path / "stepping.jsonl").read_text().splitlines()]
    assert [line["steps_per_second"] for line in lines] == [1.0, 2.0]
    assert lines == [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["hardware"]["platform"] and lines[0]["versions"]["jax"]
    for bad in ({"speed": float("nan")}, {"speed": object()}, {"versions": {}}):
        with pytest.raises(ValueError, match="fields"):
            ledger.benchmark_line("stepping", directory=tmp_path, **bad)
