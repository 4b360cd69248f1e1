"""Procrastinate: on a PostgreSQL of its own, where a worker writes its schema."""

from __future__ import annotations

from collections.abc import Sequence

from skillrun.frameworks.broker import Premises

# A worker that was silent for longer is dead: its job waits for nobody.
_HEARTBEAT = "interval '30 seconds'"
_MINE = (
    "status = 'todo' or (status = 'doing' and worker_id in"
    f" (select id from procrastinate_workers where last_heartbeat > now() - {_HEARTBEAT}))"
)
_TABLES = (
    "procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers, procrastinate_workers"
)


class ProcrastinateBroker:
    """The tables of procrastinate/sql/schema.sql; nothing waits before the application has made
    them.
    """

    ALONE = False
    ENDS_APART = False

    def __init__(self, premises: Premises) -> None:
        self.server = premises.start_postgres()
        self.url = self.server.url
        self.kept: list[object] = []

    def _ask_server(self, sql: str) -> Sequence[Sequence[object]]:
        there = self.server.query("select to_regclass('procrastinate_workers') is not null")
        if not there[0][0]:
            return []
        return self.server.query(sql)

    def _count_jobs(self, which: str) -> int:
        return len(self._ask_server(f"select id from procrastinate_jobs where {which}"))

    def empty_queues(self) -> None:
        self._ask_server(f"truncate {_TABLES}")

    def count_waiting(self) -> int:
        return self._count_jobs(_MINE)

    def list_queues(self) -> list[str]:
        queues = []
        for [name] in self._ask_server("select distinct queue_name from procrastinate_jobs"):
            queues.append(str(name))
        return queues

    def remember_waiting(self) -> None:
        self.kept = [id_ for [id_] in self._ask_server("select id from procrastinate_jobs")]

    def deliver_again(self) -> None:
        """As whoever finds a job stalled that had ended after all, but for the status."""
        ids = ", ".join(map(str, self.kept))
        self._ask_server(
            "update procrastinate_jobs set status = 'todo', scheduled_at = null where id in"
            f" ({ids})"
        )

    def lose_messages(self) -> None:
        self._ask_server(f"truncate {_TABLES}")

    def pass_time(self, seconds: float) -> None:
        """Heartbeats and events are older, and the next tick of what gives jobs back is due."""
        past = f"interval '{seconds} seconds'"
        self._ask_server(
            f"update procrastinate_workers set last_heartbeat = last_heartbeat - {past}"
        )
        self._ask_server(f"update procrastinate_events set at = at - {past}")
        self._ask_server("delete from procrastinate_periodic_defers")

    def count_dead(self) -> int | None:
        return self._count_jobs("status = 'failed'")

    def stop(self) -> None:
        self.server.stop()
