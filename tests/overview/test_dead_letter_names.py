"""The words of a table's name tell a place of failures, not parts of words."""

from __future__ import annotations

import pytest

from skillrun.skills.job_worker.overview.memories import is_dead_letter


@pytest.mark.parametrize(
    "name",
    [
        *("table failed_jobs", "model DeadLetter", "table deadletters", "model FailedJob"),
        *("table failures", "table parked", "model ParkedMessage", "table mail_dead"),
        *("table buried_jobs", "table quarantine", "model PoisonMessage", "table faileddeliveries"),
    ],
)
def test_what_is_given_up_lies_there(name: str) -> None:
    assert is_dead_letter(name)


@pytest.mark.parametrize(
    "name",
    ["model Deadline", "table deadlines", "model Failover", "table parked_cars", "table receipts"],
)
def test_a_part_of_a_word_says_nothing(name: str) -> None:
    assert not is_dead_letter(name)
