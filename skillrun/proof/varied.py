"""Payloads that are other jobs than the first example: each has another value in one of the key
fields.

Nothing is drawn by lot: the same spec gives the same payloads in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from skillrun.proof.jobs import get_field, with_values
from skillrun.proof.other_values import MOST, list_other_numbers, list_other_texts

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# The number of the first of them; no other job has one above it.
VARIED = 2_000
ENOUGH = 10  # of these must reach an effect, or it is said
# Halves and quarters are exact in binary, a cent is not.
_FRACTIONS = (0.5, 0.25, 0.01)


def varied_payloads(spec: JobSpec) -> dict[int, Any]:
    """By job number; empty where no key field says what makes another job."""
    first = spec.examples[0] if spec.examples else None
    if not isinstance(first, dict) or spec.idempotency is None:
        return {}
    fields = [field for field in spec.idempotency.key if get_field(first, field) is not None]
    found: list[Any] = []
    for field in fields:
        found += _of_field(spec, first, field, MOST // len(fields))
    return dict(enumerate(found, start=VARIED))


def _of_field(spec: JobSpec, first: Any, field: str, most: int) -> list[Any]:
    """The first so many that the payload's schema allows."""
    import jsonschema

    check = jsonschema.validators.validator_for(spec.payload or {})(spec.payload or {})
    now = get_field(first, field)
    seen, found = {repr(now)}, list[Any]()
    for value in _other_values(now, _schema_of(spec.payload, field)):
        payload = with_values(first, {field: value})
        if repr(value) in seen or not check.is_valid(payload):
            continue
        seen.add(repr(value))
        found.append(payload)
        if len(found) == most:
            break
    return found


def _schema_of(schema: Any, field: str) -> dict[str, Any]:
    for part in field.split("."):
        schema = (schema or {}).get("properties", {}).get(part, {})
    if isinstance(schema, dict):
        return schema
    return {}


def _other_values(value: Any, schema: dict[str, Any]) -> Iterable[Any]:
    if schema.get("enum"):
        return [other for other in schema["enum"] if other != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return list_other_numbers(value)
    if isinstance(value, float):
        return [value + step for step in (*range(1, MOST), *_FRACTIONS)]
    if isinstance(value, str):
        return list_other_texts(value)
    return []


def name_varied_field(spec: JobSpec, payload: Any) -> str | None:
    """The key field in which a payload is another than the first example's."""
    first = spec.examples[0] if spec.examples else None
    for field in spec.idempotency.key if spec.idempotency else ():
        if get_field(payload, field) != get_field(first, field):
            return field
    return None
