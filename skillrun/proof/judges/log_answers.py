"""How the logs answer one question about a job: by a record that is there each time that the answer
is yes, never where it is no, and by which somebody can tell the job.
"""

from __future__ import annotations

from dataclasses import dataclass

from skillrun.proof.history import Delivery, Event
from skillrun.proof.judges.log_ends import Told
from skillrun.proof.judges.log_reasons import says_why
from skillrun.proof.judges.records import (
    Records,
    collect_templates,
    has_all_values,
    make_template,
    names_job,
)
from skillrun.proof.schedule import Schedule

QUESTIONS = {
    "ran": "did it run?",
    "succeeded": "did it succeed?",
    "why": "why did it fail?",
    "retry": "will it retry?",
}
# Question -> how the deliveries ended (see `log_ends`) where its answer is yes, and where it is no.
_ENDS_OF_YES = {
    "ran": ("did", "recovered", "again", "retried", "failed"),
    "succeeded": ("did", "recovered"),
    "why": ("retried", "failed"),
    "retry": ("retried",),
}
_ENDS_OF_NO = {
    "ran": (),
    "succeeded": ("retried", "failed"),
    "why": ("did", "again"),
    "retry": ("failed", "did", "again"),
}
# These are asked of the job, whichever of its deliveries tells it.
_ASKED_OF_JOB = ("ran", "succeeded")


@dataclass(frozen=True)
class Answer:
    """How the logs answer one question: "application", "framework", "no", or "not asked" where
    nothing poses it.
    """

    by: str
    record: str = ""  # the text of one such record
    logger: str = ""
    example: str = ""  # the delivery without one: how it ended
    # A record of it that would do, if it carried the key fields: its place and what is missing.
    near: str = ""
    schedule: Schedule | None = None  # where that shows, if it is one alone


NOT_ASKED = Answer("not asked")


def split_by_answer(
    question: str, by_end: dict[str, list[Delivery]]
) -> tuple[list[Delivery], list[Delivery]]:
    """The deliveries in which the answer to a question is yes, and those in which it is no."""
    yes: list[Delivery] = []
    for end in _ENDS_OF_YES[question]:
        yes += by_end.get(end, [])
    no: list[Delivery] = []
    for end in _ENDS_OF_NO[question]:
        no += by_end.get(end, [])
    return yes, no


def answer_question(
    question: str, yes: list[Delivery], no: list[Delivery], records: Records
) -> Answer:
    """How the logs answer a question: the worst of the answers that the deliveries give in which it
    is to be answered with yes. `no`: those in which it is to be answered with no.
    """
    if not yes:
        return NOT_ASKED
    elsewhere = _collect_templates_of_no(question, no, records)
    answers: list[Answer] = []
    for delivery in yes:
        answer = _find_answer(question, delivery, elsewhere, records)
        if answer is None:
            fields = records.key_fields(delivery.job)
            near = _describe_near_miss(question, delivery, elsewhere, fields)
            return Answer("no", example=delivery.outcome, near=near)
        answers.append(answer)
    for answer in answers:
        if answer.by == "framework":
            return answer
    return answers[0]


def _collect_templates_of_no(question: str, no: list[Delivery], records: Records) -> set[str]:
    """The templates of what is also said where the answer is no, and so tells nothing.

    Of a tick that does several pieces of work only those count that speak of the one in question.
    """
    if not records.reference.is_batch:
        return collect_templates(no)
    found: set[str] = set()
    for delivery in no:
        fields = records.key_fields(delivery.job)
        for event in delivery.all("log"):
            if _may_answer(question, event, fields):
                found.add(make_template(event))
    return found


def _may_answer(question: str, event: Event, fields: list[tuple[str, str]]) -> bool:
    """Whether a record of a tick is about the piece of work in question: without a key, failures
    are about the one that failed, and successes may be about any other.
    """
    if not fields:
        return question in ("why", "retry")
    return names_job(str(event["text"]), fields)


def _find_answer(
    question: str, delivery: Delivery, elsewhere: set[str], records: Records
) -> Answer | None:
    """The answer that a delivery gives, by its own records, or for what is asked of the job by
    those of the job's other deliveries or by its row. None where none of them answers.
    """
    answer = _find_record(question, delivery, elsewhere, records)
    if answer is not None or question not in _ASKED_OF_JOB or not isinstance(delivery, Told):
        return answer
    for other in delivery.others:
        answer = _find_record(question, other, elsewhere, records)
        if answer is not None:
            return answer
    if delivery.row:
        return Answer("application", delivery.row, "proof.state")
    return None


def _find_record(
    question: str, delivery: Delivery, elsewhere: set[str], records: Records
) -> Answer | None:
    """The first record of a delivery that answers and tells the job, the application's own before
    the library's; None where there is no such record.
    """
    fields = records.key_fields(delivery.job)
    of_library: Event | None = None
    for event in delivery.all("log"):
        if not _is_answer(question, event, delivery, elsewhere):
            continue
        if not records.tells_job(event, delivery, fields):
            continue
        if not records.is_of_library(event):
            return quote_record("application", event)
        of_library = of_library or event
    if of_library is None:
        return None
    return quote_record("framework", of_library)


def quote_record(by: str, event: Event) -> Answer:
    """The answer that a record gives."""
    return Answer(by, str(event["text"]), str(event["logger"]))


def _is_answer(question: str, event: Event, delivery: Delivery, elsewhere: set[str]) -> bool:
    """Whether a record answers a question, whichever job it names."""
    if make_template(event) in elsewhere:
        return False
    return question != "why" or says_why(event, delivery)


def _describe_near_miss(
    question: str, delivery: Delivery, elsewhere: set[str], fields: list[tuple[str, str]]
) -> str:
    """The application's own record that answers and lacks a key field, as text with its place; ""
    where there is none.
    """
    for event in delivery.all("log"):
        place = event.place
        # Outside of the repository it is a library's record.
        if place is None or place[0].startswith("/") or has_all_values(event, fields):
            continue
        if not _is_answer(question, event, delivery, elsewhere):
            continue
        lacking = _find_lacking_field(event, fields)
        if not lacking:
            return ""
        return f"{place[0]}:{place[1]} lacks {lacking}: {event['text']}"
    return ""


def _find_lacking_field(event: Event, fields: list[tuple[str, str]]) -> str:
    """The name of the first key field that a record does not have; "" where it has each by
    itself.
    """
    for name, value in fields:
        if not has_all_values(event, [(name, value)]):
            return name
    return ""
