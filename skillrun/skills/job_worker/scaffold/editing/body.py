"""Where new statements stand in a module: at its end, constants below the imports; and how far
apart.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

import libcst as cst

from skillrun.skills.job_worker.scaffold.editing.bindings import defined, dotted_name, is_main, used
from skillrun.skills.job_worker.scaffold.editing.imports import end_of_imports
from skillrun.skills.job_worker.scaffold.editing.source import (
    BLANK,
    Statement,
    blanks,
    set_off,
    spaced,
)

Pair = tuple[ast.stmt, Statement]
Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Calls that only make a constant.
PURE = {"frozenset", "tuple", "timedelta", "Decimal", "Path"}


def parts(
    nodes: Sequence[cst.CSTNode], statements: Sequence[ast.stmt]
) -> list[tuple[Statement, ast.stmt]]:
    """Each statement of the abstract tree with the line or block of the concrete one that holds
    it.
    """
    rest = iter(statements)
    found = []
    for node in nodes:
        if isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement):
            for _ in range(len(node.body) if isinstance(node, cst.SimpleStatementLine) else 1):
                found.append((node, next(rest)))
    return found


def with_statements(module: cst.Module, new: Sequence[Pair]) -> cst.Module:
    """The module with the new statements, each in its place and in their order."""
    new = once_a_line(new)
    raised = []
    for pair in new:
        if is_raised(pair[0], new):
            raised.append(pair)
    body = below_imports(list(module.body), [node for _, node in raised])
    module = module.with_changes(body=body)
    return at_the_end(module, [pair for pair in new if pair not in raised])


def once_a_line(new: Sequence[Pair]) -> list[Pair]:
    """`a = 1; b = 2` is one line with two statements."""
    first: dict[int, Pair] = {}
    for pair in new:
        first.setdefault(id(pair[1]), pair)
    return list(first.values())


def is_raised(statement: ast.stmt, new: Sequence[Pair]) -> bool:
    """A constant or a logger that a new function uses: it stands below the imports, as people write
    it.
    """
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        return False
    names = defined(statement)
    users = []
    for one, _ in new:
        if isinstance(one, Definition):
            users.append(one)
    return is_simple(statement.value) and any(
        name in used(user) for name in names for user in users
    )


def is_simple(value: ast.expr) -> bool:
    """Whether it is a constant, or a call that makes a logger or a constant: it needs nothing of
    this module.
    """
    if isinstance(value, ast.Call):
        name = dotted_name(value.func).lower()
        last = dotted_name(value.func).rpartition(".")[2]
        arguments = [*value.args, *(keyword.value for keyword in value.keywords)]
        return ("logger" in name or last in PURE) and all(
            is_simple(argument) for argument in arguments
        )
    if isinstance(value, ast.Name):
        return value.id == "__name__"
    children = []
    for child in ast.iter_child_nodes(value):
        if isinstance(child, ast.expr):
            children.append(child)
    plain = ast.Constant | ast.List | ast.Tuple | ast.Set | ast.Dict | ast.BinOp | ast.UnaryOp
    return isinstance(value, plain) and all(is_simple(child) for child in children)


def below_imports(body: list[Statement], new: Sequence[Statement]) -> list[Statement]:
    if not new:
        return body
    index = end_of_imports(body)
    rest = body[index:]
    if rest:
        rest[0] = spaced(rest[0], 2 if is_definition(rest[0]) else 1)
    first, *others = new
    return [*body[:index], set_off(first, 1 if index else 0), *others, *rest]


def at_the_end(module: cst.Module, new: Sequence[Pair]) -> cst.Module:
    """Appended, before a closing `if __name__ == "__main__":`; comments at the end of the file stay
    above.
    """
    if not new:
        return module
    body = list(module.body)
    last = []
    if is_main_block(body[-1]):
        last = [body.pop()]
    if last:
        lines = []
    else:
        lines = list(module.footer)
    for _, node in new:
        body.append(after(body, node, lines))
        lines = []
    if not last:
        return module.with_changes(body=body, footer=[], has_trailing_newline=True)
    body.append(spaced(last[0], distance(body[-1], last[0])))
    return module.with_changes(body=body)


def class_at(module: cst.Module, name: str) -> int | None:
    """The index of a class at the left margin whose body is a block."""
    for index, node in enumerate(module.body):
        if (
            isinstance(node, cst.ClassDef)
            and node.name.value == name
            and isinstance(node.body, cst.IndentedBlock)
        ):
            return index
    return None


def with_attribute(module: cst.Module, index: int, line: str) -> cst.Module:
    """A line more in the body of the class of that index: below its other attributes, else below
    its docstring.
    """
    owner = module.body[index]
    assert isinstance(owner, cst.ClassDef) and isinstance(owner.body, cst.IndentedBlock)
    lines = list(owner.body.body)
    at = max((number for number, node in enumerate(lines, 1) if is_attribute(node)), default=0)
    at = at or int(owner.get_docstring() is not None)
    new = cst.parse_statement(line, module.config_for_parsing)
    rest = []
    for node in lines[at:]:
        rest.append(spaced(node, 1) if isinstance(node, cst.FunctionDef | cst.ClassDef) else node)
    made = owner.with_changes(body=owner.body.with_changes(body=[*lines[:at], new, *rest]))
    return module.with_changes(body=[*module.body[:index], made, *module.body[index + 1 :]])


def is_attribute(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.SimpleStatementLine) and isinstance(
        node.body[-1], cst.Assign | cst.AnnAssign
    )


def after(body: Sequence[Statement], node: Statement, above: Sequence[cst.EmptyLine]) -> Statement:
    """The statement, far enough below the last one and the comments between them."""
    if not body:
        return set_off(node, 0)
    own = node.leading_lines
    wanted = max(distance(body[-1], node), min(2, blanks(own)))
    there = next(
        (number for number, line in enumerate(reversed(above)) if line.comment), len(above)
    )
    lines = [*above, *[BLANK] * max(0, wanted - there), *own[blanks(own) :]]
    return node.with_changes(leading_lines=lines)


def distance(upper: Statement, lower: Statement) -> int:
    """How many blank lines stand between two statements: two around functions and classes, one
    elsewhere.
    """
    if is_definition(upper) or is_definition(lower):
        return 2
    return 1


def is_definition(node: Statement) -> bool:
    return isinstance(node, cst.FunctionDef | cst.ClassDef)


def is_main_block(node: Statement) -> bool:
    if not isinstance(node, cst.If):
        return False
    return is_main(ast.parse(f"if {cst.Module([]).code_for_node(node.test)}:\n    pass").body[0])


def header_split(module: cst.Module) -> cst.Module:
    """The same text, with the comment right above the first statement as that statement's own.

    libcst gives all that is above it to the module. Without a blank line it is the header of the
    file.
    """
    lines = list(module.header)
    end = max(
        (number for number, line in enumerate(lines, 1) if not line.comment), default=len(lines)
    )
    head, *rest = module.body
    leading = (*lines[end:], *head.leading_lines)
    return module.with_changes(
        header=lines[:end], body=[head.with_changes(leading_lines=leading), *rest]
    )
