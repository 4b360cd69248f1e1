"""The broker loses what it holds, and the sweeps that may bring a job back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skillrun.proof.history import Delivery, Event

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec, Sweep

EMPTY = "empty"
"""The fault of a broker that loses its messages."""


def lose_messages(deliveries: Sequence[Delivery], lost: int, clock: float) -> Delivery:
    """What a history tells of the loss: no process, but it has its place among them."""
    heard = (event.number for delivery in deliveries for event in delivery.events)
    fault = Event(max(heard, default=0) + 1, "fault", {"do": EMPTY, "at": "", "lost": lost})
    return Delivery(0, "broker", 0, clock, (fault,))


# How often the sweep of an outbox runs is not said: each minute is usual.
_RELAY_S = 60.0


def list_sweeps(spec: JobSpec, *, relay: bool) -> list[Sweep]:
    """The sweeps of `recovers`. `relay`: and that of an outbox, which may look at the
    work itself.
    """
    from skillrun.contract.job import Sweep

    sweeps = [*spec.recovers]
    if relay and spec.enqueue is not None and spec.enqueue.relay is not None:
        sweeps.append(Sweep(call=spec.enqueue.relay, every=_RELAY_S))
    return sweeps
