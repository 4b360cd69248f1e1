"""Spans go to a collector: a stand-in server that reads what comes with the official protobuf
classes.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import exported
import helpers
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from skillrun.core.errors import Misuse
from skillrun.ledger.exports import sending
from skillrun.ledger.exports.source import Source
from skillrun.ledger.store import Ledger, NewEvent

POLL_S = 0.01  # how often a server looks whether it is to end
_IDS = ("traceId", "spanId", "parentSpanId")


def official(body: bytes) -> ExportTraceServiceRequest:
    """The request as the official classes read it: OTLP/JSON writes ids in hexadecimal, protobuf's
    JSON in base64.
    """

    def ids(value: Any) -> Any:
        if isinstance(value, list):
            return [ids(member) for member in value]
        if not isinstance(value, dict):
            return value
        return {
            key: base64.b64encode(bytes.fromhex(member)).decode() if key in _IDS else ids(member)
            for key, member in value.items()
        }

    return json_format.ParseDict(ids(json.loads(body)), ExportTraceServiceRequest())


class Collector:
    """Answers as told, one answer after the other and the last one for ever; keeps what it took."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = [(200, {}, b"{}")]
        self.taken: list[ExportTraceServiceRequest] = []
        self.asked: list[tuple[str, Any]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked.append((self.path, self.headers))
                more = len(collector.answers) > 1
                code, headers, text = collector.answers.pop(0) if more else collector.answers[0]
                if code == 200:
                    collector.taken.append(official(body))
                self.send_response(code)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(POLL_S,), daemon=True).start()

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.taken
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    exported.filled(tmp_path / "ledger.db", runs=2)
    return tmp_path / "ledger.db"


def sent(ledger: Path, url: str, code: int = 0, **env: str) -> str:
    done = helpers.run_cli(
        "ledger",
        "export",
        "--format",
        "otlp",
        "--ledger",
        ledger,
        "--to",
        url,
        cwd=ledger.parent,
        env=env or None,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.real
def test_a_collector_reads_every_span(ledger: Path, collector: Collector) -> None:
    assert "8 spans sent" in sent(ledger, collector.url)
    assert {path for path, _ in collector.asked} == {"/v1/traces"}
    assert {headers["Content-Type"] for _, headers in collector.asked} == {"application/json"}
    assert len(collector.taken) == 2
    for span in collector.spans:
        assert (len(span.trace_id), len(span.span_id), span.kind) == (
            16,
            8,
            Span.SPAN_KIND_INTERNAL,
        )
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    roots = [span for span in collector.spans if not span.parent_span_id]
    assert [span.status.code for span in roots] == [Status.STATUS_CODE_ERROR] * 2
    assert len({span.span_id for span in collector.spans}) == 8
    resource = collector.taken[0].resource_spans[0]
    assert resource.schema_url == "https://opentelemetry.io/schemas/1.41.0"
    assert resource.resource.attributes[0].value.string_value == "skillrun"


@pytest.mark.real
def test_the_file_is_what_is_sent(ledger: Path, collector: Collector) -> None:
    sent(ledger, collector.url)
    with Source(ledger) as source:
        from skillrun.ledger.exports.otlp import format_lines

        whole = official("".join(format_lines(source)).encode())
    together = ExportTraceServiceRequest()
    for request in collector.taken:
        together.MergeFrom(request)
    assert whole == together


@pytest.mark.real
def test_a_busy_collector_is_asked_again(ledger: Path, collector: Collector) -> None:
    busy = (503, {"Retry-After": "0.1"}, b"later")
    collector.answers = [busy, (429, {}, b""), (200, {}, b"{}")]
    assert "8 spans sent" in sent(ledger, collector.url)
    assert len(collector.spans) == 8
    assert len(collector.asked) == 4


@pytest.mark.real
def test_it_gives_up_after_a_bounded_number_of_tries(ledger: Path, collector: Collector) -> None:
    collector.answers = [(200, {}, b"{}"), (503, {}, b"")]
    said = sent(ledger, collector.url, code=3)
    assert "it answers 503; gave up after 5 tries, 4 spans sent" in said
    assert len(collector.asked) == 1 + sending.TRIES


@pytest.mark.real
def test_nobody_there_is_one_line(ledger: Path, collector: Collector) -> None:
    collector.server.shutdown()
    collector.server.server_close()
    assert "Connection refused" in sent(ledger, collector.url, code=3)


@pytest.mark.real
def test_a_refusal_is_not_repeated(ledger: Path, collector: Collector) -> None:
    collector.answers = [(400, {}, "no\u202e such\x1b[31m thing".encode())]
    said = sent(ledger, collector.url, code=4)
    assert "it answers 400: no\\u202e such\\x1b[31m thing" in said
    assert len(collector.asked) == 1


@pytest.mark.real
def test_what_was_rejected_is_said(ledger: Path, collector: Collector) -> None:
    partial = {"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}}
    collector.answers = [(200, {}, json.dumps(partial).encode()), (200, {}, b"\x00\xff")]
    assert "5 spans sent, 3 rejected: too old" in sent(ledger, collector.url, code=1)


@pytest.mark.real
def test_headers_come_from_the_environment(ledger: Path, collector: Collector) -> None:
    sent(
        ledger, f"{collector.url}/in/v1/traces", OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20b, x-other=c"
    )
    path, headers = collector.asked[0]
    assert (path, headers["x-key"], headers["x-other"]) == ("/in/v1/traces", "a b", "c")


@pytest.mark.real
def test_long_runs_go_in_batches(tmp_path: Path, collector: Collector) -> None:
    path = tmp_path / "ledger.db"
    (run_id,) = exported.filled(path)
    with Ledger.open(path) as ledger:
        from ledgers import telemetry

        events = [
            NewEvent("stage.finished", "retry", outcome="passed", invocation=2) for _ in range(1200)
        ]
        ended = NewEvent("invocation.ended", invocation=2)
        ledger.append(run_id, [*events, ended], telemetry=telemetry(run_id, 2))
    sent(path, collector.url)
    sizes = [len(request.resource_spans[0].scope_spans[0].spans) for request in collector.taken]
    assert sizes == [500, 500, 205]


@pytest.mark.parametrize(
    "url",
    ("127.0.0.1:4318", "ftp://a", "http://", "http://a:b:c", "file:///etc/passwd", "http://u:p@h"),
)
def test_only_http_is_an_address(url: str) -> None:
    with pytest.raises(Misuse):
        sending.traces_url(url)


def test_only_spans_are_sent(ledger: Path) -> None:
    for args, words in (
        (["--format", "jsonl", "--to", "http://127.0.0.1:9"], "jsonl is not sent anywhere"),
        (["--format", "otlp", "--to", "http://127.0.0.1:9", "-o", "x"], "at once"),
    ):
        done = helpers.run_cli("ledger", "export", "--ledger", ledger, *args, cwd=ledger.parent)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
