"""Stage 1: which job library does this repository use, and where do its app, tasks and workers
live?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.core.verdict import Action, Evidence, Finding, Grade, StageResult, status_of
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker
from skillrun.skills.job_worker.stages.interface import JobCase

if TYPE_CHECKING:
    from skillrun.repo.uses import FrameworkUse
    from skillrun.skills.job_worker.stages.choice import Choice

ID = "identify"
TITLE = "Identify job framework and conventions"
ANSWERS = wording(r"\bframework\b|\bidentify\b.*\b(job|worker|queue)")
READS: tuple[str, ...] = ("handler",)
COSTLY = False


def examine(case: JobCase) -> StageResult:
    """The profile's word first, then what the code shows. Blocked where nothing decides."""
    choice = case.choice
    case.survey_section("commands")
    findings = [*_contradictions(case), *_undecided(choice)]
    use = choice.use
    return StageResult(
        status=status_of(findings),
        grade=Grade.STATIC if use and use.evidence else Grade.DECLARED if use else None,
        findings=tuple(findings),
        evidence=_evidence(case, use),
        next=_actions(choice, findings),
        summary=_summary(use),
        facts={
            "framework": use.id if use else None,
            "app": use.app if use else None,
            "by": choice.by,
        },
    )


def _contradictions(case: JobCase) -> tuple[Finding, ...]:
    from skillrun.repo.profile import contradictions

    if not case.profile:
        return ()
    return tuple(contradictions(case.profile, case.survey_everything()))


def _undecided(choice: Choice) -> list[Finding]:
    from skillrun.frameworks.registry import FRAMEWORKS, RECOGNISED_ONLY

    if choice.use is None and choice.candidates:
        names = ", ".join(choice.candidates)
        hint = (
            'name a handler in a module of its tasks, or say "jobs": {"framework": "..."} in'
            " REPO_PROFILE.json"
        )
        message = f"several job frameworks are in use and nothing decides between them: {names}"
        return [blocker("identify.ambiguous", message, hint=hint, recommends="personalize-repo")]
    if choice.use is None:
        hint = (
            "add the job library of your choice, or name it in REPO_PROFILE.json (skillrun detect"
            " --write)"
        )
        message = (
            f"no job framework is in use here: {len(FRAMEWORKS | RECOGNISED_ONLY)} were looked for"
        )
        return [blocker("identify.none", message, hint=hint, recommends="personalize-repo")]
    if choice.use.id not in FRAMEWORKS and choice.use.id not in RECOGNISED_ONLY:
        known = ", ".join(sorted(FRAMEWORKS | RECOGNISED_ONLY))
        message = (
            f"REPO_PROFILE.json names {choice.use.id}, which this version of skillrun does not know"
        )
        return [
            blocker(
                "identify.unsupported", message, hint=f"it knows: {known}", path="REPO_PROFILE.json"
            )
        ]
    return []


def _evidence(case: JobCase, use: FrameworkUse | None) -> tuple[Evidence, ...]:
    if use is None:
        return ()
    seen = []
    for place in use.evidence:
        seen.append(
            Evidence(
                "file",
                place.path,
                case.tree.sha256(place.path) or "",
                case.tree.size(place.path),
                place.line,
                {"text": place.text},
            )
        )
    return tuple(seen[:20])


def _actions(choice: Choice, findings: list[Finding]) -> tuple[Action, ...]:
    if choice.use is None:
        return (
            Action(
                ID,
                "run",
                "skillrun detect --write, then complete REPO_PROFILE.json (skill personalize-repo)",
            ),
        )
    actions = []
    for f in findings:
        if f.hint and f.severity == "error":
            actions.append(Action(ID, "edit-spec", f"{f.message}: {f.hint}"))
    return tuple(actions)


def _summary(use: FrameworkUse | None) -> str:
    if use is None:
        return "no job framework"
    parts = [
        use.id,
        f"app {use.app}" if use.app else "",
        f"broker {use.broker}" if use.broker else "",
    ]
    parts.append(f"scheduler {use.scheduler}" if use.scheduler else "")
    return ", ".join(part for part in parts if part)
