"""SQLite through aiosqlite. python -m hosthub.db creates the tables."""
import asyncio
import sys
from contextlib import asynccontextmanager

import aiosqlite

from hosthub.settings import get_settings

SCHEMA = """
create table if not exists servers (
    id          integer primary key,
    customer    text not null,
    hostname    text not null unique,
    plan        text not null,
    region      text not null,
    status      text not null default 'paid'
                check (status in ('paid', 'queued', 'creating', 'created', 'active', 'failed')),
    version     integer not null default 1,
    attempts    integer not null default 0,
    provider_id text,
    ip          text,
    saq_key     text,
    touched_at  real
);
create table if not exists subscriptions (
    id         integer primary key,
    server_id  integer not null references servers(id),
    plan       text not null,
    started_at real not null
);
create table if not exists provisioning_failures (
    saq_key   text primary key,
    server_id integer,
    message   text not null,
    reason    text not null,
    attempts  integer not null,
    failed_at real not null
);
"""

DEMO = """
insert into servers (id, customer, hostname, plan, region) values
    (1, 'ada', 'ada-1.hosthub.example', 'small', 'zrh'),
    (2, 'ben', 'ben-1.hosthub.example', 'large', 'zrh'),
    (3, 'ada', 'ada-2.hosthub.example', 'small', 'fra');
"""


@asynccontextmanager
async def transaction():
    """A transaction that is the only writer from its beginning."""
    async with aiosqlite.connect(get_settings().database, timeout=20, isolation_level=None) as connection:
        connection.row_factory = aiosqlite.Row
        await connection.execute("begin immediate")
        try:
            yield connection
        except BaseException:
            await connection.rollback()
            raise
        await connection.commit()


async def create(demo: bool = False) -> None:
    async with aiosqlite.connect(get_settings().database) as connection:
        await connection.executescript(SCHEMA)
        if demo:
            await connection.executescript(DEMO)
        await connection.commit()


if __name__ == "__main__":
    asyncio.run(create(demo="--demo" in sys.argv))
