"""A delivery whose effect is answered so late that its lock is over: others come to the job
meanwhile, and then the answer comes all the same.
"""

from __future__ import annotations

from dataclasses import replace

from skillrun.proof.broker import list_sweeps
from skillrun.proof.exploring.run import CALLER, Run, Waiting
from skillrun.proof.exploring.sweeps import Sweeps
from skillrun.proof.processes import Process
from skillrun.proof.schedule import SWEEP

# Deliveries meanwhile: one finds the lock over, one more that the job is given up. What waits for
# the lock comes again and again.
_MOST_MEANWHILE = 4


class Outlasting(Sweeps):
    """Lets a delivery that is not the first one stand still while others go on."""

    def _deliver_outlasting(self, run: Run) -> None:
        """Delivers the next message, which stands still at the boundary of the schedule's stall,
        and what comes meanwhile. Where it does not come to that boundary, it is delivered as any
        other.
        """
        run.is_outlasted = True
        waiting = min(run.queue, key=lambda item: item.due)
        run.queue.remove(waiting)
        if waiting.due > run.now:
            self._pass_time(run, waiting.due - run.now)
        self._count_delivery(run, waiting)
        plan = self.orders.of_delivery(run.schedule, run.count)
        process = self._fork_process(run, waiting.op, [waiting.message], job=waiting.job, plan=plan)
        if self.processes.follow([process], process) == "paused":
            began = run.now
            process.order = lambda: {"clock": run.now - began, "then": None}
            self._let_others_come(run, waiting, process)
        if not process.running.ended:
            process.go_on()
        self._finish_process(run, [process], process)
        delivery = replace(self._read_delivery(run, process), parent=waiting.parent)
        self._settle_delivery(run, waiting, delivery)

    def _let_others_come(self, run: Run, waiting: Waiting, process: Process) -> None:
        """Makes the schedule's moves while a process stands still, and delivers what they bring."""
        for move in run.schedule.moves:
            name, _, value = move.partition("=")
            if name == "wait":
                self._pass_time(run, float(value))
            elif name == SWEEP:
                self._sweep_beside(run, process)
            elif name == "redeliver":
                again = {**waiting.message, "redelivered": True}
                run.queue.append(Waiting(again, run.now, waiting.job))
            self._drain_beside(run, process, most=_MOST_MEANWHILE)

    def _sweep_beside(self, run: Run, process: Process) -> None:
        """Calls each sweep once, and the relay of an outbox, and queues what they publish for this
        job.
        """
        # A relay may be named as a sweep, too.
        sweeps = {sweep.call: sweep for sweep in list_sweeps(self.workplace.spec, relay=True)}
        for sweep in sweeps.values():
            sweeping = self._fork_process(run, "recover", [sweep.call], job=CALLER)
            self._finish_process(run, [sweeping, process], sweeping)
            call = self._drop_messages_of_other_jobs(self._read_delivery(run, sweeping))
            run.deliveries.append(call)
            self._take_published(run, call, 0)
