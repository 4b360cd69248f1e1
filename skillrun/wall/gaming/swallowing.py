"""Handlers that swallow what no schedule raises, newly put around a declared effect."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding
from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.source import FunctionNode, last_word
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.making import quoted, taken
from skillrun.wall.gaming.specs import at, listed
from skillrun.wall.watched.effects import Effects

ID = "swallowed-error"
HELP = (
    "An effect whose errors are swallowed never fails, and is never retried. Found, where the base"
    " has none: `except:`, `except Exception:` or another error of Python's that the spec does not"
    " list, with nothing but pass, continue, return or a log line, and contextlib.suppress of one,"
    " around a call of a declared effect, of what reaches one, or of the job itself."
)
# A proof raises the errors that the spec lists. Of these nobody knows how far the effect came.
_WIDE = {
    *("Exception", "BaseException", "ExceptionGroup", "OSError", "IOError", "EnvironmentError"),
    *("ConnectionError", "ConnectionResetError", "ConnectionAbortedError", "BrokenPipeError"),
    *("TimeoutError", "InterruptedError", "BlockingIOError", "ConnectionRefusedError"),
    *("RuntimeError", "ValueError", "TypeError", "AttributeError", "LookupError", "KeyError"),
    *("ArithmeticError", "AssertionError", "MemoryError", "RecursionError", "SystemError"),
    *("RequestException", "HTTPError", "URLError", "TransportError", "SMTPException", "SSLError"),
    *("DatabaseError", "OperationalError", "InterfaceError", "InternalError", "SQLAlchemyError"),
}
# What runs the job, in the class of a task or a worker.
_RUNNING = frozenset(("super().__call__", "super().run", "self.run"))
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
    if names:
        names |= _RUNNING | _list_reaching(diff)
    wide = frozenset(_WIDE - _list_listed(diff))
    for file in diff.python_files():
        if names and not is_taken_for_tests(file.path):
            yield from _check_file(file, _Sought(names, wide))


@dataclass(frozen=True)
class _Sought:
    """`calls`: how an effect is called in code. `wide`: last words of errors."""

    calls: frozenset[str]
    wide: frozenset[str]

    def is_wide(self, kind: ast.AST | None) -> bool:
        if kind is None:
            return True
        for node in ast.walk(kind):
            if isinstance(node, ast.Name | ast.Attribute) and last_word(node) in self.wide:
                return True
        return False


def _list_listed(diff: Diff) -> set[str]:
    """The last words of the errors that a spec of HEAD lists: with those a proof has tried it."""
    found = set()
    for spec in diff.specs:
        value = spec.new_document.value if spec.new_document is not None else None
        for kind in ("transient", "permanent"):
            for error in listed(at(value, "failures", kind)):
                found.add(re.split(r"[.:]", str(error))[-1])
    return found


def _list_reaching(diff: Diff) -> frozenset[str]:
    """How functions are called that reach a declared effect below a handler."""
    asked = read_asked(diff, diff.after)
    project = diff.after.project
    reach = diff.after.reach_from(asked.handlers)
    effects = Effects(reach, frozenset(project.origin(name) for name in asked.effects))
    found = set()
    for node in reach.functions:
        if _calls_declared(effects, node):
            found.add(node)
    before = -1
    while before != len(found):
        before = len(found)
        for user, named in reach.below.items():
            if not named.isdisjoint(found):
                found.add(user)
    names: set[str] = set()
    for node in found:
        if isinstance(node, FunctionNode):
            module = reach.functions[node].module.name.rpartition(".")[2]
            names |= {node.name, f"self.{node.name}", f"{module}.{node.name}"}
    return frozenset(names)


def _calls_declared(effects: Effects, function: ast.AST) -> bool:
    definition = effects.reach.functions[function]
    if definition.dotted in effects.declared:
        return True
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and effects.is_declared(definition.module, node):
            return True
    return False


def _check_file(file: File, sought: _Sought) -> Iterator[Finding]:
    known = [swallow.identity for swallow in _find_swallowing(file.old_tree, sought)]
    for swallow in _find_swallowing(file.new_tree, sought):
        if swallow.identity in known:
            known.remove(swallow.identity)
            continue
        said = (
            f"{swallow.function} swallows errors of {quoted(swallow.call)} that no proof raises:"
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


def _find_swallowing(tree: ast.Module | None, sought: _Sought) -> Iterator[Swallow]:
    for function in ast.walk(tree or ast.Module([], [])):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            for line in _lines_that_swallow(node, sought):
                call = _effect_call(node, sought.calls)
                if call is not None:
                    yield Swallow(function.name, call, line)


def _lines_that_swallow(node: ast.AST, sought: _Sought) -> Iterator[int]:
    """The lines of the handlers of a statement that let nothing out."""
    if isinstance(node, ast.Try):
        for handler in node.handlers:
            if sought.is_wide(handler.type) and _may_end_quietly(handler.body):
                yield handler.lineno
    elif isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            text = ast.unparse(item.context_expr)
            if re.search(r"\bsuppress\(", text) and sought.is_wide(item.context_expr):
                yield node.lineno


def _may_end_quietly(body: list[ast.stmt]) -> bool:
    """Whether there is a way through a handler on which nothing is done."""
    for statement in body:
        if isinstance(statement, ast.If):
            if any(map(_is_quiet_way, (statement.body, statement.orelse))):
                return True
        elif not _does_nothing(statement):
            return False
    return True


def _is_quiet_way(body: list[ast.stmt]) -> bool:
    """What leaves the handler early; after other words the handler goes on."""
    is_leaving = bool(body) and isinstance(body[-1], ast.Return | ast.Continue | ast.Break)
    return is_leaving and all(map(_does_nothing, body))


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
