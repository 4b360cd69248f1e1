import asyncio
import os

from saq import Queue

from market import mailer, store

JOB_OPTIONS = {"retries": 5, "retry_delay": 20.0, "timeout": 300}


async def notify_suppliers(ctx, **message):
    cycle = message.get("cycle") if set(message) == {"cycle"} else None
    known = store.mails_sent(cycle) if type(cycle) is int else None
    if known is None:
        return store.bury(message, "no such cycle")
    if known[0]:
        return None
    try:
        for supplier, address in store.suppliers(cycle):
            await mailer.report(address, cycle, supplier)
    except mailer.MailError:
        job = ctx["job"]
        if job.attempts >= job.retries:
            return store.bury(message, "mail error")
        raise
    store.close(cycle)
    return None


def queue():
    return Queue.from_url(os.environ.get("MARKET_REDIS", "redis://localhost:6379"))


def cycle_closed(cycle):
    async def publish():
        jobs = queue()
        await jobs.connect()
        await jobs.enqueue("notify_suppliers", cycle=cycle, **JOB_OPTIONS)
        await jobs.disconnect()

    asyncio.run(publish())


settings = {"queue": queue(), "functions": [notify_suppliers]}
