"""Broker, middleware, and which failures deserve another attempt."""
import json
import sqlite3

import dramatiq
import httpx
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Interrupt, Middleware, Retries

from foodbank import conf, dock, logs, pickups, schema, sms

log = structlog.get_logger()

ATTEMPTS = 5


def passes(exc):
    if isinstance(exc, httpx.HTTPStatusError):
        return exc.response.status_code == 429 or exc.response.status_code >= 500
    return isinstance(
        exc,
        (httpx.TransportError, dock.DockConfused, sms.GatewayDown, sqlite3.OperationalError,
         TimeoutError, ConnectionError, Interrupt),
    )


def retry_when(retries, exc):
    return retries < ATTEMPTS - 1 and passes(exc)


class JobContext(Middleware):
    """Every record written during a message says which one, and how it ended."""

    def before_process_message(self, broker, message):
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            job=message.actor_name, job_id=message.message_id,
            attempt=message.options.get("retries", 0) + 1, key=subject(message),
        )
        log.info("job_started")

    def after_process_message(self, broker, message, *, result=None, exception=None):
        try:
            if exception is None:
                log.info("job_finished", outcome=result)
            elif message.failed:
                log.error("job_dead", outcome="dead", error=describe(exception))
            else:
                log.warning("job_failed", outcome="retry", error=describe(exception))
        finally:
            structlog.contextvars.clear_contextvars()


class DeadLetters(Middleware):
    """Stands before Retries in the list, and therefore hears of a failure after it."""

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None or not message.failed or message.actor_name != "arrange_pickup":
            return
        for left in (2, 1, 0):
            try:
                bury(message, exception)
                break
            except sqlite3.OperationalError as exc:
                log.error("dead_letter_not_written", error=describe(exc), tries_left=left)


def pickup_id_of(message):
    """Only of a message in order: another one says nothing about the pickup."""
    values = [*message.args, *message.kwargs.values()]
    if len(values) == 1 and set(message.kwargs) <= {"pickup_id"} and pickups.is_id(values[0]):
        return values[0]
    return None


def subject(message):
    pickup_id = pickup_id_of(message)
    return f"message {message.message_id}" if pickup_id is None else f"pickup {pickup_id}"


def describe(exc):
    if isinstance(exc, httpx.HTTPStatusError):
        return f"dock answered {exc.response.status_code}"
    return f"{type(exc).__name__}: {exc}"[:300]


def bury(message, exc):
    with schema.writing() as db:
        pickup_id = pickup_id_of(message)
        row = db.execute("select status from pickups where id = ?", (pickup_id,)).fetchone()
        if row and row["status"] == "told":
            return
        db.execute("update pickups set status = 'failed' where id = ? and status in ('open', 'booked')", (pickup_id,))
        db.execute(
            "insert into dead_letters (subject, actor, message_id, payload, error, attempt, died_at)"
            " values (?, ?, ?, ?, ?, ?, ?) on conflict (subject) do nothing",
            (subject(message), message.actor_name, message.message_id, json.dumps([message.args, message.kwargs]),
             describe(exc), message.options.get("retries", 1), schema.now()),
        )


def equip(broker):
    broker.add_middleware(JobContext(), before=Retries)
    broker.add_middleware(DeadLetters(), before=Retries)
    return broker


logs.configure()
broker = equip(RedisBroker(url=conf.REDIS))
dramatiq.set_broker(broker)
