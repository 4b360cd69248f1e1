"""Decorators and context managers of the repository that let a failed assertion pass."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.wall.gaming.asserting import Function, list_assertions
from skillrun.wall.gaming.pytests import Test
from skillrun.wall.sources import CommitSources

_WIDE = re.compile(r"\b(AssertionError|Exception|BaseException)\b")
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Forgiving:
    """One that is put around a test: its name, where, and whether it may let the failure out after
    all.
    """

    name: str
    line: int
    may_raise: bool


def find_forgiving(
    test: Test, tree: ast.Module | None, sources: CommitSources
) -> Iterator[Forgiving]:
    """Those around a test, or around the assertions in it."""
    for expression in _list_around(test):
        # `@retried(3)` is named by what is called.
        named = expression.func if isinstance(expression, ast.Call) else expression
        name = ast.unparse(named)
        definition = _find_definition(name, tree, sources)
        if definition is None:
            continue
        may_raise = _judge_definition(definition)
        if may_raise is not None:
            yield Forgiving(name, expression.lineno, may_raise)


def _list_around(test: Test) -> Iterator[ast.expr]:
    yield from test.node.decorator_list
    if test.owner is not None:
        yield from test.owner.decorator_list
    for node in ast.walk(test.node):
        if isinstance(node, ast.With | ast.AsyncWith) and any(True for _ in list_assertions(node)):
            for item in node.items:
                yield item.context_expr


def _find_definition(
    name: str, tree: ast.Module | None, sources: CommitSources
) -> Definition | None:
    """In the file itself, else in the module of the repository that it is imported from."""
    last = name.rpartition(".")[2]
    found = _find_in(tree, last)
    if found is not None or tree is None:
        return found
    for module, original in _list_origins(tree, name):
        for path in sources.files:
            if f"/{path}".endswith((f"/{module}.py", f"/{module}/__init__.py")):
                found = _find_in(_parse_or_none(sources.texts[path]), original)
                if found is not None:
                    return found
    return None


def _find_in(tree: ast.Module | None, name: str) -> Definition | None:
    if tree is None:
        return None
    for node in tree.body:
        if isinstance(node, Definition) and node.name == name:
            return node
    return None


def _list_origins(tree: ast.Module, name: str) -> Iterator[tuple[str, str]]:
    """(module as a path, name in it) of each import that a name may come from."""
    first, _, last = name.partition(".")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for alias in node.names:
            if (alias.asname or alias.name.partition(".")[0]) != first:
                continue
            # `from tests import helpers` and `@helpers.lenient`: helpers is a module then.
            if isinstance(node, ast.Import):
                parts = [alias.name]
            elif last:
                parts = [node.module or "", alias.name]
            else:
                parts = [node.module or ""]
            module = ".".join(part for part in parts if part).replace(".", "/")
            yield module, last.rpartition(".")[2] or alias.name


def _parse_or_none(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _judge_definition(definition: Definition) -> bool | None:
    """None: it forgives nothing. Else whether a `raise` of its own may let the failure out."""
    if isinstance(definition, ast.ClassDef):
        return _judge_class(definition)
    for node in ast.walk(definition):
        if isinstance(node, ast.Try | ast.With) and _runs_something(node.body) and _forgives(node):
            return any(isinstance(inner, ast.Raise) for inner in ast.walk(definition))
    return None


def _judge_class(definition: ast.ClassDef) -> bool | None:
    """By what ends a `with`, else by what a decorator calls."""
    methods: dict[str, Function] = {}
    for method in definition.body:
        if isinstance(method, Function):
            methods.setdefault(method.name, method)
    for name, method in methods.items():
        if name in ("__exit__", "__aexit__"):
            return _judge_exit(method)
    # A class that is used as a decorator.
    called = methods.get("__call__")
    return _judge_definition(called) if called is not None else None


def _forgives(node: ast.Try | ast.With) -> bool:
    if isinstance(node, ast.Try):
        return any(map(_is_forgiven, node.handlers))
    for item in node.items:
        text = ast.unparse(item.context_expr)
        if "suppress(" in text and _WIDE.search(text):
            return True
    return False


def _judge_exit(function: Function) -> bool | None:
    """What `__exit__` returns decides whether the failure goes on."""
    may_raise: bool | None = None
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            if isinstance(node.value, ast.Constant):
                if node.value.value:
                    return False
                continue
            may_raise = not _WIDE.search(ast.unparse(node.value))
    return may_raise


def _runs_something(body: list[ast.stmt]) -> bool:
    """A call with what the wrapper was given, or the body of a `with`."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call | ast.Yield | ast.Await):
                return True
    return False


def _is_forgiven(handler: ast.ExceptHandler) -> bool:
    """It catches a failed assertion, and does not end with letting it out."""
    caught = "Exception" if handler.type is None else ast.unparse(handler.type)
    return bool(_WIDE.search(caught)) and not isinstance(handler.body[-1], ast.Raise)
