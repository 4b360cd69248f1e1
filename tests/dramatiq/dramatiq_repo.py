"""Real repositories with a Dramatiq handler, and what skillrun reads in them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helpers

from skillrun.contract.job import JobSpec
from skillrun.core.verdict import Finding
from skillrun.frameworks.dramatiq import FRAMEWORK as dramatiq
from skillrun.frameworks.interface import (
    Job,
    Policy,
)
from skillrun.frameworks.rulebook import read_rule
from skillrun.repo.python import Definition, Project
from skillrun.repo.survey import Survey
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

BROKER = """\
import dramatiq
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url="redis://localhost")
dramatiq.set_broker(broker)
"""
SPEC: dict[str, Any] = {
    "version": 1,
    "job": "send-receipt",
    "effects": [{"name": "email", "call": "shop.mailer:send", "guarantee": "keyed"}],
    "failures": {
        "transient": ["shop.mailer:Unavailable", "TimeoutError"],
        "permanent": ["shop.mailer:BadAddress"],
    },
    "dead_letter": {"kind": "table", "where": "dead_jobs"},
}
MAILER = """
    class MailError(Exception): ...
    class Unavailable(MailError): ...
    class BadAddress(MailError): ...

    def send(order_id, *, idempotency_key=None): ...
    """
HEAD = "import dramatiq\nfrom shop import mailer\nfrom shop.broker import broker\n"


@dataclass(frozen=True)
class Shop:
    """A repository with one handler."""

    project: Project
    use: FrameworkUse
    handler: Definition

    @property
    def policy(self) -> Policy:
        return dramatiq.read_policy(self.project, self.use, self.handler)


def open_shop(
    root: Path,
    tasks: str,
    *,
    kind: str = "redis",
    handler: str = "shop.tasks:send_receipt",
    **files: str,
) -> Shop:
    """A repository whose shop/tasks.py is given; `files` are more modules of the package, e.g.
    `orders="..."`.
    """
    every = {"shop/__init__.py": "", "shop/mailer.py": MAILER, "shop/broker.py": BROKER}
    every["shop/tasks.py"] = HEAD + textwrap.dedent(tasks)
    every |= {
        (name if {".", "/"} & {*name} else f"shop/{name}.py"): text for name, text in files.items()
    }
    tree = helpers.build_tree(root, {k: textwrap.dedent(v) for k, v in every.items()})
    project = Project(Tree(tree))
    app = "shop/broker.py:broker"
    use = FrameworkUse("dramatiq", app=app, apps=(app,), broker=kind)
    found = dramatiq.find_handler(project, use, handler)
    assert found is not None
    return Shop(project, use, found)


def job_of(shop: Shop, spec: Mapping[str, Any] | None = None) -> Job:
    """What a rule may look at."""
    value = JobSpec.model_validate({**SPEC, **(spec or {})})
    return Job(shop.project, Survey(), shop.use, value, shop.handler, shop.policy)


def findings(shop: Shop, rule: str, spec: Mapping[str, Any] | None = None) -> list[Finding]:
    """What one rule says."""
    found = next(r for r in dramatiq.list_rules() if r.id == f"dramatiq.{rule}")
    return list(read_rule(found, job_of(shop, spec)).findings)
