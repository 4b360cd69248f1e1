"""Gathers what the templates need from the spec and the repository, and says what has to be decided
first.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrun.contract.duration import format_duration
from skillrun.frameworks.pieces import EffectCall, Facts
from skillrun.runner.findings import blocker
from skillrun.skills.job_worker.scaffold.facts import Names, read_facts, takes, unfilled
from skillrun.skills.job_worker.scaffold.libraries import awaits, has_writer, writer_of
from skillrun.skills.job_worker.scaffold.stores import redis

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.core.verdict import Finding
    from skillrun.repo.uses import FrameworkUse
    from skillrun.skills.job_worker.job_case import JobCase

PARTS = ("payload", "handler", "idempotency", "effects", "failures", "retry", "dead_letter")
"""The parts of a spec without which nothing can be written."""
_RESERVED = frozenset(
    {
        "ALL",
        "AND",
        "AS",
        "CHECK",
        "COLUMN",
        "CREATE",
        "DEFAULT",
        "DELETE",
        "DISTINCT",
        "DROP",
        "FROM",
        "GRANT",
        "GROUP",
        "HAVING",
        "IN",
        "INDEX",
        "INSERT",
        "INTO",
        "JOIN",
        "KEY",
        "LIMIT",
        "NOT",
        "NULL",
        "OR",
        "ORDER",
        "PRIMARY",
        "REFERENCES",
        "SELECT",
        "SET",
        "TABLE",
        "TO",
        "TRANSACTION",
        "UNION",
        "UNIQUE",
        "UPDATE",
        "USER",
        "USING",
        "VALUES",
        "WHERE",
    }
)


@dataclass(frozen=True)
class Gathered:
    """The facts, or what is missing for them."""

    facts: Facts | None
    missing: tuple[Finding, ...] = ()


def gather(case: JobCase) -> Gathered:
    """Reads the spec and the repository. Raises Refused for what can never be written."""
    if case.language is not None:
        message = f"skillrun writes Python, and the handler is {case.language.title}"
        hint = "write the handler by hand, as the repository's others are"
        return Gathered(None, (blocker("scaffold.other-language", message, hint=hint),))
    missing = tuple(_find_undecided(case))
    spec, use = case.spec, case.use
    if missing or spec is None or use is None:
        return Gathered(None, missing)
    facts = _gather_facts(case, spec, use)
    return Gathered(
        facts, (*_find_impossible(spec, facts), *_find_unfit_adapters(case, spec, facts))
    )


def _gather_facts(case: JobCase, spec: JobSpec, use: FrameworkUse) -> Facts:
    from skillrun.skills.job_worker.scaffold.app_context import find_context
    from skillrun.skills.job_worker.scaffold.manner.conventions import read_conventions
    from skillrun.skills.job_worker.scaffold.stores.django_use import is_django
    from skillrun.skills.job_worker.scaffold.stores.find import find_store

    names = Names(case.project)
    conventions = read_conventions(case, names.path((spec.handler or "").partition(":")[0]))
    store = find_store(case, spec)
    writer = writer_of(use.id)
    facts = read_facts(case, spec, use, store, conventions, writer.MESSAGE)
    known = replace(
        facts, django=is_django(case.project), awaits=awaits(case.project, use, spec.handler or "")
    )
    # A library's writer looks at the effects, and the application's context at what the writer
    # read.
    with_effects = replace(known, effects=tuple(_list_awaited(case, known)))
    of_library = writer.read(case.project, with_effects)
    read = replace(with_effects, of_library=of_library)
    return replace(read, of_library={**of_library, "context": find_context(case, read)})


def _list_awaited(case: JobCase, facts: Facts) -> Iterator[EffectCall]:
    """The effects, with what their adapters are; one that is to be written is what the handler
    is.
    """
    for effect in facts.effects:
        adapter = None
        if effect.call.exists:
            adapter = case.project.find(f"{effect.call.module}:{effect.call.name}")
        found = False
        if adapter is not None:
            found = isinstance(adapter.node, ast.AsyncFunctionDef)
        yield replace(effect, awaited=found if effect.call.exists else facts.awaits)


def _find_undecided(case: JobCase) -> Iterator[Finding]:
    spec, use = case.spec, case.use
    if spec is None:
        hint = "write one with skillrun spec init"
        yield blocker("scaffold.no-spec", "there is no job spec to write a job from", hint=hint)
        return
    at = {"path": spec.shown_path}
    for part in PARTS:
        if getattr(spec, part) is None:
            hint = f"see {part} in the schema beside the spec"
            yield blocker(
                "scaffold.undecided", f"the spec says nothing of {part}", hint=hint, line=1, **at
            )
    if spec.effects == ():
        message = (
            "the spec says that the job has no effects, and a scaffold writes the calls of effects"
        )
        hint = "name what the job changes in effects, or write the handler by hand"
        yield blocker("scaffold.undecided", message, hint=hint, line=spec.line("effects"), **at)
    if use is None:
        hint = (
            "add the job library that the repository is to use, or write a profile: skillrun detect"
            " --write"
        )
        yield blocker("scaffold.no-framework", "no job library is in use here", hint=hint)
    elif not has_writer(use.id):
        message = f"skillrun has no templates for {use.id}"
        yield blocker(
            "scaffold.no-templates",
            message,
            hint="write the handler by hand: skillrun next says how",
        )


def _find_impossible(spec: JobSpec, facts: Facts) -> Iterator[Finding]:
    """What this library cannot do, and promises of the spec that contradict each other."""
    said = [*writer_of(facts.use.id).problems(facts), *redis.problems(facts)]
    said += [
        *_find_contradictions(facts),
        *_find_forgotten(facts),
        *_taken_names(facts),
        *_no_errors(facts),
    ]
    said += [*_find_unfit_homes(facts), *_table_names(spec), *_find_unfit_publishers(facts)]
    for sentence in said:
        hint = "change the spec, or write the handler by hand"
        yield blocker("scaffold.impossible", sentence, hint=hint, path=spec.shown_path, line=1)


def _find_contradictions(facts: Facts) -> Iterator[str]:
    for effect in facts.effects:
        if effect.guarantee == "at_most_once" and facts.retries.bounded:
            yield (
                f"effect {effect.name} happens at most once, and an attempt that failed may have"
                " done it: retry: none"
            )
        if effect.guarantee == "transactional":
            yield from _refuse_transactional(facts, effect)
        if effect.awaited and not facts.awaits:
            yield (
                f"effect {effect.name}: {effect.call.module}:{effect.call.name} is a coroutine"
                f" function, and the handlers of {facts.use.id} await nothing"
            )


def _refuse_transactional(facts: Facts, effect: EffectCall) -> Iterator[str]:
    if not effect.call.exists:
        yield (
            f"effect {effect.name} is transactional, and"
            f" {effect.call.module}:{effect.call.name} is not there: what it writes, and in"
            " which tables, is a change of its own (backend/persistence-layer-change)"
        )
    elif effect.handle_arg is None:
        yield (
            f"effect {effect.name} is transactional, and its adapter takes no connection or session"
        )
    elif effect.awaited and not facts.store.extras.get("awaited"):
        yield (
            f"effect {effect.name} is transactional, and its adapter is a coroutine function:"
            " the transaction that would be open meanwhile is not one of asyncio"
        )


def _find_forgotten(facts: Facts) -> Iterator[str]:
    """Where the receiver alone remembers, no longer window can be promised than its own."""
    promised = facts.store.window_s
    for effect in facts.effects:
        if (
            facts.store.kind == "receiver"
            and promised
            and effect.window_s
            and effect.window_s < promised
        ):
            yield (
                f"the receiver of {effect.name} forgets a key after"
                f" {format_duration(effect.window_s)}, and idempotency.dedupe.window promises"
                f" {format_duration(promised)}: shorten it, or remember the key here"
            )


_OWN_NAMES = frozenset(
    {
        *(
            "first",
            "connection",
            "payload",
            "correlation_id",
            "attempt",
            "wait",
            "error",
            "message",
        ),
        "headers",
        "random",
    }
)
"""Names that a handler has a use of its own for, with one library or another."""


def _taken_names(facts: Facts) -> Iterator[str]:
    """A field that hides what the handler calls, or that the handler binds itself, would break
    it.
    """
    modules = {effect.call.tail for effect in facts.effects if effect.call.path} | {
        facts.store.tail
    }
    for field in facts.fields:
        if field.name in modules:
            yield (
                f"the field {field.name} has the name of a module that the handler calls: rename"
                " one of them"
            )
        elif field.name in _OWN_NAMES | {facts.conventions.logger}:
            yield f"the handler has a use of its own for the name {field.name}: rename the field"


def _no_errors(facts: Facts) -> Iterator[str]:
    """An error without a module is a builtin, or nothing."""
    for error in (*facts.transient, *facts.permanent):
        if not error.module and not hasattr(builtins, error.name):
            yield f"there is no builtin error {error.name}: write module:{error.name}"


def _find_unfit_homes(facts: Facts) -> Iterator[str]:
    """A module of a library cannot be added to, and one of its name would stand before it."""
    top = facts.module.partition(".")[0]
    if top in sys.stdlib_module_names or top == facts.use.id:
        yield f"handler: {top} is a library, and {facts.module} would be written in this repository"
    for effect in facts.effects:
        if not effect.call.exists and "." in effect.call.name:
            owner = effect.call.name.partition(".")[0]
            yield (
                f"effect {effect.name}: {effect.call.module}:{owner} is not there, and only"
                " functions are written"
            )


def _find_unfit_publishers(facts: Facts) -> Iterator[str]:
    """What an application does around a publication is its own to say: only a plain publisher is
    written.
    """
    call = facts.enqueue
    if not call.exists and call.module != facts.module:
        yield (
            f"enqueue.call: {call.module}:{call.name} is not there, and a publisher is written"
            " beside the handler alone: leave enqueue out, and call"
            f" {facts.module}:enqueue_{facts.name} from it"
        )


def _table_names(spec: JobSpec) -> Iterator[str]:
    """Names of tables stand in SQL as they are."""
    dedupe = None
    if spec.idempotency:
        dedupe = spec.idempotency.dedupe
    dead = spec.dead_letter
    if dedupe and (dedupe.store or "").startswith("table "):
        said = [("idempotency.dedupe.store", dedupe.store)]
    else:
        said = []
    if dead and dead.kind == "table" and dead.where:
        said += [("dead_letter.where", dead.where)]
    for at, text in said:
        name = (text or "").removeprefix("table ").strip()
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", name) or name.upper() in _RESERVED:
            yield f"{at}: {name!r} is no name of a table that can be written without quotes"


def _find_unfit_adapters(case: JobCase, spec: JobSpec, facts: Facts) -> Iterator[Finding]:
    """An adapter that wants what nobody has cannot be called."""
    for number, effect in enumerate(facts.effects):
        adapter = None
        if effect.call.exists:
            adapter = case.project.find(f"{effect.call.module}:{effect.call.name}")
        if adapter is not None and effect.key_arg and not takes(adapter, effect.key_arg):
            message = (
                f"{effect.call.module}:{effect.call.name} takes no {effect.key_arg}, so no key"
                " reaches the receiver"
            )
            hint = "give it the parameter, or correct key_arg and guarantee"
            line = spec.line("effects", number, "key_arg")
            yield blocker(
                "scaffold.adapter-arguments", message, hint=hint, path=spec.shown_path, line=line
            )
        if adapter is not None:
            wanted = unfilled(adapter, effect)
        else:
            wanted = ()
        if wanted:
            message = (
                f"{effect.call.module}:{effect.call.name} needs {', '.join(wanted)}, which the"
                " payload has not"
            )
            hint = (
                "add the field to the payload, give the parameter a default, or write the handler"
                " by hand"
            )
            line = spec.line("effects", number, "call")
            yield blocker(
                "scaffold.adapter-arguments", message, hint=hint, path=spec.shown_path, line=line
            )
