"""What a run of the tests told, read from its records; one that was changed or cut short is
said to be.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

PASSED, DESELECTED, NOT_RUN = "passed", "deselected", "not-run"
REWRITTEN, DEAF = "rewritten", "deaf"
RED = ("failed", "error")
_ONLY_RAN = (
    "not all of the tests could be tried with a body that fails: the run ended while it was at that"
)
# The worst of several reports of one test decides: a test that passed and whose teardown fails is
# red.
_WORST_FIRST = (*RED, "xfailed", "skipped", "xpassed", PASSED)


@dataclass(frozen=True)
class Test:
    """One test. `id` is path::Class::name[case], with the path relative to the repository."""

    __test__ = False

    id: str
    outcome: str
    line: int = 1
    code: str = ""  # where the code stands, "path:name"
    code_run: str = ""  # where the code stood that ran
    message: str = ""  # why it is red

    @property
    def path(self) -> str:
        """The file that it stands in."""
        return self.id.partition("::")[0]

    @property
    def name(self) -> str:
        """Class and function, without the case."""
        return self.id.partition("::")[2].partition("[")[0]


@dataclass(frozen=True)
class Counted:
    """What one side's runner told."""

    runner: str = ""
    tests: Mapping[str, Test] = field(default_factory=dict)
    uncollected: Mapping[str, str] = field(default_factory=dict)  # path -> why
    problem: str | None = None  # it came to no end that can be believed
    duration_ms: int = 0
    doubt: str | None = None  # all tests ran, and something came to no end then

    def of(self, *outcomes: str) -> list[Test]:
        """The tests with one of these outcomes."""
        return [test for test in self.tests.values() if test.outcome in outcomes]


def merge_runs(parts: Iterable[Counted]) -> Counted:
    """The runs of several folders as one."""
    whole = Counted()
    for part in parts:
        whole = replace(
            whole,
            runner=whole.runner or part.runner,
            tests={**whole.tests, **part.tests},
            uncollected={**whole.uncollected, **part.uncollected},
            problem=whole.problem or part.problem,
            duration_ms=whole.duration_ms + part.duration_ms,
            doubt=whole.doubt or part.doubt,
        )
    return whole


def read_records(data: bytes, key: bytes, how_it_ended: str) -> Counted:
    """The tests of one run, from the records that it wrote."""
    events, is_whole = _read_events(data, key)
    said: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        said.setdefault(event["event"], []).append(event)
    problem = None
    if not is_whole:
        problem = "its records were written to by something else"
    elif "changed" in said:
        problem = "skillrun's hooks in it were changed or taken out"
    elif "end" not in said and "ran" not in said:
        problem = f"it came to no end of its own ({how_it_ended})"
    runner = ""
    if "runner" in said:
        runner = str(said["runner"][0]["name"])
    return Counted(
        runner=runner,
        tests={test.id: test for test in _list_tests(said)},
        uncollected={event["path"]: event["message"] for event in said.get("uncollected", [])},
        problem=problem,
        doubt=None if "end" in said else _ONLY_RAN,
    )


def _read_events(data: bytes, key: bytes) -> tuple[list[dict[str, Any]], bool]:
    """The records up to the first that does not carry the MAC of all before it, and whether
    there is none such.
    """
    events: list[dict[str, Any]] = []
    tag = ""
    # Not splitlines: it takes other characters for line ends, too.
    for line in data.split(b"\n")[:-1]:
        given, _, text = line.partition(b" ")
        tag = hmac.new(key, tag.encode() + text, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(given, tag.encode()):
            return events, False
        events.append(json.loads(text))
    return events, data.endswith(b"\n") or not data


def _list_tests(said: Mapping[str, list[dict[str, Any]]]) -> Iterable[Test]:
    outcomes: dict[str, str] = {}
    messages: dict[str, str] = {}
    for event in said.get("outcome", []):
        name, outcome = event["test"], event["outcome"]
        outcomes[name] = _worse_outcome(outcomes.get(name), outcome)
        messages[name] = messages.get(name) or event["message"]
    # A plugin that runs a test again tells of each time; the last one is the one that counts.
    called = {event["test"]: event for event in said.get("called", [])}
    deaf = {event["test"] for event in said.get("deaf", [])}
    for event in said.get("collected", []):
        name = event["test"]
        call = called.get(name)
        outcome = _judge_outcome(outcomes.get(name, NOT_RUN), call, is_deaf=name in deaf)
        code_run = call["code"] if call else ""
        yield Test(name, outcome, event["line"], event["code"], code_run, messages.get(name, ""))
    for event in said.get("deselected", []):
        yield Test(event["test"], DESELECTED)


def _worse_outcome(one: str | None, other: str) -> str:
    known = [outcome for outcome in (one, other) if outcome in _WORST_FIRST]
    return min(known, key=_WORST_FIRST.index, default=other)


def _judge_outcome(outcome: str, call: Mapping[str, Any] | None, *, is_deaf: bool) -> str:
    """The outcome that was reported, where the test's own code had any part in it."""
    if outcome != PASSED:
        return outcome
    was_called = call is not None
    if not was_called or (call and call["raised"]):
        return REWRITTEN
    if is_deaf:
        return DEAF
    return PASSED
