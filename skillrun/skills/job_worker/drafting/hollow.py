"""What tests have put in the place of the job's own work: it is no effect, and shows nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from skillrun.proof.fixtures.seen import is_unsaid
from skillrun.skills.job_worker.drafting.edges import Position
from skillrun.skills.job_worker.drafting.stand_ins import find_effect_of

if TYPE_CHECKING:
    from skillrun.proof.fixtures.seen import CallSeen, DeliverySeen, SeenInTests
    from skillrun.skills.job_worker.drafting.edges import Edges


@dataclass
class HollowCalls:
    """Looks for them in what tests have shown. `body`: the one function to which the handler hands
    its work; `drafted`: the effects that reading has found.
    """

    edges: Edges
    body: str | None
    drafted: tuple[str, ...]
    # (import path of what is run as it is, the test that replaces it) -> why.
    opened: dict[tuple[str, str], str] = field(default_factory=dict)

    def drop_from(self, seen: SeenInTests) -> SeenInTests:
        """What was seen, without these calls; each of them is noted in `opened`."""
        deliveries: list[DeliverySeen] = []
        for delivery in seen.deliveries:
            kept: list[CallSeen] = []
            for call in delivery.calls:
                if not self._is_hollow(call, delivery):
                    kept.append(call)
            deliveries.append(replace(delivery, calls=tuple(kept)))
        return replace(seen, deliveries=tuple(deliveries))

    def _is_hollow(self, call: CallSeen, delivery: DeliverySeen) -> bool:
        if not call.is_replaced and not call.is_stand_in:
            return False
        path = find_effect_of(self.edges.project, call, self.drafted)
        if path is None:
            return False
        reading = self.edges.read(path)
        if not self._does_work(path, reading.position, call):
            return False
        self.opened[path, delivery.test] = reading.why
        return True

    def _does_work(self, path: str, position: Position, call: CallSeen) -> bool:
        """Whether a stand-in for it leaves out something of the job."""
        if position is Position.EDGE:
            return False
        if position is Position.WORK or path == self.body:
            return True
        # What a test has answer the job is asked by it, and the proof answers the same.
        has_answer = call.returned is not None and not is_unsaid(call.returned)
        return position is Position.INSIDE and not has_answer
