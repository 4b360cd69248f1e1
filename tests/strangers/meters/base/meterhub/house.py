"""The house decorator. Whoever writes a job here writes a function and puts @house.job over it."""
import functools
import json
from datetime import datetime, timezone

import dramatiq
from dramatiq.middleware import CurrentMessage, Interrupt
from loguru import logger

from meterhub import broker, db
from meterhub.faults import is_transient

BROKER = broker.connect()

BadMessage = type("BadMessage", (ValueError,), {"__doc__": "The message is wrong, and stays wrong."})
Parked = type("Parked", (Exception,), {"__doc__": "Recorded in parked_jobs; Dramatiq is not to try again."})


def job(check, *, queue, max_attempts=5, first_wait=2_000, longest_wait=120_000):
    def decorate(work):
        name = work.__name__

        @functools.wraps(work)
        def run(**payload):
            attempt = tried_before() + 1
            with logger.contextualize(job=name, payload=payload, attempt=attempt):
                try:
                    check(payload)
                    work(**payload)
                except (Exception, Interrupt) as error:  # Interrupt: time limit, or the worker is shutting down
                    if is_transient(error) and attempt < max_attempts:
                        logger.warning("{} failed, will be tried again: {!r}", name, error)
                        raise
                    park(name, payload, error, attempt)
                    raise Parked(f"{name} {payload}") from error

        return dramatiq.actor(
            run,
            actor_name=name,
            queue_name=queue,
            max_retries=max_attempts - 1,
            min_backoff=first_wait,
            max_backoff=longest_wait,
            throws=Parked,
        )

    return decorate


def tried_before():
    message = CurrentMessage.get_current_message()
    return message.options.get("retries", 0) if message else 0


def park(name, payload, error, attempts):
    text = json.dumps(payload, sort_keys=True, default=str)
    with db.writing() as con:
        con.execute(
            "insert into parked_jobs values (?, ?, ?, ?, ?) on conflict (job, payload) do update"
            " set error = excluded.error, attempts = excluded.attempts, parked_at = excluded.parked_at",
            (name, text, repr(error), attempts, datetime.now(timezone.utc).isoformat()),
        )
    logger.error("{} parked after attempt {}: {} {!r}", name, attempts, text, error)


def fields(**wanted):
    """A check: exactly these fields, each passing its own test."""

    def check(payload):
        if payload.keys() != wanted.keys():
            raise BadMessage(f"expected {sorted(wanted)}, got {sorted(payload)}")
        for name, test in wanted.items():
            if not test(payload[name]):
                raise BadMessage(f"bad {name}: {payload[name]!r}")

    return check
