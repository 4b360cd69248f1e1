"""The application that publishes the job dies, finds the broker away, or commits too late; what it
has published is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.proof.before_call import find_early_publishes
from skillrun.proof.families.family import Planned, family
from skillrun.proof.families.situation import Situation
from skillrun.proof.schedule import SWEEP, Fault, Schedule
from skillrun.proof.ticks import is_published_by_clock

_NO_CALL = "enqueue is not given"
# Of the pairs of boundaries of two calls, spread evenly.
_CALLS_AT_ONCE = 24


@family("publish-fault", _NO_CALL)
def publish_fault(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The publisher dies, or the broker is away; then the application tries again."""
    for event in situation.caller:
        if not event.boundary or event["kind"] not in ("publish", "commit"):
            continue
        yield Schedule("publish-fault", (Fault("caller-kill", event.boundary),))
        if event["kind"] == "publish" and event["when"] == "before":
            fault = Fault("caller-raise", event.boundary, error=situation.facts.broker_error)
            yield Schedule("publish-fault", (fault,))


@family("before-commit", _NO_CALL)
def before_commit(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The publisher stands still between its publish and its commit: a worker is faster."""
    for event in situation.caller:
        if event["kind"] == "publish" and event["when"] == "after" and event.boundary:
            yield Schedule("before-commit", (Fault("caller-pause", event.boundary),))


@family("before-commit", _NO_CALL)
def before_commit_where_undone(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The same where the fixture is past the call: from a state in which the call has something to
    do that a faster worker does not find.
    """
    for event in find_early_publishes(situation.caller_where_undone):
        fault = Fault("caller-pause", event.boundary or "")
        yield Schedule("before-commit", (fault,), undone=True)


@family("publish-fault", _NO_CALL)
def rollback_where_undone(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The message is out, and what the call was to write is not; then its caller calls again."""
    for event in find_early_publishes(situation.caller_where_undone):
        fault = Fault("caller-kill", event.boundary or "")
        yield Schedule("publish-fault", (fault,), undone=True)


def _has_no_early_message(situation: Situation) -> str | None:
    if situation.facts.is_called:
        return "nobody but its caller calls it"
    return _has_no_broker(situation)


@family("early", _NO_CALL, unless=_has_no_early_message)
def early(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """A message for what is still undone, and then the application's own call."""
    changes = any(event["kind"] == "commit" for event in situation.caller)
    if situation.spec.enqueue is not None and changes:
        yield Schedule("early", early=True)


def _has_no_broker(situation: Situation) -> str | None:
    if situation.facts.ticks:
        return "no message is lost where ticks look for their work"
    if situation.facts.keeps_rows:
        return "its messages are rows of the application's own database"
    return None


def _is_not_published(situation: Situation) -> str | None:
    if situation.facts.ticks or situation.facts.is_called:
        return "without messages nothing waits in a queue"
    if is_published_by_clock(situation.spec):
        return "nothing but a clock publishes it"
    return None


@family(
    "queued-together",
    "no second job could be published by the application's own call: see enqueue.args",
    unless=_is_not_published,
)
def queued_together(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Two distinct jobs are published before one is delivered: a lock or an id that they share in
    the queue drops one. The sweeps may bring it back.
    """
    moves = (SWEEP,) if situation.spec.recovers else ()
    for job in situation.called:
        yield Schedule("queued-together", called=(0, job), moves=moves)


@family(
    "queued-together",
    "no second job could be published by the application's own call: see enqueue.args",
    most=_CALLS_AT_ONCE,
    unless=_is_not_published,
)
def called_at_once(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The calls for two distinct jobs are made at once: what the first has not committed yet, or
    has read before the second one wrote, takes the second one's message with it.
    """
    moves = (SWEEP,) if situation.spec.recovers else ()
    steps = [event.boundary for event in situation.caller if event.boundary]
    for job in situation.called[:1]:
        for at in steps:
            first = Fault("caller-pause", at)
            yield Schedule("queued-together", (first,), called=(0, job), moves=moves)
            for then in steps:
                both = (first, Fault("caller-pause", then, 2))
                yield Schedule("queued-together", both, called=(0, job), moves=moves)


@family("broker-lost", _NO_CALL, unless=_has_no_broker)
def broker_lost(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Everything that the broker holds is gone, and nobody publishes it again: before the first
    delivery, and while a retry waits.
    """
    if situation.spec.enqueue is None:
        return
    yield Schedule("broker-lost", emptied=0)
    for schedule in planned:
        fails_first = schedule.family == "error" and schedule.faults[0].at.startswith("before:")
        if fails_first and not schedule.moves:
            yield Schedule("broker-lost", schedule.faults, emptied=1)
            return
