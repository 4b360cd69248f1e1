"""A second job that nothing but the application's call can make: its key is drawn there, as the
number of a row. The call is made once more, behind the first one.

What that leaves is a world of its own. Only the schedules that deliver the second job begin with
it; all others begin with what the first call has left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from skillrun.proof.exploring.called import Called
from skillrun.proof.exploring.publisher import begins_with_call
from skillrun.proof.exploring.run import CALLER, Run
from skillrun.proof.history import Delivery
from skillrun.proof.jobs import DIRECT, get_field, is_same_job, is_valid, read_payload
from skillrun.proof.schedule import Schedule


@dataclass(frozen=True)
class SecondCall:
    """The number of the job that the second call publishes, and what the call was given."""

    job: int
    arguments: Mapping[str, Any]


class SecondCalls(Called):
    """Makes the application's call a second time, and begins schedules with what that leaves."""

    second: SecondCall | None = None
    # While the single runs of that world are made, every schedule begins with it.
    is_within_second_world = False
    # What the second job's number stood for before.
    _messages_in_its_place: Mapping[int, dict[str, Any]] = {}
    _payloads_in_its_place: Mapping[int, Any] = {}

    def call_again(self, arguments: Mapping[str, Any]) -> bool:
        """Makes the application's call with these arguments, over what its first call has left.
        Returns whether it publishes another job; then that one's message and what the call leaves
        are kept.
        """
        self.workplace.restore()
        for call in self._make_second_call(arguments):
            for event in call.retries:
                message = dict(event["message"])
                payload = self._read_other_job(message)
                if payload is not None:
                    self.workplace.keep_second()
                    self._keep_second_job(message, payload, arguments)
                    return True
        return False

    def call_again_as(self, other: SecondCalls) -> None:
        """Takes over another explorer's second call. Where rows are on servers, which each
        workplace has of its own, it is made here as well.
        """
        if self.second == other.second:
            return
        self.second, self.payloads = other.second, dict(other.payloads)
        if self.second is None:
            return
        if self.workplace.servers:
            self.workplace.restore()
            self._make_second_call(self.second.arguments)
        self.workplace.keep_second()
        self.workplace.folders.adopt_second(other.workplace.folders)

    def forget_second_call(self) -> None:
        """Goes on as if the second call had not been made."""
        if self.second is not None:
            job = self.second.job
            del self.origin.messages[job], self.payloads[job]
            self.origin.messages.update(self._messages_in_its_place)
            self.payloads.update(self._payloads_in_its_place)
        self.second = None

    @contextlib.contextmanager
    def within_second_world(self) -> Iterator[None]:
        """Lets every schedule begin with what the second call has left."""
        self.is_within_second_world = True
        try:
            yield
        finally:
            self.is_within_second_world = False

    def begins_with_second_call(self, schedule: Schedule) -> bool:
        """Whether a schedule begins with what the second call has left: one that delivers its
        job.
        """
        if self.second is None or begins_with_call(schedule):
            return False
        return self.is_within_second_world or self.second.job in schedule.jobs

    def _make_second_call(self, arguments: Mapping[str, Any]) -> list[Delivery]:
        """What the call did, and the relay of an outbox behind it."""
        enqueue = self.workplace.spec.enqueue
        if enqueue is None:
            return []
        run = Run(Schedule("publish"))
        made = [self._run_process(run, "call", [enqueue.call, dict(arguments)], job=CALLER)]
        if enqueue.relay is not None:
            made.append(self._run_process(run, "call", [enqueue.relay, {}], job=CALLER))
        return made

    def _read_other_job(self, message: Mapping[str, Any]) -> Any:
        """The payload of a message of another job than the first; None of the first one's, and
        where the message does not say all key fields.
        """
        spec = self.workplace.spec
        payload = read_payload(message.get("arguments") or "", self.payloads[0])
        if payload is None or not is_valid(payload, spec):
            return None
        key = spec.idempotency.key if spec.idempotency else ()
        if any(get_field(payload, field) is None for field in key):
            return None
        if is_same_job(spec, payload, self.payloads[0]):
            return None
        return payload

    def _keep_second_job(
        self, message: dict[str, Any], payload: Any, arguments: Mapping[str, Any]
    ) -> None:
        """Gives the second job a number, its message and its payload: the number of the payload
        that is the same job, else one of its own.
        """
        known = [job for job in self.payloads if 0 < job < DIRECT]
        number = max(known, default=0) + 1
        for job in known:
            if is_same_job(self.workplace.spec, self.payloads[job], payload):
                number = job
        self._messages_in_its_place = _take_entry(self.origin.messages, number)
        self._payloads_in_its_place = _take_entry(self.payloads, number)
        self.origin.messages[number] = message
        self.payloads[number] = payload
        self.second = SecondCall(number, dict(arguments))


def _take_entry(known: Mapping[int, Any], number: int) -> dict[int, Any]:
    """The one entry of a number; nothing where it has none."""
    if number in known:
        return {number: known[number]}
    return {}
