"""The test that has a real worker take the job from the real broker, where the repository has one
for its tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.pieces import Facts, NewFile, Piece, Symbol, name_of
from skillrun.skills.job_worker.scaffold.common import (
    expected,
    find_test_case,
    list_examples,
    list_others,
    stand_ins_need,
)
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
    if "{}" not in pattern:
        pattern = "test_{}.py"
    name = f"{facts.name}_integration"
    if "integration" in home.folder.rpartition("/")[2]:
        name = f"{facts.name}_worker"
    return f"{home.folder}/{pattern.format(name)}".removeprefix("/")


def integration_test(
    facts: Facts, render: Renderer, testing: Testing, writer: JobWriter
) -> Iterator[Piece]:
    """One test, in the manner of the repository's other tests; none where there is no broker or no
    place for it.
    """
    home, path = facts.conventions.integration, integration_path(facts)
    broker = writer.broker_needs(facts)
    if home is None or path is None or broker is None:
        return
    case = _choose_case(facts, find_test_case(facts, testing))
    marker = None
    if facts.conventions.test_runner == "pytest":
        marker = home.marker
    wanted: list[Symbol | str] = ["from typing import Any", *testing.needed, *broker]
    if case:
        wanted += [*testing.for_unittest, "from unittest.mock import patch", case]
    else:
        wanted += testing.for_pytest
    if marker or not case:
        wanted.append("import pytest")
    wanted += [*stand_ins_need(facts), *(effect.call for effect in facts.effects)]
    text = render(
        "integration.py.jinja",
        facts,
        case=name_of(case),
        words=_WORDS,
        needed=wanted,
        marker=marker,
        fixtures=testing.fixtures,
        store=testing.values,
        buries=facts.dead_letter == "table",
        payload=list_examples(facts),
        other=list_others(facts),
        expected=expected,
    )
    yield NewFile(path, text)


def _choose_case(facts: Facts, case: Symbol | None) -> Symbol | None:
    """In a Django project a publication waits for a commit, which a TestCase never makes."""
    if facts.django:
        return Symbol("django.test", "TransactionTestCase")
    return case
