"""Where a module assigns a name, an attribute or a keyword of a call: looked up in its concrete
tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import libcst as cst
from libcst.helpers import get_full_name_for_node

from skillrun.skills.job_worker.scaffold.editing.containers import Container

BLOCKS = (
    cst.SimpleStatementLine,
    cst.SimpleStatementSuite,
    cst.BaseCompoundStatement,
    cst.IndentedBlock,
    cst.Else,
    cst.Finally,
    cst.ExceptHandler,
    cst.ExceptStarHandler,
    cst.MatchCase,
)


@dataclass(frozen=True)
class Found:
    """A small statement and the statement of the module that holds it, by its index; `base` is its
    indentation.
    """

    index: int
    node: cst.BaseSmallStatement
    base: str = ""


@dataclass(frozen=True)
class Place:
    """A literal, in the statement of the module with that index; `base` is the indentation of its
    first line.
    """

    index: int
    container: Container
    base: str = ""


def assignments(module: cst.Module, target: str) -> list[Found]:
    """The statements that assign to a dotted name or extend it; those at the left margin come
    first, the last of them at the head. `Settings.x` is `x = ...` in the body of the class Settings
    too.
    """
    found = []
    for one in small_statements(module):
        if is_assigned(one, target):
            found.append(one)
    direct = [one for one in found if isinstance(module.body[one.index], cst.SimpleStatementLine)]
    plain = [one for one in direct if not isinstance(one.node, cst.AugAssign)]
    nested = [one for one in found if one not in direct]
    return [
        *plain[::-1],
        *(one for one in direct if one not in plain),
        *nested,
        *attributes(module, target),
    ]


def attributes(module: cst.Module, target: str) -> list[Found]:
    """The statements in the bodies of classes that assign to `Class.attribute`, the last one
    first.
    """
    owner, _, name = target.rpartition(".")
    if owner:
        made = []
        for one in class_statements(module, owner):
            if is_assigned(one, name):
                made.append(one)
    else:
        made = []
    return made[::-1]


def class_statements(module: cst.Module, name: str) -> Iterator[Found]:
    """The small statements directly in the body of a class of that name at the left margin."""
    for index, statement in enumerate(module.body):
        if isinstance(statement, cst.ClassDef) and statement.name.value == name:
            body = statement.body
            indent = ""
            if isinstance(body, cst.IndentedBlock):
                indent = body.indent or module.default_indent
            for line in body.body:
                for node in small_within(line):
                    yield Found(index, node, indent)


def is_assigned(one: Found, target: str) -> bool:
    return any(
        get_full_name_for_node(node) == target
        for node in targets_of(one.node)
        if not is_subscript(node)
    )


def is_subscript(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Subscript)


def targets_of(node: cst.BaseSmallStatement) -> list[cst.BaseExpression]:
    if isinstance(node, cst.Assign):
        return [target.target for target in node.targets]
    if not isinstance(node, cst.AnnAssign | cst.AugAssign):
        return []
    return [node.target]


def small_statements(module: cst.Module) -> Iterator[Found]:
    """Those that run when the module is imported, also within `if`, `try`, `with` and loops."""
    for index, statement in enumerate(module.body):
        for node in small_within(statement):
            yield Found(index, node)


def small_within(node: cst.CSTNode) -> Iterator[cst.BaseSmallStatement]:
    if isinstance(node, cst.BaseSmallStatement):
        yield node
    elif isinstance(node, BLOCKS) and not isinstance(node, cst.FunctionDef | cst.ClassDef):
        for child in node.children:
            yield from small_within(child)


def literals_in(module: cst.Module, found: Found) -> list[Place]:
    """The literals that a statement assigns, the last operand of a sum first; a name stands for
    what it was given.
    """
    value = getattr(found.node, "value", None)
    if value is None:
        return []
    return list(operands(module, found.index, value, found.base, ()))


def operands(
    module: cst.Module, index: int, value: cst.BaseExpression, base: str, seen: tuple[str, ...]
) -> Iterator[Place]:
    if isinstance(value, Container):
        yield Place(index, value, base)
    elif isinstance(value, cst.BinaryOperation) and isinstance(value.operator, cst.Add | cst.BitOr):
        yield from operands(module, index, value.right, base, seen)
        yield from operands(module, index, value.left, base, seen)
    elif isinstance(value, cst.Name) and value.value not in seen:
        for one in assignments(module, value.value):
            inner = getattr(one.node, "value", None)
            if inner is not None:
                yield from operands(module, one.index, inner, "", (*seen, value.value))


def calls_of(module: cst.Module, name: str) -> list[tuple[int, cst.Call]]:
    """Calls that are assigned to something or stand alone; `Celery` is `celery.Celery` too.

    Those at the top level; where it has none, those within functions.
    """
    return calls_in(small_statements(module), name) or calls_in(inner_statements(module), name)


def inner_statements(module: cst.Module) -> Iterator[Found]:
    """The small statements within the functions of a module."""
    for index, statement in enumerate(module.body):
        if isinstance(statement, cst.FunctionDef):
            for node in small_within(statement.body):
                yield Found(index, node)


def calls_in(statements: Iterable[Found], name: str) -> list[tuple[int, cst.Call]]:
    found = []
    for one in statements:
        value = getattr(one.node, "value", None)
        called = ""
        if isinstance(value, cst.Call):
            called = get_full_name_for_node(value.func) or ""
        if isinstance(value, cst.Call) and f".{called}".endswith(f".{name}"):
            found.append((one.index, value))
    return found


def argument(call: cst.Call, keyword: str) -> cst.Arg | None:
    for one in call.args:
        if one.keyword and one.keyword.value == keyword:
            return one
    return None


def argument_indent(call: cst.Call) -> str:
    """How far the lines of a call's arguments are indented; "" where the call is one line."""
    commas = []
    for one in call.args:
        if isinstance(one.comma, cst.Comma):
            commas.append(one.comma)
    spaces = (call.whitespace_before_args, *(comma.whitespace_after for comma in commas))
    for space in spaces:
        if isinstance(space, cst.ParenthesizedWhitespace):
            return space.last_line.value
    return ""
