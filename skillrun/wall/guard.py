"""Watches that a verification judges the commit alone: its checkout is compared before and after
each stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Finding, Severity
from skillrun.runner.report import finding_json
from skillrun.wall.commit import Contents
from skillrun.wall.strays import Strays
from skillrun.wall.surroundings import NOT_THE_COMMIT_RULE, Surroundings

if TYPE_CHECKING:
    from skillrun.runner.watcher import Watcher
    from skillrun.validations.consent import CommandPlan, Question

_HINT = (
    "let setup and tests leave the commit's files alone, and write below a folder that git ignores"
)
_FIRST = ""  # before any stage
# Findings of one stage: who replaces a thousand files is found out by the first.
_MOST = 20


class Guard:
    """A watcher of one run, which hands on what it is told."""

    def __init__(
        self,
        watcher: Watcher,
        contents: Contents,
        strays: Strays,
        around: Surroundings,
    ) -> None:
        self._watcher, self._contents, self._strays = watcher, contents, strays
        self._around = around
        self._stage = _FIRST
        self._known: set[str] = set()
        self.found: dict[str, list[Finding]] = {}
        """Stage -> what was no longer the commit once it had ended."""

    def compare(self) -> None:
        """Holds the checkout against its commit; what differs is said of the stage that was at
        work.
        """
        for path, what in (*self._contents.find_changes(), *self._strays.find()):
            if path not in self._known:
                self._known.add(path)
                self.found.setdefault(self._stage, []).append(self._name(path, what))

    def compare_all(self) -> None:
        """With the environments and skillrun's own files: too many for each stage, so that these
        are looked at before the first and behind the last.
        """
        self.compare()
        for finding in self._around.find_changes():
            if finding.path and finding.path not in self._known:
                self._known.add(finding.path)
                self.found.setdefault(self._stage, []).append(finding)

    def _name(self, path: str, what: str) -> Finding:
        when = f"since {self._stage} ran" if self._stage else "before the first stage"
        message = f"{path} {what}, {when}: what was judged is not the commit"
        return Finding(NOT_THE_COMMIT_RULE, Severity.ERROR, message, path=path, hint=_HINT)

    # -- as a watcher

    def begins(self, header: Mapping[str, Any], stages: list[tuple[str, str]]) -> None:
        """The run is known; these stages follow."""
        self._watcher.begins(header, stages)

    def stage_begins(self, stage: str) -> None:
        """What the stage before it has left is compared, and bytecode in which it could have left
        anything removed.
        """
        if self._stage == _FIRST:
            self.compare_all()
        else:
            self.compare()
        self._strays.remove_bytecode()
        self._stage = stage
        self._watcher.stage_begins(stage)

    def stage_ends(self, stage: Mapping[str, Any]) -> None:
        """A stage of the report. It may come late: a proof that speaks of it is waited for."""
        self._watcher.stage_ends(stage)

    def output(self, line: str) -> None:
        """A line that a running command printed."""
        self._watcher.output(line)

    def waits(self, holder: str) -> None:
        """Another invocation of the same run is at work."""
        self._watcher.waits(holder)

    def may_run(self, question: Question) -> str | None:
        """Nobody: a person was asked once, for all of the verification."""
        return None

    def runs(self, plan: CommandPlan) -> None:
        """These commands run now."""
        self._watcher.runs(plan)


def disbelieve(report: dict[str, Any], found: Mapping[str, list[Finding]]) -> dict[str, Any]:
    """The report of a run, in which the stages have failed whose end the commit has not
    outlived.
    """
    if not found:
        return report
    stages = [_fail(stage, found.get(stage["id"], [])) for stage in report["stages"]]
    if stages:
        stages[0] = _fail(stages[0], found.get(_FIRST, []))
    outcome = "partial" if report["outcome"] == "success" else report["outcome"]
    return {**report, "stages": stages, "outcome": outcome}


def _fail(stage: dict[str, Any], found: list[Finding]) -> dict[str, Any]:
    if not found:
        return stage
    shown = [finding_json(finding) for finding in found[:_MOST]]
    return {**stage, "status": "failed", "grade": None, "findings": [*stage["findings"], *shown]}
