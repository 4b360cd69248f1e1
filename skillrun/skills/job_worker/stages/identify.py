"""Stage 1: which job library does this repository use, and where do its app, tasks and workers
live?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.core.verdict import Action, Evidence, Finding, Grade, StageResult, status_of
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker
from skillrun.skills.job_worker.job_case import JobCase

if TYPE_CHECKING:
    from skillrun.repo.uses import FrameworkUse
    from skillrun.skills.job_worker.readings.choice import Choice

ID = "identify"
TITLE = "Identify job framework and conventions"
ANSWERS = wording(r"\bframework\b|\bidentify\b.*\b(job|worker|queue)")
READS: tuple[str, ...] = ("handler",)
COSTLY = False
# A repository may show the library in hundreds of places.
_PLACES_SHOWN = 20


def examine(case: JobCase) -> StageResult:
    """Takes the framework that the profile names, or else the one that the code shows. Blocked
    where nothing decides.
    """
    choice = case.choice
    # Recorded alone: the stage is stale once the repository's commands change.
    case.survey_section("commands")
    findings = [*_find_contradictions(case), *_find_undecided(choice)]
    use = choice.use
    grade = framework = app = None
    if use is not None:
        grade = Grade.DECLARED
        framework, app = use.id, use.app
    if use is not None and use.evidence:
        grade = Grade.STATIC
    return StageResult(
        status=status_of(findings),
        grade=grade,
        findings=tuple(findings),
        evidence=_list_evidence(case, use),
        next=_list_steps(choice, findings),
        summary=_summarise(use),
        facts={"framework": framework, "app": app, "by": choice.by},
    )


def _find_contradictions(case: JobCase) -> tuple[Finding, ...]:
    """Where the profile says otherwise than the code."""
    from skillrun.repo.profile import find_contradictions

    if not case.profile:
        return ()
    return tuple(find_contradictions(case.profile, case.survey_everything()))


def _find_undecided(choice: Choice) -> list[Finding]:
    """A blocker where several frameworks are in use, where none is, or where the profile names one
    that is not known.
    """
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


def _list_evidence(case: JobCase, use: FrameworkUse | None) -> tuple[Evidence, ...]:
    """The places that show the use of the framework, each with its file's digest and size."""
    if use is None:
        return ()
    evidence = []
    for place in use.evidence:
        digest, size = case.tree.sha256(place.path) or "", case.tree.size(place.path)
        text = {"text": place.text}
        evidence.append(Evidence("file", place.path, digest, size, place.line, text))
    return tuple(evidence[:_PLACES_SHOWN])


def _list_steps(choice: Choice, findings: list[Finding]) -> tuple[Action, ...]:
    """How to come by a profile where no framework is chosen, or else how to mend what it says."""
    if choice.use is None:
        command = (
            "skillrun detect --write, then complete REPO_PROFILE.json (skill personalize-repo)"
        )
        return (Action(ID, "run", command),)
    steps = []
    for finding in findings:
        if finding.hint and finding.severity == "error":
            steps.append(Action(ID, "edit-spec", f"{finding.message}: {finding.hint}"))
    return tuple(steps)


def _summarise(use: FrameworkUse | None) -> str:
    """One line: `celery, app shop.celery:app, broker redis`."""
    if use is None:
        return "no job framework"
    parts = [use.id]
    named = {"app": use.app, "broker": use.broker, "scheduler": use.scheduler}
    for name, value in named.items():
        if value:
            parts.append(f"{name} {value}")
    return ", ".join(parts)
