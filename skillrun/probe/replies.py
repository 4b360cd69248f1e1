"""Answers of a receiver that a status alone does not tell, by their names: a body that is cut off,
a date to come back at, a name that nobody has, what a mail server says to one step of a letter.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from email.utils import formatdate

LATER_S = 120
_ELSEWHERE = "http://elsewhere.invalid/login"


def _end_early() -> str:
    return "200 OK\r\nContent-Length: 4096\r\n\r\n" + '{"id": "'


def _end_chunk_early() -> str:
    return "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + '{"id": "'


def _garble_body() -> str:
    body = "not what gzip makes"
    return f"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def _say_date() -> str:
    until = formatdate(time.time() + LATER_S, usegmt=True)
    return f"429 Too Many Requests\r\nRetry-After: {until}\r\nContent-Length: 0\r\n\r\n"


def _say_seconds() -> str:
    return f"429 Too Many Requests\r\nRetry-After: {LATER_S}\r\nContent-Length: 0\r\n\r\n"


def _show_page() -> str:
    body = "<html><body>502 Bad Gateway</body></html>"
    head = f"502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}"


def _send_elsewhere(status: str) -> Callable[[], str]:
    def write_redirect() -> str:
        return f"{status}\r\nLocation: {_ELSEWHERE}\r\nContent-Length: 0\r\n\r\n"

    return write_redirect


_OF_HTTP: dict[str, Callable[[], str]] = {
    "cut-body": _end_early,
    "cut-chunk": _end_chunk_early,
    "garbled-body": _garble_body,
    "later-date": _say_date,
    "later-seconds": _say_seconds,
    "error-page": _show_page,
    "moved-302": _send_elsewhere("302 Found"),
    "moved-303": _send_elsewhere("303 See Other"),
}
# Who follows comes to somebody who answers, and has asked for nothing there.
_FOLLOWED = ("moved-302", "moved-303")
_WELCOME = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
# RFC 5321, 4.3.2: what may be said to each step. A letter to one address has these.
_STEPS = ("greeting", "ehlo", "mail", "rcpt", "data", "letter")
_TAKEN = ("220 x", "250 x", "250 ok", "250 ok", "354 go on", "250 ok")
_OF_MAIL = {
    "greeting-421": "421 4.3.2 try again later",
    "mail-451": "451 4.3.0 try again later",
    "mail-550": "550 5.7.1 this sender is refused",
    "rcpt-450": "450 4.2.0 greylisted, try again later",
    "rcpt-452": "452 4.2.2 the mailbox is full",
    "rcpt-550": "550 5.1.1 there is no such mailbox",
    "rcpt-552": "552 5.2.2 the mailbox is over its quota",
    "letter-452": "452 4.3.1 not enough storage now",
    "letter-554": "554 5.7.1 the letter is refused",
}
# As a client's own machine has them: no receiver has said anything.
_OF_NETWORK: dict[str, Callable[[], OSError]] = {
    "no-such-host": lambda: socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    "no-resolver": lambda: socket.gaierror(
        socket.EAI_AGAIN, "Temporary failure in name resolution"
    ),
    "no-route": lambda: OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH)),
}
REPLIES = (*_OF_HTTP, *_OF_MAIL, *_OF_NETWORK)


def write_http(name: str, *, is_first: bool = True) -> bytes | None:
    """The response of that name; None where HTTP has none. `is_first`: to the first request."""
    write = _OF_HTTP.get(name)
    if name in _FOLLOWED and not is_first:
        return _WELCOME.encode()
    if write is None:
        return None
    status, _, rest = write().partition("\r\n")
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n{rest}".encode()


def write_mail(name: str) -> bytes | None:
    """All that a mail server says, a step after the other; None where mail has no such answer."""
    said = _OF_MAIL.get(name)
    if said is None:
        return None
    step = _STEPS.index(name.partition("-")[0])
    # Who was refused takes the letter back and leaves.
    lines = (*_TAKEN[:step], said, "250 ok", "221 bye")
    return "".join(f"{line}\r\n" for line in lines).encode()


def make_network_error(name: str) -> OSError | None:
    """What a client meets before it is connected; None where it is connected."""
    make = _OF_NETWORK.get(name)
    if make is None:
        return None
    return make()


def fails_look_up(name: str) -> bool:
    """Whether the receiver's name is not found, as against its address."""
    return isinstance(make_network_error(name), socket.gaierror)
