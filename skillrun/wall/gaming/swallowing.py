"""Handlers that swallow every error, newly put around the call of a declared effect."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding
from skillrun.skills.job_worker.stages.tests import is_test_file
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
    def identity(self) -> tuple[str, str]:
        """What makes two of them the same: lines move, and are not part of it."""
        return self.function, self.call


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each new handler."""
    names = frozenset(_effect_names(diff))
    for file in diff.python_files():
        if names and not is_test_file(file.path):
            yield from _check_file(file, names)


def _check_file(file: File, names: frozenset[str]) -> Iterator[Finding]:
    known = [swallow.identity for swallow in _find_swallowing(file.old_tree, names)]
    for swallow in _find_swallowing(file.new_tree, names):
        if swallow.identity in known:
            known.remove(swallow.identity)
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
            if document is None:
                continue
            for effect in listed(at(document.value, "effects")):
                module, colon, function = str(at(effect, "call")).partition(":")
                if colon:
                    yield f"{module.rpartition('.')[2]}.{function}"
                    yield function


def _find_swallowing(tree: ast.Module | None, names: frozenset[str]) -> Iterator[Swallow]:
    for function in ast.walk(tree or ast.Module([], [])):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            for line in _lines_that_swallow(node):
                call = _effect_call(node, names)
                if call is not None:
                    yield Swallow(function.name, call, line)


def _lines_that_swallow(node: ast.AST) -> Iterator[int]:
    """The lines of the handlers of a statement that let nothing out."""
    if isinstance(node, ast.Try):
        for handler in node.handlers:
            if _is_wide(handler.type) and all(map(_does_nothing, handler.body)):
                yield handler.lineno
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
    if not isinstance(node, ast.Try | ast.With | ast.AsyncWith):
        return None
    for statement in node.body:
        for inner in ast.walk(statement):
            if not isinstance(inner, ast.Call):
                continue
            name = ast.unparse(inner.func)
            # However far it was imported: `shop.mailer.send` is called `mailer.send`, too.
            last_two = ".".join(name.split(".")[-2:])
            if name in names or last_two in names:
                return name
    return None
