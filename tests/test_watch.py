"""The best trajectory of a stored run is read back from its directory alone, and drawn by ``watch``."""

import json

import numpy as np
import pytest
from PIL import Image

import purejaxexplore as pjx
from purejaxexplore import cli
from purejaxexplore.go_explore import GoExploreConfig, go_explore
from purejaxexplore.watch import best_trajectory, pictures

SETTINGS = GoExploreConfig(action_repeat=0.8, num_lanes=8, horizon=20, capacity=512, num_iterations=12)
WORLD = {"name": "KeyRooms", "key_reward": 2.0}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Directory and result of three stored seeds in KeyRooms, numbered from 5."""
    directory = tmp_path_factory.mktemp("runs") / "keys"
    env, env_params = pjx.make(**WORLD)
    algorithm = go_explore(env, env_params, SETTINGS)
    config = {"world": WORLD, "go_explore": SETTINGS}
    runs = pjx.run(algorithm, 3, 12, first_seed=5, key=3, out=directory, config=config, progress=False)
    return directory, runs


def test_the_best_of_all_seeds_replays(stored):
    directory, runs = stored
    found = best_trajectory(directory)
    scores = np.asarray(runs.state.best.score)
    assert scores.max() > 0 and found.score == scores.max() and found.seed == 5 + scores.argmax()
    assert found.replay.rewards.sum() == found.score
    assert len(found.replay.actions) == np.asarray(runs.state.best.length)[scores.argmax()]


def test_watch_writes_a_gif(stored, capsys, tmp_path):
    directory, _ = stored
    cli.main(["watch", str(directory)])
    assert "score 4, 21 steps" in capsys.readouterr().out
    steps = len(best_trajectory(directory).replay.rewards)
    with Image.open(directory / "best.gif") as gif:
        assert 1 < gif.n_frames <= steps + 1 and gif.size == (304, 304)
    cli.main(["watch", str(directory), "--out", str(tmp_path / "short.gif"), "--every", "10", "--fps", "5"])
    with Image.open(tmp_path / "short.gif") as gif:
        assert gif.n_frames <= 2 + steps // 10 and gif.info["duration"] == 200


def test_pictures_end_with_the_last_state(stored):
    found = best_trajectory(stored[0])
    last = pictures(found)[-1]
    assert np.array_equal(pictures(found, every=1000)[-1], last)
    with pytest.raises(ValueError, match="every=0"):
        pictures(found, every=0)


@pytest.mark.parametrize("config", [None, {"explorer": "Go-Explore"}, {"world": "KeyRooms"}])
def test_a_run_that_does_not_name_its_world_is_refused(config, tmp_path, capsys):
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "config.json").write_text(json.dumps({"config": config, "over": {}}))
    with pytest.raises(SystemExit):
        cli.main(["watch", str(tmp_path / "walk")])
    (line,) = capsys.readouterr().err.strip().splitlines()
    missing = "go_explore" if config and "world" in config else "world"
    assert f"without '{missing}'" in line and "expected run(" in line


def test_no_run_at_all_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["watch", str(tmp_path)])
    assert "config.json" in capsys.readouterr().err
