"""Begins the processes of one schedule, follows them until they end, stand still or are blocked,
and reads what they reported.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from skillrun.proof.blocked import PATIENCE_S, can_see, is_blocked
from skillrun.proof.history import Delivery, Event
from skillrun.proof.workplace import Workplace
from skillrun.proof.zygote import Running, delivery_s

# Seconds between two looks at a process: where it may be blocked by another, and where it may not.
_GLANCE_S, _WAIT_S = 0.002, 0.5


# What a zygote learns from its first deliveries, one from each. The memory comes second: who
# imports libraries writes pages that nobody writes who finds them imported.
_NEEDS = ("libraries", "memory")
_CUT = "the proof's own record of the delivery, from which events were taken"


@dataclass
class Process:
    """One process and what it is for."""

    number: int
    op: str
    job: int
    clock: float
    running: Running
    zygote: str
    copy: int = 0
    # What it is told when it stands still and goes on again, see `Running.resume`.
    order: Callable[[], Mapping[str, Any]] = dict

    def go_on(self) -> None:
        """Lets it go on, where it stands still."""
        if self.running.paused:
            self.running.resume(**self.order())


class Processes:
    """Begins and follows the processes of one workplace."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace
        self.number = 0  # of the schedule's latest process
        self.modules: set[str] = set()  # of the repository, imported by any of them
        self.cold: dict[str, list[str]] = {}  # zygote -> what it does not know yet of `_NEEDS`
        # A process that has done what it was begun for, and can run the next delivery.
        self.heir: Process | None = None

    def begin_schedule(self) -> None:
        """Numbers the processes from 1 again."""
        self.number = 0

    def end_schedule(self) -> None:
        """Ends the process that waits for another delivery, if one does."""
        heir, self.heir = self.heir, None
        if heir is not None:
            self.workplace.zygote(heir.zygote).dismiss(heir.running)

    def start(
        self,
        op: str,
        args: list[Any],
        *,
        clock: float,
        job: int = 0,
        plan: Mapping[str, Any] | None = None,
        zygote: str = "main",
        copy: int = 0,
        modules: bool = False,
        stays: bool = False,
    ) -> Process:
        """Begins a process, or gives the one that waits what to do next.

        `stays`: what is delivered next runs in it too. So it does after a death: a worker forks its
        next child once it has dealt with the death of the last one.
        """
        forker, heir = self.workplace.zygote(zygote), self.heir
        delivers = op in ("deliver", "callback")
        stays = op == "died" or (stays and delivers)
        if heir is not None and delivers and heir.zygote == zygote and forker.rests(heir.running):
            self.heir = None
            running = forker.go_on(heir.running, op, args, clock=clock, plan=plan, stays=stays)
        else:
            self.end_schedule()
            cold = self.cold.setdefault(zygote, list(_NEEDS))
            warms = None
            if delivers and cold:
                warms = cold[0]
            running = forker.fork(
                op, args, clock=clock, plan=plan, modules=modules, warms=warms, stays=stays
            )
        self.number += 1
        process = Process(self.number, op, job, clock, running, zygote, copy)
        self.heir = None
        if stays:
            self.heir = process
        return process

    def follow_to_end(self, all_: list[Process], process: Process) -> str | None:
        """Follows a process until it has ended; where it is blocked, another one goes on. A process
        that hangs is ended: then this is the last boundary that it came to. Else None.
        """
        deadline = time.monotonic() + delivery_s()
        while not process.running.ended and time.monotonic() < deadline:
            state = self.follow(all_, process, deadline)
            if state == "stopped":
                break
            if state == "paused":
                process.go_on()
            elif state == "blocked":
                other = _find_other(all_, process)
                if other is None:
                    # It waits for itself, or for time that no lock will give back.
                    continue
                other.go_on()
                self.follow(all_, other, deadline)
        if process.running.ended:
            return None
        self.workplace.zygote(process.zygote).end(process.running)
        return _name_last_boundary(process)

    def follow(self, all_: list[Process], process: Process, deadline: float | None = None) -> str:
        """Follows a process until it has ended, stands still, or is blocked, and says which:
        "ended", "paused" or "blocked"; "late" where the time is over before that.

        "stopped": it stopped itself by a signal, and will never go on.
        """
        zygote = self.workplace.zygote(process.zygote)
        deadline = deadline or time.monotonic() + delivery_s()
        quiet_since = time.monotonic()
        has_others = len(all_) > 1
        wait_s = _GLANCE_S if has_others else _WAIT_S
        while time.monotonic() < deadline:
            if process.running.ended:
                return "ended"
            if process.running.paused:
                return "paused"
            if zygote.hear(wait_s):
                quiet_since = time.monotonic()
                continue
            if zygote.is_stopped(process.running):
                return "stopped"
            if has_others and self._is_blocked(process, quiet_since):
                return "blocked"
        return "late"

    def _is_blocked(self, process: Process, quiet_since: float) -> bool:
        """Whether a process waits for another one. Where that cannot be seen, one that has said
        nothing for a while is taken to wait.
        """
        zygote = self.workplace.zygote(process.zygote)
        quiet_s = time.monotonic() - quiet_since
        pid = zygote.outer_pid(process.running)
        if can_see() and pid:
            return is_blocked(pid, self.workplace.server_pids, zygote.pid, quiet_s)
        return quiet_s > PATIENCE_S

    def _shorten_paths(self, detail: str) -> str:
        """A text with the proof's own folders as a spec names them: "{scratch}/"."""
        place = self.workplace.folders
        for name in ("scratch", "tmp", "home"):
            detail = detail.replace(f"{getattr(place, name)}/", f"{{{name}}}/")
        return detail

    def read_delivery(self, process: Process) -> tuple[Delivery, float]:
        """What a process reported, and where its clock stood at its end."""
        raw, status = process.running.events, process.running.status
        scratch = f"sqlite:{self.workplace.folders.scratch}/"
        for event in raw:
            if str(event.get("store", "")).startswith(scratch):
                event["store"] = event["store"].replace(scratch, "sqlite:{scratch}/", 1)
            if event["e"] == "undeclared":
                event["detail"] = self._shorten_paths(str(event["detail"]))
        events = [Event(event["heard"], event["e"], event) for event in raw]
        clock = process.clock
        end = _find_end(raw)
        if end is None:
            number = raw[-1]["heard"] + 1 if raw else 0
            events.append(Event(number, "died", _read_status(status)))
        else:
            clock = float(end["clock"])
            if _is_cut(raw, end):
                told = {"kind": "file", "detail": _CUT, "place": None}
                events.append(Event(end["heard"], "undeclared", told))
            self._learn(process, end)
        delivery = Delivery(
            process.number, process.op, process.job, process.clock, tuple(events), process.copy
        )
        return delivery, clock

    def _learn(self, process: Process, end: dict[str, Any]) -> None:
        """Takes from a delivery's last report what is remembered of it, and warms its zygote."""
        self.modules |= set(end.get("modules") or ())
        needs = end.pop("needs", None)
        # Of two deliveries at once the second has learnt nothing more.
        if needs is not None and needs["what"] in self.cold[process.zygote]:
            self.cold[process.zygote].remove(needs["what"])
            self.workplace.zygote(process.zygote).warm(needs)


def _find_other(all_: list[Process], process: Process) -> Process | None:
    """The first process beside this one that has not ended; None where each has."""
    for other in all_:
        if other is not process and not other.running.ended:
            return other
    return None


def _find_end(raw: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The report by which a process tells that it came to its own end; None where it did not."""
    for event in raw:
        if event["e"] == "end":
            return event
    return None


def _is_cut(raw: list[dict[str, Any]], end: dict[str, Any]) -> bool:
    """Whether the process has said more than what is here: its record is a file, which whoever has
    its descriptor can make shorter.
    """
    return raw.index(end) < int(end.get("said") or 0)


def _name_last_boundary(process: Process) -> str:
    """The last boundary that a process came to, as a message says it."""
    for event in reversed(process.running.events):
        if event["e"] == "at":
            return f"{event['when']}:{event['name']}"
    return "its beginning"


def _read_status(status: int | None) -> dict[str, Any]:
    """The signal or the exit status that a process ended with, as the event `died` has them. None:
    nobody knows it.
    """
    if status is None:
        return {"signal": None, "exit": None}
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status), "exit": None}
    return {"signal": None, "exit": os.WEXITSTATUS(status)}
