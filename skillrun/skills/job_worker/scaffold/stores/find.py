"""Which kind of store a job gets, by its spec and by what the repository uses already."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked
from skillrun.frameworks.pieces import Store, Symbol
from skillrun.frameworks.registry import features_of
from skillrun.repo.places import is_aside
from skillrun.skills.job_worker.readings.tables import uniqueness
from skillrun.skills.job_worker.scaffold.libraries import awaits
from skillrun.skills.job_worker.scaffold.stores import (
    alembic,
    django_use,
    flask_use,
    redis_use,
    sqlalchemy,
    sqlalchemy_use,
    sqlite3,
)
from skillrun.skills.job_worker.scaffold.stores.database import (
    Database,
    database_behind,
    with_driver,
)
from skillrun.skills.job_worker.scaffold.stores.django import Orm
from skillrun.skills.job_worker.scaffold.stores.nearness import is_around
from skillrun.skills.job_worker.scaffold.stores.redis import Keys
from skillrun.skills.job_worker.scaffold.stores.sqlalchemy_find import (
    database_of,
    own_tables,
    plan_orm,
    setup_command,
)
from skillrun.skills.job_worker.scaffold.stores.wanted import Wanted, read_wanted

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.skills.job_worker.job_case import JobCase

_OWN_SESSIONS = "no session factory or engine was found: the store makes its own from DATABASE_URL"
_OWN_CLIENT = "no client of Redis was found: the store makes its own from REDIS_URL"
_NO_TABLES = "how the tables are made was not found: proof.setup needs a command for it"
_NO_CONTEXT = (
    "no Flask app and no factory without arguments was found: what runs outside of an app context,"
    " such as a dead letter, needs one opened"
)
_NO_AIOSQLITE = (
    "the job's tests need aiosqlite beside SQLAlchemy: add it to what is installed for tests"
)
_OLD_SQLALCHEMY = re.compile(
    r"(==|~=)\s*(0|1\.[0-3])\b|<=?\s*1\.[0-3](\.\d+)?\s*($|[\"',;])|<\s*1\.4\b", re.MULTILINE
)
_POSTGRESQL = ("psycopg", "psycopg2", "psycopg2-binary", "asyncpg", "pg8000")
_DATABASES = (
    *("sqlalchemy", "advanced-alchemy", "sqlmodel", "peewee", "tortoise-orm", "pony", *_POSTGRESQL),
    *("mysqlclient", "pymysql", "pymongo", "motor"),
)
"""Libraries of databases."""
# Groups of dependencies that no job has.
_ASIDE = re.compile(r"dev|test|doc|lint|typ|bench|example", re.IGNORECASE)


def find_store(case: JobCase, spec: JobSpec) -> Store:
    """The store that the spec names, of the repository's own kind; what it needs is in
    `Store.extras`.

    "columns" are the key's, "notes" are sentences for a person, "database" is what a proof points
    elsewhere, "busy" names the error that `once` raises to be tried again. Raises Blocked where the
    spec or the repository leaves open where the store goes.
    """
    wanted = read_wanted(case.project, spec)
    kinds = {"redis": _plan_redis, "receiver": _plan_receiver, "table": _plan_tables}
    store = kinds[wanted.kind](case, spec, wanted)
    features = features_of(None)
    if case.use:
        features = features_of(case.use.id)
    rows = None
    notes = store.extras["notes"]
    if features.rows_in_database and not _has_table(store):
        rows = _plan_rows(case, wanted)
        notes = (*notes, *rows.extras["notes"])
    if features.schedules_in_rows:
        store = _add_schedule(case, spec, wanted, store)
    return replace(store, extras={**store.extras, "rows": rows, "notes": notes})


def _has_table(store: Store) -> bool:
    return store.kind not in ("redis", "receiver") or store.extras["letters"] is not None


def _plan_tables(case: JobCase, spec: JobSpec, wanted: Wanted, end: str = "store") -> Store:
    """Tables in the database that the repository uses. `end`: of the module's name."""
    if django_use.is_django(case.project):
        return _plan_django(case, spec, wanted, end)
    return _plan_sqlalchemy(case, spec, wanted, end) or _plan_sqlite3(case, spec, wanted, end)


def _make_store(wanted: Wanted, kind: str, end: str, facts: dict[str, Any], **more: Any) -> Store:
    claims = wanted.claims and not wanted.transactional and bool(wanted.table or wanted.prefix)
    name = wanted.table
    if kind == "redis":
        name = wanted.prefix
    return Store(
        kind=kind,
        module=wanted.module(end),
        path=f"{wanted.folder}{wanted.handler}_{end}.py",
        name=name,
        window_s=wanted.window_s,
        transactional=wanted.transactional and bool(wanted.table),
        claims=claims,
        extras={"columns": wanted.columns, **facts},
        **more,
    )


def _depends(case: JobCase, *packages: str) -> bool:
    """Whether the repository depends on any of them."""
    from skillrun.repo.manifests import read_manifests

    return bool(read_manifests(case.tree).find(*packages))


def _postgresql(case: JobCase) -> bool:
    """Whether the repository depends on a client of PostgreSQL."""
    return _depends(case, *_POSTGRESQL)


def _refuse_old(case: JobCase) -> None:
    """Raises Blocked where SQLAlchemy is pinned below 1.4, whose sessions are the first with a
    block of their own.
    """
    from skillrun.repo.manifests import read_manifests

    for one in read_manifests(case.tree).find("sqlalchemy"):
        if not _OLD_SQLALCHEMY.search(one.text):
            continue
        message = (
            f"{one.path}:{one.line}: {one.text.strip()}: the store is written for SQLAlchemy 1.4"
            " and newer"
        )
        raise Blocked(
            message,
            hint='write "redis PREFIX" or "receiver" in idempotency.dedupe.store, or upgrade',
        )


def _refuse_beside_another(case: JobCase, spec: JobSpec, near: str) -> None:
    """Raises Blocked where a file of SQLite would be a second database, beside one that the
    templates cannot use.
    """
    from skillrun.repo.manifests import read_manifests

    for one in read_manifests(case.tree).find(*_DATABASES):
        if _ASIDE.search(one.group) or not is_around(case.project, one.path, near):
            continue
        where = f"{spec.shown_path}:{spec.line('idempotency', 'dedupe')}: idempotency.dedupe.store"
        message = (
            f"{where}: no models and no session that a module could import were found beside"
            f" {one.name}"
        )
        raise Blocked(
            message, hint='write "redis PREFIX" or "receiver" there, or write the store by hand'
        )


def _find_scheme(case: JobCase) -> str | None:
    """How SQLAlchemy's URL begins for the client that the repository depends on; None without
    one.
    """
    if _depends(case, "psycopg") and not _depends(case, "psycopg2", "psycopg2-binary"):
        return "postgresql+psycopg"
    if _postgresql(case):
        return "postgresql"
    return None


def _list_notes(*notes: str | None) -> tuple[str, ...]:
    """Those that there is a reason for."""
    return tuple(note for note in notes if note)


# -- Django


def _plan_django(case: JobCase, spec: JobSpec, wanted: Wanted, end: str) -> Store:
    app = _find_django_app(case, spec, wanted)
    orm = django_use.plan_orm(case.project, wanted, app)
    database = django_use.database_of(case.project, postgresql=_postgresql(case))
    unmigrated = None
    if django_use.keeps_none(case.project, app):
        unmigrated = f"{app.label} keeps no migrations: make the new tables as the others are made"
    facts = {
        "orm": orm,
        "database": database,
        "notes": _list_notes(unmigrated, database.note),
        "pytest_django": _depends(case, "pytest-django"),
        "setup": f"{django_use.manage(case.project)} migrate",
    }
    return _make_store(wanted, "django", end, facts)


def _find_django_app(case: JobCase, spec: JobSpec, wanted: Wanted) -> django_use.App:
    where = f"{spec.shown_path}:{spec.line('handler')}: handler"
    return django_use.find_app(case.project, wanted, where)


def _plan_rows(case: JobCase, wanted: Wanted) -> Store:
    """The database alone, for the tests and the proof of a job that makes no table in it."""
    database = django_use.database_of(case.project, postgresql=_postgresql(case))
    facts = {
        "orm": Orm((), "", ""),
        "database": database,
        "notes": _list_notes(database.note),
        "pytest_django": _depends(case, "pytest-django"),
        "setup": f"{django_use.manage(case.project)} migrate",
    }
    return _make_store(wanted, "django", "store", facts)


def _add_schedule(case: JobCase, spec: JobSpec, wanted: Wanted, store: Store) -> Store:
    """With `schedule`: the migration that adds the row by which the library's clock starts the
    job.
    """
    if spec.trigger is None or spec.trigger.type == "event":
        return store
    app = _find_django_app(case, spec, wanted)
    tables = store.extras.get("letters") or store
    orm = tables.extras.get("orm")
    # The row comes after the tables that the same scaffold adds.
    before = None
    if orm:
        before = orm.migration
    row = django_use.plan_row(case.project, app, f"schedule_{wanted.handler}", before)
    return replace(store, extras={**store.extras, "schedule": row})


# -- SQLAlchemy


def _plan_sqlalchemy(case: JobCase, spec: JobSpec, wanted: Wanted, end: str) -> Store | None:
    """A store over the repository's models or sessions; None where it has neither."""
    near = f"{wanted.folder}{wanted.handler}_store.py"
    base = sqlalchemy_use.find_base(case.project, near)
    opening = sqlalchemy_use.find_opening(case.project, base, near, awaited=_awaits(case, spec))
    if base is None and opening is None:
        return None
    _refuse_old(case)
    models_path = near
    base_symbol = Symbol(own_tables(wanted).module, "Base", exists=False)
    if base is not None:
        models_path = base.models.path or near
        base_symbol = base.symbol
    scripts = alembic.find_scripts(case.project, models_path)
    migration = None
    if scripts:
        migration = alembic.plan_migration(case.project, wanted, scripts)
    is_flask = base is not None and base.style == "flask"
    flask = None
    if is_flask:
        flask = flask_use.find_app(case.project, _app_path(case))
    scheme = _choose_scheme(case, opening)
    orm = plan_orm(case.project, wanted, base, opening, migration, flask, scheme=scheme)
    database = database_of(case.project, base, opening, orm, postgresql=scheme is not None)
    if scheme:
        database = with_driver(database, scheme)
    if scripts:
        setup: str | None = scripts.upgrade
    else:
        setup = setup_command(case.project, base, opening, orm, wanted.module(end))
    notes: list[str | None] = []
    connect = None
    if opening is None:
        notes.append(_OWN_SESSIONS)
    else:
        connect = opening.symbol
    if is_flask and flask is None:
        notes.append(_NO_CONTEXT)
    notes += _list_lacking(case, orm, setup)
    facts = {
        "orm": orm,
        "database": database,
        "notes": _list_notes(*notes, database.note),
        "setup": setup,
        "awaited": orm.awaited,
    }
    return _make_store(wanted, "sqlalchemy", end, facts, connect=connect, base=base_symbol)


def _list_lacking(case: JobCase, orm: sqlalchemy.Orm, setup: str | None) -> Iterator[str]:
    """What the tests or the proof of such a store will want."""
    if not setup:
        yield _NO_TABLES
    if orm.awaited and not _depends(case, "aiosqlite"):
        yield _NO_AIOSQLITE


def _choose_scheme(case: JobCase, opening: sqlalchemy_use.Opening | None) -> str | None:
    """Of PostgreSQL's URL; None where the repository does not use it."""
    if opening and opening.awaited and _depends(case, "asyncpg"):
        return "postgresql+asyncpg"
    return _find_scheme(case)


def _awaits(case: JobCase, spec: JobSpec) -> bool:
    """Whether the store may be one of asyncio: the handler awaits, and a transaction is handed to
    what awaits too.
    """
    if case.use is None or not awaits(case.project, case.use, spec.handler or ""):
        return False
    for effect in spec.effects or ():
        if effect.guarantee != "transactional":
            continue
        adapter = case.project.find(effect.call)
        if adapter is None or not isinstance(adapter.node, ast.AsyncFunctionDef):
            return False
    return True


def _app_path(case: JobCase) -> str:
    """The module of the job library's app, "" where there is none."""
    if case.use is None or case.use.app is None:
        return ""
    return case.use.app.partition(":")[0]


# -- SQLite through the standard library


def _plan_sqlite3(case: JobCase, spec: JobSpec, wanted: Wanted, end: str) -> Store:
    near = f"{wanted.folder}{wanted.handler}.py"
    opening = sqlite3.find_opening(case.project, near)
    if opening.symbol is None:
        _refuse_beside_another(case, spec, near)
    # What it made the last time is still its own.
    own = f"{wanted.folder}{wanted.handler}_{end}.py"
    tables = sqlite3.Tables(
        done=bool(wanted.table) and _is_missing(case, wanted.table, own),
        dead=bool(wanted.dead_table)
        and _is_missing(case, wanted.dead_table, own, *_others_stores(case)),
    )
    database = database_behind(
        opening.variable, opening.where, postgresql=False, file=opening.file, is_url=False
    )
    facts: dict[str, Any] = {
        "opening": opening,
        "tables": tables,
        "dead_table": wanted.dead_table,
        "database": database,
    }
    setup = None
    if tables.any:
        setup = f"python -m {wanted.module(end)}"
    facts["setup"] = setup
    facts["notes"] = _list_notes(database.note)
    return _make_store(wanted, "sqlite3", end, facts, connect=opening.symbol)


def _is_missing(case: JobCase, table: str, *but: str) -> bool:
    """Whether nothing makes it; `but`: paths that do not count."""
    return all(found.path in but for found in uniqueness.tables(case.project, table))


def _others_stores(case: JobCase) -> list[str]:
    """The stores of other jobs: each makes the tables that it writes to, whichever is there
    first.
    """
    stores = []
    for path in case.tree.search("What a background job remembers"):
        if not is_aside(path):
            stores.append(path)
    return stores


# -- Redis, and the receiver


def _plan_redis(case: JobCase, spec: JobSpec, wanted: Wanted) -> Store:
    redis_use.refuse_transactions(spec)
    client = redis_use.find_client(case.project, f"{wanted.folder}{wanted.handler}.py")
    database = redis_use.database_of(case.project, client)
    keys = Keys(
        columns=wanted.columns,
        prefix=wanted.prefix,
        client=client.expression,
        lease_s=_choose_lease(case, spec, wanted),
        kept_s=redis_use.kept_s(spec, case.policy),
        imports=client.imports,
        variable=client.variable,
        fake=_depends(case, "fakeredis"),
    )
    notes = []
    if client.symbol is None:
        notes.append(_OWN_CLIENT)
    if database.note:
        notes.append(database.note)
    letters = _plan_letters(case, spec, wanted, "dead_letters")
    if letters is not None:
        bury = Symbol(letters.module, "bury", exists=False, path=letters.path)
        keys = replace(keys, bury=bury)
        notes += letters.extras["notes"]
    busy = None
    if keys.lease_s:
        busy = "Busy"
    facts = {
        "keys": keys,
        "busy": busy,
        "letters": letters,
        "database": database,
        "notes": tuple(notes),
    }
    return _make_store(wanted, "redis", "store", facts, connect=client.symbol)


def _choose_lease(case: JobCase, spec: JobSpec, wanted: Wanted) -> float | None:
    """For how long one delivery keeps the others out; None where it does not."""
    if wanted.claims or _waits_in_place(case):
        return None
    return redis_use.lease_s(spec, case.policy)


def _waits_in_place(case: JobCase) -> bool:
    """A plain function waits for its next attempt in its own process: a delivery that finds another
    at work cannot come back later, so there is no lease; both may work, with the same key.
    """
    return case.use is not None and features_of(case.use.id).runs_in_place


def _plan_receiver(case: JobCase, spec: JobSpec, wanted: Wanted) -> Store:
    """The receiver remembers: nothing is written but what keeps dead letters."""
    letters = _plan_letters(case, spec, wanted, "store")
    notes = ()
    if letters is not None:
        notes = letters.extras["notes"]
    facts = {"letters": letters, "database": Database(), "notes": notes}
    return _make_store(wanted, "receiver", "store", facts)


def _plan_letters(case: JobCase, spec: JobSpec, wanted: Wanted, end: str) -> Store | None:
    """The store of dead letters alone. Raises Blocked where the repository has no database."""
    if not wanted.dead_table:
        return None
    store = _plan_tables(case, spec, wanted, end)
    if store.kind == "sqlite3" and all(map(is_aside, case.tree.search("sqlite3"))):
        message = (
            f"{spec.shown_path}:{spec.line('dead_letter')}: dead_letter.kind is table, and there is"
            " no database"
        )
        raise Blocked(message, hint="dead_letter: {kind: queue, where: NAME}, or {kind: framework}")
    return store
