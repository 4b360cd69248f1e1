"""The broker or a store is away just when a failing job needs it: for its retry, for the record
that it was given up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from skillrun.proof.families.boundaries import find_callback_boundaries
from skillrun.proof.families.errors import find_store_faults
from skillrun.proof.history import Event, History
from skillrun.proof.schedule import SWEEP, Fault, Schedule, is_publish

# Of each way of giving up: a record is one write, and rarely a commit and a message more.
_MOST_LETTERS = 3


def lose_retry(histories: Iterable[History], broker_error: str) -> Iterator[Schedule]:
    """The attempt fails, and its retry cannot be published. One error is as good as another."""
    for history in sorted(histories, key=_rank_error):
        schedule = history.schedule
        if schedule.family != "error" or len(schedule.faults) != 1:
            continue
        # Sweeps come after every error: with them it is the same attempt.
        if schedule.moves not in ((), (SWEEP,)):
            continue
        at = _find_retry(history)
        if at is not None:
            fault = Fault("raise", at, 1, broker_error)
            yield Schedule("retry-lost", (*schedule.faults, fault))
            return


def _rank_error(history: History) -> tuple[bool, str]:
    """Before an effect first: nothing is done yet. Else by text, since two workers end in any
    order.
    """
    text = str(history.schedule)
    return "@before:" not in text, text


def _find_retry(history: History) -> str | None:
    """The boundary before the retry that the first delivery publishes once it has failed."""
    if not history.runs or not history.runs[0].retries:
        return None
    for event in _list_after_fault(history, 0):
        if event["kind"] == "publish" and event["when"] == "before" and event["to_handler"]:
            return event.boundary
    return None


def lose_letters(histories: Iterable[History], broker_error: str) -> Iterator[Schedule]:
    """What is written when a job is given up cannot be written: once for an error that does not
    pass, once for a permanent one.
    """
    seen = set[str]()
    for history in sorted(histories, key=_rank_error):
        schedule = history.schedule
        is_first = schedule.family in ("exhaustion", "permanent") and schedule.family not in seen
        if not is_first or schedule.has_crash or schedule.low_jitter or not history.runs:
            continue
        faults = list(_find_letter_faults(history, broker_error))[:_MOST_LETTERS]
        if faults:
            seen.add(schedule.family)
        for fault in faults:
            yield Schedule("letter-lost", (*schedule.faults, fault, *_fail_again(fault)))


def _find_letter_faults(history: History, broker_error: str) -> Iterator[Fault]:
    number = len(history.runs)
    after = _list_after_fault(history, number - 1)
    after += find_callback_boundaries(history, number - 1)
    for at in find_store_faults(after):
        yield Fault("fail", at, number)
    for event in after:
        at = event.boundary or ""
        if is_publish(at) and not event["to_handler"]:
            yield Fault("raise", at, number, broker_error)


def _fail_again(fault: Fault) -> tuple[Fault, ...]:
    """A library may call what writes the record a second time at once, as Celery does with
    `on_failure`: a store that is away is away then, too.
    """
    if fault.do != "fail":
        return ()
    name, _, number = fault.at.rpartition("#")
    return (replace(fault, at=f"{name}#{int(number) + 1}"),)


def _list_after_fault(history: History, index: int) -> list[Event]:
    """The boundaries of a delivery after the last error that it met."""
    events = list(history.runs[index].events)
    last = max((n for n, event in enumerate(events) if event.kind == "fault"), default=len(events))
    return [event for event in events[last:] if event.kind == "at"]
