"""What a terminal asks about a draft: only what no code says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skillrun.cli.commands.jobs import open_reader
from skillrun.cli.commands.spec import _ask_for_job
from skillrun.cli.commands.unseen import ask_unseen
from skillrun.skills.job_worker.drafting.draft import Draft


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Filled by a test: what the person types, an end of input after the last."""
    given: list[str] = []

    def answer(_: str) -> str:
        if not given:
            raise EOFError
        return given.pop(0)

    monkeypatch.setattr("builtins.input", answer)
    return given


def unkeyed() -> Draft:
    effects: list[dict[str, Any]] = [{"name": "post", "call": "requests:post"}]
    values = {"job": "ping", "idempotency": {"strategy": "unknown"}, "effects": effects}
    decisions = ["intent.what: what it does", "intent.why_async: why", "idempotency: nothing"]
    decisions.append("effects: post: it takes no key: at_least_once or at_most_once")
    return Draft(values=values, decisions=decisions)


def test_the_answers_stand_in_the_draft(answers: list[str]) -> None:
    draft = unkeyed()
    answers += ["It pings", "It is slow", "sometimes", "keyed", "at_least_once", "harmless"]
    ask_unseen(draft, {})
    assert draft.values["intent"] == {"what": "It pings", "why_async": "It is slow"}
    assert draft.values["idempotency"] == {"strategy": "keyed"}
    (effect,) = draft.values["effects"]
    assert (effect["guarantee"], effect["reason"]) == ("at_least_once", "harmless")
    # What the key is, and what remembers it, is still to be said.
    assert draft.decisions == ["idempotency: nothing"]


def test_what_is_known_or_given_is_not_asked(answers: list[str]) -> None:
    draft = unkeyed()
    draft.values["intent"] = {"what": "It pings"}
    draft.values["effects"][0]["guarantee"] = "keyed"
    answers += ["never asked for"]
    given = {"intent.why_async": "slow", "idempotency.strategy": "keyed"}
    ask_unseen(draft, given)
    assert answers == ["never asked for"]


def test_no_answer_decides_nothing(answers: list[str]) -> None:
    draft = unkeyed()
    answers += ["", "", "", ""]
    ask_unseen(draft, {})
    assert (draft.values, draft.decisions) == (unkeyed().values, unkeyed().decisions)


def test_who_leaves_has_left_the_rest_open(answers: list[str]) -> None:
    draft = unkeyed()
    answers += ["It pings"]
    ask_unseen(draft, {})
    assert draft.values["intent"] == {"what": "It pings"}
    assert "guarantee" not in draft.values["effects"][0]


def test_a_name_that_is_no_job_is_asked_again(answers: list[str], shop: Path) -> None:
    reader = open_reader(shop)
    answers += ["y", "send_receipt"]
    assert _ask_for_job(reader, "shop.tasks:send_receipt") == "send_receipt"
    answers += ["-"]
    assert _ask_for_job(reader, "shop.tasks:send_receipt") == "-"
