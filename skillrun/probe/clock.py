"""Virtual time: this process's clock stands at an offset from the machine's, and sleeping moves it
instead of waiting.

`time` is patched by name and in every module that holds its functions; `datetime` by its types' own
dictionaries, so that `from datetime import datetime` sees it too; SQLite's own clock by its
functions (see sql.py). The clocks of database servers stay as they are.
"""

from __future__ import annotations

import asyncio
import ctypes
import datetime
import functools
import gc
import random
import threading
import time
import types
from collections.abc import Callable
from typing import Any

from .recorder import Recorder
from .swap import replace_everywhere, swap_code

_real_time = time.time
_real_time_ns = time.time_ns
_real_monotonic = time.monotonic
_real_sleep = time.sleep
_TURNS = (
    5  # of an event loop: a timeout that ends within a sleep cancels the task before it goes on
)
# Of one thread: a heartbeat beside the handler sleeps as fast as it can, and the handler's own
# sleeps are not counted with it. A thread that has slept so often waits for what does not come: it
# really sleeps from then on, and is ended as one that hangs, and not for all that it says
# meanwhile. A poll each 10 ms for five minutes sleeps 30,000 times.
_MOST_SLEEPS = 40_000


class Clock:
    """`offset` is in seconds."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.offset = 0.0
        self.jitter = Jitter()
        self.ns = 0
        self._own = threading.local()  # `sleeps`: how often this thread has slept
        recorder.jump = self.jump

    def jump(self, seconds: float) -> None:
        """Moves the clock on."""
        self.set_offset(self.offset + seconds)

    def set_offset(self, offset: float) -> None:
        """Seconds between the machine's clock and this one."""
        self.offset, self.ns = offset, int(offset * 1e9)

    def install_early(self) -> None:
        """Before the repository is imported: `default=datetime.utcnow` keeps the method that is
        there then.
        """
        self._patch_datetime()

    def install(self) -> None:
        """Once, in the zygote, after the repository's modules were imported."""
        for name, hook in self._time_functions().items():
            replace_everywhere(time, name, hook)
        self._patch_asyncio()
        self.jitter.install()

    def time(self) -> float:
        """As time.time."""
        return _real_time() + self.offset

    def sleep(self, seconds: float) -> None:
        """Moves the clock in a delivery; really waits in the zygote, and in a thread that has slept
        too often.
        """
        if not self.recorder.is_delivery:
            _real_sleep(seconds)
            return
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self._has_slept_enough():
            _real_sleep(seconds)
            return
        self._pass(seconds)

    def _has_slept_enough(self) -> bool:
        """Counts one sleep more of this thread, and says whether it is one too many."""
        self._own.sleeps = getattr(self._own, "sleeps", 0) + 1
        return bool(self._own.sleeps > _MOST_SLEEPS)

    def _pass(self, seconds: float) -> None:
        """Moves the clock on by a sleep that the handler is told to have slept."""
        if self.recorder.is_listening:
            self.recorder.emit("slept", s=seconds, place=self.recorder.find_place())
        self.jump(seconds)

    def _time_functions(self) -> dict[str, Callable[..., Any]]:
        real = {
            name: getattr(time, name)
            for name in ("localtime", "gmtime", "ctime", "strftime", "asctime")
        }

        def at(name: str) -> Callable[..., Any]:
            return lambda seconds=None: real[name](self.time() if seconds is None else seconds)

        return {
            "time": self.time,
            "time_ns": lambda: _real_time_ns() + self.ns,
            "monotonic": lambda: _real_monotonic() + self.offset,
            "sleep": self.sleep,
            "localtime": at("localtime"),
            "gmtime": at("gmtime"),
            "ctime": at("ctime"),
            "strftime": lambda form, when=None: real["strftime"](
                form, when or real["localtime"](self.time())
            ),
            "asctime": lambda when=None: real["asctime"](when or real["localtime"](self.time())),
        }

    def _patch_datetime(self) -> None:
        kind = datetime.datetime

        def now(cls: Any, tz: Any = None) -> Any:
            return cls.fromtimestamp(self.time(), tz)

        def utcnow(cls: Any) -> Any:
            return cls.fromtimestamp(self.time(), datetime.timezone.utc).replace(tzinfo=None)

        def today(cls: Any) -> Any:
            return cls.fromtimestamp(self.time())

        _set_in_type(kind, "now", classmethod(now))
        _set_in_type(kind, "utcnow", classmethod(utcnow))
        _set_in_type(kind, "today", classmethod(today))
        _set_in_type(datetime.date, "today", classmethod(today))

    def _patch_asyncio(self) -> None:
        real = asyncio.sleep
        if not isinstance(real, types.FunctionType):
            return

        async def sleep(delay: float, result: Any = None) -> Any:
            # The event loop, and the handler in it, go on beside a task that sleeps without an end.
            is_virtual = self.recorder.is_listening and delay > 0
            if is_virtual and not self._has_slept_enough():
                self._pass(delay)
                for _ in range(_TURNS):
                    await before(0)
                return result
            return await before(delay, result)

        before = swap_code(real, sleep)


def _set_in_type(kind: type, name: str, value: Any) -> None:
    """Sets a member of a built-in type: its `__dict__` is a read-only view of a real dictionary."""
    held = gc.get_referents(kind.__dict__)[0]
    held[name] = value
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


class Jitter:
    """Random waits as they come, or at their longest or shortest, so that a backoff can be
    measured.
    """

    def __init__(self) -> None:
        self.highest: bool | None = None  # None: as they come

    def install(self) -> None:
        """Once, before the forks: to look into every module takes longer than a delivery."""
        for name, fixed in (
            ("uniform", self._pick_bound),
            ("randint", self._pick_bound),
            ("randrange", self._pick_from_range),
        ):
            replace_everywhere(random, name, self._unless_free(getattr(random, name), fixed))
        replace_everywhere(random, "random", self._unless_free(random.random, self._pick_fraction))

    def _unless_free(
        self, real: Callable[..., Any], fixed: Callable[..., Any]
    ) -> Callable[..., Any]:
        @functools.wraps(real)
        def drawn(*args: Any, **kwargs: Any) -> Any:
            return (real if self.highest is None else fixed)(*args, **kwargs)

        return drawn

    def _pick_bound(self, a: Any, b: Any) -> Any:
        if self.highest:
            return max(a, b)
        return min(a, b)

    def _pick_from_range(self, start: int, stop: Any = None, step: int = 1) -> int:
        if stop is None:
            first, end = (0, start)
        else:
            first, end = (start, stop)
        if self.highest:
            return end - 1
        return first

    def _pick_fraction(self) -> float:
        if self.highest:
            return 1.0 - 1e-9
        return 0.0
