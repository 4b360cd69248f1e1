"""What the stages that read a handler say where the job library is only recognised: never that all
is well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.core.verdict import Action, Finding, StageResult, status_of
from skillrun.runner.findings import blocker, not_read
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.foreign import find_language_of
from skillrun.skills.job_worker.readings.foreign_jobs import choose_example

if TYPE_CHECKING:
    from skillrun.frameworks.common.unfollowed import Unfollowed
    from skillrun.repo.uses import FrameworkUse

# Whether nothing but somebody's decision helps.
_ACTIONS = {True: "decide", False: "edit-spec"}
_LOOKED_AT = {
    "idempotency": "whether a second run does no harm",
    "handler": "whether the handler is registered and published",
    "retry": "its retry policy",
    "dead-letter": "where a job ends up after its last attempt",
    "observability": "what the handler logs",
    "tests": "whether the tests notice a broken handler",
}


def unread(case: JobCase, stage: str) -> StageResult | None:
    """The one finding of a stage that cannot read this library's handlers; None where skillrun
    can.
    """
    from skillrun.frameworks.registry import RECOGNISED_ONLY

    use = case.use
    if (
        use is None
        or use.id not in RECOGNISED_ONLY
        or (case.framework is not None and not _is_foreign(use))
    ):
        return None
    message = (
        f"skillrun recognises {RECOGNISED_ONLY[use.id]}, and cannot read yet {_LOOKED_AT[stage]}"
    )
    hint = _hint(stage)
    language = find_language_of(use)
    if language is not None:
        name = choose_example(case, language)
        # Python's words, and a waiver that leaves the run partial, help nobody here.
        hint = (
            f"write into the spec language: {language.id} and handler: {name}; then somebody"
            " attests what cannot be read"
        )
    finding = blocker(f"{stage}.unread-framework", message, hint=hint, **_place(use))
    return StageResult(
        status_of([finding]),
        None,
        (finding,),
        next=(Action(stage, _ACTIONS[language is None], hint),),
        summary=f"{use.id} is not read yet",
    )


def ask_proof(stage: str, question: str, unfollowed: Unfollowed) -> Finding:
    """A question that cannot be read, because of a construct that was not followed."""
    place = unfollowed.place
    return not_read(stage, question, unfollowed.because, path=place.path, line=place.line)


def _is_foreign(use: FrameworkUse) -> bool:
    """Every file with a job is in another language than Python, e.g. a timer in a Go service."""
    return bool(use.task_modules) and not any(path.endswith(".py") for path in use.task_modules)


def _hint(stage: str) -> str:
    if stage == "idempotency":
        return "check it by hand with the skill; it cannot be waived, so this run ends blocked"
    return (
        f"check it by hand with the skill, and let a person record that: --waive {stage}='how it"
        " was checked'"
    )


def _place(use: FrameworkUse) -> dict[str, object]:
    """The app or the first line that shows the use."""
    path = (use.app or "").partition(":")[0]
    place = next((one for one in use.evidence if one.path == path), next(iter(use.evidence), None))
    if not place:
        return {}
    return {"path": place.path, "line": place.line}
