"""The rules about sends that no library changes: too early, without an await, with arguments that
cannot arrive, once more for each run, and pickled.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.arguments import find_mismatch, shown
from skillrun.frameworks.common.facts import at, call_place, calls_of, tell
from skillrun.frameworks.common.policy_reader import read_sent
from skillrun.frameworks.common.rows import find_bindings, name_row
from skillrun.frameworks.common.sender import Sender
from skillrun.frameworks.common.serializers import JSON, PICKLES, PLAIN_DATA, SIGNED_PICKLE
from skillrun.frameworks.common.transactions import (
    find_transaction,
    is_certain,
    is_in_atomic_request,
    waits_for_commit,
)
from skillrun.frameworks.interface import Arguments, Job, Rule, RuleStage, Send
from skillrun.frameworks.rulebook import read_reason
from skillrun.repo.python import Call, Module


def find_real_sends(job: Job, sender: Sender) -> Iterator[Send]:
    """Those outside the tests."""
    for send in sender.find_sends(job.project, job.use, job.handler):
        if not send.in_tests:
            yield send


def read_sends(job: Job, sender: Sender, **defaults: float) -> Iterator[tuple[Send, list[Any]]]:
    """Those outside the tests, with the numbers that they give for some options; what cannot be
    read is `Unknown`.
    """
    for send in find_real_sends(job, sender):
        limits = [read_sent(job.project, send, *default) for default in defaults.items()]
        yield send, [limit.value for limit in limits]


def find_called_sends(job: Job, sender: Sender) -> Iterator[tuple[Send, Call]]:
    """Those that are a call."""
    for send in find_real_sends(job, sender):
        if send.call is not None:
            yield send, send.call


def find_given_arguments(job: Job, sender: Sender) -> Iterator[tuple[Send, Call, Arguments]]:
    """Those whose arguments for the job can be read."""
    for send, call in find_called_sends(job, sender):
        if send.arguments is not None:
            yield send, call, send.arguments


def name_send(send: Send, call: Call) -> str:
    """`.delay(...)`; what is sent by calling it has its own name alone."""
    if "(" in send.how:
        return send.how
    return f"{ast.unparse(call.node.func)}(...)"


def publish_in_transaction(job: Job, sender: Sender) -> Iterator[Finding]:
    """A worker may take the message before the commit, or although the transaction is rolled
    back.
    """
    for send, call, _ in find_given_arguments(job, sender):
        if send.only_built or send.waits_for_commit or waits_for_commit(call):
            continue
        opened = find_transaction(job.project, call)
        if opened is not None:
            yield _tell_transaction(job, sender, send, call, opened)
        elif is_in_atomic_request(job.project, call):
            yield _tell_atomic_request(job, sender, send, call)


def _tell_transaction(job: Job, sender: Sender, send: Send, call: Call, opened: str) -> Finding:
    message = (
        f"{name_send(send, call)} inside a transaction: a worker may start before the commit, or"
        " although it is rolled back"
    )
    if is_certain(job.project, opened):
        severity = Severity.ERROR
    else:
        severity = Severity.WARNING
    return tell(job, sender.in_transaction, severity, send.place, message, sender.after_commit)


def _tell_atomic_request(job: Job, sender: Sender, send: Send, call: Call) -> Finding:
    message = (
        f"{name_send(send, call)} in a view, and ATOMIC_REQUESTS makes the whole request one"
        " transaction; not certain, because a view can be exempt (non_atomic_requests), and other"
        " callers have no request"
    )
    hint = "publish with transaction.on_commit"
    return tell(job, sender.in_transaction, Severity.WARNING, send.place, message, hint)


def object_argument(job: Job, sender: Sender) -> Iterator[Finding]:
    """A database row as an argument: plain data cannot carry it, and a pickled copy of it is
    stale. Nor can JSON carry a date, a Decimal or a UUID, in most libraries.
    """
    for send, call, arguments in find_given_arguments(job, sender):
        serializer = send.serializer or job.policy.serializer
        unread = send.serializer is None and "serializer" in job.policy.unknown
        for node in arguments.values:
            what = name_row(job.project, call.module, node)
            hint = "send its primary key and load it in the job"
            if what is None and not unread and serializer in JSON:
                what = _name_no_json(job, sender, call.module, node)
                hint = "send a text or a number, and make it of that in the job"
            if what is None:
                continue
            severity, consequence = _judge_carrying(sender, "" if unread else serializer)
            name = name_send(send, call)
            message = f"{ast.unparse(node)} is {what}, given to {name}: {consequence}"
            yield tell(job, "object-argument", severity, send.place, message, hint)


def _name_no_json(job: Job, sender: Sender, module: Module, node: ast.expr) -> str | None:
    """What the library's JSON refuses beside rows: a value that is made there, a variable or a
    parameter that holds one and is bound once: bound again, it may have become a text.
    """
    if not isinstance(node, ast.Call | ast.Name):
        return None
    if isinstance(node, ast.Name) and len(find_bindings(module, node)) != 1:
        return None
    name = job.project.origin((module.resolve(node) or "").removesuffix("()"))
    if name not in sender.not_json:
        return None
    if sender.has_plain_json is not None and not sender.has_plain_json(job):
        return None
    return f"no JSON ({name})"


def _judge_carrying(sender: Sender, serializer: str) -> tuple[Severity, str]:
    """What a serializer makes of a row."""
    if serializer in PICKLES:
        return Severity.WARNING, "it is pickled as it is now, and stale when the job runs"
    plain = PLAIN_DATA.get(serializer)
    if plain is None:
        return Severity.WARNING, "its serializer refuses it, or it is stale when the job runs"
    if sender.dumps_models:
        return Severity.WARNING, f"{plain} refuses it, or carries a copy that is stale by then"
    return Severity.ERROR, f"{plain} cannot carry it: {sender.sending} raises"


def wrong_arguments(job: Job, sender: Sender) -> Iterator[Finding]:
    """Nobody compares arguments when a job is sent: a call that leaves one out, or gives one that
    the job does not take, fails in the worker.
    """
    taken = sender.find_parameters(job)
    if taken is None:
        return
    for send, _, arguments in find_given_arguments(job, sender):
        if send.only_built or arguments.partly_hidden:
            continue
        wrong = find_mismatch(taken, arguments)
        if wrong is not None:
            message = f"{wrong}: {sender.misfit}"
            hint = f"{sender.taker} {shown(taken)}"
            yield tell(job, "wrong-arguments", Severity.ERROR, send.place, message, hint)


def not_awaited(job: Job, sender: Sender) -> Iterator[Finding]:
    """What sends is a coroutine: without await nothing is sent."""
    for send, call in find_called_sends(job, sender):
        above = next(call.module.parents(call.node), None)
        if send.is_coroutine and isinstance(above, ast.Expr):
            message = f"{send.how} is not awaited: nothing is {sender.sent}"
            hint = f"await {ast.unparse(call.node.func)}(...)"
            yield tell(job, "not-awaited", Severity.ERROR, send.place, message, hint)


def publish_unkeyed(job: Job, sender: Sender) -> Iterator[Finding]:
    """A job that publishes another one does so once for every delivery and attempt."""
    words = sender.unkeyed
    if words is None:
        return
    for call in calls_of(job):
        if words.publishes(job, call):
            name = f"{ast.unparse(call.node.func)}(...)"
            message = f"{name} in a job that may run again: {words.again}"
            place = call_place(call)
            yield tell(job, words.rule, Severity.WARNING, place, message, words.hint)


def pickle_serializer(job: Job, sender: Sender) -> Iterator[Finding]:
    """pickle runs code from the broker, and breaks old messages when a class moves. Signed, it
    does not.
    """
    words = sender.pickling
    if words is None or job.policy.serializer not in PICKLES - {SIGNED_PICKLE}:
        return
    if words.is_exposed is not None and not words.is_exposed(job):
        return
    if words.is_default:
        severity = Severity.NOTE
    else:
        severity = Severity.WARNING
    place = at(job, job.policy.sources.get("serializer"))
    yield tell(job, words.rule, severity, place, words.message, words.hint)


@dataclass(frozen=True)
class Shared:
    """A rule about sends that a library takes as it is."""

    find: Callable[[Job, Sender], Iterator[Finding]]
    stage: RuleStage
    rests_on: Literal["handler", "setup"] = "setup"
    source: str = ""  # of every library that does not say another


# By the name that it has in a library unless the library's `Sender` says another.
_SHARED = {
    "not-awaited": Shared(not_awaited, "handler"),
    "wrong-arguments": Shared(wrong_arguments, "handler", "handler"),
    "publish-in-transaction": Shared(
        publish_in_transaction, "handler", source="saleor#5457, sentry#89284"
    ),
    "publish-unkeyed": Shared(
        publish_unkeyed,
        "idempotency",
        "handler",
        source="posthog#62708 (review): publishing inside something that is retried",
    ),
    "object-argument": Shared(
        object_argument, "contract", source="mozilla/experimenter#1631, mytardis#1420"
    ),
    "pickle-serializer": Shared(pickle_serializer, "contract", "handler"),
}


def declare_send_rules(
    library: str, sender: Sender, sources: Mapping[str, str]
) -> tuple[Rule, ...]:
    """The shared rules under a library's name; `sources` says for each that has a source of the
    library's own what that is. What the library does not do has no rule.
    """
    declared = []
    for slug, shared in _SHARED.items():
        source = sources.get(slug, shared.source)
        if not source:
            continue
        find = _find_for(sender, shared)
        why = read_reason(shared.find)
        declared.append(Rule(f"{library}.{slug}", shared.stage, why, source, find, shared.rests_on))
    return tuple(declared)


def _find_for(sender: Sender, shared: Shared) -> Callable[[Job], Iterator[Finding]]:
    def find_with_sender(job: Job) -> Iterator[Finding]:
        return shared.find(job, sender)

    return find_with_sender
