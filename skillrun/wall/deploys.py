"""HEAD's job over what the base's has left behind: what a deploy meets.

A proof begins with a store that HEAD's own setup has made. What is open at the deploy was written
and published by the base, and is met by HEAD.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from skillrun.core.tally import count_things
from skillrun.core.verdict import Finding, Severity
from skillrun.proof.deploying.deploy import Broken, Deploys
from skillrun.repo.places import is_taken_for_tests
from skillrun.wall.comparing import add_not_compared, explain_not_comparing, is_code_changed
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted
from skillrun.wall.gaming.specs import base_file
from skillrun.wall.verification import Job, NotCompared

BREAKS, UNTRIED = "verify.breaks-at-deploy", "verify.deploy-untried"
HELP = {
    BREAKS: (
        "The base's job was delivered, died at an effect, failed once or ended well; the"
        " repository's migrations ran over its store; then HEAD took what came. An effect came"
        " about twice or never, or the job was given up, which does not happen where the base"
        " goes on by itself."
    ),
    UNTRIED: (
        "HEAD's job was tried over what the base leaves behind, without the migration that the"
        " branch brings: skillrun does not run it."
    ),
}
_HINT = (
    "let HEAD do what the base has begun: migrate what is stored, take messages of the old form,"
    " keep keys; skillrun verify shows the schedule"
)
_WHAT = "what the base leaves behind at the deploy"
_MIGRATES = re.compile(r"migrat|alembic|upgrade", re.IGNORECASE)
_ALTERS = re.compile(r"alter\s+table|add[_ ]column|migrat", re.IGNORECASE)

TryDeploys = Callable[[File, File], Deploys | None]
"""(the base's spec, HEAD's) -> what came of it; None where nobody agreed that it runs."""


def judge_deploys(job: Job, spec: File, diff: Diff, try_deploys: TryDeploys) -> Job:
    """The job, no success where HEAD breaks what the base has begun. Costs nothing where no code
    changed, or the job fails anyway.
    """
    if not is_code_changed(diff):
        return job
    why = explain_not_comparing(job, spec, diff)
    if why is not None or job.proof is None:
        return add_not_compared(job, [NotCompared(_WHAT, why or "")])
    deploys = try_deploys(base_file(diff, spec), spec)
    if deploys is None:
        return add_not_compared(job, [NotCompared(_WHAT, "a side has no proof that can be run")])
    job = add_not_compared(job, _list_untried(deploys))
    finding = _describe(deploys, spec, diff)
    if finding is None:
        return job
    assert job.proof is not None
    proof = replace(job.proof, findings=(*job.proof.findings, finding))
    is_error = finding.severity == Severity.ERROR
    return replace(job, proof=proof, outcome="partial" if is_error else job.outcome)


def _list_untried(deploys: Deploys) -> Iterator[NotCompared]:
    """Yields what was not tried: all of it, or the schedules behind the first dozen."""
    if deploys.untried is not None:
        yield NotCompared(_WHAT, deploys.untried)
    elif deploys.left_out and deploys.broken is None:
        more = f"{_WHAT}, in {count_things(deploys.left_out, 'more schedule')}"
        yield NotCompared(more, f"{len(deploys.tried)} were tried, which is the most")


def _describe(deploys: Deploys, spec: File, diff: Diff) -> Finding | None:
    if deploys.broken is None:
        return None
    told = _tell(deploys.broken)
    if deploys.missing and _brings_migration(diff):
        said = (
            f"{', '.join(deploys.missing)} is not in the base's store after"
            f" {quoted(str(deploys.migration.command))}, and the migration that the branch brings"
            f" was not run; without it: {told}"
        )
        return Finding(UNTRIED, Severity.WARNING, said, spec.path, 1, None)
    said = f"the base's job, gone on with by HEAD: {told}"
    if deploys.missing:
        said += f"; {', '.join(deploys.missing)} is in no store that is there already"
    return Finding(BREAKS, Severity.ERROR, said, spec.path, 1, _HINT)


def _tell(broken: Broken) -> str:
    judgement = broken.judgement
    text = f"{judgement.message} [{judgement.rule}] ({broken.schedule})"
    if judgement.expected or judgement.seen:
        text += f": expected {judgement.expected}, seen {judgement.seen}"
    return text


def _brings_migration(diff: Diff) -> bool:
    """Something that may migrate a store, in a file or a line that is new."""
    for file in (*diff.files, *diff.deployment):
        if is_taken_for_tests(file.path) or file.new is None:
            continue
        if file.old is None and _MIGRATES.search(file.path):
            return True
        if any(_ALTERS.search(line) for _, line in file.added_lines()):
            return True
    return False
