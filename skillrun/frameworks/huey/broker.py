"""Huey on a SQLite file: what was dequeued is nowhere else."""

from __future__ import annotations

from skillrun.frameworks.broker import Premises
from skillrun.frameworks.common.sqlite_broker import SqliteBroker

_MESSAGES = ("task", "schedule")


class HueyBroker(SqliteBroker):
    """The file of `huey.storage.SqliteStorage`."""

    def __init__(self, premises: Premises) -> None:
        super().__init__(premises.folder / "huey.db")

    def empty_queues(self) -> None:
        for file in self.file.parent.glob("huey.db*"):
            file.unlink()

    def count_waiting(self) -> int:
        return sum(map(self.count_rows, _MESSAGES))

    def list_queues(self) -> list[str]:
        return self.list_names("queue", "task")

    def remember_waiting(self) -> None:
        self.kept = self.ask_rows("select queue, data, priority from task")

    def deliver_again(self) -> None:
        self.change_rows("insert into task (queue, data, priority) values (?, ?, ?)", self.kept)

    def lose_messages(self) -> None:
        for table in _MESSAGES:
            self.change_rows(f"delete from {table}")

    def pass_time(self, seconds: float) -> None:
        """Time gives nothing back."""

    def count_dead(self) -> int | None:
        return None
