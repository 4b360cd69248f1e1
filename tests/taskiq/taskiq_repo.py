"""Real repositories with a taskiq task, what skillrun reads in them, and a small shop that every stage passes."""

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
from skillrun.frameworks import taskiq
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

    async def send(order_id, email="", *, idempotency_key=None):
        await db.execute("INSERT INTO receipts VALUES ($1, $2) ON CONFLICT DO NOTHING", order_id, email)
        await post(email, headers={"Idempotency-Key": idempotency_key})
    """
DEAD = """
    async def record(payload, reason):
        await db.execute("INSERT INTO dead_jobs (payload, reason) VALUES ($1, $2)", payload, reason)
    """
BROKER = """
    from taskiq import SmartRetryMiddleware, SimpleRetryMiddleware, TaskiqMiddleware, TaskiqScheduler, NoResultError
    from taskiq import InMemoryBroker
    from taskiq_redis import ListQueueBroker, ListRedisScheduleSource, RedisStreamBroker
    from shop import dead_jobs, mailer

    due = ListRedisScheduleSource(URL)
    scheduler = TaskiqScheduler(broker, sources=[due])
    """
TASKS = '''
    import logging

    from shop import mailer
    from shop.broker import broker

    log = logging.getLogger(__name__)


    @broker.task(retry_on_error=True)
    async def send_receipt(order_id, email):
        """Emails one receipt.

        A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
        """
        log.info("receipt started order_id=%s", order_id)
        await mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        log.info("receipt sent order_id=%s", order_id)
    '''
OUTCOMES = """
    class Outcomes(TaskiqMiddleware):
        async def on_error(self, message, result, exception):
            order_id = message.kwargs["order_id"]
            if isinstance(result.error, NoResultError):
                log.warning("receipt failed order_id=%s, will retry: %r", order_id, exception)
            else:
                log.error("receipt failed order_id=%s: %r", order_id, exception)
                await dead_jobs.record(order_id, repr(exception))
    """
FILES: dict[str, str] = {
    "requirements.txt": "taskiq>=0.12\ntaskiq-redis>=1.2\n",
    "Procfile": "worker: taskiq worker shop.broker:broker shop.tasks\n",
    "shop/__init__.py": "",
    "shop/mailer.py": MAILER,
    "shop/dead_jobs.py": DEAD,
    "shop/schema.sql": """
        CREATE TABLE receipts (order_id INTEGER NOT NULL, email TEXT NOT NULL, UNIQUE (order_id));
        CREATE TABLE dead_jobs (payload TEXT, reason TEXT);
        """,
    "shop/broker.py": f"""
        import logging

        from taskiq import NoResultError, SmartRetryMiddleware, TaskiqMiddleware, TaskiqScheduler
        from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

        from shop import dead_jobs, mailer

        log = logging.getLogger(__name__)
        URL = "redis://localhost"

{textwrap.indent(textwrap.dedent(OUTCOMES), " " * 8)}
        class Doubling(SmartRetryMiddleware):
            def make_delay(self, message, retries):
                return min(2 * 2 ** (retries - 1), 60)

        due = ListRedisScheduleSource(URL)
        broker = RedisStreamBroker(URL).with_middlewares(
            Outcomes(),
            Doubling(
                default_retry_count=5,
                schedule_source=due,
                types_of_exceptions=(mailer.Unavailable, TimeoutError),
            ),
        )
        scheduler = TaskiqScheduler(broker, sources=[due])
        """,
    "shop/orders.py": """
        from shop.tasks import send_receipt

        async def settle(order_id, email):
            await send_receipt.kiq(order_id=order_id, email=email)
        """,
    "shop/tasks.py": TASKS,
    "tests/test_tasks.py": """
        import asyncio
        import pytest
        from shop import mailer, tasks

        def test_happy(outbox):
            asyncio.run(tasks.send_receipt(7, "a@example.com"))
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            with pytest.raises(mailer.Unavailable):
                asyncio.run(tasks.send_receipt(7, "a@example.com"))
            asyncio.run(tasks.send_receipt(7, "a@example.com"))
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            with pytest.raises(mailer.BadAddress):
                asyncio.run(tasks.send_receipt(7, "a@example.com"))
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
        return taskiq.read_policy(self.project, self.use, self.handler)

    @property
    def wiring(self) -> list[tuple[str, str]]:
        """(kind, how) of every place outside tests."""
        found = taskiq.find_wiring(self.project, self.use, self.handler)
        return [(wiring.kind, wiring.how) for wiring in found if not wiring.in_tests]


def open_shop(root: Path, tasks: str, *, broker: str, **files: str) -> Shop:
    """A repository whose shop/tasks.py is given; `files` are more modules of the package, e.g. `orders="..."`."""
    every = {"shop/__init__.py": "", "shop/mailer.py": MAILER, "shop/dead_jobs.py": DEAD}
    every |= {"shop/tasks.py": tasks, "shop/broker.py": textwrap.dedent(BROKER) + textwrap.dedent(broker)}
    every |= {f"shop/{name}.py": text for name, text in files.items()}
    project = Project(Tree(helpers.build_tree(root, {name: textwrap.dedent(text) for name, text in every.items()})))
    use = FrameworkUse("taskiq", app="shop/broker.py:broker", apps=("shop/broker.py:broker",))
    found = taskiq.find_handler(project, use, "shop.tasks:send_receipt")
    assert found is not None
    return Shop(project, use, found)


def findings(shop: Shop, rule: str, spec: Mapping[str, Any] | None = None) -> list[Finding]:
    """What one rule says of the shop under the sample's spec with `spec` laid over it."""
    value = {**SPEC, **(spec or {})}
    job = Job(shop.project, Survey(), shop.use, JobSpec.model_validate(value), shop.handler, shop.policy)
    found = next(r for r in taskiq.RULES if r.id == f"taskiq.{rule}")
    return list(found.find(job))


def build(root: Path, files: Mapping[str, str] | None = None, spec: Mapping[str, Any] | None = None) -> Case:
    """A case on a real repository: the sample's files and spec, with `files` and parts of the spec laid over them."""
    value = {**copy.deepcopy(SPEC), **(spec or {})}
    helpers.build_tree(root, {**FILES, **(files or {}), SPEC_PATH: yaml.safe_dump(value, sort_keys=False)})
    return Case(bundled_skill(), load_spec(root / SPEC_PATH, root=root), open_repo(root), Tree(root))


def examine(stage: str, case: Case) -> StageResult:
    """What a stage says of a case."""
    return next(s for s in STAGES["job-worker-orchestration"] if stage == s.ID).examine(case)
