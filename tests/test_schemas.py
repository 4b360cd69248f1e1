"""The published schemas: valid, explained field by field, and satisfied by what ships."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helpers
import pytest
import yaml
from jsonschema import Draft202012Validator

from skillrun.core.errors import SkillrunError
from skillrun.core.verdict import Grade, Outcome, RiskGrade, Severity, Status

SCHEMAS = sorted((helpers.ROOT / "schemas").glob("*.json"))
EXAMPLES = sorted((helpers.ROOT / "skills").glob("*/examples/**/.skillrun/jobs/*.yaml"))


def schema(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((helpers.ROOT / "schemas" / name).read_text())
    return value


def fields(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, schema) of every property that the schema names."""
    if isinstance(value, dict):
        for name, inner in (value.get("properties") or {}).items():
            if isinstance(inner, dict):
                yield f"{path}.{name}", inner
        for key, inner in value.items():
            if key not in (
                "examples",
                "enum",
                "const",
                "default",
                "allOf",
                "if",
                "then",
                "else",
                "not",
                "dependentSchemas",
            ):
                yield from fields(inner, f"{path}.{key}" if key != "properties" else path)
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from fields(inner, f"{path}.{number}")


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda p: p.name)
def test_a_schema_is_valid_and_says_what_it_is(path: Path) -> None:
    value = json.loads(path.read_text())
    Draft202012Validator.check_schema(value)
    assert value["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert value["title"]
    assert value["description"]
    assert path.name.endswith(".v1.json")


@pytest.mark.parametrize(
    "name",
    (
        "job-spec",
        "repo-profile",
        "policy",
        "report",
        "detect",
        "jobs",
        "proofs",
        "verification",
        "scaffold",
        "ledger-anchor",
        "proof-statement",
        "telemetry",
    ),
)
def test_an_editor_can_explain_every_field(name: str) -> None:
    silent = [
        path
        for path, field in fields(schema(f"{name}.v1.json"))
        if not ({"description", "title"} & set(field) or "$ref" in field)
    ]
    assert silent == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: "/".join(p.parts[-5:]))
def test_the_examples_satisfy_the_schema(path: Path) -> None:
    value = yaml.safe_load(path.read_text())
    assert list(Draft202012Validator(schema("job-spec.v1.json")).iter_errors(value)) == []


def enums(value: Any, name: str) -> set[str]:
    """All words that a property of this name may take, wherever it stands."""
    found: set[str] = set()
    for path, field in fields(value):
        if path.endswith(f".{name}"):
            found |= {word for word in resolved(value, field).get("enum", ()) if word is not None}
    return found


def resolved(root: dict[str, Any], field: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in field:
        target: Any = root
        for step in field["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        field = target
    options = [resolved(root, option) for option in field.get("anyOf", field.get("oneOf", ()))]
    return {
        **field,
        "enum": [
            *field.get("enum", ()),
            *(word for option in options for word in option.get("enum", ())),
        ],
    }


@pytest.mark.parametrize(
    ("name", "words"),
    (("status", Status), ("grade", Grade), ("outcome", Outcome), ("severity", Severity)),
)
def test_the_report_uses_the_words_of_the_code(name: str, words: Any) -> None:
    report = schema("report.v1.json")
    del report["properties"]["risks"]  # a risk's grade is another word
    assert enums(report, name) == {str(word) for word in words}


@pytest.mark.parametrize("name", ["report.v1.json", "proof.v1.json", "proof-statement.v1.json"])
def test_a_risk_has_the_grades_of_the_code(name: str) -> None:
    risks = {"properties": {"risks": schema(name)["properties"]["risks"]}}
    assert enums(risks, "grade") == {str(word) for word in RiskGrade}


@pytest.mark.parametrize("name", ["proof.v1.json", "proof-statement.v1.json"])
def test_a_proof_knows_every_guarantee_of_a_spec(name: str) -> None:
    given = enums(schema("job-spec.v1.json"), "guarantee")
    assert enums(schema(name), "declared") == given | {"none"}


def test_the_report_names_nothing_that_the_code_lacks() -> None:
    properties = schema("report.v1.json")["properties"]
    expected = {
        "schema_version",
        "run",
        "outcome",
        "stages",
        "checks",
        "recommendations",
        "next",
        "telemetry",
        "ledger",
    }
    assert expected <= set(properties)
    assert expected <= set(schema("report.v1.json")["required"])


def test_exit_codes_are_those_of_the_design() -> None:
    from skillrun.cli.commands.common import EXIT_CODES
    from skillrun.core import errors

    assert EXIT_CODES == {"success": 0, "partial": 1, "blocked": 3}
    assert (SkillrunError.exit_code, errors.Misuse.exit_code, errors.Blocked.exit_code) == (
        70,
        2,
        3,
    )
    assert {kind.exit_code for kind in errors.Refused.__subclasses__()} == {4}
