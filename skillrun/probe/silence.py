"""A receiver that never answers: the real call of a declared effect runs, and whatever it connects
to stands still.

Nothing is sent. Who waits with a time-out has it at once, in virtual time; who waits for ever is
told, and its process ends, as a person would end it some day.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import Any

from .recorder import Recorder

_NOWHERE = "192.0.2.1"  # RFC 5737: nobody has this address
# Turns of an event loop, in which a time-out that is due cancels who waits.
_TURNS = 5
_MOST_TIMERS = 50  # of a loop that keeps time for others, too
_OPEN = (
    (socket.socket, "connect"),
    (socket, "getaddrinfo"),
    (asyncio.BaseEventLoop, "create_connection"),
)


class Silence:
    """Around one real call. The proof's own servers do answer."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self.recorder, self.name = recorder, name
        self.has_ended = False  # a time-out ended a wait
        self._real: list[Any] = []

    def __enter__(self) -> Silence:
        self._real = [getattr(owner, name) for owner, name in _OPEN]
        for (owner, name), hook in zip(_OPEN, (self._connect(), self._look_up(), self._open())):
            setattr(owner, name, hook)
        self.recorder.hanging = True
        return self

    def __exit__(self, *_: Any) -> None:
        self.recorder.hanging = False
        for (owner, name), real in zip(_OPEN, self._real):
            setattr(owner, name, real)

    def is_cause_of(self, error: BaseException) -> bool:
        """Whether an error of the call comes from a time-out. Any other one says that the real call
        cannot be made here.
        """
        seen: BaseException | None = error
        while self.has_ended and seen is not None:
            if isinstance(seen, TimeoutError) or "timeout" in type(seen).__name__.lower():
                return True
            seen = seen.__cause__ or seen.__context__
        return False

    def _connect(self) -> Any:
        real = self._real[0]

        def connect(sock: Any, address: Any) -> Any:
            is_elsewhere = sock.family in (socket.AF_INET, socket.AF_INET6)
            if not is_elsewhere or self.recorder.is_own_server(address):
                return real(sock, address)
            longest = sock.gettimeout()
            if longest is None:
                self._wait_for_ever()
            self._wait(float(longest))
            raise socket.timeout("timed out")

        return connect

    def _look_up(self) -> Any:
        real = self._real[1]

        def look_up(host: Any, port: Any, *args: Any, **more: Any) -> Any:
            if self.recorder.is_own_server((str(host), port)):
                return real(host, port, *args, **more)
            number = port if isinstance(port, int) else 0
            where = (_NOWHERE, number)
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)]

        return look_up

    def _open(self) -> Any:
        """For clients that await: their time-outs are timers of the loop."""
        real = self._real[2]

        async def create_connection(
            loop: Any, factory: Any, host: Any = None, port: Any = None, **more: Any
        ) -> Any:
            if host is None or self.recorder.is_own_server((str(host), port)):
                return await real(loop, factory, host, port, **more)
            for _ in range(_MOST_TIMERS):
                due = _find_next_timer(loop)
                if due is None:
                    break
                self._wait(max(due - loop.time(), 0.0))
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
            return self._wait_for_ever()

        return create_connection

    def _wait(self, seconds: float) -> None:
        self.has_ended = True
        self.recorder.jump(seconds)

    def _wait_for_ever(self) -> None:
        self.recorder.emit("stuck", name=self.name, place=self.recorder.place())
        os.kill(os.getpid(), signal.SIGKILL)


def _find_next_timer(loop: Any) -> float | None:
    """When the next timer of an event loop is due; None where there is none, or none can be
    seen.
    """
    timers = [handle for handle in getattr(loop, "_scheduled", ()) if not handle.cancelled()]
    return min((timer.when() for timer in timers), default=None)
