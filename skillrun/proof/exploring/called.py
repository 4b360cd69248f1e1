"""The application publishes several jobs before one of them is delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skillrun.proof.exploring.publisher import Publisher
from skillrun.proof.exploring.run import CALLER, Run, Waiting
from skillrun.proof.history import Delivery, Event
from skillrun.proof.jobs import is_same_job, read_payload


class Called(Publisher):
    """Each call finds the messages of those before it waiting: in one process, since a library's
    queue may be in its memory.
    """

    def _publish_called(self, run: Run) -> None:
        """Then what was published is delivered; who was told that it could not be calls again, and
        a relay publishes what is left.
        """
        made = self._run_process(run, *self._order_publishes(run.schedule.called), job=CALLER)
        run.deliveries.append(made)
        self._queue_called(run, made, run.schedule.called[0])
        self._relay_called(run)
        self._drain_queue(run)
        for job in set(_find_refused(made, run.schedule.called[0])):
            self._call_for_job(run, job)
        self._relay_called(run)

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
        return None


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
