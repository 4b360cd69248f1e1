"""Rules about what is run again, how often, and after which wait."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import swallowing
from skillrun.frameworks.common.again import bodies, find_taking_clause, tries_itself
from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.errors import ancestors, short, takes_any
from skillrun.frameworks.common.facts import effect_calls, is_atomic, spec_name, tell
from skillrun.frameworks.common.guards import tests_before
from skillrun.frameworks.common.permanent_errors import (
    Answer,
    Fate,
    Rerunning,
    find_permanent_retried,
    is_decided,
)
from skillrun.frameworks.common.reading import held_value, place_of
from skillrun.frameworks.common.wait_rules import find_flat_waits, find_retries_at_once
from skillrun.frameworks.django_tasks.policy import counted
from skillrun.frameworks.django_tasks.retries import Again, enqueues_again, find_again
from skillrun.frameworks.django_tasks.sends import find_real_enqueues
from skillrun.frameworks.django_tasks.tasks import read_task
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Call, Handler, Module
from skillrun.repo.syntax import find_names, find_nodes, has_spread
from skillrun.repo.uses import Place

_HINT = (
    "except ... as error: ship.using(run_after=timezone.now() + wait).enqueue(..., attempt=attempt"
    " + 1)"
)
# Calls that give a time without a time zone, where they have no arguments.
_NAIVE_CLOCKS = ("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today")


def again_of(job: Job) -> tuple[Again, ...]:
    """The ways by which the handler enqueues itself."""
    return find_again(job.project, job.handler)


@rule(
    "django-tasks.no-retry",
    stage="retry",
    source=(
        "Worker.run_task in django_tasks_db/management/commands/db_worker.py; Tasks in"
        " Django's documentation"
    ),
)
def no_retry(job: Job) -> Iterator[Finding]:
    """Any exception makes a task FAILED, and nothing runs it again: whoever wants a retry enqueues
    one.

    A transient error leaves the handler as it is.
    """
    retry = job.spec.retry
    if retry is None or retry.kind == "none" or (retry.max_attempts or 1) < 2:
        return
    if job.policy.max_attempts != 1 and not again_of(job):
        # A loop within the run, or one that cannot be read.
        return
    for written in job.spec.list_errors("transient"):
        bases = ancestors(job.project, short(spec_name(job, written)))
        calls = effect_calls(job)
        if any(_is_in_loop(call, bases) for call in calls) or _wraps_handler(job, bases):
            continue
        for call in calls:
            if not _comes_again(job, call, bases):
                yield _tell_lost(job, call, bases, written)
                break


def _tell_lost(job: Job, call: Call, bases: frozenset[str], written: str) -> Finding:
    """The finding of an error that leaves the handler, at the clause or the call where it does."""
    place, way = place_of(call.module, call.node), "leaves the handler from this call"
    clause = find_taking_clause(call, bases)
    if clause:
        place, way = place_of(clause.module, clause.node), "is raised again from this clause"
    message = (
        f"{written} is transient in the spec, and {way}: the task is FAILED, and nothing"
        " runs it again"
    )
    return tell(job, "no-retry", Severity.ERROR, place, message, _HINT)


def _wraps_handler(job: Job, bases: frozenset[str]) -> bool:
    """Whether a decorator's clause takes the error and enqueues again, as far as can be told."""
    for one in again_of(job):
        clause = one.path.clause
        if clause is None or not one.path.around:
            continue
        # `except errors`, which the decorator is given, has no dotted name.
        is_parameter = any("." not in name for name in clause.exceptions)
        if not clause.exceptions or is_parameter or takes_any(clause, bases):
            return True
    return False


def _comes_again(job: Job, call: Call, bases: frozenset[str]) -> bool:
    """Whether the task is run again when a call raises an error, as far as can be told: a clause
    may raise it on to the one around, and one that raises on some of its ways alone is not judged.
    """
    if tries_itself(job.project, call):
        return True
    for clause in call.in_try:
        if not takes_any(clause, bases):
            continue
        if not clause.always_raises or enqueues_again(job.project, job.handler, clause):
            return True
    return False


def _is_in_loop(call: Call, bases: frozenset[str]) -> bool:
    """Whether the clause that takes the error goes on with the next turn of a loop."""
    clause = find_taking_clause(call, bases)
    return clause is not None and goes_round(clause)


def goes_round(clause: Handler) -> bool:
    """Whether a clause stands in a loop, and ends neither the loop nor its function."""
    block = clause.module.above(clause.node, ast.Try)
    if block is None:
        return False
    parent = next(clause.module.parents(block), None)
    if not isinstance(parent, ast.For | ast.AsyncFor | ast.While):
        return False
    ends = (ast.Raise, ast.Return, ast.Break)
    return not any(isinstance(node, ends) for node in clause.node.body)


@rule(
    "django-tasks.retry-unbounded",
    stage="retry",
    source="joeflow#28, OasisPlatform#975; Task.enqueue in django/tasks/base.py",
)
def retry_unbounded(job: Job) -> Iterator[Finding]:
    """A task that enqueues itself without counting does so for ever."""
    for one in counted(again_of(job)):
        if one.attempts is not None or one.path.clause is None:
            continue
        forgotten = _find_forgotten(one)
        # What decides may be a bound, unless it cannot be one.
        if one.path.bound_unread and not forgotten:
            continue
        if forgotten:
            reason = f"{forgotten} does not go along, so it is the first one each time"
        elif one.count is None:
            reason = "no argument counts the attempts"
        else:
            reason = f"nothing compares {one.count}"
        message = f"the task enqueues itself after each error, and {reason}: it is tried for ever"
        hint = (
            "if attempt >= ATTEMPTS: record the dead letter, and raise; else enqueue(...,"
            " attempt=attempt + 1)"
        )
        yield tell(job, "retry-unbounded", Severity.ERROR, one.path.place, message, hint)


def _find_forgotten(one: Again) -> str | None:
    """A parameter that is compared before the enqueueing, and not given to it."""
    call = one.path.call
    function = call.module.function_of(call.node)
    if one.count is not None or function is None or has_spread(call.node):
        return None
    args = function.args
    parameters = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    passed = {*call.keywords, *parameters[: len(call.node.args)]}
    compared = set[str]()
    for test, _ in tests_before(call.module, call.node):
        compared |= find_names(test)
    for name in parameters:
        if name in compared and name not in passed:
            return name
    return None


@rule(
    "django-tasks.attempt-is-always-one",
    stage="retry",
    source=(
        "TaskContext.attempt in django/tasks/base.py; 'this will currently only ever be 0 or"
        " 1', django-tasks' README"
    ),
)
def attempt_is_always_one(job: Job) -> Iterator[Finding]:
    """context.attempt counts the runs of one row, and each row is run once: it is always 1."""
    hint = "let the attempt go along as an argument: enqueue(..., attempt=attempt + 1)"
    for function in bodies(job.project, job.handler):
        for node in find_nodes(function.node, ast.Compare):
            sides = (node.left, *node.comparators)
            if not any(_is_attempt(job, side, function.module) for side in sides):
                continue
            message = (
                f"{ast.unparse(node)}: each retry is a row of its own, so the attempt of the"
                " context is always 1"
            )
            place = place_of(function.module, node)
            yield tell(job, "attempt-is-always-one", Severity.ERROR, place, message, hint)


def _is_attempt(job: Job, node: ast.expr, module: Module) -> bool:
    """Whether it is the attempt of the context, or a variable that holds it."""
    if isinstance(node, ast.Name):
        held = held_value(job.project, node, module)
        if held:
            node, _ = held
    return ast.unparse(node).endswith(("context.attempt", "context.task_result.attempts"))


@rule(
    "django-tasks.permanent-retried",
    stage="retry",
    source="open-wearables#1053: 462 attempts in a week, none of them successful",
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """An error that the spec calls permanent is enqueued again: trying again only delays the dead
    letter.
    """
    return find_permanent_retried(job, _RERUNNING)


def _read_clause(job: Job, clause: Handler) -> Fate | None:
    """A clause that enqueues the task again."""
    for one in again_of(job):
        if one.path.clause is None or one.path.clause.node is not clause.node:
            continue
        counters = (one.count,) if one.count else ()
        if is_decided(clause, one.path.call.module, one.path.call.node, counters):
            return Fate("unsure", one.path.place)
        return Fate("again", one.path.place)
    return None


def _read_left(job: Job, error: str) -> Answer:
    """Any exception that leaves the task makes it FAILED."""
    return "ends"


def _list_named(job: Job) -> Iterator[tuple[str, Place]]:
    for one in again_of(job):
        if one.path.clause is not None:
            for name in one.path.clause.exceptions:
                yield name, one.path.place


_RERUNNING = Rerunning(
    title="the handler",
    read_clause=_read_clause,
    read_left=_read_left,
    hint="a clause of its own before this one: record it, and raise",
    list_named=_list_named,
)


@rule(
    "django-tasks.retry-at-once",
    stage="retry",
    source="DBTaskResultQuerySet.ready in django_tasks_db/models.py",
)
def retry_at_once(job: Job) -> Iterator[Finding]:
    """A retry without run_after is taken by the next free worker: all are used up before an outage
    can pass.
    """
    hint = "ship.using(run_after=timezone.now() + timedelta(seconds=...)).enqueue(...)"
    retries = []
    for one in counted(again_of(job)):
        if _waits(one, "none"):
            retries.append(("enqueued again without run_after", one.path.place))
    return find_retries_at_once(job, retries, hint)


def _waits(one: Again, kind: str) -> bool:
    """Whether a clause enqueues the task again with waits of a kind: "none", "fixed"."""
    if one.path.clause is None or one.path.backoff is None:
        return False
    return one.path.backoff.kind == kind


@rule("django-tasks.flat-wait", stage="retry", source="PDF-Assistant-RAG#664")
def flat_wait(job: Job) -> Iterator[Finding]:
    """A constant wait brings all failed jobs back together and never slows down while the other
    side is down.

    The spec asks for growing waits, the code waits the same each time.
    """
    hint = "make it of the attempt: timedelta(seconds=min(2 * 2 ** (attempt - 1), 60))"
    waits = []
    for one in counted(again_of(job)):
        if _waits(one, "fixed"):
            waits.append(("the wait is the same before every attempt", one.path.place))
    return find_flat_waits(job, waits, hint)


@rule(
    "django-tasks.retry-rolled-back",
    stage="retry",
    source=(
        "DatabaseBackend.enqueue in django_tasks_db/backend.py: the row is written in the"
        " open transaction"
    ),
)
def retry_rolled_back(job: Job) -> Iterator[Finding]:
    """A retry that is enqueued in a transaction is gone when what is raised undoes that
    transaction.

    In `atomic`, and followed by a raise that leaves it.
    """
    for one in again_of(job):
        if is_undone(job, one.path.call.module, one.path.call.node):
            message = (
                "enqueued inside of a transaction that the exception below undoes: no retry is"
                " there"
            )
            hint = "raise after the block, or return: the retry's row stands for the failed attempt"
            yield tell(job, "retry-rolled-back", Severity.ERROR, one.path.place, message, hint)


def is_undone(job: Job, module: Module, node: ast.AST) -> bool:
    """Whether a statement in `atomic` (a block, or a decorator of the function) is followed by a
    raise that leaves it.
    """
    below: ast.AST = node
    raises = False
    for above in module.parents(node):
        raises = raises or _raises_after(above, below)
        if isinstance(above, ast.With | ast.AsyncWith):
            managers = [item.context_expr for item in above.items]
            if raises and _has_atomic(job, module, managers):
                return True
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return raises and _has_atomic(job, module, above.decorator_list)
        below = above
    return False


def _has_atomic(job: Job, module: Module, nodes: list[ast.expr]) -> bool:
    """Whether `atomic`, or `atomic(...)`, is among decorators or context managers."""
    names = []
    for node in nodes:
        named = node
        if isinstance(node, ast.Call):
            named = node.func
        names.append(module.resolve(named) or "")
    return any(is_atomic(job.project, name) for name in names)


def _raises_after(above: ast.AST, below: ast.AST) -> bool:
    """Whether one of the statements behind `below`, in its block of `above`, is a raise."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(above, name, None)
        if isinstance(block, list) and below in block:
            later = block[block.index(below) + 1 :]
            return any(isinstance(statement, ast.Raise) for statement in later)
    return False


@rule(
    "django-tasks.naive-run-after",
    stage="retry",
    rests_on="setup",
    source="BaseTaskBackend.validate_task in django/tasks/backends/base.py",
)
def naive_run_after(job: Job) -> Iterator[Finding]:
    """With USE_TZ, which is the default, a run_after without a time zone raises InvalidTask when it
    is enqueued.
    """
    for module in job.project.settings_modules():
        if job.project.variable(module, "USE_TZ") is False:
            return
    for send in find_real_enqueues(job.project, read_task(job.project, job.handler)):
        option = send.option("run_after")
        if option is None:
            continue
        held = held_value(job.project, *option)
        if held is None:
            continue
        expression, module = held
        for call in find_nodes(expression, ast.Call):
            # With an argument, `datetime.now(UTC)`, it has a time zone.
            if call.args or call.keywords or module.resolve(call.func) not in _NAIVE_CLOCKS:
                continue
            message = (
                f"{ast.unparse(call)} has no time zone: enqueueing raises InvalidTask"
                " (run_after must be aware)"
            )
            hint = "timezone.now() of django.utils"
            yield tell(job, "naive-run-after", Severity.ERROR, send.place, message, hint)
            break


@rule(
    "django-tasks.swallowed-exception",
    stage="retry",
    source="stock-screener#49: except, then return {'status': 'error'}",
)
def swallowed_exception(job: Job) -> Iterator[Finding]:
    """An exception that the handler catches and does not raise is a SUCCESSFUL task.

    What ends in the handler is a success, unless it is enqueued again there, or goes on with a
    loop.
    """
    # The lines of clauses that take care of the error.
    minded = set()
    for one in again_of(job):
        if one.path.clause is not None:
            minded.add(one.path.clause.line)
    for clause in clauses(job.project, job.handler):
        if goes_round(clause):
            minded.add(clause.line)
    says = "the task is SUCCESSFUL, and nothing runs it again"
    for finding in swallowing.swallowed_exception(job, says):
        if finding.line not in minded:
            yield finding
