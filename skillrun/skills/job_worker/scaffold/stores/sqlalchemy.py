"""A dedupe row and dead letters in SQLAlchemy's ORM: the models, and the module that the handler
uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skillrun.frameworks.pieces import (
    Entry,
    Facts,
    Module,
    NewFile,
    Piece,
    Render,
    Store,
    Symbol,
    name_of,
)
from skillrun.skills.job_worker.scaffold.stores.columns import Column, remembered
from skillrun.skills.job_worker.scaffold.stores.flask_use import FlaskApp
from skillrun.skills.job_worker.scaffold.stores.testing import Testing

# A variable of the store, and what the repository's object is called beside it.
_LOCAL, _OTHER = "session", "sessions"
_TYPES = {"int": "BigInteger", "str": "String", "float": "Float", "bool": "Boolean"}


@dataclass(frozen=True)
class Migration:
    """A new revision, in the manner of those that are there."""

    path: str
    revision: str
    down_revision: str | None
    created: str  # the date, for its docstring
    annotated: bool = False
    done: bool = True  # the dedupe table is missing
    dead: bool = True  # the table of dead letters is missing


@dataclass(frozen=True)
class Package:
    """The `__init__.py` that imports the models: `listed` in its `__all__`, by `relative`
    imports.
    """

    path: str
    listed: bool = False
    relative: bool = False


@dataclass(frozen=True)
class Orm:
    """What the templates need to know: `Store.extras["orm"]`.

    `style` is mapped (2.x), column (1.4), sqlmodel or flask. `opened` is the expression that opens
    a session, as a context manager; `commits` is false where that commits by itself; `awaited`: it
    is one of asyncio. Symbols that exist already are not written.
    """

    columns: tuple[Column, ...]
    style: str
    opened: str
    model: Symbol | None = None  # of the dedupe table; None: the receiver or Redis remembers
    dead: Symbol | None = None
    dead_table: str = ""
    commits: bool = True
    engine: str | None = None  # the environment variable of an engine of its own
    default: str = ""  # the URL without that variable
    own_base: bool = False
    migration: Migration | None = None
    flask: FlaskApp | None = None  # the app whose context the store opens itself
    package: Package | None = None
    awaited: bool = False


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The models that are missing, their migration, and the module of `once` and `bury`."""
    orm: Orm = facts.store.extras["orm"]
    found: list[Piece] = []
    missing = [model for model in _list_models(orm) if not model.exists]
    for module in dict.fromkeys(model.module for model in missing):
        here = [model for model in missing if model.module == module]
        found.append(Module(here[0].path, _write_models(facts, render, orm, here)))
    if missing and orm.package is not None:
        found += _export_models(orm.package, missing)
    if orm.migration is not None:
        text = _write_migration(facts, render, orm, orm.migration)
        found.append(NewFile(orm.migration.path, text))
    return [*found, Module(facts.store.path, _write_store(facts, render, orm))]


def _list_models(orm: Orm) -> list[Symbol]:
    """Of what is done, and of what was given up, as far as this store keeps them."""
    return [model for model in (orm.model, orm.dead) if model is not None]


def _export_models(package: Package, models: list[Symbol]) -> Iterator[Piece]:
    """A package of models imports each of them, so that whoever imports it knows all tables."""
    names = sorted(model.name for model in models)
    module = models[0].module
    if package.relative:
        where = f".{module.rpartition('.')[2]}"
    else:
        where = module
    yield Module(package.path, f"from {where} import {', '.join(names)}\n")
    for name in names:
        if package.listed:
            yield Entry(package.path, "__all__", f'"{name}"')


# -- the models


def _write_models(facts: Facts, render: Render, orm: Orm, here: list[Symbol]) -> str:
    """The module that gets the models `here`."""
    if orm.style == "sqlmodel":
        return _write_sqlmodels(facts, render, orm, here)
    module, base = here[0].module, _find_base(facts, orm)
    done, dead = _name_those_here(orm, here)
    needed = _list_model_imports(orm, done=bool(done), dead=bool(dead))
    if not orm.own_base and base.module != module:
        needed.append(f"from {base.module} import {base.name}")
    base_class = base.name
    if orm.style == "flask":
        base_class = f"{base.name}.Model"
    mapped_text = ""
    if orm.style == "mapped":
        mapped_text = ": Mapped[str]"
    types = _spell_types(orm.style)
    return render(
        "sqlalchemy_models.py.jinja",
        facts,
        needed=needed,
        module=module,
        done=done,
        dead=dead,
        base=base_class,
        own_base=orm.own_base,
        made=types["made"],
        types=types,
        mapped_text=mapped_text,
        columns=[_write_column(column, orm) for column in orm.columns],
        dead_table=orm.dead_table,
    )


def _name_those_here(orm: Orm, here: list[Symbol]) -> tuple[str, str]:
    """(the model of what is done, that of dead letters); "" for one of another module."""
    done = dead = ""
    if orm.model in here:
        done = name_of(orm.model)
    if orm.dead in here:
        dead = name_of(orm.dead)
    return done, dead


def _write_sqlmodels(facts: Facts, render: Render, orm: Orm, here: list[Symbol]) -> str:
    module = here[0].module
    done, dead = _name_those_here(orm, here)
    types = {"Column", "DateTime", "func"}
    if dead:
        types.add("Text")
    if done and any(column.annotation == "int" for column in orm.columns):
        types.add("BigInteger")
    needed = ["from datetime import datetime", f"from sqlalchemy import {', '.join(sorted(types))}"]
    needed.append("from sqlmodel import Field, SQLModel")
    return render(
        "sqlmodel_models.py.jinja",
        facts,
        needed=needed,
        module=module,
        done=done,
        dead=dead,
        dead_table=orm.dead_table,
        columns=[_write_field(column, alone=len(orm.columns) == 1) for column in orm.columns],
    )


def _write_field(column: Column, *, alone: bool) -> Written:
    """A column of the key, as SQLModel has it: a number of its own keeps the database from
    counting.
    """
    counts = ""
    if alone:
        counts = ", autoincrement=False"
    arguments = {
        "int": [f"sa_column=Column(BigInteger, primary_key=True{counts})"],
        "str": ["primary_key=True", f"max_length={column.length}"],
    }.get(column.annotation, ["primary_key=True"])
    return Written(f"{column.name}: {column.annotation} = ", arguments)


def _find_base(facts: Facts, orm: Orm) -> Symbol:
    """The declarative base: the repository's, or the one that is written beside the models."""
    if facts.store.base is not None:
        return facts.store.base
    model = orm.model or orm.dead
    assert model is not None
    return Symbol(model.module, "Base", exists=False, path=model.path)


def _spell_types(style: str) -> dict[str, str]:
    """How a style writes its types: Flask's are found on `db`."""
    before = ""
    if style == "flask":
        before = "db."
    made = f"{before}Column"
    if style == "mapped":
        made = "mapped_column"
    return {
        "made": made,
        "text": f"{before}String",
        "long": f"{before}Text",
        "time": f"{before}DateTime(timezone=True)",
        "now": f"server_default={before}func.now()",
    }


@dataclass(frozen=True)
class Written:
    """A column as the models write it: `prefix`, and the arguments of its call."""

    prefix: str
    arguments: list[str]


def _write_column(column: Column, orm: Orm) -> Written:
    prefix, before = f"{column.name} = ", ""
    if orm.style == "mapped":
        prefix = f"{column.name}: Mapped[{column.annotation}] = "
    elif orm.style == "flask":
        before = "db."
    arguments = [_spell_type(column, before), "primary_key=True"]
    # A number of its own keeps the database from counting.
    if column.annotation == "int" and len(orm.columns) == 1:
        arguments.append("autoincrement=False")
    return Written(prefix, arguments)


def _spell_type(column: Column, before: str) -> str:
    name = f"{before}{_TYPES[column.annotation]}"
    if column.annotation == "str":
        return f"{name}({column.length})"
    return name


def _list_model_imports(orm: Orm, *, done: bool, dead: bool) -> list[Symbol | str]:
    if orm.style == "flask":
        return []
    used = {"DateTime", "func"}
    if done:
        used |= {_TYPES[column.annotation] for column in orm.columns}
    if dead:
        used |= {"String", "Text"}
    if orm.style == "column":
        used.add("Column")
    needed: list[Symbol | str] = [f"from sqlalchemy import {', '.join(sorted(used))}"]
    if orm.style == "mapped":
        needed.append(f"from sqlalchemy.orm import {_name_mapped(orm, done or dead)}")
    elif orm.own_base:
        needed.append("from sqlalchemy.orm import declarative_base")
    return needed


def _name_mapped(orm: Orm, mapped: bool) -> str:
    names = ["mapped_column"]
    if mapped:
        names.insert(0, "Mapped")
    if orm.own_base:
        names.insert(0, "DeclarativeBase")
    return ", ".join(names)


# -- the migration


def _write_migration(facts: Facts, render: Render, orm: Orm, migration: Migration) -> str:
    tables = []
    if migration.done:
        tables.append(facts.store.name)
    if migration.dead:
        tables.append(orm.dead_table)
    text = maybe = several = ""
    if migration.annotated:
        text, maybe = ": str", ": Union[str, None]"
        several = ": Union[str, Sequence[str], None]"
    return render(
        "alembic_migration.py.jinja",
        facts,
        migration=migration,
        tables=tables,
        columns=[(column.name, _spell_type(column, "sa.")) for column in orm.columns],
        counted=len(orm.columns) == 1 and orm.columns[0].annotation == "int",
        quoted=[f'"{column.name}"' for column in orm.columns],
        dead_table=orm.dead_table,
        text=text,
        maybe=maybe,
        several=several,
    )


# -- the module of `once` and `bury`


def _write_store(facts: Facts, render: Render, orm: Orm) -> str:
    store, buries = facts.store, orm.dead is not None
    done = name_of(orm.model)
    base = None
    if orm.own_base:
        base = _find_base(facts, orm)
    template, list_imports = "sqlalchemy_store.py.jinja", _list_store_imports
    if orm.awaited:
        template, list_imports = "sqlalchemy_async_store.py.jinja", _list_awaited_imports
    return render(
        template,
        facts,
        needed=list_imports(store, orm, base),
        done=done,
        dead=name_of(orm.dead),
        buries=buries,
        names=[column.name for column in orm.columns],
        opened=_write_opening(store, orm),
        parameters=[column.parameter for column in orm.columns],
        given=[column.given for column in orm.columns],
        commits=orm.commits,
        engine=orm.engine,
        default=orm.default,
        base=name_of(base),
        flask=orm.flask,
        remembered=remembered(done=bool(done), buries=buries),
    )


def _list_store_imports(store: Store, orm: Orm, base: Symbol | None) -> list[Any]:
    done, buries = orm.model is not None, orm.dead is not None
    remote = done and not store.transactional and not store.claims
    writes = done and store.transactional
    wanted = {
        "from contextlib import contextmanager": done or orm.flask or orm.commits,
        "from collections.abc import Iterator": done or orm.flask or orm.commits,
        "from contextlib import ExitStack": orm.flask,
        "from functools import cache": orm.flask,
        "from flask import Flask, has_app_context": orm.flask,
        "from contextlib import suppress": remote or buries,
        "import json": buries,
        "from hashlib import sha256": buries,
        "from typing import Any": buries,
        "from sqlalchemy.exc import IntegrityError": True,
        "from sqlalchemy import insert": writes,
        "from sqlalchemy import select": remote,
        "import os": orm.engine,
        "from sqlalchemy import create_engine": orm.engine,
        "from sqlalchemy import orm": writes or orm.flask or orm.commits,
    }
    needed = [line for line, is_wanted in wanted.items() if is_wanted]
    named = {_LOCAL: f"{_LOCAL} as {_OTHER}"}
    for symbol in (store.connect, orm.model, orm.dead, base):
        if symbol is not None and symbol.module != store.module:
            needed.append(f"from {symbol.module} import {named.get(symbol.name, symbol.name)}")
    return needed


def _write_opening(store: Store, orm: Orm) -> str:
    """The expression that opens a session; the store has a variable of its own that is called
    session.
    """
    if store.connect is None or store.connect.name != _LOCAL:
        return orm.opened
    return re.sub(rf"\b{_LOCAL}\b", _OTHER, orm.opened, count=1)


def _list_awaited_imports(store: Store, orm: Orm, base: Symbol | None) -> list[Any]:
    """The same over asyncio."""
    swaps = {
        "from contextlib import contextmanager": "from contextlib import asynccontextmanager",
        "from collections.abc import Iterator": "from collections.abc import AsyncIterator",
        "from sqlalchemy import orm": "from sqlalchemy.ext.asyncio import AsyncSession",
    }
    needed = [swaps.get(one, one) for one in _list_store_imports(store, orm, base)]
    if orm.opened.startswith("AsyncSession("):
        needed.append("from sqlalchemy.ext.asyncio import AsyncSession")
    if base:
        needed.append("import asyncio")
    return needed


def testing(facts: Facts) -> Testing:
    """A database of its own for each test: a file of SQLite with the job's tables alone."""
    store, orm = facts.store, facts.store.extras["orm"]
    base = _find_base(facts, orm)
    models = _list_models(orm)
    needed: list[Symbol | str] = [
        "from sqlalchemy import create_engine",
        "from sqlalchemy.orm import sessionmaker",
        base,
        *models,
        Symbol(store.module, "once", path=store.path),
    ]
    if orm.dead:
        needed += ["from sqlalchemy import func, select"]
    if ".session_factory" in orm.opened:
        needed += ["from sqlalchemy.orm import scoped_session"]
    if orm.awaited:
        needed += ["from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine"]
        needed += ["from sqlalchemy.pool import NullPool"]
    if orm.style == "flask" and not orm.flask:
        needed += ["from types import SimpleNamespace"]
    dead = ""
    if orm.dead:
        dead = _spell_in_tests(orm.dead)
    values = {
        "tail": store.tail,
        "base": _spell_in_tests(base),
        "models": [_spell_in_tests(model) for model in models],
        "dead": dead,
        "replaced": _name_replaced(store, orm),
        "value": _write_stand_in(orm),
        "awaited": orm.awaited,
    }
    return Testing(
        ("sqlalchemy_fixture.jinja",),
        tuple(needed),
        values,
        for_pytest=("from collections.abc import Iterator", "from pathlib import Path"),
        for_unittest=("from tempfile import TemporaryDirectory",),
    )


def _spell_in_tests(symbol: Symbol) -> str:
    if symbol.path:
        return symbol.written
    return symbol.name


def _name_replaced(store: Store, orm: Orm) -> str:
    """The name in the store that is its way to a session."""
    if orm.flask is not None:
        return "new_session"
    name = "engine"
    if store.connect:
        name = store.connect.name
    if name == _LOCAL:
        return _OTHER
    return name


def _write_stand_in(orm: Orm) -> str:
    """What takes the place of the store's way to a session: the same kind of thing, on the test's
    database.

    `{engine}` is the variable of the fixture, whose name depends on what else the tests import.
    """
    if orm.awaited:
        if orm.opened.startswith("AsyncSession("):
            return "awaited"
        if orm.commits:
            return "async_sessionmaker(awaited)"
        return "async_sessionmaker(awaited).begin"
    if orm.flask is not None:
        return "Sessions"
    if orm.style == "flask":
        return "SimpleNamespace(engine={engine})"
    if orm.opened.startswith("orm.Session("):
        return "{engine}"
    if ".session_factory" in orm.opened:
        return "scoped_session(Sessions)"
    if orm.commits:
        return "Sessions"
    return "Sessions.begin"
