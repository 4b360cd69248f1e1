"""Rules about the end of a job: records that are undone, FAILED rows that mislead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import swallowing
from skillrun.frameworks.common.again import find_taking_clause
from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.facts import effect_calls, spec_name, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.django_tasks.retries import enqueues_again
from skillrun.frameworks.django_tasks.rules.retrying import again_of, is_undone
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Handler
from skillrun.repo.uses import Place

_PRUNES = re.compile(r"prune_db_task_results\b(?P<rest>[^\n]*)")
_STARTED_IN = (
    "*.yml",
    "*.yaml",
    "*.sh",
    "Procfile",
    "Makefile",
    "*crontab*",
    "*.cron",
    "Dockerfile*",
    "*.service",
)


def _kind_of(job: Job) -> str | None:
    if job.spec.dead_letter is None:
        return None
    return job.spec.dead_letter.kind


@rule(
    "django-tasks.record-rolled-back",
    stage="dead-letter",
    source="Transactions in Django's documentation: atomic rolls back on an exception",
)
def record_rolled_back(job: Job) -> Iterator[Finding]:
    """A dead letter that is written in a transaction is gone when what is raised then undoes that
    transaction.
    """
    if _kind_of(job) != "table":
        return
    for clause in clauses(job.project, job.handler):
        for statement in ast.walk(clause.node):
            record = None
            if isinstance(statement, ast.Expr):
                record = first_record(job.project, [statement], clause.module)
            if record is None or not is_undone(job, clause.module, statement):
                continue
            if _is_enqueueing(job, record):
                continue
            message = (
                "the dead letter is written inside of a transaction that the exception below"
                " undoes: none is left"
            )
            hint = "catch, record and raise outside of atomic()"
            yield tell(
                job,
                "record-rolled-back",
                Severity.ERROR,
                place_of(clause.module, record),
                message,
                hint,
            )


def _is_enqueueing(job: Job, call: ast.Call) -> bool:
    return any(one.path.call.node is call for one in again_of(job))


@rule(
    "django-tasks.failed-at-every-attempt",
    stage="dead-letter",
    source="DBTaskResult.set_failed in django_tasks_db/models.py",
)
def failed_at_every_attempt(job: Job) -> Iterator[Finding]:
    """A task that enqueues itself again and raises leaves a FAILED row for each attempt."""
    for one in again_of(job):
        clause = one.path.clause
        if clause is None or not _raises_with(clause, one.path.call.node):
            continue
        message = (
            "enqueued again, and raised as well: each attempt leaves a FAILED row, also of a job"
            " that succeeds later"
        )
        if _kind_of(job) == "framework":
            severity = Severity.ERROR
        else:
            severity = Severity.WARNING
        yield tell(
            job,
            "failed-at-every-attempt",
            severity,
            one.path.place,
            message,
            "return after the enqueueing",
        )


def _raises_with(clause: Handler, node: ast.AST) -> bool:
    """A raise stands behind it in the same block, or in a block around that."""
    below = node
    for above in clause.module.parents(node):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(above, name, None)
            if isinstance(block, list) and below in block:
                later = block[block.index(below) :]
            else:
                later = []
            if any(isinstance(statement, ast.Raise) for statement in later):
                return True
        if above is clause.node:
            return False
        below = above
    return False


@rule(
    "django-tasks.given-up-as-successful",
    stage="dead-letter",
    source="Worker.run_task in django_tasks_db/management/commands/db_worker.py",
)
def given_up_as_successful(job: Job) -> Iterator[Finding]:
    """Where the FAILED rows are the dead letters, an error that the handler catches leaves none.

    dead_letter: framework, and a clause that ends the job without raising.
    """
    failures = job.spec.failures
    if _kind_of(job) != "framework" or failures is None:
        return
    seen: set[ast.AST] = set()
    for error in failures.permanent:
        bases = ancestors(job.project, short(spec_name(job, error.type)))
        for call in effect_calls(job):
            clause = find_taking_clause(call, bases)
            if clause is None or clause.node in seen or clause.reraises:
                continue
            if enqueues_again(job.project, job.handler, clause):
                continue
            seen.add(clause.node)
            message = (
                f"{error.type} ends here without an exception: its row is SUCCESSFUL, and no dead"
                " letter"
            )
            place = Place(clause.path, clause.line)
            yield tell(job, "given-up-as-successful", Severity.ERROR, place, message, "raise it on")


@rule("django-tasks.permanent-not-recorded", stage="dead-letter", source="stock-screener#49")
def permanent_not_recorded(job: Job) -> Iterator[Finding]:
    """A permanent error that the handler catches and does not record is lost: its row is
    SUCCESSFUL.
    """
    if _kind_of(job) != "framework":
        yield from swallowing.permanent_not_recorded(job)


@rule(
    "django-tasks.failed-rows-pruned",
    stage="dead-letter",
    source="django_tasks_db/management/commands/prune_db_task_results.py (--failed-min-age-days)",
)
def failed_rows_pruned(job: Job) -> Iterator[Finding]:
    """prune_db_task_results deletes FAILED rows after as many days as others, 14 unless it is told
    otherwise.

    Something runs prune_db_task_results without a word about the failed ones.
    """
    if _kind_of(job) != "framework":
        return
    tree = job.project.tree
    for path in sorted(
        {path for glob in _STARTED_IN for path in (*tree.match(glob), *tree.match(f"**/{glob}"))}
    ):
        text = (tree.read(path) or b"").decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            found = _PRUNES.search(line)
            if (
                found
                and not line.lstrip().startswith("#")
                and "--failed-min-age-days" not in found["rest"]
            ):
                message = (
                    "the FAILED rows are the dead letters, and this deletes them with the others,"
                    " after 14 days"
                )
                hint = "--failed-min-age-days with as long as somebody needs to look at them"
                yield tell(
                    job,
                    "failed-rows-pruned",
                    Severity.WARNING,
                    Place(path, number, line),
                    message,
                    hint,
                )
