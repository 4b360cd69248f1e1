"""The Python code of a repository: definitions behind dotted names, and what they call, across
files.

Nothing is imported or run. A name is followed as far as the text allows (`names.py`); what cannot
be told stays untold. Every file read on the way is recorded as a look-up of the tree
(`sources.py`).
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from skillrun.repo.calls import (
    Call,
    Frame,
    Handler,
    body_calls,
    in_thread,
    inner_functions,
    read_handler,
    surroundings,
)
from skillrun.repo.definition import Definition
from skillrun.repo.literals import UNKNOWN, Literals, Unknown, is_known
from skillrun.repo.names import Found, Names
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.repo.sources import TreeLike
from skillrun.repo.syntax import find_nodes, is_constant, list_given

__all__ = [
    "UNKNOWN",
    "Call",
    "Definition",
    "Found",
    "Handler",
    "Module",
    "Project",
    "Unknown",
    "Use",
    "is_known",
    "remembered",
]

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Use:
    """A place where a name is used, in a call or otherwise."""

    node: ast.expr
    module: Module
    path: str
    line: int


class Project(Names):
    """The Python code of one tree."""

    def __init__(self, tree: TreeLike) -> None:
        super().__init__(tree)
        self._literals = Literals(self)

    def calls(self, definition: Definition, *, depth: int = 2) -> tuple[Call, ...]:
        """Every call in a body in order, with those of the repository's functions that it calls,
        `depth` deep.

        For a class: the calls of its `run` method, or else of all its methods.
        """
        key = ("calls", definition.path, definition.name, depth)
        return self.remember(key, lambda: tuple(self._calls_of(definition, depth)))

    def _calls_of(self, definition: Definition, depth: int) -> Iterator[Call]:
        for part in self.callables(definition):
            yield from self._calls_in_frame(Frame(part), part.node, depth)

    def callables(self, definition: Definition) -> tuple[Definition, ...]:
        """The functions that run for a definition: itself, or the `run` (else every method) of a
        class.
        """
        if not isinstance(definition.node, ast.ClassDef):
            return (definition,)
        run = self.definition(f"{definition.dotted}.run")
        if run is not None:
            return (run,)
        methods = []
        for node in definition.node.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                methods.append(node)
        return tuple(self.define(definition.module, node) for node in methods)

    def _calls_in_frame(self, frame: Frame, function: ast.AST, depth: int) -> Iterator[Call]:
        inner_ones = list(inner_functions(function))
        for node in body_calls(function):
            call = self._make_call(frame, node)
            yield from self._calls_handed_on(frame, inner_ones, node, depth)
            yield call
            yield from self._calls_of_target(frame, call, depth)
            inner = in_thread(frame.definition.module, node)
            if inner is not None:
                handed = self._make_call(frame, inner)
                yield handed
                yield from self._calls_of_target(frame, handed, depth)

    def _make_call(self, frame: Frame, node: ast.Call) -> Call:
        module = frame.definition.module
        around = surroundings(module, node)
        handlers = tuple(
            self.handler(module, clause) for block in around.tries for clause in block.handlers
        )
        name = self.call_name(module, node)
        return Call(
            name=name or ast.unparse(node.func),
            origin=self.origin(name) if name else ast.unparse(node.func),
            node=node,
            module=module,
            path=module.path,
            line=node.lineno,
            resolved=name is not None,
            via=frame.via,
            in_try=handlers + frame.in_try,
            in_except=self.handler(module, around.clause) if around.clause else frame.in_except,
            in_loop=around.in_loop or frame.in_loop,
            in_with=tuple(_name_manager(module, m) for m in around.managers) + frame.in_with,
            deferred=frame.deferred,
        )

    def call_name(self, module: Module, node: ast.Call) -> str | None:
        """The dotted name of what is called; methods of `self` and `cls` carry their class where
        that is told.
        """
        name = module.resolve(node.func)
        if not name:
            return None
        return self.owned(module, node, name)

    def owned(self, module: Module, node: ast.AST, name: str) -> str:
        """ "self.helper" as "pkg.mod.Class.helper" where the class has it; otherwise unchanged."""
        first, _, rest = name.partition(".")
        owner = None
        if first in ("self", "cls") and rest:
            owner = module.class_of(node)
        if owner is None:
            return name
        found = self._follow_member(self.define(module, owner), rest.split("."), 0)
        if found and found.dotted:
            return f"{module.name}.{module.qualname(owner)}.{rest}"
        return name

    def handler(self, module: Module, clause: ast.ExceptHandler) -> Handler:
        """The facts of one `except` clause, with canonical names."""
        key = ("handler", module.path, clause)
        return self.remember(key, lambda: self._read_handler(module, clause))

    def _read_handler(self, module: Module, clause: ast.ExceptHandler) -> Handler:
        return replace(
            read_handler(module, clause), exceptions=self.exception_names(clause.type, module)
        )

    def _calls_of_target(self, frame: Frame, call: Call, depth: int) -> Iterator[Call]:
        target = None
        if call.resolved and len(frame.via) < depth:
            target = self.definition(call.name)
        if target is None or target.dotted in frame.via or target.node is frame.definition.node:
            return
        if isinstance(target.node, ast.ClassDef):
            # `Send(log)(message)`: what is called is an object of the class.
            method = "__call__" if call.name.endswith("()") else "__init__"
            target = self.definition(f"{target.dotted}.{method}")
            if target is None:
                return
        inside = Frame(
            target,
            via=(*frame.via, target.dotted),
            in_try=call.in_try,
            in_except=call.in_except,
            in_loop=call.in_loop,
            in_with=call.in_with,
            deferred=call.deferred,
        )
        yield from self._calls_in_frame(inside, target.node, depth)

    def _calls_handed_on(
        self,
        frame: Frame,
        inner_ones: list[FunctionNode | ast.Lambda],
        node: ast.Call,
        depth: int,
    ) -> Iterator[Call]:
        """Calls inside the lambdas and inner functions that this call receives: they run later or
        elsewhere. `inner_ones`: those of the function that the call stands in.
        """
        passed = list_given(node)
        names = set()
        for argument in passed:
            if isinstance(argument, ast.Name):
                names.add(argument.id)
        for inner in inner_ones:
            if inner in passed or getattr(inner, "name", None) in names:
                yield from self._calls_in_frame(replace(frame, deferred=True), inner, depth)

    def reached(self, definition: Definition, *, depth: int = 1) -> tuple[Definition, ...]:
        """The repository's functions that a body calls, `depth` deep, in the order of
        their names.
        """
        names = set[str]()
        for call in self.calls(definition, depth=depth):
            names.update(call.via)
        return tuple(filter(None, map(self.definition, sorted(names))))

    def handlers(self, definition: Definition, *, depth: int = 0) -> tuple[Handler, ...]:
        """The `except` clauses of a body in order, and of the repository's functions that it calls,
        `depth` deep.
        """
        bodies = list(self.callables(definition))
        if depth:
            bodies += self.reached(definition, depth=depth)
        clauses = []
        for part in bodies:
            for node in find_nodes(part.node, ast.ExceptHandler):
                clauses.append(self.handler(part.module, node))
        return tuple(clauses)

    def uses(self, dotted: str) -> tuple[Use, ...]:
        """Every expression in the repository that means a dotted name, by whatever path it was
        imported.
        """
        target = self.origin(dotted.replace(":", "."))
        return self.remember(("uses", target), lambda: tuple(self._find_uses(target)))

    def _find_uses(self, target: str) -> Iterator[Use]:
        words = self._list_spellings(target.rpartition(".")[2])
        modules = {module.path: module for word in words for module in self.modules_with(word)}
        for _, module in sorted(modules.items()):
            for node in module.all_nodes:
                if isinstance(node, ast.Name | ast.Attribute) and last_word(node) in words:
                    name = None
                    if isinstance(node.ctx, ast.Load):
                        name = module.resolve(node)
                    if (
                        name
                        and self.origin(
                            self._spell_as_located(self.owned(module, node, name), module)
                        )
                        == target
                    ):
                        yield Use(node, module, module.path, node.lineno)

    def _list_spellings(self, word: str) -> list[str]:
        """A word, and the other names that imports and assignments in the repository give it."""
        words = [word]
        for known in words:
            for module in self.modules_with(known):
                words += sorted(_find_aliases(module, known) - set(words))
        return words

    def references(self, name: str) -> tuple[Call, ...]:
        """Every call of a dotted name ("shop.mailer.send" or "shop.mailer:send") in the
        repository.
        """
        found = []
        for use in self.uses(name):
            call = use.module.find_call_of(use.node)
            if call is not None:
                found.append(self.call_at(use.module, call))
        return tuple(found)

    def call_at(self, module: Module, node: ast.Call) -> Call:
        """The facts of one call, wherever it stands."""
        function = module.function_of(node)
        if function:
            owner = self.define(module, function)
        else:
            owner = _module_body(module)
        return self._make_call(Frame(owner), node)

    def literal(self, node: ast.expr | None, module: Module) -> Any:
        """The value of an expression: literals, constants, settings, arithmetic; durations as
        seconds.

        `UNKNOWN`, or an `Unknown` with the reason and the written default, where only running could
        tell; ask
        with `is_known`.
        """
        return self._literals.fold(node, module)

    def variable(self, module: Module, name: str) -> Any:
        """The value of a module variable, as `literal`."""
        return self._literals.variable(module, name)

    def settings_modules(self) -> tuple[Module, ...]:
        """The modules that DJANGO_SETTINGS_MODULE names in the repository's Python files, the first
        named first.
        """
        return self.remember(("settings",), lambda: tuple(self._settings_modules()))

    def _settings_modules(self) -> Iterator[Module]:
        seen: set[str] = set()
        for module in self.modules_with("DJANGO_SETTINGS_MODULE"):
            for node in module.all_nodes:
                path = None
                if name := _django_settings(node):
                    path = self.locate(name)
                found = None
                if path and path not in seen:
                    found = self.module(path)
                if path and found:
                    seen.add(path)
                    yield found


def _django_settings(node: ast.AST) -> str | None:
    """The value in `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")` or
    `os.environ[...] = ...`.
    """
    pair: tuple[ast.expr, ast.expr] | None = None
    if isinstance(node, ast.Call) and len(node.args) == 2:
        pair = (node.args[0], node.args[1])
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        pair = (node.targets[0].slice, node.value)
    if pair is None or not is_constant(pair[0], "DJANGO_SETTINGS_MODULE"):
        return None
    value = None
    if isinstance(pair[1], ast.Constant):
        value = pair[1].value
    if isinstance(value, str):
        return value
    return None


def _name_manager(module: Module, node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        inner = node.func
    else:
        inner = node
    return module.resolve(inner) or ast.unparse(inner)


def _find_aliases(module: Module, word: str) -> set[str]:
    """Other names under which a file imports a word, and variables that hold it."""
    imported = set()
    for node in module.all_nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                if alias.asname and alias.name.rpartition(".")[2] == word:
                    imported.add(alias.asname)
    held = set()
    for node in module.nodes(ast.Assign):
        if last_word(node.value) in {word, *imported}:
            held |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return imported | held


def _module_body(module: Module) -> Definition:
    """A definition that stands for a module's own body."""
    empty = ast.parse("def module(): pass").body[0]
    assert isinstance(empty, ast.FunctionDef)
    return Definition("<module>", module.path, 1, empty, module)


def remembered(
    find: Callable[[Project, Definition], Answer],
) -> Callable[[Project, Definition], Answer]:
    """Decorates what is found of a function: once for each, see `Project.remember`."""

    @functools.wraps(find)
    def find_once(project: Project, function: Definition) -> Answer:
        key = (find.__module__, find.__qualname__, function.dotted)
        return project.remember(key, lambda: find(project, function))

    return find_once
