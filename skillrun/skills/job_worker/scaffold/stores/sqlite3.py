"""A dedupe row and dead letters in SQLite, through the standard library's driver."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Store, Symbol
from skillrun.repo.places import is_aside
from skillrun.repo.syntax import find_nodes
from skillrun.skills.job_worker.scaffold.stores.columns import Column, remembered
from skillrun.skills.job_worker.scaffold.stores.nearness import within_reach
from skillrun.skills.job_worker.scaffold.stores.testing import Testing
from skillrun.skills.job_worker.scaffold.stores.variables import Variable, file_of, variable_of

if TYPE_CHECKING:
    from skillrun.repo.python import Module as SourceModule
    from skillrun.repo.python import Project

_TYPES = {"int": "INTEGER", "str": "TEXT", "float": "REAL", "bool": "BOOLEAN"}
_OWN = Variable("DATABASE_PATH", "app.db")


@dataclass(frozen=True)
class Opening:
    """How the repository opens its database; without a `symbol` the store does it by itself.

    `commits`: the symbol is a context manager that commits at its end; else it gives a connection.
    """

    symbol: Symbol | None
    commits: bool
    variable: Variable | None  # of the file's path
    where: str  # for a note about a path that no variable names
    file: str = ""  # the end of that path


@dataclass(frozen=True)
class Tables:
    """Which tables are missing, and so are made by the store."""

    done: bool
    dead: bool

    @property
    def any(self) -> bool:
        return self.done or self.dead


def find_opening(project: Project, near: str) -> Opening:
    """The repository's function that opens its database: a context manager first, then the nearest
    to a path.
    """
    found = sorted(
        _openings(project, near), key=lambda one: (not one.commits, not _is_near(one, near))
    )
    if found:
        return found[0]
    return Opening(None, True, _OWN, "the store")


def _is_near(opening: Opening, path: str) -> bool:
    return (
        opening.symbol is not None
        and opening.symbol.path.rpartition("/")[0] == path.rpartition("/")[0]
    )


def _openings(project: Project, near: str) -> Iterator[Opening]:
    for path in within_reach(project, project.tree.search("sqlite3"), near):
        module = None
        if not is_aside(path):
            module = project.module(path)
        if module is None:
            continue
        for node in module.tree.body:
            if isinstance(node, ast.FunctionDef) and _can_be_called(node):
                call = _find_connecting(node)
                if call is not None:
                    yield _read_opening(project, module, node, call)


def _read_opening(
    project: Project, module: SourceModule, node: ast.FunctionDef, call: ast.Call
) -> Opening:
    """A function that connects to a file of SQLite."""
    managed = any("contextmanager" in ast.unparse(decorator) for decorator in node.decorator_list)
    given = None
    if call.args:
        given = call.args[0]
    return Opening(
        Symbol(module.name, node.name, path=module.path),
        managed,
        variable_of(project, module, given),
        f"{module.path}:{node.lineno}",
        file_of(project, module, given),
    )


def _find_connecting(node: ast.stmt) -> ast.Call | None:
    calls = find_nodes(node, ast.Call)
    for call in calls:
        if ast.unparse(call.func) in ("sqlite3.connect", "connect"):
            return call
    return None


def _can_be_called(node: ast.FunctionDef) -> bool:
    """Whether another module may, and need not give anything."""
    needs_arguments = len(node.args.posonlyargs + node.args.args) > len(node.args.defaults)
    return not node.name.startswith("_") and not needs_arguments


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The module of `once` and `bury`, with the tables that are missing."""
    store = facts.store
    tables: Tables = store.extras["tables"]
    columns: tuple[Column, ...] = store.extras["columns"]
    dead = store.extras["dead_table"]
    variable = None
    if store.connect is None:
        variable = store.extras["opening"].variable
    text = render(
        "sqlite3.py.jinja",
        facts,
        needed=_imports(store),
        tables=tables,
        dead=dead,
        done=store.name,
        opened=opened(store),
        columns=[(column.name, _TYPES[column.annotation]) for column in columns],
        parameters=[column.parameter for column in columns],
        names=[column.name for column in columns],
        variable=variable,
        remembered=remembered(done=bool(store.name), buries=bool(dead)),
    )
    return [Module(store.path, text)]


def _imports(store: Store) -> list[Symbol | str]:
    needed: list[Symbol | str] = []
    if store.name or store.connect is None:
        needed += ["from collections.abc import Iterator", "from contextlib import contextmanager"]
    if store.extras["dead_table"]:
        needed += ["import json", "from typing import Any"]
    if store.connect is None:
        needed += ["import os", "import sqlite3"]
    elif store.transactional:
        needed.append("import sqlite3")
    return [*needed, *opened_with(store)]


def opened_with(store: Store) -> list[Symbol | str]:
    """The imports of `opened`."""
    needed: list[Symbol | str] = []
    if not store.extras["opening"].commits:
        needed.append("from contextlib import closing")
    if store.connect is not None:
        needed.append(store.connect)
    return needed


def opened(store: Store, module: str | None = None) -> str:
    """What stands between `with` and the colon to have a transaction on `connection`, in the store
    or in a `module`.
    """
    symbol = store.connect or Symbol(store.module, "transaction", path=store.path)
    name = symbol.written
    if symbol.module == (module or store.module):
        name = symbol.name
    if store.extras["opening"].commits:
        return f"{name}() as connection"
    return f"closing({name}()) as connection, connection"


def testing(facts: Facts) -> Testing:
    """A database of its own for each test."""
    store = facts.store
    variable: Variable | None = store.extras["opening"].variable
    reading = []
    if store.extras["dead_table"]:
        reading = opened_with(store)
    for_unittest = ["from tempfile import TemporaryDirectory"]
    name = ""
    if variable:
        name = variable.name
    else:
        for_unittest.append("import os")
    return Testing(
        ("sqlite3_fixture.jinja",),
        (*reading, Symbol(store.module, "once", path=store.path)),
        {
            "tail": store.tail,
            "opened": opened(store, "tests"),
            "variable": name,
            "creates": store.extras["tables"].any,
        },
        for_pytest=("from pathlib import Path",),
        for_unittest=tuple(for_unittest),
    )
