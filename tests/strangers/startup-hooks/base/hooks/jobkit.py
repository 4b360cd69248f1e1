"""@job: our wrapper around huey.task. Retries what may pass, buries the rest, logs which job it was."""

import functools
import json
import logging

import requests
from huey.exceptions import CancelExecution

from .db import tx
from .partners import PartnerBusy
from .queue import huey

log = logging.getLogger("hooks.jobs")

TRANSIENT = (PartnerBusy, requests.ConnectionError, requests.Timeout, TimeoutError)


def bury(name, payload, exc, on_dead=None):
    with tx() as db:
        db.execute(
            "insert or ignore into dead_jobs (job, payload, error) values (?, ?, ?)",
            (name, json.dumps(payload, sort_keys=True), repr(exc)),
        )
        if on_dead:
            on_dead(db, payload)
    log.error("job dead", extra={"job": name, "payload": payload, "error": repr(exc)})


def job(attempts=5, delay=2, on_dead=None):
    def decorate(fn):
        @huey.task(retries=attempts - 1, retry_delay=delay, retry_backoff=2, context=True, name=fn.__name__)
        @functools.wraps(fn)
        def run(*args, task=None, **payload):
            left = task.retries if task else 0
            try:
                result = fn(*args, **payload)
            except TRANSIENT as exc:
                if left:
                    log.warning("job failed, again later", extra={"job": fn.__name__, "payload": payload, "left": left, "error": repr(exc)})
                else:
                    bury(fn.__name__, payload, exc, on_dead)
                raise
            except Exception as exc:
                bury(fn.__name__, payload, exc, on_dead)
                raise CancelExecution(repr(exc), retry=False) from exc
            log.info("job done", extra={"job": fn.__name__, "payload": payload})
            return result

        return run

    return decorate
