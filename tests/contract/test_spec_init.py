"""A first spec is valid, completes in an editor, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillrun.contract.languages import LANGUAGES
from skillrun.contract.spec import load_spec
from skillrun.contract.spec_init import QUESTIONS, Question, new_spec, values_from, write_spec
from skillrun.contract.yamlpos import load_positions
from skillrun.core.errors import Misuse, Refused, SpecInvalid
from skillrun.core.resources import resource


def test_a_spec_holds_what_is_known_and_shows_the_rest(tmp_path: Path) -> None:
    values = {
        "job": "tidy",
        "idempotency.strategy": "unknown",
        "trigger": {"type": "cron", "schedule": "*/5 * * * *"},
    }
    text = new_spec(values)
    assert text.startswith("# yaml-language-server: $schema=./job-spec.v1.json\n")
    assert "\n# retry: {max_attempts: 5" in text
    path = write_spec(tmp_path, text, values)
    assert path == tmp_path / ".skillrun" / "jobs" / "tidy.yaml"
    assert (path.parent / "job-spec.v1.json").read_bytes() == resource(
        "schemas", "job-spec.v1.json"
    ).read_bytes()
    spec = load_spec(path)
    assert spec.raw == {
        "version": 1,
        "job": "tidy",
        "trigger": {"type": "cron", "schedule": "*/5 * * * *"},
        "idempotency": {"strategy": "unknown"},
    }


def test_every_commented_line_is_valid_once_it_is_used(tmp_path: Path) -> None:
    lines = new_spec({"job": "tidy"}).split("\n")
    shown = [
        line[2:]
        for line in lines
        if line.startswith("# ") and line[2:].partition(":")[0].replace("_", "").isalpha()
    ]
    fields = [
        line
        for line in shown
        if line.partition(":")[0] in _fields() and not line.startswith("payload: the")
    ]
    path = tmp_path / "job.yaml"
    path.write_text("version: 1\njob: tidy\n" + "\n".join(fields) + "\n")
    assert set(load_spec(path).raw) == _fields() - {"waivers", "inputs"}


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_spec_of_another_language_shows_that_languages_names(
    tmp_path: Path, language: str
) -> None:
    """The first agents met import paths, Python's errors and a proof in a spec of a Go job."""
    handler = LANGUAGES[language].handler
    text = new_spec({"job": "tidy", "language": language, "handler": handler})
    for word in ("import path", "package.", "TimeoutError", "A proof", "fault injection"):
        assert word not in text
    path = tmp_path / "job.yaml"
    used = []
    for line in text.split("\n"):
        # "# retry: {max_attempts: 5, ..."
        if line.startswith("# ") and (": {" in line or ": [" in line):
            line = line.removeprefix("# ")
        used.append(line)
    path.write_text("\n".join(used))
    spec = load_spec(path)
    assert {"payload", "enqueue", "effects", "failures", "retry"} <= set(spec.raw)
    assert spec.raw["effects"][0]["call"] == LANGUAGES[language].adapter


def _fields() -> set[str]:
    from skillrun.contract.spec import spec_schema

    return set(spec_schema()["properties"])


def test_values_may_come_from_the_command_line() -> None:
    values = values_from(
        {"job": "tidy", "retry.max_attempts": "3", "idempotency.key": "[a, b]", "effects": "[]"}
    )
    assert load_positions(new_spec(values)).value == {
        "version": 1,
        "job": "tidy",
        "retry": {"max_attempts": 3},
        "idempotency": {"key": ["a", "b"]},
        "effects": [],
    }


@pytest.mark.parametrize(
    ("values", "error", "expected"),
    [
        ({}, Misuse, "needs a name"),
        ({"job": "Bad Name"}, SpecInvalid, "job: Bad Name is not"),
        (
            {"job": "a", "retry.max_attempts": 0, "message": "x"},
            SpecInvalid,
            "message: x is none of the choices",
        ),
        ({"job": "a", "job.x": 1}, Misuse, "has no member x"),
        ({"job": "a", "effects.3.name": 1}, Misuse, "has only 0 items"),
        ({"job": "a", "nonsense": 1}, SpecInvalid, "nonsense: is not a known key"),
    ],
)
def test_wrong_values_are_refused(
    values: dict[str, Any], error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        new_spec(values)


def test_a_spec_that_is_there_is_kept(tmp_path: Path) -> None:
    values = {"job": "tidy"}
    path = write_spec(tmp_path, new_spec(values), values)
    with pytest.raises(SpecInvalid, match="is there already"):
        write_spec(tmp_path, "other", values)
    assert path.read_text() == new_spec(values)


def test_nothing_is_written_outside_the_repository(tmp_path: Path) -> None:
    repo, outside = tmp_path / "repo", tmp_path / "outside"
    repo.mkdir()
    outside.mkdir()
    (repo / ".skillrun").symlink_to(outside)
    with pytest.raises(Refused, match="leads out of"):
        write_spec(repo, "x", {"job": "tidy"})
    assert list(outside.rglob("*.*")) == []


def test_a_linked_schema_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep")
    folder = tmp_path / "repo" / ".skillrun" / "jobs"
    folder.mkdir(parents=True)
    (folder / "job-spec.v1.json").symlink_to(target)
    write_spec(tmp_path / "repo", new_spec({"job": "tidy"}), {"job": "tidy"})
    assert target.read_text() == "keep"


@pytest.mark.real
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_words_survive(what: str, why: str) -> None:
    values = {"job": "tidy", "intent.what": "x" + what, "intent.why_async": why + "x"}
    assert load_positions(new_spec(values)).value["intent"] == {
        "what": "x" + what,
        "why_async": why + "x",
    }


ANSWERS = {
    "job": "tidy",
    "intent.what": "Tidies: all",
    "intent.why_async": "It takes long",
    "trigger.schedule": "*/5 * * * *",
    "payload": "order_id:integer, email",
    "payload.examples": '{"order_id": 7, "email": "a"}',
    "handler": "shop.tasks:tidy",
    "idempotency.key": "order_id",
    "idempotency.dedupe.store": "table done",
    "idempotency.invariant.statement": "Same values again",
    "idempotency.invariant.guarded_by": "unique index",
    "effects": "shop.mailer:send, shop.sms:send, shop.bank:pay",
    "dead_letter.reason": "Nobody would look",
}


@pytest.mark.parametrize("trigger", ["event", "cron", "poller"])
@pytest.mark.parametrize("strategy", ["keyed", "invariant", "unknown"])
@pytest.mark.parametrize("dead", ["table", "queue", "framework", "none"])
def test_the_questions_lead_to_a_valid_spec(
    tmp_path: Path, trigger: str, strategy: str, dead: str
) -> None:
    answers = {
        **ANSWERS,
        "trigger.type": trigger,
        "idempotency.strategy": strategy,
        "dead_letter.kind": dead,
    }
    values: dict[str, Any] = {}
    for question in QUESTIONS:
        if question.when is None or values.get(question.when[0]) == question.when[1]:
            values[question.path] = question.value(
                answers.get(question.path) or question.default or ""
            )
    spec = load_spec(write_spec(tmp_path, new_spec(values), values))
    assert spec.trigger and spec.trigger.type == trigger
    assert spec.effects and [effect.name for effect in spec.effects] == ["send-1", "send-2", "pay"]
    assert spec.examples == ({"order_id": 7, "email": "a"},)


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        (Question("a", "", "", ("x", "y")), "z", "one of x, y"),
        (Question("a", "", "", form="number"), "many", "a whole number"),
        (Question("a", "", "", form="fields"), "a:thing", "name:type"),
        (Question("a", "", "", form="fields"), "a b", "name:type"),
        (Question("a", "", "", form="example"), "{", "a JSON object"),
    ],
)
def test_an_answer_that_makes_no_sense_is_explained(
    question: Question, answer: str, expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        question.value(answer)


def test_every_question_has_a_reason_and_a_path_in_the_schema() -> None:
    for question in QUESTIONS:
        assert question.question.endswith("?") and question.why
        assert question.path.partition(".")[0] in _fields()
