"""The Telemetry section of a skill: its fields, and the JSON Schema that a telemetry record must
satisfy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from skillrun.contract.markdown import Bullet

FieldKind = Literal["enum", "string", "integer", "list", "const"]

_FIELD = re.compile(
    r"[`*_]{0,3}(?P<key>[A-Za-z][A-Za-z0-9_.-]*?)[`*_]{0,3}\s*(?::\s*(?P<form>.*))?", re.DOTALL
)
_CODE = re.compile(r"`([^`]+)`")
# Known from the beginning, so never null.
_SURE = {"skill", "outcome"}


@dataclass(frozen=True)
class TelemetryField:
    """One field that the skill reports. `values`: the choices of an enum or a list, or the one
    value of a const.
    """

    key: str
    kind: FieldKind
    values: tuple[str, ...]
    line: int
    optional: bool = False  # "(if known)": may stay unknown even when the outcome is success


def read_field(item: Bullet) -> TelemetryField | None:
    """A bullet of the section as a field, None where it is no `key` or `key: form`."""
    match = _FIELD.fullmatch(item.text.strip())
    if match is None:
        return None
    key, form = match["key"], (match["form"] or "").strip()
    optional = bool(re.search(r"\bif (known|present|available|any)\b", form))
    code = _CODE.search(form)
    if code is None:
        return _field_in_words(key, form, item.line, optional)
    return _field_in_code(key, code[1].strip(), form, item.line, optional)


def _field_in_words(key: str, form: str, line: int, optional: bool) -> TelemetryField:
    """A field whose form is told in words: `retries: count of attempts`."""
    if re.match(r"(count|number|integer)\b", form, re.IGNORECASE):
        return TelemetryField(key, "integer", (), line, optional)
    return TelemetryField(key, "list", (), line, optional)


def _field_in_code(key: str, code: str, form: str, line: int, optional: bool) -> TelemetryField:
    """A field whose form stands in backticks: `a | b`, `<text>`, or the one value."""
    choices = tuple(choice.strip() for choice in code.split("|") if choice.strip())
    if "<" in code:
        return TelemetryField(key, "string", (), line, optional)
    if len(choices) > 1 and "subset" in form:
        return TelemetryField(key, "list", choices, line, optional)
    if len(choices) > 1:
        return TelemetryField(key, "enum", choices, line, optional)
    return TelemetryField(key, "const", choices or (code,), line, optional)


def telemetry_schema(fields: Sequence[TelemetryField]) -> dict[str, Any]:
    """The JSON Schema of a skill's own telemetry record.

    A field that is not known is null; where the outcome is success, everything must be known (save
    what is marked "if known").
    """
    known = {field.key: _schema_of_known(field) for field in fields}
    properties: dict[str, Any] = {}
    strict = {}
    for key, form in known.items():
        properties[key] = form
        if key not in _SURE:
            properties[key] = {"anyOf": [form, {"type": "null"}]}
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": list(known),
        "additionalProperties": False,
        "properties": properties,
    }
    for field in fields:
        if not field.optional and field.key not in _SURE:
            strict[field.key] = {"not": {"type": "null"}}
    if "outcome" in known and strict:
        schema["if"] = {"properties": {"outcome": {"const": "success"}}, "required": ["outcome"]}
        schema["then"] = {"properties": strict}
    return schema


def _schema_of_known(field: TelemetryField) -> dict[str, Any]:
    """The schema of a field's value where it is known."""
    match field.kind:
        case "const":
            return {"const": field.values[0]}
        case "enum":
            return {"enum": list(field.values)}
        case "integer":
            return {"type": "integer", "minimum": 0}
        case "string":
            return {"type": "string"}
    item: dict[str, Any] = {"type": "string"}
    if field.values:
        item = {"enum": list(field.values)}
    # One item may stand without its list.
    return {"anyOf": [{"type": "array", "items": item, "uniqueItems": True}, item]}
