"""python -m pocketline.db [--seed]"""
import asyncio
import sys
from contextlib import asynccontextmanager

import aiosqlite

from .settings import settings

SCHEMA = """
create table if not exists orders (
    id        text primary key,
    customer  text not null,
    device    text not null,              -- push address of the phone
    plan      text not null,
    iccid     text not null unique,       -- taken from our stock when the order is made
    paid      integer not null default 0,
    requested integer not null default 0,
    active    integer not null default 0, -- the carrier has switched it on
    told      integer not null default 0, -- the phone knows: this is the end
    given_up  integer not null default 0
);
create table if not exists dead_letters (
    job     text not null,
    message text not null,
    reason  text not null,
    at      text not null default current_timestamp,
    primary key (job, message)
);
"""

SEED = """
insert or ignore into orders (id, customer, device, plan, iccid, paid) values
    ('ord_a1f4', 'mira', 'dev-11', 'eu-10gb', '8949000000000000011', 1),
    ('ord_b2c9', 'jonas', 'dev-12', 'eu-10gb', '8949000000000000029', 1),
    ('ord_c3d0', 'mira', 'dev-11', 'world-3gb', '8949000000000000037', 1),
    ('ord_d4e7', 'tariq', 'dev-13', 'eu-10gb', '8949000000000000045', 0);
"""


@asynccontextmanager
async def transaction():
    db = await aiosqlite.connect(settings.database, timeout=15, isolation_level=None)
    try:
        db.row_factory = aiosqlite.Row
        await db.execute("begin immediate")
        yield db
        await db.commit()
    finally:  # closing rolls back what was not committed
        await db.close()


async def create(seed=False):
    async with aiosqlite.connect(settings.database) as db:
        await db.execute("pragma journal_mode = wal")
        await db.executescript(SCHEMA + (SEED if seed else ""))
        await db.commit()


if __name__ == "__main__":
    asyncio.run(create("--seed" in sys.argv))
