"""What a scaffold would change in a repository: planned and shown before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrun.frameworks.pieces import Facts, Piece, Symbol
    from skillrun.stages.interface import Case
    from skillrun.verdict import Finding


@dataclass(frozen=True)
class Change:
    """A file before and after, as text; before None: it does not exist. The path is relative to the repository."""

    path: str
    before: str | None
    after: str


@dataclass(frozen=True)
class Kept:
    """Something that is there already, was written or edited by somebody, and is left as it is."""

    path: str
    line: int
    name: str  # of the definition, or the file itself
    diff: str  # unified, from what is there to what the scaffold would have written


@dataclass(frozen=True)
class Plan:
    """All or nothing: the changes are written together, or none of them."""

    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()
    missing: tuple[Finding, ...] = ()  # what has to be decided first; then there are no changes
    notes: tuple[str, ...] = ()  # what a person should know of the result, a sentence each


def plan(case: Case) -> Plan:
    """The plan for one job. Raises Refused for what can never be written, e.g. a name that is no identifier."""
    from skillrun.scaffold.gather import gather

    gathered = gather(case)
    if gathered.facts is None or gathered.missing:
        return Plan(missing=gathered.missing)
    return _fitted(case, [*pieces(gathered.facts), *_spec_parts(case, gathered.facts)], gathered.facts)


def _spec_parts(case: Case, facts: Facts) -> Iterator[Piece]:
    """What the spec leaves out; a spec outside the repository is left alone."""
    from skillrun.frameworks.pieces import SpecParts
    from skillrun.scaffold.completion import missing_parts

    spec = case.spec
    parts = missing_parts(spec, facts) if spec is not None else {}
    if parts and spec is not None and spec.path.resolve().is_relative_to(case.root.resolve()):
        yield SpecParts(spec.shown_path, parts)


def pieces(facts: Facts) -> list[Piece]:
    """All that is to be there, as if nothing were."""
    from skillrun.scaffold import common, machine, operations
    from skillrun.scaffold.gather import templates_of
    from skillrun.scaffold.render import Renderer
    from skillrun.scaffold.stores import registry as stores

    framework = import_module(templates_of(facts.use))
    render = Renderer(Path(framework.__file__ or "").parent / "templates")
    return [
        *common.adapters(facts, render),
        *stores.pieces(facts),
        *framework.pieces(facts, render),
        common.tests(
            facts, render, stores.testing(facts), words=framework.TESTS, runs_need=_runs_need(framework, facts)
        ),
        *operations.notes(facts, render),
        machine.state_machine(facts, render),
    ]


def _runs_need(framework: ModuleType, facts: Facts) -> tuple[Symbol | str, ...]:
    """What the framework's `runs.jinja` imports beyond the handler: its `runs_need(facts)`, where it has one."""
    found = getattr(framework, "runs_need", None)
    return tuple(found(facts)) if found is not None else ()


def _fitted(case: Case, made: Iterable[Piece], facts: Facts) -> Plan:
    """The pieces as changes of the files that are there."""
    from skillrun.scaffold.fit import Fitting

    fitting = Fitting(case.tree, facts.own_packages)
    for piece in made:
        fitting.add(piece)
    return Plan(changes=tuple(fitting.changes()), kept=tuple(fitting.kept))
