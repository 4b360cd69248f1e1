"""sqlite3, and the only module that knows it. Each method is one transaction."""
import contextlib
import sqlite3
import time
from collections import namedtuple

from . import config

SCHEMA = """
create table if not exists orders (
    id          integer primary key,
    phone       text not null,
    status      text not null default 'paid'
                check (status in ('paid', 'queued', 'delivered', 'failed')),
    archive_key text,
    digest      text,
    notice      text not null default 'none'
                check (notice in ('none', 'calling', 'sent', 'refused', 'unconfirmed')),
    message_id  text,
    called_at   real,
    runs        integer not null default 0,
    touched_at  real not null
);
create table if not exists frames (
    order_id    integer not null references orders (id),
    position    integer not null,
    negative    text not null,
    format      text not null,
    copies      integer not null default 1,
    primary key (order_id, position)
);
create table if not exists dead_orders (
    ref         text primary key,
    order_id    integer,
    reason      text not null,
    died_at     real not null
);
"""

Order = namedtuple("Order", "id phone status notice called_at runs")
Frame = namedtuple("Frame", "position negative format copies")


class Orders:
    def __init__(self, path=None):
        self.path = path or config.DATABASE

    @contextlib.contextmanager
    def _writing(self):
        db = sqlite3.connect(self.path, timeout=15, isolation_level=None)
        try:
            db.execute("begin immediate")
            yield db
            db.execute("commit")
        finally:
            db.close()

    def _reading(self, sql, args=()):
        with contextlib.closing(sqlite3.connect(self.path, timeout=15)) as db:
            return db.execute(sql, args).fetchall()

    def get(self, order_id):
        rows = self._reading(
            "select id, phone, status, notice, called_at, runs from orders where id = ?", (order_id,))
        return Order(*rows[0]) if rows else None

    def frames(self, order_id):
        return [Frame(*row) for row in self._reading(
            "select position, negative, format, copies from frames where order_id = ? order by position",
            (order_id,))]

    def queue(self, order_id):
        with self._writing() as db:
            db.execute("update orders set status = 'queued', touched_at = ? where id = ? and status = 'paid'",
                       (time.time(), order_id))

    def begin(self, order_id):
        """Counts a run of an open order. False where the order is not open, or has had its runs."""
        with self._writing() as db:
            return db.execute(
                "update orders set status = 'queued', runs = runs + 1, touched_at = ?"
                " where id = ? and status in ('paid', 'queued') and runs < ?",
                (time.time(), order_id, config.MAX_RUNS)).rowcount == 1

    def archived(self, order_id, key, digest):
        with self._writing() as db:
            db.execute("update orders set archive_key = ?, digest = ?, touched_at = ? where id = ?",
                       (key, digest, time.time(), order_id))

    def mark_calling(self, order_id):
        """True for the one who may call the provider."""
        with self._writing() as db:
            return db.execute(
                "update orders set notice = 'calling', called_at = ?, touched_at = ?"
                " where id = ? and notice = 'none' and status = 'queued'",
                (time.time(), time.time(), order_id)).rowcount == 1

    def unmark_calling(self, order_id):
        """The provider has certainly not taken it."""
        with self._writing() as db:
            db.execute("update orders set notice = 'none', called_at = null, touched_at = ?"
                       " where id = ? and notice = 'calling'", (time.time(), order_id))

    def notified(self, order_id, message_id):
        """Also after somebody has called it unconfirmed: by now it is confirmed."""
        with self._writing() as db:
            db.execute("update orders set notice = 'sent', message_id = ?, status = 'delivered', touched_at = ?"
                       " where id = ?", (message_id, time.time(), order_id))
            db.execute("delete from dead_orders where ref = ?", ("order-%d" % order_id,))

    def number_refused(self, order_id):
        with self._writing() as db:
            db.execute("update orders set notice = 'refused', status = 'delivered', touched_at = ?"
                       " where id = ? and notice = 'calling'", (time.time(), order_id))

    def unconfirmed(self, order_id, reason):
        """The archive is there; whether the message is, nobody knows, and the counter rings up."""
        with self._writing() as db:
            changed = db.execute(
                "update orders set notice = 'unconfirmed', status = 'delivered', touched_at = ?"
                " where id = ? and notice = 'calling'", (time.time(), order_id)).rowcount == 1
            if changed:
                self._bury(db, "order-%d" % order_id, order_id, reason)
            return changed

    def give_up(self, order_id, reason):
        """False if the order is not open any more, or a message of it may be on its way."""
        with self._writing() as db:
            failed = db.execute(
                "update orders set status = 'failed', touched_at = ?"
                " where id = ? and status in ('paid', 'queued') and notice = 'none'",
                (time.time(), order_id)).rowcount == 1
            if failed:
                self._bury(db, "order-%d" % order_id, order_id, reason)
            return failed

    def lay_aside(self, ref, reason):
        with self._writing() as db:
            self._bury(db, ref, None, reason)

    def standing_still(self):
        return [row[0] for row in self._reading(
            "select id from orders where status = 'queued' and touched_at < ? order by touched_at",
            (time.time() - config.STANDING_STILL,))]

    @staticmethod
    def _bury(db, ref, order_id, reason):
        db.execute("insert into dead_orders (ref, order_id, reason, died_at) values (?, ?, ?, ?)"
                   " on conflict (ref) do nothing", (ref, order_id, reason, time.time()))
