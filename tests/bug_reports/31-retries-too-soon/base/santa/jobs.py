import os

from redis import Redis
from rq import Queue, Retry, get_current_job

from santa import provider, store

JOB_OPTIONS = {"retry": Retry(max=4, interval=3)}


def queue():
    return Queue("santa", connection=Redis.from_url(os.environ.get("SANTA_REDIS", "redis://localhost:6379")))


def tell_giver(message):
    pairing = message.get("pairing") if isinstance(message, dict) and set(message) == {"pairing"} else None
    row = store.load(pairing) if type(pairing) is int else None
    if row is None:
        return store.bury(message, "no such pairing")
    giver, receiver, told = row
    if told:
        return None
    try:
        provider.deliver(giver, f"You give to {receiver}", f"pairing-{pairing}")
    except provider.AddressUnknown:
        return store.bury(message, "address unknown")
    except provider.DailyLimit:
        job = get_current_job()
        if job is None or job.retries_left:
            raise
        return store.bury(message, "daily limit")
    store.mark_told(pairing)
    return None


def drawn(pairing):
    queue().enqueue(tell_giver, {"pairing": pairing}, **JOB_OPTIONS)
