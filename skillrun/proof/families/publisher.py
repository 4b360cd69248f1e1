"""The application that publishes the job dies, finds the broker away, or commits too late."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.proof.families.family import Planned, family
from skillrun.proof.families.situation import Situation
from skillrun.proof.schedule import Fault, Schedule

_NO_CALL = "enqueue is not given"


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
