"""A job that the clock starts: a plain function with its own retries, and a module beside it that
looks for work.

What is due is the repository's own business: the scaffold writes the function `due`, a stub that
lists payloads. A table of pending jobs would be a schema change beyond the dedupe table, which a
scaffold never makes. The handler takes a payload, so that a proof delivers one; that each tick
hands on what is due is for the job's tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.pieces import Facts, Module, Render, Symbol

if TYPE_CHECKING:
    from skillrun.frameworks.pieces import Piece

MESSAGE = "payload"
"""How the handler takes its message where the spec does not say."""
AWAITS = False
TESTS = "run in this process, with all retries; only the waiting is left out."
"""What the tests' docstring says of how they run the job."""


def problems(facts: Facts) -> Iterator[str]:
    """What a plain function cannot do of what the spec asks for, a sentence each."""
    if facts.trigger == "event":
        yield (
            "nothing here carries an event to a plain function: trigger.type is to be cron or"
            " poller"
        )
    if facts.dead_letter in ("queue", "framework"):
        yield (
            f"no library keeps its dead letters: dead_letter.kind {facts.dead_letter} is to be"
            " table or none"
        )
    if facts.message == "kwargs":
        yield (
            "a call that lacks an argument never begins, and nothing would keep it: message is to"
            " be payload"
        )


def broker_needs(facts: Facts) -> None:
    """Nothing carries the job, so there is no test over a broker."""


def beside(facts: Facts) -> Symbol:
    """A module of its own beside the handler's, that looks for work."""
    name = f"{facts.name}_runner"
    if facts.package:
        module = f"{facts.package}.{name}"
    else:
        module = name
    folder = facts.path.rpartition("/")[0]
    return Symbol(module, "tick", exists=False, path=f"{folder}/{name}.py".removeprefix("/"))


@dataclass(frozen=True)
class Ticked:
    """What a tick does with each payload that is due: it calls `call(argument)`; the words say what
    that is.
    """

    call: Symbol
    argument: str  # payload | **payload
    does: str  # "Does"
    failed: str  # "broke off"
    left_out: str  # what `due` leaves out


def does(facts: Facts) -> Ticked:
    """The tick calls the handler."""
    handler = Symbol(facts.module, facts.name, path=facts.path)
    return Ticked(handler, "payload", "Does", "broke off", left_out(facts))


def left_out(facts: Facts) -> str:
    """What is due no more, where a job that was given up counts as handled."""
    if facts.store.kind == "receiver":
        return f"It leaves out what is done, and what {given_up(facts)}."
    return f"It may leave out what has a row in {facts.store.name}: that is done or given up."


def given_up(facts: Facts) -> str:
    """How a job that was given up is told from the others, in the words of a generated
    docstring.
    """
    if facts.dead_letter == "table":
        return f"has a row in {facts.dead_letter_where}"
    return "was given up"


def ticks(tick: Symbol, due: str) -> dict[str, Any]:
    """Facts of what looks for work: the function `tick`, and `due` beside it, which lists the
    payloads.
    """
    return {"tick": tick, "due": due}


def handler(facts: Facts, render: Render) -> Piece:
    """The handler: what may pass is tried again in a loop of its own."""
    needed: list[Symbol | str] = [
        "from typing import Any",
        "import uuid",
        facts.conventions.logger_import,
        *(effect.call for effect in facts.effects),
        *facts.transient,
        facts.invalid,
    ]
    if facts.store.kind != "receiver" or facts.dead_letter == "table":
        needed.append(Symbol(facts.store.module, "once", path=facts.store.path))
    if facts.retries.bounded and facts.retries.kind != "none":
        needed.append("import time")
        if facts.retries.jitter:
            needed += ["import random"]
    text = render(
        "callable.py.jinja",
        facts,
        needed=needed,
        wait=_write_longest_wait(facts),
        fields=_list_parameters(facts),
        notes=_list_notes(facts),
        handled=[f'payload["{key}"]' for key in facts.key],
        ids=[*((key, key) for key in facts.key), ("correlation_id", "correlation_id")],
        message_ids=[
            *((key, f'payload.get("{key}")') for key in facts.key),
            ("correlation_id", "correlation_id"),
            ("reason", "error"),
        ],
    )
    return Module(facts.path, text)


def ticking(
    facts: Facts,
    render: Render,
    template: str,
    needed: list[Symbol | str],
    ticked: Ticked,
    **more: str,
) -> Piece:
    """The module that looks for work."""
    tick = facts.of_library["tick"]
    wanted = [
        "from collections.abc import Iterable",
        "from typing import Any",
        facts.conventions.logger_import,
    ]
    text = render(
        template,
        facts,
        needed=[*wanted, *needed, ticked.call],
        tick=tick,
        ticked=ticked,
        left_out=ticked.left_out,
        **more,
    )
    return Module(tick.path, text)


def _list_parameters(facts: Facts) -> list[str]:
    """The handler's own fields as parameters that must be given."""
    parameters = []
    for f in facts.fields:
        parameters.append(
            f"{f.name}: {f.annotation}{'' if f.required or f.annotation == 'Any' else ' | None'}"
        )
    return parameters


def _list_notes(facts: Facts) -> list[str]:
    """What an operator has to know of a job that is given up."""
    said = ""
    if facts.retries.bounded:
        said = "A job that waits for its next attempt holds up the others of its tick."
    if facts.store.kind != "receiver":
        places = [
            facts.store.name,
            *([facts.dead_letter_where] if facts.dead_letter == "table" else []),
        ]
        said = (
            f"{said} One that was given up counts as handled: to do it again, delete its row in"
            f" {' and '.join(places)}."
        )
    if not said:
        return []
    return [said.strip()]


def _write_longest_wait(facts: Facts) -> str:
    """Source of the longest wait after the attempt number `attempt`."""
    from skillrun.frameworks.layout import seconds

    retries = facts.retries
    base = seconds(retries.base_s)
    if retries.kind != "exponential":
        return base
    grown = f"{base} * {seconds(retries.factor)} ** (attempt - 1)"
    if retries.cap_s is None:
        return grown
    return f"min({seconds(retries.cap_s)}, {grown})"
