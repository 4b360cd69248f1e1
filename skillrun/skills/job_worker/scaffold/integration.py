"""The test that has a real worker take the job from the real broker, where the repository has one
for its tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.pieces import Facts, NewFile, Piece, Symbol
from skillrun.skills.job_worker.scaffold.common import case_of, expected, stand_ins_need
from skillrun.skills.job_worker.scaffold.render import Renderer
from skillrun.skills.job_worker.scaffold.stores.testing import Testing

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter

_WORDS = (
    "Publishes to the real broker, and a real worker does the work; the adapters alone are"
    " replaced. It is skipped where no broker answers."
)


def integration_path(facts: Facts) -> str | None:
    """The file of the test; None where the repository has no place for it.

    Its name is never that of the job's other tests: without packages, pytest takes no two files of
    one name.
    """
    home, pattern = facts.conventions.integration, facts.conventions.test_pattern
    if home is None:
        return None
    if "integration" in home.folder.rpartition("/")[2]:
        name = f"{facts.name}_worker"
    else:
        name = f"{facts.name}_integration"
    return (
        f"{home.folder}/{(pattern if '{}' in pattern else 'test_{}.py').format(name)}".removeprefix(
            "/"
        )
    )


def integration_test(
    facts: Facts, render: Renderer, testing: Testing, writer: JobWriter
) -> Iterator[Piece]:
    """One test, in the manner of the repository's other tests; none where there is no broker or no
    place for it.
    """
    home, path, broker = (
        facts.conventions.integration,
        integration_path(facts),
        writer.broker_needs(facts),
    )
    if home is None or path is None or broker is None:
        return
    case = _choose_case(facts, case_of(facts, testing))
    marker = None
    if facts.conventions.test_runner == "pytest":
        marker = home.marker
    wanted: list[Symbol | str] = ["from typing import Any", *testing.needed, *broker]
    wanted += (
        [*testing.for_unittest, "from unittest.mock import patch", case]
        if case
        else testing.for_pytest
    )
    if marker or not case:
        wanted += ["import pytest"]
    wanted += [*stand_ins_need(facts), *(effect.call for effect in facts.effects)]
    text = render(
        "integration.py.jinja",
        facts,
        case=case.name if case else "",
        words=_WORDS,
        needed=wanted,
        marker=marker,
        fixtures=testing.fixtures,
        store=testing.values,
        buries=facts.dead_letter == "table",
        payload={field.name: field.example for field in facts.fields if field.example is not None},
        other={field.name: field.other for field in facts.fields if field.other is not None},
        expected=expected,
    )
    yield NewFile(path, text)


def _choose_case(facts: Facts, case: Symbol | None) -> Symbol | None:
    """In a Django project a publication waits for a commit, which a TestCase never makes."""
    if facts.django:
        return Symbol("django.test", "TransactionTestCase")
    return case
