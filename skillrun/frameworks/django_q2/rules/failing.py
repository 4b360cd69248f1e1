"""Rules about what becomes of an error: what is run again, what is a success, and what is
recorded.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.again import find_taking_clause
from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.facts import call_place, calls_of, effect_calls, spec_name, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.swallowing import declare_swallowing_rules
from skillrun.frameworks.django_q2.again import find_again
from skillrun.frameworks.django_q2.deadletter import records
from skillrun.frameworks.django_q2.sends import find_real_publishes
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule

_EXITS = ("sys.exit", "builtins.exit", "builtins.quit")


@rule(
    "django-q2.permanent-retried",
    stage="retry",
    source=(
        "worker and save_task in django_q; open-wearables#1053: 462 attempts in a week, none"
        " of them successful"
    ),
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """Django Q2 runs every failure again, whatever was raised: a permanent error only delays its
    dead letter.
    """
    if job.policy.max_attempts == 1:
        return
    own = {one.clause.node: one for one in find_again(job.project, job.handler)}
    for written in job.spec.list_errors("permanent"):
        bases = ancestors(job.project, short(spec_name(job, written)))
        for call in effect_calls(job):
            clause = find_taking_clause(call, bases)
            again = None
            if clause is not None:
                again = own.get(clause.node)
            if again is not None:
                place, how = again.place, "this clause runs the job again"
            elif own or (clause is not None and not clause.always_raises):
                continue
            else:
                place, how = call_place(call), "leaves the handler, which is run again"
            message = f"{written} is permanent in the spec, and {how} as after any other error"
            hint = "catch it: record it, and return"
            yield tell(job, "permanent-retried", Severity.ERROR, place, message, hint)
            break


@rule(
    "django-q2.exit",
    stage="retry",
    source="`except (Exception, TimeoutException)` in django_q/worker.py",
)
def exits(job: Job) -> Iterator[Finding]:
    """sys.exit ends the worker's process before the result is kept: the job comes again, and no
    attempt is counted.
    """
    for call in calls_of(job):
        if call.origin in _EXITS:
            message = (
                "this ends the worker's process: no result is kept, no attempt counted, and the job"
                " comes again"
            )
            yield tell(
                job,
                "exit",
                Severity.ERROR,
                call_place(call),
                message,
                "return, or raise an exception",
            )


@rule(
    "django-q2.recorded-each-time",
    stage="dead-letter",
    source="call_hook in django_q/signals.py, a receiver of post_save of Task",
)
def recorded_each_time(job: Job) -> Iterator[Finding]:
    """A hook is called at every failed attempt: without a look at the attempt it records each of
    them.

    A hook that keeps something and never asks which attempt it was.
    """
    for record in records(job.project, job.handler):
        if record.hook and record.every and job.policy.max_attempts != 1:
            message = (
                "it is called at every failed attempt, so a job that is run again leaves a record"
                " each time"
            )
            hint = "if not task.success and task.attempt_count >= ATTEMPTS: ..."
            yield tell(job, "recorded-each-time", Severity.WARNING, record.place, message, hint)


@rule(
    "django-q2.hook-as-function",
    stage="dead-letter",
    rests_on="setup",
    source=(
        "hook is a CharField in django_q/models.py; `malformed return hook` in django_q/signals.py"
    ),
)
def hook_as_function(job: Job) -> Iterator[Finding]:
    """A hook that is given as a function is called at the first attempt alone: the Task row keeps
    its text.

    `hook=ended` where `hook="shop.hooks.ended"` is meant.
    """
    for send in find_real_publishes(job.project, job.handler):
        option = send.options.get("hook")
        name = None
        if option is not None:
            name = option[1].resolve(option[0])
        if (
            option is not None
            and name
            and job.project.definition(name) is not None
            and job.policy.max_attempts != 1
        ):
            message = (
                f"the hook {ast.unparse(option[0])} is a function: from the second attempt on it is"
                " not called"
            )
            place = place_of(option[1], option[0])
            yield tell(
                job,
                "hook-as-function",
                Severity.ERROR,
                place,
                message,
                f'hook="{job.project.origin(name)}"',
            )


SWALLOWING = declare_swallowing_rules(
    "django-q2",
    says="Django Q2 keeps it as a success, and does not run it again",
    source="worker in django_q/worker.py",
)
