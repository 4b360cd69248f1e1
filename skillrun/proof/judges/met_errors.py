"""Which deliveries met an error that the proof threw into the job, and how often the job was tried,
as these errors show it.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator

from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.reference import Reference


def find_injected_errors(history: History) -> tuple[Event, ...]:
    """The errors that the proof threw into the job, in the order in which it met them."""
    return tuple(event for event in history.all("fault") if event["do"] == "raise")


def has_met_error(delivery: Delivery) -> bool:
    """Whether the proof threw an error into a delivery."""
    return "raise" in delivery.hit_by


def find_hit_deliveries(history: History) -> list[Delivery]:
    """The deliveries that met an injected error."""
    return list(filter(has_met_error, history.runs))


def divides_itself(history: History) -> bool:
    """Whether some delivery publishes the job in parts: each part is tried by itself, by messages
    of its own.
    """
    return any(run.divides for run in history.runs)


def find_longest_line(history: History) -> list[Delivery]:
    """The attempts at that part of a divided job that was tried most often: deliveries that met an
    injected error, each of them published by the one before it.
    """
    line_up_to: dict[int, list[Delivery]] = {}
    for delivery in find_hit_deliveries(history):
        earlier = line_up_to.get(delivery.parent, [])
        line_up_to[delivery.number] = [*earlier, delivery]
    return max(line_up_to.values(), key=len, default=[])


def count_attempts(history: History, reference: Reference) -> int:
    """How often the job was tried, as the injected errors show it.

    Each error that was met is one attempt, unless one attempt may meet several of them.
    """
    if divides_itself(history):
        return max(len(find_longest_line(history)), _count_tries_of_call(history, reference))
    met = len(find_injected_errors(history))
    if reference.is_batch:
        return met  # one of the tick's pieces of work meets all errors, once in each attempt
    calls = [len(reference.calls(effect.name)) for effect in reference.effects]
    if max(calls, default=1) <= 1:
        return met
    # Each of several calls may meet the error in one and the same attempt.
    return max(len(find_hit_deliveries(history)), _count_tries_of_call(history, reference))


def _count_tries_of_call(history: History, reference: Reference) -> int:
    """How often the call that was tried most often met an error: a handler may try again by itself.

    A call that the single run makes several times is made as often in each attempt.
    """
    calls_in_one_run: Counter[tuple[str, str]] = Counter()
    for boundary in reference.once.all("at"):
        if boundary["when"] == "before":
            calls_in_one_run[identify_call(boundary)] += 1
    errors: Counter[tuple[str, str]] = Counter()
    for delivery in history.runs:
        errors.update(map(identify_call, _list_hit_boundaries(delivery)))
    most_tries = 0
    for call, met in errors.items():
        calls_in_attempt = max(calls_in_one_run[call], 1)
        most_tries = max(most_tries, math.ceil(met / calls_in_attempt))
    return most_tries


def _list_hit_boundaries(delivery: Delivery) -> Iterator[Event]:
    """Yields the boundaries of a delivery at which the proof threw an error: each stands right
    before the event of its fault.
    """
    for before, event in itertools.pairwise(delivery.events):
        is_error = event.kind == "fault" and event["do"] == "raise"
        if is_error and before.kind == "at":
            yield before


def identify_call(boundary: Event) -> tuple[str, str]:
    """(name, arguments) of the call at a boundary, the same each time that it is made."""
    # "email#2" -> "email"
    name = str(boundary["name"]).rpartition("#")[0]
    return name, str(boundary["args"])
