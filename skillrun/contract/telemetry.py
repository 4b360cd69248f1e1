"""The fields that the Telemetry section of a skill names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from skillrun.contract.markdown import Bullet

FieldKind = Literal["enum", "string", "integer", "list", "const"]

_FIELD = re.compile(
    r"[`*_]{0,3}(?P<key>[A-Za-z][A-Za-z0-9_.-]*?)[`*_]{0,3}\s*(?::\s*(?P<form>.*))?", re.DOTALL
)
_CODE = re.compile(r"`([^`]+)`")


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
