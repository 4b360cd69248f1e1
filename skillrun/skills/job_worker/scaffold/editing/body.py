"""Where new statements stand in a module: at its end, constants below the imports; and how far
apart.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

import libcst as cst

from skillrun.skills.job_worker.scaffold.editing.bindings import (
    dotted_name,
    is_main,
    list_defined,
    list_used,
)
from skillrun.skills.job_worker.scaffold.editing.imports import end_of_imports
from skillrun.skills.job_worker.scaffold.editing.source import (
    BLANK,
    Statement,
    count_blank_lines,
    set_off,
    space_out,
)

Pair = tuple[ast.stmt, Statement]
Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Calls that only make a constant.
PURE = {"frozenset", "tuple", "timedelta", "Decimal", "Path"}
# Expressions that are constants where their parts are.
PLAIN = ast.Constant | ast.List | ast.Tuple | ast.Set | ast.Dict | ast.BinOp | ast.UnaryOp


def pair_statements(
    nodes: Sequence[cst.CSTNode], statements: Sequence[ast.stmt]
) -> list[tuple[Statement, ast.stmt]]:
    """Each statement of the abstract tree with the line or block of the concrete one that holds
    it.
    """
    rest = iter(statements)
    pairs: list[tuple[Statement, ast.stmt]] = []
    for node in nodes:
        if isinstance(node, cst.SimpleStatementLine):
            # `a = 1; b = 2` is one line with two statements.
            for _ in node.body:
                pairs.append((node, next(rest)))
        elif isinstance(node, cst.BaseCompoundStatement):
            pairs.append((node, next(rest)))
    return pairs


def with_statements(module: cst.Module, new: Sequence[Pair]) -> cst.Module:
    """The module with the new statements, each in its place and in their order."""
    raised, others = [], []
    new = once_a_line(new)
    for pair in new:
        if is_raised(pair[0], new):
            raised.append(pair)
        else:
            others.append(pair)
    body = below_imports(list(module.body), [node for _, node in raised])
    return at_the_end(module.with_changes(body=body), others)


def once_a_line(new: Sequence[Pair]) -> list[Pair]:
    """The pairs with each line once: `a = 1; b = 2` is one line with two statements."""
    first: dict[int, Pair] = {}
    for pair in new:
        first.setdefault(id(pair[1]), pair)
    return list(first.values())


def is_raised(statement: ast.stmt, new: Sequence[Pair]) -> bool:
    """Whether it is a constant or a logger that a new function uses: that stands below the imports,
    as people write it.
    """
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        return False
    if not is_simple(statement.value):
        return False
    names = list_defined(statement)
    for user, _ in new:
        if not isinstance(user, Definition):
            continue
        if not list_used(user).isdisjoint(names):
            return True
    return False


def is_simple(value: ast.expr) -> bool:
    """Whether it is a constant, or a call that makes a logger or a constant: it needs nothing of
    this module.
    """
    if isinstance(value, ast.Call):
        name = dotted_name(value.func)
        makes_constant = "logger" in name.lower() or name.rpartition(".")[2] in PURE
        arguments = [*value.args, *(keyword.value for keyword in value.keywords)]
        return makes_constant and all(is_simple(argument) for argument in arguments)
    if isinstance(value, ast.Name):
        return value.id == "__name__"
    if not isinstance(value, PLAIN):
        return False
    parts = [child for child in ast.iter_child_nodes(value) if isinstance(child, ast.expr)]
    return all(is_simple(part) for part in parts)


def below_imports(body: list[Statement], new: Sequence[Statement]) -> list[Statement]:
    """The statements of a module with the new ones below its imports."""
    if not new:
        return body
    index = end_of_imports(body)
    rest = body[index:]
    if rest:
        blank_lines = 1
        if is_definition(rest[0]):
            blank_lines = 2
        rest[0] = space_out(rest[0], blank_lines)
    first, *others = new
    # At the top of a file, nothing stands above it.
    return [*body[:index], set_off(first, min(index, 1)), *others, *rest]


def at_the_end(module: cst.Module, new: Sequence[Pair]) -> cst.Module:
    """The module with the new statements at its end, before a closing
    `if __name__ == "__main__":`. Comments at the end of the file stay above them.
    """
    if not new:
        return module
    body = list(module.body)
    main = None
    comments = list(module.footer)
    if is_main_block(body[-1]):
        main = body.pop()
        comments = []
    for _, node in new:
        body.append(set_below(body, node, comments))
        comments = []
    if main is None:
        return module.with_changes(body=body, footer=[], has_trailing_newline=True)
    body.append(space_out(main, lines_between(body[-1], main)))
    return module.with_changes(body=body)


def class_at(module: cst.Module, name: str) -> int | None:
    """The index of a class at the left margin whose body is a block."""
    for index, node in enumerate(module.body):
        if not isinstance(node, cst.ClassDef) or node.name.value != name:
            continue
        if isinstance(node.body, cst.IndentedBlock):
            return index
    return None


def with_attribute(module: cst.Module, index: int, line: str) -> cst.Module:
    """The module with a line more in the body of the class of that index: below its other
    attributes, else below its docstring.
    """
    owner = module.body[index]
    assert isinstance(owner, cst.ClassDef) and isinstance(owner.body, cst.IndentedBlock)
    lines = list(owner.body.body)
    at = 0
    if owner.get_docstring() is not None:
        at = 1
    for number, node in enumerate(lines, 1):
        if is_attribute(node):
            at = number
    new = cst.parse_statement(line, module.config_for_parsing)
    rest: list[cst.BaseStatement] = []
    for node in lines[at:]:
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            rest.append(space_out(node, 1))
        else:
            rest.append(node)
    changed = owner.with_changes(body=owner.body.with_changes(body=[*lines[:at], new, *rest]))
    return module.with_changes(body=[*module.body[:index], changed, *module.body[index + 1 :]])


def is_attribute(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.SimpleStatementLine) and isinstance(
        node.body[-1], cst.Assign | cst.AnnAssign
    )


def set_below(
    body: Sequence[Statement], node: Statement, above: Sequence[cst.EmptyLine]
) -> Statement:
    """The statement, far enough below the last one and the comments between them. `above` are the
    lines of those comments.
    """
    if not body:
        return set_off(node, 0)
    own = node.leading_lines
    wanted = max(lines_between(body[-1], node), min(2, count_blank_lines(own)))
    there = count_blank_lines(above[::-1])
    lines = [*above, *[BLANK] * max(0, wanted - there), *own[count_blank_lines(own) :]]
    return node.with_changes(leading_lines=lines)


def lines_between(upper: Statement, lower: Statement) -> int:
    """How many blank lines stand between two statements: two around functions and classes, one
    elsewhere.
    """
    if is_definition(upper) or is_definition(lower):
        return 2
    return 1


def is_definition(node: Statement) -> bool:
    return isinstance(node, cst.FunctionDef | cst.ClassDef)


def is_main_block(node: Statement) -> bool:
    """Whether it is `if __name__ == "__main__":`."""
    if not isinstance(node, cst.If):
        return False
    return is_main(ast.parse(f"if {cst.Module([]).code_for_node(node.test)}:\n    pass").body[0])


def header_split(module: cst.Module) -> cst.Module:
    """The same text, with the comment right above the first statement as that statement's own.

    libcst gives all that is above it to the module. Without a blank line it is the header of the
    file.
    """
    lines = list(module.header)
    end = len(lines)
    for number, line in enumerate(lines, 1):
        if not line.comment:
            # The last blank line is where the header ends.
            end = number
    head, *rest = module.body
    leading = (*lines[end:], *head.leading_lines)
    return module.with_changes(
        header=lines[:end], body=[head.with_changes(leading_lines=leading), *rest]
    )
