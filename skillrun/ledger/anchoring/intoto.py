"""Anchors as an in-toto Statement v1, to be signed by whoever can, and read back, also from a
signer's DSSE envelope.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md; the predicate:
`schemas/ledger-anchor.v1.json`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from skillrun.core.errors import Misuse
from skillrun.ledger.anchors import Anchor

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:skillrun:ledger-anchor:v1"


def build_statement(anchors: Iterable[Anchor]) -> dict[str, Any]:
    """A subject for each run, whose digest is the hash of its last event; the predicate says which
    events these are.
    """
    known = sorted(set(anchors), key=lambda a: (a.run_id, a.n, a.ledger))
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    subjects, heads = [], []
    for a in known:
        subjects.append({"name": f"{a.run_id}/{a.n}", "digest": {"sha256": a.hash}})
        heads.append({"ledger": a.ledger, "run_id": a.run_id, "n": a.n, "hash": a.hash})
    return {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {"published": now, "heads": heads},
    }


def read_statement(text: str, place: str, *, named: bool = False) -> list[Anchor]:
    """The anchors of a statement, bare or in an envelope whose signature is not looked at.

    Raises Misuse for what is none. A head counts where a subject has its digest: that is what a
    signer signs for.
    """
    try:
        value = _unwrap_envelope(json.loads(text))
        if value["_type"] != STATEMENT or value["predicateType"] != PREDICATE:
            raise Misuse(f"{place}: another sort of statement: {str(value['predicateType'])[:100]}")
        signed = {subject["digest"]["sha256"] for subject in value["subject"]}
        return list(_read_heads(value["predicate"]["heads"], signed, place, named))
    except (ValueError, KeyError, TypeError, RecursionError):
        hint = "skillrun ledger anchor --to intoto FILE writes one"
        raise Misuse(f"{place}: no in-toto statement of anchors", hint=hint) from None


def _unwrap_envelope(value: dict[str, Any]) -> dict[str, Any]:
    """What is in a DSSE envelope (also inside a Sigstore bundle); a bare statement as it is."""
    envelope = value.get("dsseEnvelope", value)
    if "payload" not in envelope:
        return value
    try:
        inner: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"], validate=True))
    except binascii.Error:
        raise ValueError from None
    return inner


def _read_heads(
    heads: list[dict[str, Any]], signed: set[str], place: str, named: bool
) -> Iterator[Anchor]:
    for head in heads:
        if head["hash"] in signed:
            yield Anchor(
                str(head["ledger"]),
                str(head["run_id"]),
                int(head["n"]),
                str(head["hash"]),
                place,
                named,
            )
