"""The look at answers that say of a failure and are read as a success."""

from __future__ import annotations

import pytest
from answering import BAD, HONEST, UNREAD
from looks import everything, found, severities

LOOK = "failed-answer"


@pytest.mark.parametrize("name", BAD)
def test_a_failed_answer_that_is_read_as_done_is_an_error(name: str) -> None:
    base, head = BAD[name]
    assert "error" in severities(found(LOOK, base, head))


@pytest.mark.parametrize("name", HONEST)
def test_another_way_to_read_an_answer_is_at_most_a_note(name: str) -> None:
    base, head = HONEST[name]
    assert set(severities(everything(base, head))) <= {"note"}


@pytest.mark.parametrize("name", UNREAD)
def test_what_cannot_be_read_is_for_the_reviewer(name: str) -> None:
    base, head = UNREAD[name]
    findings = found(LOOK, base, head)
    assert set(severities(findings)) == {"warning"}
