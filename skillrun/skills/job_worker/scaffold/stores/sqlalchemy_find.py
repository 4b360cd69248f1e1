"""The plan of a SQLAlchemy store: which models are there, where new ones go, and what points the
database elsewhere.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.frameworks.pieces import Symbol
from skillrun.repo.places import is_aside
from skillrun.skills.job_worker.scaffold.stores.classes import plan_models
from skillrun.skills.job_worker.scaffold.stores.database import Database, database_behind
from skillrun.skills.job_worker.scaffold.stores.flask_use import FlaskApp
from skillrun.skills.job_worker.scaffold.stores.sqlalchemy import Migration, Orm
from skillrun.skills.job_worker.scaffold.stores.sqlalchemy_use import Base, Opening
from skillrun.skills.job_worker.scaffold.stores.variables import (
    Variable,
    file_of,
    scheme_of,
    variable_of,
)

if TYPE_CHECKING:
    from skillrun.repo.python import Module, Project
    from skillrun.skills.job_worker.scaffold.stores.wanted import Wanted

_SETTING = "SQLALCHEMY_DATABASE_URI"


def plan_orm(
    project: Project,
    wanted: Wanted,
    base: Base | None,
    opening: Opening | None,
    migration: Migration | None = None,
    flask: FlaskApp | None = None,
    *,
    scheme: str | None = None,
) -> Orm:
    """What is to be written; `scheme`: of the client of PostgreSQL that the repository depends on.

    Raises Blocked where a table of the name is there and is another one.
    """
    home = own_tables(wanted)
    if base is not None:
        home = base.models
    model, dead = plan_models(project, wanted, home)
    if base is not None and base.package is not None:
        model, dead = _move_apart(base, model, dead)
    orm = Orm(
        columns=wanted.columns,
        style="mapped",
        opened="orm.Session(engine)",
        model=model,
        dead=dead,
        dead_table=wanted.dead_table,
        own_base=base is None,
        migration=migration,
        flask=flask,
    )
    if base is not None:
        orm = replace(orm, style=base.style, package=base.package)
    if opening is not None:
        opened, commits = opening.expression, not opening.commits
        orm = replace(orm, opened=opened, commits=commits, awaited=opening.awaited)
    else:
        # Models of PostgreSQL want no SQLite.
        own_scheme = None
        if base is not None:
            own_scheme = scheme
        orm = replace(orm, engine="DATABASE_URL", default=_choose_own_url(wanted, own_scheme))
    if flask:
        orm = replace(orm, opened="new_session()")
    return orm


def _choose_own_url(wanted: Wanted, scheme: str | None) -> str:
    """Where an engine of the store's own goes without its variable."""
    name = wanted.package.partition(".")[0] or "jobs"
    if scheme:
        return f"{scheme}://localhost/{name}"
    return f"sqlite:///{name}.db"


def _move_apart(base: Base, *models: Symbol | None) -> list[Symbol | None]:
    """The new ones in a module of their own, named for the first."""
    package, folder = base.models.module.rpartition(".")[0], base.models.path.rpartition("/")[0]
    name = ""
    moved: list[Symbol | None] = []
    for model in models:
        if model is None or model.exists:
            moved.append(model)
            continue
        if not name:
            name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model.name).lower()
        moved.append(replace(model, module=f"{package}.{name}", path=f"{folder}/{name}.py"))
    return moved


def own_tables(wanted: Wanted) -> Symbol:
    """Where the models go in a repository without a declarative base; shared by all jobs of the
    package.
    """
    module = "job_tables"
    if wanted.package:
        module = f"{wanted.package}.job_tables"
    return Symbol(module, "", path=f"{wanted.folder}job_tables.py")


# -- the proof


def database_of(
    project: Project, base: Base | None, opening: Opening | None, orm: Orm, *, postgresql: bool
) -> Database:
    """What the engine is made with."""
    if opening is None:
        return database_behind(
            Variable("DATABASE_URL", orm.default), "DATABASE_URL", postgresql=False
        )
    if base is not None and base.style == "flask":
        return _find_flask_database(project, postgresql=postgresql)
    if opening.url is None:
        return database_behind(
            None, f"the engine behind {opening.symbol.path}", postgresql=postgresql
        )
    module, node = opening.url
    where = f"{module.path}:{node.lineno}: create_engine"
    return _find_database(project, module, node, where, postgresql=postgresql)


def _find_database(
    project: Project, module: Module, node: ast.expr, where: str, *, postgresql: bool
) -> Database:
    variable = variable_of(project, module, node)
    literal = project.literal(node, module)
    fixed = ""
    if isinstance(literal, str):
        fixed = literal
    if variable is not None and not variable.default and fixed:
        variable = replace(variable, default=fixed)
    is_url = variable is None or not variable.part
    file = ""
    if scheme_of(project, module, node) == "sqlite":
        file = file_of(project, module, node)
    return database_behind(
        variable, where, postgresql=postgresql, fixed=fixed, file=file, is_url=is_url
    )


def _find_flask_database(project: Project, *, postgresql: bool) -> Database:
    """`app.config["SQLALCHEMY_DATABASE_URI"] = ...`, or a constant of that name in a class of
    settings.
    """
    for module in project.modules_with(_SETTING):
        for node in module.nodes(ast.Assign):
            if _SETTING in ast.unparse(node.targets[0]):
                where = f"{module.path}:{node.lineno}: {_SETTING}"
                return _find_database(project, module, node.value, where, postgresql=postgresql)
    return database_behind(None, _SETTING, postgresql=postgresql)


def setup_command(
    project: Project, base: Base | None, opening: Opening | None, orm: Orm, module: str
) -> str | None:
    """The command that makes the tables where no migrations do; None where only a person can
    tell.
    """
    if base is None:
        return f"python -m {module}"
    for path in sorted(project.tree.search("create_all")):
        if is_aside(path):
            continue
        module_that_makes = project.module(path)
        if module_that_makes is not None and "__main__" in module_that_makes.text:
            return f"python -m {module_that_makes.name}"
    models = orm.model or orm.dead
    if opening is None or opening.bind is None or models is None:
        return None
    name, opened = base.symbol.name, opening.symbol.name
    if base.symbol.module == opening.symbol.module:
        wanted = [f"from {base.symbol.module} import {name}, {opened}"]
    else:
        wanted = [
            f"from {base.symbol.module} import {name}",
            f"from {opening.symbol.module} import {opened}",
        ]
    if models.module != base.symbol.module:
        wanted += [f"import {models.module}"]
    code = "; ".join([*wanted, f"{name}.metadata.create_all({opening.bind})"])
    return f'python -c "{code}"'
