import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage

from charging import relays, store

url = os.environ.get("CHARGING_REDIS")
broker = RedisBroker(url=url) if url else StubBroker()
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)
MAX_RETRIES = 4


@dramatiq.actor(max_retries=MAX_RETRIES, min_backoff=20_000, max_backoff=300_000)
def notify_driver(notice_id=None, **rest):
    notice = store.load(notice_id) if type(notice_id) is int and not rest else None
    if notice is None:
        return store.bury({"notice_id": notice_id, **rest}, "no such notice")
    address, text, sent = notice
    if sent:
        return None
    try:
        try:
            relays.send_primary(address, text, f"notice-{notice_id}")
        except relays.NoAnswer:
            relays.send_backup(address, text, f"notice-{notice_id}")
    except relays.NoAnswer:
        current = CurrentMessage.get_current_message()
        if current is not None and current.options.get("retries", 0) >= MAX_RETRIES:
            return store.bury({"notice_id": notice_id}, "no relay answers")
        raise
    store.mark_sent(notice_id)
    return None


def charging_ended(notice_id):
    notify_driver.send(notice_id=notice_id)
