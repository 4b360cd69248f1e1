"""A Python module that is to be edited: parsed once, and given back byte for byte where nothing was
changed.
"""

from __future__ import annotations

import ast
import difflib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from skillrun.core.errors import Refused
from skillrun.repo.syntax import find_nodes

BOM = "\ufeff"

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement


class CannotEdit(Refused):
    """A file that cannot be edited without changing what it means."""


@dataclass(frozen=True)
class Source:
    """A module as text, as a concrete tree (what is edited) and as an abstract one (what is
    compared).
    """

    path: str
    bom: str
    text: str  # without the BOM
    module: cst.Module
    tree: ast.Module
    line_length: int = 88

    def edited(self, module: cst.Module) -> str:
        """The text of the edited tree, with the old bytes where it is as it was."""
        known = {id(node): self.module.code_for_node(node) for node in self.module.body}
        before, after = print_module(self.module, known), print_module(module, known)
        return self.bom + restore_unchanged(self.path, self.text, before, after)


def read_source(path: str, text: str, line_length: int = 88) -> Source:
    """The module, parsed. Raises CannotEdit, with the line, where it is no Python that both parsers
    read.
    """
    bom = ""
    if text.startswith(BOM):
        bom = BOM
    text = text.removeprefix(BOM)
    tree = parse_tree(path, text)
    try:
        module = cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        raise explain_unreadable(path, error.raw_line, error.message) from error
    return Source(path, bom, text, module, tree, line_length)


def parse_tree(path: str, text: str) -> ast.Module:
    """The abstract tree. Raises CannotEdit, with the line, where it is no Python. What the parser
    would only warn of (an invalid escape) is the repository's business.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise explain_unreadable(path, error.lineno or 1, error.msg) from error
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nested too deeply
        raise explain_unreadable(path, 1, str(error) or "nested too deeply") from error


def explain_unreadable(path: str, line: int, why: str) -> CannotEdit:
    """The error for a file that one of the parsers does not read; `why` is what that says."""
    reason = why.strip().splitlines()[0]
    return CannotEdit(
        f"{path}:{line}: cannot be read as Python: {reason}",
        hint="mend the file, then run this again",
    )


def lines_of(text: str) -> list[str]:
    """Physical lines with their ends. Unlike str.splitlines, a form feed does not end one."""
    return list(io.StringIO(text, newline=""))


def print_module(module: cst.Module, known: Mapping[int, str]) -> str:
    """The same as `module.code`, and faster: `known` has the text of statements, by the id of the
    node.
    """
    lines = [*map(module.code_for_node, module.header)]
    for node in module.body:
        lines.append(known.get(id(node)) or module.code_for_node(node))
    text = "".join([*lines, *map(module.code_for_node, module.footer)])
    if module.has_trailing_newline:
        return text
    return text.removesuffix(module.default_newline)


def restore_unchanged(path: str, original: str, printed: str, edited: str) -> str:
    """`edited`, with each line that came from `printed` unchanged as it is in `original`.

    libcst drops a few things that no syntax needs: the space in `except X :`, a form feed before a
    statement.
    """
    if printed == original:
        return edited
    old, known, new = lines_of(original), lines_of(printed), lines_of(edited)
    if len(old) != len(known):
        raise CannotEdit(
            f"{path}:1: libcst does not keep the lines of this file", hint="make the edit by hand"
        )
    lines: list[str] = []
    matcher = difflib.SequenceMatcher(None, known, new, autojunk=False)
    for tag, start, end, left, right in matcher.get_opcodes():
        if tag == "equal":
            lines += old[start:end]
        else:
            lines += new[left:right]
    return "".join(lines)


# -- a template, in the manner of the file that it goes to


def fit_template(wanted: str, existing: Source) -> str:
    """The text of a template with the line ends and the indentation of the existing module."""
    text = wanted.removeprefix(BOM).replace("\r\n", "\n")
    unit = cst.parse_module(text).default_indent
    there = existing.module.default_indent
    if unit != there and has_blocks(existing.tree):
        text = reindent_lines(text, unit, there)
    return text.replace("\n", existing.module.default_newline)


def has_blocks(tree: ast.Module) -> bool:
    """Whether anything at the top level is indented below something else."""
    return any(hasattr(statement, "body") for statement in tree.body)


def reindent_lines(text: str, old: str, new: str) -> str:
    """Each line with `new` for each leading `old`; the insides of strings that are no docstrings
    stay.
    """
    fixed = inside_strings(ast.parse(text))
    out = []
    for number, line in enumerate(lines_of(text), 1):
        bare = line
        depth = 0
        while number not in fixed and bare.startswith(old):
            bare, depth = bare[len(old) :], depth + 1
        out.append(new * depth + bare)
    return "".join(out)


def inside_strings(tree: ast.Module) -> set[int]:
    """The numbers of the lines that begin within a string."""
    docstrings = set()
    for statement in find_nodes(tree, ast.Expr):
        docstrings.add(id(statement.value))
    lines = set[int]()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant | ast.JoinedStr) or id(node) in docstrings:
            continue
        # The first line of a string begins before it.
        lines.update(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
    return lines


# -- comparing


def means_same(left: ast.AST, right: ast.AST) -> bool:
    """Whether two pieces of code mean the same: comments, quotes and layout aside, docstrings by
    their words.

    A variable may be annotated in one of them.
    """
    if type(left) is not type(right):
        left, right = drop_annotation(left), drop_annotation(right)
    return type(left) is type(right) and describe_shape(left) == describe_shape(right)


def drop_annotation(node: ast.AST) -> ast.AST:
    """`x: T = 1` as `x = 1`; anything else as it is."""
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return ast.Assign([node.target], node.value)
    return node


def describe_shape(node: ast.AST) -> str:
    """A text that is the same for code that means the same, docstrings by their words."""
    if not any(docstring_of(inner) for inner in ast.walk(node)):
        return ast.dump(node)
    # The tree of the file is not changed.
    copy = node
    if isinstance(node, ast.stmt):
        copy = ast.parse(ast.unparse(node))
    for inner in ast.walk(copy):
        docstring = docstring_of(inner)
        if docstring:
            docstring.value = strip_docstring(str(docstring.value))
    return ast.dump(copy)


def docstring_of(node: ast.AST) -> ast.Constant | None:
    """The constant that holds the docstring of a function or a class."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return None
    first = node.body[0]
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return None
    if not isinstance(first.value.value, str):
        return None
    return first.value


def strip_docstring(docstring: str) -> str:
    """A docstring without what formatters change in it: the white space around its lines."""
    return "\n".join(line.strip() for line in docstring.strip().splitlines())


# -- blank lines

BLANK = cst.EmptyLine(indent=False)


def count_blank_lines(lines: Sequence[cst.EmptyLine]) -> int:
    """How many blank lines come first."""
    for number, line in enumerate(lines):
        if line.comment:
            return number
    return len(lines)


def space_out(statement: Statement, least: int) -> Statement:
    """The statement with at least so many blank lines above it and its comments."""
    lines = statement.leading_lines
    missing = max(0, least - count_blank_lines(lines))
    if missing:
        return statement.with_changes(leading_lines=[BLANK] * missing + list(lines))
    return statement


def set_off(statement: Statement, exactly: int) -> Statement:
    """The statement with exactly so many blank lines above it and its comments."""
    lines = statement.leading_lines
    return statement.with_changes(
        leading_lines=[BLANK] * exactly + list(lines[count_blank_lines(lines) :])
    )
