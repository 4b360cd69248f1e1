"""A small shop on Dramatiq passes every stage that needs no command; broken variants do not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cases
import pytest
import yaml

from skillrun.core.verdict import StageResult
from skillrun.skills.job_worker.stages.interface import JobCase

CHEAP = ("identify", "contract", "idempotency", "handler", "retry", "dead-letter", "observability")
KEPT = ("shop/__init__.py", "shop/mailer.py", "shop/dead_jobs.py", "shop/schema.sql")
TASKS = "shop/tasks.py"
FILES = {path: cases.FILES[path] for path in KEPT} | {
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
JITTER = {"retry.backoff.jitter": True}


def shop(
    root: Path, files: dict[str, Any] | None = None, changes: dict[str, Any] | None = None
) -> JobCase:
    return cases.build(root, FILES | (files or {}), JITTER | (changes or {}), alone=True)


def examine(
    root: Path, stage: str, files: dict[str, Any] | None = None, **changes: Any
) -> StageResult:
    return cases.examine(
        stage,
        shop(root, files, {name.replace("__", "."): value for name, value in changes.items()}),
    )


def replaced(old: str, new: str, path: str = TASKS) -> dict[str, Any]:
    assert old in FILES[path]
    return {path: FILES[path].replace(old, new)}


@pytest.mark.parametrize("stage", CHEAP)
def test_the_shop_passes(tmp_path: Path, stage: str) -> None:
    result = examine(tmp_path / "r", stage)
    assert result.status == "passed", [(f.rule, f.message) for f in result.findings]


def test_the_tests_are_read(tmp_path: Path) -> None:
    covered = examine(tmp_path / "r", "tests").facts["covered"]
    assert all(covered.values()), covered
    replacing = (
        'def test_happy(monkeypatch, outbox):\n    monkeypatch.setattr(tasks.send_receipt, "send",'
        " print)"
    )
    patched = replaced("def test_happy(worker, outbox):", replacing, "tests/test_tasks.py")
    assert not examine(tmp_path / "p", "tests", patched).facts["covered"]["happy"]


def test_it_is_identified(tmp_path: Path) -> None:
    facts = examine(tmp_path / "r", "identify").facts
    assert (facts["framework"], facts["app"]) == ("dramatiq", "shop/broker.py:broker")


BROKEN = {
    "too many attempts": (
        "retry",
        replaced("max_retries=4", "max_retries=9"),
        "retry.max-attempts-differs",
    ),
    "another wait": (
        "retry",
        replaced("min_backoff=2000", "min_backoff=5000"),
        "retry.backoff-differs",
    ),
    "no limit": (
        "retry",
        replaced("max_retries=4", "max_retries=None"),
        "dramatiq.retry-unbounded",
    ),
    "retried in vain": (
        "retry",
        replaced("throws=(mailer.BadAddress,)", "throws=()"),
        "dramatiq.permanent-retried",
    ),
    "swallowed": (
        "retry",
        replaced(
            'retry order_id=%s: %r", order_id, error)\n                raise', 'x", order_id)'
        ),
        "dramatiq.swallowed-exception",
    ),
    "no record": (
        "dead-letter",
        replaced('on_retry_exhausted="bury_receipt",', ""),
        "dead-letter.not-written",
    ),
    "an actor for a name": (
        "dead-letter",
        replaced('on_retry_exhausted="bury_receipt"', "on_retry_exhausted=bury_receipt"),
        "dramatiq.callback-object",
    ),
    "no actor": ("handler", replaced("@dramatiq.actor(", "print("), "handler.not-registered"),
    "nobody sends": ("handler", {"shop/orders.py": cases.GONE}, "handler.not-wired"),
    "wrong call": (
        "handler",
        replaced("order_id=order_id, email=email", "order_id", "shop/orders.py"),
        "dramatiq.wrong-arguments",
    ),
    "sends more": (
        "handler",
        replaced(
            'log.info("receipt sent', 'bury_receipt.send(1, 2)\n            log.info("receipt sent'
        ),
        "handler.undeclared-effect",
    ),
    "says nothing": (
        "observability",
        replaced('log.info("receipt sent', 'print("'),
        "observability.succeeded",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_variants_do_not_pass(tmp_path: Path, name: str) -> None:
    stage, files, rule = BROKEN[name]
    result = examine(tmp_path / "r", stage, files)
    assert result.status in ("failed", "blocked")
    assert rule in cases.rules(result), [(f.rule, f.message) for f in result.findings]


def test_dramatiqs_own_dead_letters_are_a_place(tmp_path: Path) -> None:
    spec = copy.deepcopy(cases.SPEC) | {"dead_letter": {"kind": "framework"}}
    spec["retry"]["backoff"]["jitter"] = True
    case = cases.build(tmp_path / "r", FILES, spec=yaml.safe_dump(spec), alone=True)
    assert cases.rules(cases.examine("dead-letter", case)) == []


def test_who_means_dramatiqs_own_dead_letters_is_told_their_name(tmp_path: Path) -> None:
    spec = copy.deepcopy(cases.SPEC) | {"dead_letter": {"kind": "queue", "where": "default.XQ"}}
    _, files, _ = BROKEN["no record"]
    case = cases.build(tmp_path / "r", FILES | files, spec=yaml.safe_dump(spec), alone=True)
    found = next(
        f
        for f in cases.examine("dead-letter", case).findings
        if f.rule == "dead-letter.not-written"
    )
    assert found.hint and found.hint.endswith(
        "where dramatiq's own dead letters are meant: dead_letter: {kind: framework}"
    )


def test_a_jitter_that_lengthens_is_written_with_either_end(tmp_path: Path) -> None:
    """Dramatiq waits once to twice min_backoff; the spec's jitter shortens."""
    for number, base in enumerate(("2s", "4s")):
        found = examine(tmp_path / str(number), "retry", retry__backoff__base=base)
        assert "retry.backoff-differs" not in cases.rules(found)
    found = examine(tmp_path / "other", "retry", retry__backoff__base="3s")
    assert "retry.backoff-differs" in cases.rules(found)


def test_an_error_of_a_library_is_an_exception(tmp_path: Path) -> None:
    """`Exception` is retried, whatever a library derives its errors from."""
    changes = {"failures__transient": ["shop.mailer:Unavailable", "requests:Timeout"]}
    assert not cases.has(
        examine(tmp_path / "r", "retry", None, **changes), "retry.transient-not-retried"
    )
