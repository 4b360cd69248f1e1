"""Runs one schedule with a real worker: publishes, watches what the worker reports, restarts it
where it was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.opening import open_file, parse_json, read_end
from skillrun.frameworks.broker import Broker, NotConfirmed
from skillrun.frameworks.registry import FRAMEWORKS
from skillrun.proof.confirm.interface import ScheduleOutcome
from skillrun.proof.confirm.premises import SettingPremises
from skillrun.proof.jobs import choose_call_arguments
from skillrun.proof.orders import RECEIVER_WAYS, describe_error, order_receiver
from skillrun.proof.rivals import Rival, commit_rival
from skillrun.proof.schedule import EVERY, Fault, Schedule, is_publish
from skillrun.proof.state import StateError, count, read_state
from skillrun.proof.workplace import Workplace

if TYPE_CHECKING:
    from skillrun.proof.result import Target
    from skillrun.proof.sandbox.sandbox import Sandbox

_HERE = Path(__file__).resolve().parent
_SUPERVISOR = _HERE.parents[1] / "validations" / "supervisor.py"
_DOOR = _HERE.parents[1] / "probe" / "main.py"
# For one schedule: a worker takes seconds to start, and is started again after each death.
LIMIT_S = 90.0
# For how long a worker must be at rest: between two deliveries it is so for moments as well.
_QUIET_S = 0.5
_CALL_AGAIN = "call={}"  # a move: the application calls for this job once more
_POLL_S = 0.03
# Bytes of events that are read at once; a schedule has some hundred of them.
_MOST_SAID = 64 * 1024 * 1024
# Each start takes seconds of the limit: what needs more of them is said not to be confirmed.
_MOST_STARTS = 8


class WorkerEnded(NotConfirmed):
    """The worker ended although nobody had killed it."""


class Process:
    """One interpreter of the target under the supervisor; nothing that it starts outlives it."""

    def __init__(
        self,
        sandbox: Sandbox,
        python: str,
        args: list[str],
        env: Mapping[str, str],
        cwd: Path,
        output: Path,
    ) -> None:
        report, self._report_end = os.pipe()
        life, self._life = os.pipe()
        self._report = report
        command = f"exec {shlex.join([python, '-B', str(_DOOR), 'real', *args])}"
        own = [sys.executable, "-I", "-S", "-B", str(_SUPERVISOR)]
        with output.open("ab") as stream:
            self.process = subprocess.Popen(
                [*sandbox.prefix(cwd), *own, str(self._report_end), str(life), "0.2", command],
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                pass_fds=(self._report_end, life),
                start_new_session=True,
            )
        os.close(self._report_end)
        os.close(life)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def status(self, timeout_s: float) -> int | None:
        """The exit status of the command itself; None where it had to be ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout_s)
        self.stop()
        data = b""
        while chunk := os.read(self._report, 1 << 16):
            data += chunk
        os.close(self._report)
        self._report = -1
        told = [json.loads(line) for line in data.splitlines()]
        return next((event["status"] for event in told if event["event"] == "exited"), None)

    def stop(self) -> None:
        """Ends it and everything below it."""
        if self._life >= 0:
            os.close(self._life)
            self._life = -1
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """`stop`, and nothing is left open here."""
        self.stop()
        if self._report >= 0:
            os.close(self._report)
            self._report = -1


def _parse_event(line: bytes) -> dict[str, Any]:
    """One event of a worker. Raises NotConfirmed for a line that is none."""
    try:
        event = parse_json(line)
    except ValueError:
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("e"), str):
        raise NotConfirmed("somebody has written into the file in which the worker reports")
    return event


class Watch:
    """The events of one schedule, as they arrive in the file."""

    def __init__(self, path: Path) -> None:
        self.path, self.read_to = path, 0
        self.events: list[dict[str, Any]] = []
        self.waited = 0  # how many of them `cut` has seen
        self.held = 0  # how often its worker was held and let go on
        self.moved = 0  # how many of them are older than the last move
        # How many of them are older than the worker that is there now.
        self.started = 0

    def read(self) -> bool:
        """Whether there was anything new. Raises NotConfirmed where the worker, or what it runs,
        has put something else in the place of its events.
        """
        try:
            with open_file(self.path) as file:
                file.seek(self.read_to)
                data = file.read(_MOST_SAID)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise NotConfirmed(
                f"what the worker reports cannot be read: {error.strerror}"
            ) from None
        whole, newline, _ = data.rpartition(b"\n")
        if not newline and len(data) == _MOST_SAID:
            raise NotConfirmed("the worker reports without an end")
        self.read_to += len(whole) + len(newline)
        self.events += map(_parse_event, whole.splitlines())
        return bool(whole)

    @property
    def last(self) -> str:
        """Where the last delivery stands: "" before the first one since the last move, entered,
        killed, over.
        """
        found = ""
        for event in self.events[self.moved :]:
            kind = event["e"]
            if kind in ("entered", "over") and event["delivery"] >= 0:
                found = kind
            elif kind == "fault" and event["do"] in ("kill", "kill-worker"):
                found = "killed"
        return found

    def list_new(self, kind: str, since: int = 0) -> list[dict[str, Any]]:
        """The events of one kind, without so many of the oldest ones."""
        return [event for event in self.events[since:] if event["e"] == kind]

    @property
    def at_rest(self) -> bool:
        """Whether the worker came up, lives, and has done with its last delivery. One may die
        before it is up.
        """
        for event in self.list_new("fault", self.started):
            if event["do"] == "kill-worker":
                return False
        is_up = bool(self.list_new("ready", self.started))
        return is_up and self.last in ("killed", "over")

    @property
    def is_held(self) -> bool:
        """Whether the worker stands still until it is told to go on."""
        pauses = [event for event in self.list_new("fault") if event["do"] == "pause"]
        return len(pauses) > self.held

    def waits(self, since: int = 0) -> list[float]:
        """For how many seconds jobs were made to wait by their deliveries."""
        found = []
        for event in self.list_new("waits", since):
            if event["delivery"] >= 0:
                found.append(float(event["s"]))
        return found

    def cut(self, wait_s: float | None) -> float:
        """Seconds that jobs were made to wait for since this was asked, beyond those that they
        really waited.
        """
        since, self.waited = self.waited, len(self.events)
        if wait_s is None:
            return 0.0
        return sum(max(0.0, wait - wait_s) for wait in self.waits(since))

    @property
    def kills(self) -> int:
        return sum(event["do"] in ("kill", "kill-worker") for event in self.list_new("fault"))

    def place(self) -> str:
        """The last boundary, for a person."""
        points = self.list_new("at")
        if points:
            return f"{points[-1]['when']}:{points[-1]['name']}"
        return "its beginning"


class Stage:
    """A workplace with a private broker. Use as a context manager. Raises what starting a server
    raises.
    """

    def __init__(self, target: Target, *, redelivery_s: float, wait_s: float | None = 0.2) -> None:
        """`redelivery_s`: after how long the library gives a dead worker's message back.

        `wait_s`: how long a retry really waits, at most; None: as long as it says.
        """
        framework = FRAMEWORKS.get(target.driver or "")
        if framework is None:
            raise NotConfirmed("there is no worker for it that could be started here")
        self.make_broker = framework.make_broker
        self.target, self.redelivery_s, self.wait_s = target, redelivery_s, wait_s
        self.workplace = Workplace(target.spec, target.root, target.driver, target.paths)
        walls = self.workplace.sandbox.walls
        if not walls.has_network:
            self.workplace.close()
            raise NotConfirmed(f"a real worker could reach somebody's broker: {walls.missing[0]}")
        self.broker: Broker | None = None
        self.processes: list[Process] = []
        self.output = self.workplace.folders.run / "worker.out"
        self.events = self.workplace.folders.run / "events.jsonl"
        self.rival: Rival | None = None
        self.payloads: dict[int, Any] = {}

    def __enter__(self) -> Stage:
        try:
            self.workplace.start_servers()
            self.workplace.set_up()
            self.broker = self.make_broker(SettingPremises(self.workplace))
            self.store = self.workplace.find_store()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._stop_all()
        if self.broker is not None:
            self.broker.stop()
        self.workplace.__exit__(kind, error, traceback)

    # -- one schedule

    def run(
        self,
        schedule: Schedule,
        met: Collection[str] | None = None,
        rival: Rival | None = None,
        payloads: Mapping[int, Any] | None = None,
    ) -> ScheduleOutcome:
        """What a real worker makes of it. `met`: the faults that came about, None for all; `rival`:
        what somebody else commits where the worker is held; `payloads`: of the other jobs that are
        published. Raises NotConfirmed.
        """
        why = unsupported(schedule)
        if why:
            raise NotConfirmed(why)
        if schedule.family == "letter-lost" and self._broker.ENDS_APART:
            raise NotConfirmed(ENDS_APART)
        self.rival, self.payloads = rival, dict(payloads or {})
        try:
            return self._run_once(schedule, met)
        except WorkerEnded:
            # A worker may end over its own housekeeping, such as a tick that two of them defer.
            return self._run_once(schedule, met)

    def _run_once(self, schedule: Schedule, met: Collection[str] | None) -> ScheduleOutcome:
        begun = time.monotonic()
        try:
            self._reset()
            refused = self._publish_first(schedule)
            if not self._broker.count_waiting():
                raise NotConfirmed("the application published nothing to the worker's queue")
            self._broker.remember_waiting()
            watch = self._work(schedule, tuple(map(_CALL_AGAIN.format, refused)))
        finally:
            self._stop_all()
        watch.read()
        _check_met([fault.at for fault in schedule.faults] if met is None else met, watch)
        return self._seen(watch, time.monotonic() - begun)

    def _stop_all(self) -> None:
        for process in self.processes:
            process.close()
        self.processes.clear()

    @property
    def _broker(self) -> Broker:
        assert self.broker is not None
        return self.broker

    def _reset(self) -> None:
        self.workplace.restore()
        self._broker.empty_queues()
        for path in self.workplace.folders.run.glob("events.jsonl*"):
            path.unlink()
        self.output.unlink(missing_ok=True)

    def _config(self, op: str, **more: Any) -> str:
        """The file that tells the process what it is."""
        config = {
            **self.workplace.make_config(),
            "events": str(self.events),
            "broker": self._broker.url,
            "wait_s": self.wait_s,
            "plans": {},
            "queues": [],
            "calls": [],
            "payloads": [],
            **more,
        }
        file = self.workplace.folders.run / f"{op}.json"
        file.write_text(json.dumps(config))
        return str(file)

    def _start(self, config: str, op: str) -> Process:
        workplace = self.workplace
        process = Process(
            workplace.sandbox,
            workplace.python,
            [config, op],
            workplace.make_env(),
            workplace.root,
            self.output,
        )
        self.processes.append(process)
        return process

    def _publish_first(self, schedule: Schedule) -> list[int]:
        """As the application does; a poison payload enters by the library's own way. The jobs whose
        callers were told that they could not be published.
        """
        spec = self.target.spec
        if schedule.poison is not None and spec.proof is not None:
            self._publish(payloads=[spec.proof.poison[schedule.poison]])
            return []
        jobs = schedule.called or (0,)
        raised = self._publish_jobs(jobs)
        if len(jobs) == 1 and raised:
            raise NotConfirmed(f"the job could not be published: {self._tail()}")
        return list(map(jobs.__getitem__, raised))

    def _publish_jobs(self, jobs: Sequence[int]) -> list[int]:
        """By calls of the application in one process, one after the other; the places of those that
        ended in an exception.
        """
        enqueue = self.target.spec.enqueue
        payloads = list(map(self._find_payload, jobs))
        if enqueue is None:
            return self._publish(payloads=payloads)
        first = self.target.spec.examples[0]
        calls: list[list[Any]] = []
        for job, payload in zip(jobs, payloads, strict=True):
            arguments = dict(enqueue.args)
            if job:
                arguments = choose_call_arguments(enqueue.args, first, payload)
            calls.append([enqueue.call, arguments])
        return self._publish(calls=calls)

    def _find_payload(self, job: int) -> Any:
        if job == 0:
            return self.target.spec.examples[0]
        if job not in self.payloads:
            raise NotConfirmed(f"the payload of job {job} is not known")
        return self.payloads[job]

    def _publish(self, **what: Any) -> list[int]:
        """`calls` or `payloads`, in a process of their own; the places of those that raised."""
        known = Watch(self.events)
        known.read()
        seen = len(known.events)
        status = self._start(self._config("publish", **what), "publish").status(LIMIT_S)
        if status != 0:
            raise NotConfirmed(f"the job could not be published: {self._tail()}")
        known.read()
        return [int(event["place"]) for event in known.list_new("caller-raised", seen)]

    def _work(self, schedule: Schedule, more: Sequence[str] = ()) -> Watch:
        """Until nothing is waiting any more and every move was made, `more` of them first."""
        config = self._config(
            "work", plans=plans(schedule, self._order), queues=self._broker.list_queues()
        )
        watch, moves = Watch(self.events), [*more, *schedule.moves]
        deadline, starts, quiet_since = time.monotonic() + LIMIT_S, 1, time.monotonic()
        worker, known = self._start(config, "work"), 0
        while time.monotonic() < deadline:
            if watch.read() or self._broker.count_waiting():
                quiet_since = time.monotonic()
            if watch.is_held:
                self._release_worker(watch)
            if self._broker.ALONE:
                self._pass_time(watch.cut(self.wait_s))
            if worker.ended:
                known = self._after_death(schedule, watch, known)
                starts += 1
                if starts > _MOST_STARTS:
                    raise NotConfirmed(f"the worker died {_MOST_STARTS} times")
                watch.started = len(watch.events)
                worker, quiet_since = self._start(config, "work"), time.monotonic()
            elif watch.at_rest and time.monotonic() - quiet_since > _QUIET_S:
                if not moves:
                    return watch
                watch.moved = len(watch.events)
                self._move(moves.pop(0))
            time.sleep(_POLL_S)
        raise NotConfirmed(
            f"it did not come to an end within {LIMIT_S:g} s; its last boundary is {watch.place()}"
        )

    def _release_worker(self, watch: Watch) -> None:
        """The worker stands still: somebody else commits, then it goes on."""
        watch.held += 1
        if self.rival is not None:
            commit_rival(self.store, self.rival)
        Path(f"{self.events}.go{watch.held}").touch()

    def _pass_time(self, seconds: float) -> None:
        """A wait that was cut short passes for the keys of the handler all the same."""
        if seconds > 0:
            self.workplace.jump(seconds)

    def _after_death(self, schedule: Schedule, watch: Watch, known: int) -> int:
        """The worker is gone: time passes until its message comes back. How many kills there
        were.
        """
        watch.read()
        if watch.kills == known:
            raise WorkerEnded(f"the worker ended by itself: {self._tail()}")
        if schedule.lose:
            self._broker.lose_messages()
        else:
            self._broker.pass_time(self.redelivery_s + 5.0)
        return watch.kills

    def _move(self, move: str) -> None:
        name, _, job = move.partition("=")
        if name == "redeliver":
            self._broker.deliver_again()
        else:
            self._publish_jobs([int(job or 0)])

    def _tail(self) -> str:
        with contextlib.suppress(OSError):
            lines = read_end(self.output, 4000).decode("utf-8", "replace").strip().splitlines()
            if lines:
                return lines[-1][-300:]
            return "it said nothing"
        return "it said nothing"

    def _order(self, fault: Fault, lose: bool) -> dict[str, Any]:
        if fault.do == "rival":
            return {"do": "pause"}
        if fault.do == "fail":
            return {"do": "fail"}
        if fault.do in RECEIVER_WAYS:
            return order_receiver(fault)
        if fault.do != "raise":
            return {"do": "kill-worker" if lose else fault.do}
        return {"do": "raise", **describe_error(self.target.spec.failures, fault)}

    # -- the end

    def _seen(self, watch: Watch, seconds: float) -> ScheduleOutcome:
        proof, dead = self.workplace.proof, self._broker.count_dead()
        if proof.dead_letters is not None:
            try:
                dead = count(self.store, self.workplace.fill_in(proof.dead_letters))
            except StateError as error:
                raise NotConfirmed(f"proof.dead_letters: {error}") from error
        return ScheduleOutcome(
            outcomes(watch.events),
            tuple((call["effect"], call.get("key")) for call in watch.list_new("performed")),
            read_state(self.store, proof.state),
            dead,
            tuple(watch.waits()),
            seconds,
        )


ENDS_APART = (
    "a real worker writes the record in a process of its own, where nothing is made to fail"
)
_OTHER_CLOCK = "it needs another clock, another interpreter or another job before it"
_OTHER_QUEUE = "its queue, or its broker, is another one than a real worker has"


def _check_met(wanted: Collection[str], watch: Watch) -> None:
    """A fault that a real worker never came to shows nothing."""
    met = {str(event["at"]).rpartition("#")[0] for event in watch.list_new("fault")}
    for at in wanted:
        if at.rpartition("#")[0] not in met:
            raise NotConfirmed(f"the real worker never came to {at}")


def outcomes(events: list[dict[str, Any]]) -> tuple[str, ...]:
    """Of each delivery: returned | raised | died."""
    ends: dict[int, str] = {}
    killed: set[int] = set()
    for event in events:
        number, kind = event.get("delivery", 0), event["e"]
        if kind == "entered":
            ends.setdefault(number, "died")
        elif kind in ("returned", "raised"):
            ends[number] = kind
        elif kind == "fault" and event["do"].startswith("kill"):
            killed.add(number)
    for number in killed.intersection(ends):
        ends[number] = "died"
    return tuple(ends[number] for number in sorted(ends))


def plans(schedule: Schedule, order: Any) -> dict[str, dict[str, Any]]:
    """Number of a delivery, or "*" for every other one -> boundary -> what happens there."""
    made: dict[str, dict[str, Any]] = {}
    numbers = sorted({fault.delivery for fault in schedule.faults})
    for number in numbers:
        faults = [fault for fault in schedule.faults if fault.delivery in (number, EVERY)]
        plan = {fault.at: order(fault, schedule.lose) for fault in faults}
        if EVERY in numbers:
            plan["jitter"] = "low" if schedule.low_jitter else "high"
        made["*" if number == EVERY else str(number)] = plan
    return made


def unsupported(schedule: Schedule) -> str | None:
    """Why a schedule cannot be repeated in real time; None where it can."""
    done = {"kill", "kill-worker", "raise", "fail", "rival", *RECEIVER_WAYS}
    if schedule.does - done or schedule.copies > 1:
        return "deliveries at once are not repeated with a real worker"
    if set(schedule.moves) - {"redeliver", "re-enqueue"}:
        return _OTHER_CLOCK
    if schedule.emptied is not None:
        return "a broker that loses its messages is not repeated with a real worker"
    if schedule.redis_emptied is not None:
        return "a Redis that loses its data is not repeated with a real worker"
    for fault in schedule.faults:
        if is_publish(fault.at):
            return _OTHER_QUEUE
        if "." in fault.at.partition(":")[2].partition("#")[0]:
            return "its fault is in a callback"
    if schedule.waiting > 1:
        return _OTHER_QUEUE
    if _is_repeated_whole(schedule):
        return None
    return _OTHER_CLOCK


def _is_repeated_whole(schedule: Schedule) -> bool:
    """Whether nothing is in it but what `Stage` goes by."""
    plain = Schedule(
        schedule.family,
        schedule.faults,
        schedule.moves,
        lose=schedule.lose,
        poison=schedule.poison,
        low_jitter=schedule.low_jitter,
        same=schedule.same,
        called=schedule.called,
        example=schedule.example,
    )
    return schedule == plain
