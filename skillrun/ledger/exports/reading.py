"""Reads a telemetry v1 file of another tool into the ledger: declared runs, under chains of their
own, once each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from skillrun.core.canonical import canonical, digest
from skillrun.core.errors import Misuse, Refused
from skillrun.core.opening import open_file
from skillrun.core.resources import resource
from skillrun.core.text import visible
from skillrun.core.verdict import Grade
from skillrun.ledger.exports.jsonl import IMPORTED
from skillrun.ledger.exports.shared import bound_value
from skillrun.ledger.store import Ledger, NewEvent, RunStart, Telemetry

EVENT = "invocation.imported"
_MOST_BYTES = 1_000_000  # of one line
_SHOWN = 10  # bad lines
_UNKNOWN = "unknown"
# Where something failed, the ledger's word is partial.
_OUTCOMES = {"fail": "partial"}


@dataclass(frozen=True)
class Line:
    """A valid line: its number in the file, the sha256 of its canonical JSON, and what it says,
    bounded and masked.
    """

    number: int
    sha: str
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Imported:
    """How many lines became rows, how many were there already, and in how many runs the new ones
    are.
    """

    lines: int
    known: int
    runs: int


def import_lines(lines: list[Line], source: str, ledger: Path) -> Imported:
    """Imports all lines or none; those that were imported before are left out. `source`: the name
    of their file.

    Raises LedgerUnusable.
    """
    with Ledger.open(ledger) as opened, opened.writing():
        return _import_lines(opened, lines, source)


def read_lines(file: Path) -> list[Line]:
    """The lines of a file, each of them checked. Raises Refused where one is bad, Misuse where it
    cannot be read.
    """
    try:
        with open_file(file) as opened:
            raw = enumerate(iter(lambda: opened.readline(_MOST_BYTES + 1), b""), 1)
            return _check_lines(file, raw)
    except OSError as error:
        raise Misuse(
            f"{visible(str(file))}: {error.strerror}", hint="name a file of telemetry v1"
        ) from error


def _check_lines(file: Path, raw: Iterator[tuple[int, bytes]]) -> list[Line]:
    find_fault = _make_validator()
    good: list[Line] = []
    bad: list[str] = []
    for number, text in raw:
        if not text.strip():
            continue
        # The mark of UTF-8 that programs of Windows put before a text.
        if number == 1:
            line = text.removeprefix(b"\xef\xbb\xbf")
        else:
            line = text
        value, problem = _parse_line(line)
        if problem is None:
            problem = find_fault(value)
        if problem is None:
            good.append(Line(number, digest(value), bound_value(value)))
            continue
        bad.append(f"{visible(str(file))}:{number}: {visible(problem, limit=300)}")
        # What follows a line that was cut is its rest, and says nothing.
        if len(bad) == _SHOWN or len(text) > _MOST_BYTES:
            break
    if bad:
        hint = "mend the lines; they have to satisfy schemas/telemetry.v1.json; nothing was written"
        raise Refused("\n".join(bad), hint=hint)
    return good


def _parse_line(text: bytes) -> tuple[Any, str | None]:
    """(the value, what is wrong)."""
    if len(text) > _MOST_BYTES:
        return None, f"longer than {_MOST_BYTES:,} bytes"
    try:
        value = json.loads(text.decode(), parse_constant=_no_number)
        # What cannot be written cannot be hashed: a number that became an infinity.
        canonical(value)
    except UnicodeDecodeError:
        return None, "not UTF-8"
    except ValueError as error:
        return None, f"not JSON: {error}"
    except RecursionError:
        return None, "nested too deep"
    return value, None


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _make_validator() -> Callable[[Any], str | None]:
    """Says the first thing that is wrong with a value, or None."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    schema = json.loads(resource("schemas", "telemetry.v1.json").read_text("utf-8"))
    validator = Draft202012Validator(schema)

    def find_fault(value: Any) -> str | None:
        error = best_match(validator.iter_errors(value))
        if error is not None:
            return f"{error.json_path.removeprefix('$.')}: {error.message}"
        try:
            datetime.fromisoformat(value["ts_utc"])
        except ValueError:
            return f"ts_utc: {value['ts_utc']} is no date"
        return None

    return find_fault


# -- into the ledger

_Key = tuple[str, str, str]


def _import_lines(ledger: Ledger, lines: list[Line], source: str) -> Imported:
    known, runs = _read_known(ledger)
    before, touched = len(known), set()
    for line in lines:
        if line.sha in known:
            continue
        known.add(line.sha)
        key = _run_key(line.value)
        if key in runs:
            run_id, last = runs[key]
        else:
            run_id, last = ledger.start_run(_build_run_start(line.value)), 0
        runs[key] = (run_id, last + 1)
        touched.add(run_id)
        _append_invocation(ledger, run_id, last + 1, line, source)
    new = len(known) - before
    return Imported(new, len(lines) - new, len(touched))


def _read_known(ledger: Ledger) -> tuple[set[str], dict[_Key, tuple[str, int]]]:
    """(the lines that are there, the imported runs with the number of their last invocation)."""
    lines: set[str] = set()
    runs: dict[_Key, tuple[str, int]] = {}
    for event in ledger.all_events(EVENT):
        repo, skill, run = event["data"]["run"]
        lines.add(event["data"]["line_sha256"])
        runs[repo, skill, run] = (event["run_id"], event["invocation"])
    return lines, runs


def _run_key(value: Mapping[str, Any]) -> _Key:
    """What makes two lines one run."""
    return (value["repo"], value["skill_id"], value["run_id"])


def _build_run_start(value: Mapping[str, Any]) -> RunStart:
    # A line has the time at which it was written: when its invocation ended.
    ended = datetime.fromisoformat(value["ts_utc"]).timestamp()
    return RunStart(
        skill=value["skill_id"],
        skill_name=value["skill_id"].rpartition("/")[2],
        skill_sha=_UNKNOWN,
        job=None,
        spec_path=None,
        repo=value["repo"],
        git_head=_git_head(value),
        dirty=False,
        actor=_UNKNOWN,
        actor_kind=_UNKNOWN,
        agent=None,
        host_id=IMPORTED,
        runner_version=IMPORTED,
        started_us=int(ended * 1e6) - int(value["duration_ms"] * 1000),
    )


def _git_head(value: Mapping[str, Any]) -> str | None:
    if value["git_head"] == _UNKNOWN:
        return None
    return str(value["git_head"])


def _append_invocation(
    ledger: Ledger, run_id: str, invocation: int, line: Line, source: str
) -> None:
    value = line.value
    row = _build_telemetry(run_id, invocation, value)
    event = NewEvent(
        EVENT,
        invocation=invocation,
        outcome=row.outcome,
        dur_us=round(value["duration_ms"] * 1000),
        data={
            "line_sha256": line.sha,
            "run": list(_run_key(value)),
            "file": visible(source, limit=200),
            "line": line.number,
        },
    )
    ledger.append(run_id, [event], telemetry=row)


def _build_telemetry(run_id: str, invocation: int, value: Mapping[str, Any]) -> Telemetry:
    """The row of a line; what the ledger has no column for is kept in `fields` as it came."""
    names = ("run_id", "outcome", "intent", "inputs", "outputs", "followups")
    checks = value["checks"]
    as_it_came = {}
    for name in names:
        if name in value:
            as_it_came[name] = value[name]
    return Telemetry(
        run_id=run_id,
        invocation=invocation,
        skill=value["skill_id"],
        outcome=_OUTCOMES.get(value["outcome"], value["outcome"]),
        actor=_UNKNOWN,
        actor_kind=_UNKNOWN,
        repo=value["repo"],
        ts_utc=value["ts_utc"].replace("+00:00", "Z"),
        files_touched=value["outputs"]["files_changed"],
        duration_ms=round(value["duration_ms"]),
        git_head=_git_head(value),
        checks_attempted=checks["attempted"],
        checks_passed=checks["passed"],
        checks_failed=checks["failed"],
        grade_min=Grade.DECLARED,
        fields={IMPORTED: as_it_came},
    )
