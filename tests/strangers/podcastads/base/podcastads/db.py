"""python -m podcastads.db [--demo]: make the tables."""
import sqlite3
import sys
import time
from contextlib import contextmanager

from podcastads import config

TABLES = """
create table if not exists campaigns (
    id text primary key, advertiser text not null, budget_cents integer not null,
    booked_impressions integer not null default 0, booked_cents integer not null default 0);
create table if not exists insertions (
    episode_id text not null, day text not null, campaign_id text not null references campaigns,
    cue_ms integer not null, spot text not null, impressions integer not null, cpm_cents integer not null,
    status text not null default 'planned' check (status in ('planned', 'requested', 'booked', 'failed')),
    tries integer not null default 0, first_try_at real, moved_at real,
    object_key text, batch_ref text,
    primary key (episode_id, day));
create table if not exists dead_jobs (
    job text not null, key text not null, message text not null, reason text not null, died_at real not null,
    primary key (job, key));
"""
DEMO = """
insert or ignore into campaigns (id, advertiser, budget_cents) values ('c-oat', 'Oat & Co', 900000), ('c-bike', 'Velo Nord', 400000);
insert or ignore into insertions (episode_id, day, campaign_id, cue_ms, spot, impressions, cpm_cents) values
    ('ep_7fk2', '2031-03-03', 'c-oat', 93500, 'oat-30s-v2', 12000, 1800),
    ('ep_7fk2', '2031-03-04', 'c-oat', 93500, 'oat-30s-v2', 8000, 1800),
    ('ep_90ab', '2031-03-03', 'c-bike', 12000, 'bike-15s', 5000, 2200);
"""


def now():
    return time.time()


def connect():
    con = sqlite3.connect(config.database(), timeout=10, isolation_level=None)
    con.row_factory = sqlite3.Row
    con.execute("pragma foreign_keys = on")
    return con


@contextmanager
def writing():
    """A transaction that holds the write lock from its first statement on."""
    con = connect()
    try:
        con.execute("begin immediate")
        yield con
        con.execute("commit")
    finally:
        con.close()  # what was not committed is rolled back


def create(demo=False):
    con = connect()
    try:
        con.execute("pragma journal_mode = wal")
        con.executescript(TABLES)
        if demo:
            con.executescript(DEMO)
    finally:
        con.close()


if __name__ == "__main__":
    create(demo="--demo" in sys.argv)
