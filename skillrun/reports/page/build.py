"""A run as one page: reads the ledger, works out what is shown, and fills the template with it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skillrun import __version__
from skillrun.core.tally import outcome_line
from skillrun.core.text import masked_json, visible
from skillrun.ledger import chain
from skillrun.ledger.connection import BUSY_MS, explained, open_reader
from skillrun.ledger.store import Ledger
from skillrun.reports.page.findings import collect_findings
from skillrun.reports.page.lanes import draw_history
from skillrun.reports.page.stages import stage_rows

FOLDER = Path(__file__).resolve().parent
# What is shown of a long run: its last events and invocations. The rest is in the ledger.
MOST_EVENTS, MOST_EVIDENCE, MOST_INVOCATIONS = 400, 300, 20


def run_page(path: Path, run: str, name: str | None = None) -> str:
    """The page of the run whose id begins so, as HTML that needs no other file, no network and no
    script.

    `name` is what the ledger is called, else its path.

    Raises Misuse for a run that is not there, LedgerUnusable where there is no ledger to read.
    """
    with Ledger.open(path, read_only=True) as ledger:
        run_id = ledger.resolve_run(run)
        events = [_with_data(event) for event in ledger.events(run_id)]
        values = {
            "run": ledger.run(run_id),
            "telemetry": ledger.telemetry(run_id)[::-1],
            "events": events,
            "evidence": ledger.evidence(run_id),
        }
    worked_out = _work_out_values(path, run_id, values)
    head = {"path": name or str(path), "made": _now_us()}
    return fill_template({**values, **worked_out, **head})


def fill_template(values: Mapping[str, Any]) -> str:
    """The template filled. Whatever comes from the ledger is escaped twice: hidden characters, then
    HTML.
    """
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,  # a row of another version may lack a key
        finalize=_make_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(when=_format_time, took=_format_duration, short=lambda text: str(text)[:12])
    return made.get_template("page.html.j2").render(values)


def _make_visible(value: Any) -> Any:
    """Text as a reader may see it; markup is the template's own."""
    from markupsafe import Markup

    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value, limit=None, lines=True)
    return value


def _with_data(event: dict[str, Any]) -> dict[str, Any]:
    """Data that is no object was not written by a skillrun: it counts as none."""
    data = {}
    if isinstance(event["data"], dict):
        data = event["data"]
    # Masked once more: an older skillrun, which knew fewer secrets, may have written it.
    return {**event, "data": masked_json(data)}


def _work_out_values(path: Path, run_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    events, telemetry = values["events"], values["telemetry"]
    report = _latest_report(events)
    every = _list_invocations(events, telemetry)
    shown = every[-MOST_INVOCATIONS:]
    return {
        "stages": stage_rows(events, shown),
        "invocations": shown,
        "left_out": len(every) - len(shown),
        "outcomes": {row["invocation"]: row for row in telemetry},
        "findings": collect_findings(events, report),
        "proofs": [_draw_proof(event) for event in events if "proof" in event["data"]],
        "waivers": _events_of_type(events, "waiver.given"),
        "attestations": _events_of_type(events, "attestation.given"),
        "consents": _events_of_type(events, "consent.given"),
        "checks": report.get("checks", []),
        "recommendations": report.get("recommendations", []),
        "next": report.get("next", []),
        "standing": outcome_line(report) if report else None,
        "chain": _check_chain(path, run_id),
        "shown_events": events[-MOST_EVENTS:],
        "shown_evidence": values["evidence"][:MOST_EVIDENCE],
        "imported": values["run"]["host_id"] == "imported",
        "version": __version__,
    }


def _list_invocations(events: list[dict[str, Any]], telemetry: list[dict[str, Any]]) -> list[int]:
    """Those that ended, and those that began and run now, or died."""
    found = {row["invocation"] for row in telemetry}
    found.update(event["invocation"] for event in _events_of_type(events, "invocation.started"))
    return sorted(found - {None})


def _events_of_type(events: list[dict[str, Any]], type: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == type]


def _latest_report(events: list[dict[str, Any]]) -> dict[str, Any]:
    for event in reversed(_events_of_type(events, "invocation.ended")):
        report: dict[str, Any] | None = event["data"].get("report")
        if report:
            return report
    return {}


def _draw_proof(event: Mapping[str, Any]) -> dict[str, Any]:
    proof = event["data"]["proof"]
    histories = [draw_history(history) for history in proof.get("histories", ())]
    return {
        **proof,
        "n": event["n"],
        "invocation": event["invocation"],
        "refuted": [history for history in histories if history.told["refuted"]],
        "held": [history for history in histories if not history.told["refuted"]],
    }


def _check_chain(path: Path, run_id: str) -> dict[str, Any]:
    """The head, what was anchored, and whether every event fits its hash now."""
    columns = ", ".join((*chain.EVENT_COLUMNS, "prev", "hash"))
    of_events = f"SELECT {columns} FROM event WHERE run_id = ? ORDER BY n"
    of_anchors = "SELECT n, kind, place, hash FROM anchor WHERE run_id = ? ORDER BY n"
    with contextlib.closing(open_reader(path, BUSY_MS)) as db, explained(path, BUSY_MS):
        rows = db.execute(of_events, (run_id,)).fetchall()
        anchors = db.execute(of_anchors, (run_id,)).fetchall()
    prev, broken = chain.GENESIS, []
    for number, (*row, stored_prev, stored) in enumerate(rows, 1):
        if row[1] != number or stored_prev != prev or not _fits_hash(prev, row, stored):
            broken.append(row[1])
        prev = stored
    places = [dict(zip(("n", "kind", "place", "hash"), row, strict=True)) for row in anchors]
    return {"head": prev, "n": len(rows), "broken": broken, "anchors": places}


def _fits_hash(prev: str, row: list[Any], stored: str) -> bool:
    try:
        return chain.event_hash(prev, row) == stored
    except (TypeError, ValueError):  # a value that no ledger writes
        return False


def _now_us() -> int:
    return int(datetime.now(UTC).timestamp() * 1_000_000)


def _format_time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _format_duration(milliseconds: float | None) -> str:
    """A duration for people; nothing where it is not known."""
    if milliseconds is None:
        return ""
    seconds = milliseconds / 1000
    if seconds < 0.1:
        return f"{milliseconds:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
