"""Where a value comes from: follows an expression through local variables and the repository's own functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module

_DEPTH = 6

# What is another value at each delivery, attempt, process or second. hash() of text differs between interpreters.
_VOLATILE_CALLS = {
    "uuid.uuid1": "a random id",
    "uuid.uuid4": "a random id",
    "uuid.uuid7": "a random id",
    "time.time": "the time",
    "time.time_ns": "the time",
    "time.monotonic": "the time",
    "datetime.datetime.now": "the time",
    "datetime.datetime.utcnow": "the time",
    "datetime.datetime.today": "the time",
    "datetime.date.today": "the date",
    "django.utils.timezone.now": "the time",
    "builtins.hash": "hash(), which differs between interpreters",
    "builtins.id": "id(), which differs between processes",
    "os.getpid": "the process id",
    "os.urandom": "random bytes",
    "secrets.token_hex": "a random token",
    "secrets.token_urlsafe": "a random token",
    "secrets.token_bytes": "random bytes",
    "random.random": "a random number",
    "random.randint": "a random number",
    "random.getrandbits": "a random number",
    "random.choice": "a random choice",
}
_VOLATILE_ATTRIBUTES = {
    "request.id": "the message id, which a re-enqueue changes",
    "request.task_id": "the message id, which a re-enqueue changes",
    "request.root_id": "the message id, which a re-enqueue changes",
    "request.retries": "the attempt number",
    "request.delivery_info": "the delivery",
    "request.eta": "the delivery time",
    "request.hostname": "the worker's host",
}


@dataclass(frozen=True)
class Volatile:
    """A part of a value that is not the same at the next delivery."""

    what: str
    path: str
    line: int
    text: str


def volatile_parts(project: Project, module: Module, value: ast.expr) -> Iterator[Volatile]:
    """Every part of an expression in a module that changes from one delivery of the same job to the next."""
    yield from _Trace(project).parts(module, module.function_of(value) or module.tree, value, _DEPTH)


class _Trace:
    def __init__(self, project: Project) -> None:
        self.project = project
        self.seen: set[ast.AST] = set()

    def parts(self, module: Module, scope: ast.AST, value: ast.expr, depth: int) -> Iterator[Volatile]:
        for node in ast.walk(value):
            if node in self.seen or depth == 0:
                continue
            self.seen.add(node)
            if isinstance(node, ast.Call):
                yield from self._call(module, node, depth)
            elif isinstance(node, ast.Attribute):
                yield from self._attribute(module, node)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                yield from self._name(module, scope, node, depth)

    def _call(self, module: Module, node: ast.Call, depth: int) -> Iterator[Volatile]:
        name = module.resolve(node.func)
        if name in _VOLATILE_CALLS:
            yield self._found(module, node, _VOLATILE_CALLS[name])
            return
        target = self.project.find(_import_path(name)) if name else None
        if target is not None and isinstance(target.node, ast.FunctionDef):
            for inner in ast.walk(target.node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from self.parts(target.module, target.node, inner.value, depth - 1)

    def _attribute(self, module: Module, node: ast.Attribute) -> Iterator[Volatile]:
        written = ast.unparse(node)
        for ending, what in _VOLATILE_ATTRIBUTES.items():
            if written == ending or written.endswith("." + ending):
                yield self._found(module, node, what)

    def _name(self, module: Module, scope: ast.AST, node: ast.Name, depth: int) -> Iterator[Volatile]:
        for binding in module.bindings(scope).get(node.id, ()):
            if binding.value is not None and binding.kind == "value":
                yield from self.parts(module, scope, binding.value, depth - 1)

    def _found(self, module: Module, node: ast.expr, what: str) -> Volatile:
        return Volatile(what, module.path, node.lineno, module.line_text(node.lineno))


def _import_path(dotted: str) -> str:
    module, _, name = dotted.removesuffix("()").rpartition(".")
    return f"{module}:{name}" if module else dotted
