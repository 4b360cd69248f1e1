"""What the tests of the looks share: two sides as texts, and what one look finds between them."""

from __future__ import annotations

import copy
import functools
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from skillrun.core.verdict import Finding
from skillrun.wall.diff import (
    Diff,
    File,
    _is_deployment,
    _is_looked_at,
    is_spec,
    may_start_worker,
    names_packages,
)
from skillrun.wall.gaming.registry import LOOKS
from skillrun.wall.sources import CommitSources

SHOP = Path(__file__).resolve().parents[2] / "skills/job-worker-orchestration/examples/celery-shop"
SPEC = ".skillrun/jobs/send-receipt.yaml"
SPEC_TEXT = (SHOP / SPEC).read_text()
Side = Mapping[str, str]


def diff(old: Side, new: Side, renamed: Mapping[str, str] | None = None) -> Diff:
    """The value that `read_diff` would make of two sides; `renamed` maps an old path to its new
    one.
    """
    before = {path: textwrap.dedent(text) for path, text in old.items()}
    after = {path: textwrap.dedent(text) for path, text in new.items()}
    moved = dict(renamed or {})
    origins = {now: was for was, now in moved.items()}
    old_sources, old_starting = _hold_base(frozenset(before.items()))
    paths = sorted((before.keys() | after.keys()) - moved.keys())
    files = [
        File(path, origins.get(path, path), before.get(origins.get(path, path)), after.get(path))
        for path in paths
    ]
    both = sorted(before.keys() | after.keys())
    specs = [File(path, path, before.get(path), after.get(path)) for path in both if is_spec(path)]
    changed = tuple(file for file in files if (file.path, file.new) != (file.old_path, file.old))
    return Diff(
        tuple(file for file in changed if _is_looked_at(file.path)),
        tuple(specs),
        old_sources,
        CommitSources(lambda: after),
        tuple(file for file in changed if _is_deployment(file.path)),
        tuple(file for file in changed if names_packages(file.path)),
        old_starting,
        CommitSources(lambda: {path: after[path] for path in after if may_start_worker(path)}),
    )


@functools.lru_cache(maxsize=8)
def _hold_base(texts: frozenset[tuple[str, str]]) -> tuple[CommitSources, CommitSources]:
    """The Python of a base and what may start its workers: hundreds of rows change the same base,
    and it is parsed once for them.
    """
    before = dict(sorted(texts))
    starting = {path: text for path, text in before.items() if may_start_worker(path)}
    return CommitSources(lambda: before), CommitSources(lambda: starting)


def found(
    look: str, old: Side, new: Side, renamed: Mapping[str, str] | None = None
) -> list[Finding]:
    """The findings of one look; each must say where, quote something, and say what to do."""
    (chosen,) = [one for one in LOOKS if one.id == look]
    findings = list(chosen.find(diff(old, new, renamed)))
    for finding in findings:
        assert finding.rule == f"gaming.{look}"
        assert finding.path
        assert (finding.line or 0) >= 1
        assert finding.hint
        assert len(finding.message) < 600
    return findings


def everything(old: Side, new: Side, renamed: Mapping[str, str] | None = None) -> list[Finding]:
    """The findings of all looks: for changes that are legitimate."""
    change = diff(old, new, renamed)
    return [finding for look in LOOKS for finding in look.find(change)]


def severities(findings: list[Finding]) -> list[str]:
    return [str(finding.severity) for finding in findings]


@functools.cache
def _read_spec() -> dict[str, Any]:
    """The shop's spec; a hundred rows change a part of it."""
    value: dict[str, Any] = yaml.safe_load(SPEC_TEXT)
    return value


def spec(**changes: object) -> str:
    """The shop's spec with top-level parts replaced; None takes one out."""
    value = copy.deepcopy(_read_spec())
    value |= changes
    return yaml.safe_dump(
        {key: part for key, part in value.items() if part is not None}, sort_keys=False
    )


def side(**changes: object) -> dict[str, str]:
    """One side of a diff with that spec alone."""
    return {SPEC: spec(**changes)}


def part(name: str, **changes: object) -> dict[str, object]:
    """A part of the shop's spec with some of its keys replaced; None takes one out."""
    value = {**copy.deepcopy(_read_spec()[name]), **changes}
    return {key: inner for key, inner in value.items() if inner is not None}
