"""Cases for the stages: a small shop on Celery that every stage passes, and what a test changes in
it.
"""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helpers
import yaml
from bundled import bundled_skill
from receipt_job import SPEC

from skillrun.contract.skill import Skill, load_skill
from skillrun.contract.spec import load_spec
from skillrun.core.verdict import Finding, StageResult
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.stages.registry import STAGES

SPEC_PATH = ".skillrun/jobs/send-receipt.yaml"
STAGE = {stage.ID: stage for stage in STAGES}
SILENT = "class Unavailable(Exception): ...\ndef send(order_id, email, *, idempotency_key): ...\n"
SENT = "mailer.send(order_id, email, idempotency_key=f'r-{order_id}')\n"
GONE = object()  # takes a part out of the spec, or a file out of the repository

FILES: dict[str, str] = {
    "requirements.txt": "celery>=5\n",
    "Procfile": "worker: celery -A shop worker\n",
    "shop/__init__.py": "",
    "shop/celery.py": (
        """
        from celery import Celery

        app = Celery("shop", broker="redis://localhost:6379/0", include=["shop.tasks"])
        """
    ),
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
        from shop.tasks import send_receipt

        def settle(order_id, email):
            send_receipt.delay(order_id=order_id, email=email)
        """
    ),
    "shop/tasks.py": (
        '''
        import logging

        from celery.exceptions import MaxRetriesExceededError

        from shop import dead_jobs, mailer
        from shop.celery import app

        log = logging.getLogger(__name__)


        @app.task(bind=True, name="shop.send_receipt", max_retries=4)
        def send_receipt(self, order_id, email):
            """Emails one receipt.

            A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
            """
            log.info("receipt started order_id=%s task=%s", order_id, self.request.id)
            try:
                mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
            except (mailer.Unavailable, TimeoutError) as error:
                log.warning("receipt will retry order_id=%s attempt=%s: %r", order_id, self.request.retries, error)
                try:
                    raise self.retry(exc=error, countdown=min(2 * 2**self.request.retries, 60))
                except MaxRetriesExceededError:
                    dead_jobs.record(order_id, repr(error))
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
        from shop import mailer, tasks

        def test_happy(outbox):
            tasks.send_receipt(7, "a@example.com")
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            tasks.send_receipt.apply(args=(7, "a@example.com"))
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            tasks.send_receipt.apply(args=(7, "a@example.com"))
            assert outbox == []
        """
    ),
}


def spec_text(changes: Mapping[str, Any] | None = None) -> str:
    """The shop's spec with `path.to.part` -> value laid over it; GONE takes a part out."""
    value = copy.deepcopy(SPEC)
    for path, part in (changes or {}).items():
        *above, last = [int(word) if word.isdigit() else word for word in path.split(".")]
        inside: Any = value
        for word in above:
            inside = inside[word] if isinstance(inside, list) else inside.setdefault(word, {})
        if part is GONE:
            del inside[last]
        else:
            inside[last] = part
    return yaml.safe_dump(value, sort_keys=False)


def build(
    root: Path,
    files: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    *,
    spec: str | None = None,
    skill: Skill | None = None,
    alone: bool = False,
) -> JobCase:
    """A case on a real repository: the shop's files with `files` laid over them (`alone`: only
    those), and its spec.
    """
    every = {**({} if alone else FILES), **(files or {}), SPEC_PATH: spec or spec_text(changes)}
    kept = {path: text for path, text in every.items() if text is not GONE}
    helpers.build_tree(root, kept)
    repo = open_repo(root)
    return JobCase(
        skill or bundled_skill(), load_spec(root / SPEC_PATH, root=root), repo, Tree(root)
    )


def skill_of(root: Path, body: str, *, name: str = "job-worker-orchestration") -> Skill:
    """A SKILL.md with this body."""
    front = f"---\nname: {name}\ndescription: A skill.\nmetadata:\n  layer: backend\n---\n\n"
    root.mkdir(parents=True, exist_ok=True)
    (root / "SKILL.md").write_text(front + textwrap.dedent(body).lstrip("\n"))
    return load_skill(root / "SKILL.md")


def examine(stage: str, case: JobCase) -> StageResult:
    """What a stage says of a case."""
    return STAGE[stage].examine(case)


def rules(result: StageResult) -> list[str]:
    """The rules of the findings that stop a stage."""
    return [f.rule for f in result.findings if f.severity in ("blocker", "error")]


def finding(result: StageResult, rule: str) -> Finding:
    """The first finding of a rule; fails where there is none."""
    found = [f for f in result.findings if f.rule == rule]
    assert found, f"no {rule} among {[(f.rule, f.message) for f in result.findings]}"
    return found[0]


def has(result: StageResult, rule: str) -> bool:
    """Whether a rule found anything, of whatever severity."""
    return any(f.rule == rule for f in result.findings)


def with_task(root: Path, body: str, imports: str = "import os", **files: str) -> StageResult:
    """The stage idempotency on a task with this body."""
    text = "\n".join(
        [
            textwrap.dedent(imports).strip(),
            "from shop import mailer",
            "from shop.celery import app",
            "",
            "",
            '@app.task(bind=True, name="shop.send_receipt")',
            "def send_receipt(self, order_id, email):",
            textwrap.indent(textwrap.dedent(body).strip(), "    "),
            "",
        ]
    )
    more = {f"shop/{name}.py": source for name, source in files.items()}
    return examine("idempotency", build(root, {"shop/tasks.py": text, **more}))
