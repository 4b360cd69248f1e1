"""Which events of a ledger a run believes: those that skillrun wrote for this user, in a chain that
is whole.

Anybody who can write the file can append an event with a correct hash, and a clone can bring a
whole ledger along. So the events of a run carry a MAC by a key in the user's state folder. One
without it is history for people to read, and counts for nothing. Whoever has the user's own rights
can read the key: against him there are anchors, and `skillrun verify`, which believes no ledger.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.canonical import canonical
from skillrun.core.errors import Refused
from skillrun.core.state import explain_distrust, read_own, state_dir, write_own
from skillrun.ledger import texts
from skillrun.ledger.chain import SEAL
from skillrun.ledger.rows import STAGE_FINISHED, NewEvent

if TYPE_CHECKING:
    from skillrun.ledger.store import Ledger

# The key in an event's data.
SIGNED = "signed"
_KEY_BYTES = 32
# What a run reads from an event again; its number and time are the chain's matter.
_COVERED = ("type", "invocation", "stage", "outcome", "fingerprint", "actor", "actor_kind")


def sign_event(run_id: str, event: NewEvent) -> NewEvent:
    """The event with its MAC; as it is where no key can be kept, so that it is not believed
    later.
    """
    key = _read_key() or _make_key()
    if key is None:
        why = explain_key() or f"{_key_file().parent}: no key can be kept there"
        _say_once(f"what this run records counts for nothing later: {why}")
        return event
    fields = {name: getattr(event, name) for name in _COVERED}
    signature = _compute_signature(key, run_id, fields, texts.escape_marks(event.data))
    return replace(event, data={**event.data, SIGNED: signature})


def is_signed(event: Mapping[str, Any]) -> bool:
    """Whether an event of a ledger was signed by this user's skillrun, for its run, as it
    stands.
    """
    key, data = _read_key(), event["data"]
    given = None
    if isinstance(data, Mapping):
        given = data.get(SIGNED)
    if key is None or not isinstance(given, str):
        return False
    said = {}
    for name, value in data.items():
        if name not in (SIGNED, SEAL):
            said[name] = value
    try:
        expected = _compute_signature(key, event["run_id"], event, said)
    except (ValueError, RecursionError):  # nothing that a ledger writes
        return False
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def keep_signed(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the events that are believed."""
    found = []
    for event in events:
        if is_signed(event):
            found.append(event)
    return found


def find_tampering(ledger: Ledger, run_id: str) -> str | None:
    """What is wrong with a run's rows, in a line; None where every one is as it was written, and
    none is missing.
    """
    for problem in ledger.problems(run_id):
        if problem.kind != "open":
            if problem.n is None:
                place = problem.table
            else:
                place = f"{problem.table} {problem.n}"
            return f"{place}: {problem.what}"
    return None


def is_proof_recorded(ledger: Ledger, sha: str) -> bool:
    """Whether an event that is believed, in a run whose chain is whole, says that a proof of this
    digest was kept.
    """
    for event in ledger.events_containing(STAGE_FINISHED, sha):
        proof = event["data"].get("proof")
        kept = None
        if isinstance(proof, Mapping):
            kept = proof.get("kept")
        if kept == sha and is_signed(event) and find_tampering(ledger, event["run_id"]) is None:
            return True
    return False


def _compute_signature(
    key: bytes, run_id: str, fields: Mapping[str, Any], data: Mapping[str, Any]
) -> str:
    """Long texts count by their digests, as in the chain: a redaction takes no signature away."""
    covered = texts.hashed_text(canonical(data).decode())
    stated = [run_id, *(_store_plainly(fields[name]) for name in _COVERED), covered]
    return hmac.new(key, canonical(stated), "sha256").hexdigest()


def _store_plainly(value: Any) -> Any:
    """A word of an enumeration as it is stored."""
    if isinstance(value, str):
        return str(value)
    return value


def _key_file() -> Path:
    return state_dir() / "ledger.key"


def _read_key() -> bytes | None:
    key = read_own(_key_file())
    if key is not None and len(key) == _KEY_BYTES:
        return key
    return None


def _make_key() -> bytes | None:
    """A new key, or the one that another process has just made; None where none can be kept."""
    with contextlib.suppress(OSError):
        # Never in the place of a key that somebody else has signed with meanwhile.
        write_own(_key_file(), secrets.token_bytes(_KEY_BYTES), replace=False)
    if _key_file().is_dir():
        # Without a line here a run would begin, and nothing that it records would be believed.
        said = (
            f"{_key_file()}: the state folder cannot be used: there is a folder in the place of"
            " the key"
        )
        raise Refused(said, hint="move it away; a new key is made")
    return _read_key()


def explain_key() -> str | None:
    """Why the key that is there is not believed, and what to run; None where nothing is wrong."""
    return explain_distrust(_key_file())


@cache
def _say_once(text: str) -> None:
    """A line for a person, once in a process: each event of a run would say it again."""
    print(f"skillrun: {text}", file=sys.stderr, flush=True)
