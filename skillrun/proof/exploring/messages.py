"""The messages that schedules begin with, published once, by the application's own call where the
spec names it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.proof import ticks
from skillrun.proof.broker import list_sweeps
from skillrun.proof.exploring.run import CALLER, NotPublished, Run
from skillrun.proof.exploring.stand import Stand
from skillrun.proof.history import is_within_transaction
from skillrun.proof.jobs import DIRECT, is_same_job, is_valid, read_payload
from skillrun.proof.schedule import Schedule
from skillrun.proof.varied import VARIED

if TYPE_CHECKING:
    from skillrun.proof.history import Delivery


def only_leaves_work(call: Delivery) -> bool:
    """Whether the application's call came to its end and published nothing to the handler."""
    failed = call.first("caller-raised") or call.first("probe-error")
    return failed is None and not call.died and not call.retries


def check_calls(sweep: str, call: Delivery) -> None:
    """Raises NotPublished where a sweep calls the handler in a way in which the call stands for no
    message: what comes after it, or holds it up, is a part of the job.
    """
    do = f"name {sweep} as the handler"
    called_on = call.first("called-on")
    if called_on is not None:
        place = ":".join(map(str, called_on["place"] or ()))
        raise NotPublished(0, f"{sweep} goes on after its call of the handler ({place}): {do}")
    for event in call.sent_to_handler:
        if is_within_transaction(call, event.number):
            said = f"{sweep} calls the handler within a transaction of its own: {do}"
            raise NotPublished(0, said)


class Messages(Stand):
    """Has the message of each job published, before any schedule runs."""

    def _publish_first_message(self, payload: Any) -> dict[str, Any]:
        """Returns the message of the proof's own job, published by the application's own call
        where the spec names it. Raises NotPublished.
        """
        enqueue = self.workplace.spec.enqueue
        run = Run(Schedule("publish"))
        if enqueue is None:
            message = self._read_message(self._run_process(run, "publish", [payload]), 0)
            self._check_sweeps(run)
            return message
        self.caller = self._run_process(run, "call", [enqueue.call, dict(enqueue.args)])
        if self.caller.retries:
            return self._read_message(self.caller, 0)
        if self.facts.is_called and only_leaves_work(self.caller):
            return self._publish_by_sweep(run, payload)
        if enqueue.relay is None:
            return self._read_message(self.caller, 0)
        # The call leaves its job in an outbox, and the relay alone publishes.
        return self._read_message(self._run_process(run, "call", [enqueue.relay, {}]), 0)

    def _publish_by_sweep(self, run: Run, payload: Any) -> dict[str, Any]:
        """The message of a plain callable, from the poll that finds what the application's call has
        left and calls the handler with it. Raises NotPublished.
        """
        wanted = self._read_message(self._run_process(run, "publish", [payload]), 0)
        for sweep in list_sweeps(self.workplace.spec, relay=True):
            call = self._run_process(run, "recover", [sweep.call], job=CALLER)
            check_calls(sweep.call, call)
            for event in call.sent_to_handler:
                message = dict(event["message"] or {})
                if message.get("arguments") == wanted.get("arguments"):
                    return message
        raise NotPublished(0, "nothing was published to the handler")

    def _check_sweeps(self, run: Run) -> None:
        """Looks how each sweep calls a plain callable. Raises NotPublished where such a call is no
        message.
        """
        if not self.facts.is_called:
            return
        for sweep in self.workplace.spec.recovers:
            check_calls(sweep.call, self._run_process(run, "recover", [sweep.call], job=CALLER))
            self.workplace.restore()

    def _learn_from_message(self, message: dict[str, Any]) -> None:
        """Takes from the message after how long a job comes back from a dead worker. Whoever
        publishes a job may set that, and the driver cannot know it at the boot.
        """
        redelivery_s = message.get("redelivery_s")
        if redelivery_s is not None:
            self.facts = replace(self.facts, redelivery_s=float(redelivery_s))

    def _publish_message(self, job: int, payload: Any) -> dict[str, Any]:
        """Returns the message of a job, published as the library does. Raises NotPublished."""
        arguments = self._make_publish_arguments(payload)
        publish = self._run_process(Run(Schedule("publish")), "publish", arguments, job=job)
        return self._read_message(publish, job)

    def _adopt_published_job(self, messages: dict[int, dict[str, Any]]) -> None:
        """Makes the job that the application's call has published the proof's own, where it is
        another one than the first example, say of a row that is still a draft. The example becomes
        one more job. Changes `messages` and `self.payloads`.
        """
        spec = self.workplace.spec
        published = messages.get(0, {}).get("arguments")
        direct = messages.get(DIRECT, {}).get("arguments")
        if published is None or direct is None or published == direct:
            return
        if self.caller is not None:
            for event in self.caller.retries:
                # One call may publish several jobs: the example is among them.
                if event["message"].get("arguments") == direct:
                    messages[0] = dict(event["message"])
                    return
        example = self.payloads[0]
        payload = read_payload(published, example)
        if payload is None or not is_valid(payload, spec):
            return  # the finding `enqueue.other-job` tells of it
        self._drop_same_jobs(messages, payload)
        if not is_same_job(spec, example, payload):
            next_number = max(job for job in self.payloads if job < DIRECT) + 1
            self.payloads[next_number] = example
            messages[next_number] = messages[DIRECT]
        self.payloads[0] = payload
        messages[DIRECT] = messages[0]

    def _drop_same_jobs(self, messages: dict[int, dict[str, Any]], payload: Any) -> None:
        """Takes the further jobs out of `messages` and `self.payloads` that are the same job as
        this payload's.
        """
        for job in tuple(messages):
            is_further = 0 < job < DIRECT
            if is_further and is_same_job(self.workplace.spec, self.payloads[job], payload):
                del messages[job], self.payloads[job]

    def _publish_varied(self, messages: dict[int, dict[str, Any]]) -> None:
        """Adds the messages of the varied payloads to `messages`, but for those that the
        application does not publish. They are all published in one process, and then the store is
        put back.
        """
        orders = []
        for job, payload in self.payloads.items():
            if job >= VARIED:
                orders.append([job, self._make_publish_arguments(payload)])
        # What a clock starts takes no payload that could be varied.
        if not orders or self.facts.ticks:
            return
        published = self._run_process(Run(Schedule("publish")), "publish_each", [orders])
        job = VARIED
        for event in published.events:
            if event.kind == "publishing":
                job = int(event["job"])
            elif event.kind == "published" and event["to_handler"]:
                messages.setdefault(job, dict(event["message"]))
        self.workplace.restore()

    def _add_later_ticks(self, messages: dict[int, dict[str, Any]]) -> None:
        """Adds the messages of later ticks: where the job has a key, the tick of another day is
        another job.
        """
        spec = self.workplace.spec
        if spec.trigger is None or spec.idempotency is None:
            return
        if not spec.idempotency.key:
            return
        later_ticks = ticks.list_later_ticks(spec.trigger.schedule, spec.trigger.timezone)
        for number, later in enumerate(later_ticks, ticks.NEXT):
            messages[number] = {**messages[0], "later": later}
            self.payloads[number] = self.payloads[0]

    def _takes_poison(self, job: int) -> bool:
        """Whether the application's own call accepts the payload of this malformed job: one that
        it refuses can never reach the handler.
        """
        call = self._bring_work(Run(Schedule("publish")), job)
        self.workplace.restore()
        return call is None or call.first("caller-raised") is None
