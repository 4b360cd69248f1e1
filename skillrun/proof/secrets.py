"""The secrets of a job: what its payload and its rows hold under the name of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from skillrun.core.masking import mask_member
from skillrun.proof.rivals import Contents

# Example rows have short ones (`whsec_1`, `hunter2`). A short word, or a short number, is found in
# any text.
_SHORTEST, _SHORTEST_WORD = 5, 8
_MORE = re.compile(
    r"card_?(number|no|token)|pan$|iban|cvv|account_?number|ssn|tax_?id", re.IGNORECASE
)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_NUMBER_NAME = re.compile(r"phone|mobile|msisdn|cell", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[\d ()/-]{7,}")
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
    return dict(_list_values(payloads, contents, keys, _is_secret))


def find_addresses(
    payloads: Iterable[Any], contents: Contents, keys: Iterable[str]
) -> dict[str, str]:
    """As `find_secrets`: what leads to a person, a mail address or a number to call."""
    return dict(_list_values(payloads, contents, keys, _is_address))


def _list_values(
    payloads: Iterable[Any],
    contents: Contents,
    keys: Iterable[str],
    is_meant: Callable[[str, Any], bool],
) -> Iterator[tuple[str, str]]:
    """(value, the name under which it was found), a value once."""
    exempt = {key.rpartition(".")[2] for key in keys}
    fields: list[tuple[str, str, Any]] = []
    for payload in payloads:
        fields += ((name, name, value) for name, value in _list_fields(payload))
    for table, rows in contents.items():
        for row in rows.values():
            fields += ((name, f"{table}.{name}", value) for name, value in row.items())
    seen = set[str]()
    for name, place, value in fields:
        if name not in exempt and is_meant(name, value) and value not in seen:
            seen.add(value)
            yield value, place


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


def _is_address(name: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    is_number = _NUMBER_NAME.search(name) is not None and _NUMBER.fullmatch(value) is not None
    return is_number or _MAIL.fullmatch(value) is not None


def _is_secret(name: str, value: Any) -> bool:
    if not isinstance(value, str) or _COORDINATES.search(name) or not _can_be_found(value):
        return False
    return _MORE.search(name) is not None or mask_member(name, value) is not None


def _can_be_found(value: str) -> bool:
    """Whether a text that has this value in it hardly has it by chance."""
    is_plain = value.isalpha() or value.isdigit()
    return len(value) >= (_SHORTEST_WORD if is_plain else _SHORTEST)
