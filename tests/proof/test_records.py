"""What one log record says, and whether somebody who has it can tell the job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from skillrun.contract.job import JobSpec
from skillrun.proof.history import Event, History
from skillrun.proof.judges import logs
from skillrun.proof.judges.records import find_ids, has_value, make_template
from skillrun.proof.reference import Reference
from tests.proof.histories import ACKED, DONE, RETURNED, Told, effect, fault, history, raised, retry

AWAY = "app.mail:Away"
MET = fault("raise", "before:email#1", error=AWAY)
MESSAGE = "9b2d3c1e-7f60-4a55-8f44-0c1de57a9d10"
OTHER = "11111111-7f60-4a55-8f44-0c1de57a9d10"


def log(text: str, **more: Any) -> Told:
    fields = {"logger": "app", "level": "INFO", "template": None, "text": text, "extra": {}}
    return ("log", {**fields, **more})


def spec() -> JobSpec:
    return JobSpec.model_validate(
        {
            "version": 1,
            "job": "job",
            "idempotency": {"strategy": "keyed", "key": ["tenant", "order"]},
            "effects": [{"name": "email", "call": "app.mail:send", "key_arg": "key"}],
        }
    )


PAYLOADS = {0: {"tenant": "t1", "order": "o1"}, 1: {"tenant": "t2", "order": "o1"}}


def answer(*histories: History) -> dict[str, str]:
    once = histories[0]
    found = logs.answer_questions(histories, Reference(spec(), once), PAYLOADS)
    return {question: one.by for question, one in found.items()}


def single(*told: Told) -> History:
    return history("once", [*told, *DONE])


def failing(*told: Told, done: tuple[Told, ...] = ()) -> History:
    schedule = f"raise={AWAY}@before:email#1"
    return history(schedule, [MET, *told, raised(AWAY), retry(), ACKED], [*done, *DONE])


def test_an_id_that_stands_beside_the_key_fields_elsewhere_tells_the_job() -> None:
    start = log(f"start id={MESSAGE} payload={PAYLOADS[0]}")
    done = log(f"done id={MESSAGE}")
    again = log(f"again id={MESSAGE} error=Away")
    good, bad = single(start, done), failing(start, again, done=(start, done))
    assert answer(good, bad) == {
        "ran": "application",
        "succeeded": "application",
        "why": "application",
        "retry": "application",
    }


def test_the_key_fields_may_stand_in_several_records_of_one_id() -> None:
    told = (log(f"[{MESSAGE}] tenant t1"), log(f"[{MESSAGE}] order o1"), log(f"[{MESSAGE}] done"))
    assert answer(single(*told), failing(*told[:2], done=told))["succeeded"] == "application"


@pytest.mark.parametrize(
    "done",
    [
        log("done"),  # whose?
        log("done attempt=1"),  # a number is no id
        log(f"done id={OTHER}"),  # nobody says whose id that is
        log("done worker_id=4711"),  # who works, not what is worked on
    ],
)
def test_an_id_that_leads_nowhere_tells_nothing(done: Told) -> None:
    start = log(f"start id={MESSAGE} tenant=t1 order=o1 attempt=1 worker_id=4711")
    assert answer(single(start, done), failing(start, done=(start, done)))["succeeded"] == "no"


@pytest.mark.parametrize(
    ("mine", "other", "by"),
    [
        ("mail-t1-o1-due", "mail-t2-o1-due", "application"),
        ("mail-t1-o1-due", "mail-t1-o1-due", "no"),
    ],
)
def test_the_key_of_its_effect_tells_the_job(mine: str, other: str, by: str) -> None:
    """[mail-t1-o1-due] done: the reference that is given to a partner names the job, also where the
    key fields do not stand alone in it. One that two jobs share names neither.
    """
    first = [*effect(key=f"'{mine}'"), ACKED]
    once = history("once", [log(f"[{mine}] begins"), *first, log(f"[{mine}] done")])
    second = history("job=1", [*effect(key=f"'{other}'"), ACKED])
    met = [log(f"[{mine}] begins"), MET, log(f"[{mine}] Away, again later"), raised(AWAY), retry()]
    failed = history(f"raise={AWAY}@before:email#1", [*met, ACKED])
    found = logs.answer_questions([once, failed], Reference(spec(), once, {1: second}), PAYLOADS)
    assert {question: one.by for question, one in found.items()} == dict.fromkeys(found, by)


@pytest.mark.parametrize(
    ("row", "by"),
    [
        (["t1", "o1", "ZK-0001"], "application"),
        (["t1", "o1", "Z1"], "no"),
        (["t1", "o2", "ZK-0001"], "no"),
        (["t1", "o1", "ZK-0002"], "no"),
    ],
)
def test_of_one_job_alone_its_row_says_whose_key_it_is(row: list[str], by: str) -> None:
    """Without a second example no other job's key is there to compare with."""
    key = "Z1" if "Z1" in row else "ZK-0001"
    told = [log(f"sent key={key}"), *effect(key=f"'{key}'"), RETURNED, ACKED]
    did = history("once", told, state=[row])
    assert answer(did)["ran"] == by


def test_an_id_of_two_jobs_tells_neither() -> None:
    """A trace of a whole batch, the id of a host."""
    start = log("start trace=77 tenant=t1 order=o1")
    done = log("done trace=77")
    good, bad = single(start, done), failing(start, done=(start, done))
    assert answer(good, bad)["succeeded"] == "application"
    made = single(log("start trace=77 tenant=t2 order=o1"))
    other = replace(made, deliveries=tuple(replace(one, job=1) for one in made.deliveries))
    assert answer(good, bad, other)["succeeded"] == "no"


def test_the_librarys_own_formatter_names_the_message() -> None:
    """Celery's `get_task_logger`: each line begins with the task's id."""
    start = log("start tenant=t1 order=o1", names_message=True)
    named, bare = log("done", names_message=True), log("done")
    assert (
        answer(single(start, named), failing(start, done=(start, named)))["succeeded"]
        == "application"
    )
    assert answer(single(start, bare), failing(start, done=(start, bare)))["succeeded"] == "no"


def test_extra_fields_carry_ids_too() -> None:
    start = log("start", extra={"task_id": "77-a", "tenant": "t1", "order": "o1"})
    done = log("done", extra={"task_id": "77-a"})
    assert (
        answer(single(start, done), failing(start, done=(start, done)))["succeeded"]
        == "application"
    )


def test_giving_up_that_is_always_told_answers_whether_a_failure_is_tried_again() -> None:
    failed = log("attempt failed tenant=t1 order=o1: Away")
    buried = log("gave up tenant=t1 order=o1: Away")
    schedule = f"raise={AWAY}@before:email#1/*"
    exhausted = history(
        schedule, [MET, failed, raised(AWAY), retry(), ACKED], [MET, failed, buried, raised(AWAY)]
    )
    assert answer(single(), failing(failed), exhausted)["retry"] == "application"
    silent = history(
        schedule, [MET, failed, raised(AWAY), retry(), ACKED], [MET, failed, raised(AWAY)]
    )
    assert answer(single(), failing(failed), silent)["retry"] == "no"


def event(text: str, **more: Any) -> Event:
    return Event(1, "log", log(text, **more)[1])


def test_a_word_that_is_put_into_a_format_is_a_part_of_what_it_says() -> None:
    form = {"template": "%s order=%s"}
    again = event("retry order=o1", **form, words=["retry", "o1"])
    ended = event("gave up order=o1", **form, words=["gave up", "o1"])
    other = event("retry order=o2", **form, words=["retry", "o2"])
    assert make_template(again) != make_template(ended)
    assert make_template(again) == make_template(other)


def test_the_name_of_an_error_is_no_other_sentence() -> None:
    form = {"template": "failed: %s"}
    one = event("failed: StorageDown", **form, words=["StorageDown"])
    other = event("failed: BucketGone", **form, words=["BucketGone"])
    assert make_template(one) == make_template(other)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (f"Task shop.charge[{MESSAGE}] succeeded", {MESSAGE}),
        ("job 4711 done", {"4711"}),
        ("job_id: 'a-17' done", {"a-17"}),
        ("attempt=1/5 in 3.2 s", set()),
        ("worker_id=7", set()),
        ("paid 1000 cents", set()),
    ],
)
def test_what_looks_like_an_id(text: str, ids: set[str]) -> None:
    assert find_ids(event(text)) == ids


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("forecast of M-1001 v2: kept", True),
        ("forecast of M-1001 2: kept", True),
        ("forecast of M-1001 v12: kept", False),
        ("forecast of M-1001 rev2b: kept", False),
        ("forecast of M-1001 v3: kept", False),
    ],
)
def test_a_number_may_have_its_letter_before_it(text: str, there: bool) -> None:
    assert has_value(text, "version", "2") is there


def test_a_word_with_something_behind_it_is_a_part_of_what_a_record_says() -> None:
    form = {"template": "order=%s result=%s"}
    again = event("order=o1 result=retry in=20s", **form, words=["o1", "retry in=20s"])
    later = event("order=o1 result=retry in=40s", **form, words=["o1", "retry in=40s"])
    ended = event("order=o1 result=done mail=sent", **form, words=["o1", "done mail=sent"])
    assert make_template(again) != make_template(ended)
    assert make_template(again) == make_template(later)


@pytest.mark.parametrize(
    ("one", "other"),
    [("letter-2-2", "parcel-2-3"), ("mara@example.com", "ida@example.com"), ("k7f", "m8g")],
)
def test_an_id_or_an_address_is_no_other_sentence(one: str, other: str) -> None:
    form = {"template": "sent %s"}
    records = [event(f"sent {word}", **form, words=[word]) for word in (one, other)]
    assert make_template(records[0]) == make_template(records[1])


def test_what_an_error_says_is_no_other_sentence() -> None:
    """Else one format for all failures would tell which of them are tried again."""
    form = {"template": "order %s failed: %s"}
    said = ("bucket gone: host 3", "bad address: o1", "blue shirt (xl)", "mara lind, 12 high st")
    records = [event(f"order o1 failed: {text}", **form, words=["o1", text]) for text in said]
    assert len(set(map(make_template, records))) == 1
