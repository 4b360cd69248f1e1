"""The secrets of a job: what its payload and its rows hold under the name of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from skillrun.core.masking import mask_member
from skillrun.proof.rivals import Contents

# Example rows have short ones (`whsec_1`, `hunter2`). A short word, or a short number, is found in
# any text.
_SHORTEST, _SHORTEST_WORD = 5, 8
_MORE = re.compile(
    r"card_?(number|no|token)|pan$|iban|cvv|account_?number|ssn|tax_?id", re.IGNORECASE
)
# What two deliveries, or two services, know each other by.
_COORDINATES = re.compile(
    r"(idempot|dedup|claim|lock|fenc|lease|request|message|event|job|task|page|cursor|sync|track"
    r"|version|unsubscribe|public)",
    re.IGNORECASE,
)


def find_secrets(
    payloads: Iterable[Any], contents: Contents, keys: Iterable[str]
) -> dict[str, str]:
    """Value -> the name under which it was found. `keys`: the fields that tell the job, which a log
    is to name.
    """
    exempt = {key.rpartition(".")[2] for key in keys}
    found: dict[str, str] = {}
    for payload in payloads:
        for name, value in _list_fields(payload):
            if name not in exempt and _is_secret(name, value):
                found.setdefault(value, name)
    for table, rows in contents.items():
        for row in rows.values():
            for name, value in row.items():
                if name not in exempt and _is_secret(name, value):
                    found.setdefault(value, f"{table}.{name}")
    return found


def find_places(contents: Contents, secrets: Iterable[str]) -> list[str]:
    """ "table.column" of each value that one of the secrets is in."""
    sought = tuple(secrets)
    found: dict[str, None] = {}
    for table, rows in contents.items():
        for row in rows.values():
            for name, value in row.items():
                if any(secret in str(value) for secret in sought):
                    found[f"{table}.{name}"] = None
    return list(found)


def _list_fields(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _list_fields(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _list_fields(inner, name)
    else:
        yield name, value


def _is_secret(name: str, value: Any) -> bool:
    if not isinstance(value, str) or _COORDINATES.search(name) or not _can_be_found(value):
        return False
    return _MORE.search(name) is not None or mask_member(name, value) is not None


def _can_be_found(value: str) -> bool:
    """Whether a text that has this value in it hardly has it by chance."""
    is_plain = value.isalpha() or value.isdigit()
    return len(value) >= (_SHORTEST_WORD if is_plain else _SHORTEST)
