"""Where a job's work is remembered: the tables and keys that its code writes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.calls import Call, Handler
    from skillrun.repo.python import Definition

_SQL_WRITE = re.compile(
    r"\b(insert(?:\s+or\s+\w+)?(?:\s+ignore)?\s+into|replace\s+into|merge\s+into|update|delete\s+from)"
    r"\s+[\"`\[]?([A-Za-z_][\w.]*)",
    re.IGNORECASE,
)
_SQL_CAUGHT = re.compile(
    r"\bon\s+conflict\b|\bon\s+duplicate\s+key\b|\binsert\s+(?:or\s+)?ignore\b", re.IGNORECASE
)
# `on conflict (...) do update set`, `for update skip locked`, and prose such as "update the".
_NO_TABLE = frozenset(
    {"set", "skip", "nowait", "the", "a", "of", "for", "on", "it", "this", "all", "from", "to"}
)
_MODEL_WRITE = re.compile(
    r"(?:^|\.)(?P<model>[A-Z]\w*)\.(?:_default_manager|objects|query)\b.*"
    r"\.a?(?P<verb>get_or_create|update_or_create|bulk_create|create|update|delete)$"
)
_ONCE = frozenset({"get_or_create", "update_or_create"})
_BUILDERS = frozenset({"insert", "update", "delete"})
_ADDS = frozenset({"add", "merge"})
# A record for people: "table audit_log", "model AuditEntry", "model MailLog".
_LOG = re.compile(r"(?i:audit)|(?:_|\b)logs?$|[a-z]Log$")

# "table failed_jobs", "model DeadLetter", "table deadletters"; neither "deadlines" nor "Failover".
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_WORK = r"(?:job|task|message|event|letter|delivery|deliverie|item)"
_DEAD = re.compile(
    rf"(?:dead|fail(?:s|ed|ing|ures?)?|buried|quarantined?|poison(?:ed)?|rejected)(?:{_WORK}s?)?"
)
# A car is parked as well.
_PARKED = re.compile(rf"parked(?: {_WORK}s?)?$|parked{_WORK}s?$")


@dataclass(frozen=True)
class Memory:
    """A table or a key that the job writes. `is_once`: writing it a second time is noticed."""

    what: str  # e.g. "table receipts", "model Receipt"
    place: Place
    is_once: bool


def is_dead_letter(name: str) -> bool:
    """Whether a table's name says that what is given up lies there."""
    words = [word.lower() for word in _WORD.findall(name)]
    if any(_DEAD.fullmatch(word) for word in words):
        return True
    return _PARKED.search(" ".join(words)) is not None


def find_memories(bodies: Iterable[Definition], calls: Iterable[Call]) -> tuple[Memory, ...]:
    """What the job writes, first that which a second delivery would find."""
    calls = tuple(calls)
    found: dict[str, Memory] = {}
    for memory in [*_read_statements(bodies), *_read_models(calls)]:
        # What has failed, or is only told, keeps no second delivery from doing the work again.
        if is_dead_letter(memory.what) or _LOG.search(memory.what):
            memory = replace(memory, is_once=False)
        known = found.get(memory.what)
        if known is None or (memory.is_once and not known.is_once):
            found[memory.what] = memory
    return tuple(sorted(found.values(), key=lambda one: not one.is_once))


def _read_statements(bodies: Iterable[Definition]) -> Iterator[Memory]:
    for body in bodies:
        docstring = ast.get_docstring(body.node, clean=False)
        for node in find_nodes(body.node, ast.Constant):
            if not isinstance(node.value, str):
                continue
            if node.value == docstring:
                continue
            is_once = _SQL_CAUGHT.search(node.value) is not None
            for written in _SQL_WRITE.finditer(node.value):
                if written[2].lower() not in _NO_TABLE:
                    place = Place(body.path, node.lineno, body.module.line_text(node.lineno))
                    is_new = written[1].lower().startswith(("insert", "replace", "merge"))
                    yield Memory(f"table {written[2]}", place, is_once and is_new)


def _read_models(calls: tuple[Call, ...]) -> Iterator[Memory]:
    for call in calls:
        for memory in _read_model_call(call):
            is_once = memory.is_once and not _is_after_error(call, calls)
            yield replace(memory, is_once=is_once)


def _is_after_error(call: Call, calls: tuple[Call, ...]) -> bool:
    """Whether it runs in an `except` clause, or in a function that is called in one; of an error
    that tells a repetition, `IntegrityError`, the clause is the work's own.
    """
    clauses = [call.in_except]
    for other in calls:
        if {other.name, other.origin} & set(call.via):
            clauses.append(other.in_except)
    return any(clause is not None and not _tells_repetition(clause) for clause in clauses)


def _tells_repetition(clause: Handler) -> bool:
    return any(name.endswith("IntegrityError") for name in clause.exceptions)


def _read_model_call(call: Call) -> Iterator[Memory]:
    """The rows and keys that one call writes."""
    place = Place(call.path, call.line, call.text)
    written = _MODEL_WRITE.search(call.name.replace("()", ""))
    if written is not None:
        yield Memory(f"model {written['model']}", place, written["verb"] in _ONCE)
    added = _find_added(call)
    if added is not None:
        yield Memory(f"model {added}", place, _is_noticed(call))
    built = _find_built(call)
    if built is not None:
        yield Memory(f"model {built}", place, "on_conflict" in _read_whole(call))
    if _saves_row(call):
        yield Memory(f"row {ast.unparse(call.node.func).rpartition('.')[0]}", place, False)
    if _sets_once(call):
        yield Memory("a key in Redis", place, True)


def _find_added(call: Call) -> str | None:
    """`session.add(Receipt(...))`."""
    first = call.node.args[0] if len(call.node.args) == 1 else None
    if call.name.rpartition(".")[2] not in _ADDS or not isinstance(first, ast.Call):
        return None
    name = ast.unparse(first.func).rpartition(".")[2]
    return name if name[:1].isupper() else None


def _is_noticed(call: Call) -> bool:
    """`merge`, or an `add` whose second row is caught."""
    caught = {name.rpartition(".")[2] for clause in call.in_try for name in clause.exceptions}
    return call.name.endswith(".merge") or "IntegrityError" in caught


def _find_built(call: Call) -> str | None:
    """`insert(Receipt)`, `update(Receipt)` of SQLAlchemy."""
    is_built = call.origin.startswith("sqlalchemy") and last_word(call.node.func) in _BUILDERS
    first = call.node.args[0] if call.node.args else None
    return ast.unparse(first).rpartition(".")[2] if is_built and first is not None else None


def _read_whole(call: Call) -> str:
    """The expression around a call: `insert(Receipt).values(...).on_conflict_do_nothing()`."""
    whole: ast.AST = call.node
    for above in call.module.parents(call.node):
        if not isinstance(above, ast.expr):
            break
        whole = above
    return ast.unparse(whole)


def _saves_row(call: Call) -> bool:
    """`notice.save()`: whose row it is, its class may say elsewhere."""
    owner = getattr(call.node.func, "value", None)
    is_save = last_word(call.node.func) in ("save", "asave")
    return is_save and isinstance(owner, ast.Name) and owner.id not in ("self", "super")


def _sets_once(call: Call) -> bool:
    """`redis.set(key, 1, nx=True)`, `cache.add(key, 1)`, `redis.setnx(key, 1)`."""
    nx = call.keywords.get("nx")
    if call.name.endswith(".setnx") or call.name.endswith("cache.add"):
        return True
    is_set = call.name.endswith(".set")
    return is_set and isinstance(nx, ast.Constant) and nx.value is True
