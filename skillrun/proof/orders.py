"""What a process is told to do at which boundary: the faults of a schedule, as `probe/recorder.py`
takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillrun.proof.schedule import EVERY, Fault, Schedule

if TYPE_CHECKING:
    from skillrun.contract.job import Failures, JobError

Plan = dict[str, Any]
"""Boundary -> order."""

# Of a receiver that does no good and lets nobody wait.
RECEIVER_WAYS = ("refuse", "hang-up", "answer")


class Orders:
    """`items`: what the calls of the single run are about, where one run does several things."""

    def __init__(self, failures: Failures | None) -> None:
        self.failures = failures
        self.items: Mapping[str, str] = {}
        # Effect -> a secret that it is called with.
        self.given: Mapping[str, str] = {}

    def of_delivery(self, schedule: Schedule, number: int) -> Plan:
        """The faults of one delivery, counted from 1."""
        plan: Plan = {}
        # It stands still first, then it fails.
        for fault in sorted(schedule.faults, key=lambda fault: fault.do == "stall"):
            is_callers = fault.do.startswith("caller-")
            if fault.delivery in (number, EVERY) and not is_callers:
                at, order = self._planned(fault)
                plan[at] = order
                if schedule.listen:
                    order["listen"] = True
        if schedule.echo:
            self._echo_secrets(plan)
        if any(fault.delivery == EVERY for fault in schedule.faults) or schedule.fails_in_turn:
            # A backoff is measured at its longest. Errors in numbered deliveries are those of such
            # a measurement: a poller whose row is due earlier would meet them in other ticks.
            plan["jitter"] = "low" if schedule.low_jitter else "high"
        return plan

    def _echo_secrets(self, plan: Plan) -> None:
        """A provider's error repeats what it was called with."""
        for at, order in plan.items():
            effect = at.partition(":")[2].rpartition("#")[0]
            if effect in self.given:
                order["says"] = f"refused: {self.given[effect]}"

    def find_rival(self, schedule: Schedule, number: int) -> str | None:
        """The text of the rival that comes while a delivery, counted from 1, stands still."""
        for fault in schedule.faults:
            if fault.do == "rival" and fault.delivery in (number, EVERY):
                return fault.error
        return None

    def of_publisher(self, schedule: Schedule, number: int = 1) -> Plan:
        """The faults of the application's own call; of the second one of two at once."""
        plan: Plan = {}
        for fault in schedule.faults:
            if fault.do.startswith("caller-") and fault.delivery == number:
                plan[fault.at] = self._order(fault)
        return plan

    def of_late_errors(self, schedule: Schedule) -> list[Plan]:
        """What a delivery meets that stood still, when it goes on."""
        return [self._order(fault) for fault in schedule.faults if fault.do == "raise"]

    def _planned(self, fault: Fault) -> tuple[str, Plan]:
        if not fault.at.endswith("!"):
            return fault.at, self._order(fault)
        when, _, name = fault.at[:-1].partition(":")
        return f"{when}:{name.rpartition('#')[0]}#*", {
            **self._order(fault),
            "only": self.items.get(name, ""),
        }

    def _order(self, fault: Fault) -> Plan:
        do = fault.do.removeprefix("caller-")
        if do in ("kill", "kill-worker"):
            return {"do": "kill"}
        if do == "raise":
            return {"do": "raise", **describe_error(self.failures, fault)}
        if do == "cut":
            return {"do": "raise", "error": fault.error}
        if do in RECEIVER_WAYS:
            return order_receiver(fault)
        return {"do": do if do in ("fail", "drop", "hang", "silent") else "pause"}


def order_receiver(fault: Fault) -> dict[str, Any]:
    """What the receiver of a real call does, as `probe/receiver.py` takes it."""
    said = fault.error or "0"
    if fault.do == "answer" and not said.isdigit():
        return {"do": fault.do, "reply": said}
    if fault.do == "answer":
        return {"do": fault.do, "status": int(said)}
    return {"do": fault.do}


def describe_error(failures: Failures | None, fault: Fault) -> dict[str, Any]:
    """How the error of a fault is made, as `probe/names.py` takes it."""
    same = [error for error in failures.listed if error.type == fault.error] if failures else []
    if fault.index >= len(same):
        return {"error": fault.error}
    return spell_error(same[fault.index])


def spell_error(error: JobError) -> dict[str, Any]:
    """A listed error as `probe/names.py` takes it."""
    return {
        "error": error.type,
        "args": list(error.args),
        "kwargs": dict(error.kwargs),
        "factory": error.factory,
    }


def victim(schedule: Schedule, number: int) -> str:
    """Who dies with a killed delivery: its "child", or the "worker", too."""
    worker = any(
        fault.do == "kill-worker" and fault.delivery in (number, EVERY) for fault in schedule.faults
    )
    if worker:
        return "worker"
    return "child"
