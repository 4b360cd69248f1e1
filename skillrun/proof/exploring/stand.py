"""What schedules are run with: stores, processes, messages; and how one process is run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import time
from typing import Any

from skillrun.probe.facts import BootFacts
from skillrun.proof import ticks
from skillrun.proof.exploring.learned import Learned
from skillrun.proof.exploring.run import CALLER, NotPublished, Origin, Run
from skillrun.proof.history import (
    Delivery,
)
from skillrun.proof.jobs import choose_call_arguments
from skillrun.proof.orders import Orders
from skillrun.proof.processes import Process, Processes
from skillrun.proof.rivals import Contents
from skillrun.proof.workplace import Workplace


class Stand:
    """One workplace, its processes and its messages."""

    def __init__(self, workplace: Workplace, limit: int = 24) -> None:
        self.workplace, self.limit = workplace, limit
        self.facts = BootFacts()
        self.origin = Origin({})
        self.processes = Processes(workplace)
        self.store = workplace.find_store()
        self.payloads: dict[int, Any] = {}
        self.caller: Delivery | None = None  # the application's own publish
        self.unpublished: dict[int, str] = {}  # job -> why
        # Poison that the application itself takes no job from.
        self.refused: set[int] = set()
        self.orders = Orders(workplace.spec.failures)
        self.base = 0.0  # where virtual time begins
        # Whether each day's ticks are a job of their own.
        self.daily = False
        # The time of the day at which a tick does its work; None where it does so at noon, too.
        self.due: time | None = None
        # A callable that a clock starts and that finds its work by itself; one whose tick says
        # which job it is.
        self.polled = self.clocked = False
        self.learned = Learned()
        self.left: dict[str, Contents] = {}  # kind of world -> rows that a job leaves

    def keep_learned(self, learned: Learned) -> None:
        """Goes by this from now on: its own, or what another explorer of the same job has found."""
        self.learned = learned
        self.orders.items, self.orders.given = learned.items, learned.given

    # -- processes

    def _run_process(
        self,
        run: Run,
        op: str,
        args: list[Any],
        *,
        job: int = 0,
        plan: Mapping[str, Any] | None = None,
        zygote: str = "main",
    ) -> Delivery:
        """Runs one process to its end, and returns what it did."""
        process = self._fork_process(run, op, args, job=job, plan=plan, zygote=zygote)
        self._finish_process(run, [process], process)
        return self._read_delivery(run, process)

    def _fork_process(
        self,
        run: Run,
        op: str,
        args: list[Any],
        *,
        job: int = 0,
        plan: Mapping[str, Any] | None = None,
        zygote: str = "main",
        copy: int = 0,
    ) -> Process:
        """Starts a process for an order. It has not run yet: `processes.follow` lets it."""
        # The single run tells which modules the handler loads.
        modules = run.schedule.family == "once"
        lives_on = run.schedule.family == "varied" and self.facts.same_process
        return self.processes.start(
            op,
            args,
            clock=run.now,
            job=job,
            plan=plan,
            zygote=zygote,
            copy=copy,
            modules=modules,
            stays=run.schedule.same or lives_on,
        )

    def _finish_process(self, run: Run, together: list[Process], process: Process) -> None:
        """Lets a process run to its end. Those `together` with it go on first where it waits for
        something that they hold. Where it hangs, `run.hung` says at which place.
        """
        run.hung = self.processes.follow_to_end(together, process) or run.hung

    def _read_delivery(self, run: Run, process: Process) -> Delivery:
        """What a process that has ended did. The run's clock moves on by the time that it took."""
        delivery, clock = self.processes.read_delivery(process)
        run.now = max(run.now, clock) + ticks.STEP_S
        return delivery

    # -- the application's own call

    def _bring_work(self, run: Run, job: int) -> Delivery | None:
        """Has the application's call leave a job where a callable that takes no payload finds it.
        Returns what the call did; None where the job comes as a message.
        """
        enqueue = self.workplace.spec.enqueue
        if not self.facts.ticks or enqueue is None:
            return None
        arguments = self._choose_call_arguments(job)
        aside: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if run.watch:
            # What the call writes is not the handler's work.
            aside = run.watch.aside()
        with aside:
            call = self._run_process(run, "call", [enqueue.call, arguments], job=CALLER)
        run.deliveries.append(call)
        return call

    def _choose_call_arguments(self, job: int) -> dict[str, Any]:
        """The arguments of the application's call for a job: what its payload says, and of poison
        nothing else.
        """
        enqueue = self.workplace.spec.enqueue
        if enqueue is None:
            return {}
        if job == 0:
            return dict(enqueue.args)
        first, payload = self.payloads[0], self.payloads.get(job)
        return choose_call_arguments(enqueue.args, first, payload, is_poison=job < 0)

    def _make_publish_arguments(self, payload: Any) -> list[Any]:
        """What the driver's publish takes: a payload, and the application's own message, which
        shows with which options it publishes.
        """
        return [payload, self.origin.messages.get(0)]

    def _read_message(self, delivery: Delivery, job: int) -> dict[str, Any]:
        """The message that a process published. Raises NotPublished."""
        if delivery.retries:
            return dict(delivery.retries[0]["message"])
        problem = delivery.first("caller-raised") or delivery.first("probe-error")
        if problem is None:
            raise NotPublished(job, "nothing was published to the handler")
        unfit = delivery if problem["serialising"] else None
        why = f"nothing was published to the handler: {problem['error']}: {problem['text']}"
        raise NotPublished(job, why, unfit)
