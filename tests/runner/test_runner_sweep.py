"""``sweep``: numeric fields in one program, static fields apart, one labelled result."""

import numpy as np
import pytest

import purejaxexplore as pjx
from tests.runner.toys import WalkConfig, walk

OVER = {"drift": [0.0, 0.5], "width": [2, 3], "scale": np.array([1.0, 2.0, 4.0])}


@pytest.fixture(scope="module")
def grid():
    return pjx.sweep(walk, WalkConfig(), OVER, num_seeds=2, num_steps=5, evaluate_every=5)


def test_every_combination_equals_its_own_run(grid):
    assert grid.metrics.episode_return.dims == ("drift", "width", "scale", "seed", "step")
    assert grid.metrics.episode_return.shape == (2, 2, 3, 2, 5)
    alone = pjx.run(walk(WalkConfig(drift=0.5, width=3, scale=4.0)), 2, 5, evaluate_every=5)
    chosen = {"drift": 0.5, "width": 3, "scale": 4.0}
    assert np.allclose(grid.metrics.episode_return.sel(chosen), alone.metrics.episode_return, rtol=1e-6)
    assert np.allclose(grid.evaluations.held_out.sel(chosen), alone.evaluations.held_out, rtol=1e-6)
    assert grid.metrics.env_steps.dtype == np.int32
    # Two widths cannot be stacked.
    assert np.allclose(grid.state[(3,)]["position"][1, 2], alone.state["position"], rtol=1e-6)


def test_settings_share_their_random_numbers():
    pair = pjx.sweep(walk, WalkConfig(), {"scale": [1.0, 2.0]}, 2, 4, chunk=2, batch_size=3)
    returns = pair.metrics.episode_return
    assert np.allclose(2 * returns.sel(scale=1.0), returns.sel(scale=2.0))
    assert pair.state["position"].shape == (2, 2, 3)


def test_static_fields_of_equal_form_are_stacked():
    shapes = pjx.sweep(walk, WalkConfig(), {"scale": [1.0, 2.0], "shape": ["uniform", "normal"]}, 3, 2)
    assert shapes.state["position"].shape == (2, 2, 3, 3)
    chosen = shapes.metrics.episode_return.sel(scale=2.0, shape="normal", step=2)
    assert np.allclose(shapes.state["position"][1, 1].sum(-1), chosen)


def test_stored_sweep_resumes_and_loads(grid, tmp_path):
    out = tmp_path / "grid"
    part = pjx.sweep(walk, WalkConfig(), OVER, 2, 3, evaluate_every=5, out=out)
    assert part.metrics.sizes["step"] == 3
    again = pjx.sweep(walk, WalkConfig(), OVER, 2, 5, evaluate_every=5, out=out)
    assert again.metrics.equals(grid.metrics)
    assert sorted(p.name for p in out.iterdir()) == ["sweep.json", "width=2", "width=3"]
    loaded = pjx.load(out)
    assert loaded.metrics.equals(grid.metrics) and loaded.evaluations.equals(grid.evaluations)
    with pytest.raises(ValueError, match="another sweep .over.drift"):
        pjx.sweep(walk, WalkConfig(), {**OVER, "drift": [0.0, 0.6]}, 2, 5, out=out)
    (out / "width=3" / "config.json").unlink()
    half = pjx.load(out).metrics.episode_return
    assert half.sel(width=3).isnull().all() and half.sel(width=2).equals(
        grid.metrics.episode_return.sel(width=2)
    )


def test_divergence_names_the_setting():
    def make(config):
        return walk(config, diverges=1)

    with pytest.warns(UserWarning, match="'scale': 1.0, 'seed'"):
        sick = pjx.sweep(make, WalkConfig(), {"scale": [1.0, 2.0]}, 4, 3)
    assert {lane["scale"] for lane in sick.diverged} == {1.0, 2.0} and "seed" in sick.diverged[0]


@pytest.mark.parametrize(
    "over, error, message",
    [
        ({"drfit": [0.0]}, ValueError, "no field 'drfit'; did you mean 'drift'"),
        ({}, ValueError, "at least one"),
        ({"drift": []}, ValueError, "at least one value"),
        ({"drift": 0.1}, ValueError, "list"),
        ({"drift": ["high"]}, ValueError, "numbers"),
        ({"drift": [[0.1], [0.2]]}, ValueError, "numbers"),
        ({"drift": [0.1, 0.1]}, ValueError, "once"),
        ({"shape": "normal"}, ValueError, "list"),
    ],
)
def test_bad_axes_are_refused(over, error, message, tmp_path):
    with pytest.raises(error, match=message):
        pjx.sweep(walk, WalkConfig(), over, 2, 2, out=tmp_path / "grid")
    assert not (tmp_path / "grid").exists()


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(TypeError, match="did you mean 'chunk'"):
        pjx.sweep(walk, WalkConfig(), {"drift": [0.0]}, 2, 2, chunks=3)
    with pytest.raises(TypeError, match="flax.struct"):
        pjx.sweep(walk, {"drift": 0.0}, {"drift": [0.0]}, 2, 2)
    with pytest.raises(ValueError, match="num_seeds=0"):
        pjx.sweep(walk, WalkConfig(), {"drift": [0.0]}, 0, 2, out=tmp_path / "grid")
    with pytest.raises(TypeError, match="call the factory first"):
        pjx.sweep(lambda config: walk, WalkConfig(), {"drift": [0.0]}, 2, 2, out=tmp_path / "grid")
    assert not (tmp_path / "grid").exists()
