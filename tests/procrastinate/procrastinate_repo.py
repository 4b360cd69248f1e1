"""Real repositories with a Procrastinate task, what skillrun reads in them, and a small shop that all stages pass."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helpers
import yaml
from bundled import bundled_skill
from receipt_job import SPEC

from skillrun.contract.job import JobSpec
from skillrun.contract.spec import load_spec
from skillrun.frameworks import procrastinate
from skillrun.frameworks.interface import FrameworkUse, Job, Policy
from skillrun.repo.git import open_repo
from skillrun.repo.python import Definition, Project
from skillrun.repo.survey import Survey
from skillrun.repo.tree import Tree
from skillrun.stages.interface import Case
from skillrun.stages.registry import STAGES
from skillrun.verdict import Finding, StageResult

SPEC_PATH = ".skillrun/jobs/send-receipt.yaml"
MAILER = """
    class Unavailable(Exception): ...
    class BadAddress(Exception): ...

    def send(order_id, email="", *, idempotency_key=None):
        execute("INSERT INTO receipts VALUES ($1, $2) ON CONFLICT DO NOTHING", order_id, email)
        post(email, headers={"Idempotency-Key": idempotency_key})
    """
DEAD = """
    def record(payload, reason):
        execute("INSERT INTO dead_jobs (payload, reason) VALUES ($1, $2)", payload, reason)
    """
QUEUE = """
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(), import_paths=["shop.tasks", "shop.stalled"])
    """
STALLED = """
    from shop.queue import app

    @app.periodic(cron="*/10 * * * *")
    @app.task(queueing_lock="retry_stalled")
    async def retry_stalled(timestamp):
        for job in await app.job_manager.get_stalled_jobs():
            if job.attempts < 20:
                await app.job_manager.retry_job(job)
    """
TASKS = '''
    import logging

    from procrastinate import RetryStrategy

    from shop import dead_jobs, mailer
    from shop.queue import app

    log = logging.getLogger(__name__)
    RETRIES = 4
    PASSING = (mailer.Unavailable, TimeoutError)


    @app.task(
        pass_context=True, retry=RetryStrategy(max_attempts=RETRIES, exponential_wait=2, retry_exceptions=PASSING)
    )
    def send_receipt(context, order_id, email):
        """Emails one receipt.

        A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
        """
        log.info("receipt started order_id=%s job_id=%s", order_id, context.job.id)
        try:
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        except PASSING as error:
            if context.job.attempts >= RETRIES:
                log.error("receipt failed order_id=%s: %r", order_id, error)
                dead_jobs.record(order_id, repr(error))
                raise
            log.warning("receipt failed order_id=%s, will retry, attempt %s: %r", order_id, context.job.attempts, error)
            raise
        except mailer.BadAddress as error:
            log.error("receipt failed order_id=%s: %r", order_id, error)
            dead_jobs.record(order_id, repr(error))
            return
        log.info("receipt sent order_id=%s", order_id)
    '''
FILES: dict[str, str] = {
    "requirements.txt": "procrastinate>=3\n",
    "Procfile": "worker: procrastinate --app=shop.queue.app worker\n",
    "shop/__init__.py": "",
    "shop/mailer.py": MAILER,
    "shop/dead_jobs.py": DEAD,
    "shop/schema.sql": """
        CREATE TABLE receipts (order_id INTEGER NOT NULL, email TEXT NOT NULL, UNIQUE (order_id));
        CREATE TABLE dead_jobs (payload TEXT, reason TEXT);
        """,
    "shop/queue.py": QUEUE,
    "shop/stalled.py": STALLED,
    "shop/orders.py": """
        from shop.tasks import send_receipt

        def settle(order_id, email):
            send_receipt.defer(order_id=order_id, email=email)
        """,
    "shop/tasks.py": TASKS,
    "tests/test_tasks.py": """
        import pytest
        from types import SimpleNamespace
        from shop import mailer, tasks

        CONTEXT = SimpleNamespace(job=SimpleNamespace(id=1, attempts=0))

        def test_happy(outbox):
            tasks.send_receipt(CONTEXT, order_id=7, email="a@example.com")
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            with pytest.raises(mailer.Unavailable):
                tasks.send_receipt(CONTEXT, order_id=7, email="a@example.com")
            tasks.send_receipt(CONTEXT, order_id=7, email="a@example.com")
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            tasks.send_receipt(CONTEXT, order_id=7, email="a@example.com")
            assert outbox == []
        """,
}


@dataclass(frozen=True)
class Shop:
    """A repository with one handler."""

    project: Project
    use: FrameworkUse
    handler: Definition

    @property
    def policy(self) -> Policy:
        return procrastinate.read_policy(self.project, self.use, self.handler)

    @property
    def wiring(self) -> list[tuple[str, str]]:
        """(kind, how) of every place outside tests."""
        found = procrastinate.find_wiring(self.project, self.use, self.handler)
        return [(wiring.kind, wiring.how) for wiring in found if not wiring.in_tests]


def open_shop(root: Path, tasks: str, *, queue: str = QUEUE, stalled: str = STALLED, **files: str) -> Shop:
    """A repository whose shop/tasks.py is given; `files` are more modules of the package, e.g. `orders="..."`."""
    every = {"shop/__init__.py": "", "shop/mailer.py": MAILER, "shop/dead_jobs.py": DEAD}
    every |= {"shop/tasks.py": tasks, "shop/queue.py": queue, "shop/stalled.py": stalled}
    every |= {f"shop/{name}.py": text for name, text in files.items()}
    project = Project(Tree(helpers.build_tree(root, {name: textwrap.dedent(text) for name, text in every.items()})))
    use = FrameworkUse("procrastinate", app="shop/queue.py:app", apps=("shop/queue.py:app",))
    found = procrastinate.find_handler(project, use, "shop.tasks:send_receipt")
    assert found is not None
    return Shop(project, use, found)


def findings(shop: Shop, rule: str, spec: Mapping[str, Any] | None = None) -> list[Finding]:
    """What one rule says of the shop under the sample's spec with `spec` laid over it."""
    value = {**SPEC, **(spec or {})}
    job = Job(shop.project, Survey(), shop.use, JobSpec.model_validate(value), shop.handler, shop.policy)
    found = next(r for r in procrastinate.RULES if r.id == f"procrastinate.{rule}")
    return list(found.find(job))


def build(root: Path, files: Mapping[str, str] | None = None, spec: Mapping[str, Any] | None = None) -> Case:
    """A case on a real repository: the sample's files and spec, with `files` and parts of the spec laid over them."""
    value = {**copy.deepcopy(SPEC), **(spec or {})}
    helpers.build_tree(root, {**FILES, **(files or {}), SPEC_PATH: yaml.safe_dump(value, sort_keys=False)})
    return Case(bundled_skill(), load_spec(root / SPEC_PATH, root=root), open_repo(root), Tree(root))


def examine(stage: str, case: Case) -> StageResult:
    """What a stage says of a case."""
    return next(s for s in STAGES["job-worker-orchestration"] if stage == s.ID).examine(case)
