"""A small shop whose receipts are sent by APScheduler passes every cheap stage; broken variants do
not.
"""

from __future__ import annotations

import copy
from pathlib import Path

import cases
import pytest
import yaml

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
KEPT = ("shop/__init__.py", "shop/mailer.py", "shop/dead_jobs.py", "shop/schema.sql")
FILES = {
    "requirements.txt": "APScheduler>=3.10,<4\ntenacity\n",
    "Procfile": "clock: python -m shop.clock\n",
    **{path: cases.FILES[path] for path in KEPT},
    "shop/clock.py": (
        """
        from apscheduler.schedulers.blocking import BlockingScheduler

        from shop.receipts import send_due

        scheduler = BlockingScheduler(timezone="UTC", job_defaults={"misfire_grace_time": 300, "coalesce": True})
        scheduler.add_job(send_due, "cron", hour=4, id="receipts")

        if __name__ == "__main__":
            scheduler.start()
        """
    ),
    "shop/orders.py": (
        """
        def due():
            return db.execute("SELECT id, email FROM orders WHERE customer = 7").fetchall()
        """
    ),
    "shop/receipts.py": (
        '''
        import logging

        from tenacity import RetryError, retry, retry_if_exception_type, stop_after_attempt, wait_exponential

        from shop import dead_jobs, mailer, orders

        log = logging.getLogger(__name__)


        def send_due():
            for order_id, email in orders.due():
                send_receipt(order_id=order_id, email=email)


        def send_receipt(order_id, email):
            """Emails one receipt, for the scheduler in shop.clock, which looks for due orders every night.

            A dead letter is a row in dead_jobs; mend the cause, delete the row, and the next night sends it.
            """
            log.info("receipt started order_id=%s", order_id)
            try:
                _try(order_id, email)
            except (mailer.BadAddress, RetryError) as error:
                log.error("receipt failed order_id=%s: %r", order_id, error)
                dead_jobs.record(order_id, repr(error))
                return
            log.info("receipt sent order_id=%s", order_id)


        @retry(
            stop=stop_after_attempt(5),
            wait=wait_exponential(multiplier=2, max=60),
            retry=retry_if_exception_type((mailer.Unavailable, TimeoutError)),
        )
        def _try(order_id, email):
            try:
                mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
            except (mailer.Unavailable, TimeoutError) as error:
                log.warning("receipt will retry order_id=%s after this attempt: %r", order_id, error)
                raise
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


def case_of(root: Path, change: tuple[str, str, str] | None = None) -> JobCase:
    """`change`: (file, what stands there, what stands there instead)."""
    files = dict(FILES)
    if change:
        path, old, new = change
        assert old in files[path]
        files[path] = files[path].replace(old, new)
    spec = copy.deepcopy(cases.SPEC)
    trigger = {"type": "cron", "schedule": "0 4 * * *", "timezone": "UTC"}
    spec |= {"handler": "shop.receipts:send_receipt", "trigger": trigger}
    return cases.build(root, files, spec=yaml.safe_dump(spec, sort_keys=False), alone=True)


@pytest.mark.parametrize("stage", CHEAP)
def test_the_shop_passes(tmp_path: Path, stage: str) -> None:
    result = cases.examine(stage, case_of(tmp_path / "repo"))
    waits = "pending" if stage == "tests" else "passed"  # for consent to run them
    assert result.status in ("passed", waits), [(f.rule, f.message) for f in result.findings]
    assert cases.rules(result) == []
    assert not [f for f in result.findings if f.severity == "warning"]


def test_what_the_stages_see(tmp_path: Path) -> None:
    case = case_of(tmp_path / "repo")
    assert case.use is not None
    assert (case.use.id, case.use.app) == ("apscheduler", "shop/clock.py:scheduler")
    assert "scheduled at shop/clock.py:6" in cases.examine("handler", case).summary
    assert (
        "tries 5 times, exponential backoff, capped at 1m" in cases.examine("retry", case).summary
    )


BROKEN = {
    "not-wired": (
        ("shop/clock.py", "scheduler.add_job(", "print("),
        "handler",
        "handler.not-wired",
    ),
    "once": (("shop/clock.py", '"cron", hour=4', '"date"'), "handler", "handler.not-scheduled"),
    "attempts": (
        ("shop/receipts.py", "attempt(5)", "attempt(3)"),
        "retry",
        "retry.max-attempts-differs",
    ),
    "endless": (
        ("shop/receipts.py", "stop=stop_after_attempt(5),", ""),
        "retry",
        "retry.max-attempts-differs",
    ),
    "cap": (("shop/receipts.py", "max=60", "max=90"), "retry", "retry.backoff-differs"),
    "dead-letter": (
        ("shop/receipts.py", "dead_jobs.record(", "print("),
        "dead-letter",
        "dead-letter.not-written",
    ),
    "called": (
        ("shop/clock.py", "(send_due,", "(send_due(),"),
        "handler",
        "apscheduler.called-not-added",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_shops_fail(tmp_path: Path, what: str) -> None:
    change, stage, rule = BROKEN[what]
    assert rule in cases.rules(cases.examine(stage, case_of(tmp_path / "repo", change)))


def test_a_crontab_never_outranks_a_job_library(tmp_path: Path) -> None:
    """Plain jobs beside a library: the library is the primary one, however many scripts the crontab
    names.
    """
    scripts = {f"jobs/j{n}.py": "def run(): ...\nrun()\n" for n in range(5)}
    crontab = "".join(f"0 {n} * * * python jobs/j{n}.py\n" for n in range(5))
    files = {**FILES, **scripts, "crontab": crontab}
    case = cases.build(tmp_path / "repo", files, spec=cases.spec_text(), alone=True)
    assert {use.id for use in case.survey_everything().frameworks} == {"apscheduler", "plain-cron"}
    assert case.use is not None
    assert case.use.id == "apscheduler"
    alone = cases.build(
        tmp_path / "alone", {**scripts, "crontab": crontab}, spec=cases.spec_text(), alone=True
    )
    assert alone.use is not None
    assert alone.use.id == "plain-cron"
