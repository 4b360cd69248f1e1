"""Whether a log tells a secret of the job: a token, a password, a card's number; and whether what
a provider's error says of it is kept anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference


def judge_logs(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk for each secret that a log tells, and one for each place of addresses, at the
    first record that tells it.
    """
    told: set[str] = set()
    for event in history.events:
        if event.kind != "log":
            continue
        record = _read_record(event)
        for name in _list_told(record, reference.secrets, told):
            yield name_risk(
                "secret-logged",
                RiskGrade.LEAK,
                f"a log record tells {name}, which is named as a secret",
                events=(event.number,),
            )
        for name in _list_told(record, reference.addresses, told):
            yield name_risk(
                "address-logged",
                RiskGrade.MINOR,
                f"a log record tells {name}, the address of a person",
                events=(event.number,),
            )


def _list_told(record: str, values: Mapping[str, str], told: set[str]) -> Iterator[str]:
    """The names of the values that a record has in it; each once, since it is added to `told`."""
    for value, name in values.items():
        if value in record and name not in told:
            told.add(name)
            yield name


def judge_echo(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where the text of somebody else's error, with a secret in it, is kept in logs,
    rows or messages. What the library says of an error that nobody caught is its own.
    """
    loggers = reference.facts.loggers
    kept = list(history.echoed)
    telling: list[Event] = []
    for event in history.events:
        text = ""
        if event.kind == "log" and not str(event["logger"]).startswith(loggers):
            text = _read_record(event)
        elif event.kind == "published" and not event["to_handler"]:
            text = str(event["message"])
        if any(value in text for value in reference.secrets):
            telling.append(event)
    shown = {"log": "a log record", "published": "a message"}
    kept += dict.fromkeys(shown[event.kind] for event in telling)
    if kept:
        yield name_risk(
            "secret-echoed",
            RiskGrade.LEAK,
            "where a provider's error repeats a secret that it was called with, that is kept in"
            f" {', '.join(kept)}",
            events=tuple(event.number for event in telling[:1]),
        )


def judge_records(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where what is written of a job that was given up keeps a secret of its rows."""
    if history.recorded:
        yield name_risk(
            "secret-recorded",
            RiskGrade.LEAK,
            "what is written of a job that was given up repeats a secret of its rows:"
            f" {', '.join(history.recorded)}",
            expected="the fields by which somebody finds the row",
        )


def _read_record(event: Event) -> str:
    """What a log holds of a record: what its handlers wrote, without what a filter or a formatter
    has blotted out on the way; all of it where no handler of the application's own wrote it.
    """
    if event["written"]:
        return str(event["written"])
    parts = (event["text"], event["extra"], event["error"])
    return " ".join(str(part) for part in parts if part)
