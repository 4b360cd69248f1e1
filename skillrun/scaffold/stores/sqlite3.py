"""A dedupe row and dead letters in SQLite, through the standard library's driver."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Symbol
from skillrun.scaffold.stores.testing import Testing

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module as Source


def find_connect(project: Project, near: str) -> tuple[Symbol, dict[str, Any]] | None:
    """The repository's function that opens its database, and how it is used; the nearest to a module path first.

    The facts: `style` is "transaction" for a context manager, else "connection"; `env` the variable that names the
    file, where it reads one.
    """
    found = list(_candidates(project))
    found.sort(key=lambda one: (one[1]["style"] != "transaction", not _near(one[0].path, near), one[0].path))
    return found[0] if found else None


def _near(path: str, other: str) -> bool:
    return path.rpartition("/")[0] == other.rpartition("/")[0]


def _candidates(project: Project) -> Iterator[tuple[Symbol, dict[str, Any]]]:
    for path in sorted(project.tree.search("sqlite3")):
        module = project.module(path) if path.endswith(".py") and not _aside(path) else None
        for node in module.tree.body if module else ():
            if isinstance(node, ast.FunctionDef) and _opens(node) and not _needs_arguments(node):
                assert module is not None
                yield Symbol(module.name, node.name, path=path), _manner(module, node)


def _aside(path: str) -> bool:
    return any(part.startswith(("test", "conftest")) for part in path.split("/"))


def _opens(node: ast.FunctionDef) -> bool:
    return any(isinstance(inner, ast.Call) and ast.unparse(inner.func) == "sqlite3.connect" for inner in ast.walk(node))


def _needs_arguments(node: ast.FunctionDef) -> bool:
    return len(node.args.posonlyargs + node.args.args) > len(node.args.defaults)


def _manner(module: Source, node: ast.FunctionDef) -> dict[str, Any]:
    managed = any("contextmanager" in ast.unparse(decorator) for decorator in node.decorator_list)
    return {"style": "transaction" if managed else "connection", "env": _variable(module)}


def _variable(module: Source) -> str | None:
    """The environment variable that a module reads: os.environ["X"], os.environ.get("X"), os.getenv("X")."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            name = node.slice
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv") and node.args:
            name = node.args[0]
        else:
            continue
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return name.value
    return None


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The store's module."""
    store = facts.store
    tables = store.facts.get("tables", ("done", "dead"))
    buries = facts.dead_letter == "table"
    needed: list[Symbol | str] = ["from collections.abc import Iterator", "from contextlib import contextmanager"]
    if buries:
        needed += ["import json", "from typing import Any"]
    if store.connect is None:
        needed += ["import os", "import sqlite3"]
    elif store.transactional:
        needed.append("import sqlite3")
    if store.facts.get("style") == "connection":
        needed.append("from contextlib import closing")
    if store.connect is not None:
        needed.append(store.connect)
    made = tuple(table for table in tables if table != "dead" or buries)
    return [
        Module(
            store.path,
            render("sqlite3.py.jinja", facts, needed=needed, tables=made, buries=buries, opened=opened(facts)),
        )
    ]


def opened(facts: Facts) -> str:
    """What stands between `with` and the colon."""
    store = facts.store
    if store.connect is None:
        return "transaction() as connection"
    called = f"{store.connect.written}()" if store.connect.module != store.module else f"{store.connect.name}()"
    return (
        f"closing({called}) as connection, connection"
        if store.facts["style"] == "connection"
        else (f"{called} as connection")
    )


def proof_part(facts: Facts) -> dict[str, Any]:
    """What a proof has to know of the store: the spec's `proof`, as far as the store decides it."""
    store = facts.store
    columns = ", ".join(facts.key)
    part: dict[str, Any] = {"database": "{scratch}/app.db"}
    if store.facts.get("env"):
        part["env"] = {store.facts["env"]: "{scratch}/app.db"}
    if store.facts.get("tables", ("done", "dead")):
        part["setup"] = f"python -m {store.module}"
    part["state"] = {store.name: f"select {columns} from {store.name} order by {columns}"}
    if facts.dead_letter == "table":
        part["dead_letters"] = f"select count(*) from {facts.dead_letter_where}"
    return part


def testing(facts: Facts) -> Testing:
    """The imports of the fixture, and how it opens the database."""
    needed: list[Symbol | str] = ["from pathlib import Path"]
    store = facts.store
    if store.connect is not None and facts.dead_letter == "table":
        needed.append(store.connect)
    if store.facts.get("style") == "connection":
        needed.append("from contextlib import closing")
    own = f"{store.tail}.transaction() as connection"
    return Testing(tuple(needed), opened(facts) if store.connect else own)
