"""The skill that ships with skillrun is valid by its own rules and complete."""

from __future__ import annotations

from pathlib import Path

from skillrun.contract.lint import lint_skill
from skillrun.contract.locate import bundled_skill
from skillrun.contract.skill import Skill, load_skill


def bundled() -> Skill:
    path = bundled_skill("backend/job-worker-orchestration")
    assert path is not None
    return load_skill(path)


def test_it_has_no_findings() -> None:
    assert lint_skill(bundled().path) == []
    assert bundled().warnings == ()


def test_it_has_every_section_of_the_family() -> None:
    sections = bundled().sections
    for name in (
        "Purpose",
        "Inputs",
        "Outputs",
        "Non-goals",
        "Workflow",
        "Checks",
        "Failure modes",
        "Telemetry",
    ):
        assert name in sections


def test_its_nine_steps_come_in_order() -> None:
    words = [
        "framework",
        "contract",
        "idempotency",
        "handler",
        "retry policy",
        "dead letter",
        "observable",
        "tests",
        "validations",
    ]
    steps = bundled().steps
    assert [step.number for step in steps] == list(range(1, 10))
    for step, word in zip(steps, words, strict=True):
        assert word in step.text


def test_its_checks_and_failure_modes() -> None:
    skill = bundled()
    assert [len(check.questions) for check in skill.checks] == [0, 0, 0, 4, 3, 0]
    assert len(skill.failure_modes) == 4
    assert all(mode.reaction for mode in skill.failure_modes)
    assert "system/state-machine-mapper" in skill.tail_notes[0].text


def test_its_telemetry() -> None:
    fields = {field.key: field for field in bundled().telemetry}
    assert list(fields) == [
        "skill",
        "trigger",
        "idempotency",
        "retries",
        "tests_added",
        "files_touched",
        "outcome",
    ]


def test_it_teaches_the_loop() -> None:
    text = bundled().path.read_text("utf-8")
    assert "`skillrun job-worker-orchestration --json`" in text
    assert "Claim nothing that the run has not confirmed" in text
    assert Path(bundled().path).parent.name == "job-worker-orchestration"


def test_the_skill_for_agents_has_no_findings_and_is_short() -> None:
    path = bundled_skill("skillrun")
    assert path is not None
    assert lint_skill(path) == []
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    for word in (
        "skillrun job-worker-orchestration --json",
        "skillrun next --json",
        "ledger",
        "--waive",
    ):
        assert word in text
