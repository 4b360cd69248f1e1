"""A small repository with one handler, as a framework reads it, and as the stages do: the tests of
several share it.
"""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Collection, Mapping
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
from skillrun.frameworks.interface import (
    Framework,
    Job,
    Policy,
    find_wiring,
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


@dataclass(frozen=True)
class Shop:
    """A repository with one handler."""

    framework: Framework
    project: Project
    use: FrameworkUse
    handler: Definition

    @property
    def policy(self) -> Policy:
        return self.framework.read_policy(self.project, self.use, self.handler)

    @property
    def wiring(self) -> list[tuple[str, str]]:
        """(kind, how) of every place outside tests and the handler itself."""
        found = find_wiring(self.framework.find_sends(self.project, self.use, self.handler))
        return [(send.kind, send.how) for send in found if not send.in_tests]


def opened(root: Path, framework: Framework, use: FrameworkUse, files: Mapping[str, str]) -> Shop:
    """The files written, indented as they may be, and shop.tasks:send_receipt found in them."""
    project = Project(
        Tree(
            helpers.build_tree(root, {name: textwrap.dedent(text) for name, text in files.items()})
        )
    )
    found = framework.find_handler(project, use, "shop.tasks:send_receipt")
    assert found is not None
    return Shop(framework, project, use, found)


def findings(shop: Shop, rule: str, spec: Mapping[str, Any] | None = None) -> list[Finding]:
    """What one rule, named without its framework, says of the shop under the sample's spec with
    `spec` laid over it.
    """
    value = {**SPEC, **(spec or {})}
    job = Job(
        shop.project, Survey(), shop.use, JobSpec.model_validate(value), shop.handler, shop.policy
    )
    found = next(r for r in shop.framework.list_rules() if r.id == f"{shop.framework.ID}.{rule}")
    return list(read_rule(found, job).findings)


def case_of(root: Path, files: Mapping[str, str], spec: Mapping[str, Any] | None = None) -> JobCase:
    """A case on a real repository: these files, and the sample's spec with parts laid over it."""
    value = {**copy.deepcopy(SPEC), **(spec or {})}
    helpers.build_tree(root, {**files, SPEC_PATH: yaml.safe_dump(value, sort_keys=False)})
    return JobCase(
        bundled_skill(), load_spec(root / SPEC_PATH, root=root), open_repo(root), Tree(root)
    )


def examine(stage: str, case: JobCase) -> StageResult:
    """What a stage says of a case."""
    return next(s for s in STAGES if stage == s.ID).examine(case)


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
"""The stages that run no command."""


def check_passes(stage: str, case: JobCase, allowed: Collection[str] = ()) -> None:
    """Nothing but notes, and rules that are true of every job; the tests stage may still wait for
    its commands.
    """
    result = examine(stage, case)
    found = [f for f in result.findings if f.severity != "note"]
    assert [f for f in found if f.rule not in allowed] == []
    assert result.status in (("passed", "pending") if stage == "tests" else ("passed",))


def check_breaks(stage: str, case: JobCase, rule: str) -> None:
    """The stage has an error or a blocker of that rule."""
    assert rule in {
        f.rule for f in examine(stage, case).findings if f.severity in ("blocker", "error")
    }


def edited_file(files: Mapping[str, str], path: str, old: str, new: str) -> dict[str, str]:
    """One of the files with `old`, which must be in it, replaced."""
    assert old in files[path]
    return {path: files[path].replace(old, new)}
