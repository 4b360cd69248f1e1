"""Real repositories whose jobs are plain functions, and what skillrun reads in them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helpers

from skillrun.contract.job import JobSpec
from skillrun.core.verdict import Finding
from skillrun.frameworks.interface import (
    Framework,
    Job,
    Policy,
    Send,
)
from skillrun.frameworks.plain_cron import FRAMEWORK as plain_cron
from skillrun.frameworks.plain_cron.recognise import PlainCronRecogniser
from skillrun.frameworks.rulebook import read_rule
from skillrun.repo.python import Definition, Project
from skillrun.repo.survey import Survey, survey_tree
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

SPEC: dict[str, Any] = {
    "version": 1,
    "job": "sweep",
    "effects": [{"name": "email", "call": "shop.mailer:send", "guarantee": "at_least_once"}],
    "failures": {
        "transient": ["shop.mailer:Unavailable", "TimeoutError"],
        "permanent": ["shop.mailer:BadAddress"],
    },
}
MAILER = """
    class Unavailable(Exception): ...
    class BadAddress(Exception): ...

    def send(order_id, *, idempotency_key=None): ...
    """
CRONTAB = {"crontab": "*/5 * * * * cd /srv && python -m shop.sweep\n"}


def build(root: Path, files: Mapping[str, str]) -> Path:
    """A repository with a package `shop` and these files."""
    every = {"shop/__init__.py": "", "shop/mailer.py": MAILER, **files}
    return helpers.build_tree(root, {path: textwrap.dedent(text) for path, text in every.items()})


def recognised(root: Path) -> FrameworkUse | None:
    """What detection says of a repository."""
    return survey_tree(Tree(root), [PlainCronRecogniser()]).use("plain-cron")


class Plain:
    """The handler of a repository, seen by a framework of plain callables."""

    def __init__(
        self, root: Path, handler: str = "shop.sweep:sweep", framework: Framework = plain_cron
    ) -> None:
        self.framework = framework
        self.project = Project(Tree(root))
        self.survey: Survey = survey_tree(Tree(root), [framework.recogniser()])
        self.use = self.survey.use(framework.ID) or FrameworkUse(framework.ID)
        found = framework.find_handler(self.project, self.use, handler)
        assert found is not None
        self.handler: Definition = found

    @property
    def policy(self) -> Policy:
        return self.framework.read_policy(self.project, self.use, self.handler)

    @property
    def wiring(self) -> tuple[Send, ...]:
        return self.framework.find_sends(self.project, self.use, self.handler)

    def wired(self) -> list[str]:
        """ "crontab:1 schedule crontab */5 * * * *" of each place."""
        return [f"{w.place.path}:{w.place.line} {w.kind} {w.how}" for w in self.wiring]

    def findings(self, rule: str, spec: Mapping[str, Any] | None = None) -> list[Finding]:
        """What one rule says."""
        found = next(
            r for r in self.framework.list_rules() if r.id == f"{self.framework.ID}.{rule}"
        )
        value = JobSpec.model_validate({**SPEC, **(spec or {})})
        return list(
            read_rule(
                found, Job(self.project, self.survey, self.use, value, self.handler, self.policy)
            ).findings
        )
