"""Whether success is logged too early: before the commit that may still fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from skillrun.proof.history import Delivery, Event, History, outlasts_process
from skillrun.proof.judges.log_answers import Answer, answer_question, split_by_answer
from skillrun.proof.judges.log_ends import Told
from skillrun.proof.judges.records import Records, collect_templates, make_template
from skillrun.proof.reference import Reference
from skillrun.proof.schedule import Schedule


def find_early_success(
    by_end: dict[str, list[Delivery]],
    histories: Iterable[History],
    records: Records,
    *,
    is_own: bool,
) -> Answer | None:
    """The answer "no" to "did it succeed?", where each record of success is also there when the
    commit fails that it speaks of; None where one is not. `is_own`: the application's own records
    are what answers it.
    """
    if records.reference.is_batch:
        return None
    undone: list[tuple[Schedule, Delivery]] = []
    for history in histories:
        if history.schedule.family == "store-error":
            for delivery in _find_undone_deliveries(history, records.reference):
                undone.append((history.schedule, delivery))
    failed = [delivery for _, delivery in undone]
    yes, no = split_by_answer("succeeded", by_end)
    if is_own:
        # What the application says itself must be true, whatever the library says beside it.
        yes = _keep_own_records(yes, records)
        no = _keep_own_records(no, records)
        failed = _keep_own_records(failed, records)
        if answer_question("succeeded", yes, no, records).by == "no":
            return None  # its rows tell it
    if answer_question("succeeded", yes, [*no, *failed], records).by != "no":
        return None
    said_of_success = collect_templates(yes) - collect_templates(no)
    return _quote_early_record(undone, said_of_success)


def _quote_early_record(
    undone: list[tuple[Schedule, Delivery]], said_of_success: set[str]
) -> Answer | None:
    """The answer "no", with the last record of success that an undone delivery logged. None where
    it logged none. `said_of_success`: the templates of such records.
    """
    early: list[Event] = []
    shown_by = None
    for schedule, delivery in undone:
        told = [event for event in delivery.all("log") if make_template(event) in said_of_success]
        # The one that came furthest has said the most: what it begins with is no record of success.
        if len(told) > len(early):
            early, shown_by = told, schedule
    if not early:
        return None
    return Answer(
        "no",
        example="fails with its commit",
        near=f"{early[-1]['text']!r} is logged before the commit, and stays where that fails",
        schedule=shown_by,
    )


def _keep_own_records(deliveries: list[Delivery], records: Records) -> list[Delivery]:
    """The deliveries with the application's own records alone: without what the library logs, and
    without their rows.
    """
    found: list[Delivery] = []
    for delivery in deliveries:
        events: list[Event] = []
        for event in delivery.events:
            if event.kind != "log" or not records.is_of_library(event):
                events.append(event)
        kept = replace(delivery, events=tuple(events))
        if isinstance(kept, Told):
            kept = replace(kept, row="")
        found.append(kept)
    return found


def _find_undone_deliveries(history: History, reference: Reference) -> Iterator[Delivery]:
    """Yields the deliveries that failed with the first commit that they made, and had done nothing
    else that lasts; each is cut off at that commit.

    What they said of success is wrong. An effect that left the process stays done, whatever becomes
    of its marker.
    """
    outlasting = {
        effect.name for effect in reference.effects if effect.guarantee != "transactional"
    }
    for delivery in history.runs:
        failure = _find_store_failure(delivery)
        if failure is None or failure["status"]:
            continue
        if delivery.died or delivery.outcome == "succeeded":
            continue
        before = tuple(event for event in delivery.events if event.number < failure.number)
        if not any(_outlasts_rollback(event, outlasting) for event in before):
            yield replace(delivery, events=before)


def _find_store_failure(delivery: Delivery) -> Event | None:
    """The first fault of a delivery by which the proof let a call fail; None where
    there is none.
    """
    for event in delivery.all("fault"):
        if event["do"] == "fail":
            return event
    return None


def _outlasts_rollback(event: Event, outlasting: set[str]) -> bool:
    """Whether a failing commit does not take an event back. `outlasting`: the effects that are not
    transactional.
    """
    if event.kind == "performed":
        return event["effect"] in outlasting
    return event.kind == "published" or (event.kind == "at" and outlasts_process(event))
