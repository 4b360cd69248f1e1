"""The settings of workers that list the functions and cron jobs which they run (arq, SAQ): where
they are written, and the handler's entries in them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeGuard

from skillrun.frameworks.common.reading import held_value, options_of, place_of
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import is_given, is_none, read_entries
from skillrun.repo.uses import Place

LISTS = {"functions": "function", "cron_jobs": "cron"}
_DEEP = 6  # lists in lists
Found = tuple[ast.expr, Module]


@dataclass(frozen=True)
class Manner:
    """How one library has its settings written."""

    library: str
    makers: tuple[str, ...]  # calls that take the settings as their arguments
    positions: tuple[str, ...]  # what the first arguments of such a call are
    wrappers: tuple[str, ...]  # calls that stand around a function in a list
    wrapped: str  # the name of a wrapper's first argument
    name_entry: Callable[[str, str], str]  # (kind of list, name of the function) -> of its jobs


@dataclass(frozen=True)
class Worker:
    """Settings that a worker is started with: a class, a dictionary (also one that a function
    returns), or the arguments of a call.
    """

    module: Module
    node: ast.AST
    options: dict[str, Found]
    # Set in a base class, where the library may not look.
    inherited: dict[str, Found] = field(default_factory=dict)
    unread: bool = False  # its lists hold something that cannot be told

    def option(self, name: str) -> Found | None:
        """The expression of an option; None where it is left to the default, or None itself."""
        found = self.options.get(name)
        if found and is_none(found[0]):
            return None
        return found


@dataclass(frozen=True)
class Entry:
    """The handler in one of the lists. `options` are those of a call around it."""

    worker: Worker
    kind: str  # function | cron
    node: ast.expr
    module: Module
    options: dict[str, ast.expr] = field(default_factory=dict)
    unread: bool = False
    name: str | None = None  # by which it is enqueued; None where that cannot be told

    @property
    def place(self) -> Place:
        """Its line in the list."""
        return place_of(self.module, self.node)

    def option(self, name: str, default: str | None = None) -> Found | None:
        """Its own, else the worker's."""
        own = self.options.get(name)
        if is_given(own):
            return own, self.module
        return self.worker.option(default or name)


def find_workers(project: Project, manner: Manner) -> tuple[Worker, ...]:
    """Every worker outside of tests, in order of path and line."""
    key = ("listed.workers", manner.library)
    return project.remember(key, lambda: tuple(_find_workers(project, manner)))


def find_entries(project: Project, manner: Manner, handler: Definition) -> tuple[Entry, ...]:
    """Where the handler is listed."""
    key = ("listed.entries", manner.library, handler.dotted)
    return project.remember(key, lambda: tuple(_find_entries(project, manner, handler)))


def find_registration(project: Project, manner: Manner, handler: Definition) -> Place | None:
    """The entry, else a worker whose lists cannot be read."""
    for entry in find_entries(project, manner, handler):
        return entry.place
    for worker in find_workers(project, manner):
        if worker.unread:
            return place_of(worker.module, worker.node)
    return None


def _find_workers(project: Project, manner: Manner) -> Iterator[Worker]:
    modules: dict[str, Module] = {}
    for word in LISTS:
        for module in project.modules_with(word):
            modules[module.path] = module
    for path in sorted(modules):
        if is_plainly_test(path):
            continue
        module = modules[path]
        for node in module.all_nodes:
            options = _read_options(project, manner, module, node)
            if options.keys().isdisjoint(LISTS):
                continue
            unread = _holds_unread(project, options)
            inherited = {}
            if isinstance(node, ast.ClassDef):
                inherited = _read_inherited(project, module, node, options)
            yield Worker(module, node, options, inherited, unread)


def _holds_unread(project: Project, options: dict[str, Found]) -> bool:
    """Whether one of a worker's lists has an element that cannot be told."""
    for name in LISTS:
        if name not in options:
            continue
        for item in _list_items(project, *options[name]):
            if item is None:
                return True
    return False


def find_hook(project: Project, worker: Worker, name: str) -> Definition | None:
    """The function of the repository that a worker calls: given by name, or written into the
    class.
    """
    found = worker.option(name)
    if found is not None:
        named = project.definition(found[1].resolve(found[0]) or "")
        if named is None or named.is_class:
            return None
        return named
    if not isinstance(worker.node, ast.ClassDef):
        return None
    for node in worker.node.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return project.define(worker.module, node)
    return None


def _read_options(
    project: Project, manner: Manner, module: Module, node: ast.AST
) -> dict[str, Found]:
    """The options that a class, a dictionary or a call would give a worker; {} for anything
    else.
    """
    if isinstance(node, ast.ClassDef):
        return _read_fields(node, module) | _set_later(module, node.name)
    held = _held_dictionary(manner, module, node)
    if held is not None:
        return {str(key): (value, module) for key, value in read_entries(held).items()}
    makers = (*manner.makers, "builtins.dict")
    if isinstance(node, ast.Call) and project.origin_of(module, node.func) in makers:
        named, _ = options_of(project, node, module)
        options = {name: (value, module) for name, value in named.items()}
        for name, value in zip(manner.positions, node.args, strict=False):
            # What else is given by its position is a queue or a pool, by a name.
            if isinstance(value, ast.List | ast.Tuple):
                options[name] = (value, module)
        return options
    return {}


def _held_dictionary(manner: Manner, module: Module, node: ast.AST) -> ast.Dict | None:
    """A dictionary that a name holds, or that a function of a module with the library in it
    returns: much else that is returned has functions in it.
    """
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.Return):
        return None
    if isinstance(node, ast.Return) and manner.library not in module.text:
        return None
    if isinstance(node.value, ast.Dict):
        return node.value
    return None


def _read_fields(node: ast.ClassDef, module: Module) -> dict[str, Found]:
    """What the body of a class assigns to names."""
    found: dict[str, Found] = {}
    for statement in node.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            value = getattr(statement, "value", None)
            # `functions: list` has none.
            if isinstance(target, ast.Name) and value is not None:
                found[target.id] = (value, module)
    return found


def _set_later(module: Module, owner: str) -> dict[str, Found]:
    """`WorkerSettings.cron_jobs = [...]` below the class."""
    found: dict[str, Found] = {}
    for node in module.nodes(ast.Assign):
        for target in node.targets:
            if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
                continue
            if target.value.id == owner:
                found[target.attr] = (node.value, module)
    return found


def _read_inherited(
    project: Project, module: Module, node: ast.ClassDef, own: dict[str, Found]
) -> dict[str, Found]:
    """What the base classes of a class set, the nearest of them first, and it does not."""
    found: dict[str, Found] = {}
    # The first of the ancestors is the class itself.
    bases = project.ancestors(project.define(module, node).dotted)[1:]
    for name in bases:
        base = project.definition(name)
        if base is not None and isinstance(base.node, ast.ClassDef):
            found = _read_fields(base.node, base.module) | found
    inherited = {}
    for name, value in found.items():
        if name not in own and not name.startswith("_"):
            inherited[name] = value
    return inherited


def _list_items(
    project: Project, node: ast.expr, module: Module, depth: int = 0
) -> Iterator[Found | None]:
    """The elements of a list, through names, `+` and `*`; None for what cannot be told."""
    held = None
    if depth < _DEEP:
        held = held_value(project, node, module)
    if held is None:
        yield None
        return
    node, module = held
    if isinstance(node, ast.List | ast.Tuple):
        for element in node.elts:
            if isinstance(element, ast.Starred):
                yield from _list_items(project, element.value, module, depth + 1)
            else:
                yield element, module
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for side in (node.left, node.right):
            yield from _list_items(project, side, module, depth + 1)
    elif _is_list_made_of(node, module):
        yield from _list_items(project, node.args[0], module, depth + 1)
    elif not is_none(node):
        yield None


def _is_list_made_of(node: ast.expr, module: Module) -> TypeGuard[ast.Call]:
    """`list(x)` or `tuple(x)`."""
    if not isinstance(node, ast.Call) or not node.args:
        return False
    return module.resolve(node.func) in ("builtins.list", "builtins.tuple")


def _find_entries(project: Project, manner: Manner, handler: Definition) -> Iterator[Entry]:
    for worker in find_workers(project, manner):
        for name, kind in LISTS.items():
            found = worker.options.get(name)
            if found is None:
                continue
            for item in _list_items(project, *found):
                if item is None:
                    continue
                entry = _read_entry(project, manner, worker, kind, item, handler)
                if entry is not None:
                    yield entry


def _read_entry(
    project: Project,
    manner: Manner,
    worker: Worker,
    kind: str,
    item: Found,
    handler: Definition,
) -> Entry | None:
    """A function, its import path, `("name", function)`, or a wrapper's call of either."""
    node, module = held_value(project, *item) or item
    if isinstance(node, ast.Tuple) and len(node.elts) == 2:
        first, function = node.elts
        given = project.literal(first, module)
        name = None
        if isinstance(given, str):
            name = given
        if not _means_handler(project, function, module, handler):
            return None
        return Entry(worker, kind, node, module, name=name)
    if isinstance(node, ast.Call):
        return _wrapped_entry(project, manner, worker, kind, (node, module), handler)
    node, module = item
    if not _means_handler(project, node, module, handler):
        return None
    name = manner.name_entry("function", handler.name)
    # An import path is the name, as it is written.
    if isinstance(node, ast.Constant) and node.value:
        name = str(node.value)
    return Entry(worker, kind, node, module, name=name)


def _wrapped_entry(
    project: Project,
    manner: Manner,
    worker: Worker,
    kind: str,
    found: tuple[ast.Call, Module],
    handler: Definition,
) -> Entry | None:
    """A function in a call of the library's; what another call makes of it cannot be told."""
    node, module = found
    options, unread = options_of(project, node, module)
    first = options.get(manner.wrapped)
    if node.args:
        first = node.args[0]
    if first is None or not _means_handler(project, first, module, handler):
        return None
    if project.origin_of(module, node.func) not in manner.wrappers:
        return Entry(worker, kind, node, module, unread=True)
    if unread:
        name = None
    else:
        name = _read_name(project, manner, options, first, module, handler, kind)
    return Entry(worker, kind, node, module, options, unread, name)


def _read_name(
    project: Project,
    manner: Manner,
    options: dict[str, ast.expr],
    first: ast.expr,
    module: Module,
    handler: Definition,
    kind: str,
) -> str | None:
    """The name by which a wrapped function is enqueued; None where an expression gives it."""
    if "name" in options and not is_none(options["name"]):
        given = project.literal(options["name"], module)
        if isinstance(given, str):
            return given
        return None
    if isinstance(first, ast.Constant):
        plain = str(first.value)
    else:
        plain = handler.name
    return manner.name_entry(kind, plain)


def _means_handler(project: Project, node: ast.expr, module: Module, handler: Definition) -> bool:
    """Whether a list's element is the handler, by a name for it or by its import path."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and project.origin(node.value) == handler.dotted
    name = module.resolve(node)
    return bool(name) and project.origin(name or "") == handler.dotted
