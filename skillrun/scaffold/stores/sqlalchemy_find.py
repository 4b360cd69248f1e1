"""The plan of a SQLAlchemy store: which models are there, where new ones go, and what points the database elsewhere."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from skillrun.errors import Blocked
from skillrun.frameworks.pieces import Symbol
from skillrun.scaffold.stores.database import Database, database_behind
from skillrun.scaffold.stores.sqlalchemy import Migration, Orm
from skillrun.scaffold.stores.sqlalchemy_use import Base, Opening
from skillrun.scaffold.stores.variables import Variable, variable_of
from skillrun.stages.uniqueness import tables

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.scaffold.stores.columns import Column
    from skillrun.scaffold.stores.wanted import Wanted

DEAD_COLUMNS = ("job", "payload_sha256", "payload", "reason")
_SETTING = "SQLALCHEMY_DATABASE_URI"


def plan_orm(
    project: Project, wanted: Wanted, base: Base | None, opening: Opening | None, migration: Migration | None = None
) -> Orm:
    """What is to be written. Raises Blocked where a table of the name is there and is another one."""
    home = base.models if base is not None else own_tables(wanted)
    model = _model(project, wanted.table, wanted.columns, home, wanted) if wanted.table else None
    taken = model.name if model else ""
    dead = _dead(project, wanted.dead_table, home, taken) if wanted.dead_table else None
    return Orm(
        columns=wanted.columns,
        style=base.style if base is not None else "mapped",
        opened=opening.expression if opening is not None else "orm.Session(engine)",
        model=model,
        dead=dead,
        dead_table=wanted.dead_table,
        commits=not (opening is not None and opening.commits),
        engine="DATABASE_URL" if opening is None else None,
        default="" if opening is not None else f"sqlite:///{wanted.package.partition('.')[0] or 'jobs'}.db",
        own_base=base is None,
        migration=migration,
    )


def own_tables(wanted: Wanted) -> Symbol:
    """Where the models go in a repository without a declarative base; shared by all jobs of the package."""
    module = f"{wanted.package}.job_tables" if wanted.package else "job_tables"
    return Symbol(module, "", path=f"{wanted.folder}job_tables.py")


def _model(project: Project, table: str, columns: tuple[Column, ...], home: Symbol, wanted: Wanted) -> Symbol:
    found = find_model(project, table)
    if found is not None:
        names = tuple(column.name for column in columns)
        _check(found, table, names, names, "idempotency.dedupe.store")
        return found[0]
    return Symbol(home.module, free_name(project, home, table, f"{wanted.title}Done"), exists=False, path=home.path)


def _dead(project: Project, table: str, home: Symbol, taken: str) -> Symbol:
    found = find_model(project, table)
    if found is not None:
        _check(found, table, DEAD_COLUMNS, ("job", "payload_sha256"), "dead_letter.where")
        return found[0]
    name = free_name(project, home, table, "DeadLetter")
    return Symbol(home.module, name if name != taken else "DeadLetter", exists=False, path=home.path)


Model = tuple[Symbol, ast.ClassDef]


def find_model(project: Project, table: str) -> Model | None:
    """The class that declares a table by its exact name."""
    for declared in tables(project, table):
        module = project.module(declared.path) if declared.exact and declared.path.endswith(".py") else None
        for node in ast.walk(module.tree) if module else ():
            if isinstance(node, ast.ClassDef) and node.lineno == declared.line and module is not None:
                return Symbol(module.name, node.name, path=module.path), node
    return None


def _check(found: Model, table: str, needed: tuple[str, ...], unique: tuple[str, ...], setting: str) -> None:
    """A model of somebody else's is used where it has the columns, and needs no others."""
    symbol, node = found
    columns = dict(_columns(node))
    missing = [name for name in needed if name not in columns]
    others = [name for name, value in columns.items() if name not in needed and _must_be_given(value)]
    if missing or others:
        what = f"lacks {', '.join(missing)}" if missing else f"needs {', '.join(others)}"
        message = f"{symbol.path}:{node.lineno}: {symbol.name} ({table}) {what}: a scaffold changes no table"
        raise Blocked(message, hint=f"name another table in {setting}, or use backend/persistence-layer-change")


def _columns(node: ast.ClassDef) -> list[tuple[str, ast.expr | None]]:
    found: list[tuple[str, ast.expr | None]] = []
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found.append((statement.target.id, statement.value))
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            found += [(target.id, statement.value) for target in statement.targets if isinstance(target, ast.Name)]
    return found


_FILLED = ("default", "server_default", "default_factory", "insert_default", "autoincrement", "auto_now_add",
           "auto_now", "init", "db_default")  # fmt: skip


def _must_be_given(value: ast.expr | None) -> bool:
    """A column without a default that may not be NULL; an integer key numbers itself."""
    if not isinstance(value, ast.Call) or ast.unparse(value.func).rpartition(".")[2] in ("relationship", "AutoField"):
        return not isinstance(value, ast.Call) and value is None
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in value.keywords}
    if set(given) & set(_FILLED) or given.get("nullable") == "True" or given.get("null") == "True":
        return False
    called = ast.unparse(value.func)
    return given.get("primary_key") != "True" and (given.get("nullable") == "False" or "Column" not in called)


def free_name(project: Project, home: Symbol, table: str, otherwise: str) -> str:
    """The class name for a table: receipts -> Receipt; another one where the module has that name."""
    singular = table[:-3] + "y" if table.endswith("ies") else table.removesuffix("s")
    name = "".join(part[:1].upper() + part[1:] for part in singular.split("_"))
    module = project.module(home.path)
    taken = module.bindings(module.tree) if module is not None else {}
    return name if name not in taken else otherwise


# -- the proof


def database_of(
    project: Project, base: Base | None, opening: Opening | None, orm: Orm, *, postgresql: bool
) -> Database:
    """What the engine is made with."""
    if opening is None:
        return database_behind(Variable("DATABASE_URL", orm.default), "DATABASE_URL", postgresql=False)
    if base is not None and base.style == "flask":
        return _flask(project, postgresql=postgresql)
    if opening.url is None:
        return database_behind(None, f"the engine behind {opening.symbol.path}", postgresql=postgresql)
    module, node = opening.url
    where = f"{module.path}:{node.lineno}: create_engine"
    return _behind(project, module, node, where, postgresql=postgresql)


def _behind(project: Project, module: object, node: ast.expr, where: str, *, postgresql: bool) -> Database:
    variable = variable_of(project, module, node)  # type: ignore[arg-type]
    literal = project.literal(node, module)  # type: ignore[arg-type]
    fixed = literal if isinstance(literal, str) else ""
    if variable is not None and not variable.default and fixed:
        variable = Variable(variable.name, fixed)
    return database_behind(variable, where, postgresql=postgresql, fixed=fixed)


def _flask(project: Project, *, postgresql: bool) -> Database:
    """`app.config["SQLALCHEMY_DATABASE_URI"] = ...`, or a constant of that name in a class of settings."""
    for module in project.modules_with(_SETTING):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Assign) and _SETTING in ast.unparse(node.targets[0]):
                where = f"{module.path}:{node.lineno}: {_SETTING}"
                return _behind(project, module, node.value, where, postgresql=postgresql)
    return database_behind(None, _SETTING, postgresql=postgresql)
