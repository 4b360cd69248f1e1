"""A unit of work is one transaction. What is not committed is rolled back."""

from __future__ import annotations

from datetime import datetime

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from lagerhaus import clock
from lagerhaus.model import Shipment
from lagerhaus.settings import get_settings


class Shipments:
    def __init__(self, conn: psycopg.Connection):
        self._conn = conn

    def locked(self, shipment_no: str) -> Shipment | None:
        with self._conn.cursor(row_factory=class_row(Shipment)) as cur:
            cur.execute("select * from shipments where shipment_no = %s for update", (shipment_no,))
            return cur.fetchone()

    def locked_stale(self, before: datetime) -> list[Shipment]:
        with self._conn.cursor(row_factory=class_row(Shipment)) as cur:
            cur.execute(
                "select * from shipments where status = 'released' and touched_at < %s"
                " order by shipment_no limit 200 for update skip locked",
                (before,),
            )
            return cur.fetchall()

    def save(self, shipment: Shipment) -> None:
        """Only what the model changes; the rest of the row belongs to the packing table."""
        self._conn.execute(
            "update shipments set status = %(status)s, client_reference = %(client_reference)s,"
            " tracking_no = %(tracking_no)s, starts = %(starts)s,"
            " first_start_at = %(first_start_at)s, touched_at = %(touched_at)s"
            " where shipment_no = %(shipment_no)s",
            vars(shipment),
        )


class Pickups:
    def __init__(self, conn: psycopg.Connection):
        self._conn = conn

    def expect(self, pickup_id: int, parcels: int) -> None:
        self._conn.execute(
            "update pickups set announced_parcels = announced_parcels + %s where id = %s",
            (parcels, pickup_id),
        )


class DeadLetters:
    def __init__(self, conn: psycopg.Connection):
        self._conn = conn

    def put(self, task: str, key: str, message: dict, reason: str) -> None:
        self._conn.execute(
            "insert into dead_letters (task, key, message, reason, died_at)"
            " values (%s, %s, %s, %s, %s) on conflict (task, key) do nothing",
            (task, key, Jsonb(message), reason, clock.utcnow()),
        )

    def withdraw(self, task: str, key: str) -> None:
        self._conn.execute("delete from dead_letters where task = %s and key = %s", (task, key))


class UnitOfWork:
    def __enter__(self) -> UnitOfWork:
        self.conn = psycopg.connect(get_settings().dsn, connect_timeout=10)
        self.shipments = Shipments(self.conn)
        self.pickups = Pickups(self.conn)
        self.dead_letters = DeadLetters(self.conn)
        return self

    def commit(self) -> None:
        self.conn.commit()

    def __exit__(self, *exc_info) -> None:
        # Closing without a commit rolls back, also where the connection is broken already.
        self.conn.close()
