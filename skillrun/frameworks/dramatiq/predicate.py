"""What a `retry_when` function lets through: how many retries, and of which exceptions.

Dramatiq asks `retry_when(retries, exception)` after each failure, `retries` counting from 0, and
then looks at
`max_retries` no more (dramatiq/middleware/retries.py).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from skillrun.frameworks.dramatiq.actors import Option
from skillrun.repo.python import Module, Project


@dataclass
class Predicate:
    """`limit` retries at most; None together with `counts` says that there is a limit which could
    not be read.
    """

    limit: int | None = None
    counts: bool = False  # it looks at the number of retries at all
    readable: bool = True  # every condition was understood
    found: bool = True  # the function itself was found
    retried: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    _limits: list[int] = field(default_factory=list)

    @property
    def endless(self) -> bool:
        """Nothing ends the retries of an exception that it lets through."""
        return self.found and not self.counts


def read_predicate(project: Project, given: Option) -> Predicate:
    """The conditions of a lambda, or of a function with one `return` after guards such as `if ...:
    return False`.
    """
    return _Reader(project).read(given)


class _Reader:
    def __init__(self, project: Project) -> None:
        self.project = project
        self.result = Predicate()
        self.names = ("", "")
        self.module: Module

    def read(self, given: Option) -> Predicate:
        function: ast.AST | None = None
        if isinstance(given.node, ast.Lambda):
            function = given.node
        self.module = given.module
        if function is None:
            name = given.module.resolve(given.node)
            own = None
            if name:
                own = self.project.definition(name)
            if own:
                function, self.module = (own.node, own.module)
            else:
                function, self.module = (None, given.module)
        if not isinstance(function, ast.Lambda | ast.FunctionDef) or len(function.args.args) != 2:
            return Predicate(found=False, readable=False)
        self.names = (function.args.args[0].arg, function.args.args[1].arg)
        self.result.counts = any(
            isinstance(n, ast.Name) and n.id == self.names[0] for n in ast.walk(function)
        )
        if isinstance(function, ast.Lambda):
            self._read_term(function.body, True)
        else:
            self._read_body(function.body)
        self.result.limit = min(self.result._limits, default=None)
        return self.result

    def _read_body(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.Return) and statement.value is not None:
                self._read_term(statement.value, True)
            elif isinstance(statement, ast.If) and _is_refusal(statement):
                self._read_term(statement.test, False)
            elif not isinstance(statement, ast.Expr):
                self.result.readable = False
                return

    def _read_term(self, node: ast.expr, wanted: bool) -> None:
        """One condition that must be `wanted` for a retry; several of them all hold."""
        joined = ast.And if wanted else ast.Or
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._read_term(node.operand, not wanted)
        elif isinstance(node, ast.BoolOp) and isinstance(node.op, joined):
            for part in node.values:
                self._read_term(part, wanted)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            self._read_comparison(node, wanted)
        elif isinstance(node, ast.Call) and self._is_about_exception(node):
            names = self.project.exception_names(node.args[1], self.module)
            if wanted:
                self.result.retried += names
            else:
                self.result.spared += names
        elif not (isinstance(node, ast.Constant) and bool(node.value) == wanted):
            self.result.readable = False

    def _is_about_exception(self, node: ast.Call) -> bool:
        named = self.module.resolve(node.func) == "builtins.isinstance" and len(node.args) == 2
        return named and isinstance(node.args[0], ast.Name) and node.args[0].id == self.names[1]

    def _read_comparison(self, node: ast.Compare, wanted: bool) -> None:
        """`retries < 3`, `3 > retries`, and the opposite where it must not hold."""
        left, right, kind = node.left, node.comparators[0], type(node.ops[0])
        if isinstance(right, ast.Name) and right.id == self.names[0]:
            left, right, kind = right, left, _MIRRORED.get(kind, kind)
        number = self.project.literal(right, self.module)
        if not (isinstance(left, ast.Name) and left.id == self.names[0]):
            self.result.readable = False
            return
        if not isinstance(number, int):
            # A limit that is not known; see `counts`.
            return
        extra = {
            (ast.Lt, True): 0,
            (ast.LtE, True): 1,
            (ast.GtE, False): 0,
            (ast.Gt, False): 1,
            (ast.Eq, False): 0,
        }
        more = extra.get((kind, wanted))
        if more is None:
            self.result.readable = False
        else:
            self.result._limits.append(max(number + more, 0))


_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
}


def _is_refusal(node: ast.If) -> bool:
    """`if ...: return False`, with nothing but calls before it."""
    last = node.body[-1]
    if (
        node.orelse
        or not isinstance(last, ast.Return)
        or not all(isinstance(one, ast.Expr) for one in node.body[:-1])
    ):
        return False
    return last.value is None or (isinstance(last.value, ast.Constant) and not last.value.value)
