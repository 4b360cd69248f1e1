"""Huey objects: which names mean one, which of its methods is called, and how it was configured.

Sources: huey/api.py (`Huey.__init__`), huey/contrib/djhuey (settings.HUEY as a dict or an object).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skillrun.frameworks.common.reading import place_of
from skillrun.repo.python import Module, Project
from skillrun.repo.syntax import read_entries
from skillrun.repo.uses import FrameworkUse, Place

DJANGO = ("huey.contrib.djhuey.", "django_huey.")
_METHOD = re.compile(r"huey\.(?:\w+\.)*\w*Huey(?:\(\))?\.(\w+)")


@dataclass(frozen=True)
class Setting:
    """A value that the Huey object was made with, and the expression that gives it."""

    value: Any
    place: Place
    node: ast.expr
    module: Module


def app_names(use: FrameworkUse) -> frozenset[str]:
    """ "path:object" of every Huey object that detection found."""
    return frozenset(use.apps or ((use.app,) if use.app else ()))


def app_method(
    project: Project, use: FrameworkUse, node: ast.expr, module: Module
) -> tuple[str, str] | None:
    """(dotted name of the Huey object, method) of `huey.task`, `db_task`, `app.huey.signal`; else
    None.
    """
    name = module.resolve(node)
    if name is None:
        return None
    origin = project.origin(name)
    for prefix in DJANGO:
        if origin.startswith(prefix):
            return f"{prefix}HUEY", origin.rpartition(".")[2]
    owner, _, method = name.rpartition(".")
    if _METHOD.fullmatch(origin) or (owner and _is_app(project, use, owner)):
        return owner, method
    return None


def _is_app(project: Project, use: FrameworkUse, owner: str) -> bool:
    """One that detection found, or a name that says huey and whose making is out of sight."""
    found = project.lookup(owner)
    if found is not None and found.module is not None and found.binding is not None:
        if f"{found.module.path}:{found.dotted.rpartition('.')[2]}" in app_names(use):
            return True
        return (
            found.binding.value is not None
            and _says_huey(owner)
            and isinstance(found.binding.value, ast.Call)
        )
    return found is None and _says_huey(owner) and project.origin(owner) != "huey"


def _says_huey(owner: str) -> bool:
    return "huey" in owner.rpartition(".")[2].lower()


def made_as(
    project: Project, use: FrameworkUse, owner: str | None
) -> tuple[ast.Call | ast.Dict, Module] | None:
    """The call or the settings dict that makes the Huey object `owner`, else the main one."""
    path, _, name = (use.app or "").rpartition(":")
    names = []
    if owner:
        names = [owner]
    if path.endswith(".py"):
        names.append(f"{project.import_name(path)}.{name}")
    for dotted in names:
        found = project.lookup(dotted)
        value = None
        if found and found.binding:
            value = found.binding.value
        if found and found.module and isinstance(value, ast.Call | ast.Dict):
            return value, found.module
    return None


def setting(project: Project, use: FrameworkUse, owner: str | None, name: str) -> Setting | None:
    """One argument of the Huey object, or an entry of the HUEY dict; None where nothing that could
    be read sets it.
    """
    made = made_as(project, use, owner)
    if made:
        for key, value in _list_entries(made[0]):
            if key == name and made:
                return Setting(
                    project.literal(value, made[1]), place_of(made[1], value), value, made[1]
                )
    return None


def _list_entries(node: ast.Call | ast.Dict) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg:
                yield (keyword.arg, keyword.value)
        return
    for key, value in read_entries(node).items():
        yield str(key), value


def storage(project: Project, use: FrameworkUse, owner: str | None) -> str:
    """The class of the Huey object, e.g. "SqliteHuey"; "" where it is not told."""
    made = made_as(project, use, owner)
    if made is None:
        return ""
    if isinstance(made[0], ast.Dict):
        found = setting(project, use, owner, "huey_class")
        if found and isinstance(found.value, str):
            name = found.value
        elif found:
            name = ""
        else:
            name = "RedisHuey"
    else:
        name = project.origin_of(made[1], made[0].func)
        bases = []
        for base in project.ancestors(name):
            if base.startswith("huey."):
                bases.append(base)
        if bases:
            name = bases[0]
    return name.rpartition(".")[2]
