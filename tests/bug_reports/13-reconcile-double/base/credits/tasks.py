import json
import os

from celery import Celery

from credits import db, ledger

app = Celery("credits", broker=os.environ.get("CREDITS_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


def leave_unsettled(message, reason):
    with db.connect() as con:
        con.execute("insert or ignore into unsettled values (?, ?)", (json.dumps(message, sort_keys=True), reason))


@app.task(bind=True, name="reconcile", max_retries=3)
def reconcile(self, message):
    if not isinstance(message, dict) or set(message) != {"reservation", "used"} or type(message["used"]) is not int:
        return leave_unsettled(message, "malformed")
    with db.connect() as con:
        reservation = con.execute("select * from reservations where id = ?", (message["reservation"],)).fetchone()
    if reservation is None:
        return leave_unsettled(message, "no such reservation")
    if reservation["settled"] is not None:
        return None
    difference = reservation["reserved"] - message["used"]
    reference = f"recon:{reservation['id']}:{self.request.retries}"
    try:
        if difference > 0:
            ledger.refund(reservation["org"], difference, reference)
        elif difference < 0:
            ledger.charge(reservation["org"], -difference, reference)
    except ledger.NoAcknowledgement as error:
        if self.request.retries >= self.max_retries:
            return leave_unsettled(message, "ledger does not answer")
        raise self.retry(exc=error, countdown=10 * 3**self.request.retries)
    with db.connect() as con:
        con.execute("update reservations set settled = ? where id = ?", (message["used"], reservation["id"]))
    return None


def request_done(reservation, used):
    reconcile.delay({"reservation": reservation, "used": used})
