"""A history as a story: numbered steps, only those that matter, with the faults marked and the
place of each.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrun.core.text import masked, visible
from skillrun.probe.recorder import brief
from skillrun.proof.broker import EMPTY

if TYPE_CHECKING:
    from skillrun.proof.history import Delivery, Event, History
    from skillrun.proof.rivals import Rivalry
    from skillrun.proof.schedule import Schedule

MOST_STEPS = 60
_TEXT = 300
_AT_ONCE = ("at-once", "distinct-at-once", "stall", "late-error", "before-commit")
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


def story(history: History) -> list[Step]:
    """The steps in the order in which they happened; the middle of a very long story is left
    out.
    """
    found = [step for step in _steps(history) if step.text]
    if len(found) > MOST_STEPS:
        left_out = len(found) - MOST_STEPS
        gap = Step(0, found[MOST_STEPS // 2].at_s, "", f"({left_out} more steps like these)")
        found = [*found[: MOST_STEPS // 2], gap, *found[-MOST_STEPS // 2 :]]
    return [replace(step, number=number) for number, step in enumerate(found, 1)]


def _steps(history: History) -> Iterator[Step]:
    names = _process_names(history)
    begun = min((delivery.clock for delivery in history.deliveries), default=1.0) - 1.0
    for delivery, event in in_order(history):
        text = _words(history, delivery, event)
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


def in_order(history: History) -> list[tuple[Delivery, Event]]:
    """(delivery, event) as they happened. Numbers of two interpreters do not compare: there, one by
    one.
    """
    pairs: list[tuple[Delivery, Event]] = []
    for delivery in history.deliveries:
        pairs += [(delivery, event) for event in delivery.events]
    if history.schedule.family in _AT_ONCE:
        return sorted(pairs, key=lambda pair: pair[1].number)
    return pairs


def _process_names(history: History) -> dict[int, str]:
    """Delivery number -> what a person calls that process."""
    names: dict[int, str] = {}
    seen = 0
    for delivery in sorted(history.deliveries, key=lambda item: item.number):
        seen += delivery.op == "deliver"
        known = {"deliver": f"delivery {seen}", "died": "library", "callback": "callback"}
        known |= {"broker": "the broker", "recover": "sweep"}
        names[delivery.number] = known.get(delivery.op, "publisher")
    return names


def _words(history: History, delivery: Delivery, event: Event) -> str:
    """What an event is to a reader; "" where it does not matter."""
    if delivery.op == "died" and event.kind in ("at", "log"):
        return ""
    maker = _MAKERS.get(event.kind)
    return maker(history, delivery, event) if maker else ""


def _began(history: History, delivery: Delivery, event: Event) -> str:
    if delivery.op == "call" and history.draft:
        return f"{_OPERATIONS['call']}{_tell_draft(history, delivery)}"
    if delivery.op in _OPERATIONS:
        return _OPERATIONS[delivery.op]
    if delivery.job and delivery.job in history.payloads:
        what = "a distinct job" if delivery.job > 0 else "a job that cannot be done"
        return f"begins, with {what}: {brief(repr(history.payloads[delivery.job]))}"
    if delivery.job > 0:
        return "begins, with a distinct job: the tick of another day"
    fresh = history.schedule.fresh and delivery is not history.runs[0]
    return "begins, in an interpreter with another hash seed and time zone" if fresh else "begins"


def _tell_draft(history: History, delivery: Delivery) -> str:
    """What the first call finds otherwise than the fixture has it."""
    first = next(one for one in history.deliveries if one.op == "call")
    if delivery is not first:
        return ""
    told = ""
    for one in history.draft:
        told += f"; {one.table.name}.{one.column} is still {one.value!r}"
    return told


_OPERATIONS = {
    "died": "learns that the process which had the message is dead",
    "publish": "publishes another message for the same job",
    "call": "the application publishes the job",
    "recover": "the application looks for what stood still",
}
"""What begins that is no delivery to the handler."""


def _at(history: History, delivery: Delivery, event: Event) -> str:
    kind, name = event["kind"], event["name"]
    if event["when"] == "before":
        return ""
    if kind == "commit":
        return f"commits ({name})"
    if kind == "sql":
        return _tell_statement(history, event)
    if kind == "redis":
        return f"writes to Redis ({name})" if event["write"] else f"reads from Redis ({name})"
    return ""


def _tell_statement(history: History, event: Event) -> str:
    """What reads is told where others may write meanwhile."""
    verb, name = event["verb"], event["name"]
    if verb == "select" and history.schedule.family in _AT_ONCE:
        return f"reads {event['table'] or 'the database'} ({name})"
    if verb in ("select", "pragma", "begin"):
        return ""
    table = f" {event['table']}" if event["table"] else ""
    return f"{verb}{table} ({name})" + (", not committed yet" if event["open"] else "")


def _performed(history: History, delivery: Delivery, event: Event) -> str:
    return f"{event['effect']} takes place: {event['name']}({event['args']})"


def _published(history: History, delivery: Delivery, event: Event) -> str:
    if not event["to_handler"]:
        return f"publishes {event['label']}"
    does = {"deliver": "publishes a retry", "died": "publishes a retry"}.get(
        delivery.op, "publishes the job"
    )
    return f"{does}{_later(event['delay'])}"


def _later(delay: object) -> str:
    seconds = float(delay) if isinstance(delay, int | float) else 0.0
    return f", {seconds:.0f} s later" if seconds >= 0.5 else ""


def _fault(history: History, delivery: Delivery, event: Event) -> str:
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
        "hang": f"its receiver never answers, {at}",
        "refuse": f"nobody is there to take the call, {at}",
        "hang-up": f"its receiver hangs up without an answer, {at}",
    }
    if history.schedule.family == "rival" and history.rivalries and event["do"] == "pause":
        return _tell_rivalry(history.rivalries[0], at)
    what = "answer" if event["status"] else str(event["do"])
    return does.get(what, f"{what} {at}")


def _tell_rivalry(rivalry: Rivalry, at: str) -> str:
    if rivalry.landed is None:
        return f"somebody else wants to change {rivalry.rival.text} {at}, and is kept out"
    written = ", ".join(f"{name} = {value!r}" for name, value in rivalry.written.items())
    return f"somebody else commits to {rivalry.rival.row.table.name} {at}: {written}"


def _tell_loss(count: int) -> str:
    if count == 1:
        return "loses the message that it holds"
    return f"loses the {count} messages that it holds"


def _raised(history: History, delivery: Delivery, event: Event) -> str:
    name = str(event["error"]).rpartition(":")[2]
    return (
        f"the handler raises {name}: {event['text']}"
        if event["text"]
        else f"the handler raises {name}"
    )


def _settled(history: History, delivery: Delivery, event: Event) -> str:
    how = event["how"]
    if how == "requeued":
        return f"the message comes back{_later(event['delay'])}"
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


def _died(history: History, delivery: Delivery, event: Event) -> str:
    if "kill" in delivery.hit_by:
        return ""
    if event["signal"]:
        return f"the process ends by signal {event['signal']}"
    return f"the process ends itself with exit status {event['exit']}"


def _text_of(field: str, before: str) -> _Maker:
    return lambda history, delivery, event: f"{before}{event[field]}"


_MAKERS: dict[str, _Maker] = {
    "began": _began,
    "at": _at,
    "performed": _performed,
    "publishing": lambda *_: "the application publishes a distinct job, while the first one waits",
    "published": _published,
    "fault": _fault,
    "raised": _raised,
    "returned": lambda history, delivery, event: "the handler returns",
    "settled": _settled,
    "died": _died,
    "stuck": lambda history, delivery, event: f"{event['name']} waits for ever: it has no time-out",
    "slept": _text_of("s", "sleeps, in seconds: "),
    "undeclared": lambda history, delivery, event: f"undeclared {event['kind']}: {event['detail']}",
    "caller-raised": _text_of("text", "the application's call raises: "),
    "probe-error": _text_of("error", "outside of the handler: "),
}


# What a short story is made of, besides the faults.
_TURNS = ("performed", "raised", "returned", "settled", "lost")
_MOST_TURNS = 4


def tell_shortly(history: History) -> str:
    """The story in one line: its faults, and what came of the last of them."""
    faults: list[Step] = []
    turns: list[Step] = []
    for step in story(history):
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
