"""One table of all environments: ``make`` builds one by name, ``list`` names them, ``register`` adds your own.

Names are ``"suite/Name"`` for other people's environments and plain ``"Name"`` for ours. A suite is imported when one
of its names is asked for, so a package that is not installed, or slow to import, costs those who do not use it nothing.
"""

import dataclasses
import difflib
import inspect
import numbers
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from importlib import import_module
from types import ModuleType
from typing import Any

SUITES = {
    "gymnax": "purejaxexplore.envs.suites.gymnax",
    "navix": "purejaxexplore.envs.suites.navix",
    "craftax": "purejaxexplore.envs.suites.craftax",
    "brax": "purejaxexplore.envs.suites.brax",
    "xminigrid": "purejaxexplore.envs.suites.xminigrid",
    "jaxtari": "purejaxexplore.envs.suites.jaxtari",
}
"""Suite -> module with ``names() -> list[str]`` and ``factory(name) -> callable(**options) -> environment``."""

_ALONE = {"jaxtari"}  # suites that the extra ``suites`` does not install

_worlds: dict[str, str | Callable[..., Any]] = {
    "CartpoleID": "purejaxexplore.envs.control.cartpole_id:CartpoleID",
    "ComboLock": "purejaxexplore.envs.tabular.combo_lock:ComboLock",
    "CraftLite": "purejaxexplore.envs.grids.craft:CraftLite",
    "DarkNoisyRooms": "purejaxexplore.envs.grids.dark_noisy_rooms:DarkNoisyRooms",
    "FormFill": "purejaxexplore.envs.tokens.form_fill:FormFill",
    "Game24": "purejaxexplore.envs.tokens.game24:Game24",
    "GaussGrid8": "purejaxexplore.envs.grids.gauss_grid:GaussGrid8",
    "JellyLite": "purejaxexplore.envs.grids.jelly:JellyLite",
    "KeyRooms": "purejaxexplore.envs.grids.key_rooms:KeyRooms",
    "HardMaze": "purejaxexplore.envs.control.hard_maze:HardMaze",
    "LidarMaze": "purejaxexplore.envs.control.lidar_maze:LidarMaze",
    "MarsGrid": "purejaxexplore.envs.grids.mars:MarsGrid",
    "MarsTeam": "purejaxexplore.envs.grids.mars_team:MarsTeam",
    "NovGridLite": "purejaxexplore.envs.grids.nov_grid:NovGridLite",
    "PendulumID": "purejaxexplore.envs.control.pendulum_id:PendulumID",
    "PickPlace2D": "purejaxexplore.envs.control.pick_place:PickPlace2D",
    "PointMaze": "purejaxexplore.envs.control.point_maze:PointMaze",
    "Pyramid": "purejaxexplore.envs.grids.pyramid:Pyramid",
    "QuadrotorID": "purejaxexplore.envs.control.quadrotor_id:QuadrotorID",
    "RoomChain": "purejaxexplore.envs.grids.room_chain:RoomChain",
    "RoomMaze": "purejaxexplore.envs.grids.room_maze:RoomMaze",
    "SemanticHouse": "purejaxexplore.envs.grids.semantic_house:SemanticHouse",
    "Spiral": "purejaxexplore.envs.grids.spiral:Spiral",
    "TextRooms": "purejaxexplore.envs.tokens.text_rooms:TextRooms",
    "Warehouse2D": "purejaxexplore.envs.control.warehouse:Warehouse2D",
}

_SIZE = re.compile(r"size|height|width|length|^num_|^max_steps")


def make(name: str, **overrides: Any) -> tuple[Any, Any]:
    """Builds an environment and its default parameters.

    Args:
        name: ``"suite/Name"``, for instance ``"gymnax/DeepSea-bsuite"``, or the plain name of one of our own worlds.
        **overrides: arguments of the environment's constructor (``size=24``), or fields of its parameters
            (``max_steps_in_episode=100``).

    Returns:
        ``(env, params)``: a ``gymnax.environments.environment.Environment`` and its parameters.

    Raises:
        ValueError: an unknown name or override (the message names the nearest valid ones), or a size below 1.
        ModuleNotFoundError: the package behind the suite is not installed (the message says how to install it).
    """
    factory = _factory(name)
    options = _options(factory)
    for keyword, value in overrides.items():
        _require_size(name, keyword, value, whole=keyword in options or keyword.startswith("max_steps"))
    env = factory(**{k: v for k, v in overrides.items() if k in options})
    params = env.default_params
    fields = [field.name for field in dataclasses.fields(params)] if dataclasses.is_dataclass(params) else []
    replacements = {k: v for k, v in overrides.items() if k not in options}
    for keyword in replacements:
        if keyword not in fields:
            valid = sorted({*options, *fields})
            raise ValueError(f"make({name!r}, {keyword}=...): unknown override{_nearest(keyword, valid)} of {valid}")
    return env, dataclasses.replace(params, **replacements) if replacements else params


def register(name: str, factory: Callable[..., Any]) -> None:
    """Adds an environment to the table.

    Args:
        name: a new name; it may hold a slash, but not the prefix of a suite.
        factory: called by ``make`` with those overrides that are its parameters; returns a gymnax ``Environment``.

    Raises:
        TypeError: ``name`` is not a string, or ``factory`` cannot be called.
        ValueError: ``name`` is empty, taken, or begins with the prefix of a suite.
    """
    if not isinstance(name, str) or not callable(factory):
        raise TypeError(f"register({name!r}, {factory!r}): expected a string and a callable that makes an environment")
    if not name or name in _worlds:
        raise ValueError(f"name={name!r}: {'already registered' if name else 'empty'}; choose another name")
    if name.split("/")[0] in SUITES:
        raise ValueError(f"name={name!r}: the prefix {name.split('/')[0]!r} belongs to a suite; choose another prefix")
    _worlds[name] = factory


def _factory(name: str) -> Callable[..., Any]:
    if not isinstance(name, str):
        raise TypeError(f"name={name!r}: expected a string such as 'gymnax/DeepSea-bsuite'")
    if name in _worlds:
        world = _worlds[name]
        if not isinstance(world, str):
            return world
        module, attribute = world.split(":")
        return getattr(import_module(module), attribute)
    prefix, _, rest = name.partition("/")
    if prefix in SUITES and rest in (suite := _suite(prefix)).names():
        return suite.factory(rest)
    known = list()
    tails = {known_name.split("/")[-1]: known_name for known_name in reversed(known)}
    raise ValueError(f"name={name!r}: unknown environment{_nearest(name, known, tails)}; envs.list() names all")


def _suite(prefix: str) -> ModuleType:
    try:
        return import_module(SUITES[prefix])
    except ModuleNotFoundError as error:
        missing = f"the {prefix!r} environments need the package {error.name!r}"
        install = error.name if prefix in _ALONE else '"purejaxexplore[suites]"'
        raise ModuleNotFoundError(f"{missing}: pip install {install}", name=error.name) from error


def _options(factory: Callable[..., Any]) -> set[str]:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name for p in inspect.signature(factory).parameters.values() if p.kind in named}


def _require_size(name: str, keyword: str, value: Any, whole: bool) -> None:
    if not _SIZE.search(keyword) or not isinstance(value, numbers.Real):
        return  # arrays and traced values are the caller's business
    if isinstance(value, bool) or value <= 0 or (whole and value != int(value)):
        allowed = "a whole number of at least 1" if whole else "a positive number"
        raise ValueError(f"make({name!r}, {keyword}={value!r}): expected {allowed}")


def _nearest(word: str, valid: Any, aliases: dict[str, str] | None = None) -> str:
    """`` (nearest: ...)``, case ignored, or nothing; ``aliases`` are further spellings of valid words."""
    spellings = {w.lower(): w for w in valid} | {k.lower(): v for k, v in (aliases or {}).items()}
    words = [word.lower(), word.lower().split("/")[-1]]
    matches = [spellings[w] for w in words if w in spellings]
    for w in words:
        matches += [spellings[m] for m in difflib.get_close_matches(w, spellings, n=3, cutoff=0.6)]
    nearest = [*dict.fromkeys(matches)][:3]
    return f" (nearest: {', '.join(nearest)})" if nearest else ""


# Last in the file, because from here on the name hides the builtin.
def list(pattern: str = "*") -> list[str]:
    """Names that ``make`` accepts, sorted; suites whose package is not installed are left out.

    Args:
        pattern: a shell pattern, case ignored. ``"navix/*doorkey*"`` imports only navix; ``"*doorkey*"`` every suite.
    """
    pattern = pattern.lower()
    names = [*_worlds]
    for prefix in SUITES:
        if "/" in pattern and not fnmatchcase(prefix, pattern.split("/")[0]):
            continue
        try:
            names += [f"{prefix}/{rest}" for rest in _suite(prefix).names()]
        except ModuleNotFoundError:
            continue
    return sorted(name for name in names if fnmatchcase(name.lower(), pattern))
