"""The judge of logs: whether an operator can tell each job, its failures and its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from histories import (
    ACKED,
    AWAY,
    BUSY,
    DONE,
    MET,
    RETURNED,
    against,
    effect,
    fault,
    history,
    log,
    raised,
    retry,
    rules,
    spec,
)

from skillrun.probe.facts import BootFacts
from skillrun.proof.history import History
from skillrun.proof.judges import logs
from skillrun.proof.judges.records import Records


def test_whoever_waits_for_another_delivery_need_not_say_why() -> None:
    did = history("once", [log("started id=7"), *DONE, log("sent id=7")])
    error = "raise=app.mail:Away@before:email#1"
    tried = [log("started id=7"), fault("raise", "before:email#1"), raised(AWAY)]
    failed = history(error, [*tried, log("id=7 failed: away"), retry(), ACKED])
    waits = history("copies=2 switch@before:email#1", DONE, [log("started id=7"), *BUSY])
    alone = history("redeliver", DONE, [log("started id=7"), *BUSY])
    for last, by in ((waits, "application"), (alone, "no")):
        found = logs.answer_questions([did, failed, last], against(spec()), {0: {"id": 7}})
        assert (found["why"].by, found["retry"].by) == (by, by)


KNOWN = "app.mail:Known"


def answered(*told: Any, failing: Any = (), fields: str = "id=7") -> dict[str, str]:
    """Who answers each question, for one success and one attempt that is retried."""
    good = history("once", [*told, *DONE])
    bad = history(
        f"raise={AWAY}@before:email#1",
        [MET, *failing, raised(AWAY), retry(), ACKED],
        [*told, *DONE],
    )
    found = logs.answer_questions(
        [good, bad], against(spec(), facts=BootFacts(loggers=("library.",))), {0: {"id": 7}}
    )
    return {question: answer.by for question, answer in found.items()}


@pytest.mark.parametrize(
    ("retried", "given_up", "by"),
    [
        ({}, {}, "no"),
        (
            {"text": "failed id=7 will_retry=True"},
            {"text": "failed id=7 will_retry=False"},
            "application",
        ),
        ({"extra": {"will_retry": True}}, {"extra": {"will_retry": False}}, "application"),
    ],
)
def test_yes_and_no_are_two_records(
    retried: dict[str, Any], given_up: dict[str, Any], by: str
) -> None:
    failed = {"text": "failed id=7", "template": "failed id=%s will_retry=%s"}
    attempts = (
        [log(**{**failed, **retried}), raised(AWAY), retry(), ACKED],
        [log(**{**failed, **given_up}), raised(AWAY)],
    )
    histories = [
        history("once", DONE),
        history(f"raise={AWAY}@before:email#1/*", *([MET, *told] for told in attempts)),
    ]
    assert logs.answer_questions(histories, against(spec()), {0: {"id": 7}})["retry"].by == by


def test_the_four_questions_are_answered_by_difference() -> None:
    good = [log("started id=7"), log("done id=7")]
    bad = [log("started id=7"), log("failed id=7: Away, will retry")]
    assert set(answered(*good, failing=bad).values()) == {"application"}


def test_an_error_that_means_success_is_no_failure() -> None:
    """The effect had taken place before: its record of success is no lie."""
    done = log("done id=7")
    known = history(f"raise={KNOWN}@before:email#1", [MET, done, *DONE[-2:]])
    failures = {"transient": [AWAY], "permanent": [], "success": [KNOWN]}
    reference = against(spec(failures=failures))
    failed = history(
        f"raise={AWAY}@before:email#1",
        [MET, log("failed id=7: Away"), raised(AWAY), retry(), ACKED],
        [done, *DONE],
    )
    found = logs.answer_questions(
        [history("once", [done, *DONE]), failed, known], reference, {0: {"id": 7}}
    )
    assert found["succeeded"].by == "application"


def test_a_record_that_is_always_there_answers_nothing() -> None:
    same = [log("started id=7"), log("finished id=7")]
    assert answered(*same, failing=same)["succeeded"] == "no"


def test_a_record_without_the_key_answers_nothing() -> None:
    assert answered(log("started"), log("done"), failing=[log("started")])["ran"] == "no"


def test_the_library_is_counted_apart() -> None:
    good = [log("started id=7"), log("done id=7")]
    bad = [log("started id=7"), log("job id=7 failed: Away, again in 2 s", logger="library.worker")]
    found = answered(*good, failing=bad)
    assert (found["ran"], found["why"], found["retry"]) == ("application", "framework", "framework")


def test_a_failure_whose_reason_is_not_told_is_unanswered() -> None:
    good = [log("started id=7"), log("done id=7")]
    assert (
        answered(*good, failing=[log("started id=7"), log("something went wrong id=7")])["why"]
        == "no"
    )


def ended(error: str, *, control: bool, cause: Any = None) -> tuple[str, dict[str, Any]]:
    kind, data = raised(error)
    return (kind, {**data, "control": control, "cause": cause})


@pytest.mark.parametrize(
    ("cause", "expected"),
    [(None, "application"), (["app.mail:Away", "away"], "no")],
)
def test_a_retry_that_met_no_error_tells_why_in_its_own_words(cause: Any, expected: str) -> None:
    """`raise Retry()` because a lock is taken; within an except clause it names the error."""
    good = [log("started id=7"), log("done id=7")]
    again = [
        log("started id=7"),
        log("somebody else is at it id=7"),
        ended("arq.worker:Retry", control=True, cause=cause),
    ]
    seen = history("redeliver", [*again, retry(), ACKED], [*good, *DONE])
    found = logs.answer_questions(
        [history("once", [*good, *DONE]), seen], against(spec()), {0: {"id": 7}}
    )
    assert found["why"].by == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("mail deferred: 421", "application"), ("(421, 'busy')", "application"), ("later", "no")],
)
def test_an_error_under_the_adapters_name_is_the_reason_too(said: str, expected: str) -> None:
    """`except SMTPException as e: raise Away(f"mail deferred: {e.smtp_code}") from e`, and the
    handler retries with that one: either tells why.
    """
    good = [log("started id=7"), log("done id=7")]
    again = [
        log("started id=7"),
        fault(
            "raise", "before:email#1", error="smtplib:SMTPResponseException", text="(421, 'busy')"
        ),
        log(f"not told yet id=7: {said}"),
        ended("library:Retry", control=True, cause=["app.mail:Away", "mail deferred: 421"]),
    ]
    seen = history("redeliver", [*again, retry(), ACKED], [*good, *DONE])
    found = logs.answer_questions(
        [history("once", [*good, *DONE]), seen], against(spec()), {0: {"id": 7}}
    )
    assert found["why"].by == expected


@pytest.mark.parametrize(
    ("before", "letters", "expected"),
    [
        ([], 1, "application"),
        ([], 0, "application"),
        (DONE, 1, "application"),
        (DONE, 0, "no"),
    ],
)
def test_a_job_that_gives_itself_up_has_found_nothing_done(
    before: list[Any], letters: int, expected: str
) -> None:
    """On a later day it is too old: what it says then does not speak of a job that was done."""
    buries = log("given up id=7: Away")
    good = history("once", [log("started id=7"), *DONE], dead_letters=0)
    failed = history(
        f"raise={AWAY}@before:email#1/*", [MET, raised(AWAY), buries, ACKED], dead_letters=1
    )
    earlier = [before] if before else []
    too_old = history("day=2028-02-29", *earlier, [buries, RETURNED, ACKED], dead_letters=letters)
    found = logs.answer_questions([good, failed, too_old], against(spec(), good), {0: {"id": 7}})
    assert found["why"].by == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("PartnerSaysNo('404 sms')", "application"), ("refused, see 4042", "no"), ("refused", "no")],
)
def test_the_status_of_an_answer_is_a_reason(said: str, expected: str) -> None:
    """An adapter makes an error of its own of a 404, and the handler gives the job up with that."""
    good = [log("started id=7"), log("done id=7")]
    text = "404 injected by skillrun"
    gone = [fault("raise", "before:email#1", error="requests:HTTPError", text=text)]
    gone += [log(f"given up id=7: {said}"), raised("app.mail:PartnerSaysNo"), ACKED]
    gone[-2] = ("raised", {**gone[-2][1], "error": "library:Reject", "text": "", "control": False})
    seen = history("raise=requests:HTTPError@before:email#1/*", gone)
    found = logs.answer_questions(
        [history("once", [*good, *DONE]), seen], against(spec()), {0: {"id": 7}}
    )
    assert found["why"].by == expected


@pytest.mark.parametrize(
    ("said", "of", "expected"),
    [
        ("dead error=Refused", "smtplib:SMTPRecipientsRefused", "application"),
        ("dead: no such box", "smtplib:SMTPRecipientsRefused", "application"),
        ("dead", "smtplib:SMTPRecipientsRefused", "no"),
        ("no coupon: Refused, full price", "builtins:KeyError", "no"),
    ],
)
def test_an_error_that_the_application_made_and_ended_itself_is_the_reason(
    said: str, of: str, expected: str
) -> None:
    """`raise Refused("no such box") from None`, which the handler catches, logs, and buries. One that
    has another reason has nothing to do with the failure.
    """
    made = [["app.mail:Refused", "no such box", True], [of, "", False]]
    good = [log("started id=7"), log("done id=7")]
    buried = [
        fault("raise", "before:email#1", error="smtplib:SMTPRecipientsRefused", text="({},)"),
        log(f"id=7 {said}", handled=made),
        RETURNED,
        ACKED,
    ]
    seen = history("raise=smtplib:SMTPRecipientsRefused@before:email#1", buried)
    found = logs.answer_questions(
        [history("once", [*good, *DONE]), seen], against(spec()), {0: {"id": 7}}
    )
    assert found["why"].by == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [("asyncio.exceptions:CancelledError", "not asked"), ("app.mail:Away", "no")],
)
def test_what_the_library_cancels_is_not_asked_why(error: str, expected: str) -> None:
    good = [log("started id=7"), log("done id=7")]
    seen = history(
        "redeliver", [log("started id=7"), ended(error, control=False), ACKED], [*good, *DONE]
    )
    found = logs.answer_questions(
        [history("once", [*good, *DONE]), seen], against(spec()), {0: {"id": 7}}
    )
    assert found["why"].by == expected


def piece(number: int, *, fails: bool = False) -> list[Any]:
    """One of several calls of one tick, for a piece of work of its own; it may meet an error."""
    fields = {"name": f"email#{number}", "subject": f"'{number}'", "key": f"'{number}'"}
    before, done, after = [(kind, {**data, **fields}) for kind, data in effect()]
    return (
        [before, fault("raise", f"before:email#{number}", error=AWAY)]
        if fails
        else [before, done, after]
    )


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("mail 1 failed: Away, tried again", ("application", "application")),
        ("trouble", ("no", "application")),
    ],
)
def test_a_tick_without_a_key_tells_why_a_piece_of_its_work_failed(
    told: str, expected: tuple[str, str]
) -> None:
    ticking = spec(
        idempotency={
            "strategy": "invariant",
            "invariant": {"statement": "one", "guarded_by": "rows"},
        },
        trigger={"type": "poller", "every": "1m"},
    )
    sent = [[*piece(number), log(f"mail {number} sent")] for number in (1, 2)]
    once = history("once", [log("started"), *sent[0], *sent[1], RETURNED, ACKED])
    first = [log("started"), *piece(1, fails=True), log(told), *sent[1], RETURNED, ACKED]
    failing = history(
        f"raise={AWAY}@before:email#1!", first, [log("started"), *sent[0], RETURNED, ACKED]
    )
    found = logs.answer_questions(
        [once, failing], against(ticking, once, facts=BootFacts(ticks=True)), {0: {}}
    )
    assert (found["why"].by, found["retry"].by) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("export succeeded id=7", ["logs.lie"]),
        ("export succeeded", []),  # whose?
        ("export ended id=7", []),
        ("export success=False id=7", []),
        ("something else succeeded id=7", []),  # not what a success says
    ],
)
def test_a_delivery_that_fails_does_not_say_success(told: str, expected: list[str]) -> None:
    made = spec(payload={"type": "object", "examples": [{"id": 7}]})
    once = history(
        "once", [*effect(), log("export succeeded id=7"), log("export ended id=7"), RETURNED, ACKED]
    )
    failing = [log("export succeeded id=7"), MET, log(told), raised(AWAY), retry(), ACKED]
    seen = history(f"raise={AWAY}@before:email#1", failing, DONE)
    assert rules(logs.judge_lies, seen, against(made, once)) == expected


def test_what_the_library_says_of_a_handler_whose_decorator_gave_up_is_no_lie() -> None:
    made = spec(payload={"type": "object", "examples": [{"id": 7}]})
    said = log("job export id=7 ended with status: Success", logger="procrastinate.worker")
    once = history("once", [*effect(), said, RETURNED, ACKED])
    seen = history(f"raise={AWAY}@before:email#1", [MET, raised(AWAY), said, ACKED])
    assert (
        rules(
            logs.judge_lies, seen, against(made, once, facts=BootFacts(loggers=("procrastinate",)))
        )
        == []
    )
    assert rules(logs.judge_lies, seen, against(made, once)) == ["logs.lie"]


def beside(*jobs: list[Any]) -> History:
    """One delivery of each of some jobs, in one history."""
    seen = history("redeliver", *jobs)
    numbered = [replace(run, job=number) for number, run in enumerate(seen.deliveries)]
    return replace(seen, deliveries=tuple(numbered))


def told_by(begun: str, ended: str) -> list[Any]:
    return [log(begun), *DONE[:-1], log(ended, logger="library.worker"), DONE[-1]]


@pytest.mark.parametrize(
    ("name", "expected"), [("letter-{}", True), ("worker-py311", False), ("12:00:0{}", False)]
)
def test_what_stands_in_the_records_of_one_job_alone_ties_them(name: str, expected: bool) -> None:
    """A name that the application makes is an id; a version, or a time, is none."""
    mine = told_by(f"{name.format(1)} begins id=7", f"{name.format(1)} ends")
    others = told_by(f"{name.format(2)} begins id=8", f"{name.format(2)} ends")
    alone = history("once", told_by(f"{name.format(2)} begins id=7", f"{name.format(2)} ends"))
    payloads = {0: {"id": 7}, 1: {"id": 8}}
    seen = beside(mine, others)
    # In a history of its own another job may have that name.
    records = Records.read([seen, alone], against(spec()), payloads)
    run = seen.deliveries[0]
    end = list(run.all("log"))[-1]
    assert records.tells_job(end, run, [("id", "7")]) is expected
