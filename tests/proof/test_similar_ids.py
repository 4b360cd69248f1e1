"""The id of a job that is made like another one's."""

from __future__ import annotations

import pytest

from skillrun.probe.ids import are_distinct, make_similar_id

SETTINGS = {"key": ["message_id"], "examples": [{"message_id": "m-1"}, {"message_id": "m-2"}]}


@pytest.mark.parametrize(
    ("message", "is_other_job"),
    [({"message_id": "m-2"}, True), ({"message_id": "m-1"}, False), ({"message_id": "m-3"}, False)],
    ids=["another example", "the same job", "made up by the proof"],
)
def test_distinct_jobs_are_those_of_the_examples(
    message: dict[str, str], is_other_job: bool
) -> None:
    """A message with one job's id and another's content, as poison is, may have either's id."""
    assert are_distinct({"message_id": "m-1"}, message, SETTINGS) is is_other_job


def test_an_id_of_the_arguments_is_made_of_these() -> None:
    assert make_similar_id("order-7", {"order": "7"}, {"order": "8"}) == "order-8"
