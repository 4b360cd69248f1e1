"""What no promise covers: named, graded, told once, and changing no verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import helpers
import pytest
from histories import DONE, ONCE, history, reference
from plain_job import plain_repo, target_of
from test_report import text_of, valid

from skillrun.core.verdict import Finding, Grade, Outcome, RiskGrade, Severity, StageResult, Status
from skillrun.proof.cause import UNKNOWN, find_cause
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges import registry
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.judges.risks import RISKS, name_risk
from skillrun.proof.report import proof_report
from skillrun.proof.result import Proof, Tried, Witness
from skillrun.proof.witnesses import choose_risks
from skillrun.runner.codec import result_json, result_of
from skillrun.runner.report import is_open, next_json, risks_json
from skillrun.skills.job_worker.proving.answers import PROMISES_OF_STAGE
from skillrun.skills.job_worker.proving.proof_verdicts import add_proof

LOST = name_risk("broker-lost", RiskGrade.LOST, "nobody does it")
STUCK = name_risk("broker-lost", RiskGrade.STUCK, "it waits")


def tried(schedule: str, *judgements: Judgement) -> Tried:
    return Tried(history(schedule, DONE).schedule, history(schedule, DONE), judgements)


def proof_with(*risks: Judgement) -> Proof:
    """A proved job with these risks, each under two schedules."""
    once = tried("once")
    found = []
    for risk in risks:
        item = tried("redeliver", risk)
        found.append(Witness(item, risk, 3, (item.schedule, once.schedule)))
    return Proof("proved", [once], reference=reference(), risks=found)


def report_of(tmp_path: Path, *risks: Judgement) -> dict[str, Any]:
    return proof_report(proof_with(*risks), target_of(plain_repo(tmp_path / "repo")))


# -- rules and judges


@pytest.mark.parametrize("rule", RISKS.values(), ids=RISKS)
def test_each_rule_belongs_to_a_stage_and_says_what_closes_it(rule: Any) -> None:
    assert rule.part in PROMISES_OF_STAGE
    assert list(rule.grades) == sorted(rule.grades, key=list(RiskGrade).index)
    assert rule.closes and rule.cause
    said = name_risk(rule.name, rule.grades[0], "said")
    assert find_cause(ONCE, said) == rule.cause != UNKNOWN


def test_the_documentation_lists_every_risk_and_grade() -> None:
    text = (helpers.ROOT / "docs" / "proof.md").read_text()
    section = text[text.index("## Contract or risk") : text.index("## The libraries")]
    for rule in RISKS.values():
        grades = ", ".join(rule.grades)
        assert f"| {rule.name} | {grades} | {rule.part} | {rule.closes} |" in section
    for grade in RiskGrade:
        line = next(one for one in section.splitlines() if one.startswith(f"| {grade} |"))
        assert line.endswith("not before it is accepted |") == grade.keeps_success_away
    listed = [line.split(" | ")[0] for line in section.splitlines() if line.count("|") == 5]
    assert len(listed) == len(RISKS) + 2  # the head and the rule below it


def test_a_judge_names_what_the_registry_knows() -> None:
    with pytest.raises(KeyError):
        name_risk("no-such-risk", RiskGrade.MINOR, "said")
    with pytest.raises(ValueError, match="never money"):
        name_risk("broker-lost", RiskGrade.MONEY, "said")


def judged(monkeypatch: pytest.MonkeyPatch, seen: Any, **more: Any) -> list[Judgement]:
    """What is said of a history in which a judge sees a risk."""
    monkeypatch.setattr(registry, "JUDGES", {"risky": lambda *_: iter([LOST])})
    return list(judge_history(seen, replace(reference(), **more)))


def test_a_risk_is_no_refutation_until_the_repository_makes_it_contract(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (plain,) = judged(monkeypatch, ONCE)
    assert plain.verdict == Verdict.RISK
    (refused,) = judged(monkeypatch, ONCE, contract=frozenset({"broker-lost"}))
    assert (refused.verdict, refused.grade) == (Verdict.REFUTED, RiskGrade.LOST)
    (other,) = judged(monkeypatch, ONCE, contract=frozenset({"another"}))
    assert other.verdict == Verdict.RISK


def test_a_risk_by_the_servers_clock_is_none_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"when": "before", "kind": "sql", "name": "sql#1", "store": "postgresql:db"}
    asks = ("at", {**fields, "sql": "select id from jobs where due < now()"})
    seen = history("redeliver", [asks, *DONE], [asks, *DONE])
    later = replace(seen.deliveries[1], clock=900.0)
    (said,) = judged(monkeypatch, replace(seen, deliveries=(seen.deliveries[0], later)))
    assert said.verdict == Verdict.HINT
    assert "broker-lost was not judged" in said.message


# -- which are shown


def test_one_risk_is_told_once_by_the_simplest_schedule_of_its_worst_grade() -> None:
    items = [
        tried("redeliver", STUCK),
        tried("wait=5 redeliver", LOST),
        tried("wait=5 redeliver re-enqueue", LOST),
        tried("kill@after:email#1", LOST),  # never met
    ]
    (seen,) = choose_risks(items)
    assert [(str(item.schedule), judgement.grade) for item, judgement in seen] == [
        ("wait=5 redeliver", "lost"),
        ("wait=5 redeliver re-enqueue", "lost"),
        ("redeliver", "stuck"),
    ]


def test_none_is_left_out_and_the_worst_comes_first() -> None:
    """Half of them cost a job, and half of them a look."""
    apart = [name for name, rule in RISKS.items() if not rule.root]
    grades = [STUCK if number % 2 else LOST for number in range(len(apart))]
    risks = [replace(grade, rule=name) for name, grade in zip(apart, grades, strict=True)]
    found = choose_risks([tried("redeliver", *risks)])
    assert [seen[0][1].rule for seen in found] == [*apart[::2], *apart[1::2]]


def test_what_one_thing_mends_is_told_once() -> None:
    """The broker's loss, the retry's and the record's: a sweep finds the job in each case."""
    of_retry, of_record = replace(STUCK, rule="retry-lost"), replace(STUCK, rule="letter-lost")
    deaths = replace(STUCK, rule="crash-loop")
    items = [tried("redeliver", STUCK, of_retry, deaths), tried("wait=5 redeliver", of_record)]
    merged, alone = choose_risks(items)
    assert [one.rule for _, one in merged] == ["broker-lost", "retry-lost", "letter-lost"]
    assert [one.rule for _, one in alone] == ["crash-loop"]


def test_what_a_person_accepts_by_its_name_is_told_by_itself() -> None:
    lost = [LOST, replace(LOST, rule="retry-lost"), replace(STUCK, rule="letter-lost")]
    found = choose_risks([tried("redeliver", *lost)])
    assert [[one.rule for _, one in seen] for seen in found] == [
        ["broker-lost", "letter-lost"],
        ["retry-lost"],
    ]


# -- as document and as text


def test_a_risk_stands_in_the_document_and_changes_no_verdict(tmp_path: Path) -> None:
    report = report_of(tmp_path, LOST)
    valid(report)
    assert (report["verdict"], report["witnesses"]) == ("proved", [])
    (risk,) = report["risks"]
    assert (risk["rule"], risk["grade"], risk["schedule"]) == ("broker-lost", "lost", "redeliver")
    assert risk["schedules"] == ["redeliver", "once"]
    assert risk["closes"] == RISKS["broker-lost"].closes
    assert "email takes place" in risk["story"]


def test_the_last_line_counts_the_risks(tmp_path: Path) -> None:
    report = report_of(tmp_path, LOST, replace(STUCK, effect="email"), replace(STUCK, effect="x"))
    text = text_of(report)
    assert text.splitlines()[-1].startswith("proved: 1 schedule; risks: 1 lost, 2 stuck")
    assert "lost: nobody does it  [broker-lost, 2 schedules]" in text
    assert f"close it  {RISKS['broker-lost'].closes}" in text
    assert "replay    skillrun prove --schedule redeliver" in text


def test_without_a_risk_nothing_is_said_of_risks(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    valid(report)
    assert report["risks"] == []
    assert "isk" not in text_of(report).replace("skillrun", "")


def test_any_number_of_risks_fits_on_a_screen(tmp_path: Path) -> None:
    risks = [replace(LOST, effect=f"e{number}", message=f"said {number}") for number in range(40)]
    lines = text_of(report_of(tmp_path, *risks)).splitlines()
    told = lines[lines.index(next(one for one in lines if one.startswith("Risks"))) :]
    assert len(told) <= 24 + 3  # a blank line, the verdict
    assert any("and 31 more" in one for one in told)


# -- in a run


def passed(stage: str, report: Any, **more: Any) -> StageResult:
    case: Any = None  # nothing was read, so nothing is asked of it
    return add_proof(case, stage, StageResult(Status.PASSED, Grade.STATIC), report, **more)


def failing(report: dict[str, Any]) -> dict[str, Any]:
    """The same as contract."""
    (risk,) = report["risks"]
    witness = {name: value for name, value in risk.items() if name in WITNESS}
    return {**report, "verdict": "refuted", "witnesses": [witness], "risks": []}


WITNESS = ("schedule", "rule", "message", "cause", "expected", "seen", "events", "replay")


def test_one_stage_tells_which_walls_were_missing(tmp_path: Path) -> None:
    """`run` and `verify` show stages, and no list of what a proof takes for granted."""
    report = report_of(tmp_path)
    report["sandbox"] = {"kind": "landlock", "missing": ["no network of its own: hooks"]}
    told = ["idempotency", "retry"]
    notes = []
    for finding in passed("idempotency", report, told=told).findings:
        if finding.rule == "proof.fewer-walls":
            notes.append((finding.severity, finding.message))
    assert notes == [("note", "this machine gave the proof no network of its own: hooks")]
    assert "fewer-walls" not in str(passed("retry", report, told=told).findings)


def test_a_risk_is_a_warning_of_its_stage_which_stays_proved(tmp_path: Path) -> None:
    report = {**report_of(tmp_path, LOST), "skipped": {}}
    report["schedules"]["families"]["exhaustion"] = 1
    result = passed("dead-letter", report)
    assert (result.status, result.grade) == (Status.PASSED, Grade.PROVED)
    warned = [f for f in result.findings if f.rule == "risk.broker-lost"]
    assert [(f.severity, f.message) for f in warned] == [("warning", "lost: nobody does it")]
    assert result.risks[0].schedules == 2
    assert passed("idempotency", report).risks == ()
    assert result_of(result_json(result)) == result


def test_what_no_stage_is_there_to_tell_the_first_one_tells(tmp_path: Path) -> None:
    """`dead_letter: none` makes its stage not applicable; a risk or a refutation went unsaid."""
    report = report_of(tmp_path, LOST)
    told = ["idempotency", "retry"]
    assert passed("idempotency", report, told=told).risks
    assert not passed("retry", report, told=told).risks
    assert passed("idempotency", failing(report), told=told).status == Status.FAILED


def test_a_contract_risk_fails_its_stage(tmp_path: Path) -> None:
    result = passed("dead-letter", failing(report_of(tmp_path, LOST)))
    assert result.status == Status.FAILED
    assert result.findings[0].rule == "proof.broker-lost"


def risks_of(grade: Judgement, tmp_path: Path, **reasons: str) -> list[dict[str, Any]]:
    result = passed("dead-letter", report_of(tmp_path, grade))
    return risks_json({"dead-letter": result}, {k.replace("_", "-"): v for k, v in reasons.items()})


def test_only_money_and_lost_keep_success_away_and_only_until_accepted(tmp_path: Path) -> None:
    assert [is_open(one) for one in risks_of(LOST, tmp_path / "a")] == [True]
    assert [is_open(one) for one in risks_of(STUCK, tmp_path / "b")] == [False]
    accepted = risks_of(LOST, tmp_path / "c", broker_lost="the queue is a convenience")
    assert [is_open(one) for one in accepted] == [False]
    assert accepted[0]["accepted"] == "the queue is a convenience"


def test_next_says_how_to_close_one_and_never_to_accept_it(tmp_path: Path) -> None:
    result = {"dead-letter": passed("dead-letter", report_of(tmp_path, LOST))}
    for risks, action in ((risks_json(result, {}), ["edit-code"]),):
        made = [
            one for one in next_json(result, [], set(), risks) if "nobody does" in one["detail"]
        ]
        assert [one["action"] for one in made] == action
        assert RISKS["broker-lost"].closes in made[0]["detail"]
        assert "accept" not in made[0]["detail"]
    accepted = risks_json(result, {"broker-lost": "x"})
    assert not [one for one in next_json(result, [], set(), accepted) if "nobody" in one["detail"]]


def test_what_an_older_skillrun_kept_has_no_risks() -> None:
    value = result_json(StageResult(Status.PASSED, None))
    del value["risks"]
    assert result_of(value).risks == ()


def test_a_finding_is_still_a_finding() -> None:
    """The words of a verdict are apart: a risk is no severity and no outcome."""
    assert "risk" not in [*map(str, Severity), *map(str, Outcome), *map(str, Status)]
    assert Finding("risk.broker-lost", Severity.WARNING, "said").severity == "warning"
