"""What the real call of an effect has sent, as named parts: of HTTP and of mail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

from skillrun.core.opening import parse_json

Parts = dict[str, object]
"""Where something stands ("body.amount", "header idempotency-key", "to") -> what stands there."""

_DATA = re.compile(r"\r\nDATA\r\n", re.IGNORECASE)
# Each client, each version of one and each machine says these otherwise.
_OF_CLIENT = {
    *("user-agent", "content-length", "accept", "accept-encoding", "connection", "date"),
    *("accept-language", "content-transfer-encoding", "mime-version", "content-type"),
    *("transfer-encoding", "authorization", "cookie", "traceparent", "tracestate"),
}


def read_parts(sent: str) -> Parts:
    """The parts of one connection's bytes; empty where nothing was sent."""
    head, _, body = sent.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    words = first.split(" ")
    if len(words) == 3 and words[2].startswith("HTTP/"):
        parts: Parts = {"method": words[0], "path": words[1]}
        return parts | dict(_read_headers(lines)) | dict(_read_body(body))
    if first.upper().startswith(("EHLO", "HELO")):
        return dict(_read_mail(sent))
    return {"text": sent} if sent else {}


def _read_headers(lines: list[str]) -> Iterator[tuple[str, object]]:
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() not in _OF_CLIENT:
            yield f"header {name.lower()}", value.strip()


def _read_body(body: str) -> Iterator[tuple[str, object]]:
    text = body.encode("latin-1").decode("utf-8", "replace")
    try:
        value = parse_json(text)
    except ValueError:
        pairs = parse_qsl(text, keep_blank_values=True)
        if pairs and "\n" not in text:
            for name, given in pairs:
                yield f"body.{name}", given
        elif text:
            yield "body", text
        return
    yield from _flatten("body", value)


def _flatten(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flatten(f"{name}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _flatten(f"{name}.{number}", inner)
    else:
        yield name, value


def _read_mail(sent: str) -> Iterator[tuple[str, object]]:
    """The envelope, and the letter's own headers and text."""
    # smtplib says its commands in lower case.
    commands, *rest = _DATA.split(sent, maxsplit=1)
    letter = "".join(rest)
    receivers = []
    for line in commands.split("\r\n"):
        if line.upper().startswith("RCPT TO:"):
            receivers.append(line[8:].strip())
        elif line.upper().startswith("MAIL FROM:"):
            yield "from", line[10:].partition(">")[0].strip(" <")
    yield "to", ", ".join(sorted(receivers))
    head, _, text = letter.partition("\r\n\r\n")
    yield from _read_headers(head.split("\r\n"))
    if text:
        yield "body", text


def read_number(value: object) -> float | None:
    """What a part says as a number; of a truth none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
