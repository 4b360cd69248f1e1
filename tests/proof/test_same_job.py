"""A job that publishes to its own task: a further attempt, or another job of its kind."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from histories import ACKED, BEGAN, ENTERED, RETURNED

from skillrun.proof.history import Delivery, Event
from skillrun.proof.same_job import find_other_jobs

KEY = ("order_id", "page")


def publish(arguments: str | None) -> Delivery:
    """A delivery that publishes a message to its own task, with these arguments, and returns."""
    sent = {"to_handler": True, "delay": 30.0, "message": {"arguments": arguments}}
    told: list[tuple[str, dict[str, Any]]] = [BEGAN, ENTERED, ("published", sent), RETURNED, ACKED]
    events = tuple(Event(at, kind, data) for at, (kind, data) in enumerate(told, 1))
    return Delivery(1, "deliver", 0, 0.0, events)


def read_outcome(own: str | None, published: str | None) -> str:
    delivery = publish(published)
    others = find_other_jobs(delivery, {"arguments": own}, KEY)
    return dataclasses.replace(delivery, other_jobs=others).outcome


OWN = "[('order_id', '7'), ('page', '1')]"
NEXT = "[('order_id', '7'), ('page', '2')]"


def test_the_next_page_is_another_job() -> None:
    assert read_outcome(OWN, NEXT) == "succeeded"
    whole = "[('payload', \"{'order_id': 7, 'page': 1}\")]"
    following = "[('payload', \"{'order_id': 7, 'page': 2}\")]"
    assert read_outcome(whole, following) == "succeeded"


@pytest.mark.parametrize(
    "published",
    [
        OWN,
        # The attempt is counted in the message: it is no field of the key.
        "[('attempt', '2'), ('order_id', '7'), ('page', '1')]",
        # What a driver does not tell, and a field that is left out, say nothing.
        None,
        "[('order_id', '7')]",
        "[('token', '<object at 0x7f>')]",
    ],
)
def test_the_same_key_is_a_further_attempt(published: str | None) -> None:
    assert read_outcome(OWN, published) == "retried"


def test_who_does_not_know_its_own_key_takes_a_message_for_an_attempt() -> None:
    assert read_outcome(None, NEXT) == "retried"


def test_a_job_that_divides_itself_still_does_so() -> None:
    """Its parts are tried by themselves, whatever their keys are."""
    first, second = publish(OWN), publish(NEXT)
    later = tuple(dataclasses.replace(event, number=event.number + 10) for event in second.events)
    both = dataclasses.replace(first, events=(*first.events, *later))
    others = find_other_jobs(both, {"arguments": OWN}, KEY)
    both = dataclasses.replace(both, other_jobs=others)
    assert both.divides
    assert len(both.retries) == 1
