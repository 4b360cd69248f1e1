"""Whether the logs answer four questions about a job. They do where some record is there each time
that the answer is yes, and never where it is no.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from skillrun.proof.history import Delivery, Event, History, outlasts_process
from skillrun.proof.judges.publishing import find_unnamed_field
from skillrun.proof.judges.records import (
    Records,
    collect_templates,
    has_all_values,
    has_value,
    make_template,
)
from skillrun.proof.judges.rows_told import ToldRows
from skillrun.proof.reference import (
    OUTAGES,
    REFUTED,
    Judgement,
    Reference,
    find_hit_items,
    is_success,
)
from skillrun.proof.schedule import Schedule
from skillrun.proof.ticks import is_idle, is_polled

QUESTIONS = {
    "ran": "did it run?",
    "succeeded": "did it succeed?",
    "why": "why did it fail?",
    "retry": "will it retry?",
}
# These are asked of the job, whichever of its deliveries tells it.
_OF_THE_JOB = ("ran", "succeeded")
# How a delivery of a job ends that is done, and of one that is not; see `_CLASSES`.
_DONE = ("did", "recovered", "again")
_NOT_DONE = ("retried", "failed")
# The spec says nothing of how such a delivery ends.
_NOT_ASKED = OUTAGES | {"late-error", "rival"}
# "succeeded", "successful"; not "unsuccessful", "no success", nor a field such as `success=False`.
_SUCCESS = re.compile(
    r"(?<!un)(?<!not )(?<!no )succe(?:ss(?:ful(?:ly)?)?|eded)\b(?!\s*[=:])", re.IGNORECASE
)
_SHORT_WORDS = 2
_STATUS = re.compile(r"(\d{3}) injected by skillrun")


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


def answer_questions(
    histories: Iterable[History], reference: Reference, payloads: Mapping[int, Any]
) -> dict[str, Answer]:
    """Question -> how the logs answer it, over the deliveries of all histories that were not cut
    short.
    """
    histories = list(histories)
    records = Records.read(histories, reference, payloads)
    by_kind = _group_deliveries(histories, records)
    _add_told_rows(by_kind, records)
    found: dict[str, Answer] = {}
    for question, (pick_yes, pick_no) in _CLASSES.items():
        found[question] = _answer_question(question, pick_yes(by_kind), pick_no(by_kind), records)
    if found["retry"].by == "no":
        found["retry"] = _answer_by_giving_up(by_kind, records) or found["retry"]
    if found["succeeded"].by == "no":
        found["succeeded"] = _answer_by_no_failure(by_kind, found["why"], records)
    early = None
    if found["succeeded"].by != "no":
        is_own = found["succeeded"].by == "application"
        early = _find_early_success(by_kind, histories, records, is_own=is_own)
    if early is not None:
        found["succeeded"] = early
    return found


def _answer_by_giving_up(by_kind: dict[str, list[Delivery]], records: Records) -> Answer | None:
    """The answer to "will it retry?" by elimination: a failure that is told will be tried again,
    where giving up is always told as well. None where it is not.
    """
    retried, failed = by_kind.get("retried", []), by_kind.get("failed", [])
    if not failed:
        return None
    told = _answer_question("why", retried, by_kind.get("did", []), records)
    ended = _answer_question("retry", failed, retried, records)
    if "no" in (told.by, ended.by):
        return None
    return ended


def _answer_by_no_failure(
    by_kind: dict[str, list[Delivery]], why: Answer, records: Records
) -> Answer:
    """The answer to "did it succeed?" by elimination: where each failure is told, a delivery whose
    end is told and that tells of none has succeeded. One that died tells no end.
    """
    pick_yes, pick_no = _CLASSES["succeeded"]
    yes = pick_yes(by_kind)
    plain = _answer_question("succeeded", yes, pick_no(by_kind), records)
    if why.by not in ("application", "framework"):
        return plain
    answer = None
    for delivery in yes:
        told = _find_end_record(delivery, records)
        if told is None:
            return plain
        is_own = not str(told["logger"]).startswith(records.reference.facts.loggers)
        by = "application" if is_own else "framework"
        answer = answer or Answer(by, str(told["text"]), str(told["logger"]))
    return answer or plain


def _find_end_record(delivery: Delivery, records: Records) -> Event | None:
    """The first record of a delivery that tells the job, when all that it does in the world is done;
    None where there is none.
    """
    last = max((event.number for event in delivery.all("at")), default=0)
    fields = records.key_fields(delivery.job)
    for event in delivery.all("log"):
        if event.number > last and records.tells_job(event, delivery, fields):
            return event
    return None


def _group_deliveries(histories: list[History], records: Records) -> dict[str, list[Delivery]]:
    """How a delivery ended -> the deliveries that came to their end, each with all its records."""
    reference = records.reference
    by_kind: dict[str, list[Delivery]] = {}
    for history in histories:
        if not _is_asked(history, reference):
            continue
        for run in history.runs:
            delivery = _add_callback_records(history, run)
            if not _is_telling(history, delivery, records):
                continue
            kind = _classify(history, delivery, reference)
            if kind == "again" and _follows_own_errors(history, run):
                # It may have given up for the same error, and taken that itself.
                continue
            by_kind.setdefault(kind, []).append(delivery)
    return by_kind


def _add_told_rows(by_kind: dict[str, list[Delivery]], records: Records) -> None:
    """Gives each delivery of a job that was done the row that tells so, where there is one."""
    done = _collect_histories(by_kind, _DONE)
    failed: list[History] = []
    for history in _collect_histories(by_kind, _NOT_DONE):
        if all(history is not other for other in done):
            failed.append(history)
    rows = ToldRows.read(failed, records.reference, records)
    for kind in _DONE:
        if kind in by_kind:
            by_kind[kind] = [_add_row(delivery, rows) for delivery in by_kind[kind]]


def _add_row(delivery: Delivery, rows: ToldRows) -> Delivery:
    """A delivery with the row that tells that its job was done."""
    if not isinstance(delivery, Told) or delivery.history is None:
        return delivery
    return replace(delivery, row=rows.find_row(delivery.history, delivery.job))


def _collect_histories(by_kind: dict[str, list[Delivery]], kinds: tuple[str, ...]) -> list[History]:
    """The histories with a delivery that ended in one of these ways, each once."""
    found: dict[int, History] = {}
    for kind in kinds:
        for delivery in by_kind.get(kind, []):
            if isinstance(delivery, Told) and delivery.history is not None:
                found[id(delivery.history)] = delivery.history
    return list(found.values())


def _is_telling(history: History, delivery: Delivery, records: Records) -> bool:
    """Whether a delivery came to an end that its own records must tell."""
    # A delivery after a death may find any part of the job done: whether it did the job or found
    # nothing left to do cannot be told from how it ended.
    follows_death = history.schedule.has_crash and delivery.number != 1
    if follows_death or not delivery.entered or delivery.died:
        return False
    if _was_cancelled(delivery) or _is_of_others(history, delivery, records):
        return False
    # Where it waits for another delivery, that one tells what becomes of the job.
    return not history.waits_for_another(delivery)


def _classify(history: History, delivery: Delivery, reference: Reference) -> str:
    """How a delivery ended, as `_CLASSES` names it."""
    if is_polled(reference.spec, reference.facts):
        kind = _classify_tick(history, delivery, reference.is_batch)
    else:
        kind = _classify_delivery(history, delivery, reference.is_batch)
    # An error that means that the effect had taken place before is no failure.
    if kind == "failed" and _means_success(history, reference):
        return "did"
    return kind


def _follows_own_errors(history: History, run: Delivery) -> bool:
    """Whether the job was tried before, and came again for an error that nobody injected, such as a
    store that stayed locked.
    """
    for earlier in history.runs:
        is_before = earlier.number < run.number and earlier.job == run.job
        if is_before and earlier.outcome == "retried" and not _find_errors_met(earlier):
            return True
    return False


def _is_asked(history: History, reference: Reference) -> bool:
    """Whether the logs of a history must answer: not where it was cut short, where there is no job
    to speak of, or where another job may have been made.
    """
    if history.hung or history.schedule.poison is not None:
        return False
    if history.schedule.family in _NOT_ASKED:
        return False
    return find_unnamed_field(history, reference) is None


def _find_early_success(
    by_kind: dict[str, list[Delivery]],
    histories: Iterable[History],
    records: Records,
    *,
    is_own: bool,
) -> Answer | None:
    """The answer "no" to "did it succeed?", where each record of success is also there when the
    commit fails that it speaks of; None where one is not. `is_own`: the application's own records
    are what answers it.
    """
    reference = records.reference
    if reference.is_batch:
        return None
    undone: list[tuple[History, Delivery]] = []
    for history in histories:
        if history.schedule.family == "store-error":
            for delivery in find_undone_deliveries(history, reference):
                undone.append((history, delivery))
    yes, no = (pick(by_kind) for pick in _CLASSES["succeeded"])
    failed = [delivery for _, delivery in undone]
    if is_own:
        # What the application says itself must be true, whatever the library says beside it.
        loggers = reference.facts.loggers
        yes, no, failed = (_drop_records(each, loggers) for each in (yes, no, failed))
        if _answer_question("succeeded", yes, no, records).by == "no":
            return None  # its rows tell it
    if _answer_question("succeeded", yes, [*no, *failed], records).by != "no":
        return None
    said = collect_templates(yes) - collect_templates(no)
    # The one that came furthest has said the most: what it begins with is no record of success.
    early: list[Event] = []
    schedule = None
    for history, delivery in undone:
        told = [event for event in delivery.all("log") if make_template(event) in said]
        if len(told) > len(early):
            early, schedule = told, history.schedule
    if not early:
        return None
    last = early[-1]["text"]
    return Answer(
        "no",
        example="fails with its commit",
        near=f"{last!r} is logged before the commit, and stays where that fails",
        schedule=schedule,
    )


def _drop_records(deliveries: list[Delivery], loggers: tuple[str, ...]) -> list[Delivery]:
    """The deliveries without what these loggers have written, and without their rows."""
    found: list[Delivery] = []
    for delivery in deliveries:
        events: list[Event] = []
        for event in delivery.events:
            if event.kind != "log" or not str(event["logger"]).startswith(loggers):
                events.append(event)
        kept = replace(delivery, events=tuple(events))
        if isinstance(kept, Told):
            kept = replace(kept, row="")
        found.append(kept)
    return found


def find_undone_deliveries(history: History, reference: Reference) -> Iterator[Delivery]:
    """Yields the deliveries that failed with the first commit that they made, and had done nothing
    else that lasts; each is cut off at that commit.

    What they said of success is wrong. An effect that left the process stays done, whatever becomes
    of its marker.
    """
    leaves = {effect.name for effect in reference.effects if effect.guarantee != "transactional"}
    for delivery in history.runs:
        failure = _find_store_failure(delivery)
        if failure is None or failure["status"]:
            continue
        if delivery.died or delivery.outcome == "succeeded":
            continue
        before = tuple(event for event in delivery.events if event.number < failure.number)
        if not any(_outlasts_rollback(event, leaves) for event in before):
            yield replace(delivery, events=before)


def _find_store_failure(delivery: Delivery) -> Event | None:
    """The first fault of a delivery by which the proof let a call fail."""
    for event in delivery.all("fault"):
        if event["do"] == "fail":
            return event
    return None


def _outlasts_rollback(event: Event, leaves: set[str]) -> bool:
    """Whether a failing commit does not take an event back. `leaves`: the effects that are not
    transactional.
    """
    if event.kind == "performed":
        return event["effect"] in leaves
    return event.kind == "published" or (event.kind == "at" and outlasts_process(event))


def _was_cancelled(delivery: Delivery) -> bool:
    """Whether the library cancelled a delivery, at its time limit: the handler had no say in how it
    ended.
    """
    errors = {event["error"] for event in delivery.all("raised")}
    return "asyncio.exceptions:CancelledError" in errors


@dataclass(frozen=True)
class Told(Delivery):
    """A delivery with the records of what the library called after it.

    `others`: the other deliveries of the same job in that history that came to their end. Of two at
    once the one that finds the work done may say nothing: the other one has told that the job ran,
    and what came of it.
    `history`: what it is a part of. `row`: a row that tells that its job was done; "" where none
    does.
    """

    others: tuple[Delivery, ...] = ()
    history: History | None = None
    row: str = ""


def _add_callback_records(history: History, run: Delivery) -> Told:
    """A delivery as its logs tell it: with what the library's callbacks logged after it."""
    records: list[Event] = []
    for called in history.callbacks(run):
        records += called.all("log")
    others: list[Delivery] = []
    for other in history.runs_of(run.job):
        if other is not run and not other.died:
            others.append(other)
    events = (*run.events, *records)
    return Told(
        run.number,
        run.op,
        run.job,
        run.clock,
        events,
        run.copy,
        run.parent,
        others=tuple(others),
        history=history,
    )


def _classify_delivery(history: History, delivery: Delivery, batch: bool) -> str:
    """How a delivery ended, as `_CLASSES` names it: "did", it performed the job; "recovered", it
    did so after an error that it met; "again", it found nothing left to do; else its outcome.
    """
    if delivery.outcome != "succeeded":
        return delivery.outcome
    met = _find_errors_met(delivery)
    if met:
        if _has_done_after(history, delivery, met[-1], batch):
            return "recovered"
        # The handler took the error and gave the job up by itself.
        return "failed"
    if delivery.performs(None) or history.schedule.family == "once":
        return "did"
    return "again"


def _has_done_after(history: History, delivery: Delivery, error: int, batch: bool) -> bool:
    """Whether a delivery performed the job after an error, which is an event's number."""
    hit = find_hit_items(history) if batch else set()
    for event in delivery.all("performed"):
        # Of several pieces of work only the one that met the error can recover from it.
        is_of_hit = not hit or _identify_call(event) in hit
        if is_of_hit and event.number > error:
            return True
    return False


def _means_success(history: History, reference: Reference) -> bool:
    """Whether a schedule throws an error that is declared to mean success."""
    return any(is_success(reference, fault) for fault in history.schedule.faults)


def _find_errors_met(delivery: Delivery) -> list[int]:
    """The events' numbers of the errors that the proof threw into a delivery."""
    return [event.number for event in delivery.all("fault") if event["do"] == "raise"]


def _identify_call(event: Event) -> tuple[str, str]:
    """(subject, key) of a call, as in `find_hit_items`."""
    return str(event["subject"]), str(event["key"])


def _is_of_others(history: History, delivery: Delivery, records: Records) -> bool:
    """Whether a tick that does several pieces of work did others than the one whose key fields the
    proof knows.
    """
    fields = records.key_fields(max(delivery.job, 0))
    if not records.reference.is_batch or not fields:
        return False
    hit = [_choose_words(subject, key) for subject, key in find_hit_items(history)]
    if hit and not _is_job_among(hit, fields):
        return True
    called = []
    for event in delivery.all("at"):
        if event["kind"] == "effect":
            called.append(_choose_words(*_identify_call(event)))
    return bool(called) and not _is_job_among(called, fields)


def _is_job_among(texts: list[str], fields: list[tuple[str, str]]) -> bool:
    """Whether one of several texts names every key field of a job."""
    return any(_names_job(text, fields) for text in texts)


def _choose_words(subject: str, key: str) -> str:
    """The words that tell what a call is about: its key, where it has one."""
    if key == "None":
        return subject
    return key


def _names_job(text: str, fields: list[tuple[str, str]]) -> bool:
    """Whether a text names every key field of a job."""
    return bool(fields) and all(has_value(text, name, value) for name, value in fields)


def _classify_tick(history: History, delivery: Delivery, batch: bool) -> str:
    """How a poller's tick ended, as `_CLASSES` names it. Later ticks tell whether it was tried
    again; one that found nothing is "idle", which no question asks for.
    """
    kind = _classify_delivery(history, delivery, batch)
    if kind == "again":
        return "idle"
    after = history.runs_after(delivery)
    if batch:
        is_tried_again = _is_called_again(history, after)
    else:
        is_tried_again = not all(map(is_idle, after))
    if kind == "failed" and is_tried_again:
        return "retried"
    return kind


def _is_called_again(history: History, after: Sequence[Delivery]) -> bool:
    """Whether later ticks come to the piece of work that failed."""
    hit = find_hit_items(history)
    called: set[tuple[str, str]] = set()
    for delivery in after:
        called.update(map(_identify_call, delivery.all("at")))
    return not called.isdisjoint(hit)


_Pick = Callable[[dict[str, list[Delivery]]], list[Delivery]]


def _pick_kinds(*kinds: str) -> _Pick:
    """A function that picks the deliveries that ended in one of these ways."""

    def pick(found: dict[str, list[Delivery]]) -> list[Delivery]:
        picked: list[Delivery] = []
        for kind in kinds:
            picked += found.get(kind, [])
        return picked

    return pick


# Question -> the deliveries where the answer is yes, and those where it is no.
_CLASSES: dict[str, tuple[_Pick, _Pick]] = {
    "ran": (_pick_kinds("did", "recovered", "again", "retried", "failed"), _pick_kinds()),
    "succeeded": (_pick_kinds("did", "recovered"), _pick_kinds("retried", "failed")),
    "why": (_pick_kinds("retried", "failed"), _pick_kinds("did", "again")),
    "retry": (_pick_kinds("retried"), _pick_kinds("failed", "did", "again")),
}


def _answer_question(
    question: str, yes: list[Delivery], no: list[Delivery], records: Records
) -> Answer:
    """How the logs answer a question: the worst of the answers that the deliveries give in which it
    is to be answered with yes. `no`: those in which it is to be answered with no.
    """
    if not yes:
        return NOT_ASKED
    elsewhere = _collect_templates_of_no(question, no, records)
    worst = Answer("application")
    for delivery in yes:
        fields = records.key_fields(delivery.job)
        found = _find_answer(question, delivery, elsewhere, records)
        if found is None and question in _OF_THE_JOB:
            found = _find_others_answer(question, delivery, elsewhere, records)
        if found is None and question in _OF_THE_JOB:
            found = _read_row(delivery)
        if found is None:
            near = _describe_near_miss(question, delivery, elsewhere, fields)
            return Answer("no", example=delivery.outcome, near=near)
        is_worse = found.by == "framework" or not worst.record
        if is_worse and worst.by == "application":
            worst = found
    return worst


def _read_row(delivery: Delivery) -> Answer | None:
    """The answer that the job's own row gives; None where no row does."""
    if not isinstance(delivery, Told) or not delivery.row:
        return None
    return Answer("application", delivery.row, "proof.state")


def _find_others_answer(
    question: str, delivery: Delivery, elsewhere: set[str], records: Records
) -> Answer | None:
    """The answer that another delivery of the same job gives; None where none does."""
    if not isinstance(delivery, Told):
        return None
    for other in delivery.others:
        found = _find_answer(question, other, elsewhere, records)
        if found is not None:
            return found
    return None


def _collect_templates_of_no(question: str, no: list[Delivery], records: Records) -> set[str]:
    """The templates of what is also said where the answer is no, and so tells nothing."""
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
    return _names_job(str(event["text"]), fields)


def _find_answer(
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
        if not str(event["logger"]).startswith(records.reference.facts.loggers):
            return Answer("application", str(event["text"]), str(event["logger"]))
        of_library = of_library or event
    if of_library is None:
        return None
    return Answer("framework", str(of_library["text"]), str(of_library["logger"]))


def _is_answer(question: str, event: Event, delivery: Delivery, elsewhere: set[str]) -> bool:
    """Whether a record answers a question, whichever job it names."""
    if make_template(event) in elsewhere:
        return False
    return question != "why" or _says_why(event, delivery)


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


def _says_why(event: Event, delivery: Delivery) -> bool:
    """Whether a record names one of the errors on the way from what went wrong to how the delivery
    ended.
    """
    reasons = _list_reasons(delivery)
    if not reasons:
        # It asks to come again and met no error: its own words are the reason.
        return True
    extra = " ".join(map(str, (event["extra"] or {}).values()))
    text = f"{event['text']} {event['error'] or ''} {extra}"
    return any(_names_error(text, name, said) for name, said in reasons)


def _list_reasons(delivery: Delivery) -> list[tuple[str, str | None]]:
    """(class, words) of each error that a delivery met or made of it: an adapter gives the
    provider's error another name, and a Retry holds that one.
    """
    found: list[tuple[str, str | None]] = []
    for event in delivery.events:
        if event.kind == "fault" and event["do"] == "raise":
            found.append((str(event["error"]), event["text"]))
        if event.kind != "raised":
            continue
        if not event["control"]:
            found.append((str(event["error"]), event["text"]))
        if event["cause"]:
            name, said = event["cause"]
            found.append((str(name), said))
    # A script says with its exit status that something failed, and not what.
    telling = [reason for reason in found if reason[0] != "builtins:SystemExit"]
    return telling or found


def _names_error(text: str, name: str, said: str | None) -> bool:
    """Whether a text names an error, by its class or by its words."""
    if name.rpartition(":")[2] in text:
        return True
    if said is None or len(said) <= _SHORT_WORDS:
        return False  # one or two letters are there by chance
    # An adapter that makes its own error of an answer keeps the status, and not our words.
    status = _STATUS.fullmatch(said)
    if status is not None:
        return re.search(rf"(?<![\d.]){status[1]}(?![\d.])", text) is not None
    return said in text


def judge_lies(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that no delivery that fails says success after its error, with the words of one that
    succeeds.
    """
    payload = reference.payload
    if payload is None and reference.spec.examples:
        payload = reference.spec.examples[0]
    records = Records(reference, {0: payload})
    fields = records.key_fields(0)
    if not fields or history.schedule.family in _NOT_ASKED:
        return
    success = _collect_own_templates(reference)
    for delivery in history.runs:
        met = _find_errors_met(delivery)
        if not met or delivery.job or delivery.died or delivery.outcome == "succeeded":
            continue
        for event in delivery.all("log"):
            says_success = event.number > met[-1] and _SUCCESS.search(str(event["text"]))
            if not says_success or make_template(event) not in success:
                continue
            if records.tells_job(event, delivery, fields):
                message = f"a delivery that fails says: {event['text']}"
                yield Judgement(
                    REFUTED, "logs.lie", message, events=(event.number,), expected="no such record"
                )
                return


def _collect_own_templates(reference: Reference) -> set[str]:
    """The templates of what the application logs in the single run. The library's own records are
    left out: it says what came of the handler's decorators.
    """
    loggers = reference.facts.loggers
    found: set[str] = set()
    for event in reference.once.list_of_runs("log"):
        if not str(event["logger"]).startswith(loggers):
            found.add(make_template(event))
    return found


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
        yield Judgement(REFUTED, f"logs.{question}", said, expected=wanted, seen=seen)
