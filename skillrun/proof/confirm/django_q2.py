"""Django Q2 on its ORM broker: rows of the application's own SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

from skillrun.proof.confirm.interface import NotConfirmed
from skillrun.proof.state import SqliteStore

if TYPE_CHECKING:
    from skillrun.proof.setting import Setting

_QUEUED, _SCHEDULED = "django_q_ormq", "django_q_schedule"
_PAST = "2000-01-01 00:00:00"


class DjangoQ2Broker:
    """A row is locked when it is taken, and deleted when it is acknowledged; a schedule that runs
    once waits too.
    """

    ALONE = True  # its clock is the rows' own

    def __init__(self, setting: Setting) -> None:
        store = setting.store()
        if not isinstance(store, SqliteStore):
            raise NotConfirmed(
                "a real worker of Django Q2 is confirmed on SQLite alone: proof.database names no"
                " file"
            )
        self.file = store.path
        self.url = str(store.path)
        letter = setting.spec.dead_letter
        self.counts = letter is not None and letter.kind == "framework"
        self.kept: list[Any] = []

    def _ask(self, sql: str, rows: list[Any] | None = None) -> list[Any]:
        """Nothing where there is no such table."""
        with contextlib.closing(sqlite3.connect(self.file, timeout=10)) as connection, connection:
            try:
                if rows is None:
                    return connection.execute(sql).fetchall()
                connection.executemany(sql, rows)
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
        return []

    def _count(self, table: str, where: str = "1") -> int:
        return sum(count for (count,) in self._ask(f"select count(*) from {table} where {where}"))

    def reset(self) -> None:
        """The file was put back already."""

    def waiting(self) -> int:
        return self._count(_QUEUED) + self._count(
            _SCHEDULED, "schedule_type = 'O' and repeats <> 0"
        )

    def queues(self) -> list[str]:
        return [name for (name,) in self._ask(f"select distinct key from {_QUEUED}")]

    def keep(self) -> None:
        self.kept = self._ask(f"select key, payload from {_QUEUED}")

    def again(self) -> None:
        rows = [(*row, _PAST) for row in self.kept]
        self._ask(f"insert into {_QUEUED} (key, payload, lock) values (?, ?, ?)", rows)

    def clear(self) -> None:
        self._ask(f"delete from {_QUEUED}")

    def age(self, seconds: float) -> None:
        self._ask(f"update {_QUEUED} set lock = '{_PAST}'")

    def dead(self) -> int | None:
        return self._count("django_q_task", "success = 0") if self.counts else None

    def stop(self) -> None: ...
