"""Runs on disk: resuming, continuing, refusing, reading while they run, and damaged files."""

import errno
import json
import os
import shutil

import jax
import numpy as np
import pytest

import purejaxexplore as pjx
from purejaxexplore.runner import spans, store
from tests.runner.test_runner_run import same_runs
from tests.runner.toys import WalkConfig, walk

SEEDS, STEPS = 3, 12


def stored(out, num_steps=STEPS, **options):
    """A run whose every chunk of 3 is a save point."""
    options = {"chunk": 3, "save_seconds": 0, "evaluate_every": 4, "config": WalkConfig(), **options}
    return pjx.run(options.pop("algorithm", walk()), SEEDS, num_steps, out=out, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run; copy it before touching it."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    return stored(out)


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished.path, tmp_path / "run")


def tree(path):
    """Every file below a directory with its content."""
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != ".lock"}


def files(out):
    return sorted(p.name for p in (out / "metrics" / "batch_00000").iterdir())


def test_layout_and_content(finished):
    config = json.loads((finished.path / "config.json").read_text())
    assert config["config"] == {"drift": 0.0, "scale": 1.0, "width": 3, "shape": "uniform"}
    assert config["num_seeds"] == SEEDS and config["argv"] and config["versions"]["jax"] == jax.__version__
    assert config["state"]["0004.position"] == "float32[3]" and "hardware" in config and "git" in config
    assert files(finished.path)[:2] == ["steps_0000000000_0000000003.npz", "steps_0000000003_0000000004.npz"]
    checkpoints = sorted(p.name for p in (finished.path / "checkpoints" / "batch_00000").iterdir())
    assert checkpoints == ["11", "12"]
    assert json.loads((finished.path / "status.json").read_text())["finished"]
    assert same_runs(finished, pjx.run(walk(), SEEDS, STEPS, evaluate_every=4))


def test_a_finished_run_is_only_read(copy, finished):
    before = tree(copy)
    assert same_runs(stored(copy), finished)
    assert tree(copy) == before


def test_load_with_and_without_the_algorithm(finished, tmp_path):
    plain, typed = pjx.load(finished.path), pjx.load(finished.path, walk())
    assert plain.metrics.equals(finished.metrics) and plain.evaluations.equals(finished.evaluations)
    assert np.array_equal(plain.state["position"], finished.state["position"])
    assert same_runs(typed, finished)
    typed.to_parquet(tmp_path / "table.parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(tmp_path / "table.parquet").to_pydict()
    assert list(table)[:2] == ["seed", "step"] and len(table["seed"]) == SEEDS * STEPS
    assert table["episode_return"][STEPS + 1] == plain.metrics.episode_return.values[1, 1]
    with pytest.raises(ValueError, match="config.json"):
        pjx.load(tmp_path)


def test_more_steps_continue_the_run(copy):
    longer = stored(copy, STEPS + 5)
    assert same_runs(longer, stored(copy.parent / "uninterrupted", STEPS + 5))
    with pytest.raises(ValueError, match="already holds 17"):
        stored(copy, STEPS)


def interrupted(out, at, monkeypatch, error, **options):
    """Runs until the chunk that starts at ``at``, which dies with ``error``."""
    from purejaxexplore.runner import program

    real = program.Program.advance

    def dying(self, lanes, state, start, count):
        if start >= at:
            raise error
        return real(self, lanes, state, start, count)

    with monkeypatch.context() as patch:
        patch.setattr(program.Program, "advance", dying)
        with pytest.raises(type(error)):
            stored(out, **options)


def test_resuming_is_bit_identical_and_readable_meanwhile(tmp_path, finished, monkeypatch):
    out = tmp_path / "run"
    interrupted(out, 7, monkeypatch, KeyboardInterrupt())
    partial = pjx.load(out)
    assert partial.metrics.sizes["step"] == 7 and partial.evaluations.step.values.tolist() == [4]
    assert partial.metrics.equals(finished.metrics.isel(step=slice(7)))
    assert partial.state["count"].tolist() == [7] * SEEDS
    assert same_runs(stored(out), finished)


def test_batches_resume(tmp_path, finished, monkeypatch):
    out = tmp_path / "run"
    stored(out, 8, batch_size=2)
    interrupted(out, 11, monkeypatch, KeyboardInterrupt(), batch_size=2)
    partial = pjx.load(out)
    assert partial.metrics.sizes == {"seed": SEEDS, "step": 11}
    assert partial.metrics.episode_return.isel(seed=2, step=slice(8, None)).isnull().all()
    done = stored(out, batch_size=2)
    assert done.metrics.equals(finished.metrics) and done.config["batch_size"] == 2
    assert same_runs(pjx.load(out, walk()), finished)
    with pytest.raises(ValueError, match="batches of 2"):
        stored(out, STEPS + 1, batch_size=1)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "empty", "draft", "beyond"])
def test_damaged_measurements_are_measured_again(copy, finished, damage):
    last = copy / "metrics" / "batch_00000" / files(copy)[-1]
    content = last.read_bytes()
    if damage == "truncated":
        last.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = len(content) // 2
        last.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    elif damage == "missing":
        last.unlink()
    elif damage == "empty":
        last.write_bytes(b"")
    elif damage == "draft":
        last.with_name(f".{last.name}.tmp").write_bytes(content[:10])
    else:
        shutil.rmtree(copy / "checkpoints" / "batch_00000" / "12")
    repaired = shutil.copytree(copy, copy.parent / "repaired")
    assert same_runs(stored(repaired), finished)
    # Saved at its end only, so that the new file has another name than the one it replaces.
    resumed = stored(copy, STEPS + 1, save_seconds=1000)
    assert same_runs(resumed, pjx.run(walk(), SEEDS, STEPS + 1, evaluate_every=4))
    assert not [name for name in files(copy) if name.startswith(".")]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(copy):
    for path in (copy / "checkpoints" / "batch_00000" / "12").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.warns(UserWarning, match="checkpoint 12"):
        resumed = stored(copy, STEPS + 1)
    assert same_runs(resumed, pjx.run(walk(), SEEDS, STEPS + 1, evaluate_every=4))


def test_without_any_sound_checkpoint_it_starts_again(copy, finished):
    shutil.rmtree(copy / "checkpoints")
    assert same_runs(stored(copy), finished)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"config": WalkConfig(drift=0.5)}, r"config.drift: stored 0.0, now 0.5"),
        ({"key": 1}, "key.data"),
        ({"evaluate_every": 5}, "evaluate_every: stored 4, now 5"),
        ({"first_seed": 1}, "first_seed: stored 0, now 1"),
        (
            {"algorithm": walk(WalkConfig(width=4))},
            r"state.0004.position: stored 'float32\[3\]', now 'float32\[4\]'",
        ),
        ({"algorithm": walk(WalkConfig(scale=2.0))}, "another algorithm"),
    ],
)
def test_another_run_is_refused_and_untouched(finished, change, message):
    before = tree(finished.path)
    with pytest.raises(ValueError, match=message):
        stored(finished.path, **change)
    assert tree(finished.path) == before


def test_other_versions_continue_with_a_warning(copy, finished):
    config = json.loads((copy / "config.json").read_text())
    config["program"] = {**config["program"], "sha256": "other", "versions": {"jax": "0.0.1"}}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="jax"):
        assert same_runs(stored(copy), finished)


def test_unfit_places_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        stored(tmp_path / "file")
    with pytest.raises(ValueError, match="cannot be written"):
        stored(tmp_path / "file" / "below")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="other files .thesis.tex"):
        stored(tmp_path / "full")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "full", "thesis.tex"]

    def refuse(*arguments, **keywords):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(store.Path, "mkdir", refuse)
        with pytest.raises(ValueError, match="cannot be written .Permission denied"):
            stored(tmp_path / "new")


def test_a_second_writer_is_refused(copy, finished):
    pytest.importorskip("fcntl")
    first = store.Store(copy)
    first.lock()
    with pytest.raises(ValueError, match="another process"):
        stored(copy, STEPS + 1)
    first.close()
    assert stored(copy, STEPS + 1).metrics.sizes["step"] == STEPS + 1


def test_a_full_disk_says_so_and_keeps_the_checkpoints(copy, monkeypatch):
    real = os.replace

    def full(source, target):
        if str(target).endswith(".npz"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(spans.os, "replace", full)
        with pytest.raises(OSError, match="the disk is full; earlier checkpoints are intact"):
            stored(copy, STEPS + 5)
    assert not [name for name in files(copy) if name.startswith(".")]
    assert same_runs(stored(copy, STEPS + 5), pjx.run(walk(), SEEDS, STEPS + 5, evaluate_every=4))


def test_divergence_survives_a_restart(tmp_path):
    options = {"algorithm": walk(diverges=2), "on_nan": "ignore"}
    first = stored(tmp_path / "run", 6, **options)
    again = stored(tmp_path / "run", 9, **options)
    assert first.diverged == again.diverged == pjx.load(tmp_path / "run").diverged != []
