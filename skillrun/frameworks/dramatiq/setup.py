"""Broker, middleware and encoder as the code sets them up.

Sources: dramatiq/broker.py (a `middleware` argument replaces the default list, `add_middleware`
adds to it, twice the same too), dramatiq/middleware/__init__.py (`default_middleware`),
django_dramatiq (DRAMATIQ_BROKER).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.common.reading import place_of
from skillrun.repo.places import is_aside
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import is_none, read_entries
from skillrun.repo.uses import FrameworkUse, Place

DEFAULT = frozenset(
    {"AgeLimit", "TimeLimit", "ShutdownNotifications", "Callbacks", "Pipelines", "Retries"}
)
_HEARTBEAT = 60_000  # brokers/redis.py: DEFAULT_HEARTBEAT_TIMEOUT
SETTING = "DRAMATIQ_BROKER"


@dataclass(frozen=True)
class Part:
    """One middleware: its class name, the keywords that it is made with, and where. `own`: a class
    of ours.
    """

    name: str
    place: Place
    keywords: dict[str, ast.expr] = field(default_factory=dict)
    module: Module | None = None
    own: Definition | None = None


@dataclass
class Setup:
    """`replaced` is the place of a list that replaces the default middleware; None where that
    stays.
    """

    listed: list[Part] = field(default_factory=list)
    added: list[Part] = field(default_factory=list)
    replaced: Place | None = None
    unread: list[Place] = field(default_factory=list)
    encoder: tuple[str, Place] | None = None
    heartbeat: tuple[Any, Place] | None = None  # milliseconds

    def has(self, name: str) -> bool:
        """A middleware is there; also where the list could not be read."""
        if any(part.name == name for part in (*self.listed, *self.added)):
            return True
        return name in DEFAULT and (self.replaced is None or bool(self.unread))

    def part(self, name: str) -> Part | None:
        """The middleware as the code makes it; None for one that Dramatiq makes itself."""
        for part in (*reversed(self.added), *self.listed):
            if part.name == name:
                return part
        return None

    @property
    def own(self) -> tuple[Definition, ...]:
        """The repository's own middleware classes."""
        found = []
        for part in (*self.listed, *self.added):
            if part.own is not None:
                found.append(part.own)
        return tuple(found)


def is_broker_class(project: Project, name: str) -> bool:
    """A class of a Dramatiq library that ends in Broker, or one of ours that derives from it."""
    for ancestor in project.ancestors(name):
        library = ancestor.partition(".")[0]
        if "dramatiq" in library and ancestor.rpartition(".")[2].endswith("Broker"):
            return True
    return False


def read_setup(project: Project, use: FrameworkUse) -> Setup:
    """Everything that can be read of how messages are worked on."""
    return project.remember(("dramatiq.setup", use.app), lambda: _Reader(project, use).read())


class _Reader:
    def __init__(self, project: Project, use: FrameworkUse) -> None:
        self.project = project
        self.use = use
        self.setup = Setup()

    def read(self) -> Setup:
        self._read_brokers()
        self._read_setting()
        for module, call in self._find_calls("add_middleware"):
            if call.args and isinstance(call.func, ast.Attribute):
                self.setup.added += self._read_part(call.args[0], module)
        for module, call in self._find_calls("set_encoder"):
            name = None
            if call.args:
                name = self._resolve_name(call.args[0], module)
            self.setup.encoder = ((name or "unknown").removesuffix("()"), place_of(module, call))
        return self.setup

    def _find_calls(self, word: str) -> Iterator[tuple[Module, ast.Call]]:
        """The calls of a method or function of this name outside tests and examples."""
        for module in self.project.modules_with(word):
            if self._counts(module):
                for node in module.all_nodes:
                    called = None
                    if isinstance(node, ast.Call):
                        called = node.func
                    if getattr(called, "attr", getattr(called, "id", "")) == word and isinstance(
                        node, ast.Call
                    ):
                        yield module, node

    def _resolve_name(self, node: ast.expr, module: Module) -> str | None:
        name = module.resolve(node)
        if not name:
            return None
        return self.project.origin(name)

    def _read_brokers(self) -> None:
        """The main broker object; where that is not known, every one that is no stub."""
        for module in self._list_searched():
            for node in module.all_nodes:
                if isinstance(node, ast.Call) and self._makes_broker(node, module):
                    self._read_broker(node, module)
                    for other in module.all_nodes:
                        if _changes_middleware(module, other):
                            self.setup.unread.append(place_of(module, other))

    def _list_searched(self) -> list[Module]:
        path = ""
        if self.use.app:
            path = self.use.app.rpartition(":")[0]
        main = None
        if path:
            main = self.project.module(path)
        if main is not None:
            return [main]
        return self._list_modules()

    def _makes_broker(self, node: ast.Call, module: Module) -> bool:
        name = module.resolve(node.func)
        if not name or "stub" in name.lower():
            return False
        return is_broker_class(self.project, name)

    def _list_modules(self) -> list[Module]:
        found = []
        for module in self.project.modules_with("dramatiq"):
            if self._counts(module):
                found.append(module)
        return found

    def _counts(self, module: Module) -> bool:
        """No test and no example, unless the main broker is there."""
        return not is_aside(module.path) or module.path == (self.use.app or "").rpartition(":")[0]

    def _read_broker(self, node: ast.Call, module: Module) -> None:
        for keyword in node.keywords:
            if keyword.arg == "middleware":
                self._read_middleware_list(keyword.value, module)
            elif keyword.arg == "heartbeat_timeout":
                value = self.project.literal(keyword.value, module)
                self.setup.heartbeat = (value, place_of(module, keyword.value))
            elif keyword.arg is None:
                self.setup.unread.append(place_of(module, keyword.value))

    def _read_middleware_list(self, node: ast.expr, module: Module) -> None:
        """`middleware=[Retries(max_retries=3), ...]`; `None` keeps the default."""
        if is_none(node):
            return
        self.setup.replaced = place_of(module, node)
        found, holder = self._follow_variable(node, module)
        if not isinstance(found, ast.BinOp):
            parts = [found]
        else:
            parts = [found.left, found.right]
        for part in parts:
            inner, where = self._follow_variable(part, holder)
            if isinstance(inner, ast.List | ast.Tuple):
                for element in inner.elts:
                    self.setup.listed += self._read_part(element, where)
            else:
                self.setup.unread.append(place_of(where, inner))

    def _follow_variable(self, node: ast.expr, module: Module) -> tuple[ast.expr, Module]:
        """What a variable holds."""
        function = None
        if isinstance(node, ast.Name):
            function = module.function_of(node)
        if function and isinstance(node, ast.Name):
            local = module.bindings(function).get(node.id, [])
        else:
            local = []
        if len(local) == 1 and local[0].value is not None:
            return local[0].value, module
        name = None
        if isinstance(node, ast.Name | ast.Attribute):
            name = module.resolve(node)
        found = None
        if name:
            found = self.project.lookup(name)
        if found and found.module and found.binding and found.binding.value is not None:
            return found.binding.value, found.module
        return node, module

    def _read_part(self, node: ast.expr, module: Module) -> Iterator[Part]:
        made, holder = self._follow_variable(node, module)
        if isinstance(made, ast.Call):
            called = made.func
        else:
            called = made
        name = self._resolve_name(called, holder)
        if name is None or isinstance(node, ast.Starred):
            self.setup.unread.append(place_of(module, node))
            return
        if isinstance(made, ast.Call):
            keywords = {}
            for k in made.keywords:
                if k.arg:
                    keywords[k.arg] = k.value
        else:
            keywords = {}
        own = self.project.definition(name)
        known = self._library_name(name)
        yield Part(
            known, place_of(module, node), keywords, holder, own if own and own.is_class else None
        )

    def _library_name(self, name: str) -> str:
        """The class of Dramatiq that this is or derives from; else the last word of its name."""
        for ancestor in self.project.ancestors(name):
            last = ancestor.rpartition(".")[2]
            if ancestor.startswith("dramatiq.") and last in DEFAULT:
                return last
        return name.rpartition(".")[2]

    def _read_setting(self) -> None:
        """Django: `DRAMATIQ_BROKER = {"BROKER": ..., "OPTIONS": {...}, "MIDDLEWARE":
        ["path.of.a.Class"]}`.
        """
        for module in self.project.modules_with(SETTING):
            if self._counts(module):
                bound = module.bindings(module.tree).get(SETTING, [])
            else:
                bound = []
            for value in (binding.value for binding in bound):
                if isinstance(value, ast.Dict):
                    self._read_django_setting(value, module)

    def _read_django_setting(self, node: ast.Dict, module: Module) -> None:
        entries = read_entries(node)
        names = self.project.literal(entries.get("MIDDLEWARE"), module)
        options = self.project.literal(entries.get("OPTIONS"), module)
        if isinstance(options, dict) and "heartbeat_timeout" in options:
            self.setup.heartbeat = (
                options["heartbeat_timeout"],
                place_of(module, entries["OPTIONS"]),
            )
        if "MIDDLEWARE" not in entries:
            return
        place = self.setup.replaced = place_of(module, entries["MIDDLEWARE"])
        if not isinstance(names, list | tuple):
            self.setup.unread.append(place)
            return
        for name in (str(name) for name in names):
            own = self.project.definition(name)
            found = None
            if own and own.is_class:
                found = own
            self.setup.listed.append(Part(self._library_name(name), place, {}, module, found))


def _changes_middleware(module: Module, node: ast.AST) -> bool:
    """`broker.middleware = [...]`, `broker.middleware.remove(...)`."""
    if not isinstance(node, ast.Attribute) or node.attr != "middleware":
        return False
    above = next(module.parents(node), None)
    return isinstance(node.ctx, ast.Store) or getattr(above, "attr", "") in (
        "remove",
        "pop",
        "clear",
        "insert",
        "append",
    )


def redelivery_after(setup: Setup, use: FrameworkUse) -> tuple[Any, Place | None]:
    """Seconds until the messages of a killed worker come back; None where the broker sees the
    connection go.
    """
    if use.broker != "redis":
        return None, None
    value, place = setup.heartbeat or (_HEARTBEAT, None)
    return (value / 1000 if isinstance(value, int | float) else value), place
