"""The look at code that asks whether it is being watched."""

from __future__ import annotations

import pytest
from looks import found, severities
from watched_cases import ATTACKS, CASES, Case, shop

LOOK = "asks-if-watched"
_WORST_FIRST = ("error", "warning", "note")


def worst(case: Case) -> str:
    base = {**shop(), **case.base}
    given = severities(found(LOOK, base, {**base, **case.files}))
    return next((severity for severity in _WORST_FIRST if severity in given), "nothing")


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_who_asks_is_found_and_who_does_not_is_left_alone(case: Case) -> None:
    assert worst(case) == case.expected


def test_the_cases_are_many() -> None:
    assert len(ATTACKS) >= 40
    assert len({case.id for case in CASES}) == len(CASES)
