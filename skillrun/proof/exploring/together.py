"""Several deliveries at once, and one that stands still while others go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from skillrun.proof.exploring.queue import Queue
from skillrun.proof.exploring.run import Run, Waiting
from skillrun.proof.history import Delivery, Event
from skillrun.proof.processes import Process


class Together(Queue):
    """Each in a process of its own."""

    def _deliver_at_once(self, run: Run, message: dict[str, Any]) -> None:
        """Several messages, each in a process of its own: a switch lets the next one run."""
        switches = [fault for fault in run.schedule.faults if fault.do == "switch"]
        processes: list[Process] = []
        waiting = self._choose_messages_at_once(run, message)
        for number, item in enumerate(waiting):
            plan = {f.at: {"do": "pause"} for f in switches[number : number + 1]}
            run.count += 1
            process = self._fork_process(
                run, "deliver", [item.message], job=item.job, plan=plan, copy=number
            )
            processes.append(process)
            self.processes.follow(processes, process)
        for process in processes:
            if not process.running.ended:
                if process.running.paused:
                    process.running.resume()
                self._finish_process(run, processes, process)
        # The queue learns of them in the order of their ends.
        pairs = zip(processes, waiting, strict=True)
        for process, item in sorted(pairs, key=lambda pair: _heard_last(pair[0])):
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
        """The same message again and again, or a distinct job's beside it."""
        if run.schedule.beside is not None:
            other = self.origin.messages[run.schedule.beside]
            return [Waiting(message, run.now, 0), Waiting(other, run.now, run.schedule.beside)]
        found = [Waiting(message, run.now, 0)]
        for _ in range(run.schedule.copies - 1):
            found.append(Waiting({**message, "redelivered": True}, run.now, 0))
        return found

    def _drain_beside(self, run: Run, other: Process, most: int | None = None) -> None:
        """Delivers what waits while another process stands still, or so many of it; where it holds
        what they need, it goes on first.
        """
        begun = run.count
        while run.queue and self._goes_on(run):
            if most is not None and run.count - begun >= most:
                return
            waiting = min(run.queue, key=lambda item: item.due)
            run.queue.remove(waiting)
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


def _heard_last(process: Process) -> int:
    """When the last event of a process was heard."""
    return int(process.running.events[-1].get("heard", 0))
