"""What a Python file does with names, and what its names stand for, read from its syntax tree."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from functools import lru_cache

from skillrun.frameworks.known.entry import FileSights, Sight

# Fields whose elements are handlers.
_LISTS = frozenset({"functions", "cron_jobs"})
# What stands beside them in the settings of a worker (saq/worker.py `start`, arq/worker.py
# `Worker`): a dictionary with "functions" alone may be what a language model is offered.
_BESIDE_LISTS = frozenset(
    {
        *("queue", "queue_name", "redis_settings", "concurrency", "max_jobs"),
        *("startup", "shutdown", "on_startup", "on_shutdown", "before_process", "after_process"),
        *_LISTS,
    }
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.NamedExpr)
# Keywords that carry the function of a job, where it is not given by its position.
_HANDED = frozenset({"func", "f"})
# Values of one name; more is a name for anything.
_CHOICES = 4
# Arguments of a call that are kept.
_GIVEN = 2


@lru_cache(maxsize=2)  # several recognisers look at one file, one after the other
def see_python(path: str, module: ast.Module, data: bytes) -> FileSights:
    """Every sight of a module, in the order of the syntax tree, outer statements first."""
    reader = _Reader()
    reader.read(module)
    lines = tuple(data.decode("utf-8", "replace").splitlines())
    values = {}
    for name, found in reader.values.items():
        if found:
            values[name] = tuple(found)
    return FileSights(path, tuple(reader.sights), lines, reader.names, values)


class _Reader:
    """One walk over a module."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, list[str]] = {}
        self.sights: list[Sight] = []
        self._targets: dict[int, str] = {}
        self._used: set[str] = set()

    def read(self, module: ast.Module) -> None:
        nodes = list(_walk_scopes(module))
        for node, _ in nodes:
            self._note_names(node)
        for node, scope in nodes:
            self._note_values(node, scope)
        for node, scope in nodes:
            self._note_sights(node, scope)

    def _note_names(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.names.update(_list_imported(node))
        elif isinstance(node, _ASSIGNMENTS) and node.value is not None:
            target = _target_of(node)
            for value in _list_choices(node.value):
                call = _first_call(value)
                if call is not None and target:
                    self._targets[id(call)] = target

    def _note_values(self, node: ast.AST, scope: str) -> None:
        """What a variable, a class or the result of a function stands for."""
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    self._keep_value(_join_scope(scope, target.id), node.value)
        elif isinstance(node, ast.Return) and node.value is not None and scope:
            self._keep_value(f"{scope}()", node.value)
        elif isinstance(node, ast.ClassDef):
            for base in node.bases:
                self._keep_value(_join_scope(scope, node.name), base)

    def _keep_value(self, name: str, value: ast.expr) -> None:
        """A name that is made from itself, `query = query.where(x)`, says nothing new."""
        plain = name.rpartition(".")[2].removesuffix("()")
        for one in _list_choices(value):
            said = self._stands_for(one)
            known = self.values.setdefault(name, [])
            first = said.partition(".")[0].partition("(")[0]
            if said and first != f":{plain}" and len(known) < _CHOICES:
                known.append(said)

    def _stands_for(self, value: ast.expr) -> str:
        """Of `partial(function, ...)` the function."""
        said = origin(value, self.names)
        if said == "functools.partial()" and isinstance(value, ast.Call) and value.args:
            return origin(value.args[0], self.names)
        return said

    def _note_sights(self, node: ast.AST, scope: str) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._see_imports(node)
        elif isinstance(node, ast.Call):
            self._see_call(node, scope)
            self._see_settings(dict(_list_keywords(node)))
        elif isinstance(node, ast.Attribute):
            self._see_used(node)
        elif isinstance(node, ast.Dict):
            self._see_settings(dict(_list_named_values(node)))
        elif isinstance(node, ast.Return) and node.value is not None:
            self._see_returned(node.value, scope)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self._see_given(node.value, scope)
        elif isinstance(node, _FUNCTIONS):
            self._see_marks(node, scope)
        elif isinstance(node, ast.ClassDef):
            self._see_class(node, scope)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = _target_of(node)
            if target.isupper():
                self.sights.append(Sight("set", target, node.lineno, target))

    def _see_imports(self, node: ast.Import | ast.ImportFrom) -> None:
        base = ""
        if isinstance(node, ast.ImportFrom):
            base = f"{'.' * node.level}{node.module or ''}."
        for alias in node.names:
            self.sights.append(Sight("import", base + alias.name, node.lineno))

    def _see_used(self, node: ast.Attribute) -> None:
        """`fastapi.Request`: a name inside a module or a class that the file imports."""
        name = origin(node, self.names)
        is_imported = name and not name.startswith(":") and "()" not in name
        if is_imported and name not in self._used:
            self._used.add(name)
            self.sights.append(Sight("uses", name, node.lineno))

    def _see_call(self, node: ast.Call, scope: str) -> None:
        name = origin(node.func, self.names)
        if not name:
            return
        target = self._targets.get(id(node), "")
        given = tuple(_list_given(node, self.names))
        self.sights.append(Sight("call", name, node.lineno, target, scope, given))
        if target:
            self.sights.append(Sight("made", name, node.lineno, target, scope))
            if node.args and isinstance(node.args[0], ast.Name | ast.Attribute | ast.Call):
                decorator = name.removesuffix("()")
                self.sights.append(Sight("wraps", decorator, node.lineno, target, scope))

    def _see_returned(self, value: ast.expr, scope: str) -> None:
        name = ""
        if isinstance(value, ast.Call):
            name = origin(value.func, self.names)
        if name:
            self.sights.append(Sight("made", name, value.lineno, "", scope))

    def _see_given(self, outer: ast.Call, scope: str) -> None:
        """`set_broker(RedisBroker())`: what is made for a function that keeps it."""
        inner = None
        if outer.args:
            inner = outer.args[0]
        name = ""
        if isinstance(inner, ast.Call):
            name = origin(inner.func, self.names)
        if name and inner is not None:
            target = origin(outer.func, self.names).rpartition(".")[2].lstrip(":")
            self.sights.append(Sight("given", name, inner.lineno, target, scope))

    def _see_marks(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, scope: str
    ) -> None:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call):
                called = decorator.func
            else:
                called = decorator
            name = origin(called, self.names)
            if name:
                self.sights.append(Sight("mark", name, decorator.lineno, node.name, scope))

    def _see_class(self, node: ast.ClassDef, scope: str) -> None:
        self.sights.append(Sight("class", node.name, node.lineno, node.name))
        for base in node.bases:
            name = origin(base, self.names)
            if name:
                self.sights.append(Sight("base", name, node.lineno, node.name, scope))
        self._see_marks(node, scope)
        for statement in node.body:
            self._see_field(node.name, statement)

    def _see_field(self, owner: str, statement: ast.stmt) -> None:
        if not isinstance(statement, ast.Assign | ast.AnnAssign):
            return
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
        else:
            target = statement.target
        if not isinstance(target, ast.Name):
            return
        self.sights.append(Sight("field", f"{owner}.{target.id}", statement.lineno, owner))
        if target.id in _LISTS and isinstance(statement.value, ast.List | ast.Tuple):
            self._see_elements(statement.value, "lists")

    def _see_settings(self, given: dict[str, ast.expr]) -> None:
        """The handlers in the settings of a worker, `{"queue": queue, "functions": [send]}`."""
        if len(_BESIDE_LISTS & given.keys()) < 2:
            return
        for name, value in given.items():
            if name in _LISTS and isinstance(value, ast.List | ast.Tuple):
                self._see_elements(value, "holds")

    def _see_elements(self, value: ast.List | ast.Tuple, kind: str) -> None:
        """The handlers of a list, bare or as the first argument of a call: `[a, func(b, timeout=1),
        cron(c)]`.
        """
        for element in value.elts:
            if isinstance(element, ast.Call) and element.args:
                held = element.args[0]
            else:
                held = element
            name = origin(held, self.names)
            if name:
                self.sights.append(Sight(kind, name, element.lineno))


def _list_keywords(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) of a call's keywords; `**rest` has no name."""
    for keyword in node.keywords:
        if keyword.arg is not None:
            yield keyword.arg, keyword.value


def _list_named_values(node: ast.Dict) -> Iterator[tuple[str, ast.expr]]:
    """(key, value) of a dictionary's members whose keys are texts."""
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, value


def _walk_scopes(module: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every node with the function or class around it, as `ast.walk` goes."""
    todo: deque[tuple[ast.AST, str]] = deque([(module, "")])
    while todo:
        node, scope = todo.popleft()
        yield node, scope
        if isinstance(node, _DEFINITIONS):
            inner = _join_scope(scope, node.name)
        else:
            inner = scope
        for child in ast.iter_child_nodes(node):
            todo.append((child, inner))


def _join_scope(scope: str, name: str) -> str:
    if scope:
        return f"{scope}.{name}"
    return name


def _list_imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """(local name, import path); a relative import keeps its dots."""
    if isinstance(node, ast.ImportFrom):
        dots = "." * node.level
        if node.module:
            base = f"{dots}{node.module}."
        else:
            base = dots
        for alias in node.names:
            yield alias.asname or alias.name, base + alias.name
        return
    for alias in node.names:
        if alias.asname:
            yield alias.asname, alias.name
        else:
            first = alias.name.partition(".")[0]
            yield first, first


def _target_of(node: ast.Assign | ast.AnnAssign | ast.NamedExpr) -> str:
    if isinstance(node, ast.Assign):
        target = node.targets[0]
    else:
        target = node.target
    if isinstance(target, ast.Name):
        return target.id
    if not isinstance(target, ast.Attribute):
        return ""
    return target.attr


def _list_choices(value: ast.expr) -> tuple[ast.expr, ...]:
    """Both of `a if x else b`."""
    if isinstance(value, ast.IfExp):
        return (value.body, value.orelse)
    return (value,)


def _first_call(value: ast.expr) -> ast.Call | None:
    """Of a chain `Broker().with_x()`, its first call."""
    if isinstance(value, ast.Await):
        value = value.value
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        if not isinstance(value.func.value, ast.Call):
            return value
        value = value.func.value
    if not isinstance(value, ast.Call):
        return None
    return value


def _list_given(node: ast.Call, names: dict[str, str]) -> Iterator[str]:
    """The first arguments as names, and texts as they are; "" for anything else. What a keyword
    hands over comes last.
    """
    handed = []
    for keyword in node.keywords:
        if keyword.arg in _HANDED:
            handed.append(keyword.value)
    for argument in (*node.args[:_GIVEN], *handed):
        if isinstance(argument, ast.Constant):
            if isinstance(argument.value, str):
                yield argument.value
            else:
                yield ""
        elif isinstance(argument, ast.Name | ast.Attribute):
            yield origin(argument, names)
        else:
            yield ""


def origin(node: ast.expr, names: dict[str, str]) -> str:
    """ "arq.cron" of `cron` after `from arq import cron`, ":cron" where nothing imports it; a call
    in the middle leaves "()"; "" for anything else.
    """
    if isinstance(node, ast.Name):
        return names.get(node.id, f":{node.id}")
    if isinstance(node, ast.Attribute):
        base = origin(node.value, names)
        if not base:
            return ""
        return f"{base}.{node.attr}"
    if isinstance(node, ast.Call):
        base = origin(node.func, names)
        if not base:
            return ""
        return f"{base}()"
    if isinstance(node, ast.Await):
        return origin(node.value, names)
    # A generic base class: Worker[Args].
    if isinstance(node, ast.Subscript):
        return origin(node.value, names)
    return ""
