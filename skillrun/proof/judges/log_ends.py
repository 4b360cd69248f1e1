"""How each delivery ended whose end the logs must tell.

An end is one of these words:
- did: it performed the job;
- recovered: it did so after an error that it met;
- again: it found nothing left to do;
- retried: it failed, and the job comes again;
- failed: it gave the job up;
- idle: a poller's tick that found nothing. No question is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.judges.publishing import find_unnamed_field
from skillrun.proof.judges.records import Records, names_job
from skillrun.proof.judges.rows_told import ToldRows
from skillrun.proof.reference import (
    Reference,
    count_new_letters,
    find_hit_items,
    is_outage,
    is_success,
)
from skillrun.proof.ticks import is_idle, is_polled

# The ends of a job that is done, and of one that is not.
_DONE = ("did", "recovered", "again")
_NOT_DONE = ("retried", "failed")

# Of their deliveries the spec does not say how they end.
_UNASKED = ("late-error", "late-success", "last-attempt-lost", "rival")


@dataclass(frozen=True)
class Told(Delivery):
    """A delivery with the records of what the library called after it.

    `others`: the other deliveries of the same job in that history that came to their end. Of two at
    once the one that finds the work done may say nothing: the other one has told that the job ran,
    and what came of it.
    `history`: what it is a part of. `row`: a row that tells that its job was done; "" where none
    does.
    """

    others: tuple[Delivery, ...] = ()
    history: History | None = None
    row: str = ""


def group_by_end(histories: Iterable[History], records: Records) -> dict[str, list[Delivery]]:
    """End -> the deliveries that ended so, each with all its records, and one whose job was done
    with the row that tells it.
    """
    by_end: dict[str, list[Delivery]] = {}
    for history in histories:
        if not _is_asked(history, records.reference):
            continue
        for run in history.runs:
            delivery = _add_callback_records(history, run)
            if not _is_telling(history, delivery, records):
                continue
            end = _find_end(history, delivery, records.reference)
            if end == "again" and not _was_done_before(history, run, records.reference):
                continue
            by_end.setdefault(end, []).append(delivery)
    _add_told_rows(by_end, records)
    return by_end


# -- Which deliveries are asked --


def is_unasked(history: History) -> bool:
    """Whether no promise says how the deliveries of a history end, and what they tell."""
    return history.schedule.family in _UNASKED or is_outage(history.schedule)


def _is_asked(history: History, reference: Reference) -> bool:
    """Whether the logs of a history must answer. They need not where it was cut short, where there
    is no job to speak of, or where another job may have been made.
    """
    if history.hung or history.schedule.poison is not None:
        return False
    if is_unasked(history):
        return False
    return find_unnamed_field(history, reference) is None


def _is_telling(history: History, delivery: Delivery, records: Records) -> bool:
    """Whether a delivery came to an end that its own records must tell."""
    # A delivery after a death may find any part of the job done: whether it did the job or found
    # nothing left to do cannot be told from how it ended.
    follows_death = history.schedule.has_crash and delivery.number != 1
    if follows_death or not delivery.entered or delivery.died:
        return False
    if _was_cancelled(delivery) or _is_of_others(history, delivery, records):
        return False
    # Where it waits for another delivery, that one tells what becomes of the job.
    return not history.waits_for_another(delivery)


def _was_cancelled(delivery: Delivery) -> bool:
    """Whether the library cancelled a delivery, at its time limit: the handler had no say in how it
    ended.
    """
    errors = {event["error"] for event in delivery.all("raised")}
    return "asyncio.exceptions:CancelledError" in errors


def _is_of_others(history: History, delivery: Delivery, records: Records) -> bool:
    """Whether a tick that does several pieces of work did others than the one whose key fields the
    proof knows.
    """
    fields = records.key_fields(max(delivery.job, 0))
    if not records.reference.is_batch or not fields:
        return False
    hit = [_choose_words(call) for call in find_hit_items(history)]
    if hit and not _is_job_among(hit, fields):
        return True
    called = []
    for boundary in delivery.all("at"):
        if boundary["kind"] == "effect":
            called.append(_choose_words(_identify_call(boundary)))
    return bool(called) and not _is_job_among(called, fields)


def _is_job_among(texts: list[str], fields: list[tuple[str, str]]) -> bool:
    """Whether one of several texts names every key field of a job."""
    return any(names_job(text, fields) for text in texts)


def _choose_words(call: tuple[str, str]) -> str:
    """The words that tell what a call (subject, key) is about: its key, where it has one."""
    subject, key = call
    if key == "None":
        return subject
    return key


def _identify_call(event: Event) -> tuple[str, str]:
    """(subject, key) of a call, as in `find_hit_items`."""
    return str(event["subject"]), str(event["key"])


def _was_done_before(history: History, run: Delivery, reference: Reference) -> bool:
    """Whether a delivery that did nothing can have found the job done. Otherwise it may have given
    the job up by itself: for its age on a later day, say.
    """
    is_undone = len(history.performed()) < min(1, len(reference.once.performed()))
    is_given_up = count_new_letters(history, reference) > 0
    # It may have given up for the same error, and taken that itself.
    return not (is_undone or is_given_up or _follows_own_errors(history, run))


def _follows_own_errors(history: History, run: Delivery) -> bool:
    """Whether the job was tried before, and came again for an error that nobody injected, such as a
    store that stayed locked.
    """
    all_tried = filter(_met_own_error, history.runs_of(run.job))
    first = next(all_tried, None)
    return first is not None and first.number < run.number


def _met_own_error(delivery: Delivery) -> bool:
    """Whether the job comes again after a delivery, and nobody threw an error into that."""
    return delivery.outcome == "retried" and not list_errors_met(delivery)


# -- How they ended --


def _find_end(history: History, delivery: Delivery, reference: Reference) -> str:
    """How a delivery ended, in the words of this module."""
    if is_polled(reference.spec, reference.facts):
        end = _find_end_of_tick(history, delivery, reference)
    else:
        end = _find_end_by_outcome(history, delivery, reference)
    if end == "failed" and _means_success(history, reference):
        # The error says that the effect had taken place before.
        return "did"
    return end


def _find_end_by_outcome(history: History, delivery: Delivery, reference: Reference) -> str:
    """How a delivery ended, by its outcome and what it performed."""
    if delivery.outcome != "succeeded":
        return delivery.outcome
    errors = list_errors_met(delivery)
    if errors:
        if _has_done_after(history, delivery, errors[-1], reference):
            return "recovered"
        # The handler took the error and gave the job up by itself.
        return "failed"
    if delivery.performs(None) or history.schedule.family == "once":
        return "did"
    return "again"


def list_errors_met(delivery: Delivery) -> list[int]:
    """The events' numbers of the errors that the proof threw into a delivery."""
    return [event.number for event in delivery.all("fault") if event["do"] == "raise"]


def _has_done_after(history: History, delivery: Delivery, error: int, reference: Reference) -> bool:
    """Whether a delivery performed the job after an error, which is an event's number."""
    after = [event for event in delivery.all("performed") if event.number > error]
    hit = find_hit_items(history)
    if not reference.is_batch or not hit:
        return bool(after)
    # Of several pieces of work only the one that met the error can recover from it.
    return not hit.isdisjoint(map(_identify_call, after))


def _means_success(history: History, reference: Reference) -> bool:
    """Whether a schedule throws an error that is declared to mean success."""
    return any(is_success(reference, fault) for fault in history.schedule.faults)


def _find_end_of_tick(history: History, delivery: Delivery, reference: Reference) -> str:
    """How a poller's tick ended. Later ticks tell whether it was tried again."""
    end = _find_end_by_outcome(history, delivery, reference)
    if end == "again":
        return "idle"
    if end != "failed":
        return end
    later = history.runs_after(delivery)
    if reference.is_batch:
        is_tried_again = _is_called_again(history, later)
    else:
        is_tried_again = not all(map(is_idle, later))
    if is_tried_again:
        return "retried"
    return end


def _is_called_again(history: History, later: Sequence[Delivery]) -> bool:
    """Whether later ticks come to the piece of work that failed."""
    hit = find_hit_items(history)
    called: set[tuple[str, str]] = set()
    for delivery in later:
        called.update(map(_identify_call, delivery.all("at")))
    return not called.isdisjoint(hit)


# -- What else tells how they ended --


def _add_callback_records(history: History, run: Delivery) -> Told:
    """A delivery as its logs tell it: with what the library's callbacks logged after it."""
    records: list[Event] = []
    for called in history.callbacks(run):
        records += called.all("log")
    others: list[Delivery] = []
    for other in history.runs_of(run.job):
        if other is not run and not other.died:
            others.append(other)
    events = (*run.events, *records)
    return Told(
        run.number,
        run.op,
        run.job,
        run.clock,
        events,
        run.copy,
        run.parent,
        others=tuple(others),
        history=history,
    )


def _add_told_rows(by_end: dict[str, list[Delivery]], records: Records) -> None:
    """Gives each delivery in `by_end` whose job was done the row that tells so, where there is
    one.
    """
    done = set(map(id, _list_histories(by_end, _DONE)))
    failed = [each for each in _list_histories(by_end, _NOT_DONE) if id(each) not in done]
    rows = ToldRows.read(failed, records.reference, records)
    for end in _DONE:
        if end in by_end:
            by_end[end] = [_add_row(delivery, rows) for delivery in by_end[end]]


def _list_histories(by_end: dict[str, list[Delivery]], ends: Sequence[str]) -> Iterator[History]:
    """Yields each history with a delivery that ended in one of these ways, once."""
    yielded: set[int] = set()
    for end in ends:
        for delivery in by_end.get(end, []):
            if not isinstance(delivery, Told) or delivery.history is None:
                continue
            if id(delivery.history) not in yielded:
                yielded.add(id(delivery.history))
                yield delivery.history


def _add_row(delivery: Delivery, rows: ToldRows) -> Delivery:
    """A delivery with the row that tells that its job was done."""
    if not isinstance(delivery, Told) or delivery.history is None:
        return delivery
    return replace(delivery, row=rows.find_row(delivery.history, delivery.job))
