"""What a delivery leaves for later: the handler has returned, and something of the repository's own
code is still to come.

What can be run is run at the end of the process, and told only where it reaches beyond it: a
function that closes a connection is no effect. What cannot be run, such as a timer, is told.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import gc
import os
import signal
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from .audit import Audit
from .files import Door
from .recorder import Recorder
from .swap import replace_everywhere

Place = list[Any]

_real_monotonic, _real_sleep = time.monotonic, time.sleep
_PATIENCE_S = 1.0  # for threads that are about to end
_GLANCE_S = 0.002
_CALLED = "__call__"
_TURNS = 50  # of an event loop, for tasks that are about to end
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_TIMER_SIGNALS = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF)
_SUSPENDED = (types.GeneratorType, types.CoroutineType)


class Later:
    """Of one process: what the repository's code has started or registered and is not over."""

    def __init__(self, recorder: Recorder, audit: Audit) -> None:
        self.recorder, self.audit, self.frames = recorder, audit, audit.frames
        # With atexit, in this process.
        self.registered: list[Callable[[], Any]] = []
        self.known: set[int] = set()  # threads that a delivery begins with
        self.finalizers: set[Any] = set()  # the same of what waits for an object's end

    def install(self) -> None:
        """Once, before the repository is imported."""
        real_register, real_forget = atexit.register, atexit.unregister
        real_at_fork = os.register_at_fork

        def register(function: Any, *args: Any, **kwargs: Any) -> Any:
            if self.recorder.is_delivery and self.place_of(function) is not None:
                self.registered.append(functools.partial(function, *args, **kwargs))
            return real_register(function, *args, **kwargs)

        def unregister(function: Any) -> None:
            kept = []
            for one in self.registered:
                if getattr(one, "func", None) != function:
                    kept.append(one)
            self.registered[:] = kept
            real_forget(function)

        def register_at_fork(**functions: Any) -> None:
            watched = {name: self.watch_fork_hook(function) for name, function in functions.items()}
            real_at_fork(**watched)

        replace_everywhere(atexit, "register", Door(register))
        replace_everywhere(atexit, "unregister", Door(unregister))
        replace_everywhere(os, "register_at_fork", Door(register_at_fork))

    def watch_fork_hook(self, function: Any) -> Any:
        """What the repository's function does at the fork of a delivery is seen as well."""
        if self.place_of(function) is None:
            return function

        def call() -> Any:
            with self.audit.at_fork():
                return function()

        return call

    def begin_delivery(self) -> None:
        """At the beginning of a delivery."""
        self.registered.clear()
        self.known = set(sys._current_frames())
        self.finalizers = set(getattr(weakref.finalize, "_registry", ()))

    def end_delivery(self, *, is_last: bool) -> None:
        """Before a delivery's end is told. `is_last`: its process ends as well."""
        gc.collect()  # what that finalises does its work now
        self._tell_threads()
        made = self._find_made()
        self._tell_loops(made)
        self._tell_timers()
        if is_last:
            for what, function, place in list(self._at_the_end(made)):
                self._run_and_tell(what, function, place)

    def tell_later(self, what: str, place: Place | None) -> None:
        self.recorder.emit("undeclared", kind="later", detail=what, place=place)

    def place_of(self, function: Any) -> Place | None:
        """Where the repository has a function; None for what is not its own."""
        while isinstance(function, functools.partial):
            function = function.func
        function = getattr(function, "__func__", function)
        code = getattr(function, "__code__", None)
        if code is None:
            method = getattr(type(function), _CALLED, None)
            code = getattr(method, "__code__", None)
        return self._place_in(code)

    def _place_in(self, code: Any, line: int | None = None) -> Place | None:
        if code is None or not self.frames.is_ours(code.co_filename):
            return None
        return [code.co_filename[len(self.recorder.root) :], line or code.co_firstlineno]

    # -- what cannot be run

    def _tell_threads(self) -> None:
        deadline = _real_monotonic() + _PATIENCE_S
        while list(self._own_threads()) and _real_monotonic() < deadline:
            _real_sleep(_GLANCE_S)
        for what, place in list(self._own_threads()):
            self.tell_later(what, place)

    def _own_threads(self) -> Iterator[tuple[str, Place]]:
        """Threads that run the repository's code, or will."""
        for ident, frame in sys._current_frames().items():
            if ident in self.known or ident == threading.get_ident():
                continue
            place = self._innermost_place(frame)
            if place is not None:
                yield "a thread that still runs", place
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer) and thread.ident not in self.known:
                place = self.place_of(thread.function)
                if place is not None and not thread.finished.is_set():
                    yield f"a timer of {thread.interval:g} s", place

    def _innermost_place(self, frame: Any) -> Place | None:
        while frame is not None:
            place = self._place_in(frame.f_code, frame.f_lineno)
            if place is not None:
                return place
            frame = frame.f_back
        return None

    def _tell_loops(self, made: list[Any]) -> None:
        tasks = [one for one in made if isinstance(one, asyncio.Task)]
        self._turn_loops(tasks)
        for task in tasks:
            place = self._place_of_task(task)
            if place is not None:
                self.tell_later("a task that nobody waited for", place)
        for handle in made:
            if isinstance(handle, asyncio.TimerHandle) and self._is_to_come(handle):
                place = self.place_of(getattr(handle, "_callback", None))
                if place is not None:
                    self.tell_later("a call that an event loop is to make", place)

    def _turn_loops(self, tasks: list[asyncio.Task[Any]]) -> None:
        """A worker's loop goes on after a job: its tasks that are about to end do so."""
        for task in tasks:
            loop = task.get_loop()
            for _ in range(_TURNS):
                if self._place_of_task(task) is None or loop.is_running():
                    break
                with contextlib.suppress(Exception):
                    loop.run_until_complete(asyncio.sleep(0))

    def _place_of_task(self, task: asyncio.Task[Any]) -> Place | None:
        if task.done() or task.get_loop().is_closed():
            return None
        return self._place_in(getattr(task.get_coro(), "cr_code", None))

    def _is_to_come(self, handle: asyncio.TimerHandle) -> bool:
        loop = getattr(handle, "_loop", None)
        if loop is None or loop.is_closed() or handle.cancelled():
            return False
        return bool(getattr(handle, "_scheduled", False))

    def _tell_timers(self) -> None:
        for timer, number in zip(_TIMERS, _TIMER_SIGNALS, strict=True):
            if signal.getitimer(timer)[0] > 0:
                place = self.place_of(signal.getsignal(number))
                if place is not None:
                    self.tell_later(f"a timer of the system ({number.name})", place)

    # -- what is run

    def _find_made(self) -> list[Any]:
        """What this process has made and still holds, of the kinds that may do something later. The
        zygote's own objects are out of the collector's sight.
        """
        kinds: dict[type, bool] = {}
        found = []
        for one in gc.get_objects():
            kind = type(one)
            wanted = kinds.get(kind)
            if wanted is None:
                wanted = kinds[kind] = self._is_wanted(kind)
            if wanted:
                found.append(one)
        return found

    def _is_wanted(self, kind: type) -> bool:
        if issubclass(kind, (asyncio.Task, asyncio.TimerHandle, *_SUSPENDED)):
            return True
        return self.place_of(getattr(kind, "__del__", None)) is not None

    def _at_the_end(self, made: list[Any]) -> Iterator[tuple[str, Callable[[], Any], Place | None]]:
        """(what it is, the call, where it is) of all that the end of the process would run."""
        for registered in reversed(self.registered):
            yield "a function of atexit", registered, self.place_of(registered)
        registry = getattr(weakref.finalize, "_registry", {})
        for finalizer in [one for one in registry if one not in self.finalizers]:
            alive = finalizer.peek()
            if alive is not None and self.place_of(alive[1]) is not None:
                yield "a finalizer", finalizer, self.place_of(alive[1])
        for one in made:
            if isinstance(one, _SUSPENDED):
                place = self._place_in(getattr(one, "gi_code", getattr(one, "cr_code", None)))
                if place is not None and _is_suspended(one):
                    yield "what comes when a generator is closed", one.close, place
            elif not isinstance(one, (asyncio.Task, asyncio.TimerHandle)):
                method = type(one).__del__
                yield "a __del__", functools.partial(method, one), self.place_of(method)

    def _run_and_tell(self, what: str, function: Callable[[], Any], place: Place | None) -> None:
        """Calls it, and tells it where it does anything that a proof is about."""
        recorder, files = self.recorder, self.audit.files
        before = (recorder.told, len(files.left), len(files.locks))
        with recorder.without_faults(), contextlib.suppress(BaseException):
            function()
        if before != (recorder.told, len(files.left), len(files.locks)):
            self.tell_later(f"{what} that does something", place)


def _is_suspended(one: Any) -> bool:
    """Whether a generator or coroutine has begun and waits."""
    for letters in ("gi", "cr"):
        if hasattr(one, f"{letters}_frame"):
            frame, runs = getattr(one, f"{letters}_frame"), getattr(one, f"{letters}_running")
            return frame is not None and not runs and frame.f_lasti >= 0
    return False
