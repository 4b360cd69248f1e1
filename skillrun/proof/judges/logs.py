"""The four questions, answered by difference: a record that is there where the answer is yes and
nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from skillrun.proof.history import Delivery, Event, History, lasts
from skillrun.proof.judges.publishing import unnamed_field
from skillrun.proof.reference import REFUTED, Judgement, Reference, hit_items
from skillrun.proof.schedule import Schedule
from skillrun.proof.ticks import is_idle, is_polled

QUESTIONS = {
    "ran": "did it run?",
    "succeeded": "did it succeed?",
    "why": "why did it fail?",
    "retry": "will it retry?",
}
_NOT_ASKED = ("late-error", "store-error")  # the spec says nothing of how such a delivery ends
_SUCCESS = re.compile(
    r"(?<!un)(?<!not )(?<!no )succe(?:ss(?:ful(?:ly)?)?|eded)\b(?!\s*[=:])", re.IGNORECASE
)
_FLAG = re.compile(r"\b\w+['\"]?\s*[=:]\s*(?:true|false|yes|no)\b", re.IGNORECASE)
_VOLATILE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|\d+(?:\.\d+)?", re.I)


@dataclass(frozen=True)
class Answer:
    """How the logs answer one question: "application", "framework", "no", or "not asked" where
    nothing poses it.
    """

    by: str
    record: str = ""  # the text of one such record
    logger: str = ""
    example: str = ""  # the delivery without one: how it ended
    near: str = (  # a record of it that would do, if it carried the key fields: its place and what is missing
        ""
    )
    schedule: Schedule | None = None  # where that shows, if it is one alone


def answers(
    histories: Iterable[History], reference: Reference, payloads: Mapping[int, Any]
) -> dict[str, Answer]:
    """Question -> answer, over the deliveries of all histories that were not cut short."""
    histories = list(histories)
    asked = [
        h
        for h in histories
        if not h.hung
        and h.schedule.poison is None
        and h.schedule.family not in _NOT_ASKED
        and unnamed_field(h, reference) is None
    ]
    deliveries = [(h, _whole(h, d)) for h in asked for d in h.runs]
    ended = [(h, d) for h, d in deliveries if d.entered and not d.died and not _was_cancelled(d)]
    whole = [(h, d) for h, d in ended if not _of_others(h, d, reference, payloads)]
    polled = is_polled(reference.spec, dict(reference.facts))
    kinds = {id(d): (_tick_kind if polled else _kind)(h, d, reference.is_batch) for h, d in whole}
    by_kind: dict[str, list[Delivery]] = {}
    for history, delivery in whole:
        if not history.schedule.has_crash or delivery.number == 1:
            by_kind.setdefault(kinds[id(delivery)], []).append(delivery)
    found = {
        question: _answer(question, yes(by_kind), no(by_kind), reference, payloads)
        for question, (yes, no) in _CLASSES.items()
    }
    early = _too_early(by_kind, histories, reference, payloads)
    return {**found, "succeeded": early} if early and found["succeeded"].by != "no" else found


def _too_early(
    by_kind: dict[str, list[Delivery]],
    histories: Iterable[History],
    reference: Reference,
    payloads: Mapping[int, Any],
) -> Answer | None:
    """Where each record of success is also there when the commit fails that it speaks of: the last
    of them.
    """
    if reference.is_batch:
        return None
    failing = [h for h in histories if h.schedule.family == "store-error"]
    found = [(history, delivery) for history in failing for delivery in undone(history, reference)]
    yes, no = (pick(by_kind) for pick in _CLASSES["succeeded"])
    if _answer("succeeded", yes, [*no, *(d for _, d in found)], reference, payloads).by != "no":
        return None
    said = {template(e) for d in yes for e in d.all("log")} - {
        template(e) for d in no for e in d.all("log")
    }
    for history, delivery in found:
        records = [e for e in delivery.all("log") if template(e) in said]
        if records:
            near = (
                f"{records[-1]['text']!r} is logged before the commit, and stays where that fails"
            )
            return Answer(
                "no", example="fails with its commit", near=near, schedule=history.schedule
            )
    return None


def undone(history: History, reference: Reference) -> Iterator[Delivery]:
    """Deliveries that failed with the first commit that they made, and had done nothing else that
    lasts: up to there.

    What they said of success is wrong. An effect that left the process stays done, whatever becomes
    of its marker.
    """
    leaves = {effect.name for effect in reference.effects if effect.guarantee != "transactional"}
    for delivery in history.runs:
        fault = next((event for event in delivery.all("fault") if event["do"] == "fail"), None)
        if fault is None or delivery.died or delivery.outcome == "succeeded":
            continue
        before = tuple(event for event in delivery.events if event.number < fault.number)
        left = any(
            e.kind == "published" or (e.kind == "performed" and e["effect"] in leaves)
            for e in before
        )
        if not left and not any(e.kind == "at" and lasts(e) for e in before):
            yield replace(delivery, events=before)


def _was_cancelled(delivery: Delivery) -> bool:
    """The library cancelled it, at its time limit: the handler had no say in its end."""
    return any(
        event["error"] == "asyncio.exceptions:CancelledError" for event in delivery.all("raised")
    )


def _whole(history: History, run: Delivery) -> Delivery:
    """A delivery with the records of what the library called after it."""
    records = tuple(event for called in history.callbacks(run) for event in called.all("log"))
    return replace(run, events=(*run.events, *records)) if records else run


def _kind(history: History, delivery: Delivery, batch: bool) -> str:
    """did: it performed the job; recovered: after an error that it met; again: it found nothing
    left to do; else how it ended.
    """
    if delivery.outcome != "succeeded":
        return delivery.outcome
    met = [event.number for event in delivery.all("fault") if event["do"] == "raise"]
    hit = hit_items(history) if batch else set()
    done = [
        e for e in delivery.all("performed") if not hit or (str(e["subject"]), str(e["key"])) in hit
    ]
    if met and not any(event.number > met[-1] for event in done):
        return "failed"  # the handler took the error and gave the job up by itself
    if met:
        return "recovered"
    if any(delivery.all("performed")) or history.schedule.family == "once":
        return "did"
    return "again"


def _of_others(
    history: History, delivery: Delivery, reference: Reference, payloads: Mapping[int, Any]
) -> bool:
    """Of several pieces of work in one tick, the proof knows the key fields of one."""
    fields = _fields(reference, payloads, max(delivery.job, 0))
    if not reference.is_batch or not fields:
        return False
    hit = [_about(subject, key) for subject, key in hit_items(history)]
    if hit and not any(_is_of(text, fields) for text in hit):
        return True
    called = [
        _about(str(e["subject"]), str(e["key"]))
        for e in delivery.all("at")
        if e["kind"] == "effect"
    ]
    return bool(called) and not any(_is_of(text, fields) for text in called)


def _about(subject: str, key: str) -> str:
    return subject if key == "None" else key


def _is_of(text: str, fields: list[tuple[str, str]]) -> bool:
    return bool(fields) and all(_has(text, name, value) for name, value in fields)


def _tick_kind(history: History, delivery: Delivery, batch: bool) -> str:
    """Of a poller, later ticks tell whether it tried again. A tick that found nothing has no job to
    speak of.
    """
    kind = _kind(history, delivery, batch)
    if kind == "again":
        return "idle"
    after = history.runs[history.runs.index(delivery) + 1 :]
    again = _is_called_again(history, after) if batch else not all(map(is_idle, after))
    return "retried" if kind == "failed" and again else kind


def _is_called_again(history: History, after: Sequence[Delivery]) -> bool:
    """Of several pieces of work, the one that failed comes again."""
    hit = hit_items(history)
    return any(
        (str(e["subject"]), str(e["key"])) in hit for delivery in after for e in delivery.all("at")
    )


_Pick = Callable[[dict[str, list[Delivery]]], list[Delivery]]


def _of(*kinds: str) -> _Pick:
    return lambda found: [delivery for kind in kinds for delivery in found.get(kind, [])]


_CLASSES: dict[str, tuple[_Pick, _Pick]] = {
    "ran": (_of("did", "recovered", "again", "retried", "failed"), _of()),
    "succeeded": (_of("did", "recovered"), _of("retried", "failed")),
    "why": (_of("retried", "failed"), _of("did", "again")),
    "retry": (_of("retried"), _of("failed", "did", "again")),
}


def _answer(
    question: str,
    yes: list[Delivery],
    no: list[Delivery],
    reference: Reference,
    payloads: Mapping[int, Any],
) -> Answer:
    if not yes:
        return Answer("not asked")
    elsewhere = {
        template(event)
        for delivery in no
        for event in delivery.all("log")
        if not reference.is_batch
        or _may_answer(question, event, _fields(reference, payloads, delivery.job))
    }
    loggers = tuple(reference.facts.get("loggers") or ())
    worst = Answer("application")
    for delivery in yes:
        found = _best(
            question, delivery, elsewhere, loggers, _fields(reference, payloads, delivery.job)
        )
        if found is None:
            near = _near(question, delivery, elsewhere, _fields(reference, payloads, delivery.job))
            return Answer("no", example=delivery.outcome, near=near)
        if found.by == "framework" or not worst.record:
            worst = found if worst.by == "application" else worst
    return worst


def _may_answer(question: str, event: Event, fields: list[tuple[str, str]]) -> bool:
    """Whether a record of a tick is about the piece of work in question: without a key, failures
    are about the one that failed, and successes may be about any other.
    """
    return _is_of(str(event["text"]), fields) if fields else question in ("why", "retry")


def _best(
    question: str,
    delivery: Delivery,
    elsewhere: set[str],
    loggers: tuple[str, ...],
    fields: list[tuple[str, str]],
) -> Answer | None:
    """A record of a delivery that answers, the application's own before the library's."""
    good = [
        event
        for event in delivery.all("log")
        if template(event) not in elsewhere
        and carries(event, fields)
        and (question != "why" or _says_why(event, delivery))
    ]
    own = [event for event in good if not str(event["logger"]).startswith(loggers or ("\0",))]
    for found, by in ((own, "application"), (good, "framework")):
        if found:
            return Answer(by, str(found[0]["text"]), str(found[0]["logger"]))
    return None


def _near(
    question: str, delivery: Delivery, elsewhere: set[str], fields: list[tuple[str, str]]
) -> str:
    """The application's own record that answers, and lacks a key field."""
    for event in delivery.all("log"):
        place = event.place
        if (
            place is None
            or place[0].startswith("/")
            or template(event) in elsewhere
            or carries(event, fields)
        ):
            continue
        if question != "why" or _says_why(event, delivery):
            lacking = next(
                (name for name, value in fields if not carries(event, [(name, value)])), ""
            )
            return f"{place[0]}:{place[1]} lacks {lacking}: {event['text']}" if lacking else ""
    return ""


def template(event: Event) -> str:
    """A record without what differs each time: its format where it has one, else its text without
    numbers and ids.

    What it says yes or no to (`will_retry=False`, also among its extra fields) is part of it.
    """
    text = (
        event["template"]
        if event["template"] is not None and "%" in event["template"]
        else event["text"]
    )
    text = event["text"] if text is None else text
    flags = _FLAG.findall(f"{event['text']} {_extra(event)}")
    return f"{event['logger']}|{event['level']}|{_VOLATILE.sub('#', str(text))}|{' '.join(flags)}"


def _extra(event: Event) -> str:
    return " ".join(f"{name}={value}" for name, value in (event["extra"] or {}).items())


def _says_why(event: Event, delivery: Delivery) -> bool:
    """It names the exception, or what that was raised from, by class or by words."""
    # Maybe taken by the handler.
    met = next((event for event in delivery.all("fault") if event["do"] == "raise"), None)
    own = (
        delivery.raised
        if delivery.raised and delivery.raised["error"] != "builtins:SystemExit"
        else None
    )
    # The last: only the library's own, such as a Retry.
    raised = own or met or delivery.first("raised")
    if raised is None or (raised["control"] and not raised["cause"]):
        return True  # it asks to come again and met no error: its own words are the reason
    text = (
        f"{event['text']} {event['error'] or ''}"
        f" {' '.join(map(str, (event['extra'] or {}).values()))}"
    )
    named = [(raised["error"], raised["text"]), *([raised["cause"]] if raised["cause"] else [])]
    return any(
        str(name).rpartition(":")[2] in text or (len(said or "") > 2 and said in text)
        for name, said in named
    )


def carries(event: Event, fields: list[tuple[str, str]]) -> bool:
    """Every key field's value is in the record."""
    text = f"{event['text']} {_extra(event)}"
    return all(_has(text, name, value) for name, value in fields)


def _has(text: str, name: str, value: str) -> bool:
    """The value is there; where the field is named (`order_id=7`), by its name."""
    here = rf"(?<![\w.]){re.escape(value)}(?!\w|-\w)"
    if not re.search(here, text):
        return False
    named = re.findall(rf"(?<![\w.]){re.escape(name)}['\"]?\s*[=:]\s*([^\s,;]+)", text)
    return not named or any(re.search(here, found) for found in named)


def _fields(reference: Reference, payloads: Mapping[int, Any], job: int) -> list[tuple[str, str]]:
    """(name, value as text) of each key field in a job's payload."""
    idempotency = reference.spec.idempotency
    values: list[tuple[str, str]] = []
    for path in idempotency.key if idempotency else ():
        value: Any = payloads.get(job)
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            values.append((path.rpartition(".")[2], str(value)))
    return values


def lies(history: History, reference: Reference) -> Iterator[Judgement]:
    """A delivery that fails, and after its error says success with the words of one that
    succeeds.
    """
    examples = reference.spec.examples
    fields = _fields(reference, {0: examples[0]} if examples else {}, 0)
    if not fields or history.schedule.family in _NOT_ASKED:
        return
    # The library says what came of the handler's decorators.
    loggers = tuple(reference.facts.get("loggers") or ("\0",))
    said_once = (event for run in reference.once.runs for event in run.all("log"))
    success = {
        template(event) for event in said_once if not str(event["logger"]).startswith(loggers)
    }
    for delivery in history.runs:
        met = [event.number for event in delivery.all("fault") if event["do"] == "raise"]
        if not met or delivery.job or delivery.died or delivery.outcome == "succeeded":
            continue
        for event in delivery.all("log"):
            said = event.number > met[-1] and _SUCCESS.search(str(event["text"]))
            if said and template(event) in success and carries(event, fields):
                message = f"a delivery that fails says: {event['text']}"
                yield Judgement(
                    REFUTED, "logs.lie", message, events=(event.number,), expected="no such record"
                )
                return


def judge(found: Mapping[str, Answer]) -> Iterator[Judgement]:
    """A question that the logs leave open refutes: nobody will know."""
    for question, answer in found.items():
        if answer.by == "no":
            said = f"the logs do not tell: {QUESTIONS[question]}"
            want = "a record with the key fields that is there exactly when the answer is yes"
            seen = f"none in a delivery that {answer.example}" + (
                f"; {answer.near}" if answer.near else ""
            )
            seen = answer.near if answer.schedule else seen
            yield Judgement(REFUTED, f"logs.{question}", said, expected=want, seen=seen)
