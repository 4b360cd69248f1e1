import json
import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage

from outpost import destinations, storage

url = os.environ.get("OUTPOST_REDIS")
broker = RedisBroker(url=url) if url else StubBroker()
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)
MAX_RETRIES = 4


def bury(message, reason):
    with storage.connect() as db:
        db.execute("insert or ignore into dead values (?, ?)", (json.dumps(message, sort_keys=True), reason))


@dramatiq.actor(max_retries=MAX_RETRIES, min_backoff=15_000, max_backoff=600_000)
def redeliver(message):
    if set(message) != {"event", "destination", "request"} or not all(isinstance(v, str) for v in message.values()):
        return bury(message, "malformed")
    key = f"{message['event']}:{message['destination']}:manual"
    with storage.connect() as db:
        if db.execute("select 1 from delivered where key = ?", (key,)).fetchone():
            return None
        found = db.execute("select body from events where id = ?", (message["event"],)).fetchone()
    if not found:
        return bury(message, "no such event")
    try:
        destinations.send(message["destination"], found[0], key)
    except destinations.Unavailable:
        current = CurrentMessage.get_current_message()
        if current is not None and current.options.get("retries", 0) >= MAX_RETRIES:
            return bury(message, "unavailable")
        raise
    with storage.connect() as db:
        db.execute("insert or ignore into delivered values (?)", (key,))
        db.execute("insert or ignore into attempts values (:event, :destination, :request)", message)
    return None


def retry_now(event, destination, request):
    """POST /retry"""
    redeliver.send({"event": event, "destination": destination, "request": request})
