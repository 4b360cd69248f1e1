"""The dedupe boundary: is the store unique over the key, and does it remember for long enough?"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Finding
from skillrun.runner.findings import blocker, error, not_read, note, warning
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.effects import handler_calls
from skillrun.skills.job_worker.readings.horizon import duration, horizon
from skillrun.skills.job_worker.readings.tables import uniqueness
from skillrun.skills.job_worker.readings.tables.store_use import store_use

if TYPE_CHECKING:
    from skillrun.contract.job import Idempotency, JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition
    from skillrun.skills.job_worker.readings.tables.tables_sql import Table


def store_findings(case: JobCase, spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    """What the repository shows of the store that the spec names; what cannot be judged is a
    note.
    """
    store = ""
    if idempotency.dedupe:
        store = idempotency.dedupe.store or ""
    if not store or not idempotency.key:
        return
    kind, _, rest = store.strip().partition(" ")
    kind, rest = kind.lower(), rest.strip()
    if kind == "table" and rest:
        # `table "billing"."receipts" (order_id)` names the table receipts.
        table = rest.split()[0].rpartition(".")[2].strip('"`')
        yield from _judge_table(case, spec, idempotency, table)
    elif kind == "receiver":
        yield from _judge_receiver(spec)
    elif kind in ("redis", "valkey", "cache"):
        yield from _judge_atomic_set(case, spec, idempotency)
    else:
        message = (
            f"the dedupe store {store!r} was not judged: only tables, redis and the receiver can be"
            " read"
        )
        hint = (
            'write "table NAME", "redis KEY" or "receiver" if it is one of them; else only the'
            " proof can show it"
        )
        yield note("idempotency.store-not-judged", message, hint=hint, **_place_in_spec(spec))


def _judge_table(
    case: JobCase, spec: JobSpec, idempotency: Idempotency, table: str
) -> Iterator[Finding]:
    """What is wrong with a table that is to remember finished jobs, and with how the handler uses
    it.
    """
    keys = ", ".join(idempotency.key or ())
    declared = uniqueness.tables(case.project, table)
    if not declared:
        hint = f"create {table} with UNIQUE ({keys}), or name the table that exists"
        yield blocker(
            "idempotency.no-table",
            f"nothing in the repository creates the table {table}",
            hint=hint,
            **_place_in_spec(spec),
        )
        return
    yield from _judge_uniqueness(table, declared, idempotency)
    if case.handler is not None:
        yield from _judge_use(case, case.handler, table)


def _judge_use(case: JobCase, handler: Definition, table: str) -> Iterator[Finding]:
    """A finding where no code writes the row of a finished job, or where nothing shows that a
    second delivery notices it.
    """
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


def _judge_uniqueness(
    table: str, found: Sequence[Table], idempotency: Idempotency
) -> Iterator[Finding]:
    """What keeps the declarations of the table from saying that two rows with the same key cannot
    both exist.
    """
    keys = ", ".join(idempotency.key or ())
    if uniqueness.is_unique(found, idempotency.key) is not None:
        yield from _find_weaknesses(table, found, idempotency)
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


def _find_weaknesses(
    table: str, found: Sequence[Table], idempotency: Idempotency
) -> Iterator[Finding]:
    """A warning where a constraint keeps different jobs out as well as repetitions, and one where
    it lets some repetitions in.
    """
    keys = ", ".join(idempotency.key or ())
    narrow = uniqueness.narrower(found, idempotency.key)
    if narrow is not None:
        declared, columns = narrow
        message = (
            f"UNIQUE ({', '.join(sorted(columns))}) of {table} is narrower than the key ({keys}):"
            " two different jobs would be taken for one"
        )
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


def _judge_receiver(spec: JobSpec) -> Iterator[Finding]:
    """An error where no effect has a key by which its receiver could drop a repetition; a note for
    each that has one, since only the receiver knows whether it does.
    """
    keyed = [effect for effect in spec.effects or () if effect.guarantee == "keyed"]
    if not keyed:
        message = "the receiver is to drop repetitions, and no effect is keyed"
        hint = "effects: [{guarantee: keyed, key_arg: ..., window: ...}], or a store of your own"
        yield error("idempotency.no-receiver", message, hint=hint, **_place_in_spec(spec))
    for effect in keyed:
        message = (
            f"that the receiver of {effect.name} drops a repeated {effect.key_arg or 'key'} is"
            " taken on its word"
        )
        yield note(
            "idempotency.store-not-judged",
            message,
            hint="its documentation says for how long",
            **_place_in_spec(spec),
        )


def _judge_atomic_set(case: JobCase, spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    """What is wrong with a key in Redis or a cache: it is to be claimed in one step that only one
    of two deliveries wins (`set(nx=True, ex=...)`, `setnx`, `cache.add`), and kept for long enough.
    """
    handler = case.handler
    if handler is None:
        return
    claims = [call for call in handler_calls(case, handler) if _sets_if_absent(case, call)]
    if not claims:
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
    # Where the memory of a finished job is written apart, the claim is a lock, and may be short.
    memories = _find_overwritten_claims(case, handler, claims)
    if not memories:
        memories = _find_looked_up(case, handler, claims)
    for call in memories or claims:
        yield from _judge_time_kept(case, spec, idempotency, call)


def _find_overwritten_claims(
    case: JobCase, handler: Definition, claims: Sequence[Call]
) -> list[Call]:
    """The sets that overwrite a key which was claimed: the claim is the lease of a delivery at
    work.
    """
    claimed = {_key_text(call) for call in claims}
    overwriting = []
    for call in handler_calls(case, handler):
        if _method_of(call) != "set" or call in claims:
            continue
        if call.node.args and _key_text(call) in claimed:
            overwriting.append(call)
    return overwriting


def _find_looked_up(case: JobCase, handler: Definition, claims: Sequence[Call]) -> list[Call]:
    """The sets of a key that is also looked for: that one is the memory, and what was claimed
    beside it is a lock.
    """
    calls = handler_calls(case, handler)
    asked = {_key_text(call) for call in calls if _method_of(call) in ("exists", "get")}
    looked_up = []
    for call in calls:
        if _method_of(call) not in ("set", "setex") or call in claims:
            continue
        if _key_text(call) in asked:
            looked_up.append(call)
    return looked_up


def _method_of(call: Call) -> str:
    """`setex` of `redis.setex(...)`."""
    return call.name.rpartition(".")[2]


def _key_text(call: Call) -> str:
    """The first argument as it is written."""
    if not call.node.args:
        return ""
    return ast.unparse(call.node.args[0])


def _sets_if_absent(case: JobCase, call: Call) -> bool:
    """Whether a call claims a key, if nobody has it yet."""
    method = _method_of(call)
    if method == "set":
        return case.project.literal(call.keywords.get("nx"), call.module) is True
    if method == "add":
        return "cache" in f"{call.name} {call.origin}".lower()
    return method == "setnx"


def _judge_time_kept(
    case: JobCase, spec: JobSpec, idempotency: Idempotency, call: Call
) -> Iterator[Finding]:
    """An error where a key is kept for less than the job may be tried again, or than the spec
    promises; a note where that cannot be read.
    """
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
    """The seconds that a call keeps its key, infinity where it names none, None where they cannot
    be read.
    """
    method = _method_of(call)
    if method == "setnx":
        return float("inf")
    literal = case.project.literal
    if method == "add":
        written = call.argument(2, "timeout")
    else:
        written = call.argument(2, "ex")
    value = literal(written, call.module)
    if method == "set" and written is None:
        milliseconds = call.keywords.get("px")
        # `exat` and `pxat` are moments; None stands for `**options`, which may hold any of them.
        others = {"exat", "pxat", None} & {keyword.arg for keyword in call.node.keywords}
        if milliseconds is None and not others:
            return float("inf")
        value = literal(milliseconds, call.module)
        if isinstance(value, int | float):
            value = value / 1000
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def window_findings(case: JobCase, spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    """An error for each window, the job's own or a receiver's, that ends before the last retry may
    come; a note with the numbers for each that outlasts it.
    """
    windows = list(_list_windows(spec, idempotency))
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
    unread = ""
    if policy is not None and _is_horizon_unread(policy.unknown):
        unread = " (by the spec: the code's was not read)"
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


def _is_horizon_unread(unknown: Iterable[str]) -> bool:
    """Whether something is not known of the code on which the time of the last retry depends."""
    parts = ("max_attempts", "backoff", "visibility_timeout")
    return any(name.startswith(parts) for name in unknown)


def _list_windows(
    spec: JobSpec, idempotency: Idempotency
) -> Iterator[tuple[str, float, int | None]]:
    """(its name, its seconds, its line in the spec) for each window that the spec names."""
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


def _place_in_spec(spec: JobSpec) -> dict[str, Any]:
    return {"path": spec.shown_path, "line": spec.line("idempotency", "dedupe")}
