"""Several deliveries at once, and one that stands still while others go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from skillrun.proof.exploring.queue import Queue
from skillrun.proof.exploring.run import Run, Waiting
from skillrun.proof.history import Delivery, Event
from skillrun.proof.processes import Process


class Together(Queue):
    """Runs several deliveries at the same time, each in a process of its own."""

    def _deliver_at_once(self, run: Run, message: dict[str, Any]) -> None:
        """Delivers several messages, each in a process of its own. Where a process comes to the
        boundary of its switch, it stands still and the next one runs.
        """
        switches = [fault for fault in run.schedule.faults if fault.do == "switch"]
        processes: list[Process] = []
        waiting = self._choose_messages_at_once(run, message)
        for number, item in enumerate(waiting):
            plan = {}
            if number < len(switches):
                plan = {switches[number].at: {"do": "pause"}}
            run.count += 1
            process = self._fork_process(
                run, "deliver", [item.message], job=item.job, plan=plan, copy=number
            )
            processes.append(process)
            self.processes.follow(processes, process)
        for process in processes:
            if process.running.ended:
                continue
            process.go_on()
            self._finish_process(run, processes, process)
        # The queue learns of them in the order of their ends.
        pairs = zip(processes, waiting, strict=True)
        for process, item in sorted(pairs, key=lambda pair: _find_last_heard(pair[0])):
            self._settle_delivery(run, item, self._read_delivery(run, process))

    def _deliver_in_one_process(self, run: Run, message: dict[str, Any]) -> None:
        """Two jobs, one of which runs while an effect of the other one waits for its answer."""
        job = run.schedule.beside or 0
        other = self.origin.messages[job]
        plan: dict[str, Any] = {}
        for fault in run.schedule.faults:
            plan[fault.at] = {"do": "beside", "message": other}
        run.count += 2
        both = self._run_process(run, "deliver", [message], plan=plan)
        first, second = _split_delivery(both, job)
        # Where it never came to the boundary, the other was not delivered.
        if second.events:
            self._settle_delivery(run, Waiting(other, run.now, job), second)
        self._settle_delivery(run, Waiting(message, run.now, 0), first)
        if both.first("inseparable") is not None:
            run.queue.clear()

    def _choose_messages_at_once(self, run: Run, message: dict[str, Any]) -> list[Waiting]:
        """The message and those that are delivered with it: the message of another job, or copies
        of itself.
        """
        messages = [Waiting(message, run.now, 0)]
        other_job = run.schedule.beside
        if other_job is not None:
            messages.append(Waiting(self.origin.messages[other_job], run.now, other_job))
            return messages
        for _ in range(run.schedule.copies - 1):
            messages.append(Waiting({**message, "redelivered": True}, run.now, 0))
        return messages

    def _drain_beside(
        self, run: Run, other: Process, *, most: int | None = None, until: float | None = None
    ) -> None:
        """Delivers what waits while the `other` process stands still: at most so many of it, and
        none that is due later than `until`. Where the other holds what they need, it goes on first.
        """
        count_before = run.count
        while run.queue and self._may_deliver_more(run):
            if most is not None and run.count - count_before >= most:
                return
            waiting = min(run.queue, key=lambda item: item.due)
            if until is not None and waiting.due > until:
                return
            run.queue.remove(waiting)
            if waiting.due > run.now:
                self._pass_time(run, waiting.due - run.now)
            self._count_delivery(run, waiting)
            process = self._fork_process(run, waiting.op, [waiting.message], job=waiting.job)
            self._finish_process(run, [process, other], process)
            self._settle_delivery(run, waiting, self._read_delivery(run, process))


def _split_delivery(both: Delivery, job: int) -> tuple[Delivery, Delivery]:
    """What two deliveries said that shared a process: the first one's, and the other job's."""
    mine: list[Event] = []
    theirs: list[Event] = []
    for event in both.events:
        if event["beside"]:
            theirs.append(event)
        else:
            mine.append(event)
    other = replace(both, job=job, events=tuple(theirs), copy=1)
    return replace(both, events=tuple(mine)), other


def _find_last_heard(process: Process) -> int:
    """When the last event of a process was heard, as a number that grows with each event."""
    return int(process.running.events[-1].get("heard", 0))
