import asyncio
import json
import sys
import time
import uuid
from contextlib import asynccontextmanager

import aiosqlite

from streambox.settings import settings

SCHEMA = """
create table if not exists customers (id text primary key, webhook_url text not null, secret text not null);
create table if not exists videos (
    id text primary key, customer_id text not null references customers, title text not null,
    status text not null default 'processing');
create table if not exists deliveries (
    video_id text not null references videos, event text not null, event_id text not null unique,
    body text not null, status text not null default 'pending', attempts integer not null default 0,
    created_at real not null, touched_at real not null, published_at real,
    primary key (video_id, event));
create table if not exists dead_letters (
    id integer primary key, ref text not null unique, message text not null, reason text not null,
    created_at real not null);
"""

NAMESPACE = uuid.UUID("5b1f7c1e-6f0f-4c55-9b35-3f4b7f0f0b0e")


@asynccontextmanager
async def connect():
    async with aiosqlite.connect(settings.db, timeout=15, isolation_level=None) as db:
        db.row_factory = aiosqlite.Row
        yield db


@asynccontextmanager
async def transaction():
    async with connect() as db:
        await db.execute("begin immediate")
        try:
            yield db
        except BaseException:
            await db.rollback()
            raise
        await db.commit()


def event_id(video_id, event):
    return f"evt_{uuid.uuid5(NAMESPACE, f'{video_id}:{event}').hex}"


async def one(db, sql, *args):
    async with db.execute(sql, args) as cursor:
        return await cursor.fetchone()


async def add_delivery(db, video, event):
    """The row of a webhook; the body is frozen here, every try sends the same bytes."""
    eid, now = event_id(video["id"], event), time.time()
    body = json.dumps({"id": eid, "type": event, "video": {"id": video["id"], "title": video["title"]}})
    await db.execute(
        "insert into deliveries (video_id, event, event_id, body, created_at, touched_at)"
        " values (?, ?, ?, ?, ?, ?) on conflict do nothing", (video["id"], event, eid, body, now, now))


async def add_dead_letter(db, ref, message, reason):
    await db.execute(
        "insert into dead_letters (ref, message, reason, created_at) values (?, ?, ?, ?)"
        " on conflict (ref) do nothing", (ref, json.dumps(message, default=str), reason, time.time()))


async def create(demo=False):
    async with connect() as db:
        await db.execute("pragma journal_mode = wal")
        await db.executescript(SCHEMA)
        if demo:
            await db.execute("insert or ignore into customers values"
                             " ('cus_1', 'https://one.example/hooks', 'whsec_1'),"
                             " ('cus_2', 'https://two.example/hooks', 'whsec_2')")
            await db.execute("insert or ignore into videos values"
                             " ('vid_000001', 'cus_1', 'Launch', 'ready'),"
                             " ('vid_000002', 'cus_2', 'Party', 'ready'),"
                             " ('vid_000003', 'cus_2', 'Broken', 'failed')")


if __name__ == "__main__":
    asyncio.run(create(demo="--demo" in sys.argv))
