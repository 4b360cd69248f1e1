"""Sends spans to an OpenTelemetry collector: OTLP/HTTP with JSON, in batches, with bounded
retries.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib import error, parse, request

from skillrun.core.errors import Blocked, Misuse, Refused
from skillrun.core.text import safe_json, visible
from skillrun.ledger.exports.otlp import resource_spans
from skillrun.ledger.exports.source import Source

BATCH = 500  # spans
TRIES = 5
# The first wait, the longest one, and how long one answer may take.
_FIRST_S, _MOST_S, _TIMEOUT_S = 0.2, 10.0, 10.0
# The answers after which OTLP/HTTP allows another try:
# https://opentelemetry.io/docs/specs/otlp/#failures-1
_AGAIN = (429, 502, 503, 504)
# Bytes of an answer that are read.
_ANSWER = 100_000


@dataclass(frozen=True)
class Sent:
    """What a collector took. `why`: its words on what it rejected."""

    spans: int
    rejected: int
    why: str


def send_spans(source: Source, url: str) -> Sent:
    """Sends the spans of the chosen runs. A second time sends the same spans: their ids do not
    change.

    Raises Misuse for no address, Blocked where nobody answers or the collector is too busy, Refused
    where it says no.
    """
    address = traces_url(url)
    spans = rejected = 0
    why = ""
    for batch in _split_into_batches(source):
        answer = _post_with_retries(address, batch, spans)
        number = _count_spans(batch)
        said = answer.get("partialSuccess") or {}
        lost = _parse_number(said.get("rejectedSpans"))
        spans, rejected = spans + number - lost, rejected + lost
        why = why or visible(str(said.get("errorMessage") or ""), limit=300)
    return Sent(spans, rejected, why)


def traces_url(url: str) -> str:
    """The address for traces: `/v1/traces` is added to a collector's own. Raises Misuse for what is
    no HTTP address.
    """
    parts = parse.urlsplit(url)
    try:
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no number for a port
        good = False
    if not good or parts.username or parts.query or parts.fragment:
        hint = "for example http://127.0.0.1:4318; headers come from OTEL_EXPORTER_OTLP_HEADERS"
        raise Misuse(f"--to {visible(url, limit=200)}: not the address of a collector", hint=hint)
    path = parts.path.rstrip("/")
    if not path.endswith("/v1/traces"):
        path = f"{path}/v1/traces"
    return parts._replace(path=path).geturl()


def _split_into_batches(source: Source) -> Iterator[dict[str, Any]]:
    for resource in resource_spans(source):
        (scope,) = resource["scopeSpans"]
        for first in range(0, len(scope["spans"]), BATCH):
            some = {**scope, "spans": scope["spans"][first : first + BATCH]}
            yield {"resourceSpans": [{**resource, "scopeSpans": [some]}]}


def _count_spans(batch: Mapping[str, Any]) -> int:
    return len(batch["resourceSpans"][0]["scopeSpans"][0]["spans"])


def _post_with_retries(address: str, batch: Mapping[str, Any], before: int) -> dict[str, Any]:
    """The answer. Waits longer after each failure, by chance, so that many senders do not come back
    at once.
    """
    body = json.dumps(safe_json(batch), separators=(",", ":")).encode()
    for attempt in range(1, TRIES + 1):
        wait, problem = 0.0, ""
        try:
            return _post_once(address, body)
        except error.HTTPError as answer:
            if answer.code not in _AGAIN:
                raise _said_no(address, answer) from answer
            wait, problem = _asked_to_wait(answer), f"it answers {answer.code}"
        except (OSError, ValueError) as failure:
            problem = str(getattr(failure, "reason", None) or failure)
        if attempt < TRIES:
            longest = min(_FIRST_S * 2 ** (attempt - 1), _MOST_S)
            time.sleep(max(wait, random.uniform(0.5, 1.0) * longest))
    hint = "start the collector and do it again: what was sent keeps its ids"
    raise Blocked(
        f"{address}: {visible(problem, limit=200)}; gave up after {TRIES} tries, {before} spans"
        " sent",
        hint=hint,
    )


def _post_once(address: str, body: bytes) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "User-Agent": "skillrun", **_read_headers()}
    asked = request.Request(address, data=body, headers=headers, method="POST")
    with request.urlopen(asked, timeout=_TIMEOUT_S) as answer:
        text = answer.read(_ANSWER)
    # A collector may answer in protobuf: then it took everything.
    with contextlib.suppress(ValueError):
        value = json.loads(text or b"{}")
        if isinstance(value, dict):
            return value
    return {}


def _read_headers() -> dict[str, str]:
    """OTEL_EXPORTER_OTLP_HEADERS: `name=value,name=value`, percent-encoded."""
    given = os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    headers = {}
    for pair in given.split(","):
        name, equals, value = pair.partition("=")
        if equals:
            headers[name.strip()] = parse.unquote(value.strip())
    return headers


def _asked_to_wait(answer: error.HTTPError) -> float:
    """Seconds of `Retry-After`, bounded; a date there counts as none."""
    with contextlib.suppress(ValueError):
        return min(max(float(answer.headers.get("Retry-After", "")), 0.0), _MOST_S)
    return 0.0


def _said_no(address: str, answer: error.HTTPError) -> Refused:
    words = visible(answer.read(300).decode("utf-8", "replace").strip(), limit=200)
    what = f"{address}: it answers {answer.code}"
    if words:
        what += f": {words}"
    return Refused(what, hint="is it the address of OTLP over HTTP, usually port 4318?")


def _parse_number(value: Any) -> int:
    """64-bit integers are text in OTLP/JSON."""
    with contextlib.suppress(TypeError, ValueError):
        return max(int(value), 0)
    return 0
