import importlib
import subprocess
import sys

import pytest
from gymnax.environments.classic_control.cartpole import CartPole

from purejaxexplore import envs
from purejaxexplore.envs import registry


def test_make_gives_environment_and_params():
    env, params = envs.make("gymnax/CartPole-v1")
    assert env.name == "CartPole-v1"
    assert params.max_steps_in_episode == 500


def test_overrides_go_to_the_constructor_and_to_the_params():
    env, params = envs.make("gymnax/DeepSea-bsuite", size=5, deterministic=False)
    assert env.size == 5 and params.max_steps_in_episode == 5 and params.action_map.shape == (5, 5)
    assert params.deterministic is False


def test_our_own_worlds_need_no_prefix():
    for name in ("KeyRooms", "Pyramid", "RoomChain"):
        env, params = envs.make(name)
        assert env.num_actions >= 2 and params.max_steps_in_episode > 0


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("DeepSea-bsuite", "gymnax/DeepSea-bsuite"),
        ("deepsea", "gymnax/DeepSea-bsuite"),
        ("Gymnax/DeepSea-bsuite", "gymnax/DeepSea-bsuite"),
        ("gymnax/deepsea-BSUITE", "gymnax/DeepSea-bsuite"),
        ("gymnax/CartPole-v0", "gymnax/CartPole-v1"),
        ("navix/DoorKey-8x8-v0", "navix/Navix-DoorKey-8x8-v0"),
        ("keyrooms", "KeyRooms"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name, nearest):
    with pytest.raises(ValueError, match="unknown environment") as error:
        envs.make(name)
    assert nearest in str(error.value)


def test_unknown_overrides_are_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"nearest: max_steps_in_episode"):
        envs.make("gymnax/DeepSea-bsuite", max_step_in_episode=3)
    with pytest.raises(ValueError, match=r"nearest: size"):
        envs.make("gymnax/DeepSea-bsuite", sise=3)


@pytest.mark.parametrize(
    "override",
    [{"size": 0}, {"size": -2}, {"size": 2.5}, {"size": True}, {"max_steps_in_episode": 0}],
)
def test_sizes_below_one_are_refused_before_anything_is_built(override, monkeypatch):
    def never(*args, **kwargs):
        raise RuntimeError("built")

    registry._worlds["TestSize"] = lambda size=1, max_steps_in_episode=1: never()
    try:
        with pytest.raises(ValueError, match=next(iter(override))):
            envs.make("TestSize", **override)
    finally:
        del registry._worlds["TestSize"]


def test_a_positive_fraction_is_a_fine_length_of_a_pole():
    assert envs.make("gymnax/CartPole-v1", length=0.25)[1].length == 0.25
    with pytest.raises(ValueError, match="positive"):
        envs.make("gymnax/CartPole-v1", length=-0.25)


def test_list_is_sorted_and_ignores_case():
    names = envs.list("GYMNAX/*deep*")
    assert names == ["gymnax/DeepSea-bsuite"]
    everything = envs.list("gymnax/*")
    assert everything == sorted(everything) and len(everything) >= 26
    assert "KeyRooms" in envs.list("key*")


def test_missing_packages_are_named_and_left_out(monkeypatch):
    real = importlib.import_module

    def without_navix(name, *args):
        if name == registry.SUITES["navix"]:
            raise ModuleNotFoundError("No module named 'navix'", name="navix")
        return real(name, *args)

    monkeypatch.setattr(registry, "import_module", without_navix)
    with pytest.raises(ImportError, match=r'navix.*pip install "purejaxexplore\[suites\]"'):
        envs.make("navix/Navix-Empty-5x5-v0")
    assert envs.list("navix/*") == []


def test_register(monkeypatch):
    monkeypatch.setattr(registry, "_worlds", dict(registry._worlds))
    envs.register("lab/Pole", CartPole)
    assert isinstance(envs.make("lab/Pole", gravity=1.6)[0], CartPole)
    assert envs.make("lab/Pole", gravity=1.6)[1].gravity == 1.6
    assert "lab/Pole" in envs.list("lab/*")
    for name in ("lab/Pole", "KeyRooms", "gymnax/Pole", ""):
        with pytest.raises(ValueError, match="name="):
            envs.register(name, CartPole)
    with pytest.raises(TypeError, match="callable"):
        envs.register("lab/Other", 3)


def test_suites_are_imported_when_asked_for():
    code = (
        "import sys; import purejaxexplore as pjx; pjx.envs.make; "
        "assert 'gymnax' not in sys.modules, 'registry imports gymnax'; "
        "pjx.make('gymnax/CartPole-v1'); "
        "assert not {'navix', 'brax', 'xminigrid', 'craftax'} & set(sys.modules), 'a suite came along'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)
