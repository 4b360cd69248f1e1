"""Stage 3: what happens when the same job is delivered twice? Blocked until that is decided; it can never be waived."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.stages import uniqueness
from skillrun.stages.effects import effect_calls
from skillrun.stages.horizon import duration, horizon
from skillrun.stages.interface import Case, blocker, error, note, warning, wording
from skillrun.stages.sources import volatile_parts
from skillrun.verdict import Action, Finding, Grade, Severity, StageResult, status_of

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, Idempotency, JobSpec
    from skillrun.repo.python import Definition

ID = "idempotency"
TITLE = "Establish idempotency"
ANSWERS = wording(r"\bidempoten")
READS = ("idempotency", "effects", "payload", "failures", "retry", "handler")
COSTLY = False

QUESTION = (
    "Which payload fields make two messages the same job, and where is a finished job remembered? "
    "Or which invariant makes a second run harmless?"
)
_HOW = "idempotency: {strategy: keyed, key: [FIELD, ...], dedupe: {store: table NAME, window: 7d}}"
_KEYISH = re.compile(r"key|dedup|idempot", re.IGNORECASE)
_PER_DELIVERY = re.compile(
    r"^(attempt|retr(y|ies)|message_id|msg_id|task_id|delivery|nonce|timestamp|now|sent_at|uuid)", re.I
)


def examine(case: Case) -> StageResult:
    """The strategy is decided, the key is stable and unique in its store, and remembered for long enough."""
    spec = case.spec
    idempotency = spec.idempotency if spec else None
    if spec is None or idempotency is None or idempotency.strategy == "unknown":
        return _undecided(spec)
    findings = [*_declared(spec, idempotency), *_in_code(case, spec, idempotency)]
    findings += case.rule_findings(ID)
    return StageResult(
        status=status_of(findings),
        grade=Grade.STATIC if case.handler else Grade.DECLARED,
        findings=tuple(findings),
        next=tuple(
            Action(ID, "edit-spec" if f.severity == Severity.BLOCKER else "edit-code", f"{f.message}: {f.hint}")
            for f in findings
            if f.hint and f.severity in (Severity.BLOCKER, Severity.ERROR)
        ),
        summary=_summary(idempotency),
        facts={"idempotency": idempotency.strategy},
    )


def _undecided(spec: JobSpec | None) -> StageResult:
    place = {"path": spec.shown_path, "line": spec.line("idempotency")} if spec else {}
    finding = blocker("idempotency.undefined", "the idempotency strategy is not defined", hint=QUESTION, **place)
    steps = (Action(ID, "decide", QUESTION), Action(ID, "edit-spec", _HOW))
    return StageResult(
        status_of([finding]), None, (finding,), next=steps, facts={"idempotency": "unknown"}, summary="not defined"
    )


def _declared(spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    """What the spec itself must say."""
    here = {"path": spec.shown_path, "line": spec.line("idempotency")}
    if idempotency.strategy == "invariant":
        if not idempotency.invariant or not idempotency.invariant.statement:
            hint = "idempotency.invariant.statement: what is true after one run and after two"
            yield blocker("idempotency.no-statement", "an invariant without a statement", hint=hint, **here)
        elif not idempotency.invariant.guarded_by:
            hint = "idempotency.invariant.guarded_by: the constraint, lock or condition that keeps it true"
            yield blocker("idempotency.no-guard", "nothing is named that guards the invariant", hint=hint, **here)
        return
    if not idempotency.key:
        yield blocker("idempotency.no-key", "a keyed strategy without key fields", hint=f"{QUESTION} {_HOW}", **here)
    if not idempotency.dedupe or not idempotency.dedupe.store:
        hint = "idempotency.dedupe: {store: table NAME, window: 7d}, or {store: receiver, ...} if the receiver does it"
        yield blocker(
            "idempotency.no-boundary", "no dedupe boundary: where is a finished job remembered?", hint=hint, **here
        )
    yield from _key_fields(spec, idempotency)


def _key_fields(spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    fields = (spec.payload or {}).get("properties") or {}
    for number, field in enumerate(idempotency.key or ()):
        place = {"path": spec.shown_path, "line": spec.line("idempotency", "key", number)}
        if spec.payload is not None and field.partition(".")[0] not in fields:
            hint = f"the payload has {', '.join(fields) or 'no fields'}"
            message = f"key field {field} is not in the payload"
            yield blocker("idempotency.key-not-in-payload", message, hint=hint, **place)
        elif _PER_DELIVERY.search(field):
            hint = "choose a field that names the thing the job is about, e.g. order_id"
            message = f"key field {field} sounds as if it differed at each delivery of the same job"
            yield warning("idempotency.key-per-delivery", message, hint=hint, **place)


def _in_code(case: Case, spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    yield from _windows(case, spec, idempotency)
    if idempotency.strategy == "keyed":
        yield from _store(case, idempotency)
    handler = case.handler
    if handler is None:
        return
    yield from _effect_keys(case, spec, handler)
    yield from _volatile_names(case, handler)


def _windows(case: Case, spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    """The own window and each receiver's must outlast the retry horizon."""
    bound = horizon(spec, case.policy)
    if bound is None:
        return
    windows = []
    if idempotency.dedupe and idempotency.dedupe.window is not None:
        windows.append(("dedupe.window", idempotency.dedupe.window, spec.line("idempotency", "dedupe", "window")))
    for number, effect in enumerate(spec.effects or ()):
        if effect.window is not None:
            windows.append((f"window of effect {effect.name}", effect.window, spec.line("effects", number, "window")))
    for name, window, line in windows:
        if window < bound.total_s:
            message = f"{name} {duration(window)} is shorter than the retry horizon: {bound.words}"
            hint = "a longer window, fewer attempts, or a smaller backoff cap"
            yield error("idempotency.window-too-short", message, hint=hint, path=spec.shown_path, line=line)
        else:
            yield note(
                "idempotency.window",
                f"{name} {duration(window)} outlasts the retry horizon: {bound.words}",
                path=spec.shown_path,
                line=line,
            )


def _store(case: Case, idempotency: Idempotency) -> Iterator[Finding]:
    """A table must hold the key under a UNIQUE constraint; other stores are named, not judged, until the proof."""
    kind, _, name = (idempotency.dedupe.store if idempotency.dedupe and idempotency.dedupe.store else "").partition(" ")
    if kind != "table" or not idempotency.key:
        return
    table = name.strip().rpartition(".")[2]
    found = uniqueness.tables(case.project, table)
    if not found:
        hint = f"create {table} with UNIQUE ({', '.join(idempotency.key)}), or name the table that exists"
        yield blocker("idempotency.no-table", f"nothing in the repository creates the table {table}", hint=hint)
        return
    if uniqueness.is_unique(found, idempotency.key) is None:
        first = found[0]
        keys = ", ".join(idempotency.key)
        message = f"{table} has no UNIQUE constraint over the key ({keys}): two workers can both insert it"
        hint = f"UNIQUE ({keys})"
        yield error("idempotency.store-not-unique", message, hint=hint, path=first.path, line=first.line)


def _effect_keys(case: Case, spec: JobSpec, handler: Definition) -> Iterator[Finding]:
    for number, effect in enumerate(spec.effects or ()):
        if effect.guarantee != "keyed":
            continue
        if not effect.key_arg:
            hint = f"effects.{number}.key_arg: the argument that the receiver de-duplicates on"
            message = f"effect {effect.name} is keyed, and no argument carries the key"
            yield blocker(
                "idempotency.no-key-arg", message, hint=hint, path=spec.shown_path, line=spec.line("effects", number)
            )
            continue
        yield from _passed_keys(case, handler, effect, effect.key_arg)


def _passed_keys(case: Case, handler: Definition, effect: Effect, key_arg: str) -> Iterator[Finding]:
    for call in effect_calls(case, handler, effect):
        value = call.argument(_position(case, effect, key_arg), key_arg)
        if value is None and not any(keyword.arg is None for keyword in call.node.keywords):
            message = f"{effect.name} is called without {key_arg}, so the receiver cannot tell a repetition"
            yield error(
                "idempotency.key-not-passed",
                message,
                hint=f"pass {key_arg}=... made of the key fields",
                path=call.path,
                line=call.line,
            )
        elif value is not None:
            for part in volatile_parts(case.project, call.module, value):
                yield _volatile(f"{key_arg} of {effect.name}", part.what, part.path, part.line)


def _position(case: Case, effect: Effect, key_arg: str) -> int | None:
    """Where the adapter takes the key when it is passed by position."""
    adapter = case.project.find(effect.call) if effect.call else None
    arguments = getattr(adapter.node, "args", None) if adapter else None
    names = [arg.arg for arg in [*arguments.posonlyargs, *arguments.args]] if arguments else []
    names = names[1:] if names[:1] in (["self"], ["cls"]) else names
    return names.index(key_arg) if key_arg in names else None


def _volatile_names(case: Case, handler: Definition) -> Iterator[Finding]:
    """A local variable that calls itself a key and is made of something that changes."""
    for node in ast.walk(handler.node):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and _KEYISH.search(node.targets[0].id)
        ):
            for part in volatile_parts(case.project, handler.module, node.value):
                yield _volatile(node.targets[0].id, part.what, part.path, part.line)


def _volatile(name: str, what: str, path: str, line: int) -> Finding:
    message = f"{name} is built from {what}: a redelivered job would get another key"
    return error(
        "idempotency.volatile-key",
        message,
        hint="build it from the key fields of the payload alone",
        path=path,
        line=line,
    )


def _summary(idempotency: Idempotency) -> str:
    if idempotency.strategy == "invariant":
        return f"invariant: {idempotency.invariant.statement if idempotency.invariant else ''}"
    dedupe = idempotency.dedupe
    return f"key {', '.join(idempotency.key or ())} in {dedupe.store if dedupe else 'nowhere'}"
