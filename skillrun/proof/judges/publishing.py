"""Whether a schedule of the publisher can be compared: the application's call, made again, must
mean the same job.
"""

from __future__ import annotations

from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.reference import Reference

_HINT = (
    "let enqueue name a call that can be repeated for one job, with the key fields among its args,"
    " e.g. one that publishes the job of a record which proof.setup has written; or name the"
    " function that publishes what is left: enqueue.relay"
)


def say_another_job(history: History, reference: Reference) -> Judgement | None:
    """What is said in the place of a refutation where the caller tried again with arguments that
    name no job; None where it did not.

    Such a call may rightly make another record and another job; whether the first one is lost
    cannot be told.
    """
    absent = find_unnamed_field(history, reference)
    if absent is None or reference.spec.enqueue is None:
        return None
    said = (
        f"{reference.spec.enqueue.call} was called again after it failed, as its caller would, and"
        f" may have made another job: its args do not hold {absent}"
    )
    return Judgement(Verdict.INCOMPLETE, "enqueue.not-repeatable", said, expected=_HINT)


def find_unnamed_field(history: History, reference: Reference) -> str | None:
    """The first key field that the application's call does not name, where a history holds that
    call twice; None where it names each, or was made once.
    """
    calls = [delivery for delivery in history.deliveries if delivery.op == "call"]
    if history.schedule.family != "publish-fault" or len(calls) < 2:
        return None
    enqueue, idempotency = reference.spec.enqueue, reference.spec.idempotency
    if enqueue is None or idempotency is None or enqueue.relay is not None:
        return None
    if reference.spec.recovers:
        # As with a relay: the call is repeated only where it had committed nothing.
        return None
    for field in idempotency.key:
        # "order.id" -> "order"
        if field.partition(".")[0] not in enqueue.args:
            return field
    return None
