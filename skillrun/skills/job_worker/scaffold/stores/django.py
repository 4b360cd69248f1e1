"""A dedupe row and dead letters in Django's ORM: the models, their migration, and the module that
the handler uses.
"""

from __future__ import annotations

from dataclasses import dataclass

from skillrun.frameworks.pieces import (
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
from skillrun.skills.job_worker.scaffold.stores.testing import Testing

_FIELDS = {
    "int": "BigIntegerField",
    "str": "CharField",
    "float": "FloatField",
    "bool": "BooleanField",
}


@dataclass(frozen=True)
class Migration:
    """A new migration behind the latest one of its app. `packages`: `__init__.py` files that are
    missing.
    """

    path: str
    after: str | None  # the name of the one that it depends on
    done: bool = True  # the dedupe table is missing
    dead: bool = True  # the table of dead letters is missing
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowMigration:
    """A new migration that adds a row to a table of a library, behind the latest one of the app
    `label`.
    """

    path: str
    label: str
    after: str | None
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Orm:
    """What the templates need to know: `Store.extras["orm"]`.

    `auto_field`: the class of the key that Django adds; "" where nothing says which, so the model
    says it.
    """

    columns: tuple[Column, ...]
    label: str  # of the app
    auto_field: str
    model: Symbol | None = None  # of the dedupe table; None: the receiver or Redis remembers
    dead: Symbol | None = None
    dead_table: str = ""
    migration: Migration | None = None


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The models that are missing, their migration, and the module of `once` and `bury`."""
    orm: Orm = facts.store.extras["orm"]
    missing = []
    for model in (orm.model, orm.dead):
        if model is not None and not model.exists:
            missing.append(model)
    found: list[Piece] = []
    if missing:
        found = [Module(missing[0].path, _models(facts, render, orm))]
    found += [_shown(model) for model in missing[:1] if model.path.endswith("models/jobs.py")]
    if orm.migration is not None:
        found += [NewFile(path, "") for path in orm.migration.packages]
        found.append(NewFile(orm.migration.path, _migration(facts, render, orm, orm.migration)))
    return [*found, Module(facts.store.path, _store(facts, render, orm))]


def _shown(model: Symbol) -> Piece:
    """A package of models shows Django what its modules hold."""
    return Module(
        model.path.replace("jobs.py", "__init__.py"),
        f"from {model.module.rpartition('.')[0]} import jobs\n",
    )


def _models(facts: Facts, render: Render, orm: Orm) -> str:
    fields = [_write_field(column) for column in orm.columns]
    return render(
        "django_models.py.jinja",
        facts,
        needed=["from django.db import models"],
        fields=fields,
        done=_find_new_table(orm, orm.model, facts.store.name),
        dead=_find_new_table(orm, orm.dead, orm.dead_table),
        quoted=_quote_columns(orm),
        own_id=not orm.auto_field,
    )


@dataclass(frozen=True)
class Table:
    """A model that is to be written. `db_table` is "" where Django derives that name by itself."""

    model: str
    table: str
    db_table: str


def _find_new_table(orm: Orm, model: Symbol | None, table: str) -> Table | None:
    """Of a model that is to be written; None where it is there."""
    if model is None or model.exists:
        return None
    return _describe_table(orm, model, table)


def _describe_table(orm: Orm, model: Symbol, table: str) -> Table:
    if table == f"{orm.label}_{model.name.lower()}":
        return Table(model.name, table, "")
    return Table(model.name, table, table)


def _write_field(column: Column) -> tuple[str, str, list[str]]:
    """(name, class, arguments) of a key field."""
    longest = []
    if column.annotation == "str":
        longest = [f"max_length={column.length}"]
    return column.name, f"models.{_FIELDS[column.annotation]}", longest


def _quote_columns(orm: Orm) -> list[str]:
    return [f'"{column.name}"' for column in orm.columns]


def _migration(facts: Facts, render: Render, orm: Orm, migration: Migration) -> str:
    # A model may be there without its migration.
    done = None
    if migration.done and orm.model is not None:
        done = _describe_table(orm, orm.model, facts.store.name)
    dead = None
    if migration.dead and orm.dead is not None:
        dead = _describe_table(orm, orm.dead, orm.dead_table)
    id_arguments = ["primary_key=True", "serialize=False"]
    if orm.auto_field:
        id_arguments = ["auto_created=True", *id_arguments, 'verbose_name="ID"']
    fields = ", ".join(_quote_columns(orm))
    if len(orm.columns) == 1:
        fields += ","
    return render(
        "django_migration.py.jinja",
        facts,
        needed=["from django.db import migrations, models"],
        label=orm.label,
        after=migration.after,
        done=done,
        dead=dead,
        fields=[_write_field(column) for column in orm.columns],
        id_arguments=id_arguments,
        id_field=f"models.{orm.auto_field or 'BigAutoField'}",
        tuple_of_fields=f"({fields})",
    )


def _store(facts: Facts, render: Render, orm: Orm) -> str:
    done, dead = name_of(orm.model), name_of(orm.dead)
    return render(
        "django_store.py.jinja",
        facts,
        needed=_store_imports(facts.store, orm),
        done=done,
        dead=dead,
        parameters=[column.parameter for column in orm.columns],
        given=[column.given for column in orm.columns],
        names=[column.name for column in orm.columns],
        remembered=remembered(done=bool(done), buries=bool(dead)),
    )


def _store_imports(store: Store, orm: Orm) -> list[Symbol | str]:
    needed: list[Symbol | str] = []
    if orm.model is not None:
        needed += ["from collections.abc import Iterator", "from contextlib import contextmanager"]
        if store.transactional or store.claims:
            needed.append("from django.db import IntegrityError, transaction")
        if store.transactional:
            needed.append("from django.db.backends.base.base import BaseDatabaseWrapper")
    if orm.dead is not None:
        needed += ["import json", "from hashlib import sha256", "from typing import Any"]
    models = []
    for model in (orm.model, orm.dead):
        if model is not None:
            models.append(model)
    return [*needed, *(f"from {model.module} import {model.name}" for model in models)]


def testing(facts: Facts) -> Testing:
    """The test database of Django's own runner, or of pytest-django where the repository depends on
    it.
    """
    orm: Orm = facts.store.extras["orm"]
    needed: tuple[Symbol, ...] = ()
    dead = ""
    if orm.dead is not None:
        needed, dead = (orm.dead,), orm.dead.written
    return Testing(
        ("django_fixture.jinja",),
        needed,
        {"dead": dead},
        case=Symbol("django.test", "TransactionTestCase"),
        only_cases=not facts.store.extras["pytest_django"],
    )
