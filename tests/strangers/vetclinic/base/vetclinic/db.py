import asyncio
from contextlib import asynccontextmanager

import aiosqlite

from . import config

SCHEMA = """
create table if not exists samples (
    ref          text primary key,
    animal       text not null,
    panel        text not null,
    owner_phone  text not null
);
create table if not exists lab_requests (
    ref          text primary key references samples (ref),
    status       text not null default 'open' check (status in ('open', 'booked', 'dead')),
    lab_order_id text,
    texted_at    real,
    attempts     integer not null default 0,
    holder       text,
    held_until   real not null default 0,
    look_at      real not null
);
create index if not exists lab_requests_open on lab_requests (look_at) where status = 'open';
create table if not exists dead_letters (
    key      text primary key,
    payload  text not null,
    error    text not null,
    attempts integer not null,
    died_at  real not null
);
"""


@asynccontextmanager
async def connection():
    async with aiosqlite.connect(config.DB, isolation_level=None, timeout=5) as db:
        db.row_factory = aiosqlite.Row
        yield db


@asynccontextmanager
async def transaction():
    """Takes the write lock first: what is read inside is still true when it is written."""
    async with connection() as db:
        await db.execute("begin immediate")
        try:
            yield db
        except BaseException:
            await db.execute("rollback")
            raise
        await db.execute("commit")


async def create() -> None:
    async with connection() as db:
        await db.executescript(SCHEMA)


if __name__ == "__main__":
    asyncio.run(create())
