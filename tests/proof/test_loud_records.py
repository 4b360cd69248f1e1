"""The level of a record, also of one that a library prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain_job import JOBS, plain_repo, proof_of

from skillrun.proof.history import PRINTED, Event, is_loud


@pytest.mark.parametrize(
    ("level", "text", "expected"),
    [
        ("WARNING", "late", True),
        ("INFO", "an ERROR of theirs", False),
        # As loguru, structlog and others print a warning.
        (PRINTED, "2026-11-29 23:26:15.061 | WARNING  | shop:run:13 - it was cancelled", True),
        (PRINTED, "2026-11-29 23:26:00 WARNING delivered all the same {'job': '7'}", True),
        (PRINTED, '{"record": {"level": {"icon": "x", "name": "WARNING", "no": 30}}}', True),
        (PRINTED, "[warning  ] it was cancelled      order=7", True),
        (PRINTED, '{"order": 7, "event": "it was cancelled", "level": "warning"}', True),
        (PRINTED, "order=7 event='it was cancelled' level='error'", True),
        (PRINTED, "order=7 event=cancelled severity=critical", True),
        (PRINTED, "2026-11-29 23:26:00 INFO    delivered {'job': '7'}", False),
        (PRINTED, "[info     ] no warning was given", False),
        (PRINTED, '{"event": "an error was retried", "level": "info"}', False),
        (PRINTED, "raised shop.ERRORS and NO_ERROR", False),
    ],
)
def test_what_an_operator_is_warned_by(level: str, text: str, expected: bool) -> None:
    assert is_loud(Event(1, "log", {"level": level, "text": text})) is expected


def test_what_is_no_record_is_not_loud() -> None:
    assert not is_loud(Event(1, "at", {"level": "WARNING", "text": "WARNING"}))


@pytest.mark.real
def test_a_long_line_is_read_to_its_end(tmp_path: Path) -> None:
    """A serialised record begins with its text and a traceback; the job stands behind them."""
    line = 'print(json.dumps({"text": "started" + 900 * " in", "record": {"order_id": order_id}}))'
    was = 'log.info("handle started order_id=%s", order_id)'
    jobs = JOBS.replace("import logging\n", "import json\n    import logging\n", 1)
    root = plain_repo(tmp_path, jobs=jobs, was=was, becomes=line)
    proof = proof_of(root, only="once")
    printed = [event for event in proof.histories[0].events if event["level"] == PRINTED]
    assert [str(event["text"])[-23:] for event in printed] == ['"record": {"order_id": 7}}'[-23:]]
