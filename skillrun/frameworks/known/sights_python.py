"""What a Python file does with imported names, read from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from skillrun.frameworks.known.entry import Seen, Sight

_LISTS = frozenset({"functions", "cron_jobs"})  # fields whose elements are handlers
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@lru_cache(maxsize=2)  # several recognisers look at one file, one after the other
def see_python(path: str, module: ast.Module, data: bytes) -> Seen:
    """Every sight of a module, in the order of the syntax tree."""
    nodes = list(ast.walk(module))
    names = dict(pair for node in nodes for pair in _bound(node))
    targets = {id(call): target for node in nodes for call, target in _assigned(node)}
    sights = [sight for node in nodes for sight in _sights(node, names, targets)]
    return Seen(path, tuple(sights), tuple(data.decode("utf-8", "replace").splitlines()))


def _bound(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(local name, import path); a relative import keeps its dots."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (
                alias.asname or alias.name.partition(".")[0],
                alias.name if alias.asname else alias.name.split(".")[0],
            )
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, f"{'.' * node.level}{node.module or ''}.{alias.name}"


def _assigned(node: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """(the call that makes a value, what the value is bound to); of a chain `Broker().with_x()`,
    its first call.
    """
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        call = _first_call(node.value)
        name = (
            target.id
            if isinstance(target, ast.Name)
            else target.attr
            if isinstance(target, ast.Attribute)
            else ""
        )
        if call and name:
            yield call, name


def _first_call(value: ast.expr) -> ast.Call | None:
    value = value.value if isinstance(value, ast.Await) else value
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        if not isinstance(value.func.value, ast.Call):
            return value
        value = value.func.value
    return value if isinstance(value, ast.Call) else None


def _sights(node: ast.AST, names: dict[str, str], targets: dict[int, str]) -> Iterator[Sight]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        level = node.level if isinstance(node, ast.ImportFrom) else 0
        base = f"{'.' * level}{node.module or ''}." if isinstance(node, ast.ImportFrom) else ""
        yield from (Sight("import", base + alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.Call):
        if name := origin(node.func, names):
            yield Sight("call", name, node.lineno, targets.get(id(node), ""))
    elif isinstance(node, _FUNCTIONS):
        yield from _marks(node, names)
    elif isinstance(node, ast.ClassDef):
        yield from _class_sights(node, names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and target.id.isupper():
            yield Sight("set", target.id, node.lineno, target.id)


def _marks(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, names: dict[str, str]
) -> Iterator[Sight]:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if name := origin(called, names):
            yield Sight("mark", name, decorator.lineno, node.name)


def _class_sights(node: ast.ClassDef, names: dict[str, str]) -> Iterator[Sight]:
    yield Sight("class", node.name, node.lineno, node.name)
    yield from (
        Sight("base", name, node.lineno, node.name)
        for base in node.bases
        if (name := origin(base, names))
    )
    yield from _marks(node, names)
    for statement in node.body:
        target = (
            statement.targets[0]
            if isinstance(statement, ast.Assign)
            else getattr(statement, "target", None)
        )
        if isinstance(target, ast.Name):
            yield Sight("field", f"{node.name}.{target.id}", statement.lineno, node.name)
            value = getattr(statement, "value", None)
            if target.id in _LISTS and isinstance(value, ast.List | ast.Tuple):
                yield from _elements(value, names)


def _elements(value: ast.List | ast.Tuple, names: dict[str, str]) -> Iterator[Sight]:
    """The handlers of a list, bare or as the first argument of a call: `[a, func(b, timeout=1),
    cron(c)]`.
    """
    for element in value.elts:
        held = element.args[0] if isinstance(element, ast.Call) and element.args else element
        if name := origin(held, names):
            yield Sight("lists", name, element.lineno)


def origin(node: ast.expr, names: dict[str, str]) -> str:
    """ "arq.cron" of `cron` after `from arq import cron`; a call in the middle leaves "()"; "" for
    anything else.
    """
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = origin(node.value, names)
        return f"{base}.{node.attr}" if base else ""
    if isinstance(node, ast.Call):
        base = origin(node.func, names)
        return f"{base}()" if base else ""
    if isinstance(node, ast.Subscript):  # a generic base class: Worker[Args]
        return origin(node.value, names)
    return ""
