"""The processes of one schedule: begun, followed until they end, stand still or are blocked, then
read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skillrun.proof.blocked import PATIENCE_S, can_see, is_blocked
from skillrun.proof.history import Delivery, Event
from skillrun.proof.setting import Setting
from skillrun.proof.zygote import Running, delivery_s

# Between two looks, where a process may be blocked by another, and where it may not.
_GLANCE_S, _WAIT_S = (
    0.002,
    0.5,
)


# What a zygote learns from its first deliveries, one from each. The memory comes second: who imports
# libraries writes pages that nobody writes who finds them imported.
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


class Processes:
    """Begins and follows the processes of one setting."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.number = 0  # of the schedule's latest process
        self.modules: set[str] = set()  # of the repository, imported by any of them
        self.cold: dict[str, list[str]] = {}  # zygote -> what it does not know yet of `_NEEDS`
        self.heir: Process | None = (
            None  # it has done what it was begun for, and can run the next delivery
        )

    def begin_schedule(self) -> None:
        """Numbers begin anew."""
        self.number = 0

    def end_schedule(self) -> None:
        """Nothing is left waiting."""
        heir, self.heir = self.heir, None
        if heir is not None:
            self.setting.zygote(heir.zygote).dismiss(heir.running)

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
        """Begins one. `stays`: what is delivered next runs in it too, and so it does after a death:
        a worker forks its next child once it has dealt with the death of the last one.
        """
        forker, heir = self.setting.zygote(zygote), self.heir
        delivers = op in ("deliver", "callback")
        stays = op == "died" or (stays and delivers)
        if heir is not None and delivers and heir.zygote == zygote and forker.rests(heir.running):
            self.heir = None
            running = forker.go_on(heir.running, op, args, clock=clock, plan=plan, stays=stays)
        else:
            self.end_schedule()
            cold = self.cold.setdefault(zygote, list(_NEEDS))
            warms = cold[0] if delivers and cold else None
            running = forker.fork(
                op, args, clock=clock, plan=plan, modules=modules, warms=warms, stays=stays
            )
        self.number += 1
        process = Process(self.number, op, job, clock, running, zygote, copy)
        self.heir = process if stays else None
        return process

    def finish(self, all_: list[Process], process: Process) -> str | None:
        """Until it has ended. Where it is blocked, whoever stands still goes on; of what hangs, and
        is ended: where.
        """
        deadline = time.monotonic() + delivery_s()
        while not process.running.ended and time.monotonic() < deadline:
            state = self.follow(all_, process, deadline)
            if state == "stopped":
                break
            if state == "paused":
                process.running.resume()
            elif state == "blocked":
                other = next((p for p in all_ if p is not process and not p.running.ended), None)
                if other is None:
                    # It waits for itself, or for time that no lock will give back.
                    continue
                if other.running.paused:
                    other.running.resume()
                self.follow(all_, other, deadline)
        if process.running.ended:
            return None
        self.setting.zygote(process.zygote).end(process.running)
        return _last_words(process)

    def follow(self, all_: list[Process], process: Process, deadline: float | None = None) -> str:
        """Until a process has ended, stands still, or is blocked: "ended", "paused", "blocked" or
        "late".

        "stopped": it stopped itself by a signal, and will never go on.
        """
        zygote = self.setting.zygote(process.zygote)
        deadline = deadline or time.monotonic() + delivery_s()
        quiet_since = time.monotonic()
        others = len(all_) > 1
        while time.monotonic() < deadline:
            if process.running.ended:
                return "ended"
            if process.running.paused:
                return "paused"
            if zygote.hear(_GLANCE_S if others else _WAIT_S):
                quiet_since = time.monotonic()
                continue
            if zygote.is_stopped(process.running):
                return "stopped"
            if others and self._is_blocked(process, quiet_since):
                return "blocked"
        return "late"

    def _is_blocked(self, process: Process, quiet_since: float) -> bool:
        pid = self.setting.zygote(process.zygote).outer_pid(process.running)
        if can_see() and pid:
            return is_blocked(pid, self.setting.server_pids)
        return time.monotonic() - quiet_since > PATIENCE_S

    def _shorten(self, detail: str) -> str:
        """The proof's own folders by their names in a spec."""
        place = self.setting.place
        for name in ("scratch", "tmp", "home"):
            detail = detail.replace(f"{getattr(place, name)}/", f"{{{name}}}/")
        return detail

    def read(self, process: Process) -> tuple[Delivery, float]:
        """(what it reported, where its clock stood at its end)."""
        raw, status = process.running.events, process.running.status
        scratch = f"sqlite:{self.setting.place.scratch}/"
        for event in raw:
            if str(event.get("store", "")).startswith(scratch):
                event["store"] = event["store"].replace(scratch, "sqlite:{scratch}/", 1)
            if event["e"] == "undeclared":
                event["detail"] = self._shorten(str(event["detail"]))
        events = [Event(event["heard"], event["e"], event) for event in raw]
        end = next((event for event in raw if event["e"] == "end"), None)
        if end is None:
            number = raw[-1]["heard"] + 1 if raw else 0
            events.append(Event(number, "died", _how(status)))
        else:
            if _is_cut(raw, end):
                number = end["heard"]
                told = {"kind": "file", "detail": _CUT, "place": None}
                events.append(Event(number, "undeclared", told))
            self.modules |= set(end.get("modules") or ())
            needs = end.pop("needs", None)
            # Of two deliveries at once the second has learnt nothing more.
            if needs is not None and needs["what"] in self.cold[process.zygote]:
                self.cold[process.zygote].remove(needs["what"])
                self.setting.zygote(process.zygote).warm(needs)
        clock = float(end["clock"]) if end else process.clock
        return Delivery(
            process.number, process.op, process.job, process.clock, tuple(events), process.copy
        ), clock


def _is_cut(raw: list[dict[str, Any]], end: dict[str, Any]) -> bool:
    """Whether the process has said more than what is here: its record is a file, which whoever has
    its descriptor can make shorter.
    """
    return raw.index(end) < int(end.get("said") or 0)


def _last_words(process: Process) -> str:
    points = [e for e in process.running.events if e["e"] == "at"]
    return f"{points[-1]['when']}:{points[-1]['name']}" if points else "its beginning"


def _how(status: int | None) -> dict[str, Any]:
    if status is None:
        return {"signal": None, "exit": None}
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status), "exit": None}
    return {"signal": None, "exit": os.WEXITSTATUS(status)}
