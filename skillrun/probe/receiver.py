"""What a receiver may do to the real call of a declared effect: it is never reached, it takes the
call and never answers, it is not there, it hangs up, or it says that it is out of service.

Nothing is sent. Who waits with a time-out has it at once, in virtual time; who waits for ever is
told, and its process ends, as a person would end it some day.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from typing import Any

from .recorder import Recorder
from .replies import fails_look_up, make_network_error, write_http, write_mail

HANG, SILENT, REFUSE, HANG_UP, ANSWER = "hang", "silent", "refuse", "hang-up", "answer"
WAYS = (HANG, SILENT, REFUSE, HANG_UP, ANSWER)
"""The last one with a status of HTTP, for which a mail server says its own word, or with a name of
`replies.py`.
"""
NEVER_ANSWERS = (HANG, SILENT)
"""Whose caller waits: a time-out for connecting ends the first wait, one for reading the second."""

_NOWHERE = "192.0.2.1"  # RFC 5737: nobody has this address
# Turns of an event loop, in which a time-out that is due cancels who waits.
_TURNS = 5
_MOST_TIMERS = 50  # of a loop that keeps time for others, too
_MAIL_PORTS = (25, 465, 587, 2525)
_OUT_OF_SERVICE = b"421 4.3.2 Service not available\r\n"  # RFC 5321, 3.8
_ANSWER = "HTTP/1.1 {status} Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
# To the greeting, EHLO, MAIL, RCPT, DATA, the letter's end and QUIT: a letter to one address.
_TAKEN = b"220 x\r\n250 x\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 ok\r\n221 bye\r\n"
# The same, refused for now once the letter was said: a greeting of 421 lets nobody say one.
_REFUSED = _TAKEN.replace(b"354 go on\r\n250 ok", b"354 go on\r\n451 later")
_FAILING = 400
# Of what a call has sent; a file that is uploaded is not kept.
_MOST_HEARD = 20_000
# What is said of a connection, and none of a socket between two ends of one process.
_OF_LOOP = ("ssl", "server_hostname", "ssl_handshake_timeout", "ssl_shutdown_timeout")
_OF_ADDRESS = (
    *("family", "proto", "flags", "local_addr", "happy_eyeballs_delay", "interleave"),
    "all_errors",
)


class Receiver:
    """Around one real call. The proof's own servers do answer."""

    def __init__(
        self, recorder: Recorder, name: str, way: str, status: int = 0, reply: str = ""
    ) -> None:
        self.recorder, self.name, self.way, self.status = recorder, name, way, status
        self.reply = reply  # the name of an answer; then there is no status
        self.was_reached = False  # the call has come as far as a receiver
        self.has_ended = False  # a time-out ended a wait
        self.is_heard = False  # somebody asks what was sent
        self.heard: list[str] = []  # what the call has sent, a connection at a time
        self._waits: asyncio.Task[None] | None = None  # lets time pass for who awaits an answer
        self._real: list[tuple[Any, str, Any]] = []
        self._ends: dict[
            int, socket.socket
        ] = {}  # file descriptor of the caller's -> the other end
        self._others: list[socket.socket] = []  # all of these, in order

    def __enter__(self) -> Receiver:
        self._replace_for_now(socket.socket, "connect", self._make_connect())
        self._replace_for_now(socket, "getaddrinfo", self._look_up())
        self._replace_for_now(asyncio.BaseEventLoop, "create_connection", self._make_open())
        self._replace_for_now(socket.socket, "setsockopt", self._set_option())
        # Who has not imported it does not speak TLS.
        tls = sys.modules.get("ssl")
        if tls is not None and self.way != HANG:
            self._replace_for_now(tls.SSLContext, "wrap_socket", self._speak_plainly())
            self._replace_for_now(tls.SSLContext, "wrap_bio", self._give_up())
        if self.way == SILENT:
            for name in ("recv", "recv_into"):
                self._replace_for_now(socket.socket, name, self._make_receive(name))
        self.recorder.hanging = True
        return self

    def __exit__(self, *_: Any) -> None:
        self.recorder.hanging = False
        for owner, name, real in reversed(self._real):
            setattr(owner, name, real)
        if self._waits is not None:
            self._waits.cancel()
        for end in self._others:
            self.heard.append(_read_all(end))
            end.close()

    def _replace_for_now(self, owner: Any, name: str, hook: Any) -> None:
        self._real.append((owner, name, getattr(owner, name)))
        setattr(owner, name, hook)

    def is_cause_of(self, error: BaseException) -> bool:
        """Whether an error of the call comes from what its receiver did. Any other one says that
        the real call cannot be made here.
        """
        if self.way not in NEVER_ANSWERS:
            return self.was_reached
        seen: BaseException | None = error
        while self.has_ended and seen is not None:
            if isinstance(seen, TimeoutError) or "timeout" in type(seen).__name__.lower():
                return True
            seen = seen.__cause__ or seen.__context__
        return False

    # -- what a client does

    def _make_connect(self) -> Any:
        real = socket.socket.connect

        def connect(sock: Any, address: Any) -> Any:
            is_elsewhere = sock.family in (socket.AF_INET, socket.AF_INET6)
            if not is_elsewhere or self.recorder.is_own_server(address):
                return real(sock, address)
            if self.way != HANG:
                self._join_pair(sock, int(address[1]))
                return None
            self.was_reached = True
            longest = sock.gettimeout()
            if longest is None:
                self._wait_for_ever()
            self._let_time_pass(float(longest))
            raise socket.timeout("timed out")

        return connect

    def _look_up(self) -> Any:
        real = socket.getaddrinfo

        def look_up(host: Any, port: Any, *args: Any, **more: Any) -> Any:
            if self.recorder.is_own_server((str(host), port)):
                return real(host, port, *args, **more)
            if fails_look_up(self.reply):
                self._fail_to_connect()
            number = 0
            if isinstance(port, int):
                number = port
            where = (_NOWHERE, number)
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)]

        return look_up

    def _make_open(self) -> Any:
        """For clients that await: their time-outs are timers of the loop."""
        real = asyncio.BaseEventLoop.create_connection

        async def create_connection(
            loop: Any, factory: Any, host: Any = None, port: Any = None, **more: Any
        ) -> Any:
            mine: Any = more.get("sock")
            is_joined = mine is not None and mine.fileno() in self._ends
            is_elsewhere = host is not None and not self.recorder.is_own_server((str(host), port))
            if not is_joined and not is_elsewhere:
                return await real(loop, factory, host, port, **more)
            if is_joined or self.way != HANG:
                # Some clients connect a socket of their own before they hand it over.
                if not is_joined:
                    # Raises where nobody is there, or the receiver's name is not found.
                    mine = self._make_pair(int(port or 0))
                    mine.setblocking(False)
                return await self._speak_over(real, loop, factory, mine, more)
            self.was_reached = True
            return await self._let_timers_pass(loop)

        return create_connection

    async def _speak_over(
        self, real: Any, loop: Any, factory: Any, mine: socket.socket, more: dict[str, Any]
    ) -> Any:
        """A connection over one end of a pair, in plain text."""
        left = {}
        for name, value in more.items():
            if name not in ("sock", *_OF_LOOP, *_OF_ADDRESS):
                left[name] = value
        made = await real(loop, factory, sock=mine, **left)
        if self.way == SILENT:
            self._waits = loop.create_task(self._let_timers_pass(loop))
        return made

    async def _let_timers_pass(self, loop: Any) -> None:
        """Each timer of the loop is due in its turn; where none of them ends the wait, it never
        ends.
        """
        for _ in range(_MOST_TIMERS):
            # Whoever has just connected first says what it wants, and sets its time-out.
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            due = _find_next_timer(loop)
            if due is None:
                break
            self._let_time_pass(max(due - loop.time(), 0.0))
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        self._wait_for_ever()

    def _make_receive(self, name: str) -> Any:
        """For clients that read: nothing ever comes."""
        real = getattr(socket.socket, name)

        def receive(sock: Any, *args: Any) -> Any:
            if sock.fileno() not in self._ends:
                return real(sock, *args)
            longest = sock.gettimeout()
            if longest is None:
                self._wait_for_ever()
            if longest == 0:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            self._let_time_pass(float(longest))
            raise socket.timeout("timed out")

        return receive

    def _set_option(self) -> Any:
        """What is said of TCP is said in vain to a socket that is none."""
        real: Any = socket.socket.setsockopt

        def set_option(sock: Any, level: int, *args: Any) -> Any:
            if sock.fileno() in self._ends and level == socket.IPPROTO_TCP:
                return None
            return real(sock, level, *args)

        return set_option

    # -- a receiver that is there, and does no good

    def _join_pair(self, sock: Any, port: int) -> None:
        """The socket becomes one end of a pair, whose other end has said all that it will say."""
        mine = self._make_pair(port)
        longest = sock.gettimeout()
        mine.settimeout(longest)
        # The other end stays open: what is sent has arrived.
        self._ends[sock.fileno()] = self._ends.pop(mine.fileno())
        os.dup2(mine.fileno(), sock.fileno())
        mine.close()

    def _make_pair(self, port: int) -> socket.socket:
        """Raises ConnectionRefusedError where nobody is there."""
        self._fail_to_connect()
        said = b""
        if self.way == ANSWER:
            said = self._make_answer(is_mail=port in _MAIL_PORTS)
        mine, theirs = socket.socketpair()
        theirs.sendall(said)
        if self.way != SILENT:
            theirs.shutdown(socket.SHUT_WR)
        self._ends[mine.fileno()] = theirs
        self._others.append(theirs)
        return mine

    def _fail_to_connect(self) -> None:
        """Raises what stands in the way of a connection, if anything does."""
        self.was_reached = True
        error = make_network_error(self.reply)
        if error is not None:
            raise error
        if self.way == REFUSE:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    def _make_answer(self, *, is_mail: bool) -> bytes:
        if self.reply:
            return self._write_reply(is_mail=is_mail)
        if is_mail:
            if self.status < _FAILING:
                return _TAKEN
            return _REFUSED if self.is_heard else _OUT_OF_SERVICE
        return _ANSWER.format(status=self.status).encode()

    def _write_reply(self, *, is_mail: bool) -> bytes:
        """The named answer. Raises where a receiver of this kind has none: the call
        is none then.
        """
        if is_mail:
            said = write_mail(self.reply)
        else:
            said = write_http(self.reply, is_first=not self._others)
        if said is None:
            self.was_reached = False
            raise ConnectionAbortedError(errno.ECONNABORTED, "no such answer of this receiver")
        return said

    def _speak_plainly(self) -> Any:
        """TLS with somebody who is not there: the answer is what counts."""
        real = sys.modules["ssl"].SSLContext.wrap_socket

        def wrap_socket(context: Any, sock: Any, *args: Any, **more: Any) -> Any:
            number = sock.fileno()
            if number not in self._ends:
                return real(context, sock, *args, **more)
            longest = sock.gettimeout()
            made = _Plain(fileno=sock.detach())
            made.settimeout(longest)
            made.context = context
            return made

        return wrap_socket

    def _give_up(self) -> Any:
        """TLS over a client's own buffers is not spoken here: such a call says nothing."""

        def wrap_bio(*_: Any, **__: Any) -> Any:
            self.was_reached = False
            raise ConnectionAbortedError(errno.ECONNABORTED, "no TLS in a proof")

        return wrap_bio

    # -- waiting

    def _let_time_pass(self, seconds: float) -> None:
        self.has_ended = True
        self.recorder.jump(seconds)

    def _wait_for_ever(self) -> None:
        self.recorder.emit("stuck", name=self.name, place=self.recorder.find_place())
        os.kill(os.getpid(), signal.SIGKILL)


class _Plain(socket.socket):
    """A socket that answers what is asked of a connection with TLS."""

    context: Any = None

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)

    def getpeercert(self, binary_form: bool = False) -> Any:
        if binary_form:
            return b""
        return {}

    def selected_alpn_protocol(self) -> None:
        return None

    def do_handshake(self) -> None:
        return None


def _read_all(end: socket.socket) -> str:
    """What has arrived at an end."""
    end.setblocking(False)
    found = b""
    while len(found) < _MOST_HEARD:
        try:
            more = end.recv(_MOST_HEARD)
        except OSError:
            break
        if not more:
            break
        found += more
    return found[:_MOST_HEARD].decode("latin-1")


def _find_next_timer(loop: Any) -> float | None:
    """When the next timer of an event loop is due; None where there is none, or none can be
    seen.
    """
    timers = []
    for handle in getattr(loop, "_scheduled", ()):
        if not handle.cancelled():
            timers.append(handle)
    return min((timer.when() for timer in timers), default=None)
