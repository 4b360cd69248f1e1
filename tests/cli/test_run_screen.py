"""What a run leaves open, on one screen: each cause once, five at most; `-v` has everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helpers
import pytest
import shops

from skillrun.reports.run_screen import closing_screen

COMMAND = "skillrun job-worker-orchestration"


def finding(message: str, **more: Any) -> dict[str, Any]:
    found = {"rule": "some.rule", "severity": "error", "path": "shop/tasks.py", "line": 3}
    return {**found, "message": message, "hint": "mend it", **more}


def stage(name: str, status: str, *findings: dict[str, Any]) -> dict[str, Any]:
    found = {"id": name, "status": status, "grade": "static", "summary": f"{name} was read"}
    return {**found, "findings": list(findings)}


def step(name: str, detail: str, action: str = "edit-code") -> dict[str, Any]:
    return {"stage": name, "action": action, "detail": detail}


def screen(*stages: dict[str, Any], **more: Any) -> list[str]:
    empty = {"outcome": "partial", "checks": [], "recommendations": [], "risks": [], "next": []}
    report = {**empty, "stages": list(stages), **more}
    return [shown.text for shown in closing_screen(report, COMMAND)]


def test_what_several_stages_wait_for_is_told_once() -> None:
    same = finding("the database cannot be opened", severity="warning")
    shown = screen(stage("retry", "pending", same), stage("tests", "pending", same))
    assert (
        shown[1] == "1. retry, tests: shop/tasks.py:3: the database cannot be opened  [some.rule]"
    )
    assert sum("cannot be opened" in text for text in shown) == 1


def test_a_step_that_repeats_its_finding_is_not_told_again_and_another_one_is() -> None:
    steps = [step("retry", "it is retried: mend it"), step("retry", "is it safe?", "decide")]
    shown = screen(stage("retry", "failed", finding("it is retried")), next=steps)
    assert shown[1:4] == [
        "1. retry: shop/tasks.py:3: it is retried  [some.rule]",
        "   do: mend it",
        "   decide: is it safe?",
    ]


def test_what_was_seen_to_happen_comes_before_what_was_read() -> None:
    read, seen = finding("read"), finding("seen", rule="proof.effect.twice")
    question = finding("not defined", severity="blocker")
    shown = screen(
        stage("retry", "failed", read), stage("tests", "failed", seen, question), next=[]
    )
    said = [text.partition(":3: ")[2] for text in shown if text[:1].isdigit()]
    assert said == [
        "not defined  [some.rule]",
        "seen  [proof.effect.twice]",
        "read  [some.rule]",
    ]


def test_five_causes_are_shown_and_the_others_are_counted() -> None:
    findings = [finding(f"cause {number}", line=number) for number in range(7)]
    shown = screen(stage("retry", "failed", *findings))
    assert sum(text[:1].isdigit() for text in shown) == 5
    assert f"   and 2 more to do: {COMMAND} -v" in shown


def test_one_line_of_code_that_breaks_a_rule_for_several_errors_is_one_cause() -> None:
    shown = screen(stage("retry", "failed", finding("for A"), finding("for B")))
    assert shown[1] == "1. retry: shop/tasks.py:3: for A (and 1 alike)  [some.rule]"


def test_an_open_risk_tells_what_closes_it_and_an_accepted_one_is_only_counted() -> None:
    risk = {"rule": "broker-lost", "grade": "lost", "message": "the broker is emptied"}
    told = {**risk, "closes": "a sweep", "replay": "skillrun prove", "accepted": None}
    shown = screen(stage("retry", "passed"), risks=[told])
    assert shown[1:4] == [
        "risk, lost: the broker is emptied  [risk.broker-lost]",
        "   close: a sweep",
        "   replay: skillrun prove",
    ]
    assert not any("risk, lost" in text for text in screen(risks=[{**told, "accepted": "we know"}]))


def test_an_attestation_that_is_asked_for_is_something_to_do() -> None:
    shown = screen(stage("retry", "passed"), next=[step("reviewed", "a person looks", "attest")])
    assert shown[1] == "1. reviewed: a person looks"


@pytest.mark.real
def test_the_run_itself_is_one_screen_and_all_with_v(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    missing = ("--repo", str(repo), "--set", "handler=shop.tasks:send_nothing")
    short = helpers.run_cli(shops.SKILL, *missing, cwd=repo)
    everything = helpers.run_cli(shops.SKILL, *missing, "-v", cwd=repo)
    assert short.returncode == everything.returncode == 3
    assert "[blocker: " not in short.stdout
    assert "[blocker: " in everything.stdout
    assert "\nChecks\n" in everything.stdout
    assert "-v" not in everything.stdout.splitlines()[-2]
    assert len(short.stdout.splitlines()) < len(everything.stdout.splitlines())
