import json
import os

from celery import Celery
from celery.utils.log import get_task_logger

from erp import db, rpc

log = get_task_logger(__name__)
app = Celery("erp", broker=os.environ.get("ERP_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)
FIELDS = {"uuid", "user", "password", "method"}


def bury(message, reason):
    with db.connect() as con:
        con.execute("insert or ignore into failed_calls values (?, ?)", (json.dumps(message, sort_keys=True), reason))


@app.task(bind=True, name="call-method", max_retries=3)
def call_method(self, message):
    if set(message) != FIELDS or not all(isinstance(value, str) for value in message.values()):
        return bury(message, "malformed")
    with db.connect() as con:
        if con.execute("select 1 from calls where uuid = ?", (message["uuid"],)).fetchone():
            return None
    try:
        result = rpc.execute(message["user"], message["password"], message["method"], message["uuid"])
    except rpc.ServerBusy as error:
        log.warning("attempt %s of %s failed: %s", self.request.retries + 1, message, error)
        if self.request.retries >= self.max_retries:
            return bury(message, "server busy")
        raise self.retry(exc=error, countdown=30)
    with db.connect() as con:
        con.execute("insert or ignore into calls values (?, ?)", (message["uuid"], result))
    return None


def call_later(uuid, user, password, method):
    message = {"uuid": uuid, "user": user, "password": password, "method": method}
    call_method.delay(message)
