"""The Telemetry section compiles into a JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from skillrun.contract.markdown import Bullet
from skillrun.contract.skill import load_skill
from skillrun.contract.telemetry import TelemetryField, read_field, telemetry_schema


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("how: `a | b | c`", "enum", ("a", "b", "c")),
        ("how: `a | b` (subset)", "list", ("a", "b")),
        ("skill: `ops/x`", "const", ("ops/x",)),
        ("who: `<name>`", "string", ()),
        ("endpoint: `<method> <path>`", "string", ()),
        ("many: count", "integer", ()),
        ("files_touched", "list", ()),
        ("`files_touched`", "list", ()),
        ("**how**: `a | b`", "enum", ("a", "b")),
        ("artifacts: migration file(s)", "list", ()),
    ],
)
def test_each_form_of_a_field(text: str, kind: str, values: tuple[str, ...]) -> None:
    found = read_field(Bullet(text, 7))
    assert found is not None
    assert (found.kind, found.values, found.line) == (kind, values, 7)


def test_a_sentence_is_no_field() -> None:
    assert read_field(Bullet("Do not log secrets, ever", 1)) is None


FIELDS = (
    TelemetryField("skill", "const", ("ops/x",), 1),
    TelemetryField("how", "enum", ("purge", "move"), 2),
    TelemetryField("dropped", "integer", (), 3),
    TelemetryField("files_touched", "list", (), 4),
    TelemetryField("target", "string", (), 5, optional=True),
    TelemetryField("outcome", "enum", ("success", "partial", "blocked"), 6),
)
KNOWN = {
    "skill": "ops/x",
    "how": "move",
    "dropped": 3,
    "files_touched": ["a"],
    "target": "q",
    "outcome": "success",
}


def valid(**changes: Any) -> bool:
    schema = telemetry_schema(FIELDS)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema).is_valid({**KNOWN, **changes})


def test_a_complete_record_is_valid() -> None:
    assert valid()
    assert valid(files_touched="one file")


@pytest.mark.parametrize("field", ["how", "dropped", "files_touched"])
def test_what_is_unknown_is_null_until_success(field: str) -> None:
    assert valid(outcome="blocked", **{field: None})
    assert not valid(outcome="success", **{field: None})


def test_what_need_not_be_known_may_stay_null() -> None:
    assert valid(target=None)


@pytest.mark.parametrize(
    "changes",
    [
        {"how": "burn"},
        {"dropped": -1},
        {"dropped": "3"},
        {"skill": "ops/y"},
        {"outcome": None},
        {"files_touched": 3},
        {"extra": 1},
    ],
)
def test_a_wrong_value_is_not_valid(changes: dict[str, Any]) -> None:
    assert not valid(**changes)


def test_a_missing_field_is_not_valid() -> None:
    record = {key: value for key, value in KNOWN.items() if key != "how"}
    assert not Draft202012Validator(telemetry_schema(FIELDS)).is_valid(record)


def test_a_skill_without_the_section_has_an_empty_record(tmp_path: Path) -> None:
    path = tmp_path / "SKILL.md"
    path.write_text("---\nname: a\ndescription: b\n---\n## Workflow\n1. a\n")
    assert Draft202012Validator(telemetry_schema(load_skill(path).telemetry)).is_valid({})
