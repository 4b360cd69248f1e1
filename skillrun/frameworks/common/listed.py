"""The settings of workers that list the functions and cron jobs which they run (arq, SAQ): where
they are written, and the handler's entries in them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from skillrun.frameworks.common.reading import held_value, in_tests, options_of, place_of
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
    entry = next(iter(find_entries(project, manner, handler)), None)
    if entry is not None:
        return entry.place
    workers = find_workers(project, manner)
    worker = next((worker for worker in workers if worker.unread), None)
    if worker:
        return place_of(worker.module, worker.node)
    return None


def _find_workers(project: Project, manner: Manner) -> Iterator[Worker]:
    modules = {module.path: module for word in LISTS for module in project.modules_with(word)}
    for path in sorted(modules):
        module = modules[path]
        for node in () if in_tests(path) else module.all_nodes:
            options = _read_options(project, manner, module, node)
            if not options.keys() & LISTS.keys():
                continue
            held = [options[name] for name in LISTS if name in options]
            unread = any(item is None for found in held for item in _list_items(project, *found))
            inherited = {}
            if isinstance(node, ast.ClassDef):
                inherited = _read_inherited(project, module, node, options)
            yield Worker(module, node, options, inherited, unread)


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
    body = []
    if isinstance(worker.node, ast.ClassDef):
        body = worker.node.body
    inside = (
        n for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == name
    )
    return next((project.define(worker.module, node) for node in inside), None)


def _read_options(
    project: Project, manner: Manner, module: Module, node: ast.AST
) -> dict[str, Found]:
    if isinstance(node, ast.ClassDef):
        return _read_fields(node, module) | _set_later(module, node.name)
    held = _held_dictionary(manner, module, node)
    if held is not None:
        return {str(key): (value, module) for key, value in read_entries(held).items()}
    makers = (*manner.makers, "builtins.dict")
    if isinstance(node, ast.Call) and project.origin_of(module, node.func) in makers:
        named, _ = options_of(project, node, module)
        given = {name: (value, module) for name, value in named.items()}
        # What else is given by its position is a queue or a pool, by a name.
        by_position = dict(zip(manner.positions, node.args, strict=False))
        listed = {name: (value, module) for name, value in by_position.items() if _is_list(value)}
        return given | listed
    return {}


def _held_dictionary(manner: Manner, module: Module, node: ast.AST) -> ast.Dict | None:
    """A dictionary that a name holds, or that a function of a module with the library in it
    returns: much else that is returned has functions in it.
    """
    is_returned = isinstance(node, ast.Return) and manner.library in module.text
    if is_returned or isinstance(node, ast.Assign | ast.AnnAssign):
        value: object = getattr(node, "value", None)
        if isinstance(value, ast.Dict):
            return value
        return None
    return None


def _is_list(node: ast.expr) -> bool:
    return isinstance(node, ast.List | ast.Tuple)


def _read_fields(node: ast.ClassDef, module: Module) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            found |= {
                t.id: (statement.value, module)
                for t in statement.targets
                if isinstance(t, ast.Name)
            }
        elif (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.value
        ):
            found[statement.target.id] = (statement.value, module)
    return found


def _set_later(module: Module, owner: str) -> dict[str, Found]:
    """`WorkerSettings.cron_jobs = [...]` below the class."""
    found: dict[str, Found] = {}
    for node in module.nodes(ast.Assign):
        for target in node.targets:
            if (
                isinstance(target, ast.Attribute)
                and isinstance(target.value, ast.Name)
                and target.value.id == owner
            ):
                found[target.attr] = (node.value, module)
    return found


def _read_inherited(
    project: Project, module: Module, node: ast.ClassDef, own: dict[str, Found]
) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for name in project.ancestors(project.define(module, node).dotted)[1:]:
        base = project.definition(name)
        if base is not None and isinstance(base.node, ast.ClassDef):
            found = _read_fields(base.node, base.module) | found
    return {
        name: value for name, value in found.items() if name not in own and not name.startswith("_")
    }


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
    elif (
        isinstance(node, ast.Call)
        and module.resolve(node.func) in ("builtins.list", "builtins.tuple")
        and node.args
    ):
        yield from _list_items(project, node.args[0], module, depth + 1)
    elif not is_none(node):
        yield None


def _find_entries(project: Project, manner: Manner, handler: Definition) -> Iterator[Entry]:
    for worker in find_workers(project, manner):
        for name, kind in LISTS.items():
            found = worker.options.get(name)
            if found:
                for item in _list_items(project, *found):
                    entry = None
                    if item:
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
        given = project.literal(node.elts[0], module)
        name = None
        if isinstance(given, str):
            name = given
        is_mine = _means_handler(project, node.elts[1], module, handler)
        if is_mine:
            return Entry(worker, kind, node, module, name=name)
        return None
    if isinstance(node, ast.Call):
        return _wrapped_entry(project, manner, worker, kind, (node, module), handler)
    node, module = item
    if not _means_handler(project, node, module, handler):
        return None
    # An import path is the name, as it is written.
    path = None
    if isinstance(node, ast.Constant):
        path = node.value
    if path:
        name = str(path)
    else:
        name = manner.name_entry("function", handler.name)
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
    first = node.args[0] if node.args else options.get(manner.wrapped)
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
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and project.origin(node.value) == handler.dotted
    name = module.resolve(node)
    return bool(name) and project.origin(name or "") == handler.dotted
