"""The canonical row, its digest, and the hash chain: everything that an auditor needs to recompute
a ledger.

A row becomes a JSON object of its columns without those that are NULL, so that a nullable column
can be added in a later version and old hashes stay true. JSON columns count as the text that is
stored. Every event's hash covers the hash before it; the other tables are covered by *seals*:
digests that an event of the same transaction carries in its `data`. Where a seal says `texts`, long
texts are covered by their digests: see `texts.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skillrun.core.canonical import object_writer, sha256
from skillrun.ledger import texts

# `prev` of the first event of a run.
GENESIS = "0" * 64
# The key in an event's data that holds the digests of other tables' rows.
SEAL = "seal"
# The key in a seal that says: long texts are covered by their digests.
TEXTS = "texts"
_SEAL_SAID = f'"{SEAL}":'
_DECODER = json.JSONDecoder()

# Where a table has a column of JSON that a hash covers by its texts (`data`, `detail`), it is the
# last one here: `_digest_long_texts` and `seal_in` look for it there.
RUN_COLUMNS = (
    *(
        "run_id",
        "skill",
        "skill_name",
        "skill_sha",
        "job",
        "spec_path",
        "repo",
        "base_commit",
        "dirty",
        "base_tree",
    ),
    *("actor", "actor_kind", "agent", "host_id", "runner_version", "started_us"),
)
# The columns under the hash, that is all but seq, prev and hash.
EVENT_COLUMNS = (
    *(
        "run_id",
        "n",
        "type",
        "invocation",
        "stage",
        "attempt",
        "ts_us",
        "dur_us",
        "outcome",
        "actor",
        "actor_kind",
    ),
    *("fingerprint", "output_sha", "exit_code", "error_type", "data"),
)
EVIDENCE_COLUMNS = ("run_id", "n", "i", "role", "path", "sha", "size", "line", "detail")
TELEMETRY_COLUMNS = (
    *(
        "run_id",
        "invocation",
        "ts_utc",
        "skill",
        "trigger",
        "idempotency",
        "retries",
        "tests_added",
        "files_touched",
    ),
    *(
        "outcome",
        "duration_ms",
        "actor",
        "actor_kind",
        "agent",
        "repo",
        "git_head",
        "checks_attempted",
    ),
    *("checks_passed", "checks_failed", "grade_min", "fields"),
)

Row = Sequence[Any]

# A row as it is hashed: canonical JSON of its columns that are not NULL.
_RUN, _EVENT = object_writer(RUN_COLUMNS), object_writer(EVENT_COLUMNS)
_EVIDENCE, _TELEMETRY = object_writer(EVIDENCE_COLUMNS), object_writer(TELEMETRY_COLUMNS)


def event_hash(prev: str, row: Row, *, by_texts: bool | None = None) -> str:
    """The hash of an event given as the values of EVENT_COLUMNS: sha256(prev, canonical JSON of the
    row).

    `by_texts`: whether its seal says `texts`, where the caller knows it.
    """
    if by_texts is None:
        by_texts = covers_texts(seal_in(row[-1]))
    if by_texts:
        row = _digest_long_texts(row)
    return sha256(prev.encode() + _EVENT(row))


def run_seal(row: Row) -> str:
    """The digest of a row of `run`, given as the values of RUN_COLUMNS."""
    return sha256(_RUN(row))


def telemetry_seal(row: Row) -> dict[str, Any]:
    """Number and digest of a row of `telemetry`, given as the values of TELEMETRY_COLUMNS."""
    return {"invocation": row[1], "sha256": sha256(_TELEMETRY(row))}


def evidence_seal(rows: Iterable[Row], *, by_texts: bool) -> list[str]:
    """The digests of one event's rows of `evidence`, in order, each given as the values of
    EVIDENCE_COLUMNS.

    `by_texts`: the event's seal says `texts`.
    """
    return [evidence_digest(row, by_texts=by_texts) for row in rows]


def evidence_digest(row: Row, *, by_texts: bool) -> str:
    """The digest of one of them."""
    if by_texts:
        row = _digest_long_texts(row)
    return sha256(_EVIDENCE(row))


def _digest_long_texts(row: Row) -> Row:
    """The row as a hash covers it: its last column is JSON, and long texts in there count by their
    digests.
    """
    if row[-1] is None:
        return row
    return (*row[:-1], texts.hashed_text(row[-1]))


def covers_texts(seal: Mapping[str, Any]) -> bool:
    """Whether an event's seal says that long texts are covered by their digests."""
    return seal.get(TEXTS) is True


def seal_in(text: Any) -> Mapping[str, Any]:
    """The seal in an event's data as it is stored; empty where there is none, or the text is no
    JSON.

    Where it is the last member, as it mostly is, the others are not parsed: a quote within a text
    is written `\\"`.
    """
    if not isinstance(text, str):
        return {}
    at = text.rfind(_SEAL_SAID)
    if at < 0:
        return {}
    try:
        seal, end = _DECODER.raw_decode(text, at + len(_SEAL_SAID))
        # Only the closing brace follows the last member of the outermost object.
        if end == len(text) - 1:
            return seal_of({SEAL: seal})
        return seal_of(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def seal_of(data: Any) -> Mapping[str, Any]:
    """The seal in an event's data; empty where there is none."""
    if not isinstance(data, dict):
        return {}
    seal = data.get(SEAL)
    if not isinstance(seal, dict):
        return {}
    return seal
