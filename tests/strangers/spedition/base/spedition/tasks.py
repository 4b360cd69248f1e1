import logging
import time

from sqlalchemy.exc import DBAPIError

from spedition import customs, outbox
from spedition.celeryapp import app

log = logging.getLogger("spedition.relay")

ROWS_A_RUN = 25
SECONDS_A_RUN = 60


@app.task(name="spedition.relay_outbox", bind=True)
def relay_outbox(self):
    """Take what is due in the outbox to the customs office. Beat starts it; what it leaves, the next run takes."""
    job_id = self.request.id
    end = time.monotonic() + SECONDS_A_RUN
    ids = outbox.due(ROWS_A_RUN)
    if not ids:
        return
    with customs.client() as http:
        for row_id in ids:
            if time.monotonic() > end:
                break
            try:
                relay_row(http, row_id, job_id)
            except Exception:
                log.exception(
                    "row left to a later run", extra=fields(job_id, f"outbox:{row_id}", "interrupted", None)
                )


def relay_row(http, row_id, job_id):
    claim = outbox.claim(row_id)
    if claim is None:
        declaration_id = outbox.bury_exhausted(row_id)
        if declaration_id is not None:
            log.error("declaration given up", extra=fields(job_id, declaration_id, "dead", outbox.MAX_ATTEMPTS))
        return

    def say(level, message, outcome, **more):
        log.log(level, message, extra=fields(job_id, claim.declaration_id, outcome, claim.attempt, **more))

    say(logging.INFO, "declaring", "started")
    try:
        mrn = customs.declare(http, claim.declaration_id, claim.document)
    except customs.Refused as exc:
        buried = insist(outbox.bury, claim, f"refused: {exc}")
        say(logging.ERROR, "declaration refused", "dead" if buried else "superseded", error=str(exc))
    except customs.Unavailable as exc:
        if claim.last:
            buried = insist(outbox.bury, claim, f"gave up: {exc}")
            say(logging.ERROR, "declaration given up", "dead" if buried else "superseded", error=str(exc))
        else:
            kept = insist(outbox.postpone, claim, str(exc))
            say(logging.WARNING, "customs not available", "retry" if kept else "superseded", error=str(exc))
    else:
        changed = insist(outbox.settle, claim, mrn)
        say(logging.INFO, "declared", "declared" if changed else "known", mrn=mrn)


def fields(job_id, key, outcome, attempt, **more):
    return {"job": "relay-outbox", "job_id": job_id, "key": key, "outcome": outcome, "attempt": attempt, **more}


def insist(write, *args, tries=3):
    """What customs have said is written down, even if the database stumbles."""
    for left in range(tries - 1, -1, -1):
        try:
            return write(*args)
        except DBAPIError:
            if not left:
                raise
            time.sleep(0.1)
