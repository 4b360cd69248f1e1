import json
import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage

from tagger import db, model

url = os.environ.get("TAGGER_REDIS")
broker = RedisBroker(url=url) if url else StubBroker()
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)
MAX_RETRIES = 3


def bury(message, reason):
    with db.connect() as con:
        con.execute("insert or ignore into failed_documents values (?, ?)", (json.dumps(message, sort_keys=True), reason))


def last_attempt():
    current = CurrentMessage.get_current_message()
    return current is not None and current.options.get("retries", 0) >= MAX_RETRIES


@dramatiq.actor(max_retries=MAX_RETRIES, min_backoff=30_000, max_backoff=300_000)
def tag_document(message):
    if not isinstance(message, dict) or set(message) != {"document_id"} or type(message["document_id"]) is not int:
        return bury(message, "malformed")
    with db.connect() as con:
        row = con.execute("select text, tag from documents where id = ?", (message["document_id"],)).fetchone()
    if row is None:
        return bury(message, "no such document")
    text, tag = row
    if tag:
        return None
    try:
        tag = model.tag(text)
    except model.ModelError as error:
        if last_attempt():
            return bury(message, type(error).__name__)
        raise
    with db.connect() as con:
        con.execute("update documents set tag = ? where id = ?", (tag, message["document_id"]))
    return None


def uploaded(document_id):
    tag_document.send({"document_id": document_id})
