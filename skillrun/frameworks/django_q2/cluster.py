"""Q_CLUSTER as the settings write it, and what an option is where they leave it out.

Source: django_q/conf.py. Of several settings modules the one counts that detection calls the app,
else the one that DJANGO_SETTINGS_MODULE names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.common.reading import held_value, in_tests, place_of
from skillrun.repo.python import UNKNOWN, Module, Project
from skillrun.repo.uses import FrameworkUse, Place

RETRY_S = 60
DEFAULTS: dict[str, Any] = {
    "retry": RETRY_S,
    "timeout": None,
    "max_attempts": 0,
    "ack_failures": False,
    "cached": False,
    "sync": False,
    "catch_up": True,
    "orm": None,
}
# django_q/brokers: asked for before the ORM.
_OTHER_BROKERS = ("broker_class", "iron_mq", "sqs")
_NAME = "Q_CLUSTER"


@dataclass(frozen=True)
class Setting:
    """A value, and where it is written."""

    value: Any
    place: Place


@dataclass
class Cluster:
    """`unread`: what cannot be told, so that any option may be another one."""

    place: Place | None = None
    options: dict[str, Setting] = field(default_factory=dict)
    unread: Place | None = None

    def value(self, name: str) -> Any:
        """The effective value; an `Unknown` where it cannot be read."""
        found = self.options.get(name)
        if found is not None:
            return found.value
        if self.unread:
            return UNKNOWN
        return DEFAULTS.get(name)

    def source(self, name: str) -> Place | None:
        """Where it is written; None for a default."""
        found = self.options.get(name)
        if found:
            return found.place
        return self.unread

    @property
    def broker(self) -> str:
        """orm | mongo | redis | other; "" where it cannot be told."""
        if any(self.options.get(name) for name in _OTHER_BROKERS):
            return "other"
        for name in ("orm", "mongo"):
            if name in self.options:
                return name
        if self.unread or self.place is None:
            return ""
        return "redis"


def read_cluster(project: Project, use: FrameworkUse) -> Cluster:
    """The first settings module that has it."""
    return project.remember(("django-q2.cluster", use.app), lambda: _read_setting(project, use))


def _read_setting(project: Project, use: FrameworkUse) -> Cluster:
    for module in _list_settings_modules(project, use):
        bound = []
        for one in module.bindings(module.tree).get(_NAME, []):
            if one.value is not None:
                bound.append(one.value)
        if bound:
            made = Cluster(place_of(module, bound[-1]))
            _take_entries(project, made, bound[-1], module)
            for name, value in _set_later(module):
                made.options[name] = Setting(
                    project.literal(value, module), place_of(module, value)
                )
            return made
    return Cluster()


def _list_settings_modules(project: Project, use: FrameworkUse) -> Iterator[Module]:
    app = None
    if use.app:
        app = project.module((use.app or "").rpartition(":")[0])
    known = [module for module in project.modules_with(_NAME) if not in_tests(module.path)]
    yield from (
        module
        for module in (app, *project.settings_modules())
        if module is not None and module in known
    )
    yield from sorted(known, key=lambda module: module.path)


def _take_entries(project: Project, made: Cluster, node: ast.expr, module: Module) -> None:
    """The entries of a dictionary, those of `**BASE` and `dict(...)` included."""
    found = held_value(project, node, module)
    node, module = found or (node, module)
    pairs: list[tuple[str | None, ast.expr]] = []
    if isinstance(node, ast.Dict):
        pairs = []
        for k, v in zip(node.keys, node.values, strict=True):
            pairs.append((project.literal(k, module) if k is not None else None, v))
    elif (
        isinstance(node, ast.Call)
        and module.resolve(node.func) == "builtins.dict"
        and not node.args
    ):
        pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
    else:
        made.unread = place_of(module, node)
    for name, value in pairs:
        if name is None:
            _take_entries(project, made, value, module)
        elif isinstance(name, str):
            made.options[name] = Setting(project.literal(value, module), place_of(module, value))


def _set_later(module: Module) -> Iterator[tuple[str, ast.expr]]:
    """`Q_CLUSTER["retry"] = 90` below it."""
    for node in (n for n in module.tree.body if isinstance(n, ast.Assign)):
        for target in node.targets:
            owner = None
            if isinstance(target, ast.Subscript):
                owner = target.value
            if (
                isinstance(owner, ast.Name)
                and owner.id == _NAME
                and isinstance(target, ast.Subscript)
            ):
                key = None
                if isinstance(target.slice, ast.Constant):
                    key = target.slice.value
                if isinstance(key, str):
                    yield key, node.value
