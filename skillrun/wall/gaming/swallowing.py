"""Handlers that swallow every error, newly put around the call of a declared effect."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.stages.tests import is_test_file
from skillrun.verdict import Finding
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted, taken
from skillrun.wall.gaming.specs import at, listed

ID = "swallowed-error"
HELP = (
    "An effect whose errors are swallowed never fails, and is never retried. Found, where the base"
    " has none: `except:`, `except Exception:` with nothing but pass, continue, return or a log"
    " line, and contextlib.suppress(Exception) around a call of a declared effect."
)
_WIDE = re.compile(r"\b(Exception|BaseException)\b")
_LOGGING = re.compile(r"\b(log|logger|logging|print)\b")


@dataclass(frozen=True)
class Swallow:
    """A handler, and the function and the effect's call around which it stands."""

    function: str
    call: str
    line: int

    @property
    def key(self) -> tuple[str, str]:
        return self.function, self.call


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each new handler."""
    names = frozenset(_effect_names(diff))
    for file in diff.python_files():
        if names and not is_test_file(file.path):
            yield from _in_file(file, names)


def _in_file(file: File, names: frozenset[str]) -> Iterator[Finding]:
    known = [swallow.key for swallow in _swallows(file.old_tree, names)]
    for swallow in _swallows(file.new_tree, names):
        if swallow.key in known:
            known.remove(swallow.key)
            continue
        said = (
            f"{swallow.function} swallows every error of {quoted(swallow.call)}:"
            f" {quoted(file.new_line(swallow.line))}"
        )
        hint = (
            "let the error out, so that the job is retried or given up; catch only what the job can"
            " deal with"
        )
        yield taken(ID, file, swallow.line, said, hint=hint)


def _effect_names(diff: Diff) -> Iterator[str]:
    """`mailer.send` and `send` of `shop.mailer:send`, as code calls it."""
    for spec in diff.specs:
        for document in (spec.old_document, spec.new_document):
            for effect in listed(at(document.value, "effects")) if document else ():
                module, colon, function = str(at(effect, "call")).partition(":")
                if colon:
                    yield f"{module.rpartition('.')[2]}.{function}"
                    yield function


def _swallows(tree: ast.Module | None, names: frozenset[str]) -> Iterator[Swallow]:
    functions = (
        n
        for n in ast.walk(tree or ast.Module([], []))
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    for function in functions:
        for node in ast.walk(function):
            for line in _swallowing(node):
                call = _effect_call(node, names)
                if call is not None:
                    yield Swallow(function.name, call, line)


def _swallowing(node: ast.AST) -> Iterator[int]:
    """The lines of the handlers of a statement that let nothing out."""
    if isinstance(node, ast.Try):
        yield from (
            h.lineno for h in node.handlers if _is_wide(h.type) and all(map(_does_nothing, h.body))
        )
    elif isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            text = ast.unparse(item.context_expr)
            if re.search(r"\bsuppress\(", text) and _WIDE.search(text):
                yield node.lineno


def _is_wide(kind: ast.expr | None) -> bool:
    return kind is None or bool(_WIDE.search(ast.unparse(kind)))


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Return):
        return statement.value is None or isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Expr):
        value = statement.value
        return isinstance(value, ast.Constant) or (isinstance(value, ast.Call) and _is_log(value))
    return isinstance(statement, ast.Pass | ast.Continue | ast.Break)


def _is_log(call: ast.Call) -> bool:
    return bool(_LOGGING.search(ast.unparse(call.func).partition("(")[0]))


def _effect_call(node: ast.AST, names: frozenset[str]) -> str | None:
    """The effect's call that a try or with statement holds in its body."""
    body = node.body if isinstance(node, ast.Try | ast.With | ast.AsyncWith) else []
    calls = (
        inner for statement in body for inner in ast.walk(statement) if isinstance(inner, ast.Call)
    )
    called = (ast.unparse(call.func) for call in calls)
    return next(
        (name for name in called if name in names or ".".join(name.split(".")[-2:]) in names), None
    )
