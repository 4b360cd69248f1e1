"""The broker loses what it holds, and the sweeps that may bring a job back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skillrun.proof.history import Delivery, Event

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec, Sweep

EMPTY = "empty"
"""The fault of a broker that loses its messages."""

# A sweep may look for what has stood still for some time only: it is called after one period and
# after two, then in the period after an hour, and in the one after a day and an hour, by when
# whatever held the job is over.
_STOOD_STILL_S = (3600.0, 25 * 3600.0)


def lose_messages(deliveries: Sequence[Delivery], lost: int, clock: float) -> Delivery:
    """What a history tells of the loss: no process, but it has its place among them."""
    heard = (event.number for delivery in deliveries for event in delivery.events)
    fault = Event(max(heard, default=0) + 1, "fault", {"do": EMPTY, "at": "", "lost": lost})
    return Delivery(0, "broker", 0, clock, (fault,))


# How often the sweep of an outbox runs is not said: each minute is usual.
_RELAY_S = 60.0


def list_sweeps(spec: JobSpec) -> list[tuple[float, Sweep]]:
    """(seconds after the loss, sweep) in the order in which a scheduler would call them. The relay
    of an outbox is one, too: it may look at the work itself.
    """
    from skillrun.contract.job import Sweep

    sweeps = [*spec.recovers]
    if spec.enqueue is not None and spec.enqueue.relay is not None:
        sweeps.append(Sweep(call=spec.enqueue.relay, every=_RELAY_S))
    calls: list[tuple[float, Sweep]] = []
    for sweep in sweeps:
        times = [sweep.every, 2 * sweep.every, *(still + sweep.every for still in _STOOD_STILL_S)]
        calls += [(time, sweep) for time in times]
    return sorted(calls, key=lambda call: call[0])
