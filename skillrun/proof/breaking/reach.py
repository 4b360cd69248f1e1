"""Which tests run the handler, from the records of a run.

skillrun reads them with it, and so does the process that runs the tests: it is copied beside
`runtime.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ORDER = ("passed", "xfailed", "skipped", "failed")
_SHARED = {"class": "file", "module": "file", "package": "all", "session": "all"}


def worst(events: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Test -> outcome over set-up, call and tear-down."""
    found: dict[str, str] = {}
    for event in events:
        known = found.get(event["test"], "passed")
        found[event["test"]] = max(known, event["outcome"], key=_ORDER.index)
    return found


def of(outcomes: Mapping[str, str], outcome: str) -> frozenset[str]:
    """The tests with an outcome."""
    return frozenset(test for test, found in outcomes.items() if found == outcome)


def reaching(reached: Mapping[str, str], outcomes: Mapping[str, str]) -> frozenset[str]:
    """The green tests that reach the handler, without parameters, and those that share its run in a
    fixture.

    `reached`: test -> the scope in which the handler ran.
    """
    found = set(reached)
    for test, scope in reached.items():
        shared = _SHARED.get(scope)
        if shared == "all":
            found |= set(outcomes)
        elif shared == "file":
            file = test.partition("::")[0]
            found |= {other for other in outcomes if other.partition("::")[0] == file}
    return frozenset(test.partition("[")[0] for test in found & of(outcomes, "passed"))
