"""Which step goes to which stage, how the checks are concluded, and what is recommended."""

from __future__ import annotations

import pytest
from bundled import bundled_skill
from cases import STAGE, build, examine, skill_of

from skillrun.core.verdict import Finding, Grade, Severity, StageResult, Status
from skillrun.runner.case import Attestation
from skillrun.runner.conclude import conclude_checks, recommend
from skillrun.runner.planned import match_stages
from skillrun.skills.job_worker.state_machine import STATE_MACHINE

IDS = list(STAGE)
STEPS = (
    "Identify job framework and conventions (prefer the profile).",
    "Define the job contract:\n   - payload schema\n   - guarantees",
    "Establish idempotency:\n   - retries do not duplicate side effects",
    "Implement handler as orchestrator",
    "Define retry policy:\n   - backoff strategy",
    "Add dead-letter/quarantine behavior if supported",
    "Add observability",
    "Add tests.",
    "Run repo validations.",
)
REWORDED = (
    "Find out which queue framework is used",
    "Write down the contract of the job",
    "Make the job idempotent",
    "Write a thin handler",
    "Choose how often to retry, with backoff",
    "Send what cannot be done to quarantine",
    "Log start and end, for observability",
    "Add unit tests",
    "Run the validations",
)


def numbered(steps, mark="."):
    return "".join(f"{n}{mark} {step}\n" for n, step in enumerate(steps, 1))


def planned(root, steps, mark="."):
    skill = skill_of(root, f"## Purpose\nJobs.\n\n## Workflow\n{numbered(steps, mark)}")
    return match_stages(skill)


@pytest.mark.parametrize("steps", [STEPS, REWORDED], ids=["as written", "reworded"])
@pytest.mark.parametrize("mark", [".", ")"])
def test_nine_steps_are_the_nine_stages(tmp_path, steps, mark):
    found, missing = planned(tmp_path, steps, mark)
    assert [p.stage.ID for p in found] == IDS
    assert all(p.line for p in found) and len({p.line for p in found}) == 9
    assert missing == ()


def test_the_bundled_skill_has_all_steps():
    found, missing = match_stages(bundled_skill())
    assert ([p.stage.ID for p in found], missing) == (IDS, ())


def test_what_is_costly_waits_for_a_declared_step_behind_it(tmp_path):
    found, missing = planned(tmp_path, (*STEPS, "Tell the on-call team."))
    assert [p.stage.ID for p in found] == [*IDS[:-1], "tell-the-on-call-team", IDS[-1]]
    assert [p.stage.ID for p in found if p.extra] == ["tell-the-on-call-team"]
    assert missing == ()


def test_declared_steps_stand_where_the_text_has_them(tmp_path):
    steps = ("Ask the owner.", *STEPS[:2], "Tell the team.", "Wait a day.", *STEPS[2:])
    found, missing = planned(tmp_path, steps)
    own = ["tell-the-team", "wait-a-day"]
    assert [p.stage.ID for p in found] == ["ask-the-owner", *IDS[:2], *own, *IDS[2:]]
    assert missing == ()


@pytest.mark.parametrize("gone", range(9))
def test_a_missing_step_runs_all_the_same_and_is_a_finding(tmp_path, gone):
    found, missing = planned(tmp_path, [step for n, step in enumerate(STEPS) if n != gone])
    assert [p.stage.ID for p in found if not p.extra] == IDS
    assert [f.rule for f in missing] == ["skill.step-missing"]
    assert IDS[gone] in missing[0].message


def test_steps_in_another_order_keep_the_order_of_the_stages(tmp_path):
    found, missing = planned(tmp_path, tuple(reversed(STEPS)))
    assert ([p.stage.ID for p in found], missing) == (IDS, ())


# Checks


def results(**status):
    made = {stage: StageResult(Status.PASSED, Grade.STATIC) for stage in IDS}
    return made | {
        name.replace("_", "-"): StageResult(value, Grade.STATIC) for name, value in status.items()
    }


CHECKS = """
    ## Workflow
    1. Add tests.

    ## Checks
    - Idempotency is explicit
    - Retries are limited
    - Permanent errors end
    - Observability exists to answer:
      - did it run?
      - did it succeed?
    - Tests cover:
      - happy path
      - one failure
    - Typecheck/lint/tests pass if configured
    - Somebody tried it
    """
CHECK_IDS = (
    "idempotency-explicit",
    "retry-bounded",
    "permanent-failures-end",
    "observable",
    "tests-cover",
    "validations-pass",
)


def checks(root, given, skill=None):
    case = build(root / "repo")
    return conclude_checks(skill or skill_of(root / "skill", CHECKS), case, given, set())


def test_each_check_goes_to_its_stages(tmp_path):
    concluded = checks(tmp_path, results())
    assert [c.id for c in concluded] == [*CHECK_IDS, "somebody-tried-it"]
    assert [c.status for c in concluded] == ["passed"] * 6 + ["blocked"]
    assert "--attest somebody-tried-it=" in concluded[-1].next


def test_the_bundled_checks_are_all_answered(tmp_path):
    concluded = checks(tmp_path, results(), bundled_skill())
    assert sorted(c.id for c in concluded) == sorted(CHECK_IDS)
    assert all(c.line for c in concluded)


def test_questions_stand_in_the_text(tmp_path):
    texts = {c.id: c.text for c in checks(tmp_path, results())}
    assert texts["observable"] == "Observability exists to answer: did it run? did it succeed?"
    assert texts["tests-cover"] == "Tests cover: happy path, one failure"


def test_checks_that_the_file_lacks_are_concluded_too(tmp_path):
    skill = skill_of(tmp_path / "skill", "## Workflow\n1. Add tests.\n")
    concluded = checks(tmp_path, results(), skill)
    assert sorted(c.id for c in concluded) == sorted(CHECK_IDS)
    assert all(c.line is None for c in concluded)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"retry": Status.FAILED}, "failed"),
        ({"retry": Status.FAILED, "dead_letter": Status.BLOCKED}, "blocked"),
        ({"dead_letter": Status.NOT_APPLICABLE}, "passed"),
        ({"retry": Status.WAIVED}, "waived"),
        ({"retry": Status.PENDING}, "pending"),
    ],
)
def test_the_worst_status_of_the_stages_counts(tmp_path, given, status):
    by_id = {c.id: c.status for c in checks(tmp_path, results(**given))}
    assert by_id["permanent-failures-end"] == status


def test_the_weakest_grade_counts(tmp_path):
    given = results() | {"handler": StageResult(Status.PASSED, Grade.DECLARED)}
    by_id = {c.id: c.grade for c in checks(tmp_path, given)}
    assert by_id["idempotency-explicit"] == "declared"


def test_an_attested_check_passes(tmp_path):
    case = build(tmp_path / "repo")
    said = Attestation("somebody-tried-it", "I ran it", {}, "ann", "human")
    case.attestations = {"somebody-tried-it": said}
    concluded = conclude_checks(skill_of(tmp_path / "skill", CHECKS), case, results(), set())
    assert (concluded[-1].status, concluded[-1].grade) == ("passed", "declared")


# Recommendations

NO_RETRY = {"retry": {"kind": "none", "reason": "one try is all that is safe"}}
MAP = "# States\n"


def mapper(case):
    examined = {"handler": examine("handler", case)}
    return next(
        (r for r in recommend(bundled_skill(), case, examined) if r.skill == STATE_MACHINE), None
    )


def test_a_state_machine_is_recommended_for_retries(tmp_path):
    found = mapper(build(tmp_path / "repo"))
    assert "retries with backoff" in found.reason
    assert (found.satisfied_by, found.installed) == (None, False)


def test_and_for_a_poller(tmp_path):
    case = build(
        tmp_path / "repo", changes={**NO_RETRY, "trigger": {"type": "poller", "every": "5m"}}
    )
    assert "polls" in mapper(case).reason


def test_and_for_many_branches(tmp_path):
    branches = "\n".join(f"    if order_id == {n}:\n        order_id += 1" for n in range(20))
    text = (
        "from shop.celery import app\n\n@app.task\ndef send_receipt(order_id,"
        f" email):\n{branches}\n"
    )
    case = build(tmp_path / "repo", {"shop/tasks.py": text}, NO_RETRY)
    assert "branches" in mapper(case).reason


def test_not_for_a_plain_job(tmp_path):
    assert mapper(build(tmp_path / "repo", changes=NO_RETRY)) is None


@pytest.mark.parametrize(
    ("path", "satisfied"),
    [
        ("shop/send_receipt.state-machine.md", True),
        ("docs/send.state-machine.md", False),
        ("shop/states.md", False),
    ],
)
def test_a_map_beside_the_handler_satisfies_it(tmp_path, path, satisfied):
    found = mapper(build(tmp_path / "repo", {path: MAP}))
    assert found.satisfied_by == (path if satisfied else None)


def test_findings_recommend_with_their_place(tmp_path):
    text = "import requests\nfrom shop.celery import app\n\n@app.task\n"
    text += "def send_receipt(order_id, email):\n    requests.post('x')\n"
    case = build(tmp_path / "repo", {"shop/tasks.py": text}, NO_RETRY)
    found = {
        r.skill: r.reason
        for r in recommend(bundled_skill(), case, {"handler": examine("handler", case)})
    }
    assert found["backend/integration-adapter"].endswith("(shop/tasks.py:6)")


def test_a_finding_about_a_whole_file_names_no_line(tmp_path):
    whole = Finding(
        "a.rule", Severity.ERROR, "it is everywhere", path="a.py", recommends="personalize-repo"
    )
    results = {"validate": StageResult(Status.FAILED, None, (whole,))}
    found = recommend(bundled_skill(), build(tmp_path / "repo", changes=NO_RETRY), results)
    assert [one.reason for one in found] == ["it is everywhere (a.py)"]
