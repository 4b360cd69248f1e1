"""The application publishes several jobs before one of them is delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skillrun.proof.exploring.publisher import Publisher
from skillrun.proof.exploring.run import CALLER, Run, Waiting
from skillrun.proof.history import Delivery, Event
from skillrun.proof.jobs import is_same_job, may_be_of_job, read_payload
from skillrun.proof.processes import Process


class Called(Publisher):
    """Each call finds the messages of those before it waiting: in one process, since a library's
    queue may be in its memory.
    """

    def _publish_called(self, run: Run) -> None:
        """Then what was published is delivered; who was told that it could not be calls again, and
        a relay publishes what is left.
        """
        called = run.schedule.called
        if run.schedule.faults:
            made = self._call_at_once(run)
        else:
            both = self._run_process(run, *self._order_publishes(called), job=CALLER)
            made = {called[0]: both}
        refused: set[int] = set()
        for first, delivery in made.items():
            run.deliveries.append(delivery)
            self._queue_called(run, delivery, first)
            refused.update(_find_refused(delivery, first))
        self._relay_called(run)
        self._drain_queue(run)
        for job in sorted(refused):
            self._call_for_job(run, job)
        self._relay_called(run)

    def _call_at_once(self, run: Run) -> dict[int, Delivery]:
        """Each call in a process of its own: the first stands still at its boundary, the second at
        its own or runs to its end, then the first goes on. What each of them did, by its job.
        """
        processes: list[Process] = []
        for number, job in enumerate(run.schedule.called, 1):
            plan = self.orders.of_publisher(run.schedule, number)
            order, args = self._order_publishes((job,))
            process = self._fork_process(run, order, args, job=CALLER, plan=plan, copy=number - 1)
            processes.append(process)
            self.processes.follow(processes, process)
        for process in processes:
            if not process.running.ended:
                if process.running.paused:
                    process.running.resume()
                self._finish_process(run, processes, process)
        made: dict[int, Delivery] = {}
        for job, process in zip(run.schedule.called, processes, strict=True):
            made[job] = self._read_delivery(run, process)
        return made

    def _order_publishes(self, jobs: tuple[int, ...]) -> tuple[str, list[Any]]:
        """By the application's own calls; where the spec names none, as the library publishes with
        no option given.
        """
        enqueue = self.setting.spec.enqueue
        if enqueue is None:
            return "publish_each", [[[job, [self.payloads[job]]] for job in jobs]]
        first, *others = [[job, self._choose_call_arguments(job)] for job in jobs]
        return "call", [enqueue.call, first[1], others]

    def _call_for_job(self, run: Run, job: int) -> None:
        again = self._run_process(run, *self._order_publishes((job,)), job=CALLER)
        run.deliveries.append(again)
        self._queue_called(run, again, job)
        self._drain_queue(run)

    def _relay_called(self, run: Run) -> None:
        enqueue = self.setting.spec.enqueue
        if enqueue is None or enqueue.relay is None:
            return
        made = self._run_process(run, "call", [enqueue.relay, {}], job=CALLER)
        run.deliveries.append(made)
        self._queue_called(run, made, run.schedule.called[0])

    def _queue_called(self, run: Run, made: Delivery, first: int) -> None:
        for job, event in _walk_jobs(made, first):
            if event.kind != "published" or not event["to_handler"]:
                continue
            found = self._find_called_job(run.schedule.called, job, event["message"])
            if found is not None:
                due = run.now + float(event["delay"])
                self._put(run, Waiting(dict(event["message"]), due, found))

    def _put(self, run: Run, new: Waiting) -> None:
        if self.facts.one_by_id:
            for waiting in run.queue:
                if waiting.message.get("id") == new.message.get("id"):
                    # Its id stands in the queue twice, and means this one from now on.
                    waiting.message, waiting.job = new.message, new.job
        run.queue.append(new)

    def _find_called_job(
        self, jobs: tuple[int, ...], called: int, message: Mapping[str, Any]
    ) -> int | None:
        """Which job a message is of: by its arguments; where these cannot be read, that of the
        call. None: of a job that nobody asked for, such as another row that a relay found.
        """
        payload = read_payload(message.get("arguments") or "", self.payloads[0])
        if payload is None:
            return called
        for job in jobs:
            if is_same_job(self.setting.spec, payload, self.payloads[job]):
                return job
        # Whose field is left out, whose call it is decides.
        is_of_call = may_be_of_job(self.setting.spec, payload, self.payloads[called])
        return called if is_of_call else None


def _walk_jobs(made: Delivery, first: int) -> Iterator[tuple[int, Event]]:
    """The events of calls for several jobs, each with the job of its call."""
    job = first
    for event in made.events:
        if event.kind == "publishing":
            job = int(event["job"])
        yield job, event


def _find_refused(made: Delivery, first: int) -> Iterator[int]:
    """The jobs whose calls ended in an exception."""
    for job, event in _walk_jobs(made, first):
        if event.kind == "caller-raised":
            yield job
