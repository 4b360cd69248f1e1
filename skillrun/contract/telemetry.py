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
        return _described(key, form, item.line, optional)
    return _coded(key, code[1].strip(), form, item.line, optional)


def _described(key: str, form: str, line: int, optional: bool) -> TelemetryField:
    if re.match(r"(count|number|integer)\b", form, re.IGNORECASE):
        return TelemetryField(key, "integer", (), line, optional)
    return TelemetryField(key, "list", (), line, optional)


def _coded(key: str, code: str, form: str, line: int, optional: bool) -> TelemetryField:
    choices = tuple(choice.strip() for choice in code.split("|") if choice.strip())
    if "<" in code:
        return TelemetryField(key, "string", (), line, optional)
    if len(choices) > 1:
        return TelemetryField(key, "list" if "subset" in form else "enum", choices, line, optional)
    return TelemetryField(key, "const", choices or (code,), line, optional)


def telemetry_schema(fields: Sequence[TelemetryField]) -> dict[str, Any]:
    """The JSON Schema of a skill's own telemetry record.

    A field that is not known is null; where the outcome is success, everything must be known (save
    what is marked "if known").
    """
    known = {field.key: _known(field) for field in fields}
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": list(known),
        "additionalProperties": False,
        "properties": {
            key: form if key in _SURE else {"anyOf": [form, {"type": "null"}]}
            for key, form in known.items()
        },
    }
    strict = {}
    for field in fields:
        if not field.optional and field.key not in _SURE:
            strict[field.key] = {"not": {"type": "null"}}
    if "outcome" in known and strict:
        schema["if"] = {"properties": {"outcome": {"const": "success"}}, "required": ["outcome"]}
        schema["then"] = {"properties": strict}
    return schema


def _known(field: TelemetryField) -> dict[str, Any]:
    match field.kind:
        case "const":
            return {"const": field.values[0]}
        case "enum":
            return {"enum": list(field.values)}
        case "integer":
            return {"type": "integer", "minimum": 0}
        case "string":
            return {"type": "string"}
    item: dict[str, Any] = {"enum": list(field.values)} if field.values else {"type": "string"}
    return {"anyOf": [{"type": "array", "items": item, "uniqueItems": True}, item]}
