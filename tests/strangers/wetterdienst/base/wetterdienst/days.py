"""The repository of daily files. Blocking: the worker calls it in a thread.

python -m wetterdienst.days [--demo]
"""
import os
import sqlite3
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass

SCHEMA = """
create table if not exists stations (
    id text primary key,
    name text not null
);
create table if not exists readings (
    station text not null references stations (id),
    day text not null,
    hour integer not null check (hour between 0 and 23),
    temperature real,
    rain real,
    primary key (station, day, hour)
);
create table if not exists daily_files (
    station text not null references stations (id),
    day text not null,
    status text not null default 'due' check (status in ('due', 'published', 'dead')),
    starts integer not null default 0,
    stored integer not null default 0,
    touched_at real not null,
    published_at real,
    primary key (station, day)
);
create table if not exists dead_letters (
    key text primary key,
    job_id text,
    reason text not null,
    attempts integer not null,
    created_at real not null
);
"""

DEMO = """
insert or ignore into stations values ('10488', 'Dresden-Klotzsche'), ('10469', 'Leipzig-Halle');
insert or ignore into readings values
    ('10488', '2026-01-31', 0, -2.5, 0.0), ('10488', '2026-01-31', 12, 1.25, 0.4),
    ('10488', '2026-02-01', 0, -1.0, 0.0), ('10488', '2026-02-01', 12, 2.5, 0.0),
    ('10469', '2026-01-31', 0, -3.5, 0.0), ('10469', '2026-01-31', 12, 0.5, 1.5);
insert or ignore into daily_files (station, day, touched_at) values
    ('10488', '2026-02-01', unixepoch()), ('10469', '2026-01-31', unixepoch());
"""


@dataclass(frozen=True)
class DailyFile:
    station: str
    day: str
    status: str
    starts: int
    stored: bool

    @property
    def key(self):
        return f"{self.station}/{self.day}"


class Days:
    def __init__(self, path=None):
        self.path = path or os.environ.get("WETTER_DB", "wetterdienst.db")

    @contextmanager
    def _transaction(self):
        con = sqlite3.connect(self.path, timeout=5, isolation_level=None)
        con.row_factory = sqlite3.Row
        try:
            con.execute("begin immediate")
            yield con
            con.execute("commit")
        finally:
            con.close()

    def create(self, demo=False):
        con = sqlite3.connect(self.path)
        con.executescript(SCHEMA + (DEMO if demo else ""))
        con.close()

    def add_reading(self, station, day, hour, temperature, rain):
        """False where the day is closed: its file must not change any more."""
        with self._transaction() as con:
            return con.execute(
                "insert into readings select ?, ?, ?, ?, ?"
                " where not exists (select 1 from daily_files where station = ? and day = ?)",
                (station, day, hour, temperature, rain, station, day),
            ).rowcount == 1

    def readings(self, station, day):
        with self._transaction() as con:
            return con.execute(
                "select hour, temperature, rain from readings where station = ? and day = ? order by hour",
                (station, day),
            ).fetchall()

    def close(self, station, day):
        """Close the day, if it is not. Whether its file is still to be published."""
        with self._transaction() as con:
            con.execute(
                "insert into daily_files (station, day, touched_at) values (?, ?, ?) on conflict do nothing",
                (station, day, time.time()),
            )
            return self._get(con, station, day).status == "due"

    def begin(self, station, day):
        """Count a start. The file, or None where the day was never closed."""
        with self._transaction() as con:
            con.execute(
                "update daily_files set starts = starts + 1, touched_at = ?"
                " where station = ? and day = ? and status = 'due'",
                (time.time(), station, day),
            )
            return self._get(con, station, day)

    def stored(self, file):
        with self._transaction() as con:
            con.execute(
                "update daily_files set stored = 1, touched_at = ? where station = ? and day = ?",
                (time.time(), file.station, file.day),
            )

    def published(self, file):
        """Whether it was this delivery that made the file a published one."""
        with self._transaction() as con:
            first = con.execute(
                "update daily_files set status = 'published', published_at = ?"
                " where station = ? and day = ? and status <> 'published'",
                (time.time(), file.station, file.day),
            ).rowcount == 1
            con.execute("delete from dead_letters where key = ?", (file.key,))
            return first

    def bury(self, file, job_id, reason, attempts):
        """Give a file up, unless another delivery has settled it."""
        with self._transaction() as con:
            if not con.execute(
                "update daily_files set status = 'dead' where station = ? and day = ? and status = 'due'",
                (file.station, file.day),
            ).rowcount:
                return False
            self._lay_aside(con, file.key, job_id, reason, attempts)
            return True

    def lay_aside(self, key, job_id, reason, attempts):
        """A message that is about no file."""
        with self._transaction() as con:
            self._lay_aside(con, key, job_id, reason, attempts)
            return True

    def standing_still(self, seconds):
        with self._transaction() as con:
            rows = con.execute(
                "select station, day, status, starts, stored from daily_files"
                " where status = 'due' and touched_at < ? order by station, day",
                (time.time() - seconds,),
            ).fetchall()
        return [self._file(row) for row in rows]

    def touch(self, file):
        with self._transaction() as con:
            con.execute(
                "update daily_files set touched_at = ? where station = ? and day = ?",
                (time.time(), file.station, file.day),
            )

    def _lay_aside(self, con, key, job_id, reason, attempts):
        con.execute(
            "insert into dead_letters values (?, ?, ?, ?, ?) on conflict do nothing",
            (key, job_id, reason, attempts, time.time()),
        )

    def _get(self, con, station, day):
        row = con.execute(
            "select station, day, status, starts, stored from daily_files where station = ? and day = ?",
            (station, day),
        ).fetchone()
        return row and self._file(row)

    def _file(self, row):
        return DailyFile(row["station"], row["day"], row["status"], row["starts"], bool(row["stored"]))


if __name__ == "__main__":
    Days().create(demo="--demo" in sys.argv)
