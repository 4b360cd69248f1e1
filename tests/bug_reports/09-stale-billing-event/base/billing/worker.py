import asyncio
import json
import os

from saq import Queue

from billing import db

JOB_OPTIONS = {"retries": 4, "retry_delay": 5.0, "retry_backoff": 60.0, "timeout": 30}
APPLY = """
insert into subscriptions (customer, status, event_at) values (:customer, :status, :created)
on conflict (customer) do update set status = excluded.status, event_at = excluded.event_at
"""
FIELDS = {"event_id": str, "customer": str, "status": str, "created": int}


def acceptable(event):
    return set(event) == set(FIELDS) and all(type(event[name]) is kind for name, kind in FIELDS.items())


async def apply_event(ctx, **event):
    with db.connect() as con:
        if not acceptable(event):
            con.execute("insert or ignore into rejected_events values (?)", (json.dumps(event, sort_keys=True),))
            return
        con.execute(APPLY, event)


def queue():
    return Queue.from_url(os.environ.get("BILLING_REDIS", "redis://localhost:6379"))


def received(event_id, customer, status, created):
    async def publish():
        jobs = queue()
        await jobs.connect()
        await jobs.enqueue("apply_event", event_id=event_id, customer=customer, status=status, created=created, **JOB_OPTIONS)
        await jobs.disconnect()

    asyncio.run(publish())


settings = {"queue": queue(), "functions": [apply_event], "concurrency": 4}
