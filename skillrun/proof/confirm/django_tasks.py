"""Django's tasks: rows in the application's own SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

from skillrun.proof.confirm.interface import NotConfirmed
from skillrun.proof.state import SqliteStore

if TYPE_CHECKING:
    from skillrun.proof.setting import Setting

_TABLE = "django_tasks_database_dbtaskresult"


class DjangoTasksBroker:
    """The table of django-tasks-db. What a dead worker had stays RUNNING, and waits for nobody."""

    ALONE = False

    def __init__(self, setting: Setting) -> None:
        store = setting.store()
        if not isinstance(store, SqliteStore):
            raise NotConfirmed(
                "the tasks' rows are looked at in SQLite alone, and proof.database is none"
            )
        self.file = store.path
        self.url = str(self.file)
        self.kept: list[tuple[Any, ...]] = []

    def _ask(self, sql: str, rows: list[tuple[Any, ...]] | None = None) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.file, timeout=10)) as connection, connection:
            if rows is not None:
                connection.executemany(sql, rows)
                return []
            return connection.execute(sql).fetchall()

    def _count(self, status: str) -> int:
        return int(self._ask(f"select count(*) from {_TABLE} where status = '{status}'")[0][0])

    def reset(self) -> None:
        """The rows are put back with the rest of the database."""

    def waiting(self) -> int:
        return self._count("READY")

    def queues(self) -> list[str]:
        return [name for (name,) in self._ask(f"select distinct queue_name from {_TABLE}")]

    def keep(self) -> None:
        self.kept = self._ask(f"select * from {_TABLE} where status = 'READY'")

    def again(self) -> None:
        for row in self.kept:
            self._ask(
                f"insert or replace into {_TABLE} values ({', '.join('?' * len(row))})", [row]
            )

    def clear(self) -> None:
        self._ask(f"delete from {_TABLE} where status in ('READY', 'RUNNING')")

    def age(self, seconds: float) -> None:
        """Time gives nothing back."""

    def dead(self) -> int | None:
        return self._count("FAILED")

    def stop(self) -> None: ...
