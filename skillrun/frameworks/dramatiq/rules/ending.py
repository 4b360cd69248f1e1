"""Rules about how a job ends: callbacks that are never or too often sent, and messages that come
back for ever.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import at, spec_name, tell
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.dramatiq.actors import actor_behind, actors_named, run_node
from skillrun.frameworks.dramatiq.deadletter import callback_records, nack_records
from skillrun.frameworks.dramatiq.rules.flow import YES, declared, is_kind_of, leaves, options_of
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule

_CALLBACKS = ("on_failure", "on_success", "on_retry_exhausted")
# What a callback or a middleware looks at to act but once.
_COUNTS = (
    "retries",
    "max_retries",
    "message_id",
)


@rule(
    "dramatiq.callback-object",
    stage="dead-letter",
    rests_on="setup",
    source=(
        "Callbacks and Retries in dramatiq/middleware: broker.get_actor(name); seen in a run"
        " of our own"
    ),
)
def callback_object(job: Job) -> Iterator[Finding]:
    """on_failure and on_retry_exhausted of an actor take a name; an actor object is never found."""
    for name in _CALLBACKS:
        given = options_of(job).actor.options.get(name)
        if given is None or not isinstance(given.node, ast.Name):
            continue
        target = actor_behind(job.project, given)
        if target is not None and not isinstance(given.value, str):
            message = (
                f"{name} is given an actor and takes its name: ActorNotFound is logged, and nothing"
                " is sent"
            )
            hint = f'{name}="{target.name}" or {name}={given.node.id}.actor_name'
            yield tell(job, "callback-object", Severity.ERROR, given.place, message, hint)


@rule(
    "dramatiq.callback-unknown",
    stage="dead-letter",
    source="Broker.get_actor in dramatiq/broker.py",
)
def callback_unknown(job: Job) -> Iterator[Finding]:
    """A callback under a name that no actor has is logged as ActorNotFound, and nothing is sent."""
    for name in _CALLBACKS:
        given = options_of(job).actor.options.get(name)
        value = None
        if given:
            value = given.value
        if given is not None and isinstance(value, str) and not actors_named(job.project, value):
            message = (
                f"{name} names {value!r}, and no actor of that name is found here: nothing would be"
                " sent"
            )
            yield tell(
                job, "callback-unknown", Severity.WARNING, given.place, message, "correct the name"
            )


@rule(
    "dramatiq.on-failure-every-time",
    stage="dead-letter",
    source="Bogdanp/dramatiq#425, #517; Callbacks in dramatiq/middleware/callbacks.py",
)
def on_failure_every_time(job: Job) -> Iterator[Finding]:
    """on_failure is sent after every failed attempt, not after the last."""
    given = options_of(job).actor.options.get("on_failure")
    dead_letter = job.spec.dead_letter
    if not given or dead_letter is None or dead_letter.kind == "none":
        return
    if job.policy.max_attempts == 1:
        return
    target = actor_behind(job.project, given)
    node = None
    if target:
        node = run_node(target.handler)
    if node is None or target is None or set(_COUNTS) & _list_words(node):
        return
    if first_record(job.project, node.body, target.handler.module) is None:
        return
    message = (
        f"{target.name} records a failure after every attempt, also where the next one succeeds"
    )
    hint = "use on_retry_exhausted, and on_failure only for what throws names"
    yield tell(job, "on-failure-every-time", Severity.WARNING, given.place, message, hint)


def _list_words(tree: ast.AST) -> set[object]:
    """The constants, attributes and names in a piece of code."""
    words: set[object] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            words.add(node.value)
        elif isinstance(node, ast.Attribute):
            words.add(node.attr)
        elif isinstance(node, ast.Name):
            words.add(node.id)
    return words


@rule(
    "dramatiq.thrown-not-recorded",
    stage="dead-letter",
    source="Retries.after_process_message returns before it",
)
def thrown_not_recorded(job: Job) -> Iterator[Finding]:
    """on_retry_exhausted is not sent for an error that throws names."""
    dead_letter, options = job.spec.dead_letter, options_of(job)
    thrown, place = options.throws()
    if dead_letter is None or dead_letter.kind in ("none", "framework") or not thrown:
        return
    records = [
        *callback_records(job.project, options.actor, "on_failure"),
        *nack_records(job.project, options.setup),
    ]
    for written, name in declared(job, "permanent"):
        out, raised = leaves(job, name)
        if (
            records
            or out != YES
            or is_kind_of(job, raised, thrown) != YES
            or _recorded_here(job, name)
        ):
            continue
        message = (
            f"{written} is in throws: it ends without a record, because on_retry_exhausted is not"
            " sent for it"
        )
        hint = (
            "record it in the handler before it is raised, in on_failure, or in a middleware's"
            " after_nack"
        )
        yield tell(job, "thrown-not-recorded", Severity.WARNING, at(job, place), message, hint)


def _recorded_here(job: Job, name: str) -> bool:
    """A clause of the handler that takes the error records something before it raises."""
    clauses = job.project.handlers(job.handler, depth=1)
    fitting = []
    for h in clauses:
        if h.bare or is_kind_of(job, spec_name(job, name), h.exceptions) != "no":
            fitting.append(h)
    return any(first_record(job.project, h.node.body, h.module) is not None for h in fitting)


@rule("dramatiq.redelivery-loop", stage="dead-letter", source="Bogdanp/dramatiq#213, remoulade#312")
def redelivery_loop(job: Job) -> Iterator[Finding]:
    """Retries counts failures and not deliveries: what kills its worker comes back without end."""
    options, tree = options_of(job), job.project.tree
    counted = job.project.member(options.setup.own, "before_process_message")
    if counted is not None or tree.search("x-delivery-limit") or tree.search("redelivered"):
        return
    message = (
        "a message that kills its worker (out of memory, kill -9) is delivered again without end:"
        " Retries counts failures, not deliveries"
    )
    hint = (
        "a middleware whose before_process_message counts deliveries by message_id and fails the"
        " message"
    )
    yield tell(
        job, "redelivery-loop", Severity.WARNING, at(job, options.actor.registered), message, hint
    )
