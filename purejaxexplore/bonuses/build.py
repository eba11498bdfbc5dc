"""Any registered bonus by its name, with what the environment determines filled in."""

import dataclasses
import typing
from importlib import import_module
from typing import Any

from purejaxexplore.bonuses.bonus import Bonus
from purejaxexplore.checks import choice
from purejaxexplore.systems import BONUSES


def make_bonus(name: str, env, env_params, **settings: Any) -> Bonus:
    """The bonus ``name`` of ``purejaxexplore list bonuses`` for an environment::

        bonus = make_bonus("counts", env, env_params, episodic=False)

    ``num_states``, ``num_actions`` and ``num_goals`` (the states, each a goal to reach) come from the environment where
    the config has no default for them; every other field keeps its default or is one of ``settings``.

    Raises:
        ValueError: an unknown name or setting, a field that neither the environment nor ``settings`` gives, or as the
            factory says.
    """
    factory, config_type = bonus_factory(name)
    fields = {field.name: field for field in dataclasses.fields(config_type)}
    for setting in settings:
        choice(f"setting of bonus {name!r}", setting, sorted(fields))
    known = {
        "num_states": getattr(env, "num_states", None),
        "num_actions": getattr(env.action_space(env_params), "n", None),
        "num_goals": getattr(env, "num_states", None),
    }
    for field in fields.values():
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if optional or field.name in settings:
            continue
        if known.get(field.name) is None:
            raise ValueError(f"bonus {name!r} needs {field.name}, which {env.name} does not give: pass {field.name}=")
        settings[field.name] = int(known[field.name])
    return factory(config_type(**settings))


def widths(name: str, width: int) -> dict[str, Any]:
    """The settings of the bonus ``name`` that make every layer of its networks, and of those inside it, this wide.

    Raises:
        ValueError: no bonus is called ``name``.
    """

    def of(config_type: type) -> dict[str, Any]:
        chosen = {}
        for field in dataclasses.fields(config_type):
            if isinstance(field.default, tuple):
                chosen[field.name] = (width,) * len(field.default)
            elif dataclasses.is_dataclass(field.default):
                chosen[field.name] = field.default.replace(**of(type(field.default)))
        return chosen

    return of(bonus_factory(name)[1])


def bonus_factory(name: str) -> tuple[Any, type]:
    """``(factory, type of its config)``: the function of the bonus's name in its module, and what it takes first.

    Raises:
        ValueError: no bonus is called ``name``.
    """
    choice("bonus", name, sorted(BONUSES))
    factory = getattr(import_module(BONUSES[name][0]), name)
    config_type = typing.get_type_hints(factory)["config"]
    return factory, next(t for t in (*typing.get_args(config_type), config_type) if dataclasses.is_dataclass(t))
