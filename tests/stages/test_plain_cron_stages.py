"""A small shop whose receipts are sent by a script from a crontab passes every cheap stage; broken
variants do not.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cases
import pytest
import yaml

from skillrun.core.verdict import StageResult
from skillrun.skills.job_worker.stages.interface import JobCase

CHEAP = (
    "identify",
    "contract",
    "idempotency",
    "handler",
    "retry",
    "dead-letter",
    "observability",
    "tests",
)
FILES = {
    "requirements.txt": "psycopg\n",
    "deploy/crontab": "*/5 * * * * cd /srv && flock -n /run/receipts python -m shop.receipts\n",
    **{
        path: cases.FILES[path]
        for path in ("shop/__init__.py", "shop/mailer.py", "shop/dead_jobs.py", "shop/schema.sql")
    },
    "shop/orders.py": (
        """
        def due():
            with connect() as db:
                return db.execute("SELECT id, email FROM orders WHERE receipt_sent = 0").fetchall()

        def mark_sent(order_id):
            with connect() as db:
                db.execute("UPDATE orders SET receipt_sent = 1 WHERE id = ?", (order_id,))
        """
    ),
    "shop/receipts.py": (
        '''
        import logging
        import time

        from shop import dead_jobs, mailer, orders

        log = logging.getLogger(__name__)


        def send_receipt(order_id, email):
            """Emails one receipt; the crontab looks for due orders every five minutes.

            A dead letter is a row in dead_jobs; mend the cause, delete the row, and the next tick sends it.
            """
            log.info("receipt started order_id=%s request_id=%s", order_id, order_id)
            for attempt in range(5):
                try:
                    mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
                    break
                except (mailer.Unavailable, TimeoutError) as error:
                    log.warning("receipt will retry order_id=%s attempt=%s: %r", order_id, attempt, error)
                    time.sleep(min(2 * 2**attempt, 60))
                except mailer.BadAddress as error:
                    log.error("receipt failed order_id=%s: %r", order_id, error)
                    dead_jobs.record(order_id, repr(error))
                    return
            else:
                dead_jobs.record(order_id, "unavailable")
                return
            log.info("receipt sent order_id=%s", order_id)
            orders.mark_sent(order_id)


        def main():
            for order_id, email in orders.due():
                send_receipt(order_id=order_id, email=email)


        if __name__ == "__main__":
            main()
        '''
    ),
    "tests/test_receipts.py": (
        """
        from shop import mailer, receipts

        def test_happy(outbox):
            receipts.send_receipt(7, "a@example.com")
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            receipts.send_receipt(7, "a@example.com")
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            receipts.send_receipt(7, "a@example.com")
            assert outbox == []
        """
    ),
}
CRON = {"type": "cron", "schedule": "*/5 * * * *", "timezone": "UTC"}


def spec_of(**changes: Any) -> str:
    value = copy.deepcopy(cases.SPEC)
    value |= {"handler": "shop.receipts:send_receipt", "trigger": CRON, **changes}
    return yaml.safe_dump(value, sort_keys=False)


def case_of(root: Path, change: tuple[str, str, str] | None = None, **spec: Any) -> JobCase:
    """`change`: (file, what stands there, what stands there instead)."""
    files = dict(FILES)
    if change:
        path, old, new = change
        assert old in files[path]
        files[path] = files[path].replace(old, new)
    return cases.build(root, files, spec=spec_of(**spec), alone=True)


def said(result: StageResult) -> list[tuple[str, str]]:
    return [(finding.rule, finding.message) for finding in result.findings]


@pytest.mark.parametrize("stage", CHEAP)
def test_the_shop_passes(tmp_path: Path, stage: str) -> None:
    result = cases.examine(stage, case_of(tmp_path / "repo"))
    waits = "pending" if stage == "tests" else "passed"  # for consent to run them
    assert result.status in ("passed", waits), said(result)
    assert cases.rules(result) == []


def test_what_the_stages_see(tmp_path: Path) -> None:
    case = case_of(tmp_path / "repo")
    assert case.use is not None
    assert (case.use.id, case.use.scheduler) == ("plain-cron", "crontab")
    assert case.policy is not None
    assert case.policy.unknown == {}
    assert "deploy/crontab:1" in cases.examine("handler", case).summary
    assert (
        "tries 5 times, exponential backoff, capped at 1m" in cases.examine("retry", case).summary
    )


BROKEN = {
    "not-scheduled": (
        ("deploy/crontab", "shop.receipts", "shop.other"),
        "identify",
        "identify.none",
    ),
    "attempts": (
        ("shop/receipts.py", "range(5)", "range(3)"),
        "retry",
        "retry.max-attempts-differs",
    ),
    "wait": (("shop/receipts.py", "2 * 2**attempt", "7"), "retry", "retry.backoff-differs"),
    "not-retried": (
        ("shop/receipts.py", "(mailer.Unavailable, TimeoutError)", "TimeoutError"),
        "retry",
        "retry.transient-not-retried",
    ),
    "no-dead-letter": (
        ("shop/receipts.py", "dead_jobs.record(", "print("),
        "dead-letter",
        "dead-letter.not-written",
    ),
    "silent": (("shop/receipts.py", "log.info(", "len("), "observability", "observability.ran"),
    "untested": (
        ("tests/test_receipts.py", "test_terminal", "terminal"),
        "tests",
        "tests.no-terminal",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_shops_fail(tmp_path: Path, what: str) -> None:
    change, stage, rule = BROKEN[what]
    assert rule in cases.rules(cases.examine(stage, case_of(tmp_path / "repo", change)))


def test_a_limit_that_cannot_be_read_still_asks_whether_it_retries(tmp_path: Path) -> None:
    change = ("shop/receipts.py", "range(5)", "range(int(input()))")
    case = case_of(tmp_path / "repo", change)
    assert case.policy is not None
    assert "max_attempts" in case.policy.unknown
    assert cases.examine("observability", case).status == "passed"
    quiet = case_of(tmp_path / "quiet", ("shop/receipts.py", "range(5)", "range(int(input()))"))
    path = quiet.root / "shop/receipts.py"
    path.write_text(path.read_text().replace("will retry", "").replace(" attempt=%s: %r", " %s %r"))
    path.write_text(path.read_text().replace("attempt, error", "'', error"))
    assert cases.has(cases.examine("observability", quiet), "observability.not-read")


def test_a_crontab_may_lie_outside_the_repository(tmp_path: Path) -> None:
    """The profile says plain-cron, and only another job library is seen: worth a word, and no
    contradiction.
    """
    for framework, stopping in (("plain-cron", []), ("rq", ["profile.framework"])):
        files = {"REPO_PROFILE.json": f'{{"jobs": {{"framework": "{framework}"}}}}'}
        result = cases.examine("identify", cases.build(tmp_path / framework, files))
        assert cases.rules(result) == stopping
        assert cases.has(result, "profile.framework")
