"""Schedules in which the application publishes several jobs before one of them is delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skillrun.proof.exploring.publisher import Publisher
from skillrun.proof.exploring.run import CALLER, Run, Waiting
from skillrun.proof.history import Delivery, Event
from skillrun.proof.jobs import is_same_job, may_be_of_job, read_payload
from skillrun.proof.processes import Process
from skillrun.proof.schedule import Schedule


class Called(Publisher):
    """Runs schedules with `called`: the jobs that are published one after the other."""

    # Further jobs whose calls are made before every schedule.
    brought: tuple[int, ...] = ()

    def _publish_brought(self) -> Run:
        """Makes these calls, and returns what they publish."""
        run = Run(Schedule("publish", called=self.brought))
        call = self._run_process(run, *self._order_publishes(self.brought), job=CALLER)
        self._queue_called(run, call, self.brought[0])
        self._relay_called(run)
        return run

    def _publish_called(self, run: Run) -> None:
        """Publishes the jobs and delivers what was published. A caller whose call failed calls
        again, and a relay publishes what is left.
        """
        called = run.schedule.called
        if run.schedule.faults:
            calls = self._call_at_once(run)
        else:
            # In one process, so that each call finds the messages of those before it waiting: a
            # library's queue may be in its memory.
            only_call = self._run_process(run, *self._order_publishes(called), job=CALLER)
            calls = {called[0]: only_call}
        refused: set[int] = set()
        for first_job, call in calls.items():
            run.deliveries.append(call)
            self._queue_called(run, call, first_job)
            refused.update(_find_refused(call, first_job))
        self._relay_called(run)
        self._drain_queue(run)
        for job in sorted(refused):
            self._call_for_job(run, job)
        self._relay_called(run)

    def _call_at_once(self, run: Run) -> dict[int, Delivery]:
        """Makes each call in a process of its own: the first stands still at its boundary, the
        second at its own or runs to its end, then the first goes on. Returns job -> what its call
        did.
        """
        processes: list[Process] = []
        for number, job in enumerate(run.schedule.called, 1):
            plan = self.orders.of_publisher(run.schedule, number)
            order, args = self._order_publishes((job,))
            process = self._fork_process(run, order, args, job=CALLER, plan=plan, copy=number - 1)
            processes.append(process)
            self.processes.follow(processes, process)
        for process in processes:
            if process.running.ended:
                continue
            process.go_on()
            self._finish_process(run, processes, process)
        calls: dict[int, Delivery] = {}
        for job, process in zip(run.schedule.called, processes, strict=True):
            calls[job] = self._read_delivery(run, process)
        return calls

    def _order_publishes(self, jobs: tuple[int, ...]) -> tuple[str, list[Any]]:
        """The order to a process, and its arguments, that publishes these jobs: by the
        application's own calls, or where the spec names none as the library publishes with no
        option given.
        """
        enqueue = self.workplace.spec.enqueue
        if enqueue is None:
            return "publish_each", [[[job, [self.payloads[job]]] for job in jobs]]
        first, *others = [[job, self._choose_call_arguments(job)] for job in jobs]
        _, first_arguments = first
        return "call", [enqueue.call, first_arguments, others]

    def _call_for_job(self, run: Run, job: int) -> None:
        """Makes the application's call for one job, and delivers what it publishes."""
        call = self._run_process(run, *self._order_publishes((job,)), job=CALLER)
        run.deliveries.append(call)
        self._queue_called(run, call, job)
        self._drain_queue(run)

    def _relay_called(self, run: Run) -> None:
        """Runs the spec's relay, if it names one, and queues what that publishes."""
        enqueue = self.workplace.spec.enqueue
        if enqueue is None or enqueue.relay is None:
            return
        call = self._run_process(run, "call", [enqueue.relay, {}], job=CALLER)
        run.deliveries.append(call)
        self._queue_called(run, call, run.schedule.called[0])

    def _queue_called(self, run: Run, call: Delivery, first_job: int) -> None:
        """Puts the messages that a call published into the queue, but for those of jobs that this
        schedule did not ask for.
        """
        for job_of_call, event in _walk_jobs(call, first_job):
            if event.kind != "published" or not event["to_handler"]:
                continue
            job = self._find_called_job(run.schedule.called, job_of_call, event["message"])
            if job is not None:
                due = run.now + float(event["delay"])
                self._queue_message(run, Waiting(dict(event["message"]), due, job))

    def _queue_message(self, run: Run, new: Waiting) -> None:
        """Puts a message into the queue. Where the library keeps one job an id, those of the same
        id that wait there already are changed into it.
        """
        if self.facts.one_by_id:
            for waiting in run.queue:
                if waiting.message.get("id") == new.message.get("id"):
                    # Its id stands in the queue twice, and means this one from now on.
                    waiting.message, waiting.job = new.message, new.job
        run.queue.append(new)

    def _find_called_job(
        self, jobs: tuple[int, ...], called: int, message: Mapping[str, Any]
    ) -> int | None:
        """Which of the `jobs` a message is of. Its arguments say so; where these cannot be read,
        it is of the job of the call. None for a job that nobody asked for, such as another row
        that a relay found.
        """
        payload = read_payload(message.get("arguments") or "", self.payloads[0])
        if payload is None:
            return called
        for job in jobs:
            if is_same_job(self.workplace.spec, payload, self.payloads[job]):
                return job
        # A message may leave a key field out. Then the call that published it decides.
        if may_be_of_job(self.workplace.spec, payload, self.payloads[called]):
            return called
        return None


def _walk_jobs(call: Delivery, first_job: int) -> Iterator[tuple[int, Event]]:
    """Yields the events of a process that called for several jobs, each with the job of its call.
    What comes before the first "publishing" event belongs to `first_job`.
    """
    job = first_job
    for event in call.events:
        if event.kind == "publishing":
            job = int(event["job"])
        yield job, event


def _find_refused(call: Delivery, first_job: int) -> Iterator[int]:
    """Yields the jobs whose calls ended in an exception."""
    for job, event in _walk_jobs(call, first_job):
        if event.kind == "caller-raised":
            yield job
