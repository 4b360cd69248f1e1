"""Which code of one side a handler reaches, as far as its text tells: rather too much than too
little.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.python import Definition, Project
from skillrun.repo.source import FunctionNode, Module, last_word

# Functions with these decorators are called by whoever sends the signal.
_RECEIVERS = {"connect", "receiver", "listens_for", "on_event", "register", "hook", "middleware"}
# Of a repository in which everything reaches everything.
_MOST_FUNCTIONS = 4_000
_IMPORTERS = ("importlib.import_module", "builtins.__import__")


@dataclass
class Reach:
    """Everything that handlers reach: the modules that they import, and the functions in them that
    may run.
    """

    project: Project
    modules: dict[str, Module] = field(default_factory=dict)  # by path
    functions: dict[ast.AST, Definition] = field(default_factory=dict)  # by node
    # Callee -> sites.
    calls: dict[ast.AST, list[tuple[Module, ast.Call]]] = field(default_factory=dict)
    # Function -> those that it names.
    below: dict[ast.AST, set[ast.AST]] = field(default_factory=dict)
    _methods: dict[str, list[Definition]] = field(default_factory=dict)
    _waiting: list[tuple[Module, ast.AST]] = field(default_factory=list)
    _found: dict[str, Definition | None] = field(default_factory=dict)
    _owned: dict[tuple[ast.ClassDef | None, str], str] = field(default_factory=dict)
    _wanted: dict[str, set[ast.AST]] = field(default_factory=dict)

    def follow(self, handlers: list[str]) -> None:
        """Reaches everything from the import paths of handlers."""
        for handler in handlers:
            found = self.project.find(handler)
            if found is not None:
                self._add_module(found.module)
                self._add(found)
        while self._waiting and len(self.functions) < _MOST_FUNCTIONS:
            module, owner = self._waiting.pop()
            if isinstance(owner, ast.Module):
                self._read_imports(module)
            self._read(module, owner)

    def _add(self, definition: Definition, user: ast.AST | None = None) -> None:
        if is_taken_for_tests(definition.path):
            return
        for part in self._callable_parts(definition):
            if user is not None:
                self.below.setdefault(user, set()).add(part.node)
            if part.node not in self.functions:
                self.functions[part.node] = part
                self._waiting.append((part.module, part.node))
        self._add_module(definition.module)

    def _callable_parts(self, definition: Definition) -> Iterator[Definition]:
        """A function, or all methods of a class and of its bases: which ones run is not told."""
        if not isinstance(definition.node, ast.ClassDef):
            yield definition
            return
        for name in self.project.ancestors(definition.dotted):
            owner = self.project.definition(name)
            for node in owner.node.body if owner is not None else ():
                if owner is not None and isinstance(node, FunctionNode):
                    yield self.project.define(owner.module, node)

    # -- modules

    def _add_module(self, module: Module) -> None:
        if module.path in self.modules or is_taken_for_tests(module.path):
            return
        self.modules[module.path] = module
        self._waiting.append((module, module.tree))

    def _read_imports(self, module: Module) -> None:
        for node in module.all_nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._add_imported(module, node)
            elif isinstance(node, FunctionNode):
                self._note_function(module, node)

    def _add_imported(self, module: Module, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                self._add_named(alias.name, module)
                continue
            source = module.absolute(node.module, node.level)
            self._add_named(source, module)
            self._add_named(f"{source}.{alias.name}", module)

    def _add_named(self, dotted: str, near: Module) -> None:
        """A module, and the packages around it: importing it runs them."""
        parts = dotted.split(".")
        for cut in range(len(parts), 0, -1):
            path = self.project.locate(".".join(parts[:cut]), near=near.path)
            found = self.project.module(path) if path else None
            if found is not None:
                self._add_module(found)

    def _note_function(self, module: Module, node: FunctionNode) -> None:
        definition = self.project.define(module, node)
        for decorator in node.decorator_list:
            inner = decorator.func if isinstance(decorator, ast.Call) else decorator
            if last_word(inner) in _RECEIVERS:
                self._add(definition)
        if module.class_of(node) is None:
            return
        self._methods.setdefault(node.name, []).append(definition)
        for user in self._wanted.get(node.name, ()):
            self._add(definition, user)

    # -- what a body names

    def _read(self, module: Module, owner: ast.AST) -> None:
        for node in walk_own(owner):
            if isinstance(node, ast.Call):
                self._read_call(module, owner, node)
            if isinstance(node, ast.Name | ast.Attribute):
                definition = self.definition(module, node)
                if definition is not None:
                    self._add(definition, owner)
                elif isinstance(node, ast.Attribute):
                    self._add_methods(node.attr, owner)

    def _read_call(self, module: Module, owner: ast.AST, node: ast.Call) -> None:
        definition = self.definition(module, node.func)
        if definition is not None:
            for part in self._callable_parts(definition):
                is_called = part.node is definition.node or part.node.name in (
                    "__init__",
                    "__call__",
                )
                if is_called:
                    self.calls.setdefault(part.node, []).append((module, node))
        if module.resolve(node.func) in _IMPORTERS and node.args:
            name = self.project.literal(node.args[0], module)
            if isinstance(name, str):
                self._add_named(name, module)

    def _add_methods(self, name: str, user: ast.AST) -> None:
        """A method of an object whose class is not told: any that is called so."""
        self._wanted.setdefault(name, set()).add(user)
        for definition in self._methods.get(name, ()):
            self._add(definition, user)

    def definition(self, module: Module, node: ast.expr) -> Definition | None:
        """The repository's function or class that an expression names."""
        name = self.owned_name(module, node)
        if name is None:
            return None
        if name not in self._found:
            self._found[name] = self.project.definition(name)
        return self._found[name]

    def owned_name(self, module: Module, node: ast.expr) -> str | None:
        """The dotted name of an expression, `self.helper` as that of its class."""
        name = module.resolve(node)
        if name is None or not name.startswith(("self.", "cls.")):
            return name
        # The same attribute is asked for all over a class, and finding it means to read the class.
        key = (module.class_of(node), name)
        if key not in self._owned:
            self._owned[key] = self.project.owned(module, node, name)
        return self._owned[key]


def walk_own(owner: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a function, its decorators and inner functions with it; of a module, those that
    importing runs.
    """
    if not isinstance(owner, ast.Module):
        yield from ast.walk(owner)
        return
    waiting: list[ast.AST] = list(owner.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, FunctionNode):
            waiting += [*node.decorator_list, *node.args.defaults]
            waiting += [value for value in node.args.kw_defaults if value is not None]
        elif isinstance(node, ast.If) and _asks_for_program(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _asks_for_program(test: ast.expr) -> bool:
    """`__name__ == "__main__"`: what stands below runs where the module is the program itself, and
    then as another module than the one that a handler imports.
    """
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = {ast.unparse(test.left), *map(ast.unparse, test.comparators)}
    return sides == {"__name__", "'__main__'"}
