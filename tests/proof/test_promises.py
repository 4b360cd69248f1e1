"""A verdict for each promise: one that is broken, or left open, says nothing of the others."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from histories import DONE, ONCE, effect, fault, history, raised, reference, refuted

import skillrun.proof.judges
from skillrun.contract.job import DeadLetter, JobSpec
from skillrun.contract.job import Proof as ProofPart
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.log_answers import Answer
from skillrun.proof.judges.risks import RISKS
from skillrun.proof.promises import JUDGED_BY, find_kept_open, find_promises, judge_promises
from skillrun.proof.result import Proof, Tried, Witness

SPEC = JobSpec(
    version=1,
    job="job",
    dead_letter=DeadLetter(kind="table", where="dead"),
    proof=ProofPart(state={"rows": "select 1"}),
)
FAILS = history("raise=Away@before:email#1/*", [*effect(), fault("raise", "email#1"), raised()])
ANSWERS = {"ran": Answer("application", "began", "jobs")}


def proof(verdict: str, *judgements: Judgement, shown: bool = True) -> Proof:
    """A proof of two schedules, of which the second one is judged so."""
    broken = [one for one in judgements if one.verdict == "refuted"]
    tried = Tried(FAILS.schedule, FAILS, judgements)
    return Proof(
        verdict,
        [Tried(ONCE.schedule, ONCE, ()), tried],
        [Witness(tried, one, 3) for one in broken if shown],
        [one for one in judgements if one.verdict == Verdict.INCOMPLETE],
        reference=reference(),
        answers=ANSWERS,
    )


def verdicts(made: Proof, spec: JobSpec = SPEC) -> dict[str, str]:
    return {name: one.verdict for name, one in judge_promises(made, spec).items()}


def test_each_promise_has_its_schedules() -> None:
    found = judge_promises(proof("proved"), SPEC)
    assert {name: one.schedules for name, one in found.items()} == {
        "effects": 2,
        "state": 2,
        "attempts": 1,
        "delays": 1,
        "dead_letter": 1,
        "ends": 2,
        "logs": 2,
    }
    assert {one.verdict for one in found.values()} == {"proved"}


def test_what_nobody_promised_is_not_said_to_be_kept() -> None:
    bare = JobSpec(version=1, job="job")
    made = replace(proof("proved"), tried=[Tried(ONCE.schedule, ONCE, ())], answers={})
    assert set(verdicts(made, bare)) == {"effects", "ends"}


def test_an_unanswered_log_question_hides_no_effect() -> None:
    found = verdicts(proof("refuted", refuted("logs.ran")))
    assert found.pop("logs") == "refuted"
    assert set(found.values()) == {"proved"}


def test_what_could_not_be_judged_may_hide_anything() -> None:
    hangs = Judgement(Verdict.INCOMPLETE, "handler.hangs", "the handler did not end")
    assert set(verdicts(proof("incomplete", hangs)).values()) == {"incomplete"}


def test_an_undeclared_effect_leaves_only_the_logs_answered() -> None:
    """An undeclared publish may be a retry of its own."""
    said = Judgement(Verdict.INCOMPLETE, "effect.undeclared", "undeclared publish")
    found = verdicts(proof("incomplete", said))
    assert [name for name, verdict in found.items() if verdict == "proved"] == ["logs"]


def test_a_refutation_that_is_not_among_the_witnesses_is_no_proof() -> None:
    """Five kinds of refutation are shown, and each must come again when it is tried once more."""
    found = judge_promises(proof("refuted", refuted("delays.flat"), shown=False), SPEC)
    assert found["delays"].verdict == "incomplete"
    assert "said" in str(found["delays"].reason)
    assert found["effects"].verdict == "proved"


@pytest.mark.parametrize("rule", ["effect.repeated", "attempts.unbounded", "logs.why", "unknown.x"])
def test_the_whole_is_the_worst(rule: str) -> None:
    assert "refuted" in verdicts(proof("refuted", refuted(rule))).values()


def test_every_rule_of_the_judges_belongs_to_a_promise() -> None:
    """A new rule that no table names would refute all of them."""
    folder = Path(str(skillrun.proof.judges.__file__)).parent
    named = set[str]()
    for file in folder.glob("*.py"):
        named |= set(re.findall(r'REFUTED,\s*f?"([a-z-]+\.[a-z{}-]+)"', file.read_text()))
    assert len(named) > 10
    assert [rule for rule in named if len(find_promises(rule)) > 2] == []


def test_each_incomplete_rule_keeps_a_promise_open() -> None:
    for rule in ("logs.ran", "state.unread", "enqueue.not-repeatable", "source.elsewhere"):
        assert set(find_kept_open(rule)) <= set(JUDGED_BY)
        assert find_kept_open(rule)
    assert "effects" not in find_kept_open("logs.ran")


def test_a_schedule_whose_fault_was_never_reached_shows_nothing() -> None:
    never = history("raise=Away@before:other#1/*", DONE)
    made = replace(proof("proved"), tried=[Tried(never.schedule, never, ())])
    assert set(verdicts(made)) == set()


def test_a_risk_that_is_made_contract_breaks_a_promise() -> None:
    for rule in RISKS:
        assert 0 < len(find_promises(rule)) < len(JUDGED_BY)
