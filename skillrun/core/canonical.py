"""One way to turn a value into bytes and a sha256, so that every hash in the product can be
recomputed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from typing import Any

# Made once: json.dumps would make one for each of the million rows of a ledger that is verified.
_encoded = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode
quoted: Callable[[str], str] = encode_basestring
"""A text as JSON, as `canonical` writes it, before it becomes UTF-8."""


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8. Lone surrogates (odd file names) are escaped, never
    an error.
    """
    return _encoded(value).encode("utf-8", "backslashreplace")


def object_writer(names: Sequence[str]) -> Callable[[Sequence[Any]], bytes]:
    """What writes a row of values under these names as `canonical` writes the object, without those
    that are None.

    Several times as fast: the names are sorted once, and most values are texts and whole numbers.
    """
    members = [
        (i, f"{quoted(name)}:") for i, name in sorted(enumerate(names), key=lambda item: item[1])
    ]

    def write(row: Sequence[Any]) -> bytes:
        found = []
        for i, name in members:
            value = row[i]
            if value is None:
                continue
            if type(value) is str:
                found.append(name + quoted(value))
            elif type(value) is int:
                found.append(name + str(value))
            else:
                found.append(name + _encoded(value))
        return f"{{{','.join(found)}}}".encode("utf-8", "backslashreplace")

    return write


def sha256(data: bytes) -> str:
    """Hexadecimal sha256."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Hexadecimal sha256 of the canonical JSON of a value."""
    return sha256(canonical(value))
