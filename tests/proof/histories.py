"""Small histories, written down: what judges, stories and causes look at. A property of a judge is
a history of a few events, and what the judge says of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skillrun.contract.job import DeadLetter, Effect, JobSpec
from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.reference import Reference
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
    return Judgement(Verdict.REFUTED, rule, "said", name, events, "1", "2")


# -- for the judges

AWAY, NEVER = "app.mail:Away", "app.mail:Never"
RETRY = {
    "max_attempts": 3,
    "backoff": {"kind": "exponential", "base": "10s", "factor": 2, "cap": "1h"},
}


def spec(guarantee: str = "keyed", **more: Any) -> JobSpec:
    one = Effect(
        name="email", call="app.mail:send", key_arg="key", guarantee=guarantee, reason="said"
    )
    values: dict[str, Any] = {
        "version": 1,
        "job": "job",
        "effects": (one,),
        "retry": RETRY,
        "dead_letter": DeadLetter(kind="table"),
        "failures": {"transient": [AWAY], "permanent": [NEVER]},
        "idempotency": {
            "strategy": "keyed",
            "key": ["id"],
            "dedupe": {"store": "table rows", "window": "7d"},
        },
    }
    return JobSpec(**(values | more))


def against(made: JobSpec, once: History = ONCE, **more: Any) -> Reference:
    return Reference(made, once, **more)


def rules(judge: Any, seen: History, reference: Reference) -> list[str]:
    return [judgement.rule for judgement in judge(seen, reference)]


KILLED_AFTER = [*effect(), fault("kill", "after:email#1"), KILLED]
TWICE = history("kill@after:email#1", KILLED_AFTER, DONE)
OTHER_KEY = history(
    "kill@after:email#1", KILLED_AFTER, [*effect(key="'other'"), *commit(), RETURNED, ACKED]
)
LOST = history("kill@before:email#1", [fault("kill", "before:email#1"), KILLED], [RETURNED, ACKED])
REPEATED = history("redeliver", DONE, DONE)
MET = fault("raise", "before:email#1", error=AWAY)
BUSY = [raised("app.claims:Busy", injected=False), retry(), ACKED]


def log(text: str, logger: str = "app", **more: Any) -> tuple[str, dict[str, Any]]:
    return (
        "log",
        {"logger": logger, "level": "INFO", "template": None, "text": text, "extra": {}, **more},
    )
