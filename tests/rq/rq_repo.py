"""Real repositories with an RQ job, and what skillrun reads in them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helpers

from skillrun.contract.job import JobSpec
from skillrun.core.verdict import Finding
from skillrun.frameworks.interface import (
    Job,
    Policy,
    find_wiring,
)
from skillrun.frameworks.rq import FRAMEWORK as rq
from skillrun.frameworks.rulebook import read_rule
from skillrun.repo.python import Definition, Project
from skillrun.repo.survey import Survey
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

SPEC: dict[str, Any] = {
    "version": 1,
    "job": "send-receipt",
    "effects": [{"name": "email", "call": "shop.mailer:send", "guarantee": "keyed"}],
    "failures": {"transient": ["shop.mailer:Unavailable"], "permanent": ["shop.mailer:BadAddress"]},
    "dead_letter": {"kind": "table", "where": "dead_jobs"},
}
FILES = {
    "shop/__init__.py": "",
    "shop/queues.py": (
        "from redis import Redis\nfrom rq import Queue\nqueue = Queue(connection=Redis())\n"
    ),
    "shop/mailer.py": (
        """
        class Unavailable(Exception): ...
        class BadAddress(Exception): ...

        def send(order_id, *, idempotency_key=None): ...
        """
    ),
    "shop/dead_jobs.py": (
        "def record(payload, reason):\n    db.execute('INSERT INTO dead_jobs', (payload, reason))\n"
    ),
    "shop/tasks.py": (
        "from shop import mailer\n\ndef send_receipt(order_id):\n    mailer.send(order_id)\n"
    ),
}
HEAD = """\
from rq import Callback, Queue, Repeat, Retry
from shop import tasks
from shop.queues import queue
from shop.tasks import send_receipt

"""


@dataclass(frozen=True)
class Shop:
    """A repository with one job."""

    project: Project
    use: FrameworkUse
    handler: Definition

    @property
    def policy(self) -> Policy:
        return rq.read_policy(self.project, self.use, self.handler)

    @property
    def wiring(self) -> list[tuple[str, str]]:
        """(kind, how) of every place outside tests."""
        found = find_wiring(rq.find_sends(self.project, self.use, self.handler))
        return [(send.kind, send.how) for send in found if not send.in_tests]


def open_shop(root: Path, enqueue: str = "", *, tasks: str | None = None, **files: str) -> Shop:
    """A shop whose shop/orders.py is `enqueue` below the usual imports; `files` are more modules,
    or paths.
    """
    every = {**FILES, "shop/orders.py": HEAD + textwrap.dedent(enqueue)}
    if tasks is not None:
        every["shop/tasks.py"] = tasks
    every |= {
        (f"shop/{name}.py" if name.islower() and name.isidentifier() else name): text
        for name, text in files.items()
    }
    every = {name: textwrap.dedent(text) for name, text in every.items()}
    every.setdefault("Procfile", "worker: rq worker --with-scheduler default\n")
    project = Project(Tree(helpers.build_tree(root, every)))
    use = FrameworkUse("rq", app="shop/queues.py:queue", apps=("shop/queues.py:queue",))
    found = rq.find_handler(project, use, "shop.tasks:send_receipt")
    assert found is not None
    return Shop(project, use, found)


def findings(shop: Shop, rule: str, spec: Mapping[str, Any] | None = None) -> list[Finding]:
    """What one rule says."""
    found = next(r for r in rq.list_rules() if r.id == f"rq.{rule}")
    value = JobSpec.model_validate({**SPEC, **(spec or {})})
    return list(
        read_rule(
            found, Job(shop.project, Survey(), shop.use, value, shop.handler, shop.policy)
        ).findings
    )
