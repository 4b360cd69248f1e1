"""Which kind of store a job gets, by its spec and by what the repository uses already."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked
from skillrun.frameworks.pieces import Store, Symbol
from skillrun.frameworks.registry import features_of
from skillrun.repo.places import is_aside
from skillrun.skills.job_worker.scaffold.stores import (
    alembic,
    django_use,
    flask_use,
    redis_use,
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
from skillrun.skills.job_worker.scaffold.writers import awaits
from skillrun.skills.job_worker.stages import uniqueness

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.skills.job_worker.stages.interface import JobCase

_OWN_SESSIONS = "no session factory or engine was found: the store makes its own from DATABASE_URL"
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
    `Store.facts`.

    "columns" are the key's, "notes" are sentences for a person, "database" is what a proof points
    elsewhere, "busy" names the error that `once` raises to be tried again. Raises Blocked where the
    spec or the repository leaves open where the store goes.
    """
    wanted = read_wanted(case.project, spec)
    kinds = {"redis": _redis, "receiver": _receiver, "table": _in_database}
    store = kinds[wanted.kind](case, spec, wanted)
    features = features_of(case.use.id if case.use else None)
    rows = None
    if features.rows_in_database and not _has_table(store):
        rows = _rows(case, wanted)
    if features.schedules_in_rows:
        store = _with_schedule(case, spec, wanted, store)
    notes = (*store.facts["notes"], *(rows.facts["notes"] if rows else ()))
    return replace(store, facts={**store.facts, "rows": rows, "notes": notes})


def _has_table(store: Store) -> bool:
    return store.kind not in ("redis", "receiver") or store.facts["letters"] is not None


def _in_database(case: JobCase, spec: JobSpec, wanted: Wanted, end: str = "store") -> Store:
    """Tables in the database that the repository uses. `end`: of the module's name."""
    if django_use.is_django(case.project):
        return _django(case, wanted, f"{spec.shown_path}:{spec.line('handler')}: handler", end)
    return _sqlalchemy(case, spec, wanted, end) or _sqlite3(case, spec, wanted, end)


def _store(wanted: Wanted, kind: str, end: str, facts: dict[str, Any], **more: Any) -> Store:
    name = f"{wanted.handler}_{end}"
    claims = wanted.claims and not wanted.transactional and bool(wanted.table or wanted.prefix)
    return Store(
        kind=kind,
        module=wanted.module(end),
        path=f"{wanted.folder}{name}.py",
        name=wanted.prefix if kind == "redis" else wanted.table,
        window_s=wanted.window_s,
        transactional=wanted.transactional and bool(wanted.table),
        claims=claims,
        facts={"columns": wanted.columns, **facts},
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

    pinned = (
        one
        for one in read_manifests(case.tree).find("sqlalchemy")
        if _OLD_SQLALCHEMY.search(one.text)
    )
    for one in pinned:
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

    found = [
        one for one in read_manifests(case.tree).find(*_DATABASES) if not _ASIDE.search(one.group)
    ]
    for one in (one for one in found if is_around(case.project, one.path, near)):
        where = f"{spec.shown_path}:{spec.line('idempotency', 'dedupe')}: idempotency.dedupe.store"
        message = (
            f"{where}: no models and no session that a module could import were found beside"
            f" {one.name}"
        )
        raise Blocked(
            message, hint='write "redis PREFIX" or "receiver" there, or write the store by hand'
        )


def _scheme(case: JobCase) -> str | None:
    """How SQLAlchemy's URL begins for the client that the repository depends on; None without
    one.
    """
    if _depends(case, "psycopg") and not _depends(case, "psycopg2", "psycopg2-binary"):
        return "postgresql+psycopg"
    if _postgresql(case):
        return "postgresql"
    return None


def _notes(*notes: str | None) -> tuple[str, ...]:
    return tuple(note for note in notes if note)


# -- Django


def _django(case: JobCase, wanted: Wanted, where: str, end: str) -> Store:
    app = django_use.find_app(case.project, wanted, where)
    orm = django_use.plan_orm(case.project, wanted, app)
    database = django_use.database_of(case.project, postgresql=_postgresql(case))
    none = f"{app.label} keeps no migrations: make the new tables as the others are made"
    made = None
    if django_use.keeps_none(case.project, app):
        made = none
    facts = {"orm": orm, "database": database, "notes": _notes(made, database.note)}
    facts["pytest_django"] = _depends(case, "pytest-django")
    return _store(
        wanted, "django", end, {**facts, "setup": f"{django_use.manage(case.project)} migrate"}
    )


def _rows(case: JobCase, wanted: Wanted) -> Store:
    """The database alone, for the tests and the proof of a job that makes no table in it."""
    database = django_use.database_of(case.project, postgresql=_postgresql(case))
    facts = {"orm": Orm((), "", ""), "database": database, "notes": _notes(database.note)}
    facts |= {
        "pytest_django": _depends(case, "pytest-django"),
        "setup": f"{django_use.manage(case.project)} migrate",
    }
    return _store(wanted, "django", "store", facts)


def _with_schedule(case: JobCase, spec: JobSpec, wanted: Wanted, store: Store) -> Store:
    """With `schedule`: the migration that adds the row by which the library's clock starts the
    job.
    """
    if spec.trigger is None or spec.trigger.type == "event":
        return store
    app = django_use.find_app(
        case.project, wanted, f"{spec.shown_path}:{spec.line('handler')}: handler"
    )
    tables = store.facts.get("letters") or store
    orm = tables.facts.get("orm")
    made = django_use.plan_row(
        case.project, app, f"schedule_{wanted.handler}", orm.migration if orm else None
    )
    return replace(store, facts={**store.facts, "schedule": made})


# -- SQLAlchemy


def _sqlalchemy(case: JobCase, spec: JobSpec, wanted: Wanted, end: str) -> Store | None:
    near = f"{wanted.folder}{wanted.handler}_store.py"
    base = sqlalchemy_use.find_base(case.project, near)
    opening = sqlalchemy_use.find_opening(case.project, base, near, awaited=_awaits(case, spec))
    if base is None and opening is None:
        return None
    _refuse_old(case)
    scripts = alembic.find_scripts(case.project, base.models.path or near if base else near)
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
    notes = _notes(
        None if opening else _OWN_SESSIONS,
        _NO_CONTEXT if is_flask and flask is None else None,
        None if setup else _NO_TABLES,
        _NO_AIOSQLITE if orm.awaited and not _depends(case, "aiosqlite") else None,
        database.note,
    )
    return _store(
        wanted,
        "sqlalchemy",
        end,
        {"orm": orm, "database": database, "notes": notes, "setup": setup, "awaited": orm.awaited},
        connect=opening.symbol if opening else None,
        base=base.symbol if base else Symbol(own_tables(wanted).module, "Base", exists=False),
    )


def _choose_scheme(case: JobCase, opening: sqlalchemy_use.Opening | None) -> str | None:
    """Of PostgreSQL's URL; None where the repository does not use it."""
    if opening and opening.awaited and _depends(case, "asyncpg"):
        return "postgresql+asyncpg"
    return _scheme(case)


def _awaits(case: JobCase, spec: JobSpec) -> bool:
    """Whether the store may be one of asyncio: the handler awaits, and a transaction is handed to
    what awaits too.
    """
    if case.use is None or not awaits(case.project, case.use, spec.handler or ""):
        return False
    calls = []
    for effect in spec.effects or ():
        if effect.guarantee == "transactional":
            calls.append(effect.call)
    adapters = [case.project.find(call) for call in calls]
    return all(
        adapter is not None and isinstance(adapter.node, ast.AsyncFunctionDef)
        for adapter in adapters
    )


def _app_path(case: JobCase) -> str:
    """The module of the job library's app, "" where there is none."""
    return ((case.use.app if case.use else None) or "").partition(":")[0]


# -- SQLite through the standard library


def _sqlite3(case: JobCase, spec: JobSpec, wanted: Wanted, end: str) -> Store:
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
    facts = {
        "opening": opening,
        "tables": tables,
        "dead_table": wanted.dead_table,
        "database": database,
    }
    setup = None
    if tables.any:
        setup = f"python -m {wanted.module(end)}"
    notes = _notes(database.note)
    return _store(
        wanted, "sqlite3", end, {**facts, "setup": setup, "notes": notes}, connect=opening.symbol
    )


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


def _redis(case: JobCase, spec: JobSpec, wanted: Wanted) -> Store:
    redis_use.refuse_transactions(spec)
    client = redis_use.find_client(case.project, f"{wanted.folder}{wanted.handler}.py")
    letters = _letters(case, spec, wanted, "dead_letters")
    database = redis_use.database_of(case.project, client)
    if wanted.claims or _waits_in_place(case):
        lease = None
    else:
        lease = redis_use.lease_s(spec, case.policy)
    keys = Keys(
        columns=wanted.columns,
        prefix=wanted.prefix,
        client=client.expression if client else "client",
        lease_s=lease,
        kept_s=redis_use.kept_s(spec, case.policy),
        imports=client.imports if client else (),
        variable=None if client else "REDIS_URL",
        bury=Symbol(letters.module, "bury", exists=False, path=letters.path) if letters else None,
        fake=_depends(case, "fakeredis"),
    )
    made = None
    if not client:
        made = "no client of Redis was found: the store makes its own from REDIS_URL"
    notes = _notes(made, database.note, *(letters.facts["notes"] if letters else ()))
    facts = {
        "keys": keys,
        "busy": "Busy" if lease else None,
        "letters": letters,
        "database": database,
        "notes": notes,
    }
    return _store(wanted, "redis", "store", facts, connect=client.symbol if client else None)


def _waits_in_place(case: JobCase) -> bool:
    """A plain function waits for its next attempt in its own process: a delivery that finds another
    at work cannot come back later, so there is no lease; both may work, with the same key.
    """
    return case.use is not None and features_of(case.use.id).runs_in_place


def _receiver(case: JobCase, spec: JobSpec, wanted: Wanted) -> Store:
    letters = _letters(case, spec, wanted, "store")
    facts = {
        "letters": letters,
        "database": Database(),
        "notes": letters.facts["notes"] if letters else (),
    }
    return _store(wanted, "receiver", "store", facts)


def _letters(case: JobCase, spec: JobSpec, wanted: Wanted, end: str) -> Store | None:
    """The store of dead letters alone. Raises Blocked where the repository has no database."""
    if not wanted.dead_table:
        return None
    store = _in_database(case, spec, wanted, end)
    if store.kind == "sqlite3" and not any(
        not is_aside(path) for path in case.tree.search("sqlite3")
    ):
        message = (
            f"{spec.shown_path}:{spec.line('dead_letter')}: dead_letter.kind is table, and there is"
            " no database"
        )
        raise Blocked(message, hint="dead_letter: {kind: queue, where: NAME}, or {kind: framework}")
    return store
