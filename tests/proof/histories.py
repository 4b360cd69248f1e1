"""Small histories, written down: what judges, stories and causes look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skillrun.contract.job import Effect, JobSpec
from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.reference import REFUTED, Judgement, Reference
from skillrun.proof.schedule import parse_schedule

Told = tuple[str, dict[str, Any]]

BEGAN: Told = ("began", {})
ENTERED: Told = ("entered", {})
RETURNED: Told = ("returned", {})
ACKED: Told = ("settled", {"how": "acked", "delay": 0.0})
KILLED: Told = ("died", {"signal": 9, "exit": None})


def effect(name: str = "email", key: str = "'k'", line: int = 5) -> list[Told]:
    """An effect that takes place, with its two boundaries."""
    place = ["app/jobs.py", line]
    fields = {"kind": "effect", "effect": name, "name": f"{name}#1", "place": place}
    done = {"name": f"{name}#1", "effect": name, "args": "to='a'", "key": key, "place": place}
    return [
        ("at", {"when": "before", **fields}),
        ("performed", done),
        ("at", {"when": "after", **fields}),
    ]


def commit(number: int = 1, line: int = 7) -> list[Told]:
    """A commit with its two boundaries."""
    fields = {"kind": "commit", "name": f"commit#{number}", "place": ["app/jobs.py", line]}
    return [("at", {"when": "before", **fields}), ("at", {"when": "after", **fields})]


def fault(do: str, at: str, **more: Any) -> Told:
    return ("fault", {"do": do, "at": at, "place": ["app/jobs.py", 5], **more})


def raised(error: str = "app.mail:Away", *, injected: bool = True) -> Told:
    return (
        "raised",
        {"error": error, "bases": [error], "text": "away", "injected": injected, "control": False},
    )


def retry(delay: float = 2.0) -> Told:
    return ("published", {"to_handler": True, "delay": delay, "label": "job"})


def history(schedule: str, *deliveries: Sequence[Told], state: Any = None, **more: Any) -> History:
    """Deliveries in order; the events are numbered through."""
    number, made = 0, []
    for place, told in enumerate(deliveries, 1):
        events = []
        for kind, data in [BEGAN, ENTERED, *told]:
            number += 1
            events.append(Event(number, kind, data))
        made.append(Delivery(place, "deliver", 0, float(place), tuple(events)))
    return History(
        parse_schedule(schedule),
        tuple(made),
        {"rows": state if state is not None else [[1]]},
        **more,
    )


DONE: list[Told] = [*effect(), *commit(), RETURNED, ACKED]
ONCE = history("once", DONE)


def reference(**more: Any) -> Reference:
    """The single run of a job with one keyed effect."""
    spec = JobSpec(
        version=1, job="job", effects=(Effect(name="email", call="app.mail:send", key_arg="key"),)
    )
    return Reference(spec, ONCE, **more)


def refuted(rule: str, *events: int, name: str | None = "email") -> Judgement:
    return Judgement(REFUTED, rule, "said", name, events, "1", "2")
