"""Tests that set what they assert: the assertion then says nothing of the application."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.wall.gaming.asserting import Function, list_assertions

_CHANGING = ("clear", "append", "extend", "update", "insert", "add", "remove", "discard", "pop")
_SETTING = ("setattr", "__setattr__")


@dataclass(frozen=True)
class Answer:
    """A statement that sets a subject: where, which, and whether by a function that stands in."""

    line: int
    text: str
    subject: str
    is_stand_in: bool


def find_own_answers(function: Function) -> Iterator[Answer]:
    """What is set to a literal, and asserted before the application was called again."""
    statements = list(_list_statements(function.body))
    for position, statement in enumerate(statements):
        answer = _read_answer(statement)
        if answer is not None and _is_asserted(answer, statements[position + 1 :]):
            yield answer


def _list_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All simple statements in their order, through whatever block stands around them."""
    for statement in body:
        inner = getattr(statement, "body", None)
        if not isinstance(inner, list):
            yield statement
            continue
        for item in getattr(statement, "items", ()):
            yield ast.copy_location(ast.Expr(item.context_expr), statement)
        yield from _list_statements(inner)
        for name in ("orelse", "finalbody"):
            yield from _list_statements(getattr(statement, name, []))


def _read_answer(statement: ast.stmt) -> Answer | None:
    if isinstance(statement, ast.Assign):
        return _make_answer(statement, statement.targets[0], statement.value)
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return None
    call = statement.value
    name = ast.unparse(call.func).rpartition(".")[2]
    if name in _SETTING and len(call.args) == 3 and isinstance(call.args[1], ast.Constant):
        target = ast.Attribute(call.args[0], str(call.args[1].value), ast.Load())
        return _make_answer(statement, target, call.args[2])
    if name in _CHANGING and isinstance(call.func, ast.Attribute):
        value = ast.Tuple(call.args, ast.Load())
        return _make_answer(statement, call.func.value, value)
    return None


def _make_answer(statement: ast.stmt, target: ast.expr, value: ast.expr) -> Answer | None:
    """Local names are none: what they hold is looked at where they are asserted."""
    while isinstance(target, ast.Subscript):
        target = target.value
    stands_in = isinstance(value, ast.Lambda)
    returned = value.body if isinstance(value, ast.Lambda) else value
    if not isinstance(target, ast.Attribute) or not _is_literal(returned):
        return None
    return Answer(statement.lineno, ast.unparse(statement), ast.unparse(target), stands_in)


def _is_literal(value: ast.expr) -> bool:
    called = (ast.Call, ast.Await, ast.Yield, ast.Attribute)
    return not any(isinstance(node, called) for node in ast.walk(value))


def _is_asserted(answer: Answer, following: list[ast.stmt]) -> bool:
    for statement in following:
        if _asserts_on(statement, answer.subject):
            return True
        # What stands in for a function answers the same, whatever was called in between.
        if not answer.is_stand_in and _calls_application(statement):
            return False
    return False


def _asserts_on(statement: ast.stmt, subject: str) -> bool:
    for assertion in list_assertions(statement):
        for part in assertion.about:
            for node in ast.walk(part):
                if isinstance(node, ast.Attribute) and ast.unparse(node) == subject:
                    return True
    return False


def _calls_application(statement: ast.stmt) -> bool:
    if _read_answer(statement) is not None:
        return False
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and not hasattr(builtins, ast.unparse(node.func)):
            return True
    return False
