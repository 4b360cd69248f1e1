"""Which readings a proof answers, and which it cannot."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cases import build

import skillrun.skills.job_worker
from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.registry import FRAMEWORKS
from skillrun.proof.promises import JUDGED_BY
from skillrun.runner.findings import error, not_read
from skillrun.skills.job_worker.proving.answers import (
    ANSWERS,
    PROMISES_OF_STAGE,
    is_answered,
    make_disagreement,
)
from skillrun.skills.job_worker.stages.handler import WIRING_NOT_READ

FAMILIES = ("once", "redeliver", "kill", "error", "exhaustion", "permanent", "at-once", "distinct")


def report(*without: str, **verdicts: str) -> dict[str, Any]:
    """A proof's document in which all promises are proved but those that are given otherwise."""
    promises = {name: {"verdict": "proved", "schedules": 9} for name in JUDGED_BY}
    for name, verdict in verdicts.items():
        promises[name] = {"verdict": verdict, "schedules": 9, "reason": "why"}
    by = {question: {"by": "application"} for question in ("ran", "succeeded", "why", "retry")}
    families = {family: 1 for family in FAMILIES if family not in without}
    return {"properties": promises, "log_answers": by, "schedules": {"families": families}}


def wrong(rule: str) -> Finding:
    return error(rule, "wrong", path="shop/tasks.py", line=3)


def test_the_table_names_rules_that_there_are() -> None:
    """A rule that was renamed would stand against every proof again."""
    folder = Path(skillrun.skills.job_worker.__path__[0])
    files = [*folder.glob("stages/*.py"), *folder.glob("readings/**/*.py")]
    source = "\n".join(file.read_text() for file in files)
    slugs = {rule.id.partition(".")[2] for one in FRAMEWORKS.values() for rule in one.list_rules()}
    for rule in (rule for rules in ANSWERS.values() for rule in rules):
        stage, _, slug = rule.partition(".")
        made = re.search(rf'f"{stage}\.\{{|_differs\(|"{re.escape(rule)}"', source)
        assert (slug in slugs) if stage == "*" else made, rule


def test_every_promise_has_a_stage_and_its_row() -> None:
    assert set(ANSWERS) == set(JUDGED_BY)
    taken = [name for names in PROMISES_OF_STAGE.values() for name in names]
    assert sorted(taken) == sorted(JUDGED_BY)


@pytest.mark.parametrize("promise", [name for name in ANSWERS if ANSWERS[name]])
def test_a_proved_promise_answers_its_readings_and_no_other_one_does(promise: str) -> None:
    for rule in ANSWERS[promise]:
        finding = wrong(rule.replace("*", "celery"))
        assert is_answered("idempotency", finding, report())
        for verdict in ("refuted", "incomplete"):
            assert not is_answered("idempotency", finding, report(**{promise: verdict}))
        others = {name: "refuted" for name in JUDGED_BY if name != promise}
        assert is_answered("idempotency", finding, report(**others))


@pytest.mark.parametrize(
    "rule",
    [
        "celery.visibility-timeout",
        "django.select-for-update-outside-transaction",
        "idempotency.window-too-short",
        "idempotency.key-ignored",
        "idempotency.volatile-key",
        "idempotency.undefined",
        "retry.undefined",
        "rq.no-scheduler",
        "arq.shared-session",
        "taskiq.idle-timeout",
        "celery.publish-in-transaction",
        "observability.no-notes",
    ],
)
def test_what_a_proof_cannot_see_stays(rule: str) -> None:
    assert not is_answered("idempotency", wrong(rule), report())


@pytest.mark.parametrize(
    ("rule", "family"),
    [
        ("idempotency.store-not-unique", "at-once"),
        ("celery.check-then-act", "at-once"),
        ("celery.permanent-retried", "permanent"),
        ("idempotency.key-not-from-fields", "distinct"),
    ],
)
def test_a_rule_is_answered_where_its_schedules_were_run(rule: str, family: str) -> None:
    assert is_answered("idempotency", wrong(rule), report())
    assert not is_answered("idempotency", wrong(rule), report(family))


def test_a_question_that_the_logs_were_not_asked_is_not_answered() -> None:
    asked = report()
    assert is_answered("observability", wrong("observability.retries"), asked)
    asked["log_answers"]["retry"]["by"] = "not asked"
    assert not is_answered("observability", wrong("observability.retries"), asked)
    assert is_answered("observability", wrong("observability.ran"), asked)


def test_a_question_is_answered_where_the_promises_of_its_stage_are_proved() -> None:
    asked = not_read("retry", "its policy", "a decorator")
    assert is_answered("retry", asked, report())
    assert is_answered("retry", asked, report(logs="refuted"))
    assert not is_answered("retry", asked, report(delays="incomplete"))
    who = Finding(WIRING_NOT_READ, Severity.NOTE, "who publishes")
    assert not is_answered("handler", who, report())


def test_only_what_blocked_is_a_disagreement() -> None:
    found = make_disagreement(wrong("retry.backoff-differs"), report())
    assert found is not None
    assert found.as_json() == {
        "rule": "retry.backoff-differs",
        "read": "wrong",
        "path": "shop/tasks.py",
        "line": 3,
        "proof": "delays proved",
        "schedules": 9,
    }
    note = Finding("handler.effect-not-reached", Severity.WARNING, "never called")
    assert make_disagreement(note, report()) is None


def test_a_publisher_among_the_tests_does_not_wire_a_job(tmp_path: Path) -> None:
    given = {"enqueue": {"call": "tests.publish:settle"}}
    files = {"tests/publish.py": "def settle(order_id, email): ...\n"}
    case = build(tmp_path / "tests", files, given)
    assert not is_answered("handler", wrong("handler.not-wired"), report(), case)
    case = build(tmp_path / "code", {}, {"enqueue": {"call": "shop.orders:settle"}})
    assert is_answered("handler", wrong("handler.not-wired"), report(), case)


def test_a_table_that_the_spec_makes_is_none_of_the_repository(tmp_path: Path) -> None:
    finding = wrong("idempotency.no-table")
    for number, (setup, answered) in enumerate(
        {
            "python -m shop.schema": True,
            "sqlite3 app.db 'CREATE TABLE receipts (order_id)'": False,
        }.items()
    ):
        case = build(tmp_path / str(number), {}, {"proof": {"setup": setup}})
        assert is_answered("idempotency", finding, report(), case) is answered
    without = build(tmp_path / "without", {}, {"proof": {"env": {}}})
    assert not is_answered("idempotency", finding, report(), without)


def test_a_field_that_no_example_has_was_not_delivered(tmp_path: Path) -> None:
    finding = wrong("handler.signature-differs")
    assert is_answered("handler", finding, report(), build(tmp_path / "whole"))
    more = {"payload.properties.later": {"type": "string"}}
    assert not is_answered("handler", finding, report(), build(tmp_path / "more", {}, more))
