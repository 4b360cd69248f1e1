"""Turns what a template wrote into the repository's manner: quotes, indentation, annotations.

What the code means stays: only its annotations, and the imports that they alone needed, may go.
"""

from __future__ import annotations

import re
from functools import lru_cache

import libcst as cst

from skillrun.frameworks.pieces import Conventions
from skillrun.skills.job_worker.scaffold.manner.annotations import without_annotations
from skillrun.skills.job_worker.scaffold.manner.neighbours import common

_WRITTEN = "    "  # how templates indent
# Dots of a relative import; beyond, nobody counts them.
_HIGHEST = 2
_TOGETHER = re.compile(r"(\\\r?\n)( +)")


# What is planned again is mostly what was laid out before: an agent calls again and again.
@lru_cache(maxsize=128)
def restyle(source: str, conventions: Conventions, package: str = "") -> str:
    """The source of a module, as black would write it, in the repository's manner.

    `package`: the dotted package that the module lies in; where it is given, and the repository
    imports so, imports from it and from the package above become relative. Over-long lines are left
    as they are. Raises libcst.ParserSyntaxError for what is no Python and would be changed.
    """
    if not conventions.annotations:
        source = without_annotations(source, conventions.line_length)
    made_relative = bool(package) and not conventions.absolute_imports
    if not made_relative and conventions.indent == _WRITTEN and conventions.quote == '"':
        return source
    module = cst.parse_module(source)
    if made_relative:
        module = module.visit(_RelativeImports(package.split(".")))
    if conventions.indent != _WRITTEN:
        module = module.visit(_Indentation(conventions.indent, module.default_indent))
    if conventions.quote == "'":
        module = module.visit(_SingleQuotes())
    return module.code


class _RelativeImports(cst.CSTTransformer):
    """`from shop.mail import send` in shop.tasks as `from .mail import send`; what is farther away
    stays.
    """

    def __init__(self, package: list[str]) -> None:
        self._package = package

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom:
        if updated_node.relative or updated_node.module is None:
            return updated_node
        names = cst.Module([]).code_for_node(updated_node.module).split(".")
        shared = common(names, self._package)
        level = len(self._package) - shared + 1
        if not shared or level > _HIGHEST:
            return updated_node
        rest = None
        if names[shared:]:
            rest = cst.parse_expression(".".join(names[shared:]))
        return updated_node.with_changes(relative=[cst.Dot()] * level, module=rest)


class _SingleQuotes(cst.CSTTransformer):
    """Texts in double quotes get single ones, unless they hold a quote, stand alone, or are a
    docstring.
    """

    def visit_Expr(self, node: cst.Expr) -> bool:
        return not isinstance(node.value, cst.SimpleString | cst.ConcatenatedString)

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        text = original_node.raw_value
        if original_node.quote != '"' or _holds_quote(text):
            return original_node
        return updated_node.with_changes(value=f"{original_node.value[: -len(text) - 2]}'{text}'")

    def leave_FormattedString(
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.FormattedString:
        inner = cst.Module([]).code_for_node(original_node)[
            len(original_node.start) : -len(original_node.end)
        ]
        if original_node.end != '"' or _holds_quote(inner):
            return original_node
        return updated_node.with_changes(start=original_node.start[:-1] + "'", end="'")

    def visit_TemplatedString(self, node: cst.CSTNode) -> bool:
        return False


def _holds_quote(text: str) -> bool:
    return "'" in text or '"' in text


class _Indentation(cst.CSTTransformer):
    """Every block gets the unit; lines inside brackets keep their distance in units, docstrings
    move along.
    """

    def __init__(self, unit: str, written: str) -> None:
        self._unit = unit
        self._written = written
        self._blocks: list[str] = []
        self._docstrings: dict[cst.SimpleString, int] = {}

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        return updated_node.with_changes(default_indent=self._unit)

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:
        self._blocks.append(self._written if node.indent is None else node.indent)

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        self._blocks.pop()
        return updated_node.with_changes(indent=None)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._note_docstring(node.body)

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._note_docstring(node.body)

    def _note_docstring(self, body: cst.BaseSuite) -> None:
        first = None
        if isinstance(body, cst.IndentedBlock) and body.body:
            first = body.body[0]
        statement = None
        if isinstance(first, cst.SimpleStatementLine):
            statement = first.body[0]
        if isinstance(statement, cst.Expr) and isinstance(statement.value, cst.SimpleString):
            self._docstrings[statement.value] = len(self._blocks) + 1

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        depth = self._docstrings.get(original_node)
        if depth is None:
            return updated_node
        return updated_node.with_changes(
            value=_moved(original_node.value, "".join(self._blocks), self._unit * depth)
        )

    def visit_FormattedString(self, node: cst.FormattedString) -> bool:
        return False

    def leave_ParenthesizedWhitespace(
        self, original_node: cst.ParenthesizedWhitespace, updated_node: cst.ParenthesizedWhitespace
    ) -> cst.ParenthesizedWhitespace:
        return updated_node.with_changes(last_line=self._in_units(updated_node.last_line))

    def leave_EmptyLine(
        self, original_node: cst.EmptyLine, updated_node: cst.EmptyLine
    ) -> cst.EmptyLine:
        return updated_node.with_changes(whitespace=self._in_units(updated_node.whitespace))

    def leave_SimpleWhitespace(
        self, original_node: cst.SimpleWhitespace, updated_node: cst.SimpleWhitespace
    ) -> cst.SimpleWhitespace:
        value = _TOGETHER.sub(lambda found: found[1] + self._columns(found[2]), original_node.value)
        return updated_node.with_changes(value=value)

    def _in_units(self, space: cst.SimpleWhitespace) -> cst.SimpleWhitespace:
        plain = not space.value.strip(" ")
        if plain:
            return space.with_changes(value=self._columns(space.value))
        return space

    def _columns(self, spaces: str) -> str:
        units, rest = divmod(len(spaces), len(_WRITTEN))
        return self._unit * units + " " * rest


def _moved(docstring: str, before: str, after: str) -> str:
    """A docstring whose lines begin with other indentation; one where that would change its text is
    left alone.
    """
    first, *lines = docstring.split("\n")
    if (
        "\t" in docstring
        or "\\" in docstring
        or not all(line.startswith(before) or not line.strip() for line in lines)
    ):
        return docstring
    moved = []
    for line in lines:
        moved.append(after + line[len(before) :] if line.startswith(before) else line)
    return "\n".join([first, *moved])
