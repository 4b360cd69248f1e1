"""Rules about two deliveries at once: checks that another delivery passes too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import (
    atomic_function,
    call_place,
    calls_of,
    is_atomic,
    tell,
)
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Call, Definition

_TABLE = r"[\"'`\[]?(?:\w+[\"'`\]]?\.[\"'`\[]?)?(\w+)"
_SELECT = re.compile(r"\bSELECT\b.*\bFROM\s+" + _TABLE, re.IGNORECASE | re.DOTALL)
_INSERT = re.compile(r"\bINSERT\s+INTO\s+" + _TABLE, re.IGNORECASE)
_SAFE_INSERT = re.compile(
    r"\bON\s+CONFLICT\b|\bON\s+DUPLICATE\s+KEY\b|\bINSERT\s+(OR\s+\w+|IGNORE)\b", re.IGNORECASE
)
_FOR_UPDATE = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?UPDATE\b", re.IGNORECASE)
_SERIAL_KEY = re.compile(
    r"\bid\s+\w+\b[^,]*\bprimary\s+key|\bserial\b|\bauto_?increment\b", re.IGNORECASE
)


@rule(
    "check-then-act",
    stage="idempotency",
    source=(
        "hermes-agent#57832, cetmix-tower#299, celery/celery#87 (get, then set), rq/rq#2193"
        " (one job in two workers)"
    ),
)
def check_then_act(job: Job) -> Iterator[Finding]:
    """Two runs at once both look before either writes; only a unique key or one atomic step keeps
    one out.
    """
    calls = calls_of(job)
    yield from _cache_get_then_set(job, calls)
    yield from _select_then_insert(job, calls)
    yield from _query_then_create(job, calls)


def _cache_get_then_set(job: Job, calls: tuple[Call, ...]) -> Iterator[Finding]:
    looked: dict[tuple[str, str], Call] = {}
    taken: set[tuple[str, str]] = set()
    for call in calls:
        owner, _, word = call.origin.rpartition(".")
        if "cache" not in owner.lower() and "redis" not in owner.lower():
            continue
        key = (owner, ast.unparse(call.node.args[0]) if call.node.args else "")
        if _takes_key(call, word):
            taken.add(key)
        elif key in taken:
            # Whoever comes here has the key: nobody else looks and writes.
            continue
        elif word in ("get", "exists", "has_key") and _decides_branch(call):
            looked[key] = call
        elif (
            word in ("set", "setex")
            and key in looked
            and "nx" not in call.keywords
            and _writes_mark(call)
        ):
            message = (
                f"{word} follows {looked[key].origin.rpartition('.')[2]} of the"
                " same key: two deliveries both find it missing"
            )
            hint = "cache.add(key, ...) or set(..., nx=True) looks and writes in one step"
            yield tell(job, "check-then-act", Severity.WARNING, call_place(call), message, hint)


def _takes_key(call: Call, word: str) -> bool:
    """`if not redis.set(key, token, nx=True, px=...)`: one of two deliveries gets the key, the
    other is turned away.
    """
    alone = word in ("add", "setnx") or (word == "set" and "nx" in call.keywords)
    return alone and _decides_branch(call)


def _decides_branch(call: Call) -> bool:
    """It stands in the condition of an `if`: what was found decides what is done."""
    below: ast.AST = call.node
    for above in call.module.parents(call.node):
        if isinstance(above, ast.If):
            return below is above.test
        if isinstance(above, ast.stmt):
            return False
        below = above
    return False


def _writes_mark(call: Call) -> bool:
    """What is written is a mere mark; a computed value fills a cache, and may be written twice."""
    value = call.argument(1, "value")
    return isinstance(value, ast.Constant)


def _select_then_insert(job: Job, calls: tuple[Call, ...]) -> Iterator[Finding]:
    looked: set[str] = set()
    for call in calls:
        sql = _read_sql(job, call)
        insert = _INSERT.search(sql)
        if insert and insert[1].lower() in looked and not _SAFE_INSERT.search(sql):
            if _table_unique(job, insert[1]) is False:
                message = (
                    f"INSERT INTO {insert[1]} after a SELECT from it, and the table has no UNIQUE"
                    " key: two deliveries at once both find nothing and both insert"
                )
                hint = (
                    "a UNIQUE key over the idempotency key, and INSERT ... ON CONFLICT DO NOTHING"
                )
                yield tell(job, "check-then-act", Severity.WARNING, call_place(call), message, hint)
        elif select := _SELECT.search(sql):
            looked.add(select[1].lower())


def _read_sql(job: Job, call: Call) -> str:
    if call.origin.rpartition(".")[2] not in (
        "execute",
        "executemany",
        "fetchone",
        "fetchall",
        "fetchval",
        "text",
    ):
        return ""
    value = None
    if call.node.args:
        value = job.project.literal(call.node.args[0], call.module)
    if not isinstance(value, str):
        return ""
    return value


def _table_unique(job: Job, table: str) -> bool | None:
    """The repository's schema gives the table a key besides a running number; None where no schema
    is found.
    """
    created = re.compile(
        rf"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_match_table(table)}\s*\((.*?)\)\s*(?:;|$|\"|')",
        _FLAGS,
    )
    index = re.compile(rf"CREATE\s+UNIQUE\s+INDEX\b[^;]*?\bON\s+{_match_table(table)}", _FLAGS)
    found: bool | None = None
    for suffix in (".sql", ".py"):
        for path in job.project.tree.search(table, suffix):
            text = (job.project.tree.read(path) or b"").decode("utf-8", "replace")
            if index.search(text):
                return True
            for match in created.finditer(text):
                found = found or _has_key(match[1])
    return found


_FLAGS = re.IGNORECASE | re.DOTALL


def _match_table(table: str) -> str:
    return rf"[\"'`\[]?(?:\w+[\"'`\]]?\.[\"'`\[]?)?{re.escape(table)}[\"'`\]]?"


def _has_key(columns: str) -> bool:
    lowered = columns.lower()
    return "unique" in lowered or ("primary key" in lowered and not _SERIAL_KEY.search(columns))


def _query_then_create(job: Job, calls: tuple[Call, ...]) -> Iterator[Finding]:
    """`Model.objects.filter(...).exists()` and then `.create(...)`; also get_or_create, which is
    both.
    """
    looked: set[str] = set()
    for call in calls:
        written, _, rest = call.name.partition(".objects.")
        model = job.project.origin(written)
        if not rest:
            continue
        word = rest.rpartition(".")[2]
        if word in ("get_or_create", "update_or_create") or (word == "create" and model in looked):
            found = job.project.definition(model)
            if found is not None and not _model_unique(job, found) and not _in_lock(job, call):
                message = (
                    f"{word} on {found.name} after looking, and the model has no"
                    " unique field: two deliveries both create"
                )
                hint = (
                    "unique=True or a UniqueConstraint over the idempotency key; catch"
                    " IntegrityError"
                )
                yield tell(job, "check-then-act", Severity.WARNING, call_place(call), message, hint)
        elif word in ("exists", "get", "first", "count"):
            looked.add(model)


def _model_unique(job: Job, model: Definition) -> bool:
    words = {"unique", "unique_together", "UniqueConstraint", "primary_key", "OneToOneField"}
    for name in job.project.ancestors(model.dotted):
        found = job.project.definition(name)
        nodes = ast.walk(found.node) if found else ()
        if any(_read_word(node) in words for node in nodes):
            return True
    return False


def _read_word(node: ast.AST) -> str:
    if isinstance(node, ast.keyword):
        return node.arg or ""
    if isinstance(node, ast.Attribute):
        return node.attr
    if not isinstance(node, ast.Name):
        return ""
    return node.id


def _in_lock(job: Job, call: Call) -> bool:
    return any("lock" in name.lower() for name in call.in_with)


@rule(
    "select-for-update-outside-transaction",
    stage="idempotency",
    source="DhananjayThomble/URL-Shortener-App#282",
)
def select_for_update_outside_transaction(job: Job) -> Iterator[Finding]:
    """A row lock ends with its transaction: outside of one it protects nothing."""
    for call in calls_of(job):
        word = ""
        if isinstance(call.node.func, ast.Attribute):
            word = call.node.func.attr
        raw = _FOR_UPDATE.search(_read_sql(job, call)) and call.origin.startswith(
            "django.db.connection"
        )
        if (word != "select_for_update" and not raw) or _in_transaction(job, call):
            continue
        what = "FOR UPDATE"
        if word == "select_for_update":
            what = "select_for_update()"
        message = f"{what} outside transaction.atomic(): the lock does not outlive the statement"
        certain = word == "select_for_update" and not call.via and len(job.handler.decorators) == 1
        if certain:
            severity = Severity.ERROR
        else:
            severity = Severity.WARNING
        yield tell(
            job,
            "select-for-update-outside-transaction",
            severity,
            call_place(call),
            message,
            "wrap both in transaction.atomic()",
        )


def _in_transaction(job: Job, call: Call) -> bool:
    if any(is_atomic(job.project, name) or name.endswith(".atomic") for name in call.in_with):
        return True
    functions = [found for name in call.via if (found := job.project.definition(name))]
    around = [*functions, *job.project.callables(job.handler)]
    inside = []
    for part in around:
        if isinstance(part.node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside.append(part)
    return any(atomic_function(job.project, part.module, part.node.body[0]) for part in inside)
