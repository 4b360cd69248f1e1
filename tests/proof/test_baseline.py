"""What is known of a job stays known, what is new is new, and what is gone was paid off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillrun.core.errors import Refused
from skillrun.proof.baseline import (
    BASELINE,
    KnownCause,
    compare_causes,
    list_causes,
    parse_baseline,
    read_baseline,
    write_baseline,
)
from skillrun.proof.cause import UNKNOWN
from skillrun.proof.witnesses import MOST

TWICE = KnownCause("effect.repeated", "email", "two deliveries both pass the check")


def witness(number: int = 0, **changes: Any) -> dict[str, Any]:
    """As proof.v1 has it; `number` says how often and when, which is no part of a cause."""
    plain = {"rule": TWICE.rule, "effect": TWICE.effect, "cause": TWICE.cause}
    told = {"message": f"email took place {number} times", "schedule": f"kill@after:email#{number}"}
    return {**plain, **told, **changes}


def report(*witnesses: dict[str, Any], verdict: str = "refuted") -> dict[str, Any]:
    incomplete = [{"rule": "single-run"}] * (verdict == "incomplete")
    return {"verdict": verdict, "witnesses": list(witnesses), "incomplete": incomplete}


def test_the_same_cause_seen_otherwise_is_known() -> None:
    compared = compare_causes(report(witness(3)), list_causes(report(witness(2))))
    assert compared.known == (TWICE,)
    assert compared.holds


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": "effect.lost"},
        {"effect": "charge"},
        {"effect": None},
        {"cause": "nothing is committed that the redelivery could see"},
    ],
)
def test_another_rule_effect_or_cause_is_new(changes: dict[str, Any]) -> None:
    """A second way to the same end needs a mend of its own."""
    compared = compare_causes(report(witness(), witness(**changes)), [TWICE])
    assert len(compared.new) == 1
    assert not compared.holds


def test_where_no_cause_is_told_another_schedule_is_another_cause() -> None:
    """Else one such mistake would excuse every later one of its rule."""
    first = witness(cause=UNKNOWN, schedule="kill@after:email#1")
    known = list_causes(report(first))
    assert compare_causes(report(first), known).holds
    other = witness(cause=UNKNOWN, schedule="redeliver")
    assert not compare_causes(report(other), known).holds


def test_what_is_gone_is_paid_off_where_the_proof_has_an_answer() -> None:
    assert compare_causes(report(verdict="proved"), [TWICE]).paid == (TWICE,)
    assert compare_causes(report(verdict="incomplete"), [TWICE]).paid == ()


def test_behind_as_many_causes_as_a_proof_names_others_may_stand() -> None:
    """A proof shows so many kinds of refutations and no more."""
    many = [witness(effect=f"effect {number}") for number in range(MOST)]
    compared = compare_causes(report(*many), list_causes(report(*many)))
    assert not compared.new
    assert not compared.holds


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    known = {"shop.tasks:b": frozenset({TWICE}), "shop.tasks:a": frozenset[KnownCause]()}
    text = write_baseline(known)
    (tmp_path / ".skillrun").mkdir()
    (tmp_path / BASELINE).write_text(text, encoding="utf-8")
    assert read_baseline(tmp_path) == {"shop.tasks:b": frozenset({TWICE})}
    assert parse_baseline(json.loads(text)) == read_baseline(tmp_path)


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert read_baseline(tmp_path) == {}


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"schema_version": 2, "jobs": []}', '{"schema_version": 1}', "[" * 100_000],
)
def test_what_is_no_baseline_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / ".skillrun").mkdir()
    (tmp_path / BASELINE).write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=r"\.skillrun/baseline\.json: "):
        read_baseline(tmp_path)
