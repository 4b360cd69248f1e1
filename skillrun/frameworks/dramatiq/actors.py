"""What makes a function a Dramatiq actor, the options that it has, and those that its senders add.

Source: dramatiq/actor.py (`actor`), dramatiq/generic.py (`Meta`), dramatiq/middleware/retries.py:
an option of the message wins over the actor's, and that over the middleware's own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.common.reading import in_tests, place_of
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
        given = self.options.get("actor_name")
        own = self.handler.name.rpartition(".")[2]
        if given and isinstance(given.value, str):
            return given.value
        return own


def run_node(handler: Definition) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The function that runs: the handler itself, or `perform` or `__call__` of a class."""
    if not isinstance(handler.node, ast.ClassDef):
        return handler.node
    methods = {}
    for n in handler.node.body:
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef):
            methods[n.name] = n
    return methods.get("perform") or methods.get("__call__")


def find_handler(project: Project, import_path: str) -> Definition | None:
    """The function behind "module:object"; also where the object is what `dramatiq.actor(f)`
    returned.
    """
    found = project.lookup(import_path)
    if found is None or found.definition is not None:
        if not found:
            return None
        return found.definition
    value = None
    if found.binding:
        value = found.binding.value
    if not isinstance(value, ast.Call) or found.module is None or not value.args:
        return None
    if isinstance(value.func, ast.Call):
        maker = value.func.func
    else:
        maker = value.func
    if not is_maker(project, maker, found.module):
        return None
    if isinstance(value.args[0], ast.Call):
        argument = value.args[0].func
    else:
        argument = value.args[0]
    name = found.module.resolve(argument)
    if not name:
        return None
    return project.definition(name)


def is_maker(project: Project, node: ast.expr, module: Module) -> bool:
    """`dramatiq.actor`, however it was imported."""
    name = module.resolve(node)
    return name is not None and (name in _MAKERS or project.origin(name) in _MAKERS)


def read_actor(project: Project, handler: Definition) -> Actor:
    """The options of a handler from its decorator, its `Meta` class, or the call that makes it an
    actor.
    """
    return project.remember(
        ("dramatiq.actor", handler.path, handler.name), lambda: _Reader(project, handler).read()
    )


class _Reader:
    def __init__(self, project: Project, handler: Definition) -> None:
        self.project = project
        self.actor = Actor(handler)

    def read(self) -> Actor:
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
        if isinstance(node, ast.Call):
            target = node.func
        else:
            target = node
        if is_maker(self.project, target, module) or self._is_partial(target, module):
            self._note_registration(node, module)
        elif self._is_wrapper(target, module):
            self.actor.registered = place_of(module, node)
            self.actor.unread.append(self.actor.registered)
        return self.actor.registered is not None

    def _note_registration(self, node: ast.expr, module: Module) -> None:
        self.actor.registered = place_of(module, node)
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg is None:
                    self._take_spread(keyword.value, module)
                else:
                    self._set_option(keyword.arg, keyword.value, module)

    def _set_option(self, name: str, node: ast.expr, module: Module) -> None:
        self.actor.options[name] = option(self.project, node, module)

    def _take_spread(self, node: ast.expr, module: Module) -> None:
        """`**OPTIONS`, where that is a mapping that is written out."""
        name = module.resolve(node)
        found = None
        if name:
            found = self.project.lookup(name)
        if found and found.binding:
            value = found.binding.value
        else:
            value = node
        if found and found.module:
            holder = found.module
        else:
            holder = module
        if not isinstance(value, ast.Dict):
            self.actor.unread.append(place_of(module, node))
            return
        for key, inner in read_entries(value).items():
            self._set_option(str(key), inner, holder)

    def _is_partial(self, node: ast.expr, module: Module) -> bool:
        """`job = functools.partial(dramatiq.actor, max_retries=3)`."""
        name = module.resolve(node)
        found = None
        if name:
            found = self.project.lookup(name)
        value = None
        if found and found.binding:
            value = found.binding.value
        if not isinstance(value, ast.Call) or not found or found.module is None or not value.args:
            return False
        partial = found.module.resolve(value.func) == "functools.partial"
        if not partial or not is_maker(self.project, value.args[0], found.module):
            return False
        self._note_registration(value, found.module)
        return True

    def _is_wrapper(self, node: ast.expr, module: Module) -> bool:
        """A decorator of the repository that itself makes actors."""
        name = module.resolve(node)
        own = None
        if name:
            own = self.project.definition(name)
        if own is None or own.is_class:
            return False
        calls = find_nodes(own.node, ast.Call)
        return any(is_maker(self.project, call.func, own.module) for call in calls)

    def _read_meta(self) -> None:
        """`class Send(GenericActor): class Meta: max_retries = 3`; the nearest `Meta` alone counts
        (generic.py).
        """
        names = self.project.ancestors(self.actor.handler.dotted)
        if not set(_GENERIC) & set(names):
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
        """The nearest one, and the class that it stands in."""
        for name in names:
            owner = self.project.definition(name)
            if owner is None or not owner.is_class:
                continue
            for inner in getattr(owner.node, "body", ()):
                if isinstance(inner, ast.ClassDef) and inner.name == "Meta":
                    return owner, inner
        return None, None

    def _find_actor_call(self) -> None:
        """`send = dramatiq.actor(_send, max_retries=3)`, `dramatiq.actor(max_retries=3)(_send)`,
        `actor(Send())`.
        """
        for use in self.project.uses(self.actor.handler.dotted):
            above = list(use.module.parents(use.node))[:2]
            made = None
            for n in above:
                if isinstance(n, ast.Call) and n.func is not use.node:
                    made = n
                    break
            if made is None:
                continue
            maker = made.func
            if isinstance(maker, ast.Call):
                inner = maker.func
            else:
                inner = maker
            if is_maker(self.project, inner, use.module) or self._is_partial(inner, use.module):
                self._note_registration(maker if isinstance(maker, ast.Call) else made, use.module)
                return


def option(project: Project, node: ast.expr, module: Module) -> Option:
    """An option with the value that can be read."""
    return Option(project.literal(node, module), place_of(module, node), node, module)


def names_of(project: Project, actor: Actor) -> tuple[str, ...]:
    """Dotted names of the objects that are the actor: the function, and variables that hold it."""
    found = [actor.handler.dotted]
    for use in project.uses(actor.handler.dotted):
        for above in list(use.module.parents(use.node))[:4]:
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
        for node in module.all_nodes:
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and node.decorator_list
                and not in_tests(module.path)
            ):
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
    own = None
    if name:
        own = find_handler(project, name)
    actor = None
    if own:
        actor = read_actor(project, own)
    if actor and actor.registered:
        return actor
    return None


def milliseconds(project: Project, given: Option) -> Any:
    """The value of an option in milliseconds; a timedelta is one of seconds."""
    if not is_known(given.value) or isinstance(given.value, bool):
        return UNKNOWN
    if _is_timedelta(project, given):
        return given.value * 1000
    return given.value


def _is_timedelta(project: Project, given: Option) -> bool:
    node, module = given.node, given.module
    name = None
    if isinstance(node, ast.Name | ast.Attribute):
        name = module.resolve(node)
    found = None
    if name:
        found = project.lookup(name)
    if found and found.binding and found.module and found.binding.value is not None:
        node, module = found.binding.value, found.module
    return isinstance(node, ast.Call) and module.resolve(node.func) == "datetime.timedelta"
