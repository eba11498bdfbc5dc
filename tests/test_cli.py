"""The command line: what it lists, how it finds, runs and resumes scripts, and how it refuses."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import pytest

from purejaxexplore import cli, systems
from purejaxexplore.runner.cache import enable_compilation_cache

SCRIPT = """
    import sys
    import purejaxexplore as pjx
    from tests.runner.toys import walk

    num_steps = int(sys.argv[1])
    pjx.run(walk(), 2, num_steps, out="runs/walk", name="walk")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with one experiment; restores what the commands change in the process."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "wander.py").write_text(textwrap.dedent(SCRIPT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[1]), *sys.path])
    return tmp_path


def refused(capsys, *arguments):
    """The one line with which a command ends."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_list(capsys):
    cli.main(["list"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(systems.SYSTEMS)
    cli.main(["list", "bonuses", "--pattern", "RN*"])
    assert capsys.readouterr().out.startswith("rnd ")
    cli.main(["list", "environments", "--pattern", "*rooms"])
    assert "KeyRooms" in capsys.readouterr().out.split()
    assert "none of the systems" in refused(capsys, "list", "systems", "--pattern", "zzz*")


def test_listed_modules_exist():
    root = Path(__file__).parents[1]
    for module, line in [*systems.SYSTEMS.values(), *systems.BONUSES.values()]:
        assert (root / (module.replace(".", "/") + ".py")).is_file() and line


def test_run_resume_plot_report(place, capsys):
    cli.main(["run", "wander", "5"])
    config = json.loads((place / "runs/walk/config.json").read_text())
    assert config["argv"] == [str(place / "experiments" / "wander.py"), "5"] and config["num_steps"] == 5
    cli.main(["resume", "runs/walk"])
    cli.main(["plot", "runs/walk", "--metric", "episode_return"])
    assert (place / "runs/walk/figures/episode_return.png").stat().st_size > 0
    cli.main(["report", "runs/walk"])
    assert (place / "runs/walk/report.html").is_file()
    assert "did you mean 'wander'" in refused(capsys, "run", "wandr", "5")
    assert "episode_return" in refused(capsys, "plot", "runs/walk", "--metric", "episode_retrun")
    assert "already holds 5" in refused(capsys, "run", "wander", "3")


def test_refusals(place, capsys):
    assert "config.json" in refused(capsys, "resume", ".")
    assert "experiment='nope'" in refused(capsys, "run", "nope")
    (place / "made").mkdir()
    (place / "made" / "config.json").write_text(json.dumps({"argv": ["-c"], "directory": str(place)}))
    assert "no script to repeat" in refused(capsys, "resume", "made")


def test_a_bug_in_a_script_keeps_its_traceback(place):
    (place / "experiments" / "buggy.py").write_text("import json; json.loads('{')")
    with pytest.raises(json.JSONDecodeError):
        cli.main(["run", "buggy"])


def test_entry_points():
    help_text = subprocess.run(
        [sys.executable, "-m", "purejaxexplore", "--help"], capture_output=True, text=True, timeout=100
    )
    assert help_text.returncode == 0
    for command in ("list", "run", "resume", "plot", "report"):
        assert command in help_text.stdout


def test_compilation_cache_goes_to_the_users_directory(tmp_path, monkeypatch):
    names = (
        "compilation_cache_dir",
        "persistent_cache_min_compile_time_secs",
        "persistent_cache_min_entry_size_bytes",
    )
    kept = {f"jax_{name}": getattr(jax.config, f"jax_{name}") for name in names}
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert enable_compilation_cache() == tmp_path / "purejaxexplore" / "jax"
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "purejaxexplore" / "jax")
        jax.config.update("jax_compilation_cache_dir", "/elsewhere")
        assert str(enable_compilation_cache()) == "/elsewhere"
    finally:
        for name, value in kept.items():
            jax.config.update(name, value)
