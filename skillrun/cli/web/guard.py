"""Lets through only what a browser on this machine asks of the server by its own name, and only
questions.

A page of another site can make its name point at 127.0.0.1 and then read what is served here ("DNS
rebinding"); the `Host` header still carries that site's name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HOSTS = ("127.0.0.1", "localhost")
_METHODS = ("GET", "HEAD")
# Datasette's pages hold their own scripts and styles; nothing may be loaded from, or sent to,
# anywhere else.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def guard_app(app: App, port: int) -> App:
    """The application behind the guard; 400 for another host, 405 for anything that is no
    question.
    """
    known = {*HOSTS, *(f"{host}:{port}" for host in HOSTS)}

    async def answer_allowed(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        hosts = _hosts_asked_for(scope)
        # Whoever sends no such header is no browser, and none of ours either.
        if not hosts or not hosts <= known:
            return await _send_refusal(
                send, 400, f"This server answers only to http://127.0.0.1:{port}/"
            )
        if scope["method"] not in _METHODS:
            return await _send_refusal(send, 405, "A ledger is only read here")
        return await app(scope, receive, _with_headers(send))

    return answer_allowed


def _hosts_asked_for(scope: Message) -> set[str]:
    hosts = []
    for name, value in scope["headers"]:
        if name == b"host":
            hosts.append(value)
    return {host.decode("latin-1").lower() for host in hosts}


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
        await send(message)

    return send_with_headers


async def _send_refusal(send: Send, status: int, why: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})
