"""The messages that schedules begin with, published once, by the application's own call where the spec
names it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from skillrun.proof import ticks
from skillrun.proof.exploring.run import Run
from skillrun.proof.exploring.stand import Stand
from skillrun.proof.jobs import DIRECT, is_same_job, is_valid, read_payload
from skillrun.proof.schedule import Schedule
from skillrun.proof.varied import VARIED


class Messages(Stand):
    """Has each job's message published."""

    def _publish_first_message(self, payload: Any) -> dict[str, Any]:
        """By the application's own call, where the spec names it. Raises NotPublished."""
        enqueue = self.setting.spec.enqueue
        run = Run(Schedule("publish"))
        if enqueue is None:
            return self._read_message(self._run_process(run, "publish", [payload]), 0)
        self.caller = self._run_process(run, "call", [enqueue.call, dict(enqueue.args)])
        if enqueue.relay is None or self.caller.retries:
            return self._read_message(self.caller, 0)
        # An outbox: nothing else publishes.
        return self._read_message(self._run_process(run, "call", [enqueue.relay, {}]), 0)

    def _learn_from_message(self, message: dict[str, Any]) -> None:
        """Where who publishes a job says after how long it comes back from a dead worker, the
        driver could not know it at the boot: the message holds it.
        """
        redelivery_s = message.get("redelivery_s")
        if redelivery_s is not None:
            self.facts = replace(self.facts, redelivery_s=float(redelivery_s))

    def _publish_message(self, job: int, payload: Any) -> dict[str, Any]:
        """Raises NotPublished."""
        arguments = self._make_publish_arguments(payload)
        made = self._run_process(Run(Schedule("publish")), "publish", arguments, job=job)
        return self._read_message(made, job)

    def _adopt_published_job(self, messages: dict[int, dict[str, Any]]) -> None:
        """The application's own call may publish another job than the first example, say of a row
        that is still a draft. Then that is the proof's own message, and the example one more job.
        """
        spec = self.setting.spec
        published = messages.get(0, {}).get("arguments")
        direct = messages.get(DIRECT, {}).get("arguments")
        if published is None or direct is None or published == direct:
            return
        for event in self.caller.retries if self.caller is not None else ():
            # One call may publish several jobs: the example is among them.
            if event["message"].get("arguments") == direct:
                messages[0] = dict(event["message"])
                return
        example = self.payloads[0]
        payload = read_payload(published, example)
        if payload is None or not is_valid(payload, spec):
            return  # `enqueue.other-job` says so
        for job in tuple(messages):
            if 0 < job < DIRECT and is_same_job(spec, self.payloads[job], payload):
                del messages[job], self.payloads[job]
        if not is_same_job(spec, example, payload):
            number = max(job for job in self.payloads if job < DIRECT) + 1
            self.payloads[number], messages[number] = example, messages[DIRECT]
        self.payloads[0], messages[DIRECT] = payload, messages[0]

    def _publish_varied(self, messages: dict[int, dict[str, Any]]) -> None:
        """All in one process, and then all is put back. One that the application does not publish
        is left out.
        """
        varied = [job for job in self.payloads if job >= VARIED]
        if not varied or self.facts.ticks:
            return
        given = [[job, self._make_publish_arguments(self.payloads[job])] for job in varied]
        made = self._run_process(Run(Schedule("publish")), "publish_each", [given])
        job = VARIED
        for event in made.events:
            if event.kind == "publishing":
                job = int(event["job"])
            elif event.kind == "published" and event["to_handler"]:
                messages.setdefault(job, dict(event["message"]))
        self.setting.restore()

    def _add_later_ticks(self, messages: dict[int, dict[str, Any]]) -> None:
        """The tick of another day is another job, where the job has a key."""
        spec = self.setting.spec
        if spec.trigger is None or spec.idempotency is None or not spec.idempotency.key:
            return
        later_ticks = ticks.list_later_ticks(spec.trigger.schedule, spec.trigger.timezone)
        for number, later in enumerate(later_ticks, ticks.NEXT):
            messages[number] = {**messages[0], "later": later}
            self.payloads[number] = self.payloads[0]

    def _takes_poison(self, job: int) -> bool:
        """Whether the application would ever make such a job."""
        made = self._bring_work(Run(Schedule("publish")), job)
        self.setting.restore()
        return made is None or made.first("caller-raised") is None
