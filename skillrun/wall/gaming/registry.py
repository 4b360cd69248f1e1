"""The looks, in the order of the report: a new one is a module and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming import (
    adapters,
    altered_spec,
    baselines,
    beside,
    blind_queries,
    bytecode,
    collection,
    commands,
    deleted_tests,
    failed_answers,
    gates,
    guarantees,
    job_libraries,
    lost_records,
    make_programs,
    new_waivers,
    payload,
    policies,
    proof_asked,
    quieter_logs,
    skill_copies,
    skipped_tests,
    special_cases,
    swallowing,
    tests_set_options,
    watching,
    weaker_assertions,
    workers,
)


@dataclass(frozen=True)
class Look:
    """One way of coming by evidence unfairly. Its findings have the rule `gaming.<id>`."""

    id: str
    help: str  # what it finds, and why that matters
    find: Callable[[Diff], Iterator[Finding]]


_MODULES = (
    deleted_tests,
    skipped_tests,
    collection,
    weaker_assertions,
    tests_set_options,
    guarantees,
    proof_asked,
    payload,
    altered_spec,
    blind_queries,
    new_waivers,
    baselines,
    commands,
    policies,
    make_programs,
    gates,
    skill_copies,
    swallowing,
    watching,
    special_cases,
    bytecode,
    adapters,
    failed_answers,
    workers,
    job_libraries,
    beside,
    lost_records,
    quieter_logs,
)
LOOKS: tuple[Look, ...] = tuple(Look(module.ID, module.HELP, module.find) for module in _MODULES)
