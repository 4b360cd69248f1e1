"""Whether a message that a job publishes to its own task is a further attempt, or another job:
the next page, the next item of its kind, a follow-up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from skillrun.core.literals import read_literal
from skillrun.proof.history import Delivery
from skillrun.proof.jobs import get_field


def find_other_jobs(
    delivery: Delivery, own: Mapping[str, Any], key: Iterable[str]
) -> frozenset[int]:
    """The numbers of the publishes of a delivery whose messages are another job's than `own`, its
    own message: another value in one of the key fields. Where a message does not say its key
    fields, it is a further attempt.
    """
    key = tuple(key)
    fields = _read_fields(own)
    found = set()
    for event in delivery.retries:
        published = _read_fields(event["message"] or {})
        if _differs_in_key(fields, published, key):
            found.add(event.number)
    return frozenset(found)


def name_job(message: Mapping[str, Any], key: Iterable[str]) -> str:
    """`loan_id=1, level=2`: the job of a message by its key fields; all of its arguments where it
    does not say these.
    """
    fields = _read_fields(message)
    values = {name: get_field(fields, name) for name in key}
    if not values or None in values.values():
        return str(message.get("arguments"))
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _differs_in_key(
    own: Mapping[str, Any], published: Mapping[str, Any], key: Iterable[str]
) -> bool:
    differs = False
    for name in key:
        mine, other = get_field(own, name), get_field(published, name)
        if mine is None or other is None:
            return False
        differs = differs or mine != other
    return differs


def _read_fields(message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a message that its driver has told the arguments of, see
    `Probe.bind_arguments`: those of the function, and those of a payload that is passed whole. What
    is no literal is its text.

    "[('order_id', '7')]" -> {"order_id": 7}
    """
    told = message.get("arguments")
    if not isinstance(told, str):
        return {}
    fields: dict[str, Any] = {}
    for name, text in read_literal(told):
        value = _read_literal(text)
        if isinstance(value, dict):
            fields = {**value, **fields}
        fields[name] = value
    return fields


def _read_literal(text: str) -> Any:
    try:
        return read_literal(text)
    except (ValueError, SyntaxError):
        return text
