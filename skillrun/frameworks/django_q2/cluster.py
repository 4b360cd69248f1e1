"""Q_CLUSTER as the settings write it, and what an option is where they leave it out.

Source: django_q/conf.py. Of several settings modules the one counts that detection calls the app,
else the one that DJANGO_SETTINGS_MODULE names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from skillrun.frameworks.common.reading import held_value, place_of
from skillrun.repo.places import is_plainly_test
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
    """The settings of a cluster. `unread`: a part that cannot be read, so that any option may be
    another one.
    """

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
    """The cluster of the first settings module that binds Q_CLUSTER; an empty one without any."""
    for module in _list_settings_modules(project, use):
        values = []
        for binding in module.bindings(module.tree).get(_NAME, []):
            if binding.value is not None:
                values.append(binding.value)
        if not values:
            continue
        cluster = Cluster(place_of(module, values[-1]))
        _add_entries(project, cluster, values[-1], module)
        for name, value in _list_later_entries(module):
            _add_option(project, cluster, name, value, module)
        return cluster
    return Cluster()


def _list_settings_modules(project: Project, use: FrameworkUse) -> Iterator[Module]:
    """The modules with Q_CLUSTER in them: the app's, then the settings', then any; one may come
    twice.
    """
    app = None
    if use.app:
        app = project.module(use.app.rpartition(":")[0])
    modules = [module for module in project.modules_with(_NAME) if not is_plainly_test(module.path)]
    for module in (app, *project.settings_modules()):
        if module is not None and module in modules:
            yield module
    yield from sorted(modules, key=lambda module: module.path)


def _add_option(
    project: Project, cluster: Cluster, name: str, value: ast.expr, module: Module
) -> None:
    """Adds one option to a cluster."""
    cluster.options[name] = Setting(project.literal(value, module), place_of(module, value))


def _add_entries(project: Project, cluster: Cluster, node: ast.expr, module: Module) -> None:
    """Adds the entries of a dictionary to a cluster, those of `**BASE` and `dict(...)` included."""
    held = held_value(project, node, module)
    if held:
        node, module = held
    # (name, value); without a name, a dictionary that is spread.
    pairs: list[tuple[object, ast.expr]] = []
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            name = None
            if key is not None:
                name = project.literal(key, module)
            pairs.append((name, value))
    elif _is_dict_call(node, module):
        for keyword in node.keywords:
            pairs.append((keyword.arg, keyword.value))
    else:
        cluster.unread = place_of(module, node)
    for name, value in pairs:
        if name is None:
            _add_entries(project, cluster, value, module)
        elif isinstance(name, str):
            _add_option(project, cluster, name, value, module)


def _is_dict_call(node: ast.expr, module: Module) -> TypeGuard[ast.Call]:
    """Whether it is `dict(name=value)`, without another dictionary in it."""
    if not isinstance(node, ast.Call) or node.args:
        return False
    return module.resolve(node.func) == "builtins.dict"


def _list_later_entries(module: Module) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) of each `Q_CLUSTER["retry"] = 90` below it."""
    for node in module.tree.body:
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name):
                continue
            if target.value.id != _NAME or not isinstance(target.slice, ast.Constant):
                continue
            key = target.slice.value
            if isinstance(key, str):
                yield key, node.value
