"""The two stages: is there a changelog, and does it have an entry for the version."""

from __future__ import annotations

from changelog_entry.case import FILE, ReleaseCase
from skillrun.core.verdict import Action, Finding, Grade, StageResult, status_of
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker


class ChangelogStage:
    ID = "changelog"
    TITLE = "Changelog"
    ANSWERS = wording(r"\bfind\b.*\bchangelog")
    READS: tuple[str, ...] = ()
    COSTLY = False

    def examine(self, case: ReleaseCase) -> StageResult:
        if case.tree.read(FILE) is not None:
            return StageResult(status_of(()), Grade.STATIC, summary=FILE)
        return _block(self.ID, "changelog.missing", f"there is no {FILE}", "write one")


class EntryStage:
    ID = "entry"
    TITLE = "Entry of the version"
    ANSWERS = wording(r"\bentry\b")
    READS: tuple[str, ...] = ("version",)
    COSTLY = False

    def examine(self, case: ReleaseCase) -> StageResult:
        if case.spec is None:
            return _block(self.ID, "entry.no-version", "no version is given", "--set version=1.2")
        bullets = case.read_entries().get(case.spec.version, ())
        if not bullets:
            said = f"{FILE} says nothing of {case.spec.version}"
            hint = f"## {case.spec.version}, and a bullet for each change"
            return _block(self.ID, "entry.missing", said, hint)
        facts = {"bullets": len(bullets)}
        return StageResult(status_of(()), Grade.STATIC, summary="found", facts=facts)


def _block(stage: str, rule: str, said: str, hint: str) -> StageResult:
    finding: Finding = blocker(rule, said, hint=hint)
    action = Action(stage, "edit-code", f"{said}: {hint}")
    return StageResult(status_of((finding,)), None, (finding,), next=(action,))


STAGES = (ChangelogStage(), EntryStage())
