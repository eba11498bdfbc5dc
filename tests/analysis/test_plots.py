"""Figures: what they show, what they refuse, and that they leave matplotlib as they found it."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import xarray

from purejaxexplore.analysis import (
    coverage_map,
    coverage_maps,
    curves,
    final_scores,
    learning_curves,
    score_bars,
)
from purejaxexplore.analysis.statistics import iqm
from purejaxexplore.analysis.style import PALETTE, REFERENCE, looks, style

SEEDS, STEPS = 6, 40
RNG = np.random.default_rng(0)


def dataset(**extra):
    steps = np.tile(np.arange(1, STEPS + 1) * 128, (SEEDS, 1))
    data = {"env_steps": steps, "episode_return": RNG.normal(size=(SEEDS, STEPS)), **extra}
    return xarray.Dataset(
        {k: (("seed", "step"), v) for k, v in data.items()}, {"step": np.arange(1, STEPS + 1)}
    )


def test_a_short_shared_axis_is_kept_as_it_is():
    run = dataset()
    curve = curves(run, "episode_return")
    np.testing.assert_array_equal(curve.x, run["env_steps"][0])
    np.testing.assert_array_equal(curve.y, run["episode_return"])
    np.testing.assert_array_equal(curves(run.transpose("step", "seed"), "episode_return").y, curve.y)
    np.testing.assert_array_equal(curves(run, "episode_return", x="step").x, np.arange(1, STEPS + 1))


def test_bins_are_means():
    run = {
        "env_steps": np.arange(8.0),
        "episode_return": np.array([[0.0, 2, 4, np.nan, np.nan, np.nan, 1, 3]]),
    }
    curve = curves(run, "episode_return", num_points=4)
    np.testing.assert_array_equal(curve.x, [0.5, 2.5, 4.5, 6.5])
    np.testing.assert_array_equal(curve.y, [[1, 4, np.nan, 2]])


def test_seeds_with_axes_of_their_own_meet_on_one():
    x = np.array([[0.0, 1, 2, 3, 4], [0, 4, 8, 12, 16]])
    y = np.array([[0.0, 10, 20, 30, 40], [5, 6, 7, 8, 9]])
    curve = curves({"env_steps": x, "regret": y}, "regret", num_points=4)
    np.testing.assert_array_equal(curve.x, [0.5, 1.5, 2.5, 3.5])  # ends where the shortest seed ends
    np.testing.assert_array_equal(curve.y, [[0, 10, 20, 35], [5, 5, 5, 6]])  # 5 is carried over empty bins


def test_final_scores_are_the_last_values_of_the_last_tenth():
    y = np.tile(np.arange(20.0), (3, 1))
    y[1, 19] = np.nan
    y[2, 10:] = np.nan
    np.testing.assert_array_equal(final_scores({"coverage": y}, "coverage"), [19, 18, np.nan])


def test_evaluations_have_steps_of_their_own():
    class Runs:
        metrics = dataset()
        evaluations = xarray.Dataset({"regret": (("seed", "step"), np.ones((SEEDS, 2)))}, {"step": [20, 40]})

    curve = curves(Runs, "evaluation/regret")
    np.testing.assert_array_equal(curve.x, [20 * 128, 40 * 128])
    assert curve.y.shape == (SEEDS, 2)


def test_unknown_metrics_and_sweeps_are_refused_with_advice():
    run = dataset()
    with pytest.raises(ValueError, match="nearest: \\['episode_return'\\]"):
        curves(run, "episode_retrun")
    with pytest.raises(ValueError, match=r"\.sel\(lr="):
        curves(run.expand_dims(lr=[0.1, 0.2]), "episode_return")
    with pytest.raises(ValueError, match="runs is list"):
        learning_curves([run])


def test_learning_curves_draw_the_iqm_and_label_the_axes():
    run = dataset()
    figure = learning_curves({"ppo": run, "random": dataset()}, "episode_return", title="KeyRooms")
    (ax,) = figure.axes
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), iqm(run["episode_return"].values, axis=0))
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == (
        "Environment steps", "Episode return", "KeyRooms",
    )  # fmt: skip
    assert not ax.spines["top"].get_visible() and len(ax.collections) == 2
    figure.canvas.draw()


def test_learning_curves_say_how_many_seeds_are_left():
    y = RNG.normal(size=(SEEDS, STEPS))
    y[:2, 10:] = np.nan
    y[:4, 30:] = np.nan
    line = learning_curves({"ppo": dataset(success=y)}, "success").axes[0].get_lines()[0]
    assert line.get_label() == "ppo (4 of 6 seeds)" and len(line.get_xdata()) == 30


def test_long_curves_are_thinned():
    run = {"env_steps": np.arange(1000.0), "regret": RNG.normal(size=(3, 1000))}
    assert len(learning_curves({"ucb": run}, "regret").axes[0].get_lines()[0].get_xdata()) == 200


def test_score_bars_have_a_row_a_method():
    figure = score_bars({"rnd": RNG.normal(size=8), "counts": RNG.normal(size=5)}, label="Return")
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["rnd", "counts"]
    with pytest.raises(ValueError, match="not finite"):
        score_bars({"rnd": [1.0, np.nan]})


WORLD = np.full((20, 30, 3), 40, np.uint8)


def test_coverage_shows_the_world_where_nobody_went():
    visits = np.zeros((4, 6))
    visits[0, 0], visits[1, 2] = 1.0, 0.25
    panel = coverage_map(WORLD, visits, title="PPO").axes[0]
    tiles = panel.get_images()[1]
    colors = tiles.to_rgba(tiles.get_array())
    assert colors[3, 3, 3] == 0 and colors[0, 0, 3] > colors[1, 2, 3] > 0.5  # more seeds, more opaque


def test_coverage_maps_share_one_scale():
    figure = coverage_maps({"a": np.full((4, 6), 10.0), "b": np.full((4, 6), 3000.0)}, WORLD, scale="log")
    norms = {(i.norm.vmin, i.norm.vmax) for ax in figure.axes for i in ax.get_images()[1:]}
    assert norms == {(10.0, 10000.0)}
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["a", "b"]
    figure.canvas.draw()
    coverage_map(WORLD, np.zeros((4, 6)), scale="log").canvas.draw()


@pytest.mark.parametrize(
    ("background", "visits", "scale"),
    [
        (WORLD, np.zeros((3, 6)), "fraction"),
        (WORLD, np.full((4, 6), 2.0), "fraction"),
        (WORLD, np.full((4, 6), -1.0), "log"),
        (WORLD, np.full((4, 6), np.nan), "log"),
        (WORLD / 255, np.zeros((4, 6)), "fraction"),
        (WORLD, np.zeros((4, 6)), "linear"),
    ],
)
def test_bad_maps_are_refused(background, visits, scale):
    with pytest.raises(ValueError, match="expected"):
        coverage_map(background, visits, scale=scale)


def test_looks_are_fixed_and_never_shared():
    names = [f"method {i}" for i in range(20)]
    assert looks(names) == {name: looks(reversed(names))[name] for name in names}
    assert len({look[:2] for look in looks(names).values()}) == 20
    assert looks(["random"])["random"].color == REFERENCE
    assert looks(["rnd"])["rnd"] == looks(["random", "rnd"])["rnd"]
    assert len(set(PALETTE)) == len(PALETTE)


def test_settings_and_imports_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with style():
        assert matplotlib.rcParams["font.size"] >= 9
    learning_curves({"ppo": dataset()})
    assert dict(matplotlib.rcParams) == before
    check = (
        "import sys, purejaxexplore.analysis as a;"
        "assert callable(a.report) and callable(a.style);"
        "assert not {'matplotlib', 'xarray', 'scipy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
    check = (
        "import sys, numpy as np, purejaxexplore.analysis as a;"
        "a.learning_curves({'x': {'env_steps': np.arange(3.), 'episode_return': np.ones((2, 3))}});"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


class Formatter(dict):
    """As IPython's of one kind of output."""

    def for_type(self, kind, function):
        self[kind] = function


def test_a_notebook_draws_what_a_cell_ends_with(monkeypatch):
    kinds = ("image/png", "image/svg+xml", "image/jpeg", "application/pdf")
    formatters = {kind: Formatter() for kind in kinds}
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters=formatters))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    figure = score_bars({"a": RNG.normal(size=5)})
    assert formatters["image/png"][type(figure)](figure).startswith(b"\x89PNG")
    chosen = Formatter({type(figure): str})
    formatters.update({"image/png": Formatter(), "image/svg+xml": chosen})
    with style():
        pass
    assert not formatters["image/png"] and set(chosen) == {type(figure)}  # the user's choice stays
