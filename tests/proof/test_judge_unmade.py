"""An error that was made without its arguments lacks what they give it: production's has it."""

from __future__ import annotations

from typing import Any

import pytest
from histories import ACKED, AWAY, RETURNED, against, fault, history, spec

from skillrun.probe.names import is_unmade, make_error
from skillrun.proof.judgement import Verdict
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.judges.unmade import say_unmade

LACKS = (
    "raised",
    {"error": "builtins:AttributeError", "text": "'Away' object has no attribute 'wait'"},
)
SCHEDULE = f"raise={AWAY}@before:email#1"


def meet(raised: Any, **more: Any) -> Any:
    met = fault("raise", "before:email#1", error=AWAY, **more)
    return history(SCHEDULE, [met, raised, RETURNED, ACKED])


def test_who_asks_it_for_what_it_lacks_is_not_refuted_for_that() -> None:
    found = say_unmade(meet(LACKS, unmade=True))
    assert found is not None
    assert (found.rule, found.message.partition(" ")[0]) == ("failures.unmade", AWAY)
    asked = against(spec())
    told = {one.rule for one in judge_history(meet(LACKS, unmade=True), asked)}
    assert "failures.unmade" in told
    assert not [
        one
        for one in judge_history(meet(LACKS, unmade=True), asked)
        if one.verdict == Verdict.REFUTED
    ]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("AttributeError", "'str' object has no attribute 'values'"),
        ("TypeError", "string indices must be integers, not 'str'"),
        ("TypeError", "unsupported type for timedelta seconds component: str"),
        ("TypeError", "'>=' not supported between instances of 'str' and 'int'"),
        ("ValueError", "invalid literal for int() with base 10: 'injected by skillrun'"),
    ],
)
def test_who_finds_words_where_its_arguments_would_be(error: str, text: str) -> None:
    """`error.recipients.values()`, of an error that was made with a text for its recipients."""
    told = {"error": f"builtins:{error}", "text": text}
    raised = ("raised", {**told, "chain": [AWAY]})
    assert say_unmade(meet(raised, unmade=True)) is not None
    assert say_unmade(meet(raised, unmade=False)) is None
    # What fails elsewhere has nothing to do with the error.
    assert say_unmade(meet(("raised", {**told, "chain": []}), unmade=True)) is None


@pytest.mark.parametrize(
    ("text", "unmade"),
    [
        # The adapter's own error has no such attribute either.
        ("'Away' object has no attribute 'wait'", False),
        ("'Order' object has no attribute 'wait'", True),
        ("'NoneType' object has no attribute 'wait'", True),
    ],
)
def test_what_the_handler_does_wrong_itself_stays_refuted(text: str, unmade: bool) -> None:
    seen = meet(("raised", {"error": "builtins:AttributeError", "text": text}), unmade=unmade)
    assert say_unmade(seen) is None
    assert [one for one in judge_history(seen, against(spec())) if one.verdict == Verdict.REFUTED]


class Busy(Exception):
    def __init__(self, retry_after: int) -> None:
        super().__init__(f"busy for {retry_after} s")
        self.retry_after = retry_after


class Declined(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)


def test_an_error_that_needs_a_number_is_made_without_it() -> None:
    path = f"{__name__}:Busy"
    assert is_unmade(make_error(path, []))
    assert is_unmade(make_error("smtplib:SMTPRecipientsRefused", []))
    assert not is_unmade(make_error(f"{__name__}:Declined", []))
    assert not is_unmade(make_error(path, [30]))
    assert not is_unmade(make_error("ValueError", []))
