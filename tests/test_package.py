"""Importing the package is cheap, sets the CPU flag without touching the user's own, and every public name resolves."""

import os
import pkgutil
import subprocess
import sys
import warnings
from importlib import import_module

import pytest

import purejaxexplore as pjx
from purejaxexplore import _compat, testing

HEAVY = (
    "gymnax", "distrax", "orbax", "matplotlib", "xarray", "rich", "tyro", "navix", "craftax", "brax", "xminigrid",
    "pandas", "optax",
)  # fmt: skip


def python(code, **environment):
    """Standard output of a fresh interpreter."""
    kept = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_loads_nothing_heavy_and_starts_no_backend():
    loaded = python(
        "import sys, purejaxexplore, purejaxexplore.testing\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
        "from jax._src import xla_bridge\n"
        "print(xla_bridge.backends_are_initialized())"
    )
    modules, started = loaded.splitlines()
    assert not set(modules.split()) & set(HEAVY)
    assert started == "False"


@pytest.mark.parametrize("package", [pjx, testing], ids=lambda package: package.__name__)
def test_every_public_name_resolves(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package)) | set(package._LAZY)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        package.nonsense  # noqa: B018


def test_every_module_imports_and_its_public_names_exist():
    optional = ("navix", "craftax", "brax", "xminigrid", "jaxtari")
    for info in pkgutil.walk_packages(pjx.__path__, "purejaxexplore."):
        try:
            module = import_module(info.name)
        except ModuleNotFoundError as error:
            assert error.name.split(".")[0] in optional, f"{info.name}: {error}"
            continue
        for name in getattr(module, "__all__", ()):
            getattr(module, name)


@pytest.fixture
def flags(monkeypatch):
    """Sets XLA_FLAGS, the version of jax and whether a backend runs; returns what the cure leaves in XLA_FLAGS."""

    def cure(before, version="0.10.2", started=False):
        monkeypatch.setattr(_compat, "version", lambda package: version)
        monkeypatch.setattr(_compat, "_backend_started", lambda: started)
        if before is None:
            monkeypatch.delenv("XLA_FLAGS", raising=False)
        else:
            monkeypatch.setenv("XLA_FLAGS", before)
        _compat.cure_cpu_deadlock()
        return os.environ.get("XLA_FLAGS")

    return cure


OFF = f"{_compat.SCHEDULER_FLAG}=false"


@pytest.mark.parametrize(
    "before, after",
    [
        (None, OFF),
        ("", OFF),
        ("--xla_force_host_platform_device_count=2", f"--xla_force_host_platform_device_count=2 {OFF}"),
        (f"{_compat.SCHEDULER_FLAG}=true", f"{_compat.SCHEDULER_FLAG}=true"),
        (OFF, OFF),
    ],
)
def test_the_flag_is_appended_and_the_users_own_is_kept(flags, before, after):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert flags(before) == after


@pytest.mark.parametrize("version", ["0.11.0", "0.11.2", "0.12.0.1", "1.0"])
def test_newer_versions_of_jax_need_no_flag(flags, version):
    assert flags(None, version) is None
    assert flags("--some_flag=1", version, started=True) == "--some_flag=1"


def test_a_running_backend_earns_a_warning(flags):
    with pytest.warns(UserWarning, match="import purejaxexplore first"):
        assert flags(None, started=True) == OFF


def test_the_import_itself_cures_and_warns_when_it_is_late():
    if tuple(map(int, _compat.version("jax").split(".")[:2])) >= (0, 11):
        pytest.skip("jax 0.11 and later need no flag")
    assert python("import os, purejaxexplore; print(os.environ['XLA_FLAGS'])", XLA_FLAGS="--xla_cpu_x=1") == (
        f"--xla_cpu_x=1 {OFF}"
    )
    late = "import jax, warnings; jax.devices(); warnings.simplefilter('error')\ntry:\n import purejaxexplore\n"
    assert python(f"{late}except UserWarning as w: print(w)").startswith("jax started its backend before")
