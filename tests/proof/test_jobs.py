"""Distinct jobs that the proof makes up from the first example."""

from __future__ import annotations

from typing import Any

from skillrun.contract.job import JobSpec
from skillrun.probe.facts import BootFacts
from skillrun.proof.jobs import distinct_payloads, is_same_job, may_be_of_job, read_payload
from skillrun.proof.ticks import is_clocked, is_polled


def spec(key: list[str], properties: dict[str, Any], example: dict[str, Any]) -> JobSpec:
    payload = {"type": "object", "properties": properties, "examples": [example]}
    return JobSpec(
        version=1, job="job", payload=payload, idempotency={"strategy": "keyed", "key": key}
    )


def test_each_key_field_is_varied() -> None:
    made = spec(
        ["id", "day"],
        {"id": {"type": "integer"}, "day": {"format": "date"}},
        {"id": 7, "day": "2026-01-01"},
    )
    assert distinct_payloads(made)[:2] == [
        {"id": 8, "day": "2026-01-01"},
        {"id": 7, "day": "2026-01-02"},
    ]


def test_an_example_that_differs_in_everything_leaves_who_goes_by_another_field_to_be_found() -> (
    None
):
    fields: dict[str, Any] = {"change": {"type": "string"}, "tenant": {"type": "string"}}
    first, other = {"change": "c1", "tenant": "acme"}, {"change": "c5", "tenant": "globex"}
    made = spec(["change"], fields, first)
    assert made.payload is not None
    made.payload["examples"].append(other)
    assert distinct_payloads(made) == [other, {"change": "c5", "tenant": "acme"}]
    made.payload["examples"].append({"change": "c6", "tenant": "acme"})
    assert len(distinct_payloads(made)) == 2  # the author has given one


def test_the_border_between_two_fields_is_moved() -> None:
    made = spec(["a", "b"], {"a": {"type": "integer"}, "b": {"type": "integer"}}, {"a": 7, "b": 11})
    assert {"a": 71, "b": 1} in distinct_payloads(made)


def test_a_border_that_the_schema_forbids_is_not_moved() -> None:
    limits = {"a": {"type": "integer", "maximum": 9}, "b": {"type": "integer"}}
    found = distinct_payloads(spec(["a", "b"], limits, {"a": 7, "b": 11}))
    assert all(payload["a"] <= 9 for payload in found)
    assert found


def ticking(schedule: str, strategy: str, **fields: Any) -> JobSpec:
    invariant = {"statement": "one row a day", "guarded_by": "a unique row"}
    more = {"key": ["day"]} if strategy == "keyed" else {"invariant": invariant}
    idempotency = {"strategy": strategy, **more}
    return JobSpec(
        version=1,
        job="job",
        trigger={"type": "cron", "schedule": schedule},
        idempotency=idempotency,
        **fields,
    )


def test_a_cron_job_of_many_ticks_a_day_that_goes_by_no_key_is_polled() -> None:
    facts = BootFacts(ticks=True)
    assert is_polled(ticking("*/5 * * * *", "invariant"), facts)
    assert is_clocked(ticking("30 2 * * *", "invariant"), facts)
    assert is_clocked(ticking("*/5 * * * *", "keyed"), facts)


def test_a_daily_cron_job_whose_retries_wait_for_the_next_day_is_polled() -> None:
    retry = {"max_attempts": 5, "backoff": {"kind": "fixed", "base": "24h"}}
    assert is_polled(ticking("30 2 * * *", "invariant", retry=retry), BootFacts(ticks=True))
    assert is_clocked(ticking("30 2 * * *", "keyed", retry=retry), BootFacts(ticks=True))


def test_what_a_message_holds_is_a_payload_again() -> None:
    like = {"order": "o1", "cents": 5}
    assert read_payload("[('cents', '7'), ('order', \"'o2'\")]", like) == {
        "order": "o2",
        "cents": 7,
    }
    assert read_payload("[('body', \"{'order': 'o2', 'cents': 7}\")]", like) == {
        "order": "o2",
        "cents": 7,
    }
    assert read_payload("[('order', '<Order 7>')]", like) is None
    assert read_payload("[('number', '7')]", 5) == 7


def test_the_key_says_which_payloads_are_one_job() -> None:
    made = spec(["order"], {"order": {"type": "string"}}, {"order": "o1", "sent_at": 1})
    assert is_same_job(made, {"order": "o1", "sent_at": 1}, {"order": "o1", "sent_at": 2})
    assert not is_same_job(made, {"order": "o1"}, {"order": "o2"})


def test_a_field_that_a_message_leaves_out_has_its_default() -> None:
    made = spec([], {"order": {"type": "string"}, "lang": {"type": "string"}}, {"order": "o1"})
    assert may_be_of_job(made, {"order": "o1"}, {"order": "o1", "lang": "en"})
    assert not may_be_of_job(made, {"order": "o1", "lang": "fr"}, {"order": "o1", "lang": "en"})
    assert not may_be_of_job(made, {"order": "o2"}, {"order": "o1", "lang": "en"})
