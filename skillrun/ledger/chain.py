"""The canonical row, its digest, and the hash chain: everything that an auditor needs to recompute a ledger.

A row becomes a JSON object of its columns without those that are NULL, so that a nullable column can be added in a
later version and old hashes stay true. JSON columns count as the text that is stored. Every event's hash covers the
hash before it; the other tables are covered by *seals*: digests that an event of the same transaction carries in its
`data`. Where a seal says `texts`, long texts are covered by their digests: see `texts.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skillrun.canonical import canonical, digest, sha256
from skillrun.ledger import texts

GENESIS = "0" * 64  # `prev` of the first event of a run
SEAL = "seal"  # the key in an event's data that holds the digests of other tables' rows
TEXTS = "texts"  # the key in a seal that says: long texts are covered by their digests
_TEXTS_SAID = f'"{TEXTS}":true'

RUN_COLUMNS = (
    *("run_id", "skill", "skill_name", "skill_sha", "job", "spec_path", "repo", "base_commit", "dirty", "base_tree"),
    *("actor", "actor_kind", "agent", "host_id", "runner_version", "started_us"),
)
EVENT_COLUMNS = (  # the columns under the hash, that is all but seq, prev and hash
    *("run_id", "n", "type", "invocation", "stage", "attempt", "ts_us", "dur_us", "outcome", "actor", "actor_kind"),
    *("fingerprint", "output_sha", "exit_code", "error_type", "data"),
)
EVIDENCE_COLUMNS = ("run_id", "n", "i", "role", "path", "sha", "size", "line", "detail")
TELEMETRY_COLUMNS = (
    *("run_id", "invocation", "ts_utc", "skill", "trigger", "idempotency", "retries", "tests_added", "files_touched"),
    *("outcome", "duration_ms", "actor", "actor_kind", "agent", "repo", "git_head", "checks_attempted"),
    *("checks_passed", "checks_failed", "grade_min", "fields"),
)

Row = Sequence[Any]


def canonical_row(columns: Sequence[str], row: Row) -> dict[str, Any]:
    """The row as it is hashed: its columns that are not NULL."""
    return {column: value for column, value in zip(columns, row, strict=True) if value is not None}


def event_hash(prev: str, row: Row, *, by_texts: bool | None = None) -> str:
    """The hash of an event given as the values of EVENT_COLUMNS: sha256(prev, canonical JSON of the row).

    `by_texts`: whether its seal says `texts`, where the caller knows it.
    """
    *columns, data = row
    if by_texts is None:
        by_texts = _TEXTS_SAID in data and covers_texts(json.loads(data))
    if by_texts:
        data = texts.covered(data)
    return sha256(prev.encode() + canonical(canonical_row(EVENT_COLUMNS, (*columns, data))))


def run_seal(row: Row) -> str:
    """The digest of a row of `run`, given as the values of RUN_COLUMNS."""
    return digest(canonical_row(RUN_COLUMNS, row))


def telemetry_seal(row: Row) -> dict[str, Any]:
    """Number and digest of a row of `telemetry`, given as the values of TELEMETRY_COLUMNS."""
    return {"invocation": row[1], "sha256": digest(canonical_row(TELEMETRY_COLUMNS, row))}


def evidence_seal(rows: Iterable[Row], *, by_texts: bool) -> list[str]:
    """The digests of one event's rows of `evidence`, in order, each given as the values of EVIDENCE_COLUMNS.

    `by_texts`: the event's seal says `texts`.
    """
    return [digest(canonical_row(EVIDENCE_COLUMNS, _by_texts(row) if by_texts else row)) for row in rows]


def _by_texts(row: Row) -> Row:
    *columns, detail = row
    return (*columns, None if detail is None else texts.covered(detail))


def covers_texts(data: Any) -> bool:
    """Whether an event's data says that long texts are covered by their digests."""
    return seal_of(data).get(TEXTS) is True


def seal_of(data: Any) -> Mapping[str, Any]:
    """The seal in an event's data; empty where there is none."""
    seal = data.get(SEAL) if isinstance(data, dict) else None
    return seal if isinstance(seal, dict) else {}
