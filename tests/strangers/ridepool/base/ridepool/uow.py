"""with UnitOfWork() as uow: ...   One write transaction, from the first statement to the commit."""

import sqlite3
import time
from dataclasses import dataclass

from ridepool import settings


@dataclass(frozen=True)
class Payout:
    id: int
    driver_id: int
    cents: int
    status: str
    account: str
    starts: int
    first_try_at: float | None

    @property
    def key(self) -> str:
        return f"payout-{self.id}"


class Payouts:
    COLUMNS = "id, driver_id, cents, status, account, starts, first_try_at"

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    def get(self, payout_id: int) -> Payout | None:
        row = self._con.execute(f"select {self.COLUMNS} from payouts where id = ?", (payout_id,)).fetchone()
        return Payout(*row) if row else None

    def approve(self, payout_id: int) -> bool:
        return self._changed(
            "update payouts set status = 'approved', changed_at = ?,"
            " account = (select account from drivers where drivers.id = payouts.driver_id)"
            " where id = ? and status = 'draft'",
            time.time(),
            payout_id,
        )

    def started(self, payout_id: int) -> Payout:
        now = time.time()
        self._changed(
            "update payouts set starts = starts + 1, first_try_at = coalesce(first_try_at, ?), changed_at = ?"
            " where id = ?",
            now,
            now,
            payout_id,
        )
        return self.get(payout_id)

    def published(self, payout_id: int) -> None:
        now = time.time()
        self._changed(
            "update payouts set published_at = ?, changed_at = ? where id = ? and status = 'approved'",
            now,
            now,
            payout_id,
        )

    def paid(self, payout_id: int, ref: str) -> bool:
        return self._changed(
            "update payouts set status = 'paid', paywire_ref = ?, changed_at = ?"
            " where id = ? and status in ('approved', 'failed')",
            ref,
            time.time(),
            payout_id,
        )

    def failed(self, payout_id: int) -> bool:
        return self._changed(
            "update payouts set status = 'failed', changed_at = ? where id = ? and status = 'approved'",
            time.time(),
            payout_id,
        )

    def idle(self, before: float) -> list[Payout]:
        rows = self._con.execute(
            f"select {self.COLUMNS} from payouts"
            " where status = 'approved' and (published_at is null or changed_at < ?) order by id",
            (before,),
        )
        return [Payout(*row) for row in rows]

    def _changed(self, sql: str, *values) -> bool:
        return self._con.execute(sql, values).rowcount == 1


class Statements:
    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    def post(self, payout: Payout, text: str) -> None:
        self._con.execute(
            "insert into statement_lines (payout_id, driver_id, cents, text) values (?, ?, ?, ?)",
            (payout.id, payout.driver_id, -payout.cents, text),
        )
        self._con.execute(
            "update drivers set balance_cents = balance_cents - ? where id = ?", (payout.cents, payout.driver_id)
        )


class DeadLetters:
    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    def write(self, ref: str, task: str, task_id: str, message: str, error: str) -> None:
        self._con.execute(
            "insert into dead_letters (ref, task, task_id, message, error, at) values (?, ?, ?, ?, ?, ?)"
            " on conflict (ref) do nothing",
            (ref, task, task_id, message, error, time.time()),
        )

    def withdraw(self, ref: str) -> None:
        self._con.execute("delete from dead_letters where ref = ?", (ref,))


class UnitOfWork:
    def __enter__(self) -> "UnitOfWork":
        self._con = sqlite3.connect(settings.DB, timeout=15, isolation_level=None)
        try:
            self._con.execute("pragma foreign_keys = on")
            self._con.execute("begin immediate")
        except BaseException:
            self._con.close()
            raise
        self.payouts = Payouts(self._con)
        self.statements = Statements(self._con)
        self.letters = DeadLetters(self._con)
        return self

    def __exit__(self, kind, exc, trace) -> None:
        try:
            self._con.execute("rollback" if kind else "commit")
        finally:
            self._con.close()
