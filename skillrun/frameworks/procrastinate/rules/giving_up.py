"""Rules about the end of a job: what is left of one that failed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import at, expects_record, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Job
from skillrun.frameworks.procrastinate.deadletter import find_record
from skillrun.frameworks.procrastinate.tasks import read_task
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_plainly_test
from skillrun.repo.syntax import read_entries


@rule(
    "procrastinate.failure-unrecorded",
    stage="dead-letter",
    source="_persist_job_status in procrastinate/worker.py",
)
def failure_unrecorded(job: Job) -> Iterator[Finding]:
    """Procrastinate keeps a failed job's row and nothing else: a table of one's own is written by
    the handler.
    """
    task = read_task(job.project, job.use, job.handler)
    if not expects_record(job) or task.registered is None:
        return
    if find_record(job.project, task) is None:
        message = (
            "nothing is recorded when the job is given up: its status `failed` is all that is left"
        )
        hint = (
            "in the handler, where context.job.attempts is the last one; or dead_letter: {kind:"
            " framework}"
        )
        yield tell(
            job, "failure-unrecorded", Severity.WARNING, at(job, task.registered), message, hint
        )


@rule(
    "procrastinate.failed-deleted",
    stage="dead-letter",
    source=(
        "DeleteJobCondition in procrastinate/jobs.py; remove_old_jobs in"
        " procrastinate/builtin_tasks.py"
    ),
)
def failed_deleted(job: Job) -> Iterator[Finding]:
    """The status `failed` is the only dead letter, and these options delete it."""
    letter = job.spec.dead_letter
    if letter is None or letter.kind != "framework":
        return
    for word, option, value in (
        ("delete_jobs", "delete_jobs", "always"),
        ("remove_failed", "remove_failed", True),
    ):
        for module in job.project.modules_with(word):
            for node in module.all_nodes if not is_plainly_test(module.path) else ():
                found = given(node, option)
                if found is not None and job.project.literal(found, module) == value:
                    message = (
                        f"{option}={value!r} deletes jobs that failed, and their status is the dead"
                        " letter"
                    )
                    hint = (
                        "keep them until somebody has looked: delete_jobs='successful',"
                        " remove_failed=False"
                    )
                    yield tell(
                        job,
                        "failed-deleted",
                        Severity.WARNING,
                        place_of(module, found),
                        message,
                        hint,
                    )


def given(node: ast.AST, option: str) -> ast.expr | None:
    """As a keyword, or as an entry of a dict."""
    if isinstance(node, ast.keyword) and node.arg == option:
        return node.value
    if isinstance(node, ast.Dict):
        return read_entries(node).get(option)
    return None
