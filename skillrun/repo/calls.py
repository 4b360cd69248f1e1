"""What a function calls and which exceptions it handles, read from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.repo.source import FunctionNode, Module, body_of
from skillrun.repo.syntax import name_method

if TYPE_CHECKING:
    from skillrun.repo.definition import Definition

_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.comprehension)
_OTHER_BODIES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_INTO_THREADS = {
    "asyncio.to_thread": 0,
    "starlette.concurrency.run_in_threadpool": 0,
    "fastapi.concurrency.run_in_threadpool": 0,
}
"""What calls a function in a thread and waits for it -> the position of that function among its arguments."""


@dataclass(frozen=True)
class Handler:
    """One `except` clause: what it catches and what it then does."""

    exceptions: tuple[str, ...]  # dotted names; what cannot be told is kept as written
    bare: bool  # `except:`
    path: str
    line: int
    node: ast.ExceptHandler
    module: Module
    reraises: bool  # some way through it raises
    always_raises: bool  # its last statement raises
    returns: bool  # some way through it returns
    silent: bool  # it does nothing at all: pass, continue, ...
    calls: tuple[str, ...]  # dotted names, in order
    name: str | None = None  # `except X as name`

    @property
    def broad(self) -> bool:
        """It catches every ordinary exception."""
        return self.bare or bool(
            {"builtins.Exception", "builtins.BaseException"} & set(self.exceptions)
        )


@dataclass(frozen=True)
class Call:
    """One call, where it stands, and what is around it."""

    name: str  # dotted, as the file's imports give it; as written where they do not
    origin: str  # dotted, followed through re-exports and module variables to the definition
    node: ast.Call
    module: Module
    path: str
    line: int
    resolved: bool  # False: `name` is only what is written
    via: tuple[str, ...] = ()  # dotted names of the repository's functions on the way here
    in_try: tuple[Handler, ...] = ()  # handlers of the `try` bodies around it, the innermost first
    in_except: Handler | None = None  # the `except` clause that it stands in
    in_loop: bool = False
    in_with: tuple[str, ...] = ()  # dotted context managers around it, the innermost first
    deferred: bool = False  # inside a lambda or a nested function that is handed on

    def argument(self, position: int | None, name: str) -> ast.expr | None:
        """The expression passed for a parameter, by keyword or by position; None where there is
        none.
        """
        for keyword in self.node.keywords:
            if keyword.arg == name:
                return keyword.value
        positional = self.node.args
        if position is None or any(
            isinstance(arg, ast.Starred) for arg in positional[: position + 1]
        ):
            return None
        if position < len(positional):
            return positional[position]
        return None

    @property
    def keywords(self) -> dict[str, ast.expr]:
        """The keyword arguments; those of `**mapping` are not among them."""
        found = {}
        for keyword in self.node.keywords:
            if keyword.arg:
                found[keyword.arg] = keyword.value
        return found

    @property
    def text(self) -> str:
        """The source line that the call starts on."""
        return self.module.line_text(self.line)


@dataclass(frozen=True)
class Surroundings:
    """What is around a node within its own function."""

    tries: tuple[
        ast.Try | ast.TryStar, ...
    ] = ()  # it stands in the body of these, the innermost first
    clause: ast.ExceptHandler | None = None
    in_loop: bool = False
    managers: tuple[ast.expr, ...] = ()


def calls_in_order(node: ast.AST) -> Iterator[ast.Call]:
    """The calls in a function body or expression in the order of evaluation; bodies of inner
    functions left out.
    """
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _OTHER_BODIES):
            yield from calls_in_order(child)
    if isinstance(node, ast.Call):
        yield node


def body_calls(function: ast.AST) -> Iterator[ast.Call]:
    """The calls in the body of a function, a lambda, or a module, in order."""
    for part in body_of(function):
        if not isinstance(part, _OTHER_BODIES):
            yield from calls_in_order(part)


def inner_functions(function: ast.AST) -> Iterator[FunctionNode | ast.Lambda]:
    """The functions and lambdas that stand directly in a function's body."""
    waiting = list(body_of(function))
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
        elif not isinstance(node, ast.ClassDef):
            waiting[:0] = ast.iter_child_nodes(node)


def in_thread(module: Module, node: ast.Call) -> ast.Call | None:
    """`asyncio.to_thread(send, x)` as the call `send(x)`, which stands inside of it; None for any
    other call.
    """
    at = _INTO_THREADS.get(module.resolve(node.func) or "")
    if name_method(node) == "run_in_executor":
        at = 1  # loop.run_in_executor(None, send, x)
    if (
        at is None
        or len(node.args) <= at
        or any(isinstance(arg, ast.Starred) for arg in node.args[: at + 1])
    ):
        return None
    return module.inner_call(node, at)


def surroundings(module: Module, node: ast.AST) -> Surroundings:
    """What is around a node, up to the function or module that holds it."""
    tries: list[ast.Try | ast.TryStar] = []
    managers: list[ast.expr] = []
    clause: ast.ExceptHandler | None = None
    in_loop = False
    below = node
    for above in module.parents(node):
        if isinstance(above, (*_OTHER_BODIES, ast.Module)):
            break
        if isinstance(above, ast.Try | ast.TryStar) and below in above.body:
            tries.append(above)
        elif isinstance(above, ast.ExceptHandler):
            clause = clause or above
        elif isinstance(above, ast.With | ast.AsyncWith) and below in above.body:
            managers.extend(item.context_expr for item in reversed(above.items))
        in_loop = in_loop or _repeats(above, below)
        below = above
    return Surroundings(tuple(tries), clause, in_loop, tuple(managers))


def _repeats(above: ast.AST, below: ast.AST) -> bool:
    if isinstance(above, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        return not isinstance(below, ast.comprehension)
    return isinstance(above, ast.For | ast.AsyncFor | ast.While) and below in above.body


def read_handler(module: Module, node: ast.ExceptHandler) -> Handler:
    """The facts of one `except` clause."""
    statements = list(_own_nodes(node))
    calls = []
    for statement in node.body:
        for call in calls_in_order(statement):
            calls.append(module.resolve(call.func) or ast.unparse(call.func))
    return Handler(
        exceptions=exception_names(module, node.type),
        bare=node.type is None,
        path=module.path,
        line=node.lineno,
        node=node,
        module=module,
        reraises=any(isinstance(n, ast.Raise) for n in statements),
        always_raises=isinstance(node.body[-1], ast.Raise),
        returns=any(isinstance(n, ast.Return) for n in statements),
        silent=all(_does_nothing(statement) for statement in node.body),
        calls=tuple(calls),
        name=node.name,
    )


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _OTHER_BODIES):
            yield child
            yield from _own_nodes(child)


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass | ast.Continue | ast.Break):
        return True
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def exception_names(module: Module, node: ast.expr | None) -> tuple[str, ...]:
    """Dotted names of `X`, `(X, Y)`, or a module variable that holds a tuple; as written where
    untold.
    """
    if node is None:
        return ()
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        names = []
        for element in node.elts:
            for name in exception_names(module, element):
                names.append(name)
        return tuple(names)
    if isinstance(node, ast.Starred):
        return exception_names(module, node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return exception_names(module, node.left) + exception_names(module, node.right)
    held = _held_tuple(module, node)
    if held is not None:
        return exception_names(module, held)
    return (module.resolve(node) or ast.unparse(node),)


def _held_tuple(module: Module, node: ast.expr) -> ast.expr | None:
    if not isinstance(node, ast.Name):
        return None
    for scope in (module.function_of(node), module.tree):
        if scope is not None:
            for binding in module.bindings(scope).get(node.id, ()):
                if isinstance(binding.value, ast.Tuple | ast.List | ast.BinOp):
                    return binding.value
    return None


@dataclass(frozen=True)
class Frame:
    """A function whose calls are read, and what was around the call that led to it."""

    definition: Definition
    via: tuple[str, ...] = ()
    in_try: tuple[Handler, ...] = ()
    in_except: Handler | None = None
    in_loop: bool = False
    in_with: tuple[str, ...] = ()
    deferred: bool = False
