import sqlite3
from contextlib import closing, contextmanager

from meterhub import settings

SCHEMA = """
create table if not exists meters (
    meter_id text primary key, area text not null, version integer not null, announced integer not null);
create table if not exists readings (
    meter_id text not null, hour text not null, kwh real not null, version integer not null,
    primary key (meter_id, hour));
create table if not exists forecasts (
    meter_id text primary key, version integer not null, forecast_id text not null, kwh text not null);
create table if not exists closed_days (
    area text not null, day text not null, announced integer not null, primary key (area, day));
create table if not exists archives (
    area text not null, day text not null, version integer not null, key text not null, bytes integer not null,
    primary key (area, day));
create table if not exists parked_jobs (
    job text not null, payload text not null, error text not null, attempts integer not null, parked_at text not null,
    primary key (job, payload));
"""


@contextmanager
def reading():
    with closing(sqlite3.connect(settings.database(), timeout=15, isolation_level=None)) as con:
        yield con


@contextmanager
def writing():
    """A transaction that has the write lock from its first line."""
    with reading() as con:
        con.execute("begin immediate")
        try:
            yield con
        except BaseException:
            con.execute("rollback")
            raise
        con.execute("commit")


def create():
    with reading() as con:
        con.execute("pragma journal_mode = wal")
        con.executescript(SCHEMA)


def demo():
    with writing() as con:
        if con.execute("select 1 from meters").fetchone():
            return
        for meter_id, area in (("M-1001", "north"), ("M-1002", "south")):
            con.execute("insert into meters values (?, ?, 1, 1)", (meter_id, area))
            con.executemany(
                "insert into readings values (?, ?, ?, 1)",
                [(meter_id, f"2026-03-01T{hour:02}", 0.25 * hour) for hour in range(24)],
            )


if __name__ == "__main__":
    create()
    demo()
