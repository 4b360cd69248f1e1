"""Real repositories with a Celery handler, and what skillrun reads in them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helpers

from skillrun.contract.job import JobSpec
from skillrun.core.verdict import Finding
from skillrun.frameworks.celery import FRAMEWORK as celery
from skillrun.frameworks.interface import (
    Job,
    Policy,
)
from skillrun.frameworks.rulebook import read_rule
from skillrun.repo.python import Definition, Project
from skillrun.repo.survey import Survey
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

APP = "from celery import Celery\napp = Celery('shop', broker={broker!r})\n"
SPEC: dict[str, Any] = {
    "version": 1,
    "job": "send-receipt",
    "effects": [{"name": "email", "call": "shop.mailer:send", "guarantee": "keyed"}],
    "failures": {
        "transient": ["shop.mailer:Unavailable", "TimeoutError"],
        "permanent": ["shop.mailer:BadAddress"],
    },
}
MAILER = """
    class MailError(Exception): ...
    class Unavailable(MailError): ...
    class BadAddress(MailError): ...

    def send(order_id, *, idempotency_key=None): ...
    """


@dataclass(frozen=True)
class Shop:
    """A repository with one handler."""

    project: Project
    use: FrameworkUse
    handler: Definition

    @property
    def policy(self) -> Policy:
        return celery.read_policy(self.project, self.use, self.handler)


def open_shop(
    root: Path,
    tasks: str,
    *,
    broker: str = "amqp://localhost",
    handler: str = "shop.tasks:send_receipt",
    **files: str,
) -> Shop:
    """A repository whose shop/tasks.py is given; `files` are more modules of the package, e.g.
    `orders="..."`.
    """
    every: dict[str, str] = {
        "shop/__init__.py": "",
        "shop/mailer.py": MAILER,
        "shop/celery.py": APP.format(broker=broker),
    }
    every["shop/tasks.py"] = tasks
    every |= {
        (name if "/" in name or "." in name else f"shop/{name}.py"): text
        for name, text in files.items()
    }
    return shop_of(
        helpers.build_tree(root, {k: textwrap.dedent(v) for k, v in every.items()}), handler
    )


def shop_of(
    root: Path, handler: str = "shop.tasks:send_receipt", app: str = "shop/celery.py:app"
) -> Shop:
    """The handler of a repository that stands already."""
    project = Project(Tree(root))
    use = FrameworkUse("celery", app=app, apps=(app,))
    found = celery.find_handler(project, use, handler)
    assert found is not None
    return Shop(project, use, found)


def job_of(shop: Shop, spec: Mapping[str, Any] | None = None) -> Job:
    """What a rule may look at."""
    value = {**SPEC, **(spec or {})}
    return Job(
        shop.project, Survey(), shop.use, JobSpec.model_validate(value), shop.handler, shop.policy
    )


def findings(shop: Shop, rule: str, spec: Mapping[str, Any] | None = None) -> list[Finding]:
    """What one rule says."""
    found = next(r for r in celery.list_rules() if r.id == f"celery.{rule}")
    return list(read_rule(found, job_of(shop, spec)).findings)
