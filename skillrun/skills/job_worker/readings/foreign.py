"""What the stages say of a job in another language than Python: nothing of its code is read, so
that somebody attests what they would have looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.contract.languages import find_language
from skillrun.core.verdict import Action, Finding, Severity, StageResult, status_of
from skillrun.runner.declared import DeclaredStage
from skillrun.runner.findings import blocker
from skillrun.skills.job_worker.readings.foreign_options import read_options
from skillrun.skills.job_worker.readings.named import find_named
from skillrun.skills.job_worker.readings.second_deliveries import can_be_witnessed

if TYPE_CHECKING:
    from skillrun.contract.languages import Language
    from skillrun.repo.uses import FrameworkUse
    from skillrun.skills.job_worker.job_case import JobCase

ATTESTED = {
    "idempotency": "that a second delivery does no harm: where the key is stored, and what checks it",
    "handler": "that the library knows the handler, and what publishes it",
    "retry": "that the code has the attempts and waits of the spec",
    "dead-letter": "that a job which has used up its attempts ends where the spec says",
    "observability": "that its logs say whether it ran, succeeded, why it failed, and if it is retried",
    "tests": "that tests run the handler: once well, with an error that passes, and with one that stays",
}
"""Stage -> what somebody attests of it."""

_BY_PEOPLE = ("idempotency",)
_OR_TEST = (
    "or the spec names a test as idempotency.test: a command that runs one test, in which the same"
    " job is delivered twice, and which fails once skillrun breaks the handler"
)


def attest_stage(
    case: JobCase, language: Language, stage: str, found: Iterable[Finding] = ()
) -> StageResult:
    """A stage by somebody's word, once nothing is wrong with what the spec says of it (`found`)."""
    findings = tuple(found)
    for finding in findings:
        if finding.severity in (Severity.BLOCKER, Severity.ERROR):
            kind = "edit-code"
            if case.spec is not None and finding.path == case.spec.shown_path:
                kind = "edit-spec"
            step = Action(stage, kind, f"{finding.message}: {finding.hint}")
            return StageResult(status_of(findings), None, findings, next=(step,))
    if stage not in case.attestations:
        return _ask(language, stage, findings)
    attested = DeclaredStage(stage, "", 0).examine(case)
    return replace(attested, findings=(*attested.findings, *findings))


def _ask(language: Language, stage: str, findings: tuple[Finding, ...]) -> StageResult:
    asked = ATTESTED[stage]
    options = f"--attest {stage}='what shows it' --evidence {stage}=PATH"
    unread = f"skillrun does not read {language.title}"
    message, hint = f"nobody has attested {asked}", f"{unread}: check it, and add {options}"
    if stage in _BY_PEOPLE:
        message = f"no person has attested {asked}"
        hint = f"{unread}: a person checks it, and adds at a terminal of theirs {options}"
        if can_be_witnessed(language):
            hint += f"; {_OR_TEST}"
    finding = blocker(f"{stage}.unattested", message, hint=hint)
    return StageResult(
        status_of([finding]),
        None,
        (*findings, finding),
        next=(Action(stage, "attest", hint),),
        summary="not attested",
    )


def find_language_of(use: FrameworkUse | None) -> Language | None:
    """That of the files which show the use of a library; None where one of them is Python."""
    if use is None:
        return None
    shown = [place.path for place in use.evidence]
    for path in (*use.task_modules, *shown):
        if path.endswith(".py"):
            return None
        language = find_language(path)
        if language is not None:
            return language
    return None


def judge_handler(case: JobCase, language: Language) -> list[Finding]:
    """A blocker where the handler's name stands in no file of its language, else what was read of
    those who publish it.
    """
    spec = case.spec
    if spec is None or spec.handler is None:
        return []
    if find_named(case.tree, language, spec.handler):
        options = read_options(case)
        if options is None:
            return []
        return list(options.of_publishers)
    message = f"no {language.title} file of this repository has {spec.handler}"
    hint = f"write it, or correct the name, e.g. {language.handler}"
    place = {"path": spec.shown_path, "line": spec.line("handler")}
    return [blocker("handler.not-in-language", message, hint=hint, **place)]
