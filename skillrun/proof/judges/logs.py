"""Whether the logs answer four questions about a job. They do where some record is there each time
that the answer is yes, and never where it is no.

`answer_questions` first answers each of them by its own records (`log_answers.py`). Then, for what
these leave open: "will it retry?" and "did it succeed?" may be answered by elimination. Last, since
it takes an answer back: what says "succeeded" must not stand there when the commit fails after it
(`early_success.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.early_success import find_early_success
from skillrun.proof.judges.log_answers import (
    QUESTIONS,
    Answer,
    answer_question,
    quote_record,
    split_by_answer,
)
from skillrun.proof.judges.log_ends import group_by_end, is_unasked, list_errors_met
from skillrun.proof.judges.records import Records, make_template
from skillrun.proof.reference import Reference

# "succeeded", "successful"; not "unsuccessful", "no success", nor a field such as `success=False`.
_SUCCESS = re.compile(
    r"(?<!un)(?<!not )(?<!no )succe(?:ss(?:ful(?:ly)?)?|eded)\b(?!\s*[=:])", re.IGNORECASE
)


def answer_questions(
    histories: Iterable[History], reference: Reference, payloads: Mapping[int, Any]
) -> dict[str, Answer]:
    """Question -> how the logs answer it, over the deliveries of all histories that were not cut
    short.
    """
    histories = list(histories)
    records = Records.read(histories, reference, payloads)
    by_end = group_by_end(histories, records)
    answers: dict[str, Answer] = {}
    for question in QUESTIONS:
        yes, no = split_by_answer(question, by_end)
        answers[question] = answer_question(question, yes, no, records)
    if answers["retry"].by == "no":
        answers["retry"] = _answer_by_giving_up(by_end, records) or answers["retry"]
    if answers["succeeded"].by == "no":
        by_no_failure = _answer_by_no_failure(by_end, answers["why"], records)
        answers["succeeded"] = by_no_failure or answers["succeeded"]
    if answers["succeeded"].by != "no":
        is_own = answers["succeeded"].by == "application"
        early = find_early_success(by_end, histories, records, is_own=is_own)
        answers["succeeded"] = early or answers["succeeded"]
    return answers


def _answer_by_giving_up(by_end: dict[str, list[Delivery]], records: Records) -> Answer | None:
    """The answer to "will it retry?" by elimination: a failure that is told will be tried again,
    where giving up is always told as well. None where it is not.
    """
    retried, failed = by_end.get("retried", []), by_end.get("failed", [])
    if not failed:
        return None
    told = answer_question("why", retried, by_end.get("did", []), records)
    given_up = answer_question("retry", failed, retried, records)
    if "no" in (told.by, given_up.by):
        return None
    return given_up


def _answer_by_no_failure(
    by_end: dict[str, list[Delivery]], why: Answer, records: Records
) -> Answer | None:
    """The answer to "did it succeed?" by elimination: where each failure is told, a delivery whose
    end is told and that tells of none has succeeded. One that died tells no end. None where a
    failure or an end is not told.
    """
    if why.by not in ("application", "framework"):
        return None
    succeeded, _ = split_by_answer("succeeded", by_end)
    answers: list[Answer] = []
    for delivery in succeeded:
        told = _find_end_record(delivery, records)
        if told is None:
            return None
        by = "application"
        if records.is_of_library(told):
            by = "framework"
        answers.append(quote_record(by, told))
    return next(iter(answers), None)


def _find_end_record(delivery: Delivery, records: Records) -> Event | None:
    """The first record of a delivery that tells the job, when all that it does in the world is
    done; None where there is none.
    """
    last = max((event.number for event in delivery.all("at")), default=0)
    fields = records.key_fields(delivery.job)
    for event in delivery.all("log"):
        if event.number > last and records.tells_job(event, delivery, fields):
            return event
    return None


def judge_lies(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that no delivery that fails says success after its error, with the words of one that
    succeeds.
    """
    payload = reference.payload
    if payload is None and reference.spec.examples:
        payload = reference.spec.examples[0]
    records = Records(reference, {0: payload})
    if not records.key_fields(0) or is_unasked(history):
        return
    said_by_single_run = _collect_own_templates(records)
    for delivery in history.runs:
        if delivery.job or delivery.died or delivery.outcome == "succeeded":
            continue
        lie = _find_lie(delivery, said_by_single_run, records)
        if lie is not None:
            yield Judgement(
                Verdict.REFUTED,
                "logs.lie",
                f"a delivery that fails says: {lie['text']}",
                events=(lie.number,),
                expected="no such record",
            )
            return


def _find_lie(delivery: Delivery, said_by_single_run: set[str], records: Records) -> Event | None:
    """The first record that says success after the last error that a delivery met, and tells the
    proof's own job; None where there is none. What the single run does not say may speak of
    something else that succeeded.
    """
    errors = list_errors_met(delivery)
    if not errors:
        return None
    fields = records.key_fields(0)
    for event in delivery.all("log"):
        if event.number <= errors[-1] or not _SUCCESS.search(str(event["text"])):
            continue
        is_usual = make_template(event) in said_by_single_run
        if is_usual and records.tells_job(event, delivery, fields):
            return event
    return None


def _collect_own_templates(records: Records) -> set[str]:
    """The templates of what the application logs in the single run. The library's own records are
    left out: it says what came of the handler's decorators.
    """
    logged = records.reference.once.list_of_runs("log")
    return {make_template(event) for event in logged if not records.is_of_library(event)}


def judge_answers(found: Mapping[str, Answer]) -> Iterator[Judgement]:
    """Refutes each question that the logs leave open: nobody will know."""
    wanted = (
        "a record that names the job (its key fields, or an id that another record has beside"
        " them), there exactly when the answer is yes"
    )
    for question, answer in found.items():
        if answer.by != "no":
            continue
        said = f"the logs do not tell: {QUESTIONS[question]}"
        seen = f"none in a delivery that {answer.example}"
        if answer.near:
            seen = f"{seen}; {answer.near}"
        if answer.schedule:
            seen = answer.near
        yield Judgement(Verdict.REFUTED, f"logs.{question}", said, expected=wanted, seen=seen)
