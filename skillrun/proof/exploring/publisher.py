"""Schedules in which the application's own call, which publishes the job, meets a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from skillrun.proof import ticks
from skillrun.proof.exploring.run import CALLER, Run, Waiting
from skillrun.proof.exploring.together import Together
from skillrun.proof.history import (
    Delivery,
    Event,
    outlasts_process,
)
from skillrun.proof.jobs import may_be_of_job, read_payload
from skillrun.proof.schedule import Schedule
from skillrun.proof.services.pgsequences import Sequence
from skillrun.proof.services.postgres import PostgresServer


class Publisher(Together):
    """Makes the call that publishes the job, and calls again as its caller does after a failure."""

    def _call_publisher(self, run: Run) -> None:
        """Publishes under the schedule's fault. Then the caller tries again, or the relay publishes
        what is left.
        """
        enqueue = self.workplace.spec.enqueue
        if enqueue is None:
            return
        args = [enqueue.call, dict(enqueue.args)]
        plan = self.orders.of_publisher(run.schedule)
        if any(fault.do == "caller-pause" for fault in run.schedule.faults):
            self._deliver_before_commit(run, args, plan)
            return
        if self.polled:
            due = run.now + ticks.find_tick_s(self.workplace.spec)
            run.queue.append(Waiting(self.origin.messages[0], due, 0))
        drawn = self._read_sequences()
        first = self._run_process(run, "call", args, job=CALLER, plan=plan)
        run.deliveries.append(first)
        self._take_published(run, self._drop_messages_of_other_jobs(first), 0)
        has_failed = first.died or first.first("caller-raised") is not None
        # What it has committed is found by the relay or a sweep, so nobody needs to call again.
        is_found_later = enqueue.relay is not None or bool(self.workplace.spec.recovers)
        if has_failed and not (is_found_later and _has_committed(first)):
            # The job of the second call is the one that the payload names: a key that the server
            # draws is the same as without the call that was undone.
            for server, before in drawn:
                server.put_sequences_back(before)
            self._call_and_take_published(run, args)
        if enqueue.relay is not None:
            self._call_and_take_published(run, [enqueue.relay, {}])

    def _read_sequences(self) -> list[tuple[PostgresServer, list[Sequence]]]:
        """(server, how far its sequences have come) of each server that has some."""
        found = []
        for server in self.workplace.servers:
            if isinstance(server, PostgresServer):
                found.append((server, server.read_sequences()))
        return found

    def _drop_messages_of_other_jobs(self, caller: Delivery) -> Delivery:
        """The same call without the messages that it publishes for other jobs: a sweep publishes
        all that is left, and a call may concern several.
        """
        kept: list[Event] = []
        for event in caller.events:
            is_publish = event.kind == "published" and event["to_handler"]
            if not is_publish or not self._is_of_other_job(event["message"]):
                kept.append(event)
        return replace(caller, events=tuple(kept))

    def _is_of_other_job(self, message: Mapping[str, Any] | None) -> bool:
        """Whether the key fields in a message's arguments are those of another job. A message whose
        arguments cannot be read is taken for the proof's own.
        """
        arguments = (message or {}).get("arguments")
        if arguments is None:
            return False
        payload = read_payload(arguments, self.payloads[0])
        if payload is None:
            return False
        return not may_be_of_job(self.workplace.spec, payload, self.payloads[0])

    def _call_and_take_published(self, run: Run, args: list[Any]) -> None:
        """Makes one more call of the application, and queues what it publishes."""
        # A worker is as fast as whoever calls: what waits is delivered before the call.
        if not self.polled:
            self._drain_queue(run)
        later = self._run_process(run, "call", args, job=CALLER)
        run.deliveries.append(later)
        self._take_published(run, self._drop_messages_of_other_jobs(later), 0)

    def _deliver_early(self, run: Run, message: dict[str, Any]) -> None:
        """Delivers a message that came by some other way, and makes the application's own call
        after it.
        """
        enqueue = self.workplace.spec.enqueue
        if enqueue is None:
            return
        run.queue.append(Waiting(dict(message), run.now, 0))
        self._drain_queue(run)
        self._call_and_take_published(run, [enqueue.call, dict(enqueue.args)])
        if enqueue.relay is not None:
            self._call_and_take_published(run, [enqueue.relay, {}])

    def _deliver_before_commit(self, run: Run, args: list[Any], plan: dict[str, Any]) -> None:
        """Delivers the message while the publisher stands still before its commit: a worker may be
        faster than the publisher.
        """
        caller = self._fork_process(run, "call", args, plan=plan)
        published_before = 0
        if self.processes.follow([caller], caller) == "paused":
            for line in caller.running.events:
                if line["e"] == "published" and line["to_handler"]:
                    run.queue.append(Waiting(dict(line["message"]), run.now, 0))
                    published_before += 1
            # Only one delivery: a transaction is open for less than it takes until a next attempt.
            self._drain_beside(run, caller, most=1)
        if not caller.running.ended:
            self._finish_process(run, [caller], caller)
        delivery = self._read_delivery(run, caller)
        run.deliveries.append(delivery)
        # A message that is a row is there with the commit, and not before.
        for event in delivery.retries[published_before:]:
            run.queue.append(Waiting(dict(event["message"]), run.now, 0))


def is_of_publisher(schedule: Schedule) -> bool:
    """Whether the application that publishes meets the schedule's faults, and not a delivery."""
    if schedule.called:
        return False  # it publishes several jobs, which called.py does
    return schedule.undone or any(fault.do.startswith("caller-") for fault in schedule.faults)


def begins_with_call(schedule: Schedule) -> bool:
    """Whether the application has not published anything yet where a schedule begins."""
    return is_of_publisher(schedule) or schedule.early or bool(schedule.called)


def _has_committed(delivery: Delivery) -> bool:
    """Whether something that a call did outlasts its process, so that calling again would be
    another job.
    """
    return any(outlasts_process(event) for event in delivery.all("at"))
