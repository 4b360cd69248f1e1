"""The formats as others read them: against the published schemas, with hostile text, and with every
status.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import helpers
import jsonschema
import pytest
import xmlschema

from skillrun.core.verdict import Finding, Severity
from skillrun.proof.baseline import Compared, KnownCause
from skillrun.wall.formats.intoto import intoto
from skillrun.wall.formats.junit import junit
from skillrun.wall.formats.registry import FORMATS
from skillrun.wall.formats.sarif import sarif
from skillrun.wall.gaming.registry import LOOKS
from skillrun.wall.verification import Gaming, Job, NotCompared, Verification

DATA = helpers.ROOT / "tests" / "data"
HOSTILE = (
    "bell \x07 null \x00 escape \x1b[31m bidi \u202e lone \ud800 not a character \uffff ]]>"
    " <b>&amp; end"
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def finding(rule: str, severity: str, **place: Any) -> dict[str, Any]:
    return {
        "rule": rule,
        "severity": severity,
        "message": HOSTILE,
        "path": None,
        "line": None,
        "hint": HOSTILE,
        **place,
    }


def stage(id: str, status: str, *findings: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "id": id,
        "title": id,
        "step": None,
        "status": status,
        "grade": None,
        "stale": False,
        "cached": False,
    }
    return {**shown, "duration_ms": 1_234_567, "summary": HOSTILE, "findings": list(findings)}


def check(id: str, status: str) -> dict[str, Any]:
    return {"id": id, "text": HOSTILE, "status": status, "grade": None, "evidence": []}


def job(
    *stages: dict[str, Any], outcome: str = "success", checks: tuple[dict[str, Any], ...] = ()
) -> Job:
    report = {"outcome": outcome, "stages": list(stages), "checks": list(checks), "next": []}
    return Job(".skillrun/jobs/send.yaml", "a" * 64, "send", outcome, report)


LOOKED = Gaming(COMMIT, "main", tuple(look.id for look in LOOKS))
CHEATED = replace(
    LOOKED,
    findings=(Finding("gaming.deleted-test", Severity.ERROR, HOSTILE, "tests/test_a.py", 3, "x"),),
)
DOUBTED = replace(
    LOOKED,
    findings=(
        Finding("gaming.weaker-gate", Severity.WARNING, HOSTILE, ".claude/settings.json", 1, "x"),
    ),
)
BLIND = Gaming(None, "main", missing="no base", hint="fetch-depth: 0")
PASSED = job(stage("identify", "passed"))
MIXED = job(
    stage("identify", "passed", finding("a.note", "note", path="shop/ä b.py", line=3)),
    stage(
        "idempotency",
        "failed",
        finding("proof.effect.lost", "error", path="shop/tasks.py", line=47),
    ),
    stage("handler", "blocked", finding("handler.missing", "blocker")),
    stage("retry", "waived", finding("retry.x", "warning", path="a.py", line=0)),
    stage("tests", "pending"),
    stage("dead-letter", "not_applicable"),
    outcome="blocked",
    checks=(check("done", "passed"), check("not-done", "failed"), check("open", "blocked")),
)
REFUSED = Job(
    ".skillrun/jobs/bad.yaml",
    "b" * 64,
    ".skillrun/jobs/bad.yaml",
    "refused",
    problem=HOSTILE,
    hint=HOSTILE,
)


def made(*jobs: Job, gaming: Gaming = LOOKED, notes: tuple[str, ...] = ()) -> Verification:
    return Verification(COMMIT, "feature", jobs, gaming, notes, "1.0", 1500)


VERIFICATIONS = {
    "passed": made(PASSED),
    "unproved": made(job(stage("retry", "passed", finding("proof.incomplete", "warning")))),
    "cheated": made(PASSED, gaming=CHEATED),
    "doubted": made(PASSED, gaming=DOUBTED),
    "blind": made(PASSED, gaming=BLIND, notes=("1 uncommitted change is not looked at",)),
    "mixed": made(MIXED, gaming=CHEATED, notes=(HOSTILE,)),
    "refused": made(PASSED, REFUSED),
}
each = pytest.mark.parametrize("verification", VERIFICATIONS.values(), ids=VERIFICATIONS.keys())


@each
def test_sarif_satisfies_the_published_schema(verification: Verification) -> None:
    schema = json.loads((DATA / "sarif-2.1.0.json").read_text())
    value = json.loads(FORMATS["sarif"](verification))
    assert list(jsonschema.Draft4Validator(schema).iter_errors(value)) == []


@each
def test_junit_satisfies_the_published_schema(verification: Verification) -> None:
    schema = xmlschema.XMLSchema(str(DATA / "junit-10.xsd"))
    schema.validate(ElementTree.fromstring(FORMATS["junit"](verification)))


@each
def test_json_satisfies_our_schema(verification: Verification) -> None:
    schema = json.loads((helpers.ROOT / "schemas" / "verification.v1.json").read_text())
    value = json.loads(FORMATS["json"](verification))
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(value)) == []


@each
@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS.keys())
def test_nothing_hidden_reaches_a_reader(
    format: Callable[[Verification], str], verification: Verification
) -> None:
    text = format(verification)
    text.encode("utf-8")
    assert not set(text) & set("\x00\x07\x1b\u202e\ud800")


@pytest.mark.parametrize(
    ("name", "outcome", "code", "result"),
    (
        ("passed", "success", 0, "PASSED"),
        ("unproved", "success", 0, "WARNED"),
        ("cheated", "partial", 1, "FAILED"),
        ("doubted", "success", 0, "WARNED"),
        ("blind", "success", 0, "WARNED"),
        ("mixed", "blocked", 3, "FAILED"),
        ("refused", "refused", 4, "FAILED"),
    ),
)
def test_the_worst_decides(name: str, outcome: str, code: int, result: str) -> None:
    verification = VERIFICATIONS[name]
    assert (verification.outcome, verification.exit_code) == (outcome, code)
    assert intoto(verification)["predicate"]["result"] == result


KNOWN_CAUSE = KnownCause("effect.repeated", "email", "a second delivery sends it again")
INDEBTED = replace(
    job(stage("retry", "passed"), stage("dead-letter", "failed"), outcome="known"),
    compared=Compared(new=(), known=(KNOWN_CAUSE,), paid=(), is_full=False),
)


@pytest.mark.parametrize(
    ("verification", "line"),
    (
        (made(PASSED), "success: 1 passed"),
        (
            made(INDEBTED, PASSED),
            "known: 2 passed, 1 failed; no new causes, 1 known at the base",
        ),
        (
            made(replace(INDEBTED, report={})),
            "known: no new causes, 1 known at the base",
        ),
        (
            made(INDEBTED, job(stage("retry", "blocked"), outcome="blocked")),
            "blocked: 1 passed, 1 failed, 1 blocked; a decision, an input or the work is missing",
        ),
        (made(REFUSED), "refused: a job could not be run at all"),
    ),
    ids=("success", "known", "known, nothing counted", "known and blocked", "refused"),
)
def test_the_last_line_is_the_outcome_what_it_rests_on_and_why(
    verification: Verification, line: str
) -> None:
    last = FORMATS["text"](verification).splitlines()[-1]
    assert last.partition("  (")[0] == line


@pytest.mark.parametrize("name", VERIFICATIONS)
def test_sarif_says_of_the_tool_and_of_each_rule_what_code_scanning_shows(name: str) -> None:
    driver = sarif(VERIFICATIONS[name])["runs"][0]["tool"]["driver"]
    address = urlsplit(driver["informationUri"])
    assert address.scheme in ("https", "urn") and address.path
    for rule in driver["rules"]:
        assert rule["fullDescription"]["text"].endswith((".", "?", ")"))
        assert len(rule["fullDescription"]["text"]) <= 1024  # more is not shown
        assert HOSTILE not in rule["fullDescription"]["text"]


def test_sarif_results_have_level_place_rule_and_fingerprint() -> None:
    run = sarif(VERIFICATIONS["mixed"])["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    results = {result["ruleId"]: result for result in run["results"]}
    assert all(rules[result["ruleIndex"]]["id"] == rule for rule, result in results.items())
    assert all(rule["help"]["text"] for rule in rules)
    levels = {rule: result["level"] for rule, result in results.items()}
    assert levels == {
        "a.note": "note",
        "proof.effect.lost": "error",
        "handler.missing": "error",
        "retry.x": "warning",
        "gaming.deleted-test": "error",
    }
    place = results["proof.effect.lost"]["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("shop/tasks.py", 47)
    assert (
        results["a.note"]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        == "shop/%C3%A4%20b.py"
    )


def test_a_fingerprint_survives_an_edit_above_the_finding() -> None:
    def prints(line: int) -> list[Any]:
        moved = job(
            stage("retry", "failed", finding("retry.x", "error", path="a.py", line=line)),
            outcome="partial",
        )
        return [
            result["partialFingerprints"] for result in sarif(made(moved))["runs"][0]["results"]
        ]

    assert prints(3) == prints(30)
    assert prints(3) != []


def test_junit_has_a_suite_for_each_job_and_one_for_the_changes() -> None:
    root = ElementTree.fromstring(junit(VERIFICATIONS["mixed"]))
    first, gaming = root.findall("testsuite")
    assert (first.get("name"), gaming.get("name")) == ("job send", "gaming")
    kinds = {
        case.get("name"): [child.tag for child in case if child.tag != "system-out"]
        for case in first.iter("testcase")
    }
    assert kinds["idempotency"] == ["failure"]
    assert kinds["handler"] == ["error"]
    assert kinds["retry"] == kinds["tests"] == kinds["dead-letter"] == ["skipped"]
    assert kinds["identify"] == kinds["done"] == []
    assert (
        first.get("tests"),
        first.get("failures"),
        first.get("errors"),
        first.get("skipped"),
    ) == (
        "9",
        "2",
        "2",
        "3",
    )
    assert len(gaming.findall("testcase")) == len(LOOKS)
    assert gaming.get("failures") == "1"


def test_junit_skips_the_looks_that_were_not_made() -> None:
    root = ElementTree.fromstring(junit(VERIFICATIONS["blind"]))
    assert root.findall("testsuite")[-1].get("skipped") == str(len(LOOKS))


def test_intoto_names_commit_specs_and_tests() -> None:
    statement = intoto(VERIFICATIONS["mixed"])
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert statement["subject"] == [{"name": "gitCommit", "digest": {"gitCommit": COMMIT}}]
    predicate = statement["predicate"]
    assert predicate["configuration"] == [
        {"name": ".skillrun/jobs/send.yaml", "digest": {"sha256": "a" * 64}}
    ]
    assert "send/idempotency" in predicate["failedTests"]
    assert "gaming/deleted-test" in predicate["failedTests"]
    assert "send/retry" in predicate["warnedTests"]
    assert "gaming/weaker-gate" in predicate["passedTests"]


def test_every_look_says_what_it_finds() -> None:
    assert len({look.id for look in LOOKS}) == len(LOOKS)
    assert all("Found" in look.help or "counts once" in look.help for look in LOOKS)


def test_what_was_not_compared_is_three_lines_and_a_count_and_nothing_where_all_was() -> None:
    lost = [
        NotCompared(f"what {name} does", f"reason {name}") for name in ("a", "b", "c", "d", "e")
    ]
    lost.append(NotCompared("what f does", "reason a"))
    verification = made(replace(PASSED, not_compared=tuple(lost)))
    shown = FORMATS["text"](verification).splitlines()
    assert [line.strip() for line in shown if "not compared" in line] == [
        "not compared with the base: what a does; what f does: reason a",
        "not compared with the base: what b does: reason b",
        "not compared with the base: what c does: reason c",
        "not compared with the base: and 2 more",
    ]
    assert FORMATS["markdown"](verification).count("Not compared with the base, `send`: ") == 4
    (told,) = json.loads(FORMATS["json"](verification))["jobs"]
    assert told["not_compared"] == [{"what": one.what, "why": one.why} for one in lost]
    schema = json.loads((helpers.ROOT / "schemas" / "verification.v1.json").read_text())
    jsonschema.validate(json.loads(FORMATS["json"](verification)), schema)
    for name in ("text", "markdown"):
        assert "ot compared" not in FORMATS[name](made(PASSED))
