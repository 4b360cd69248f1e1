"""What one Python file says that may concern Celery: imports, calls that are kept or returned,
decorators.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

SET_UP = (".config_from_object", ".autodiscover_tasks", ".conf.update", ".set_default")
TASK_METHODS = (".task", ".periodic_task", ".register_task", ".tasks.register")
_TOLD = (
    *SET_UP,
    *TASK_METHODS,
    "task",
)  # a call whose result nobody keeps matters only with one of these names


@dataclass(frozen=True, slots=True)
class Call:
    """`target = function(...)`, `return function(...)` or `@function`, inside `scope` ("" is the
    module).

    `function` is the name as the file has it, e.g. "celery_app.task".
    """

    function: str
    line: int
    scope: str = ""
    target: str = ""


@dataclass(slots=True)
class Source:
    """One file. `names` maps a local name to where it was imported from; a relative import begins
    with "/".
    """

    path: str
    names: dict[str, str] = field(default_factory=dict)
    classes: dict[str, list[str]] = field(default_factory=dict)  # class -> names of its bases
    made: list[Call] = field(default_factory=list)
    returned: list[Call] = field(default_factory=list)
    decorated: list[Call] = field(default_factory=list)
    called: list[Call] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)  # the lines of all of these calls

    def imported(self, name: str) -> str:
        """The dotted origin of an imported name; "path:name" for one that this file defines."""
        first, dot, rest = name.partition(".")
        origin = self.names.get(first)
        return f"{self.path}:{name}" if origin is None else origin + dot + rest


def read_source(path: str, module: ast.Module, lines: list[str]) -> Source:
    """Walks the statements once; expressions are looked at only where they are a statement's
    value.
    """
    source = Source(path)
    _Reader(source, lines).read(module.body, "")
    return source


class _Reader:
    def __init__(self, source: Source, lines: list[str]) -> None:
        self._source = source
        self._lines = lines

    def read(self, body: list[ast.stmt], scope: str) -> None:
        """Statements of one scope, with those of its branches; a definition opens a scope of its
        own.
        """
        source = self._source
        for node in body:
            match node:
                case ast.Expr(value=value):
                    self._told(value, scope)
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._kept(target, value, scope)
                case ast.AnnAssign(target=target, value=value) if value:
                    self._kept(target, value, scope)
                case ast.Return(value=value) if value:
                    self._note(source.returned, value, scope)
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    self._definition(node, scope)
                case ast.Import() | ast.ImportFrom():
                    source.names.update(_imports(source.path, node))
                case _:
                    self._branches(node, scope)

    def _branches(self, node: ast.stmt, scope: str) -> None:
        for part in ("body", "orelse", "finalbody"):
            inner = getattr(node, part, None)
            if inner:
                self.read(inner, scope)
        for holder in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            self.read(holder.body, scope)

    def _definition(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, scope: str
    ) -> None:
        name = f"{scope}.{node.name}" if scope else node.name
        if isinstance(node, ast.ClassDef):
            self._source.classes[name] = [base for one in node.bases if (base := _dotted(one))]
        for decorator in node.decorator_list:
            self._note(self._source.decorated, decorator, scope, name)
        self.read(node.body, name)

    def _told(self, value: ast.expr, scope: str) -> None:
        if isinstance(value, ast.Call) and (_dotted(value.func) or "task").endswith(_TOLD):
            self._note(self._source.called, value, scope)

    def _kept(self, target: ast.expr, value: ast.expr, scope: str) -> None:
        name = _dotted(target)
        for one in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
            if name and isinstance(one, ast.Call):
                self._note(self._source.made, one, scope, name)

    def _note(self, where: list[Call], node: ast.expr, scope: str, target: str = "") -> None:
        function = node.func if isinstance(node, ast.Call) else node
        if isinstance(function, ast.Call):
            function = function.func  # shared_task(...)(function)
        name = _dotted(function)
        if name:
            where.append(Call(name, node.lineno, scope, target))
            self._source.texts[node.lineno] = (
                self._lines[node.lineno - 1] if node.lineno <= len(self._lines) else ""
            )


def _dotted(node: ast.expr) -> str:
    """ "a.b.c" of a name or attribute; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def _imports(path: str, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    if isinstance(node, ast.Import):
        return {
            one.asname or _first(one.name): one.name if one.asname else _first(one.name)
            for one in node.names
        }
    base = node.module or ""
    if node.level:
        folders = path.split("/")[: -node.level]
        base = "/" + ".".join([*folders, *([node.module] if node.module else [])])
    return {one.asname or one.name: f"{base}.{one.name}".replace("/.", "/") for one in node.names}


def _first(name: str) -> str:
    return name.partition(".")[0]
