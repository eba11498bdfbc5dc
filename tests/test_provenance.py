"""Provenance says what ran and where, and nothing about who."""

import getpass
import json
import platform
import subprocess
import sys
from pathlib import Path

from purejaxexplore.provenance import git_revision, hardware, provenance, versions


def git(directory, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "core.hooksPath=/dev/null"]
    subprocess.run(["git", "-C", directory, *who, *arguments], check=True, capture_output=True)


def test_versions_and_hardware_are_json():
    found = json.loads(json.dumps(provenance()))
    assert set(found) == {"versions", "hardware", "git"}
    assert found["versions"]["python"] == platform.python_version() and versions()["jax"][0].isdigit()
    assert hardware()["cores"] >= 1 and hardware()["num_devices"] >= 1 and hardware()["cpu"]


def test_no_host_and_no_home_is_named():
    text = json.dumps(provenance())
    assert platform.node() not in text.split('"') and str(Path.home()) + "/" not in text
    assert getpass.getuser() not in text.split('"')


def test_the_revision_knows_changed_code_from_new_results(tmp_path):
    assert git_revision(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert git_revision(tmp_path) is None
    (tmp_path / "code.py").write_text("1")
    (tmp_path / "result.json").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    clean = git_revision(tmp_path)
    assert len(clean["revision"]) == 40 and clean["modified"] is False
    (tmp_path / "result.json").write_text("2")
    assert git_revision(tmp_path) == clean
    (tmp_path / "code.py").write_text("2")
    assert git_revision(tmp_path) == {**clean, "modified": True}


def test_the_backend_stays_asleep_until_hardware_is_asked_for():
    code = (
        "import sys\n"
        "import importlib.util as u\n"
        "s = u.spec_from_file_location('p', sys.argv[1]); m = u.module_from_spec(s)\n"
        "s.loader.exec_module(m)\n"
        "m.versions(); assert 'jax' not in sys.modules\n"
    )
    import purejaxexplore.provenance as module

    subprocess.run([sys.executable, "-c", code, module.__file__], check=True)
