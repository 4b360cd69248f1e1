"""The database: python -m pressroom.store [--demo]"""
import sqlite3
import sys
from datetime import datetime, timezone

from pressroom.settings import settings

SCHEMA = """
create table if not exists articles (
    id           integer primary key,
    slug         text not null unique,
    headline     text not null,
    body         text not null,
    tags         text not null default '[]',       -- JSON
    due_at       text,                             -- UTC; null: not planned yet
    status       text not null default 'planned'
                 check (status in ('planned', 'announced', 'spiked')),
    attempts     integer not null default 0,
    next_try_at  text,
    last_error   text,
    cms_url      text,
    announced_at text
);
create index if not exists articles_due on articles (due_at) where status = 'planned';

create table if not exists spiked (
    article_id integer primary key references articles,
    stage      text not null,
    reason     text not null,
    attempts   integer not null,
    spiked_at  text not null
);
"""

DEMO = """
insert into articles (slug, headline, body, tags, due_at) values
    ('bruecke-gesperrt', 'Alte Brücke gesperrt', 'Seit heute früh ...', '["verkehr"]',
     '2026-02-01T05:00:00+00:00'),
    ('ratswahl', 'Die Ratswahl in Zahlen', 'Um 18 Uhr ...', '["politik", "wahl"]',
     '2099-02-01T17:00:00+00:00'),
    ('portrait-imkerin', 'Die Imkerin vom Dach', 'Wer ...', '[]', null);
insert into articles (slug, headline, body, due_at, status, attempts, cms_url, announced_at) values
    ('gestern', 'Schnee bis in die Täler', 'Es ...', '2026-01-31T05:00:00+00:00', 'announced', 1,
     'https://tagesbote.example/gestern', '2026-01-31T05:00:04+00:00');
"""


def connect() -> sqlite3.Connection:
    db = sqlite3.connect(settings().database, timeout=30)
    db.row_factory = sqlite3.Row
    db.execute("pragma foreign_keys = on")
    return db


def stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds")


def due(db: sqlite3.Connection, now: datetime) -> list[sqlite3.Row]:
    return db.execute(
        "select * from articles where status = 'planned' and due_at <= :now"
        " and (next_try_at is null or next_try_at <= :now) order by due_at, id",
        {"now": stamp(now)},
    ).fetchall()


def begin(db: sqlite3.Connection, article_id: int) -> None:
    """Counts the attempt before anything happens in it: one that kills us has been one, too."""
    with db:
        db.execute("update articles set attempts = attempts + 1 where id = ?", (article_id,))


def published(db: sqlite3.Connection, article_id: int, url: str) -> None:
    with db:
        db.execute("update articles set cms_url = ? where id = ?", (url, article_id))


def announced(db: sqlite3.Connection, article_id: int, now: datetime) -> None:
    with db:
        db.execute(
            "update articles set status = 'announced', announced_at = ?, next_try_at = null,"
            " last_error = null where id = ?",
            (stamp(now), article_id),
        )


def put_off(db: sqlite3.Connection, article_id: int, until: datetime, reason: str) -> None:
    with db:
        db.execute(
            "update articles set next_try_at = ?, last_error = ? where id = ?",
            (stamp(until), reason, article_id),
        )


def spike(
    db: sqlite3.Connection, article_id: int, stage: str, reason: str, now: datetime
) -> None:
    with db:
        db.execute(
            "insert or replace into spiked (article_id, stage, reason, attempts, spiked_at)"
            " select id, ?, ?, attempts, ? from articles where id = ?",
            (stage, reason, stamp(now), article_id),
        )
        db.execute(
            "update articles set status = 'spiked', last_error = ? where id = ?",
            (reason, article_id),
        )


if __name__ == "__main__":
    with connect() as connection:
        connection.executescript(SCHEMA + (DEMO if "--demo" in sys.argv[1:] else ""))
