"""Real repositories with a Huey handler, what skillrun reads in them, and a small shop that every
stage passes.
"""

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
from skillrun.core.verdict import Finding, StageResult
from skillrun.frameworks.huey import FRAMEWORK as huey
from skillrun.frameworks.interface import (
    Job,
    Policy,
)
from skillrun.frameworks.rulebook import read_rule
from skillrun.repo.git import open_repo
from skillrun.repo.python import Definition, Project
from skillrun.repo.survey import Survey
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.stages.registry import STAGES

SPEC_PATH = ".skillrun/jobs/send-receipt.yaml"
APP = 'from huey import RedisHuey\nhuey = RedisHuey("shop")\n'
MAILER = """
    class Unavailable(Exception): ...
    class BadAddress(Exception): ...

    def send(order_id, email="", *, idempotency_key=None):
        db.execute("INSERT INTO receipts VALUES (?, ?) ON CONFLICT DO NOTHING", (order_id, email))
        post(email, headers={"Idempotency-Key": idempotency_key})
    """

FILES: dict[str, str] = {
    "requirements.txt": "huey>=3\n",
    "Procfile": "worker: huey_consumer shop.app.huey --flush-locks\n",
    "shop/__init__.py": "",
    "shop/app.py": APP,
    "shop/mailer.py": MAILER,
    "shop/dead_jobs.py": (
        """
        def record(payload, reason):
            db.execute("INSERT INTO dead_jobs (payload, reason) VALUES (?, ?)", (payload, reason))
        """
    ),
    "shop/schema.sql": (
        """
        CREATE TABLE receipts (
            order_id INTEGER NOT NULL,
            email TEXT NOT NULL,
            UNIQUE (order_id)
        );
        CREATE TABLE dead_jobs (payload TEXT, reason TEXT);
        """
    ),
    "shop/orders.py": (
        """
        from huey import crontab

        from shop.app import huey
        from shop.tasks import send_receipt

        def settle(order_id, email):
            send_receipt(order_id, email)

        @huey.periodic_task(crontab(minute="*/5"))
        def catch_up():
            for order_id, email in overdue():
                settle(order_id, email)
        """
    ),
    "shop/tasks.py": (
        '''
        import logging

        from huey import CancelExecution

        from shop import dead_jobs, mailer
        from shop.app import huey

        log = logging.getLogger(__name__)


        @huey.task(retries=4, retry_delay=2, retry_backoff=2, context=True)
        def send_receipt(order_id, email, task=None):
            """Emails one receipt.

            A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
            """
            log.info("receipt started order_id=%s task_id=%s", order_id, task.id)
            try:
                mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
            except (mailer.Unavailable, TimeoutError) as error:
                log.warning("receipt failed order_id=%s, retries left %s: %r", order_id, task.retries, error)
                if task.retries == 0:
                    dead_jobs.record(order_id, repr(error))
                raise
            except mailer.BadAddress as error:
                log.error("receipt failed order_id=%s: %r", order_id, error)
                dead_jobs.record(order_id, repr(error))
                raise CancelExecution(retry=False) from error
            log.info("receipt sent order_id=%s", order_id)
        '''
    ),
    "tests/test_tasks.py": (
        """
        from shop import mailer, tasks

        def test_happy(outbox):
            tasks.send_receipt(7, "a@example.com")
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            tasks.send_receipt(7, "a@example.com")
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            tasks.send_receipt(7, "a@example.com")
            assert outbox == []
        """
    ),
}


@dataclass(frozen=True)
class Shop:
    """A repository with one handler."""

    project: Project
    use: FrameworkUse
    handler: Definition

    @property
    def policy(self) -> Policy:
        return huey.read_policy(self.project, self.use, self.handler)


def open_shop(
    root: Path,
    tasks: str,
    *,
    app: str = APP,
    name: str = "huey",
    handler: str = "shop.tasks:send_receipt",
    **files: str,
) -> Shop:
    """A repository whose shop/tasks.py is given; `files` are more modules of the package, e.g.
    `orders="..."`.
    """
    every = {
        "shop/__init__.py": "",
        "shop/mailer.py": MAILER,
        "shop/app.py": app,
        "shop/tasks.py": tasks,
    }
    every |= {
        (key if "/" in key or "." in key or key == "Procfile" else f"shop/{key}.py"): text
        for key, text in files.items()
    }
    helpers.build_tree(root, {name: textwrap.dedent(text) for name, text in every.items()})
    project = Project(Tree(root))
    use = FrameworkUse("huey", app=f"shop/app.py:{name}", apps=(f"shop/app.py:{name}",))
    found = huey.find_handler(project, use, handler)
    assert found is not None
    return Shop(project, use, found)


def findings(shop: Shop, rule: str, spec: Mapping[str, Any] | None = None) -> list[Finding]:
    """What one rule says of the shop under the sample's spec with `spec` laid over it."""
    value = {**SPEC, **(spec or {})}
    job = Job(
        shop.project, Survey(), shop.use, JobSpec.model_validate(value), shop.handler, shop.policy
    )
    found = next(r for r in huey.list_rules() if r.id == f"huey.{rule}")
    return list(read_rule(found, job).findings)


def build(
    root: Path, files: Mapping[str, str] | None = None, spec: Mapping[str, Any] | None = None
) -> JobCase:
    """A case on a real repository: the sample's files and spec, with `files` and parts of the spec
    laid over them.
    """
    value = {**copy.deepcopy(SPEC), **(spec or {})}
    helpers.build_tree(
        root, {**FILES, **(files or {}), SPEC_PATH: yaml.safe_dump(value, sort_keys=False)}
    )
    return JobCase(
        bundled_skill(), load_spec(root / SPEC_PATH, root=root), open_repo(root), Tree(root)
    )


def examine(stage: str, case: JobCase) -> StageResult:
    """What a stage says of a case."""
    return next(s for s in STAGES if stage == s.ID).examine(case)
