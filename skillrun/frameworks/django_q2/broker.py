"""Django Q2 on its ORM broker: rows of the application's own SQLite file."""

from __future__ import annotations

from skillrun.frameworks.broker import NotConfirmed, Premises
from skillrun.frameworks.common.sqlite_broker import SqliteBroker

_QUEUED, _SCHEDULED = "django_q_ormq", "django_q_schedule"
_PAST = "2000-01-01 00:00:00"


class DjangoQ2Broker(SqliteBroker):
    """A row is locked when it is taken, and deleted when it is acknowledged; a schedule that runs
    once waits too.
    """

    ALONE = True  # its clock is the rows' own
    ENDS_APART = True  # in the monitor, see hooks.py

    def __init__(self, premises: Premises) -> None:
        file = premises.find_sqlite_file()
        if file is None:
            raise NotConfirmed(
                "a real worker of Django Q2 is confirmed on SQLite alone: proof.database names no"
                " file"
            )
        super().__init__(file)
        self.counts = premises.counts_dead_letters

    def count_waiting(self) -> int:
        once = self.count_rows(_SCHEDULED, "schedule_type = 'O' and repeats <> 0")
        return self.count_rows(_QUEUED) + once

    def list_queues(self) -> list[str]:
        return self.list_names("key", _QUEUED)

    def remember_waiting(self) -> None:
        self.kept = self.ask_rows(f"select key, payload from {_QUEUED}")

    def deliver_again(self) -> None:
        rows = [(*row, _PAST) for row in self.kept]
        self.change_rows(f"insert into {_QUEUED} (key, payload, lock) values (?, ?, ?)", rows)

    def lose_messages(self) -> None:
        self.change_rows(f"delete from {_QUEUED}")

    def pass_time(self, seconds: float) -> None:
        self.change_rows(f"update {_QUEUED} set lock = '{_PAST}'")

    def count_dead(self) -> int | None:
        if not self.counts:
            return None
        return self.count_rows("django_q_task", "success = 0")
