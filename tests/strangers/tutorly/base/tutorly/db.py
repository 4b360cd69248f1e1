"""python -m tutorly.db [--demo]"""

import asyncio
import sys
from contextlib import asynccontextmanager

import aiosqlite

from tutorly import conf

SCHEMA = """
create table if not exists lessons (
    id           text primary key,
    student_id   text not null,
    price_cents  integer not null check (price_cents > 0),
    status       text not null default 'planned'
                 check (status in ('planned', 'held', 'charged', 'failed')),
    starts       integer not null default 0,
    queued_at    real,
    touched_at   real
);
create index if not exists lessons_open on lessons (touched_at) where status = 'held';

create table if not exists receipts (
    lesson_id     text primary key references lessons (id),
    charge_id     text not null,
    amount_cents  integer not null
);

create table if not exists dead_letters (
    ref      text primary key,
    task     text not null,
    payload  text not null,
    reason   text not null,
    died_at  real not null
);
"""

DEMO = """
insert or ignore into lessons (id, student_id, price_cents) values
    ('les-000001', 'stu-17', 3500), ('les-000002', 'stu-17', 3500), ('les-000003', 'stu-40', 4200);
"""


@asynccontextmanager
async def transaction():
    """Takes the write lock at once, so that what is read stays true until the commit."""
    async with aiosqlite.connect(conf.DB, isolation_level=None, timeout=15) as con:
        con.row_factory = aiosqlite.Row
        await con.execute("pragma foreign_keys = on")
        await con.execute("begin immediate")
        try:
            yield con
        except BaseException:
            await con.execute("rollback")
            raise
        await con.execute("commit")


async def one(con: aiosqlite.Connection, sql: str, *args):
    async with con.execute(sql, args) as cursor:
        return await cursor.fetchone()


async def create(demo: bool = False) -> None:
    async with aiosqlite.connect(conf.DB) as con:
        await con.executescript(SCHEMA)
        if demo:
            await con.executescript(DEMO)
        await con.commit()


if __name__ == "__main__":
    asyncio.run(create(demo="--demo" in sys.argv[1:]))
