"""The plan of a scaffold: all the pieces of a job, as changes of the files that are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.runner.changes import Plan

if TYPE_CHECKING:
    from skillrun.frameworks.pieces import Facts, Piece
    from skillrun.skills.job_worker.job_case import JobCase


def plan(case: JobCase) -> Plan:
    """The plan for one job. Raises Refused for what can never be written, e.g. a name that is no
    identifier.
    """
    from skillrun.skills.job_worker.scaffold.gather import gather

    gathered = gather(case)
    if gathered.facts is None or gathered.missing:
        return Plan(missing=gathered.missing)
    return _fitted(
        case, [*pieces(gathered.facts), *_spec_parts(case, gathered.facts)], gathered.facts
    )


def _spec_parts(case: JobCase, facts: Facts) -> Iterator[Piece]:
    """What the spec leaves out; a spec outside the repository is left alone."""
    from skillrun.frameworks.pieces import SpecParts
    from skillrun.skills.job_worker.scaffold.completion import missing_parts

    spec = case.spec
    parts = {}
    if spec is not None:
        parts = missing_parts(case, spec, facts)
    if parts and spec is not None and spec.path.resolve().is_relative_to(case.root.resolve()):
        yield SpecParts(spec.shown_path, parts)


def pieces(facts: Facts) -> list[Piece]:
    """All that is to be there, as if nothing were."""
    from skillrun.skills.job_worker.scaffold import (
        app_context,
        common,
        integration,
        machine,
        operations,
    )
    from skillrun.skills.job_worker.scaffold.libraries import renderer_of, writer_of
    from skillrun.skills.job_worker.scaffold.stores import registry as stores

    writer, render = writer_of(facts.use.id), renderer_of(facts.use.id)
    testing = app_context.testing(facts) + stores.testing(facts)
    return [
        *common.adapters(facts, render),
        *stores.pieces(facts),
        *writer.pieces(facts, render),
        common.tests(facts, render, testing, words=writer.TESTS, runs_need=writer.runs_need),
        *integration.integration_test(facts, render, testing, writer),
        *operations.notes(facts, render),
        machine.state_machine(facts, render),
    ]


def _fitted(case: JobCase, made: Iterable[Piece], facts: Facts) -> Plan:
    """The pieces as changes of the files that are there."""
    from skillrun.skills.job_worker.scaffold.fit import Fitting

    length = facts.conventions.line_length
    own, follow = facts.own_packages, case.project.origin
    fitting = Fitting(
        case.tree, own, lambda path, source: _in_manner(facts, path, source), length, follow
    )
    for piece in made:
        fitting.add(piece)
    return Plan(
        tuple(fitting.changes()),
        tuple(fitting.kept),
        notes=tuple(facts.store.extras.get("notes", ())),
        formatters=facts.conventions.formatters,
    )


def _in_manner(facts: Facts, path: str, source: str) -> str:
    """A module as the repository would write it: its manner, and no line longer than its lines
    are.
    """
    from skillrun.skills.job_worker.scaffold.editing.wrapping import relay_lines

    manner = facts.conventions
    return relay_lines(_restyled(facts, path, source), manner.line_length, manner.indent)


def _restyled(facts: Facts, path: str, source: str) -> str:
    """Tests follow the habit of tests, and import from the top."""
    from skillrun.skills.job_worker.scaffold.common import test_path
    from skillrun.skills.job_worker.scaffold.integration import integration_path
    from skillrun.skills.job_worker.scaffold.manner.style import restyle

    manner = facts.conventions
    if path in (test_path(facts), integration_path(facts)):
        return restyle(source, replace(manner, annotations=manner.test_annotations))
    package = path.removeprefix(f"{manner.source_root}/").rpartition("/")[0].replace("/", ".")
    return restyle(source, manner, package)
