"""The ways through an adapter that end normally though nothing went out, or though it failed.

Whoever called it takes the effect for done. A way that ends with an error is none of these.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.repo.python import Definition
from skillrun.repo.source import FunctionNode, last_word
from skillrun.wall.watched.outgoing import Outgoing
from skillrun.wall.watched.reach import Reach

_ENDS = (ast.Return, ast.Continue, ast.Break)
# By this answer a provider says that it had done the same before: the effect has taken place.
_DONE_BEFORE = re.compile(r"^[\w.()]+ == (409|(http\.)?HTTPStatus\.CONFLICT)$")


@dataclass(frozen=True)
class SilentWay:
    """`condition` is the same on both sides of a branch: what has to hold for it to be taken."""

    condition: str
    path: str
    line: int
    is_caught: bool = False  # an error was caught on it


def list_silent_ways(reach: Reach) -> list[SilentWay]:
    """All of the functions that were reached, in the order of their lines."""
    found: list[SilentWay] = []
    outgoing = Outgoing(reach)
    for node, definition in reach.functions.items():
        if isinstance(node, FunctionNode) and not _words_errors(reach, node):
            found += _list_caught(node, definition)
            found += _Ways(outgoing, definition).list_ways(node.body)
    found.sort(key=lambda way: (way.path, way.line))
    return found


def _words_errors(reach: Reach, function: FunctionNode) -> bool:
    """Whether all calls of a function stand in a `raise`, as of one that reads how long an error
    asks to wait: whatever it gives back, the error comes out.
    """
    is_called = False
    for caller, definition in reach.functions.items():
        for call in ast.walk(caller):
            if not isinstance(call, ast.Call) or last_word(call.func) != function.name:
                continue
            is_called = True
            above = definition.module.parents(call)
            if not any(isinstance(statement, ast.Raise) for statement in above):
                return False
    return is_called


# -- an error that was caught


def _list_caught(function: FunctionNode, definition: Definition) -> Iterator[SilentWay]:
    """The normal ends of each handler of an error."""
    for node in ast.walk(function):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kind = ast.unparse(node.type or ast.Constant("any error"))
        ends, goes_on = _list_ends(node.body, "")
        if goes_on:
            ends.append(("", node.lineno))
        for condition, line in ends:
            if _DONE_BEFORE.match(condition):
                continue
            said = kind
            if condition:
                said = f"{kind} where {condition}"
            yield SilentWay(said, definition.path, line, is_caught=True)


def _list_ends(block: list[ast.stmt], condition: str) -> tuple[list[tuple[str, int]], bool]:
    """((condition, line) of each normal end within a block, whether what follows it is reached)."""
    ends: list[tuple[str, int]] = []
    for statement in block:
        if isinstance(statement, ast.Raise):
            return ends, False
        if isinstance(statement, _ENDS):
            return [*ends, (condition, statement.lineno)], False
        inner, goes_on = _list_inner_ends(statement, condition)
        ends += inner
        if not goes_on:
            return ends, False
    return ends, True


def _list_inner_ends(statement: ast.stmt, condition: str) -> tuple[list[tuple[str, int]], bool]:
    if isinstance(statement, ast.If):
        test = ast.unparse(statement.test)
        body, body_goes_on = _list_ends(statement.body, test)
        other, other_goes_on = _list_ends(statement.orelse, f"not ({test})")
        return [*body, *other], body_goes_on or other_goes_on
    if isinstance(statement, ast.With | ast.AsyncWith):
        return _list_ends(statement.body, condition)
    return [], True


# -- a condition under which nothing goes out


@dataclass
class _Ways:
    outgoing: Outgoing
    definition: Definition

    def list_ways(
        self, block: list[ast.stmt], *, before: int = 0, after: int = 0
    ) -> Iterator[SilentWay]:
        """`before` and `after`: how many calls go out around the block, at most."""
        for number, node in enumerate(block):
            rest = self._count(block[number + 1 :]) + after
            if not before:
                yield from self._find_first(node, rest)
            for inner in _list_blocks(node):
                yield from self.list_ways(inner, before=before, after=rest)
            before += self._count([node])

    def _find_first(self, node: ast.stmt, rest: int) -> Iterator[SilentWay]:
        """Of a statement before which nothing went out."""
        if isinstance(node, ast.If):
            yield from self._compare_alternatives(node, rest)
        elif isinstance(node, ast.Match):
            yield from self._compare_cases(node, rest)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.BoolOp):
            yield from self._find_short_cut(node.value)

    def _count(self, block: list[ast.stmt]) -> int:
        return self.outgoing.count_block(block, self.definition.module)

    def _compare_alternatives(self, node: ast.If, rest: int) -> Iterator[SilentWay]:
        test = ast.unparse(node.test)
        body, other = self._count_way(node.body, rest), self._count_way(node.orelse, rest)
        if body == 0 and other:
            yield self._make_way(test, node)
        elif other == 0 and body:
            yield self._make_way(f"not ({test})", node)

    def _compare_cases(self, node: ast.Match, rest: int) -> Iterator[SilentWay]:
        ways = [(case, self._count_way(case.body, rest)) for case in node.cases]
        if not any(count for _, count in ways):
            return
        for case, count in ways:
            if count == 0:
                condition = f"{ast.unparse(node.subject)} is {ast.unparse(case.pattern)}"
                yield self._make_way(condition, case.pattern)

    def _find_short_cut(self, node: ast.BoolOp) -> Iterator[SilentWay]:
        """`enabled and post(mail)`."""
        last = self._count([ast.Expr(node.values[-1])])
        if last and not self._count([ast.Expr(value) for value in node.values[:-1]]):
            condition = " ".join(ast.unparse(value) for value in node.values[:-1])
            yield self._make_way(condition, node)

    def _count_way(self, block: list[ast.stmt], rest: int) -> int | None:
        """How many calls go out from here to the end; None where the way ends with an error."""
        ends, goes_on = _list_ends(block, "")
        if not goes_on and not ends:
            return None
        own = self._count(block)
        if goes_on:
            return own + rest
        return own

    def _make_way(self, condition: str, node: ast.stmt | ast.expr | ast.pattern) -> SilentWay:
        return SilentWay(condition, self.definition.path, node.lineno)


def _list_blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    if isinstance(node, ast.If):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.With | ast.AsyncWith | ast.Try):
        yield node.body
