"""Whether a value is settled by the code alone: the same for every job and at every moment."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from functools import partial

from skillrun.repo.python import Project
from skillrun.repo.source import Binding, Module, last_word

# What is made by these of settled values is settled.
_MAKERS = {
    *("date", "datetime", "time", "timedelta", "timezone", "ZoneInfo", "fromisoformat", "strptime"),
    *(
        "fromtimestamp",
        "combine",
        "replace",
        "timestamp",
        "isoformat",
        "date",
        "parse",
        "astimezone",
    ),
    *("int", "float", "str", "bytes", "Decimal", "Fraction", "tuple", "list", "set", "frozenset"),
    *("range", "Path", "PurePath", "PosixPath", "join", "joinpath", "expanduser", "resolve"),
    *("absolute", "abspath", "dirname", "with_suffix", "with_name", "total_seconds"),
}
# Another folder on each machine, and the same one for every job on it.
_PLACES = {"home", "cwd", "getcwd", "gettempdir", "getenv"}
# The clock, read while a module is imported: since when the process lives.
_CLOCKS = {"time", "now", "utcnow", "today", "monotonic", "perf_counter", "time_ns"}


@dataclass
class Written:
    """`reassigned`: (path, name) of the variables of a module that functions give other values."""

    project: Project
    reassigned: Container[tuple[str, str]]
    _asking: set[ast.AST] = field(default_factory=set)

    def is_settled(self, module: Module, node: ast.AST) -> bool:
        """Whether an expression has one value, which the code says."""
        if node in self._asking:
            return False
        self._asking.add(node)
        try:
            return self._is_settled(module, node)
        finally:
            self._asking.discard(node)

    def _is_settled(self, module: Module, node: ast.AST) -> bool:
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            return self._is_settled_name(module, node)
        if isinstance(node, ast.Attribute):
            return self._is_settled_attribute(module, node)
        if isinstance(node, ast.Call):
            return self._is_settled_call(module, node)
        if isinstance(
            node, ast.Tuple | ast.List | ast.Set | ast.UnaryOp | ast.BinOp | ast.Subscript
        ):
            return self.are_settled(module, ast.iter_child_nodes(node))
        if isinstance(node, ast.Dict):
            return self.are_settled(module, node.values)
        return False

    def are_settled(self, module: Module, nodes: Iterable[ast.AST]) -> bool:
        """Whether each of some expressions is."""
        expressions = [node for node in nodes if isinstance(node, ast.expr)]
        return all(map(partial(self.is_settled, module), expressions))

    def _is_settled_call(self, module: Module, node: ast.Call) -> bool:
        word = last_word(node.func)
        # `time(8)` is an hour of each day, `time()` is now.
        if word in _CLOCKS and not (node.args and word == "time"):
            return module.function_of(node) is None
        if self._is_own(module, node.func):
            return False
        if word in _PLACES:
            return self.are_settled(module, node.args)
        if word not in _MAKERS:
            return False
        given = [*node.args]
        for keyword in node.keywords:
            given.append(keyword.value)
        if isinstance(node.func, ast.Attribute):
            given.append(node.func.value)
        elif not given:
            return False
        return self.are_settled(module, given)

    def _is_own(self, module: Module, func: ast.expr) -> bool:
        """A function of the repository makes whatever it likes."""
        name = module.resolve(func)
        return name is not None and self.project.definition(name) is not None

    def _is_settled_name(self, module: Module, node: ast.Name) -> bool:
        if node.id == "__file__":
            return True
        if (module.path, node.id) in self.reassigned:
            return False
        for scope in module.scopes_around(node):
            bound = module.bindings(scope).get(node.id)
            if bound:
                return self._are_settled_bindings(module, bound)
        return True

    def _is_settled_attribute(self, module: Module, node: ast.Attribute) -> bool:
        # A setting: what changes is not written in capitals.
        if node.attr.isupper():
            return True
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            return False
        name = module.resolve(node)
        found = self.project.lookup(name) if name is not None else None
        if found is not None and found.module is not None and found.binding is not None:
            return self._is_settled_binding(found.module, found.binding)
        owner = module.resolve(node.value)
        # A name that a module of the repository does not show is made while it runs.
        if owner is not None and self.project.locate(owner) is not None:
            return found is not None
        return self.is_settled(module, node.value)

    def _are_settled_bindings(self, module: Module, bindings: Iterable[Binding]) -> bool:
        return all(map(partial(self._is_settled_binding, module), bindings))

    def _is_settled_binding(self, module: Module, binding: Binding) -> bool:
        if binding.kind == "define":
            return True
        if binding.kind == "import":
            found = self.project.lookup(binding.target) if binding.target else None
            if found is None or found.module is None or found.binding is None:
                return True
            return self._is_settled_binding(found.module, found.binding)
        if binding.kind != "value" or binding.value is None:
            return False
        return self.is_settled(module, binding.value)
