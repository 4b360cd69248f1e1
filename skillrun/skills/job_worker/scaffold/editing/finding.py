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


def find_assignments(module: cst.Module, target: str) -> list[Found]:
    """The statements that assign to a dotted name or extend it; those at the left margin come
    first, the last of them at the head. `Settings.x` is `x = ...` in the body of the class Settings
    too.
    """
    assigning, extending, nested = [], [], []
    for one in small_statements(module):
        if not is_assigned(one, target):
            continue
        if not isinstance(module.body[one.index], cst.SimpleStatementLine):
            nested.append(one)
        elif isinstance(one.node, cst.AugAssign):
            extending.append(one)
        else:
            assigning.append(one)
    return [*assigning[::-1], *extending, *nested, *find_attributes(module, target)]


def find_attributes(module: cst.Module, target: str) -> list[Found]:
    """The statements in the bodies of classes that assign to `Class.attribute`, the last one
    first.
    """
    owner, _, name = target.rpartition(".")
    if not owner:
        return []
    statements = [one for one in class_statements(module, owner) if is_assigned(one, name)]
    return statements[::-1]


def class_statements(module: cst.Module, name: str) -> Iterator[Found]:
    """The small statements directly in the body of a class of that name at the left margin."""
    for index, statement in enumerate(module.body):
        if not isinstance(statement, cst.ClassDef) or statement.name.value != name:
            continue
        body = statement.body
        indent = ""
        if isinstance(body, cst.IndentedBlock):
            indent = body.indent or module.default_indent
        for line in body.body:
            for node in small_within(line):
                yield Found(index, node, indent)


def is_assigned(one: Found, target: str) -> bool:
    """Whether a statement assigns to a dotted name, and not to an element of it (`x["a"] = 1`)."""
    for node in targets_of(one.node):
        if isinstance(node, cst.Subscript):
            continue
        if get_full_name_for_node(node) == target:
            return True
    return False


def targets_of(node: cst.BaseSmallStatement) -> list[cst.BaseExpression]:
    """What a statement assigns to, or extends; empty for any other."""
    if isinstance(node, cst.Assign):
        return [target.target for target in node.targets]
    if not isinstance(node, cst.AnnAssign | cst.AugAssign):
        return []
    return [node.target]


def small_statements(module: cst.Module) -> Iterator[Found]:
    """The small statements that run when the module is imported, also those within `if`, `try`,
    `with` and loops.
    """
    for index, statement in enumerate(module.body):
        for node in small_within(statement):
            yield Found(index, node)


def small_within(node: cst.CSTNode) -> Iterator[cst.BaseSmallStatement]:
    """The small statements in a node, those of functions and classes aside."""
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
    return list(list_literals(module, found.index, value, found.base, ()))


def list_literals(
    module: cst.Module, index: int, value: cst.BaseExpression, base: str, seen: tuple[str, ...]
) -> Iterator[Place]:
    """The literals that an expression of that statement is made of, the last operand of a sum
    first; a name stands for what it was given. `seen` are the names that led here.
    """
    if isinstance(value, Container):
        yield Place(index, value, base)
    elif isinstance(value, cst.BinaryOperation) and isinstance(value.operator, cst.Add | cst.BitOr):
        yield from list_literals(module, index, value.right, base, seen)
        yield from list_literals(module, index, value.left, base, seen)
    elif isinstance(value, cst.Name) and value.value not in seen:
        for one in find_assignments(module, value.value):
            inner = getattr(one.node, "value", None)
            if inner is not None:
                yield from list_literals(module, one.index, inner, "", (*seen, value.value))


def calls_of(module: cst.Module, name: str) -> list[tuple[int, cst.Call]]:
    """(index of its statement, call) for each call that is assigned to something or stands alone;
    `Celery` is `celery.Celery` too.

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
    """(index of its statement, call) for each statement that is or assigns a call of that name."""
    calls = []
    for one in statements:
        value = getattr(one.node, "value", None)
        if not isinstance(value, cst.Call):
            continue
        called = get_full_name_for_node(value.func) or ""
        if f".{called}".endswith(f".{name}"):
            calls.append((one.index, value))
    return calls


def find_keyword_argument(call: cst.Call, keyword: str) -> cst.Arg | None:
    """What a call is given by a keyword."""
    for one in call.args:
        if one.keyword and one.keyword.value == keyword:
            return one
    return None


def argument_indent(call: cst.Call) -> str:
    """How far the lines of a call's arguments are indented; "" where the call is one line."""
    spaces = [call.whitespace_before_args]
    for one in call.args:
        if isinstance(one.comma, cst.Comma):
            spaces.append(one.comma.whitespace_after)
    for space in spaces:
        if isinstance(space, cst.ParenthesizedWhitespace):
            return space.last_line.value
    return ""
