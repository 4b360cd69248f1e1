"""What makes a function a Dramatiq actor, the options that it has, and those that its senders add.

Source: dramatiq/actor.py (`actor`), dramatiq/generic.py (`Meta`), dramatiq/middleware/retries.py:
an option of the message wins over the actor's, and that over the middleware's own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from skillrun.frameworks.common.reading import place_of
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import UNKNOWN, Definition, Module, Project, Use, is_known
from skillrun.repo.syntax import find_nodes, read_entries
from skillrun.repo.uses import Place

_MAKERS = frozenset(
    {
        "dramatiq.actor",
        "dramatiq.actor.actor",
        "flask_dramatiq.Dramatiq.actor",
        "flask_dramatiq.Dramatiq().actor",
    }
)
_GENERIC = ("dramatiq.GenericActor", "dramatiq.generic.GenericActor")


@dataclass(frozen=True)
class Option:
    """One option: its value where that can be read, its expression, and where it is written."""

    value: Any
    place: Place
    node: ast.expr
    module: Module


@dataclass
class Actor:
    """A handler as Dramatiq sees it. `registered` is the decorator or the call that makes it an
    actor.
    """

    handler: Definition
    registered: Place | None = None
    options: dict[str, Option] = field(default_factory=dict)
    unread: list[Place] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name under which messages are sent to it."""
        option = self.options.get("actor_name")
        if option and isinstance(option.value, str):
            return option.value
        return self.handler.name.rpartition(".")[2]


def run_node(handler: Definition) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The function that runs: the handler itself, or `perform` or `__call__` of a class."""
    if not isinstance(handler.node, ast.ClassDef):
        return handler.node
    methods = {}
    for node in handler.node.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            methods[node.name] = node
    return methods.get("perform") or methods.get("__call__")


def find_handler(project: Project, import_path: str) -> Definition | None:
    """The function behind "module:object"; also where the object is what `dramatiq.actor(f)`
    returned.
    """
    found = project.lookup(import_path)
    if found is None:
        return None
    if found.definition is not None:
        return found.definition
    if found.module is None or found.binding is None:
        return None
    value = found.binding.value
    if not isinstance(value, ast.Call) or not value.args:
        return None
    # `actor(f)`, `actor(max_retries=3)(f)`, and of a class `actor(Send())`.
    if not is_maker(project, _strip_call(value.func), found.module):
        return None
    name = found.module.resolve(_strip_call(value.args[0]))
    if not name:
        return None
    return project.definition(name)


def _strip_call(node: ast.expr) -> ast.expr:
    """`f` of `f` and of `f(...)`."""
    if isinstance(node, ast.Call):
        return node.func
    return node


def is_maker(project: Project, node: ast.expr, module: Module) -> bool:
    """Whether it is `dramatiq.actor`, however it was imported."""
    name = module.resolve(node)
    if name is None:
        return False
    return name in _MAKERS or project.origin(name) in _MAKERS


def read_actor(project: Project, handler: Definition) -> Actor:
    """The options of a handler from its decorator, its `Meta` class, or the call that makes it an
    actor.
    """
    return project.remember(
        ("dramatiq.actor", handler.path, handler.name), lambda: _Reader(project, handler).read()
    )


class _Reader:
    """Fills an `Actor` from the first place that makes the handler one."""

    def __init__(self, project: Project, handler: Definition) -> None:
        self.project = project
        self.actor = Actor(handler)

    def read(self) -> Actor:
        """The actor; without `registered` where nothing makes the handler one."""
        handler = self.actor.handler
        for node in handler.decorators:
            if self._read_decorator(node, handler.module):
                return self.actor
        if handler.is_class:
            self._read_meta()
        if self.actor.registered is None:
            self._find_actor_call()
        return self.actor

    def _read_decorator(self, node: ast.expr, module: Module) -> bool:
        """Reads a decorator; False where it makes no actor."""
        target = _strip_call(node)
        if is_maker(self.project, target, module) or self._read_partial(target, module):
            self._note_registration(node, module)
        elif self._is_wrapper(target, module):
            self.actor.registered = place_of(module, node)
            self.actor.unread.append(self.actor.registered)
        return self.actor.registered is not None

    def _note_registration(self, node: ast.expr, module: Module) -> None:
        """Keeps where the actor is made, and the options that it is given there."""
        self.actor.registered = place_of(module, node)
        if not isinstance(node, ast.Call):
            return
        for keyword in node.keywords:
            if keyword.arg is None:
                self._read_spread(keyword.value, module)
            else:
                self._set_option(keyword.arg, keyword.value, module)

    def _set_option(self, name: str, node: ast.expr, module: Module) -> None:
        self.actor.options[name] = option(self.project, node, module)

    def _read_spread(self, node: ast.expr, module: Module) -> None:
        """Reads `**OPTIONS`, where that is a mapping that is written out."""
        mapping: ast.expr | None = node
        home = module
        name = module.resolve(node)
        found = None
        if name:
            found = self.project.lookup(name)
        if found and found.binding:
            mapping = found.binding.value
        if found and found.module:
            home = found.module
        if not isinstance(mapping, ast.Dict):
            self.actor.unread.append(place_of(module, node))
            return
        for key, value in read_entries(mapping).items():
            self._set_option(str(key), value, home)

    def _read_partial(self, node: ast.expr, module: Module) -> bool:
        """Reads what `job = functools.partial(dramatiq.actor, max_retries=3)` gives a decorator
        `@job`; False where it is no such name.
        """
        name = module.resolve(node)
        if not name:
            return False
        found = self.project.lookup(name)
        if found is None or found.binding is None or found.module is None:
            return False
        value = found.binding.value
        if not isinstance(value, ast.Call) or not value.args:
            return False
        if found.module.resolve(value.func) != "functools.partial":
            return False
        if not is_maker(self.project, value.args[0], found.module):
            return False
        self._note_registration(value, found.module)
        return True

    def _is_wrapper(self, node: ast.expr, module: Module) -> bool:
        """Whether a decorator of the repository itself makes actors."""
        name = module.resolve(node)
        if not name:
            return False
        wrapper = self.project.definition(name)
        if wrapper is None or wrapper.is_class:
            return False
        calls = find_nodes(wrapper.node, ast.Call)
        return any(is_maker(self.project, call.func, wrapper.module) for call in calls)

    def _read_meta(self) -> None:
        """Reads `class Send(GenericActor): class Meta: max_retries = 3`; the nearest `Meta` alone
        counts (generic.py). A class that says `abstract` itself is no actor.
        """
        names = self.project.ancestors(self.actor.handler.dotted)
        if set(_GENERIC).isdisjoint(names):
            return
        owner, meta = self._find_meta(names)
        if owner is not None and meta is not None:
            for name, bound in owner.module.bindings(meta).items():
                if bound[-1].value is not None:
                    self._set_option(name, bound[-1].value, owner.module)
        abstract = self.actor.options.pop("abstract", None)
        if abstract is None or owner is None or owner.node is not self.actor.handler.node:
            self.actor.registered = Place(self.actor.handler.path, self.actor.handler.line)

    def _find_meta(self, names: Iterable[str]) -> tuple[Definition | None, ast.ClassDef | None]:
        """(class, its `Meta`) of the nearest class that has one."""
        for name in names:
            owner = self.project.definition(name)
            if owner is None or not owner.is_class:
                continue
            for inner in getattr(owner.node, "body", ()):
                if isinstance(inner, ast.ClassDef) and inner.name == "Meta":
                    return owner, inner
        return None, None

    def _find_actor_call(self) -> None:
        """Reads `send = dramatiq.actor(_send, max_retries=3)`, `dramatiq.actor(max_retries=3)
        (_send)` and `actor(Send())`.
        """
        for use in self.project.uses(self.actor.handler.dotted):
            call = _find_call_with(use)
            if call is None:
                continue
            maker = _strip_call(call.func)
            if is_maker(self.project, maker, use.module) or self._read_partial(maker, use.module):
                # The call that has the options.
                registering = call
                if isinstance(call.func, ast.Call):
                    registering = call.func
                self._note_registration(registering, use.module)
                return


def _find_call_with(use: Use) -> ast.Call | None:
    """The call that is given what a use names, or the object that it makes: `actor(Send())`."""
    for above in islice(use.module.parents(use.node), 2):
        if isinstance(above, ast.Call) and above.func is not use.node:
            return above
    return None


def option(project: Project, node: ast.expr, module: Module) -> Option:
    """An option with the value that can be read."""
    return Option(project.literal(node, module), place_of(module, node), node, module)


def names_of(project: Project, actor: Actor) -> tuple[str, ...]:
    """Dotted names of the objects that are the actor: the function, and variables that hold it."""
    found = [actor.handler.dotted]
    for use in project.uses(actor.handler.dotted):
        # `send = actor(max_retries=3)(Send())`: a few nodes lie between.
        for above in islice(use.module.parents(use.node), 4):
            if isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Name):
                found.append(f"{use.module.name}.{above.targets[0].id}")
    return tuple(dict.fromkeys(found))


def uses_of(project: Project, actor: Actor) -> Iterator[Use]:
    """Every place that names the actor, outside its own body."""
    for name in names_of(project, actor):
        for use in project.uses(name):
            if actor.handler.node not in use.module.parents(use.node):
                yield use


def actors_named(project: Project, name: str) -> tuple[Actor, ...]:
    """The actors of the repository with this name."""
    found = []
    for module in project.modules_with(name):
        if is_plainly_test(module.path):
            continue
        for node in module.all_nodes:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not node.decorator_list:
                continue
            actor = read_actor(project, project.define(module, node))
            if actor.registered and actor.name == name:
                found.append(actor)
    return tuple(found)


def actor_behind(project: Project, given: Option) -> Actor | None:
    """The actor that an option such as `on_failure` names: by text, by `x.actor_name`, or by the
    object.
    """
    if isinstance(given.value, str):
        return next(iter(actors_named(project, given.value)), None)
    node = given.node
    if isinstance(node, ast.Attribute) and node.attr == "actor_name":
        node = node.value
    name = given.module.resolve(node)
    if not name:
        return None
    handler = find_handler(project, name)
    if handler is None:
        return None
    actor = read_actor(project, handler)
    if actor.registered is None:
        return None
    return actor


def milliseconds(project: Project, given: Option) -> Any:
    """The value of an option in milliseconds; a timedelta is one of seconds."""
    if not is_known(given.value) or isinstance(given.value, bool):
        return UNKNOWN
    if _is_timedelta(project, given):
        return given.value * 1000
    return given.value


def _is_timedelta(project: Project, given: Option) -> bool:
    """Whether an option is `timedelta(...)`, or a name that holds one."""
    node, module = given.node, given.module
    name = None
    if isinstance(node, ast.Name | ast.Attribute):
        name = module.resolve(node)
    if name:
        found = project.lookup(name)
        if found and found.binding and found.module and found.binding.value is not None:
            node, module = found.binding.value, found.module
    return isinstance(node, ast.Call) and module.resolve(node.func) == "datetime.timedelta"
