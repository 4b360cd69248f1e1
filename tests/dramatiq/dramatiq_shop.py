"""A small shop on Dramatiq that every stage passes, and the ways to break it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cases
from framework_shop import case_of, edited_file
from receipt_job import SPEC

from skillrun.skills.job_worker.job_case import JobCase

KEPT = ("shop/__init__.py", "shop/mailer.py", "shop/dead_jobs.py", "shop/schema.sql")
TASKS = "shop/tasks.py"
FILES: dict[str, str] = {path: cases.FILES[path] for path in KEPT} | {
    "requirements.txt": "dramatiq[redis]>=2\n",
    "Procfile": "worker: dramatiq shop.tasks\n",
    "shop/broker.py": (
        """
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker
        from dramatiq.middleware import CurrentMessage

        broker = RedisBroker(url="redis://localhost:6379/0")
        broker.add_middleware(CurrentMessage())
        dramatiq.set_broker(broker)
        """
    ),
    "shop/orders.py": (
        """
        from shop.tasks import send_receipt

        def settle(order_id, email):
            send_receipt.send(order_id=order_id, email=email)
        """
    ),
    TASKS: (
        '''
        import logging

        import dramatiq
        from dramatiq.middleware import CurrentMessage

        from shop import dead_jobs, mailer
        from shop.broker import broker

        log = logging.getLogger(__name__)


        @dramatiq.actor
        def bury_receipt(message, retries):
            dead_jobs.record(message["kwargs"]["order_id"], repr(retries))


        @dramatiq.actor(
            max_retries=4,
            min_backoff=2000,
            max_backoff=60_000,
            throws=(mailer.BadAddress,),
            on_retry_exhausted="bury_receipt",
        )
        def send_receipt(order_id, email):
            """Emails one receipt.

            A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
            """
            message = CurrentMessage.get_current_message()
            log.info("receipt started order_id=%s message_id=%s", order_id, message.message_id)
            try:
                mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
            except (mailer.Unavailable, TimeoutError) as error:
                log.warning("receipt will retry order_id=%s: %r", order_id, error)
                raise
            except mailer.BadAddress as error:
                log.error("receipt failed order_id=%s: %r", order_id, error)
                dead_jobs.record(order_id, repr(error))
                raise
            log.info("receipt sent order_id=%s", order_id)
        '''
    ),
    "tests/test_tasks.py": (
        """
        import pytest

        from shop import mailer, tasks

        def test_happy(worker, outbox):
            tasks.send_receipt.send(7, "a@example.com")
            worker.join()
            assert outbox == ["receipt-7"]

        def test_retryable(worker, outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            tasks.send_receipt.send(7, "a@example.com")
            worker.join()
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            with pytest.raises(mailer.BadAddress):
                tasks.send_receipt.fn(7, "a@example.com")
            assert outbox == []
        """
    ),
}
# Dramatiq's own waits have it.
RETRY: dict[str, Any] = {
    **SPEC["retry"],
    "backoff": {**SPEC["retry"]["backoff"], "jitter": True},
}
# True of every such job: Dramatiq counts failures alone.
ALLOWED = ("dramatiq.redelivery-loop",)


def build(
    root: Path, files: Mapping[str, str] | None = None, spec: Mapping[str, Any] | None = None
) -> JobCase:
    """A case on a real repository: the sample's files and spec, with `files` and parts of the spec
    laid over them.
    """
    return case_of(root, {**FILES, **(files or {})}, {"retry": RETRY, **(spec or {})})


def edited(path: str, old: str, new: str) -> dict[str, str]:
    """The sample's file with `old`, which must be in it, replaced."""
    return edited_file(FILES, path, old, new)


def edited_task(old: str, new: str) -> dict[str, str]:
    """As `edited`, of the module with the handler."""
    return edited(TASKS, old, new)


# What is broken -> (stage, files, the rule that tells it).
BROKEN: dict[str, tuple[str, dict[str, str], str]] = {
    "too many attempts": (
        "retry",
        edited_task("max_retries=4", "max_retries=9"),
        "retry.max-attempts-differs",
    ),
    "another wait": (
        "retry",
        edited_task("min_backoff=2000", "min_backoff=5000"),
        "retry.backoff-differs",
    ),
    "no limit": (
        "retry",
        edited_task("max_retries=4", "max_retries=None"),
        "dramatiq.retry-unbounded",
    ),
    "retried in vain": (
        "retry",
        edited_task("throws=(mailer.BadAddress,)", "throws=()"),
        "dramatiq.permanent-retried",
    ),
    "swallowed": (
        "retry",
        edited_task(
            'retry order_id=%s: %r", order_id, error)\n                raise', 'x", order_id)'
        ),
        "dramatiq.swallowed-exception",
    ),
    "no record": (
        "dead-letter",
        edited_task('on_retry_exhausted="bury_receipt",', ""),
        "dead-letter.not-written",
    ),
    "an actor for a name": (
        "dead-letter",
        edited_task('on_retry_exhausted="bury_receipt"', "on_retry_exhausted=bury_receipt"),
        "dramatiq.callback-object",
    ),
    "no actor": ("handler", edited_task("@dramatiq.actor(", "print("), "handler.not-registered"),
    "nobody sends": ("handler", {"shop/orders.py": ""}, "handler.not-wired"),
    "wrong call": (
        "handler",
        edited("shop/orders.py", "order_id=order_id, email=email", "order_id"),
        "dramatiq.wrong-arguments",
    ),
    "sends more": (
        "handler",
        edited_task(
            'log.info("receipt sent', 'bury_receipt.send(1, 2)\n            log.info("receipt sent'
        ),
        "handler.undeclared-effect",
    ),
    "says nothing": (
        "observability",
        edited_task('log.info("receipt sent', 'print("'),
        "observability.succeeded",
    ),
}
