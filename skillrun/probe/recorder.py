"""What a delivery reports, and the faults that it meets: every boundary passes through `Recorder`.

In the zygote the recorder is idle: hooks let everything through. In a forked delivery it reports
each event at once, so that what happened before a kill is known, and does at each boundary what the
plan says.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

from .answers import mark_injected
from .channel import Channel
from .names import is_unmade
from .values import shorten_text

# Errors thrown into one delivery. Who then still tries again does so for ever, without any real
# wait.
_MOST_ERRORS = 300
# What a receiver does, as `receiver.py` has it.
_OF_RECEIVERS = ("hang", "silent", "refuse", "hang-up", "answer")
_WRITING_VERBS = ("insert", "update", "delete", "replace", "copy", "merge")
# An exit status: the channel was closed under it, so nothing more could be reported.
UNHEARD = 96


# Which of two deliveries that share a process the code at work belongs to. Tasks and threads that
# asyncio starts inherit it; what has none belongs to the one whose turn it is.
_OWN_TURN: contextvars.ContextVar[int] = contextvars.ContextVar("turn")
FIRST, BESIDE = 0, 1


class Lost(BaseException):
    """The delivery must end here: nobody listens any more."""


class Recorder:
    """The events of one delivery. `plan` maps a boundary such as "before:email#1" to what happens
    there:

    {"do": "kill"} | {"do": "raise", "error": "module:Class", "args": [...]} | {"do": "fail"} |
    {"do": "beside", "message": {...}} | {"do": "drop"} | {"do": "pause"} |
    {"do": "jump", "s": 1} | {"do": "hang"} | {"do": "answer", "status": 503}

    "*" in place of the number means each time: "before:email#*"; with "only", each time that the
    call is about that.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") + "/"
        # Another folder in each workplace: what a call is about does not hang on it.
        self.scratch = ""
        self.here = _probe_folder()
        self.channel: Channel | None = None
        self.plan: dict[str, dict[str, Any]] = {}
        self.counts: dict[tuple[int, str], int] = {}  # by turn and name
        self.pid = 0  # of the delivery's own process
        # What was done at import and goes on: each delivery says it.
        self.early: list[dict[str, Any]] = []
        self.prefix = ""  # of the names of boundaries, where this process is not the handler's own
        self.raised = 0
        self.depths = [0, 0]  # > 0: inside the handler, by turn
        self.turn = FIRST  # whose turn it is
        self.waiting: dict[str, Any] | None = None  # a message that is to be delivered beside
        # How a driver delivers that one: in the running event loop, or in another thread.
        self.deliver_in_loop: Callable[[Any], Awaitable[None]] | None = None
        self.deliver_in_thread: Callable[[Any], None] | None = None
        # This process calls the application's own way to publish.
        self.is_caller = False
        self._own = threading.local()
        # Its `place` says whose work a library's own thread does; None: not the repository's.
        self.lent = threading.local()
        self.effect_depth = 0
        self.effect_inside = ""  # the name of the outermost, while there is one
        self.said = 0  # events of this delivery
        # What was said that is more than the handler's own boundaries.
        self.told = 0
        # A declared effect's real call waits in vain: it reaches nobody.
        self.hanging = False
        # Boundary -> what the receiver does whose call it is (see receiver.py).
        self.receivers: dict[str, dict[str, Any]] = {}
        self.is_own_server: Callable[[Any], bool] = lambda address: False
        self.finishes = False  # what the end of the process would run is run
        self.make_error: Callable[[dict[str, Any]], BaseException] = lambda order: RuntimeError(
            order["error"]
        )
        self.jump: Callable[[float], None] = lambda seconds: None
        # of a driver whose messages are rows: does a connection's transaction take some along? how
        # did it end, "commit" or "rollback", told before anything else can happen
        self.carries: Callable[[Any], bool] = lambda connection: False
        self.ended: Callable[[Any, str], None] = lambda connection, what: None
        # Around a declared effect that is passed through.
        self.before_passing: Callable[[], None] = lambda: None
        self.after_passing: Callable[[], None] = lambda: None
        self._lock = threading.RLock()

    @property
    def own_turn(self) -> int:
        """Which delivery the code at work belongs to: FIRST, or BESIDE."""
        return _OWN_TURN.get(self.turn)

    @property
    def depth(self) -> int:
        """> 0: inside the handler of the delivery at work."""
        return self.depths[self.own_turn]

    @depth.setter
    def depth(self, depth: int) -> None:
        self.depths[self.own_turn] = depth

    @property
    def quiet_depth(self) -> int:
        """> 0: this thread is inside a hook of ours, or in a framework's own work."""
        return int(getattr(self._own, "silent", 0))

    @property
    def log_depth(self) -> int:
        """How much of `quiet_depth` is that of log handlers: what those of the repository's own do
        is still its doing.
        """
        return int(getattr(self._own, "logging", 0))

    @property
    def is_own_act(self) -> bool:
        """As `is_own_doing`, also in a log handler: does what happens now count, where it reaches
        beyond the proof?
        """
        awake = self.channel is not None and self.quiet_depth == self.log_depth
        return awake and (self.depth > 0 or self.find_place() is not None)

    @property
    def is_delivery(self) -> bool:
        """Whether this process is a delivery."""
        return self.channel is not None

    @property
    def is_listening(self) -> bool:
        """Whether what happens now is the handler's own doing."""
        return self.channel is not None and self.quiet_depth == 0

    @property
    def is_own_doing(self) -> bool:
        """Whether it is the handler's doing, or that of the repository's code which the library
        called.
        """
        return self.is_listening and (self.depth > 0 or self.find_place() is not None)

    def begin_delivery(self, channel: Channel, plan: dict[str, dict[str, Any]]) -> None:
        """This process is a delivery from now on."""
        self.counts.clear()
        self.receivers.clear()
        self.depths, self.turn, self.waiting = [0, 0], FIRST, None
        _OWN_TURN.set(FIRST)
        self.said = 0
        self.pid, self.prefix, self.raised = os.getpid(), "", 0
        self.plan, self.channel = plan, channel
        for told in self.early:
            self.emit("undeclared", **told)

    def emit(self, event: str, **fields: Any) -> None:
        """Reports one event; nothing where this process is no delivery."""
        if self.channel is None:
            return
        with self._lock, self.quiet():
            self.told += event in ("undeclared", "published")
            if event == "end":  # whoever reads it counts as well
                fields["said"] = self.said
            elif self.own_turn == BESIDE:
                fields["beside"] = True
            self.said += 1
            try:
                self.channel.send({"e": event, **fields})
            except OSError:
                os._exit(UNHEARD)

    def knock(self) -> None:
        """Has skillrun read now what was reported; at the latest it does when this process has
        ended.
        """
        if self.channel is None:
            return
        with self._lock, self.quiet():
            try:
                self.channel.knock()
            except OSError:
                os._exit(UNHEARD)

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """What happens inside is not the handler's doing."""
        self._own.silent = self.quiet_depth + 1
        try:
            yield
        finally:
            self._own.silent -= 1

    @contextlib.contextmanager
    def inside_effect(self, name: str = "") -> Iterator[None]:
        """What happens inside is a declared effect's, which is called so."""
        if self.effect_depth == 0:
            self.effect_inside = name
            self.before_passing()
        self.effect_depth += 1
        try:
            yield
        finally:
            self.effect_depth -= 1
            if self.effect_depth == 0:
                self.after_passing()
                self.effect_inside = ""

    @contextlib.contextmanager
    def without_faults(self) -> Iterator[None]:
        """What happens inside is none of the handler's: no fault is planned there."""
        self.finishes = True
        try:
            yield
        finally:
            self.finishes = False

    @contextlib.contextmanager
    def quiet_log(self) -> Iterator[None]:
        """As `quiet`, around the handlers of a log record."""
        self._own.logging = self.log_depth + 1
        try:
            with self.quiet():
                yield
        finally:
            self._own.logging -= 1

    def without_scratch(self, text: str) -> str:
        """A text that an event tells, with the scratch by its name, as in a spec."""
        if not self.scratch:
            return text
        return text.replace(self.scratch, "{scratch}")

    def next_name(self, name: str) -> str:
        """`email` -> `email#1`, then `email#2`."""
        name = self.prefix + name
        with self._lock:
            counted = (self.own_turn, name)
            number = self.counts[counted] = self.counts.get(counted, 0) + 1
        return f"{name}#{number}"

    def meet_boundary(
        self,
        when: str,
        name: str,
        failure: Callable[[], BaseException] | None = None,
        drop: Callable[[], None] | None = None,
        abort: Callable[[], None] | None = None,
        **fields: Any,
    ) -> None:
        """Reports "before" or "after" `name`, and meets the fault that is planned there. May not
        return, may raise.

        `failure`: makes the error of a store, or of an HTTP service, that fails there. What that
        does to the store itself comes first: `drop` closes the connection from the other side
        ("drop"), `abort` ends the transaction there ("fail").
        """
        if self.channel is None:
            return
        at = f"{when}:{name}"
        if self.finishes:
            self.told += fields.get("kind") != "sql" or fields.get("verb") in _WRITING_VERBS
            return
        self.emit("at", when=when, name=name, **fields)
        if not self.plan or self.own_turn == BESIDE:
            return
        fault = self.plan.get(at) or self.plan.get(at.rpartition("#")[0] + "#*")
        if fault is not None and fault.get("only") in (
            None,
            fields.get("subject"),
            fields.get("key"),
        ):
            self._meet_fault(at, {**fault, "failure": failure, "drop": drop, "abort": abort})

    def _meet_fault(self, at: str, fault: dict[str, Any]) -> None:
        what = fault["do"]
        place = {"place": self.find_place()}
        if what == "kill":
            alone = self.is_alone()
            self.emit("fault", at=at, do="kill", alone=alone, **place)
            if alone:
                close_all(self.channel)
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "raise":
            self.raised += 1
            if self.raised > _MOST_ERRORS:
                self.emit("endless", at=at)
                os.kill(os.getpid(), signal.SIGKILL)
            error = self.make_error(fault)
            self.emit(
                "fault",
                at=at,
                do="raise",
                error=fault["error"],
                text=shorten_text(str(error)),
                unmade=is_unmade(error),
                **place,
            )
            mark_injected(error)
            raise error
        elif what in ("fail", "drop") and fault["failure"] is not None:
            end_there = fault["drop"] if what == "drop" else fault["abort"]
            if end_there is not None:
                end_there()
            broken: BaseException = fault["failure"]()
            said = f"{type(broken).__name__}: {broken}"
            status = getattr(getattr(broken, "response", None), "status_code", None)
            self.emit("fault", at=at, do=what, text=said, status=status, **place)
            raise broken
        elif what in _OF_RECEIVERS:
            status, reply = fault.get("status"), fault.get("reply")
            self.emit("fault", at=at, do=what, status=status, reply=reply, **place)
            self.receivers[at] = fault
        elif what == "beside":
            self.waiting = fault["message"]
        elif what == "jump":
            self.emit("fault", at=at, do="jump", s=fault["s"], **place)
            self.jump(float(fault["s"]))
        elif what == "pause":
            # No other thread says anything while this one stands still.
            with self._lock:
                self.emit("fault", at=at, do="pause", **place)
                self._wait_for_go(at)

    async def let_other_go_on(self, at: str) -> None:
        """Where another job is to be delivered in this event loop, lets it run to its end. It is
        called where the code at work would await something anyway.
        """
        message, self.waiting = self.waiting, None
        if message is not None and self.deliver_in_loop is not None:
            self.emit("fault", at=at, do="pause", place=self.find_place())
            await self.deliver_in_loop(message)

    def let_thread_go_on(self, at: str) -> None:
        """The same in a worker that has threads."""
        message, self.waiting = self.waiting, None
        if message is not None and self.deliver_in_thread is not None:
            self.emit("fault", at=at, do="pause", place=self.find_place())
            self.deliver_in_thread(message)

    def begin_beside(self) -> None:
        """What is at work from now on, in this context, is the other delivery."""
        _OWN_TURN.set(BESIDE)

    def _wait_for_go(self, at: str) -> None:
        self.knock()
        if self.channel is None:
            return
        with self._lock, self.quiet():
            order = self.channel.receive()
        if order is None:
            os._exit(UNHEARD)
        self.plan = order.get("plan", {})
        if order.get("clock") is not None:
            self.jump(float(order["clock"]))
        if order.get("then"):
            self._meet_fault(at, order["then"])

    def is_alone(self) -> bool:
        """Whether nothing more comes of this delivery once its process has closed its files: it is
        one thread, and has no children. False where that cannot be seen.
        """
        with self.quiet(), contextlib.suppress(OSError):
            return (
                os.getpid() == self.pid
                and not has_children()
                and len(os.listdir("/proc/self/task")) == 1
            )
        return False

    def find_place(self) -> list[Any] | None:
        """[path in the repository, line] of the innermost frame of the repository's own code; in a
        library's own thread of the line that waits for it.
        """
        frame = self.find_frame()
        if frame is None:
            return getattr(self.lent, "place", None)
        return [frame.f_code.co_filename[len(self.root) :], frame.f_lineno]

    def find_frame(self) -> FrameType | None:
        """The innermost frame of the repository's own code; None where there is none."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            path = frame.f_code.co_filename
            is_below = path.startswith(self.root) and "/site-packages/" not in path
            if is_below and not path.startswith(self.here):
                return frame
            frame = frame.f_back
        return None


def has_children() -> bool:
    """Whether this process has any, ended ones that nobody waited for among them."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def close_all(channel: Any) -> None:
    """What the kernel does at the end of a process, but for its memory: that takes longer, and
    nobody need wait.

    The channel comes last: at its end the next delivery begins, and no lock of this one may stand
    in its way.
    """
    files = [int(name) for name in os.listdir("/proc/self/fd")]
    for fd in sorted(files, key=lambda fd: fd == channel.fd):
        with contextlib.suppress(OSError):
            os.close(fd)


def _probe_folder() -> str:
    return os.path.dirname(os.path.abspath(__file__)) + "/"
