"""Columns by which a table that a spec names tells one job from another, and that do
so no longer.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.making import quoted, taken

_HINT = (
    "let the table keep one row for each job, as the base does: two jobs that share one leave one"
    " record, and a job with two is counted twice"
)
_TABLE = re.compile(
    r"\bcreate\s+table\s+(?:if\s+not\s+exists\s+)?[\"`]?(?:\w+\.)?(\w+)[\"`]?\s*\((.*)",
    re.IGNORECASE | re.DOTALL,
)
_INDEX = re.compile(
    r"\bcreate\s+unique\s+index\b.*?\bon\s+[\"`]?(?:\w+\.)?(\w+)[\"`]?\s*\(([^()]*)\)",
    re.IGNORECASE | re.DOTALL,
)
_TOGETHER = re.compile(r"\b(?:unique|primary\s+key)\s*\(([^()]*)\)", re.IGNORECASE)
_ALONE = re.compile(
    r"(?:^|,)\s*[\"`]?(\w+)[\"`]?\s[^,()]*\b(?:primary\s+key|unique)\b(?!\s*\()", re.IGNORECASE
)
_MAPPED = re.compile(r"UniqueConstraint|unique_together|primary_key=True|unique=True")


@dataclass(frozen=True)
class Unique:
    """What may stand in a table once: a set of columns."""

    table: str
    columns: frozenset[str]


def find_lost_uniqueness(look: str, diff: Diff, tables: list[str]) -> Iterator[Finding]:
    """One finding for each that the base has and the branch has not, in any file."""
    named = {table.lower() for table in tables}
    files = [*diff.python_files(), *(one for one in diff.deployment if one.path.endswith(".sql"))]
    now: set[Unique] = set()
    for file in files:
        now |= {unique for unique, _ in _list_unique(file.new, file.new_tree, file.path)}
    for file in files:
        for unique, line in _list_unique(file.old, file.old_tree, file.old_path):
            if unique in now or unique.table not in named:
                continue
            said = (
                f"{unique.table} has one row for each ({', '.join(sorted(unique.columns))}) at the"
                f" base, and has not here: {quoted(file.old_line(line))}"
            )
            yield taken(look, file, file.line_of(line), said, hint=_HINT)


def _list_unique(
    text: str | None, tree: ast.Module | None, path: str
) -> Iterator[tuple[Unique, int]]:
    if not path.endswith(".py"):
        yield from _read_statements(text or "", 1)
        return
    for node in _walk_unconditional(tree or ast.Module([], [])):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _read_statements(node.value, node.lineno)
        elif isinstance(node, ast.Call):
            yield from _read_mapped_table(node)


def _walk_unconditional(tree: ast.Module) -> Iterator[ast.AST]:
    """What a condition decides about is not there for everybody."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.If):
            waiting += ast.iter_child_nodes(node)


def _read_statements(text: str, line: int) -> Iterator[tuple[Unique, int]]:
    for statement in text.split(";"):
        start = line + len(statement) - len(statement.lstrip("\n"))
        for table, columns in _INDEX.findall(statement):
            yield _make_unique(table, columns), start
        made = _TABLE.search(statement)
        if made is not None:
            before = statement[: made.start()].count("\n")
            for columns in (*_TOGETHER.findall(made[2]), *_ALONE.findall(made[2])):
                yield _make_unique(made[1], columns), line + before
        line += statement.count("\n")


def _make_unique(table: str, columns: str) -> Unique:
    names = [name.strip(' "`\n\t').lower() for name in columns.split(",")]
    return Unique(table.lower(), frozenset(names))


def _read_mapped_table(call: ast.Call) -> Iterator[tuple[Unique, int]]:
    """SQLAlchemy's `Table("name", metadata, Column("id", ..., primary_key=True), ...)`."""
    is_table = ast.unparse(call.func).rpartition(".")[2] == "Table" and call.args
    if not is_table or not isinstance(call.args[0], ast.Constant):
        return
    table = str(call.args[0].value)
    for part in call.args:
        if not isinstance(part, ast.Call) or not _MAPPED.search(ast.unparse(part)):
            continue
        names = [one.value for one in part.args if isinstance(one, ast.Constant)]
        if ast.unparse(part.func).endswith("Column"):
            names = names[:1]
        yield Unique(table.lower(), frozenset(str(one).lower() for one in names)), part.lineno
