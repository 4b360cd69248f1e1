"""Huey on a SQLite file: what was dequeued is nowhere else."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillrun.proof.setting import Setting

_MESSAGES = ("task", "schedule")


class HueyBroker:
    """The file of `huey.storage.SqliteStorage`."""

    ALONE = False

    def __init__(self, setting: Setting) -> None:
        self.file = setting.place.run / "huey.db"
        self.url = str(self.file)
        self.kept: list[Any] = []

    def _ask(self, sql: str, rows: list[Any] | None = None) -> list[Any]:
        """Nothing where the application has not made the file yet."""
        if not self.file.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.file, timeout=10)) as connection, connection:
            try:
                if rows is None:
                    return connection.execute(sql).fetchall()
                connection.executemany(sql, rows)
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
        return []

    def reset(self) -> None:
        for file in self.file.parent.glob("huey.db*"):
            file.unlink()

    def waiting(self) -> int:
        return sum(
            count for table in _MESSAGES for (count,) in self._ask(f"select count(*) from {table}")
        )

    def queues(self) -> list[str]:
        return [name for (name,) in self._ask("select distinct queue from task")]

    def keep(self) -> None:
        self.kept = self._ask("select queue, data, priority from task")

    def again(self) -> None:
        self._ask("insert into task (queue, data, priority) values (?, ?, ?)", self.kept)

    def clear(self) -> None:
        for table in _MESSAGES:
            self._ask(f"delete from {table}")

    def age(self, seconds: float) -> None:
        """Time gives nothing back."""

    def dead(self) -> int | None:
        return None

    def stop(self) -> None: ...
