"""Django's tasks: rows in the application's own SQLite file."""

from __future__ import annotations

from skillrun.frameworks.broker import NotConfirmed, Premises
from skillrun.frameworks.common.sqlite_broker import SqliteBroker

_TABLE = "django_tasks_database_dbtaskresult"


class DjangoTasksBroker(SqliteBroker):
    """The table of django-tasks-db. What a dead worker had stays RUNNING, and waits for nobody."""

    def __init__(self, premises: Premises) -> None:
        file = premises.find_sqlite_file()
        if file is None:
            raise NotConfirmed(
                "the tasks' rows are looked at in SQLite alone, and proof.database is none"
            )
        super().__init__(file)

    def count_waiting(self) -> int:
        return self.count_rows(_TABLE, "status = 'READY'")

    def list_queues(self) -> list[str]:
        return self.list_names("queue_name", _TABLE)

    def remember_waiting(self) -> None:
        self.kept = self.ask_rows(f"select * from {_TABLE} where status = 'READY'")

    def deliver_again(self) -> None:
        for row in self.kept:
            places = ", ".join("?" * len(row))
            self.change_rows(f"insert or replace into {_TABLE} values ({places})", [row])

    def lose_messages(self) -> None:
        self.change_rows(f"delete from {_TABLE} where status in ('READY', 'RUNNING')")

    def pass_time(self, seconds: float) -> None:
        """Time gives nothing back."""

    def count_dead(self) -> int | None:
        return self.count_rows(_TABLE, "status = 'FAILED'")
