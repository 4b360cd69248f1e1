"""A small shop on RQ passes every stage that needs no command; broken, it fails where it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helpers
import pytest
import receipt_job
import yaml
from bundled import bundled_skill

from skillrun.contract.spec import load_spec
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker.stages.interface import JobCase
from skillrun.skills.job_worker.stages.registry import STAGES

STAGE = {stage.ID: stage for stage in STAGES}
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
SPEC_PATH = ".skillrun/jobs/send-receipt.yaml"
TASKS = '''
    import logging

    from rq import get_current_job

    from shop import dead_jobs, mailer

    log = logging.getLogger(__name__)


    def send_receipt(order_id, email):
        """Emails one receipt.

        A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
        """
        log.info("receipt started order_id=%s job_id=%s", order_id, get_current_job().id)
        try:
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        except mailer.BadAddress as error:
            log.error("receipt failed order_id=%s: %r", order_id, error)
            dead_jobs.record(order_id, repr(error))
            return
        log.info("receipt sent order_id=%s", order_id)


    def given_up(job, connection, exc_type, exc_value, traceback):
        """RQ calls this after every failed attempt; the last one has no retries left."""
        if job.retries_left:
            log.warning("receipt will retry order_id=%s, %s left: %r", job.args, job.retries_left, exc_value)
            return
        log.error("receipt failed order_id=%s: %r", job.args, exc_value)
        dead_jobs.record(job.args, repr(exc_value))
    '''
ORDERS = """
    from redis import Redis
    from rq import Callback, Queue, Retry

    from shop.tasks import given_up, send_receipt

    queue = Queue("default", connection=Redis(), default_timeout=60)

    def settle(order_id, email):
        again = Retry(max=4, interval=[2, 4, 8, 16])
        queue.enqueue(send_receipt, order_id, email, retry=again, on_failure=Callback(given_up))
    """
FILES: dict[str, str] = {
    "requirements.txt": "rq>=2\n",
    "Procfile": "worker: rq worker --with-scheduler default\n",
    "shop/__init__.py": "",
    "shop/mailer.py": (
        """
        class Unavailable(Exception): ...
        class BadAddress(Exception): ...

        def send(order_id, email, *, idempotency_key):
            db.execute("INSERT INTO receipts VALUES (?, ?) ON CONFLICT DO NOTHING", (order_id, email))
            post(email, headers={"Idempotency-Key": idempotency_key})
        """
    ),
    "shop/dead_jobs.py": (
        """
        def record(payload, reason):
            db.execute("INSERT INTO dead_jobs (payload, reason) VALUES (?, ?)", (payload, reason))
        """
    ),
    "shop/schema.sql": (
        """
        CREATE TABLE receipts (order_id INTEGER NOT NULL, email TEXT NOT NULL, UNIQUE (order_id));
        CREATE TABLE dead_jobs (payload TEXT, reason TEXT);
        """
    ),
    "shop/tasks.py": TASKS,
    "shop/orders.py": ORDERS,
    "tests/test_tasks.py": (
        """
        from rq import SimpleWorker
        from shop import mailer, orders, tasks

        def test_happy(outbox):
            tasks.send_receipt(7, "a@example.com")
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            orders.settle(7, "a@example.com")
            SimpleWorker([orders.queue]).work(burst=True)
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            tasks.send_receipt(7, "a@example.com")
            assert outbox == []
        """
    ),
}
SPEC = {**receipt_job.SPEC, "enqueue": {"call": "shop.orders:settle"}}


def case_of(root: Path, files: dict[str, str] | None = None, **spec: Any) -> JobCase:
    text = yaml.safe_dump({**SPEC, **spec}, sort_keys=False)
    helpers.build_tree(root, {**FILES, **(files or {}), SPEC_PATH: text})
    return JobCase(
        bundled_skill(), load_spec(root / SPEC_PATH, root=root), open_repo(root), Tree(root)
    )


def stopping(case: JobCase) -> dict[str, list[str]]:
    """Stage -> the rules of the findings that stop it, for those that do not pass."""
    results = {stage: STAGE[stage].examine(case) for stage in CHEAP}
    return {
        stage: [f.rule for f in result.findings if f.severity in ("blocker", "error")]
        for stage, result in results.items()
        if result.status not in ("passed", "pending")  # the tests stage waits for the proof
    }


def test_the_shop_passes(tmp_path: Path) -> None:
    case = case_of(tmp_path / "repo")
    assert case.use is not None
    assert (case.use.id, case.use.app) == ("rq", "shop/orders.py:queue")
    assert stopping(case) == {}


def test_its_failed_jobs_may_be_the_dead_letters(tmp_path: Path) -> None:
    assert stopping(case_of(tmp_path / "repo", dead_letter={"kind": "framework"})) == {}


# name -> file, what is replaced in it, by what, the stage that stops
BROKEN: dict[str, tuple[str, str, str, str]] = {
    "fewer attempts": (
        "shop/orders.py",
        "max=4, interval=[2, 4, 8, 16]",
        "max=2, interval=[2, 4]",
        "retry",
    ),
    "other waits": ("shop/orders.py", "[2, 4, 8, 16]", "[2, 4, 8, 60]", "retry"),
    "no scheduler": ("Procfile", " --with-scheduler", "", "retry"),
    "no retry": ("shop/orders.py", "retry=again, ", "", "retry"),
    "swallowed": ("shop/tasks.py", "except mailer.BadAddress as", "except Exception as", "retry"),
    "not enqueued": (
        "shop/orders.py",
        "queue.enqueue(send_receipt,",
        "print(send_receipt,",
        "handler",
    ),
    "wrong arguments": (
        "shop/orders.py",
        "send_receipt, order_id, email,",
        "send_receipt, order_id,",
        "handler",
    ),
    "no record": ("shop/orders.py", ", on_failure=Callback(given_up)", "", "dead-letter"),
    "a record each time": ("shop/tasks.py", "if job.retries_left:", "if job.meta:", "dead-letter"),
    "no log": (
        "shop/tasks.py",
        'log.info("receipt sent order_id=%s", order_id)',
        "pass",
        "observability",
    ),
    "no test": ("tests/test_tasks.py", "Unavailable", "Slow", "tests"),
}


def test_an_option_is_no_retryable_test(tmp_path: Path) -> None:
    """Retry is an exception of Celery and an option of RQ: only one of them says that a failure is
    tested.
    """
    tests = FILES["tests/test_tasks.py"].replace("mailer.Unavailable", "ValueError")
    tests = tests.replace(
        "orders.settle(7",
        "orders.queue.enqueue(tasks.send_receipt, retry=Retry(max=3)); orders.settle(7",
    )
    assert stopping(case_of(tmp_path / "repo", {"tests/test_tasks.py": tests})) == {
        "tests": ["tests.no-retryable"]
    }


@pytest.mark.parametrize("name", BROKEN)
def test_broken_shops_fail(tmp_path: Path, name: str) -> None:
    path, old, new, stage = BROKEN[name]
    assert old in FILES[path]
    assert stage in stopping(case_of(tmp_path / "repo", {path: FILES[path].replace(old, new)}))
