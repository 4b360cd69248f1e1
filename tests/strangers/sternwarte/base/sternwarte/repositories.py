"""SQL lives here. A repository works on the connection it is given; who opens the
connection decides what commits together."""
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timezone

import psycopg
from psycopg.rows import class_row

from . import config


def utcnow():
    return datetime.now(timezone.utc)


@contextmanager
def transaction():
    """One connection, one transaction. RQ forks per job, so there is no pool."""
    with psycopg.connect(config.DSN, connect_timeout=10) as conn:
        yield conn


@dataclass
class Booking:
    id: str
    observer: str
    telescope: str
    night: date
    slot: int
    status: str
    reservation: str | None
    attempts: int
    rescues: int
    touched_at: datetime


class Bookings:
    def __init__(self, conn):
        self.conn = conn

    def _one(self, sql, params):
        with self.conn.cursor(row_factory=class_row(Booking)) as cur:
            return cur.execute(sql, params).fetchone()

    def request(self, booking_id, observer, telescope, night, slot):
        self.conn.execute(
            "insert into bookings (id, observer, telescope, night, slot, touched_at)"
            " values (%s, %s, %s, %s, %s, %s) on conflict (id) do update"
            " set status = 'requested', touched_at = excluded.touched_at"
            " where bookings.status = 'planned'",
            (booking_id, observer, telescope, night, slot, utcnow()),
        )

    def get(self, booking_id):
        return self._one("select * from bookings where id = %s", (booking_id,))

    def begin_attempt(self, booking_id):
        """Counts an attempt of an open booking; None where there is none to make.
        A message is a request, too: a planned booking is requested from here on."""
        return self._one(
            "update bookings set status = 'requested', attempts = attempts + 1, touched_at = %s"
            " where id = %s and status in ('planned', 'requested') and attempts < %s returning *",
            (utcnow(), booking_id, config.MAX_ATTEMPTS),
        )

    def confirm(self, booking_id, reservation):
        # Also out of `failed`: a late answer of the partner is worth more than our patience.
        self.conn.execute(
            "update bookings set status = 'confirmed', reservation = %s, touched_at = %s"
            " where id = %s and status <> 'confirmed'",
            (reservation, utcnow(), booking_id),
        )

    def refuse(self, booking_id):
        self.conn.execute(
            "update bookings set status = 'refused', touched_at = %s"
            " where id = %s and status not in ('confirmed', 'refused')",
            (utcnow(), booking_id),
        )

    def fail(self, booking_id):
        """True if the booking was open and is now failed."""
        return self.conn.execute(
            "update bookings set status = 'failed', touched_at = %s"
            " where id = %s and status in ('planned', 'requested')",
            (utcnow(), booking_id),
        ).rowcount == 1

    def stale(self):
        with self.conn.cursor(row_factory=class_row(Booking)) as cur:
            return cur.execute(
                "select * from bookings where status = 'requested' and touched_at < %s"
                " order by touched_at limit 500",
                (utcnow() - config.STALE_AFTER,),
            ).fetchall()

    def note_rescue(self, booking_id):
        self.conn.execute(
            "update bookings set rescues = rescues + 1, touched_at = %s"
            " where id = %s and status = 'requested'",
            (utcnow(), booking_id),
        )


class Inbox:
    def __init__(self, conn):
        self.conn = conn

    def has(self, message_id):
        row = self.conn.execute("select 1 from inbox where message_id = %s", (message_id,))
        return row.fetchone() is not None

    def take(self, message_id, booking_id):
        """False if somebody settled the message before us."""
        return self.conn.execute(
            "insert into inbox (message_id, booking_id, handled_at) values (%s, %s, %s)"
            " on conflict on constraint inbox_message_id_key do nothing",
            (message_id, booking_id, utcnow()),
        ).rowcount == 1


class DeadLetters:
    def __init__(self, conn):
        self.conn = conn

    def bury(self, message_id, booking_id, message, error, attempt):
        self.conn.execute(
            "insert into dead_letters (message_id, booking_id, message, error, attempt, died_at)"
            " values (%s, %s, %s, %s, %s, %s) on conflict (message_id) do nothing",
            (message_id, booking_id, message, error, attempt, utcnow()),
        )

    def exhume(self, message_id):
        self.conn.execute("delete from dead_letters where message_id = %s", (message_id,))
