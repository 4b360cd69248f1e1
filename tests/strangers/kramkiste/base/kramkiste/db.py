import json
import os
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone

SCHEMA = """
create table if not exists sellers (
    id integer primary key, name text not null, hook_url text not null, hook_secret text not null,
    sales integer not null default 0);
create table if not exists orders (
    id integer primary key, seller_id integer not null references sellers, title text not null,
    price_cents integer not null, buyer_mail text not null, status text not null default 'open');
create table if not exists notices (
    order_id integer primary key references orders, status text not null default 'open',
    attempts integer not null default 0, mailed_at text, hooked_at text, touched_at text);
create table if not exists dead_letters (
    job text not null, key text not null, message text not null, reason text not null, at text not null,
    primary key (job, key));
"""
DEMO = """
insert or ignore into sellers (id, name, hook_url, hook_secret) values
    (1, 'Plattenladen Ost', 'https://platten.invalid/hook', 'c2VjcmV0LW9uZQ'),
    (2, 'Radwerk', 'https://radwerk.invalid/in', 'c2VjcmV0LXR3bw');
insert or ignore into orders (id, seller_id, title, price_cents, buyer_mail) values
    (1, 1, 'Kind of Blue, LP', 2400, 'mira@example.org'),
    (2, 2, 'Bottom bracket', 1950, 'jonas@example.org');
"""


@dataclass
class Sale:
    order_id: int
    title: str
    price_cents: int
    buyer_mail: str
    hook_url: str
    hook_secret: str
    status: str
    attempts: int
    mailed_at: str | None
    hooked_at: str | None


def now():
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@contextmanager
def tx():
    conn = sqlite3.connect(os.environ.get("KRAMKISTE_DB", "kramkiste.db"), timeout=10, isolation_level=None)
    conn.row_factory = sqlite3.Row
    try:
        conn.execute("begin immediate")
        yield conn
        conn.execute("commit")
    except BaseException:
        if conn.in_transaction:
            conn.execute("rollback")
        raise
    finally:
        conn.close()


def begin(order_id):
    """Count an attempt, and say what there is to do. None: there is no such sale."""
    with tx() as c:
        c.execute(
            "update notices set attempts = attempts + 1, touched_at = ? where order_id = ? and status = 'open'",
            (now(), order_id),
        )
        row = c.execute(
            "select n.order_id, o.title, o.price_cents, o.buyer_mail, s.hook_url, s.hook_secret,"
            " n.status, n.attempts, n.mailed_at, n.hooked_at from notices n"
            " join orders o on o.id = n.order_id join sellers s on s.id = o.seller_id where n.order_id = ?",
            (order_id,),
        ).fetchone()
    return Sale(**row) if row else None


def mailed(order_id):
    with tx() as c:
        c.execute("update notices set mailed_at = coalesce(mailed_at, ?) where order_id = ?", (now(), order_id))


def hooked(order_id):
    """The last step: ticks it off, closes the notice and counts the sale, once."""
    with tx() as c:
        changed = c.execute(
            "update notices set status = 'done', hooked_at = ? where order_id = ? and status != 'done'",
            (now(), order_id),
        ).rowcount
        if changed:
            c.execute(
                "update sellers set sales = sales + 1 where id = (select seller_id from orders where id = ?)",
                (order_id,),
            )
            c.execute("delete from dead_letters where job = 'notify-sale' and key = ?", (str(order_id),))


def bury(key, message, reason):
    """False if it was done meanwhile. Keys of unreadable messages belong to no notice."""
    with tx() as c:
        c.execute(
            "update notices set status = 'dead' where cast(order_id as text) = ? and status = 'open'", (key,)
        )
        done = c.execute(
            "select 1 from notices where cast(order_id as text) = ? and status = 'done'", (key,)
        ).fetchone()
        if done:
            return False
        c.execute(
            "insert or ignore into dead_letters values ('notify-sale', ?, ?, ?, ?)",
            (key, json.dumps(message), reason, now()),
        )
    return True


def setup():
    with tx() as c:
        for statement in (SCHEMA + DEMO).split(";"):
            c.execute(statement)


if __name__ == "__main__":
    setup()
