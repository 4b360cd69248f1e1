"""What to say where a repository has no job: what was looked for, and what leads to one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from skillrun.contract.specfile import SPEC_FOLDER
from skillrun.skills.job_worker.readings.foreign import find_language_of

if TYPE_CHECKING:
    from skillrun.repo.uses import FrameworkUse

_NAMED = "skillrun spec init --set job=NAME"
_HANDLER = "--set handler=package.module:function"
_SCAFFOLD = "skillrun job-worker-orchestration --implement scaffold"
_THERE, _NEW = "a job that is there", "a new job"


@dataclass(frozen=True)
class Way:
    """How somebody comes by a job: in which case, and what they type or do."""

    case: str
    do: str


def list_looked_for() -> str:
    """In one sentence, what would have been a job here."""
    from skillrun.frameworks.registry import FRAMEWORKS, RECOGNISED_ONLY

    titles = sorted((framework.TITLE for framework in FRAMEWORKS.values()), key=str.casefold)
    others = len(RECOGNISED_ONLY)
    return (
        f"jobs of {', '.join(titles)}; signs of {others} more libraries; specs in"
        f" {SPEC_FOLDER.as_posix()}/"
    )


def list_ways(uses: Sequence[FrameworkUse]) -> Iterator[Way]:
    """What leads to a job in a repository that uses these libraries and in which none was found."""
    from skillrun.frameworks.registry import FRAMEWORKS

    if not uses or any(use.id in FRAMEWORKS for use in uses):
        yield Way(_THERE, f"name its handler in a spec: {_NAMED} {_HANDLER}")
    for use in uses:
        # Jobs in other languages than Python are not listed: the first step is their spec.
        language = find_language_of(use)
        if language is not None:
            named = f"--set language={language.id} --set handler='{language.handler}'"
            yield Way(f"{_THERE}, in {language.title}", f"{_NAMED} {named}")
    asks = f"skillrun spec init asks for its contract, {_SCAFFOLD} writes it"
    if not uses:
        asks = (
            f"add a job library, or name plain-cron in REPO_PROFILE.json (jobs.framework); {asks}"
        )
    yield Way(_NEW, asks)


def make_absence(uses: Sequence[FrameworkUse]) -> dict[str, Any]:
    """As jobs.v1 has it."""
    return {"looked_for": list_looked_for(), "ways": list(map(asdict, list_ways(uses)))}
