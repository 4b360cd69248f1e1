"""A history as a story: numbered steps, only those that matter, with the faults marked and the
place of each.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrun.core.text import masked, visible
from skillrun.probe.values import shorten_text
from skillrun.proof.broker import EMPTY

if TYPE_CHECKING:
    from skillrun.proof.history import Delivery, Event, History
    from skillrun.proof.rivals import Rivalry
    from skillrun.proof.schedule import Schedule

MOST_STEPS = 60
# A wait is told in whole seconds, and one that rounds to none is no wait for a reader.
_LEAST_TOLD_S = 0.5
_TEXT = 300
_AT_ONCE = ("at-once", "distinct-at-once", "stall", "late-error", "late-success", "before-commit")
_Maker = Callable[["History", "Delivery", "Event"], str]


@dataclass(frozen=True)
class Step:
    """One line of a story. `at_s`: virtual seconds since just before its first process began."""

    number: int
    at_s: float
    process: str  # "delivery 1", "publisher", "library"
    text: str
    fault: bool = False
    place: tuple[str, int] | None = None
    kind: str = ""  # of its event, see `history.Event`; "" for what no event says


def tell_story(history: History) -> list[Step]:
    """The steps of a history in the order in which they happened; the middle of a very long story
    is left out.
    """
    found = [step for step in _make_steps(history) if step.text]
    if len(found) > MOST_STEPS:
        half = MOST_STEPS // 2
        gap_text = f"({len(found) - MOST_STEPS} more steps like these)"
        gap = Step(0, found[half].at_s, "", gap_text)
        found = [*found[:half], gap, *found[-half:]]
    return [replace(step, number=number) for number, step in enumerate(found, 1)]


def _make_steps(history: History) -> Iterator[Step]:
    """Yields a step for each event that matters to a reader; none of them is numbered yet."""
    names = _name_processes(history)
    begun = min((delivery.clock for delivery in history.deliveries), default=1.0) - 1.0
    for delivery, event in list_in_order(history):
        text = _tell_event(history, delivery, event)
        if text:
            safe = visible(masked(text), limit=_TEXT)
            at, process = delivery.clock - begun, names[delivery.number]
            yield Step(0, at, process, safe, event.kind == "fault", event.place, event.kind)
    if history.hung:
        yield Step(
            0,
            0.0,
            "",
            f"it does not end: its last boundary is {history.hung}, and it was stopped there",
        )
    if history.pending:
        yield Step(0, 0.0, "", "the job is still waiting, and nothing says that it will ever end")


def list_in_order(history: History) -> list[tuple[Delivery, Event]]:
    """(delivery, event) as they happened: by number where deliveries met each other, else delivery
    by delivery, since the numbers of two interpreters do not compare.
    """
    pairs: list[tuple[Delivery, Event]] = []
    for delivery in history.deliveries:
        pairs += [(delivery, event) for event in delivery.events]
    if history.schedule.family in _AT_ONCE:
        return sorted(pairs, key=lambda pair: pair[1].number)
    return pairs


def _name_processes(history: History) -> dict[int, str]:
    """Delivery number -> what a person calls that process."""
    names: dict[int, str] = {}
    seen = 0
    for delivery in sorted(history.deliveries, key=lambda item: item.number):
        seen += delivery.op == "deliver"
        known = {"deliver": f"delivery {seen}", "died": "library", "callback": "callback"}
        known |= {"broker": "the broker", "recover": "sweep"}
        names[delivery.number] = known.get(delivery.op, "publisher")
    return names


def _tell_event(history: History, delivery: Delivery, event: Event) -> str:
    """An event as a reader is told it; "" where it does not matter."""
    if delivery.op == "died" and event.kind in ("at", "log"):
        return ""
    maker = _MAKERS.get(event.kind)
    if maker is None:
        return ""
    return maker(history, delivery, event)


def _tell_beginning(history: History, delivery: Delivery, event: Event) -> str:
    """What begins, and for which job."""
    if delivery.op == "call" and history.undone:
        return f"{_OPERATIONS['call']}{_tell_undone(history, delivery)}"
    if delivery.op in _OPERATIONS:
        return _OPERATIONS[delivery.op]
    if delivery.job and delivery.job in history.payloads:
        what = "a distinct job"
        if delivery.job < 0:
            what = "a job that cannot be done"
        return f"begins, with {what}: {shorten_text(repr(history.payloads[delivery.job]))}"
    if delivery.job > 0:
        return "begins, with a distinct job: the tick of another day"
    if history.schedule.fresh and delivery is not history.runs[0]:
        return "begins, in an interpreter with another hash seed and time zone"
    return "begins"


def _tell_undone(history: History, delivery: Delivery) -> str:
    """What the application's first call finds otherwise than the fixture has it."""
    first_call = next(one for one in history.deliveries if one.op == "call")
    if delivery is not first_call:
        return ""
    told = ""
    for undone in history.undone:
        told += f"; {undone.table.name}.{undone.column} is still {undone.value!r}"
    return told


_OPERATIONS = {
    "died": "learns that the process which had the message is dead",
    "publish": "publishes another message for the same job",
    "call": "the application publishes the job",
    "recover": "the application looks for what stood still",
}
"""`op` of a process that is no delivery to the handler -> what begins with it."""


def _tell_boundary(history: History, delivery: Delivery, event: Event) -> str:
    """What a store was asked for, once it has been done."""
    kind, name = event["kind"], event["name"]
    if event["when"] == "before":
        return ""
    if kind == "commit":
        return f"commits ({name})"
    if kind == "sql":
        return _tell_statement(history, event)
    if kind != "redis":
        return ""
    if event["write"]:
        return f"writes to Redis ({name})"
    return f"reads from Redis ({name})"


def _tell_statement(history: History, event: Event) -> str:
    """What a statement does. One that reads is told only where others may write meanwhile."""
    verb, name = event["verb"], event["name"]
    if verb == "select" and history.schedule.family in _AT_ONCE:
        return f"reads {event['table'] or 'the database'} ({name})"
    if verb in ("select", "pragma", "begin"):
        return ""
    what = verb
    if event["table"]:
        what = f"{verb} {event['table']}"
    if event["open"]:
        return f"{what} ({name}), not committed yet"
    return f"{what} ({name})"


def _tell_effect(history: History, delivery: Delivery, event: Event) -> str:
    """Which effect takes place, and by which call."""
    return f"{event['effect']} takes place: {event['name']}({event['args']})"


def _tell_publish(history: History, delivery: Delivery, event: Event) -> str:
    """What is published, and when it comes."""
    if not event["to_handler"]:
        return f"publishes {event['label']}"
    what = "publishes the job"
    if event.number in delivery.other_jobs:
        what = "publishes another job of its kind"
    elif delivery.op in ("deliver", "died"):
        what = "publishes a retry"
    return f"{what}{_tell_delay(event['delay'])}"


def _tell_delay(delay: object) -> str:
    """How much later something comes, as the end of a sentence; "" for what rounds to none."""
    if not isinstance(delay, int | float) or float(delay) < _LEAST_TOLD_S:
        return ""
    return f", {float(delay):.0f} s later"


def _tell_fault(history: History, delivery: Delivery, event: Event) -> str:
    """What the proof does to the job at a boundary."""
    if event["do"] == EMPTY:
        return _tell_loss(event["lost"])
    at = str(event["at"]).replace(":", " ", 1)
    does = {
        "kill": f"the process is killed {at}",
        "raise": f"{event['error']} is raised {at}",
        "fail": f"the store fails {at}: {event['text']}",
        "answer": f"status {event['status']} is answered {at}, and it does not take place",
        "pause": f"it stands still {at}, and the others go on",
        "jump": f"the clock jumps {at}",
        "drop": f"the server closes the connection {at}: {event['text']}",
        "hang": f"its receiver is never reached, {at}",
        "silent": f"its receiver takes the call and never answers, {at}",
        "refuse": f"nobody is there to take the call, {at}",
        "hang-up": f"its receiver hangs up without an answer, {at}",
    }
    if history.schedule.family == "rival" and history.rivalries and event["do"] == "pause":
        return _tell_rivalry(history.rivalries[0], at)
    what = str(event["do"])
    if event["status"]:
        what = "answer"
    if event["reply"]:
        return f"its receiver answers as {event['reply']} says, {at}"
    return does.get(what, f"{what} {at}")


def _tell_rivalry(rivalry: Rivalry, at: str) -> str:
    """What somebody else commits while the job stands still at a boundary."""
    if rivalry.landed is None:
        return f"somebody else wants to change {rivalry.rival.text} {at}, and is kept out"
    written = ", ".join(f"{name} = {value!r}" for name, value in rivalry.written.items())
    return f"somebody else commits to {rivalry.rival.row.table.name} {at}: {written}"


def _tell_loss(count: int) -> str:
    """What becomes of the messages that a broker held."""
    if count == 1:
        return "loses the message that it holds"
    return f"loses the {count} messages that it holds"


def _tell_error(history: History, delivery: Delivery, event: Event) -> str:
    """The exception that left the handler."""
    name = str(event["error"]).rpartition(":")[2]
    if not event["text"]:
        return f"the handler raises {name}"
    return f"the handler raises {name}: {event['text']}"


def _tell_settlement(history: History, delivery: Delivery, event: Event) -> str:
    """What becomes of the message; "" where that goes without saying."""
    how = event["how"]
    if how == "requeued":
        return f"the message comes back{_tell_delay(event['delay'])}"
    if how == "acked" and (delivery.retries or delivery.op == "died"):
        return ""
    if how == "acked" and event["why"] == "rejected":
        return "the message is rejected: it does not come again"
    words = {
        "acked": "the message is acknowledged",
        "dead": "the message goes to the library's dead letters",
        "lost": "the message is gone: nobody will see it again",
    }
    return words.get(str(how), str(how))


def _tell_death(history: History, delivery: Delivery, event: Event) -> str:
    """How a process ended itself; "" for one that the proof killed, since its fault tells that."""
    if "kill" in delivery.hit_by:
        return ""
    if event["signal"]:
        return f"the process ends by signal {event['signal']}"
    return f"the process ends itself with exit status {event['exit']}"


def _tell_field(field: str, before: str) -> _Maker:
    """A maker that tells one field of an event, behind some words."""
    return lambda history, delivery, event: f"{before}{event[field]}"


_MAKERS: dict[str, _Maker] = {
    "began": _tell_beginning,
    "at": _tell_boundary,
    "performed": _tell_effect,
    "publishing": lambda *_: "the application publishes a distinct job, while the first one waits",
    "published": _tell_publish,
    "fault": _tell_fault,
    "raised": _tell_error,
    "returned": lambda history, delivery, event: "the handler returns",
    "settled": _tell_settlement,
    "died": _tell_death,
    "stuck": lambda history, delivery, event: f"{event['name']} waits for ever: it has no time-out",
    "slept": _tell_field("s", "sleeps, in seconds: "),
    "undeclared": lambda history, delivery, event: f"undeclared {event['kind']}: {event['detail']}",
    "caller-raised": _tell_field("text", "the application's call raises: "),
    "probe-error": _tell_field("error", "outside of the handler: "),
}


# What a short story is made of, besides the faults.
_TURNS = ("performed", "raised", "returned", "settled", "lost")
_MOST_TURNS = 4


def tell_shortly(history: History) -> str:
    """A history in one line: its faults, and what came of the last of them."""
    faults: list[Step] = []
    turns: list[Step] = []
    for step in tell_story(history):
        if not step.text:
            continue
        if step.fault:
            faults.append(step)
            turns = []  # what came of an earlier one is not told
        elif step.kind in _TURNS:
            turns.append(step)
    words = []
    for step in (*faults, *turns[-_MOST_TURNS:]):
        process = f"{step.process}: " if step.process else ""
        words.append(f"{process}{step.text}")
    return "; then ".join(words)


def replay_command(schedule: Schedule, options: str) -> str:
    """The ready command that runs one schedule again. `options`: what says which job, e.g. " --spec
    FILE".
    """
    return f"skillrun prove{options} --schedule {shlex.quote(str(schedule))}"
