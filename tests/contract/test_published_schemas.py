"""The published schemas: valid, explained field by field, without addresses, and in step with the
code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from skillrun import __version__
from skillrun.contract import job
from skillrun.contract.duration import PATTERN, parse_duration
from skillrun.core.resources import resource
from skillrun.wall.gaming.spec_places import spec_places

NAMES = ["job-spec", "repo-profile", "report", "detect", "scaffold"]


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(resource("schemas", f"{name}.v1.json").read_text("utf-8"))
    return loaded


def fields(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property that is described with something, also inside definitions and items."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from fields(item, f"{path}.{index}")
    if not isinstance(value, dict):
        return
    for name, form in value.items():
        if name == "properties" and not path.endswith(("if", "then", "else", ".key")):
            for key, inner in form.items():
                yield f"{path}.{key}", inner
        yield from fields(form, f"{path}.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_has_no_address_of_its_own(name: str) -> None:
    found = schema(name)
    Draft202012Validator.check_schema(found)
    assert found["$id"] == f"urn:skillrun:{name}:v1"
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.dumps(found).count("://") == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_explained(name: str) -> None:
    found = list(fields(schema(name)))
    assert len(found) > 10
    for path, form in found:
        assert form.get("title") and form.get("description"), path


MODELS: dict[str, type[job.Part]] = {
    "": job.JobSpec,
    "intent": job.Intent,
    "trigger": job.Trigger,
    "enqueue": job.Enqueue,
    "recovers[]": job.Sweep,
    "worker": job.Worker,
    "failures": job.Failures,
    "$idempotency": job.Idempotency,
    "$effect": job.Effect,
    "$retry": job.Retry,
    "$backoff": job.BackoffSpec,
    "$deadLetter": job.DeadLetter,
    "$proof": job.Proof,
}
OUR_OWN = {"raw", "sha256", "path", "shown_path", "lines"}


def form_of(part: str) -> dict[str, Any]:
    """The schema of a part: "" is the whole, `$effect` a definition, `recovers[]` an item."""
    whole = schema("job-spec")
    if part.startswith("$"):
        found: dict[str, Any] = whole["$defs"][part[1:]]
    elif part.endswith("[]"):
        found = whole["properties"][part[:-2]]["items"]
    elif part:
        found = whole["properties"][part]
    else:
        found = whole
    return found


@pytest.mark.parametrize("part", MODELS)
def test_schema_and_objects_have_the_same_fields(part: str) -> None:
    form = form_of(part)
    assert set(form["properties"]) == set(MODELS[part].model_fields) - OUR_OWN
    assert form["additionalProperties"] is False


def test_each_word_that_was_added_names_the_release_that_reads_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "spec.md").read_text()
    rows = set(re.findall(r"^\| `([^`]+)` \| ([\d.]+) \|", page, re.MULTILINE))
    added = set()
    for place, form in spec_places().items():
        if "x-since" in form:
            # An error is described alike in each of its lists.
            named = re.sub(r"^failures\.\w+\[\]", "failures.*[]", place)
            added.add((named, form["x-since"]))
    assert added
    assert rows == added
    for _, release in added:
        assert numbered(release) <= numbered(__version__)


def numbered(release: str) -> tuple[int, ...]:
    return tuple(int(step) for step in release.split("."))


@pytest.mark.parametrize("text", ["90s", "1.5h", "500ms", "7d", "5", "5 s", "-1s", "1h30m", ""])
def test_schema_and_code_agree_on_durations(text: str) -> None:
    by_schema = Draft202012Validator(schema("job-spec")["$defs"]["duration"]).is_valid(text)
    by_pattern = Draft202012Validator({"pattern": PATTERN}).is_valid(text)
    try:
        parse_duration(text)
        by_code = True
    except ValueError:
        by_code = False
    assert by_schema == by_code == by_pattern


PROFILE = {
    "stack": {"frontend": "none", "backend": "django", "language": ["python"]},
    "commands": {"lint": "ruff check", "typecheck": "none", "test": "pytest", "build": "unknown"},
    "paths": {"frontend_root": "none", "backend_root": "."},
    "quality_bar": {"required_checks": ["test"], "validation_timeout": "10m"},
    "conventions": {"package_manager": "uv", "branches": {"main": "trunk"}},
    "jobs": {"framework": "celery", "app": None, "task_modules": ["a.py"], "evidence": ["a.py:1"]},
    "anything": ["else"],
}


def test_a_profile_keeps_unknown_keys_and_may_be_partial() -> None:
    validator = Draft202012Validator(schema("repo-profile"))
    assert validator.is_valid(PROFILE)
    assert validator.is_valid({})


@pytest.mark.parametrize(
    "change",
    [
        {"commands": {"lint": ""}},
        {"commands": []},
        {"commands": {"test": ["pytest"]}},
        {"stack": {"language": "python"}},
        {"jobs": {"task_modules": "a.py"}},
        {"quality_bar": {"required_checks": "test"}},
        {"conventions": {"package_manager": 3}},
    ],
)
def test_a_profile_of_wrong_types_is_refused(change: dict[str, Any]) -> None:
    assert not Draft202012Validator(schema("repo-profile")).is_valid({**PROFILE, **change})


FINDING = {
    "rule": "a.b",
    "severity": "error",
    "message": "m",
    "path": None,
    "line": None,
    "hint": None,
}
STAGE = {
    "id": "identify",
    "title": "t",
    "status": "passed",
    "grade": "static",
    "stale": False,
    "cached": False,
    "duration_ms": 3,
    "findings": [FINDING],
}
REPORT: dict[str, Any] = {
    "schema_version": 1,
    "run": {
        "id": "r",
        "skill": "a/b",
        "skill_sha": "0",
        "job": None,
        "repo": "/r",
        "git_head": None,
    },
    "outcome": "partial",
    "stages": [STAGE, {**STAGE, "summary": "s"}],
    "checks": [{"id": "c", "text": "t", "status": "blocked", "grade": None, "evidence": []}],
    "recommendations": [
        {"skill": "a", "reason": "r", "installed": False, "satisfied_by": None, "waived": None}
    ],
    "next": [{"stage": "identify", "action": "decide", "detail": "d"}],
    "telemetry": None,
    "ledger": {"path": "l", "head": None},
}


def test_a_report_satisfies_its_schema() -> None:
    Draft202012Validator(schema("report")).validate(REPORT)


@pytest.mark.parametrize("missing", REPORT)
def test_a_report_without_a_part_does_not(missing: str) -> None:
    assert not Draft202012Validator(schema("report")).is_valid(
        {k: v for k, v in REPORT.items() if k != missing}
    )


@pytest.mark.parametrize(
    "change", [{"status": "green"}, {"grade": "sure"}, {"findings": [{"rule": "a"}]}, {"stale": 1}]
)
def test_a_stage_with_other_words_does_not(change: dict[str, Any]) -> None:
    assert not Draft202012Validator(schema("report")).is_valid(
        {**REPORT, "stages": [{**STAGE, **change}]}
    )


def test_a_detection_satisfies_its_schema() -> None:
    place = {"path": "a.py", "line": 3, "text": "app = Celery()"}
    framework = {
        "id": "celery",
        "app": "a.py:app",
        "task_modules": [],
        "scheduler": None,
        "broker": "redis",
        "evidence": [place],
    }
    validator = Draft202012Validator(schema("detect"))
    found = {
        "schema_version": 1,
        "primary": "celery",
        "frameworks": [framework],
        "profile": PROFILE,
    }
    assert validator.is_valid(found)
    assert validator.is_valid({**found, "primary": None, "frameworks": []})
    assert not validator.is_valid({**found, "frameworks": [{"id": "celery"}]})
    assert not validator.is_valid({**found, "primary": 3})
