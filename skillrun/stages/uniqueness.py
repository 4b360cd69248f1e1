"""Does anything in the repository make a key unique: a constraint on the dedupe table, or an atomic set-if-absent?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from skillrun.repo.tree import Tree

_CREATE = re.compile(
    r"create\s+table\s+(?:if\s+not\s+exists\s+)?[\"`\[]?(?:\w+[\"`\]]?\.[\"`\[]?)?(?P<table>\w+)[\"`\]]?\s*\(", re.I
)
_INDEX = re.compile(
    r"create\s+unique\s+index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?\S+\s+on\s+[\"`]?(?:\w+\.)?(?P<table>\w+)"
    r"[\"`]?\s*(?:using\s+\w+\s*)?\((?P<columns>[^)]*)\)",
    re.I,
)
_TABLE_CONSTRAINT = re.compile(r"(?:unique|primary\s+key)\s*(?:\w+\s*)?\(([^)]*)\)", re.I)
_COLUMN = re.compile(r"[\"`\[]?(\w+)[\"`\]]?\s+(.*)", re.S)


@dataclass(frozen=True)
class Table:
    """A table as some file declares it: each set of columns that the database keeps unique."""

    name: str
    path: str
    line: int
    unique: tuple[frozenset[str], ...]


def tables(tree: Tree, name: str) -> tuple[Table, ...]:
    """Every declaration of a table: SQL in any text or Python file, SQLAlchemy, Alembic, Django."""
    found: list[Table] = []
    for path in {*tree.search(name, ".sql"), *tree.search(name, ".py")}:
        found += _in_sql(path, _text(tree, path), name)
    for path in _python_files(tree, name):
        found += _in_python(path, _text(tree, path), name)
    return tuple(sorted(found, key=lambda table: (table.path, table.line)))


def is_unique(found: Iterable[Table], key: Sequence[str]) -> Table | None:
    """The first declaration under which two rows with the same key cannot both exist.

    A constraint over fewer columns than the key is stricter and counts as well.
    """
    wanted = {_column(field) for field in key}
    return next((t for t in found for columns in t.unique if columns and columns <= wanted), None)


def _column(field: str) -> str:
    return field.rpartition(".")[2].lower()


def _text(tree: Tree, path: str) -> str:
    return (tree.read(path) or b"").decode("utf-8", "replace")


def _python_files(tree: Tree, table: str) -> set[str]:
    """Files that may declare the table: its own name, or the class name that an ORM would derive it from."""
    words = {table, *(_class_names(table))}
    return {path for word in words for path in tree.search(word, ".py")}


def _class_names(table: str) -> set[str]:
    """`receipts` may be the Django model Receipt, `shop_receipt` the model Receipt of the app shop."""
    words = [table, *(table.split("_", 1)[1:])]
    singular = {w for word in words for w in (word, word.removesuffix("s"), re.sub(r"ies$", "y", word))}
    return {"".join(part.title() for part in word.split("_")) for word in singular if word}


def _in_sql(path: str, text: str, name: str) -> Iterator[Table]:
    for match in _CREATE.finditer(text):
        if match["table"].lower() == name.lower():
            body = _parenthesised(text, match.end() - 1)
            yield Table(name, path, text.count("\n", 0, match.start()) + 1, tuple(_sql_unique(body)))
    for match in _INDEX.finditer(text):
        if match["table"].lower() == name.lower():
            yield Table(name, path, text.count("\n", 0, match.start()) + 1, (_columns(match["columns"]),))


def _parenthesised(text: str, start: int) -> str:
    """What stands between the parenthesis at `start` and its partner."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return text[start + 1 : position]
    return text[start + 1 :]


def _sql_unique(body: str) -> Iterator[frozenset[str]]:
    for part in _split_columns(re.sub(r"--[^\n]*", "", body)):
        table_wide = _TABLE_CONSTRAINT.search(part)
        if re.match(r"\s*(constraint\s+\S+\s+)?(unique|primary\s+key)\b", part, re.I) and table_wide:
            yield _columns(table_wide[1])
            continue
        column = _COLUMN.match(part.strip())
        if column and re.search(r"\b(unique|primary\s+key)\b", column[2], re.I):
            yield frozenset({column[1].lower()})


def _split_columns(body: str) -> Iterator[str]:
    depth, start = 0, 0
    for position, character in enumerate(body):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            yield body[start:position]
            start = position + 1
    yield body[start:]


def _columns(text: str) -> frozenset[str]:
    return frozenset(part.strip().strip('"`[]').split()[0].lower() for part in text.split(",") if part.strip())


def _in_python(path: str, text: str, name: str) -> Iterator[Table]:
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and _class_table_matches(node, name):
            yield Table(name, path, node.lineno, tuple(_class_unique(node)))
        elif isinstance(node, ast.Call) and _makes_table(node, name):
            yield Table(name, path, node.lineno, tuple(_call_unique(node)))


def _class_table_matches(node: ast.ClassDef, name: str) -> bool:
    """SQLAlchemy's `__tablename__`, Django's `Meta.db_table`, or the name that Django derives."""
    named = [value for key, value in _class_strings(node) if key in ("__tablename__", "db_table")]
    if named:
        return name in named
    looks_like_model = any("model" in ast.unparse(base).lower() for base in node.bases)
    return looks_like_model and node.name in _class_names(name)


def _class_strings(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    inner = [s for s in node.body if isinstance(s, ast.ClassDef) and s.name == "Meta"]
    for statement in [*node.body, *(s for meta in inner for s in meta.body)]:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            for target in statement.targets:
                if isinstance(target, ast.Name) and isinstance(statement.value.value, str):
                    yield target.id, statement.value.value


def _class_unique(node: ast.ClassDef) -> Iterator[frozenset[str]]:
    for statement in node.body:
        target = _assigned_name(statement)
        value = getattr(statement, "value", None)
        if target and isinstance(value, ast.Call) and _is_unique_field(value):
            yield frozenset({target.lower()})
            if _called(value) in ("OneToOneField", "ForeignKey"):
                yield frozenset({target.lower() + "_id"})
    for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
        yield from _constraint(call)
    for key, value in _meta_values(node):
        if key == "unique_together":
            yield from _groups(value)


def _assigned_name(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id
    return None


def _is_unique_field(call: ast.Call) -> bool:
    true = {k.arg for k in call.keywords if isinstance(k.value, ast.Constant) and k.value.value is True}
    return bool(true & {"unique", "primary_key"}) or _called(call) == "OneToOneField"


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _meta_values(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for meta in (s for s in node.body if isinstance(s, ast.ClassDef) and s.name == "Meta"):
        for statement in meta.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                yield statement.targets[0].id, statement.value


def _groups(value: ast.expr) -> Iterator[frozenset[str]]:
    words = _strings(value)
    if words:
        yield frozenset(word.lower() for word in words)
    elif isinstance(value, ast.Tuple | ast.List | ast.Set):
        for element in value.elts:
            yield from _groups(element)


def _strings(value: ast.expr) -> list[str]:
    elements = value.elts if isinstance(value, ast.Tuple | ast.List | ast.Set) else []
    words = [e.value for e in elements if isinstance(e, ast.Constant) and isinstance(e.value, str)]
    return words if len(words) == len(elements) else []


def _constraint(call: ast.Call) -> Iterator[frozenset[str]]:
    """UniqueConstraint("a", "b"), UniqueConstraint(fields=["a"]), Index(..., unique=True), PrimaryKeyConstraint."""
    name = _called(call)
    conditional = any(k.arg in ("condition", "postgresql_where") for k in call.keywords)
    if conditional:
        return
    if name in ("UniqueConstraint", "PrimaryKeyConstraint") or (name == "Index" and _is_unique_field(call)):
        fields = next((k.value for k in call.keywords if k.arg == "fields"), None)
        words = _strings(fields) if fields is not None else _positional_words(call)
        if words:
            yield frozenset(word.lower() for word in words[1 if name == "Index" else 0 :])


def _positional_words(call: ast.Call) -> list[str]:
    return [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]


def _makes_table(call: ast.Call, name: str) -> bool:
    """SQLAlchemy's Table("receipts", ...), Alembic's create_table, create_unique_constraint and create_index."""
    words = _positional_words(call)
    if _called(call) in ("Table", "create_table"):
        return words[:1] == [name]
    return _called(call) in ("create_unique_constraint", "create_index") and words[1:2] == [name]


def _call_unique(call: ast.Call) -> Iterator[frozenset[str]]:
    if _called(call) == "create_unique_constraint" or (_called(call) == "create_index" and _is_unique_field(call)):
        for arg in call.args[2:3]:
            yield from _groups(arg)
        return
    for column in (a for a in call.args if isinstance(a, ast.Call)):
        if _called(column) == "Column" and _is_unique_field(column):
            yield frozenset(word.lower() for word in _positional_words(column)[:1])
        yield from _constraint(column)
