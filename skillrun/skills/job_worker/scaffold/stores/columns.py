"""The columns of a dedupe table: the key fields of a job, with the types that their schema
gives.
"""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked, Refused

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# What every database can hold in a unique index.
TEXT_LENGTH = 255
_TYPES = {"integer": "int", "string": "str", "number": "float", "boolean": "bool"}


@dataclass(frozen=True)
class Column:
    """A key field as a column, and as a parameter of the same name."""

    name: str
    annotation: str  # int | str | float | bool
    length: int = TEXT_LENGTH  # of text

    @property
    def parameter(self) -> str:
        """ "order_id: int"."""
        return f"{self.name}: {self.annotation}"

    @property
    def given(self) -> str:
        """ "order_id=order_id", for a call by keyword."""
        return f"{self.name}={self.name}"


def key_columns(spec: JobSpec) -> tuple[Column, ...]:
    """The columns in the order of the key. A dotted field has the name of its last part, where that
    is enough.

    Raises Blocked where a field is no plain value, Refused where its name is no identifier.
    """
    fields: Sequence[str] = ()
    if spec.idempotency:
        fields = spec.idempotency.key
    names = [field.rpartition(".")[2] for field in fields]
    if len(set(names)) < len(names):
        names = [field.replace(".", "_") for field in fields]
    pairs = zip(fields, names, strict=True)
    return tuple(_make_column(spec, field, name) for field, name in pairs)


def _make_column(spec: JobSpec, field: str, name: str) -> Column:
    where = f"{spec.shown_path}:{spec.line('idempotency', 'key')}: idempotency.key: {field}"
    if not name.isidentifier() or keyword.iskeyword(name):
        raise Refused(
            f"{where} is no name of a column",
            hint="choose a payload field whose name is an identifier",
        )
    schema = _schema(spec.payload or {}, field)
    annotation = _annotation(schema)
    if annotation is None:
        hint = f"payload.properties.{field}: give it one type: string, integer, number or boolean"
        raise Blocked(f"{where} has no type that a column can have", hint=hint)
    longest = schema.get("maxLength")
    if not isinstance(longest, int) or longest <= 0:
        longest = TEXT_LENGTH
    return Column(name, annotation, longest)


def _schema(payload: dict[str, Any], field: str) -> dict[str, Any]:
    found: Any = payload
    for part in field.split("."):
        properties = None
        if isinstance(found, dict):
            properties = found.get("properties")
        found = None
        if isinstance(properties, dict):
            found = properties.get(part)
    if not isinstance(found, dict):
        return {}
    return found


def _annotation(schema: dict[str, Any]) -> str | None:
    """By the type; without one, by the only type of the values that are allowed."""
    if isinstance(schema.get("type"), str):
        return _TYPES.get(schema["type"])
    if isinstance(schema.get("enum"), list):
        values = schema["enum"]
    elif "const" in schema:
        values = [schema["const"]]
    else:
        values = []
    kinds = {type(value).__name__ for value in values}
    if len(kinds) == 1 and kinds <= set(_TYPES.values()):
        return next(iter(kinds))
    return None


def remembered(*, done: bool, buries: bool) -> str:
    """What a store keeps, for the first line of its module."""
    words = []
    if done:
        words.append("what is done")
    if buries:
        words.append("what was given up")
    return ", and ".join(words)
