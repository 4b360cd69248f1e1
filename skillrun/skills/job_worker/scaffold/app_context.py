"""The context of a Flask app in a job's tests, where what publishes the job is `current_app`'s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.skills.job_worker.scaffold.stores.testing import Testing

if TYPE_CHECKING:
    from skillrun.frameworks.pieces import Facts
    from skillrun.skills.job_worker.job_case import JobCase


@dataclass(frozen=True)
class AppContext:
    """How tests come to the app: a fixture of the repository's own, or an expression and what it
    imports.
    """

    fixture: str | None
    lines: tuple[str, ...]
    expression: str


def find_context(case: JobCase, facts: Facts) -> AppContext | None:
    """Where the job needs one (`in_app_context` of the framework's facts); None where none does, or
    none is found.
    """
    from skillrun.skills.job_worker.scaffold.manner.fixtures import find_app_fixture
    from skillrun.skills.job_worker.scaffold.stores.flask_use import find_app

    if not facts.of_library.get("in_app_context"):
        return None
    fixture = find_app_fixture(case.tree, facts.conventions.tests)
    made = find_app(case.project, facts.use.app or facts.path)
    if fixture is None and made is None:
        return None
    if made is None:
        return AppContext(fixture, (), "")
    return AppContext(fixture, made.lines, made.expression)


def testing(facts: Facts) -> Testing:
    """The context around each test; a fixture of the repository's own makes the app as its other
    tests have it.
    """
    context: AppContext | None = facts.of_library.get("context")
    if context is None:
        return Testing()
    lines = context.lines
    if context.fixture:
        lines = ("from flask import Flask",)
    return Testing(
        ("app_context.jinja",),
        values={"app_fixture": context.fixture or "", "app": context.expression},
        for_pytest=("from collections.abc import Iterator", *lines),
        for_unittest=context.lines,
    )
