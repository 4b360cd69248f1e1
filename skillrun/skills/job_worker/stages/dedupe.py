"""The dedupe boundary: is the store unique over the key, and does it remember for long enough?"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Finding
from skillrun.runner.findings import blocker, error, not_read, note, warning
from skillrun.skills.job_worker.stages import uniqueness
from skillrun.skills.job_worker.stages.effects import handler_calls
from skillrun.skills.job_worker.stages.horizon import duration, horizon
from skillrun.skills.job_worker.stages.interface import JobCase
from skillrun.skills.job_worker.stages.store_use import store_use

if TYPE_CHECKING:
    from skillrun.contract.job import Idempotency, JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition
    from skillrun.skills.job_worker.stages.tables_sql import Table


def store_findings(case: JobCase, spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    """What the repository shows of the store that the spec names; what cannot be judged is a
    note.
    """
    store = (idempotency.dedupe.store if idempotency.dedupe else None) or ""
    kind, _, name = store.strip().partition(" ")
    if not store or not idempotency.key:
        return
    if kind.lower() == "table" and name.strip():
        yield from _table(
            case, spec, idempotency, name.strip().split()[0].rpartition(".")[2].strip('"`')
        )
    elif kind.lower() == "receiver":
        yield from _receiver(spec)
    elif kind.lower() in ("redis", "valkey", "cache"):
        yield from _atomic_set(case, spec, idempotency)
    else:
        message = (
            f"the dedupe store {store!r} was not judged: only tables, redis and the receiver can be"
            " read"
        )
        hint = (
            'write "table NAME", "redis KEY" or "receiver" if it is one of them; else only the'
            " proof can show it"
        )
        yield note("idempotency.store-not-judged", message, hint=hint, **_at(spec))


def _table(case: JobCase, spec: JobSpec, idempotency: Idempotency, table: str) -> Iterator[Finding]:
    keys = ", ".join(idempotency.key or ())
    found = uniqueness.tables(case.project, table)
    if not found:
        hint = f"create {table} with UNIQUE ({keys}), or name the table that exists"
        yield blocker(
            "idempotency.no-table",
            f"nothing in the repository creates the table {table}",
            hint=hint,
            **_at(spec),
        )
        return
    yield from _uniqueness(table, found, idempotency)
    if case.handler is not None:
        yield from _remembered(case, case.handler, table)


def _remembered(case: JobCase, handler: Definition, table: str) -> Iterator[Finding]:
    """A finished job gets its row, and a second delivery notices it."""
    use = store_use(case, handler, table)
    here = {"path": handler.path, "line": handler.line}
    if not use.writes:
        hint = f"write the key to {table} in the handler, or name the store that it really uses"
        message = f"no code reached from the handler writes {table}"
        if use.hidden is None:
            yield error("idempotency.store-not-written", message, hint=hint, **here)
        else:
            message = f"{message}, as far as it can be followed; not followed: {use.hidden}"
            yield warning("idempotency.store-not-used", message, hint=hint, **here)
    elif not use.looks:
        message = (
            f"{table} is written, and nothing shows what a second delivery does about the row that"
            " is there"
        )
        hint = (
            "look for the row first, insert with ON CONFLICT or get_or_create, or catch the"
            " integrity error"
        )
        yield warning("idempotency.store-not-checked", message, hint=hint, **here)


def _uniqueness(table: str, found: Sequence[Table], idempotency: Idempotency) -> Iterator[Finding]:
    """Two rows with the same key cannot both exist; what stands between that and the
    declarations.
    """
    keys = ", ".join(idempotency.key or ())
    if uniqueness.is_unique(found, idempotency.key) is not None:
        yield from _weaknesses(table, found, idempotency)
        return
    whole = uniqueness.key_column(found, idempotency.key)
    if whole is not None:
        declared, column = whole
        message = (
            f"the unique column {table}.{column} is taken for the key ({keys}); what fills it was"
            " not verified"
        )
        hint = f"fill {column} from {keys} alone, and from all of them"
        yield note(
            "idempotency.key-column", message, hint=hint, path=declared.path, line=declared.line
        )
        return
    doubt = uniqueness.find_doubt(found, idempotency.key)
    if doubt is not None:
        declared, because = doubt
        question = f"whether {table} is unique over the key ({keys})"
        yield not_read("idempotency", question, because, path=declared.path, line=declared.line)
        return
    first = found[0]
    message = (
        f"{table} has no UNIQUE constraint over the key ({keys}): two workers can both insert it"
    )
    hint = f"add UNIQUE ({keys}), for all rows, to {table}"
    yield error(
        "idempotency.store-not-unique", message, hint=hint, path=first.path, line=first.line
    )


def _weaknesses(table: str, found: Sequence[Table], idempotency: Idempotency) -> Iterator[Finding]:
    """A constraint that keeps repetitions out, and different jobs as well; or that lets some
    repetitions in.
    """
    keys = ", ".join(idempotency.key or ())
    narrow = uniqueness.narrower(found, idempotency.key)
    if narrow is not None:
        declared, columns = narrow
        message = (
            f"UNIQUE ({', '.join(sorted(columns))}) of {table} is narrower than the key ({keys}): "
        )
        message += "two different jobs would be taken for one"
        hint = f"UNIQUE ({keys}), or a key of those columns alone"
        yield warning(
            "idempotency.store-narrower", message, hint=hint, path=declared.path, line=declared.line
        )
    loose = uniqueness.nullable(found, idempotency.key)
    if loose is not None:
        declared, column = loose
        message = (
            f"the key column {table}.{column} may be NULL, and NULLs are not equal under UNIQUE"
        )
        hint = f"declare {column} NOT NULL"
        yield warning(
            "idempotency.key-nullable", message, hint=hint, path=declared.path, line=declared.line
        )


def _receiver(spec: JobSpec) -> Iterator[Finding]:
    keyed = [effect for effect in spec.effects or () if effect.guarantee == "keyed"]
    if not keyed:
        message = "the receiver is to drop repetitions, and no effect is keyed"
        hint = "effects: [{guarantee: keyed, key_arg: ..., window: ...}], or a store of your own"
        yield error("idempotency.no-receiver", message, hint=hint, **_at(spec))
    for effect in keyed:
        message = (
            f"that the receiver of {effect.name} drops a repeated {effect.key_arg or 'key'} is"
            " taken on its word"
        )
        yield note(
            "idempotency.store-not-judged",
            message,
            hint="its documentation says for how long",
            **_at(spec),
        )


def _atomic_set(case: JobCase, spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    """`set(nx=True, ex=...)`, `setnx`, `cache.add`: one step that only one of two deliveries
    wins.
    """
    handler = case.handler
    if handler is None:
        return
    taken = [call for call in handler_calls(case, handler) if _sets_if_absent(case, call)]
    if not taken:
        message = (
            "no atomic set-if-absent was found on the handler's way, so the dedupe store was not"
            " judged"
        )
        hint = (
            'one step must claim the key: redis.set(key, ..., nx=True, ex=...), or cache.add("key",'
            " ..., timeout)"
        )
        yield note(
            "idempotency.store-not-judged", message, hint=hint, path=handler.path, line=handler.line
        )
    marks = _marks(case, handler, taken) or _looked_up(case, handler, taken)
    for call in marks or taken:
        yield from _kept_long_enough(case, spec, idempotency, call)


def _marks(case: JobCase, handler: Definition, taken: Sequence[Call]) -> list[Call]:
    """Sets that overwrite a key which was claimed: the claim is the lease of a delivery at work,
    and may be short.
    """
    claimed = {_key_text(call) for call in taken}
    sets = [call for call in handler_calls(case, handler) if call.name.rpartition(".")[2] == "set"]
    marks = []
    for call in sets:
        if call not in taken and call.node.args and _key_text(call) in claimed:
            marks.append(call)
    return marks


def _looked_up(case: JobCase, handler: Definition, taken: Sequence[Call]) -> list[Call]:
    """Sets of a key that is also looked for: that one is the memory, and what was claimed beside
    it is a lock, which may be short.
    """
    calls = handler_calls(case, handler)
    asked = {_key_text(call) for call in calls if call.name.rpartition(".")[2] in ("exists", "get")}
    sets = [call for call in calls if call.name.rpartition(".")[2] in ("set", "setex")]
    return [call for call in sets if call not in taken and _key_text(call) in asked]


def _key_text(call: Call) -> str:
    if not call.node.args:
        return ""
    return ast.unparse(call.node.args[0])


def _sets_if_absent(case: JobCase, call: Call) -> bool:
    word = call.name.rpartition(".")[2]
    if word == "set":
        return case.project.literal(call.keywords.get("nx"), call.module) is True
    return word == "setnx" or (word == "add" and "cache" in f"{call.name} {call.origin}".lower())


def _kept_long_enough(
    case: JobCase, spec: JobSpec, idempotency: Idempotency, call: Call
) -> Iterator[Finding]:
    here = {"path": call.path, "line": call.line}
    kept = _seconds_kept(case, call)
    bound = horizon(spec, case.policy)
    promised = None
    if idempotency.dedupe:
        promised = idempotency.dedupe.window
    if kept is None:
        yield note(
            "idempotency.store-not-judged",
            "for how long the key is kept could not be read",
            hint="write the seconds as a constant, or read them yourself",
            **here,
        )
    elif bound is not None and kept < bound.total_s:
        message = (
            f"the key is kept for {duration(kept)}, shorter than the retry horizon: {bound.words}"
        )
        yield error("idempotency.window-too-short", message, hint="keep the key for longer", **here)
    elif promised is not None and kept < promised:
        message = f"the key is kept for {duration(kept)}; the spec promises {duration(promised)}"
        yield error(
            "idempotency.window-differs", message, hint="make code and dedupe.window agree", **here
        )


def _seconds_kept(case: JobCase, call: Call) -> float | None:
    """The literal time to live; infinity for `setnx`, which has none, None where it cannot be
    read.
    """
    word = call.name.rpartition(".")[2]
    if word == "setnx":
        return float("inf")
    literal = case.project.literal
    if word == "add":
        written = call.argument(2, "timeout")
    else:
        written = call.argument(2, "ex")
    value = literal(written, call.module)
    if word == "set" and written is None:
        px = call.keywords.get("px")
        if px is None and not {"exat", "pxat", None} & {k.arg for k in call.node.keywords}:
            return float("inf")
        value = literal(px, call.module)
        if isinstance(value, int | float):
            value = value / 1000
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def window_findings(case: JobCase, spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    """The own window and each receiver's must outlast the retry horizon; the numbers are shown
    either way.
    """
    windows = list(_windows(spec, idempotency))
    policy = case.policy
    bound = horizon(spec, policy)
    if policy is not None and policy.max_attempts is None and "max_attempts" not in policy.unknown:
        for name, window, line in windows:
            message = f"{name} {duration(window)} cannot outlast a retry without end"
            yield error(
                "idempotency.window-too-short",
                message,
                hint="bound the attempts in the code",
                path=spec.shown_path,
                line=line,
            )
        return
    if bound is None:
        return
    unread = " (by the spec: the code's was not read)"
    if policy is None or not _unread(policy.unknown):
        unread = ""
    for name, window, line in windows:
        if window < bound.total_s:
            message = f"{name} {duration(window)} is shorter than the retry horizon: {bound.words}"
            hint = "a longer window, fewer attempts, or a smaller backoff cap"
            yield error(
                "idempotency.window-too-short", message, hint=hint, path=spec.shown_path, line=line
            )
        else:
            message = f"{name} {duration(window)} outlasts the retry horizon: {bound.words}{unread}"
            yield note("idempotency.window", message, path=spec.shown_path, line=line)


def _unread(unknown: Mapping[str, object]) -> bool:
    return any(
        name.startswith(("max_attempts", "backoff", "visibility_timeout")) for name in unknown
    )


def _windows(spec: JobSpec, idempotency: Idempotency) -> Iterator[tuple[str, float, int | None]]:
    if idempotency.dedupe and idempotency.dedupe.window is not None:
        yield (
            "dedupe.window",
            idempotency.dedupe.window,
            spec.line("idempotency", "dedupe", "window"),
        )
    for number, effect in enumerate(spec.effects or ()):
        if effect.window is not None:
            yield (
                f"window of effect {effect.name}",
                effect.window,
                spec.line("effects", number, "window"),
            )


def _at(spec: JobSpec) -> dict[str, Any]:
    return {"path": spec.shown_path, "line": spec.line("idempotency", "dedupe")}
