"""The page about a run: complete, self-contained, escaped, and refused in one line if impossible."""

import re
from html.parser import HTMLParser
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import purejaxexplore as pjx
from purejaxexplore.analysis import coverage_map, report

RNG = np.random.default_rng(0)


def dataset(seeds=5, steps=12, **coords):
    names = ("env_steps", "episode_return", "coverage")
    shape = (*map(len, coords.values()), seeds, steps)
    data = {name: ((*coords, "seed", "step"), RNG.normal(size=shape)) for name in names}
    data["env_steps"] = (data["env_steps"][0], np.broadcast_to(np.arange(1, steps + 1) * 10, shape))
    return xarray.Dataset(data, {**coords, "step": np.arange(1, steps + 1)})


class Page(HTMLParser):
    """Checks that tags close in order; collects images and text."""

    def __init__(self, path):
        super().__init__()
        self.open, self.images, self.words = [], [], []
        self.source = path.read_text()
        self.feed(self.source)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        elif tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A run stored by the runner itself."""
    directory = tmp_path_factory.mktemp("runs") / "walk"

    def step(key, state):
        state = state + jax.random.normal(key)
        return state, {"env_steps": jnp.int32(0) + 1, "episode_return": state}

    algorithm = pjx.Algorithm(lambda key: jnp.zeros(()), step, lambda key, state: {"regret": -state})
    pjx.run(algorithm, num_seeds=4, num_steps=20, evaluate_every=10, out=directory, progress=False)
    return directory


def test_the_page_of_a_stored_run(stored):
    (stored / "figures").mkdir(exist_ok=True)
    world = np.zeros((4, 4, 3), np.uint8)
    coverage_map(world, np.full((2, 2), 0.5)).savefig(stored / "figures" / "where_it_went.png")
    path = report(stored)
    page = Page(path)
    assert path == stored / "report.html"
    assert len(page.images) == 3 and all(i.startswith("data:image/png;base64,") for i in page.images)
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|url\(", page.source)
    for words in (
        "walk",
        "Episode return",
        "evaluation/regret",
        "num_seeds",
        "jax",
        "where it went",
        "4 seeds",
    ):
        assert words in page.text, words
    assert str(stored) not in page.text


def test_final_values_and_missing_seeds(tmp_path):
    y = np.tile(np.linspace(0, 3.5, 10), (4, 1))
    y[0, 5:] = np.nan
    run = {"env_steps": np.arange(10.0)[None].repeat(4, 0), "success": y}
    text = Page(report({"<ppo>": run}, tmp_path / "page.html")).text
    assert "3.5 [3.5, 3.5] 3 of 4 seeds" in " ".join(text.split()) and "<ppo>" in text


def test_a_sweep_is_a_row_a_configuration_and_few_curves(tmp_path):
    sweep = dataset(lr=np.geomspace(1e-4, 1e-2, 5), bonus=[0.0, 1.0])
    page = Page(report([sweep], tmp_path / "page.html", metrics=["coverage"]))
    assert "run 0 lr=0.001 bonus=1" in page.text and len(page.images) == 1
    assert "The 8 of 10 runs" in page.text


def test_runs_with_one_seed_and_runs_side_by_side(tmp_path):
    page = Page(report({"one": dataset(seeds=1), "two": dataset()}, tmp_path / "page.html"))
    assert "one" in page.text and len(page.images) == 2


def test_what_cannot_be_reported_is_refused_in_one_line(tmp_path, stored):
    for out, path, words in (
        (stored.with_name("wlak"), None, "nearest: .*walk"),
        (tmp_path / "no" / "where", None, "no such directory"),
        (dataset(), None, "needs the path"),
        (dataset(), tmp_path / "no" / "page.html", "does not exist"),
        ([], tmp_path / "page.html", "out of type"),
        (3, tmp_path / "page.html", "out of type"),
        (xarray.Dataset(), tmp_path / "page.html", "no metrics"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            report(out, path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "page.html").exists()


def test_the_function_wins_over_the_module_of_its_name():
    import_module("purejaxexplore.analysis.report")
    assert callable(pjx.analysis.report)
