"""Which kind of store a job gets, by its spec and by what the repository uses already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skillrun.frameworks.pieces import Store, Symbol
from skillrun.scaffold.stores import django_use, sqlalchemy_use
from skillrun.scaffold.stores.sqlalchemy_find import database_of, own_tables, plan_orm
from skillrun.scaffold.stores.wanted import Wanted, read_wanted

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.stages.interface import Case

_POSTGRESQL = ("psycopg", "psycopg2", "psycopg2-binary", "asyncpg", "pg8000")


def find_store(case: Case, spec: JobSpec) -> Store:
    """The store that the spec names, of the repository's own kind; what it needs is in `Store.facts`.

    "notes" are sentences for a person, "database" is what a proof points elsewhere. Raises Blocked where the
    spec or the repository leaves open where the store goes.
    """
    wanted = read_wanted(case.project, spec)
    if django_use.is_django(case.project):
        return _django(case, wanted, f"{spec.shown_path}:{spec.line('handler')}: handler")
    return _sqlalchemy(case, wanted) or _sqlite3(wanted)


def _store(wanted: Wanted, kind: str, **more: Any) -> Store:
    name = wanted.handler
    return Store(
        kind=kind,
        module=f"{wanted.package}.{name}_store" if wanted.package else f"{name}_store",
        path=f"{wanted.folder}{name}_store.py",
        name=wanted.table or wanted.prefix,
        window_s=wanted.window_s,
        transactional=wanted.transactional,
        claims=wanted.claims,
        **more,
    )


def _postgresql(case: Case) -> bool:
    """Whether the repository depends on a client of PostgreSQL."""
    from skillrun.repo.manifests import read_manifests

    return bool(read_manifests(case.tree).find(*_POSTGRESQL))


def _notes(*notes: str | None) -> tuple[str, ...]:
    return tuple(note for note in notes if note)


# -- Django


def _django(case: Case, wanted: Wanted, where: str) -> Store:
    app = django_use.find_app(case.project, wanted, where)
    orm = django_use.plan_orm(case.project, wanted, app)
    database = django_use.database_of(case.project, postgresql=_postgresql(case))
    none = f"{app.label} keeps no migrations: make the new tables as the others are made"
    made = none if django_use.keeps_none(case.project, app) else None
    facts = {"columns": wanted.columns, "orm": orm, "database": database, "notes": _notes(made, database.note)}
    return _store(wanted, "django", facts={**facts, "manage": django_use.manage(case.project)})


# -- SQLAlchemy


def _sqlalchemy(case: Case, wanted: Wanted) -> Store | None:
    near = f"{wanted.folder}{wanted.handler}_store.py"
    base = sqlalchemy_use.find_base(case.project, near)
    opening = sqlalchemy_use.find_opening(case.project, base, near)
    if base is None and opening is None:
        return None
    orm = plan_orm(case.project, wanted, base, opening)
    database = database_of(case.project, base, opening, orm, postgresql=_postgresql(case))
    made = None if opening else "no session factory or engine was found: the store makes its own from DATABASE_URL"
    return _store(
        wanted,
        "sqlalchemy",
        connect=opening.symbol if opening else None,
        base=base.symbol if base else Symbol(own_tables(wanted).module, "Base", exists=False),
        facts={"columns": wanted.columns, "orm": orm, "database": database, "notes": _notes(made, database.note)},
    )


def _sqlite3(wanted: Wanted) -> Store:
    return _store(wanted, "sqlite3", facts={"columns": wanted.columns, "dead_table": wanted.dead_table, "notes": ()})
