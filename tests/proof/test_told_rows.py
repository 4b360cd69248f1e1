"""The job's own row tells that it was done, where the logs do not; why it failed, only they tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from histories import (
    ACKED,
    AWAY,
    DONE,
    MET,
    ONCE,
    against,
    history,
    log,
    raised,
    retry,
    spec,
)

from skillrun.probe.facts import BootFacts
from skillrun.proof.judges import logs

NEW, SENT, GIVEN_UP = [[7, "new", 0]], [[7, "sent", 1]], [[7, "given up", 0]]
WHY = log("id=7 failed: away, tried again")
KEYLESS = {"strategy": "invariant", "invariant": {"statement": "it finds nothing the second time"}}


def answer(
    done: list[list[Any]],
    failed: list[list[Any]],
    *,
    before: list[list[Any]] = NEW,
    told: Any = WHY,
    said: Any = (),
    other: list[list[Any]] | None = None,
    **more: Any,
) -> dict[str, str]:
    """Who answers, where the job's rows are `done` after success, and `failed` where it was given
    up. `other`: the rows after another job, with the id 1.
    """
    once = history("once", [*said, *DONE], state=done)
    retried = [told, MET, raised(AWAY), retry(), ACKED]
    again = history(f"raise={AWAY}@before:email#1", retried, [*said, *DONE], state=done)
    ended = history(f"raise={AWAY}@before:email#1/*", retried, [told, MET, raised(AWAY)])
    ended = replace(ended, state={"rows": failed})
    jobs = {}
    if other is not None:
        jobs = {1: history("once", DONE, state=other)}
    reference = against(
        spec(**more),
        replace(ONCE, state={"rows": done}),
        facts=BootFacts(loggers=("library.",)),
        before={"rows": before},
        jobs=jobs,
    )
    payloads = {0: {"id": 7}, 1: {"id": 1}}
    found = logs.answer_questions([once, again, ended], reference, payloads)
    return {question: told.by for question, told in found.items()}


def test_a_row_that_is_so_after_success_alone_tells_that_the_job_was_done() -> None:
    found = answer(SENT, GIVEN_UP)
    assert (found["ran"], found["succeeded"]) == ("application", "application")
    assert found["retry"] == "no"  # the same is said when it is given up


@pytest.mark.parametrize(
    ("done", "failed"),
    [
        (SENT, SENT),  # a failure leaves it, too
        ([["sent", 1]], [["given up", 0]]),  # nobody can tell which job
        (NEW, NEW),  # it was so before
    ],
)
def test_a_row_that_does_not_tell_this_success_answers_nothing(
    done: list[list[Any]], failed: list[list[Any]]
) -> None:
    assert answer(done, failed)["succeeded"] == "no"


def test_a_number_that_is_no_column_of_the_key_tells_no_job() -> None:
    """Each job leaves one mail that was sent: 7 stands there by chance."""
    assert answer([["sent", 7]], [["given up", 0]], other=[["sent", 7]])["succeeded"] == "no"
    assert answer([["sent", 7]], [["x", 0]], other=[["sent", 1]])["succeeded"] == "application"


def test_a_failure_is_told_by_the_logs_alone() -> None:
    """Nobody looks for a row before somebody complains."""
    found = answer(SENT, [[7, "given up: Away", 0]], told=log("started id=7"))
    assert (found["succeeded"], found["why"], found["retry"]) == ("application", "no", "no")


def test_a_job_without_key_fields_is_told_by_what_it_changed() -> None:
    """A nightly purge: there is one such job."""
    old, none = [[1], [2]], [[2]]
    asked = {"idempotency": KEYLESS}
    assert answer(none, old, before=old, **asked)["succeeded"] == "application"
    assert answer(old, old, before=old, **asked)["succeeded"] == "no"
    assert answer(none, none, before=old, **asked)["succeeded"] == "no"


def test_a_log_that_says_success_too_early_lies_whatever_the_row_or_the_library_says() -> None:
    """The commit fails that it speaks of."""
    early = log("sent id=7")
    librarys = log("job id=7 done", logger="library.worker")
    once = history("once", [early, *DONE, librarys], state=SENT)
    failing = history(
        "fail@before:commit#1",
        [early, ("fault", {"do": "fail", "at": "before:commit#1"}), raised(AWAY), retry(), ACKED],
        [early, *DONE, librarys],
        state=SENT,
    )
    reference = against(
        spec(),
        replace(ONCE, state={"rows": SENT}),
        facts=BootFacts(loggers=("library.",)),
        before={"rows": NEW},
    )
    found = logs.answer_questions([once, failing], reference, {0: {"id": 7}})
    assert found["succeeded"].by == "no"
    assert "before the commit" in found["succeeded"].near


@pytest.mark.parametrize(("names_message", "by"), [(True, "framework"), (False, "no")])
def test_the_librarys_record_has_the_id_that_its_formatter_writes(
    names_message: bool, by: str
) -> None:
    """`[shop.send[UUID]] started id=7` and `Task shop.send[UUID] succeeded` are about one job."""
    started = log("started id=7", names_message=names_message)
    ended = log("Task send[11111111-1111-4111-8111-111111111111] succeeded", logger="library.trace")
    same = [[1]]
    once = history("once", [started, *DONE, ended], state=same)
    reference = against(spec(), replace(ONCE, state={"rows": same}))
    reference = replace(reference, facts=BootFacts(loggers=("library.",)))
    failed = history(f"raise={AWAY}@before:email#1", [started, MET, raised(AWAY), retry(), ACKED])
    found = logs.answer_questions([once, failed], reference, {0: {"id": 7}})
    assert found["succeeded"].by == by


@pytest.mark.parametrize(
    ("end", "told", "by"),
    [
        (log("finished id=7"), WHY, "application"),
        # A failure that nobody tells looks just like a success.
        (log("finished id=7"), log("started id=7"), "no"),
        # One that died has said as much.
        (log("elsewhere"), WHY, "no"),
    ],
)
def test_where_each_failure_is_told_an_end_without_one_is_a_success(
    end: Any, told: Any, by: str
) -> None:
    """`finally: log.info("finished id=%s")`, or a handler that catches its error and publishes the
    next attempt itself: the library says of both that the task succeeded.
    """
    same = [[1]]
    start = log("started id=7")
    once = history("once", [start, *DONE, end], state=same)
    failed = [start, told, MET, end, raised(AWAY), retry(), ACKED]
    again = history(f"raise={AWAY}@before:email#1", failed, [start, *DONE, end], state=same)
    reference = against(spec(), replace(ONCE, state={"rows": same}))
    found = logs.answer_questions([once, again], reference, {0: {"id": 7}})
    assert found["succeeded"].by == by
