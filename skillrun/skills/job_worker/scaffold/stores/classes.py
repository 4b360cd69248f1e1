"""The model classes of an ORM: those that are there already, and the names of new ones."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from skillrun.core.errors import Blocked
from skillrun.frameworks.pieces import Symbol, name_of
from skillrun.skills.job_worker.readings.tables.uniqueness import tables

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.skills.job_worker.scaffold.stores.wanted import Wanted

DEAD_COLUMNS = ("job", "payload_sha256", "payload", "reason")
_FILLED = (
    "default",
    "server_default",
    "default_factory",
    "insert_default",
    "autoincrement",
    "auto_now_add",
    "auto_now",
    "init",
    "db_default",
)
_COLUMNS = ("Column", "mapped_column", "Field", "ForeignKey")
Model = tuple[Symbol, ast.ClassDef]


def plan_models(
    project: Project, wanted: Wanted, home: Symbol, label: str = ""
) -> tuple[Symbol | None, Symbol | None]:
    """The models of the dedupe table and of the dead letters: existing ones, or new ones in the
    module `home`.

    `label`: Django's name of the app, which leads the names of its tables. Raises Blocked where a
    table of the name
    is there and is another one.
    """
    done = dead = None
    if wanted.table:
        names = wanted.keys
        done = existing(project, wanted.table, names, "idempotency.dedupe.store")
        done = done or _name_model(project, home, wanted.table, label, f"{wanted.title}Done", "")
    if wanted.dead_table:
        dead = existing(project, wanted.dead_table, DEAD_COLUMNS, "dead_letter.where")
        dead = dead or _name_model(
            project, home, wanted.dead_table, label, "DeadLetter", name_of(done)
        )
    return done, dead


def existing(project: Project, table: str, columns: tuple[str, ...], setting: str) -> Symbol | None:
    """The model of a table. Raises Blocked where it lacks a column, or needs one that nobody
    gives.
    """
    found = find_model(project, table)
    if found is None:
        return None
    _check(found, table, columns, setting)
    return found[0]


def find_model(project: Project, table: str) -> Model | None:
    """The class that declares a table by its exact name."""
    for declared in tables(project, table):
        module = None
        if declared.exact and declared.path.endswith(".py"):
            module = project.module(declared.path)
        if module:
            for node in module.all_nodes:
                if (
                    isinstance(node, ast.ClassDef)
                    and node.lineno == declared.line
                    and module is not None
                ):
                    return Symbol(module.name, node.name, path=module.path), node
    return None


def _check(found: Model, table: str, needed: tuple[str, ...], setting: str) -> None:
    """A model of somebody else's is used where it has the columns, and needs no others."""
    symbol, node = found
    columns = dict(_columns(node))
    missing = [name for name in needed if name not in columns]
    others = []
    for name, value in columns.items():
        if name not in needed and _must_be_given(value):
            others.append(name)
    if missing or others:
        if missing:
            what = f"lacks {', '.join(missing)}"
        else:
            what = f"needs {', '.join(others)}"
        message = (
            f"{symbol.path}:{node.lineno}: {symbol.name} ({table}) {what}: a scaffold changes no"
            " table"
        )
        raise Blocked(
            message,
            hint=f"name another table in {setting}, or use backend/persistence-layer-change",
        )


def _columns(node: ast.ClassDef) -> list[tuple[str, ast.expr | None]]:
    found: list[tuple[str, ast.expr | None]] = []
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found.append((statement.target.id, statement.value))
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    found.append((target.id, statement.value))
    return found


def _must_be_given(value: ast.expr | None) -> bool:
    """A column without a default that may not be NULL; an integer key numbers itself."""
    called = ""
    if isinstance(value, ast.Call):
        called = ast.unparse(value.func)
    if (
        not isinstance(value, ast.Call)
        or called.endswith("AutoField")
        or not called.endswith(_COLUMNS)
    ):
        return value is None
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in value.keywords}
    if set(given) & set(_FILLED) or given.get("nullable") == "True" or given.get("null") == "True":
        return False
    return given.get("primary_key") != "True" and (
        given.get("nullable") == "False" or not called.endswith("Column")
    )


def _name_model(
    project: Project, home: Symbol, table: str, label: str, otherwise: str, taken: str
) -> Symbol:
    """receipts -> Receipt; another name where the module has that already."""
    singular = table
    if label:
        singular = table.removeprefix(f"{label}_")
    if singular.endswith("ies"):
        singular = singular[:-3] + "y"
    else:
        singular = singular.removesuffix("s")
    name = "".join(part[:1].upper() + part[1:] for part in singular.split("_"))
    names_there = {taken}
    module = project.module(home.path)
    if module is not None:
        names_there.update(module.bindings(module.tree))
    if name in names_there:
        name = otherwise
    return Symbol(home.module, name, exists=False, path=home.path)
