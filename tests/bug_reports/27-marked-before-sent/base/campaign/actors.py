import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage

from campaign import store, transport

url = os.environ.get("CAMPAIGN_REDIS")
broker = RedisBroker(url=url) if url else StubBroker()
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)
MAX_RETRIES = 4


def last_attempt():
    current = CurrentMessage.get_current_message()
    return current is not None and current.options.get("retries", 0) >= MAX_RETRIES


@dramatiq.actor(max_retries=MAX_RETRIES, min_backoff=60_000, max_backoff=900_000)
def send_mail(message):
    mail_id = message.get("mail_id") if isinstance(message, dict) and set(message) == {"mail_id"} else None
    mail = store.load(mail_id) if type(mail_id) is int else None
    if mail is None:
        return store.fail(message, "no such mail")
    address, body, sent = mail
    if sent:
        return None
    store.mark_sent(mail_id)
    try:
        transport.send(address, body, f"mail-{mail_id}")
    except transport.Rejected:
        return store.fail(message, "rejected")
    except transport.Throttled:
        if last_attempt():
            return store.fail(message, "throttled")
        raise
    return None


def queue_mail(mail_id):
    send_mail.send({"mail_id": mail_id})
