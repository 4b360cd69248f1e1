"""Does anything in the repository keep two rows with the same key out of the dedupe table?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from skillrun.repo.python import Project
from skillrun.skills.job_worker.readings.tables.tables_python import python_tables
from skillrun.skills.job_worker.readings.tables.tables_sql import Table, sql_tables

# idempotency_key, key_hash, dedup_id: columns that may hold the whole key in one value
KEYISH = re.compile(r"(^|_)keys?$|^key_|dedup|idempot", re.IGNORECASE)
# api_key, foreignkey: those that are keys in another sense
OTHER_KEYS = re.compile(
    r"^(api|secret|private|public|sort|access|partition|primary|foreign)_?key", re.IGNORECASE
)


def tables(project: Project, name: str) -> tuple[Table, ...]:
    """Every declaration of a table: SQL in .sql files and Python strings, SQLAlchemy, SQLModel,
    Alembic, Django.

    Declarations under the very name win over classes whose name only resembles it. Migrations are
    read as a sum: what a later one drops is not taken off.
    """
    found: list[Table] = []
    for path in project.tree.search(name, ".sql"):
        found += sql_tables(path, (project.tree.read(path) or b"").decode("utf-8", "replace"), name)
    for path in sorted(_find_python_files(project, name)):
        module = project.module(path)
        if module:
            found += python_tables(module, name)
    exact = [table for table in found if table.exact]
    return tuple(sorted(exact or found, key=lambda table: (table.path, table.line)))


def is_unique(found: Iterable[Table], key: Sequence[str]) -> Table | None:
    """The first declaration under which two rows with the same key cannot both exist.

    A constraint over fewer columns than the key is stricter and counts as well.
    """
    wanted = _name_columns(key)
    for table in found:
        if any(columns and columns <= wanted for columns in table.unique):
            return table
    return None


def narrower(found: Iterable[Table], key: Sequence[str]) -> tuple[Table, frozenset[str]] | None:
    """The first constraint over only some of the key's columns: it takes two different jobs for
    one.
    """
    wanted = _name_columns(key)
    for table in found:
        for columns in table.unique:
            if columns and columns < wanted:
                return table, columns
    return None


def nullable(found: Iterable[Table], key: Sequence[str]) -> tuple[Table, str] | None:
    """The first column of the key that may be NULL."""
    wanted = _name_columns(key)
    for table in found:
        loose = table.nullable & wanted
        if loose:
            return table, min(loose)
    return None


def find_doubt(found: Sequence[Table], key: Sequence[str]) -> tuple[Table, str] | None:
    """Why a missing UNIQUE over the key is not certain: a base class that was not read, or the key
    under another name in what is unique.
    """
    for table in found:
        if table.unread_base is not None:
            return table, f"its class derives from {table.unread_base}"
    wanted = _name_columns(key)
    for table in found:
        for unique in table.unique:
            if wanted < unique:
                more = ", ".join(sorted(unique - wanted))
                return table, f"{more} is a part of the key too, and may be the same for each job"
    columns = set[str]()
    for table in found:
        columns |= table.columns
    if wanted <= columns:
        return None
    for table in found:
        for unique in table.unique:
            names = ", ".join(sorted(unique))
            return table, f"{names} is unique and may hold the key under another name"
    return None


def key_column(found: Iterable[Table], key: Sequence[str]) -> tuple[Table, str] | None:
    """A unique column that by its name holds the whole key in one value, such as
    `idempotency_key`.
    """
    fields = _name_columns(key)
    for table in found:
        for columns in table.unique:
            if len(columns) != 1:
                continue
            column = next(iter(columns))
            if column not in fields and KEYISH.search(column) and not OTHER_KEYS.search(column):
                return table, column
    return None


def _name_columns(key: Sequence[str]) -> set[str]:
    """The columns that the fields of a key are expected in: `order.id` in `id`."""
    return {field.rpartition(".")[2].lower() for field in key}


def _find_python_files(project: Project, table: str) -> set[str]:
    """Files that may declare the table: by its name, by a class name that it may derive from, or
    any models.
    """
    words = {table, *class_names(table), "Model", "SQLModel"}
    files = set[str]()
    for word in words:
        files.update(project.tree.search(word, ".py"))
    return files


def class_names(table: str) -> set[str]:
    """What the class of a table may be called: `receipts` may be the Django model Receipt,
    `shop_receipt` the model Receipt of the app shop.
    """
    words = [table, *(table.split("_", 1)[1:])]
    singular = set[str]()
    for word in words:
        singular.update((word, word.removesuffix("s"), re.sub(r"ies$", "y", word)))
    singular.discard("")
    return {_write_as_class(word) for word in singular}


def _write_as_class(word: str) -> str:
    """`ShopReceipt` for `shop_receipt`."""
    return "".join(part.title() for part in word.split("_"))
