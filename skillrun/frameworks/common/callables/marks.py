"""Rules about rows that say what is still to do: read without a lock, marked too early, too late,
or after a failure.

Seen are SQL texts and Django or SQLAlchemy calls with telling names (sent, processed_at, status =
'done'). Order is judged only between calls of one function.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.callables.callers import reach_of
from skillrun.frameworks.common.callables.commands import starts_of
from skillrun.frameworks.common.facts import (
    call_place,
    calls_of,
    effect_calls,
    is_atomic,
    spec_name,
    tell,
)
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Call, Handler, Module
from skillrun.repo.syntax import find_nodes, name_method

# The words that are looked for, each with an example of what it matches: "sent_at", "is_done".
_DONE_WORD = r"(?:sent|processed|done|delivered|completed|published|handled|notified|finished|emailed|dispatched)"
_DONE = re.compile(rf"\b(?:is_|was_)?{_DONE_WORD}(?:_at|_on|_flag)?\b", re.IGNORECASE)
# "UPDATE mail SET sent_at = now()", "UPDATE mail SET status = 'sent'"; not "SET sent = FALSE".
_SQL_MARK = re.compile(
    rf"\bUPDATE\s+[\"`\w.]+\s+SET\b.*?(?:{_DONE.pattern}\s*=\s*(?!0\b|FALSE\b|NULL\b)\S"
    rf"|\b(?:status|state)\s*=\s*'{_DONE_WORD}')",
    re.IGNORECASE | re.DOTALL,
)
_OPEN_WORD = r"(?:new|pending|queued|unsent|ready|waiting|todo|unprocessed|open)"
# "SELECT id FROM mail WHERE sent_at IS NULL", "... WHERE NOT sent", "... WHERE status = 'new'".
_SQL_OPEN = re.compile(
    rf"\bSELECT\b.*\bWHERE\b.*(?:{_DONE.pattern}\s*(?:=\s*(?:0|FALSE)\b|IS\s+(?:NULL|FALSE|NOT\s+TRUE)\b)"
    rf"|\bNOT\s+{_DONE.pattern}|\b(?:status|state)\s*=\s*'{_OPEN_WORD}')",
    re.IGNORECASE | re.DOTALL,
)
_LOCKS = re.compile(
    r"FOR\s+(?:NO\s+KEY\s+)?UPDATE|advisory|LOCK\s+TABLE|BEGIN\s+(?:IMMEDIATE|EXCLUSIVE)|UPDLOCK|RETURNING|SERIALIZABLE",
    re.IGNORECASE,
)
# No word that only ends so: clock, block.
_NAMED_LOCK = re.compile(r"(?<![bc])lock|semaphore|for_update", re.IGNORECASE)
# "UPDATE mail SET locked_by = 'worker-1'": whoever changed the row has it.
_CLAIMS = re.compile(
    r"claim|lease|locked|processing|in_progress|running|picked|worker", re.IGNORECASE
)
# Methods whose first argument is SQL.
_EXECUTE = (
    "execute",
    "executemany",
    "fetch",
    "fetchall",
    "fetchrow",
    "fetchone",
    "text",
    "scalars",
    "raw",
)


# Lines between an assignment and the `save()` that is for it, at most.
_NEAR_LINES = 3


@dataclass(frozen=True)
class Mark:
    """A call that writes "done" for a row; `settled`: the line that commits it, None where that is
    not seen.
    """

    call: Call
    settled: int | None


@rule(
    "unlocked-poll",
    stage="idempotency",
    source="makeplane/plane#9609: a poller reads unprocessed rows without a lock, duplicate mails",
)
def unlocked_poll(job: Job) -> Iterator[Finding]:
    """Two runs at once both read the same unprocessed rows, and both do the work.

    Rows that are still to do are read without a lock or claim, and worked on.
    """
    calls = calls_of(job)
    reading = _find_open_reading(job, calls)
    effects = effect_calls(job)
    if reading is None or not effects or _may_be_locked(job, calls):
        return
    severity = Severity.NOTE
    is_repeatable = all(
        effect.guarantee in ("keyed", "transactional") for effect in job.spec.effects or ()
    )
    # cron starts a second run while the first goes on; a scheduler in a process need not.
    if job.use.id == "plain-cron" and not is_repeatable:
        severity = Severity.WARNING
    message = (
        "rows that are still to do are read without a lock: two runs at once both work on them"
    )
    hint = (
        "SELECT ... FOR UPDATE SKIP LOCKED inside the transaction, a claim by UPDATE, or a lock"
        " around the run"
    )
    yield tell(job, "unlocked-poll", severity, call_place(reading), message, hint)


def _find_open_reading(job: Job, calls: tuple[Call, ...]) -> Call | None:
    """The first call that reads the rows that are still to do."""
    for call in calls:
        if _reads_open(job, call):
            return call
    return None


def _reads_open(job: Job, call: Call) -> bool:
    """Whether a call reads the rows that are still to do, by SQL or as `filter(sent=False)`."""
    sql = _read_sql(job, call)
    if sql:
        return _SQL_OPEN.search(sql) is not None
    if name_method(call.node) not in ("filter", "filter_by", "get", "all"):
        return False
    return any(_is_open(job, call, name, value) for name, value in call.keywords.items())


def _is_open(job: Job, call: Call, name: str, node: ast.expr) -> bool:
    """`sent_at__isnull=True`, `status="new"`, `sent=False`."""
    value = job.project.literal(node, call.module)
    if name.endswith("__isnull"):
        return value is True and _DONE.fullmatch(name.removesuffix("__isnull")) is not None
    if name in ("status", "state"):
        return isinstance(value, str) and re.fullmatch(_OPEN_WORD, value, re.IGNORECASE) is not None
    return (value is False or value is None) and _DONE.fullmatch(name) is not None


def _may_be_locked(job: Job, calls: tuple[Call, ...]) -> bool:
    """Whether something may keep a second run out: a lock by any name, a claim, an isolation level,
    flock in the crontab.
    """
    reach = reach_of(job.project, job.handler)
    callers: list[Call] = []
    for function in reach.functions[1:]:
        callers += job.project.calls(function, depth=1)
    if any(_keeps_others_out(job, call) for call in (*calls, *callers)):
        return True
    for function in reach.functions:
        if any("lock" in ast.unparse(node).lower() for node in function.decorators):
            return True
    starts = starts_of(job.project, reach)
    return bool(starts) and all(start.locked for start in starts)


def _keeps_others_out(job: Job, call: Call) -> bool:
    """Whether a call is a lock by its name, or a claim by its SQL or its arguments."""
    sql = _read_sql(job, call)
    names = " ".join((call.origin, call.name, *call.in_with, sql, *call.keywords))
    if _NAMED_LOCK.search(names):
        return True
    texts = []
    for node in find_nodes(call.node, ast.Constant):
        if isinstance(node.value, str):
            texts.append(node.value)
    if _LOCKS.search(" ".join((names, *texts))):
        return True
    if re.search(r"\bUPDATE\b", sql, re.IGNORECASE) and _CLAIMS.search(sql):
        return True
    if call.name.rpartition(".")[2] != "update":
        return False
    return any(_CLAIMS.search(ast.unparse(value)) for value in call.keywords.values())


@rule(
    "marked-before-effect",
    stage="retry",
    source="makeplane/plane#9609: the fix for duplicates lost what crashed after the mark",
)
def marked_before_effect(job: Job) -> Iterator[Finding]:
    """A row that is marked as done before the effect is lost when the process dies between the two.

    The mark is committed, and only then the effect is tried.
    """
    marks = _find_marks(job)
    for effect in _list_undeferred(effect_calls(job)):
        # A mark after it may be the real one, and a clause may take the first one back.
        if effect.in_try or _is_marked_after(marks, effect):
            continue
        for mark in marks:
            if not _same_place(mark.call, effect):
                continue
            if not mark.settled or mark.settled >= effect.line:
                continue
            message = (
                f"the row is marked as done before {effect.name}: what dies or fails between them"
                " is never done"
            )
            hint = "mark it after the effect, with a key that makes a second try harmless"
            place = call_place(mark.call)
            yield tell(job, "marked-before-effect", Severity.WARNING, place, message, hint)
            return


def _is_marked_after(marks: list[Mark], effect: Call) -> bool:
    """Whether a mark stands below an effect, in the same function."""
    function = _function_around(effect)
    below = [mark.call for mark in marks if mark.call.line > effect.line]
    return any(_function_around(call) is function for call in below)


@rule(
    "marked-after-batch",
    stage="idempotency",
    source=(
        "hypothesis/lms#5346, LaunchNotes post-mortem of Sidekiq batches: the whole batch was"
        " sent again"
    ),
)
def marked_after_batch(job: Job) -> Iterator[Finding]:
    """Marks that are written after the whole batch repeat all of it when the process dies, or one
    item fails.

    The effects run in a loop, and what says that they are done is written or committed after the
    loop only.
    """
    for effect in _list_undeferred(effect_calls(job)):
        loop = _find_loop_around(effect)
        if loop is None:
            continue
        late = _find_late(job, effect, loop)
        if late is None:
            continue
        what, call = late
        message = (
            f"{effect.name} runs for each item, and the items are {what} after the loop: a"
            " failure repeats them all"
        )
        hint = "mark and commit each item after its effect"
        place = call_place(call)
        yield tell(job, "marked-after-batch", Severity.WARNING, place, message, hint)
        return


def _find_late(job: Job, effect: Call, loop: ast.stmt) -> tuple[str, Call] | None:
    """("marked", call) where the marks are written after the loop, ("committed", call) where what
    was written in the loop is committed after it; None where each item is settled by itself.
    """
    function = _function_around(effect)
    inside: list[Mark] = []
    outside: list[Mark] = []
    for mark in _find_marks(job):
        if _function_around(mark.call) is function:
            if _find_loop_around(mark.call) is loop:
                inside.append(mark)
            else:
                outside.append(mark)
    if inside:
        commits = _list_commits(job, effect)
        if any(mark.settled for mark in inside) or not _only_after(commits, loop):
            return None
        return "committed", commits[-1]
    if outside and all(mark.call.line > (loop.end_lineno or 0) for mark in outside):
        return "marked", outside[-1].call
    return None


@rule(
    "failed-marked-done",
    stage="retry",
    source="stock-screener#49: the error was caught and the job counted as a success",
)
def failed_marked_done(job: Job) -> Iterator[Finding]:
    """A clause that swallows the failure, before a mark that says done, loses the item: the next
    tick skips it.

    `try: send() except Exception: log()` and then the mark: what failed counts as done.
    """
    for effect in _list_undeferred(effect_calls(job)):
        tried = _find_try_around(effect)
        if tried is None or not _goes_on_after_failure(job, effect, tried):
            continue
        for mark in _find_marks(job):
            if not _follows_try(mark.call, tried):
                continue
            message = (
                f"{effect.name} may have failed, the clause above goes on, and the row is"
                " marked as done"
            )
            hint = "leave the row as it is (continue), count the attempt, or record a dead letter"
            place = call_place(mark.call)
            yield tell(job, "failed-marked-done", Severity.ERROR, place, message, hint)
            return


def _find_try_around(effect: Call) -> ast.Try | None:
    """The nearest `try` of its function that has the effect in its body."""
    for above in effect.module.parents(effect.node):
        if isinstance(above, ast.FunctionDef):
            return None
        if isinstance(above, ast.Try):
            if any(effect.node in ast.walk(step) for step in above.body):
                return above
            return None
    return None


def _goes_on_after_failure(job: Job, effect: Call, tried: ast.Try) -> bool:
    """Whether the first clause that takes a transient error goes on below the `try`."""
    for clause in effect.in_try:
        if clause.node in tried.handlers and _catches_transient(job, clause):
            return _goes_on(job, clause)
    return False


def _catches_transient(job: Job, clause: Handler) -> bool:
    """Whether a clause takes everything, or an error that the spec calls transient."""
    if clause.broad:
        return True
    if not job.spec.failures:
        return False
    transient = {spec_name(job, error.type) for error in job.spec.failures.transient}
    return not transient.isdisjoint(clause.exceptions)


def _goes_on(job: Job, clause: Handler) -> bool:
    """Whether a clause neither leaves the turn nor remembers anything of the failure."""
    if clause.reraises or clause.returns:
        return False
    for node in ast.walk(clause.node):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.Continue | ast.Break):
            return False
    return first_record(job.project, clause.node.body, clause.module) is None


def _follows_try(call: Call, tried: ast.Try) -> bool:
    """Whether a call stands after the `try`, in the same block, unconditionally."""
    after = _list_statements_after(call.module, tried)
    # `if failed:` may look at what the clause has kept.
    if after and isinstance(after[0], ast.If):
        return False
    return any(isinstance(step, ast.Expr) and step.value is call.node for step in after)


def _list_statements_after(module: Module, tried: ast.Try) -> list[ast.stmt]:
    """The statements after a `try` in its own block."""
    parent = next(module.parents(tried), None)
    for name in ("body", "orelse", "finalbody"):
        block: list[ast.stmt] = getattr(parent, name, [])
        if tried in block:
            return block[block.index(tried) + 1 :]
    return []


def _find_marks(job: Job) -> list[Mark]:
    """The calls on the handler's way that write "done"."""
    marks = []
    for call in calls_of(job):
        mark = _read_mark(job, call)
        if mark is not None:
            marks.append(mark)
    return marks


def _read_mark(job: Job, call: Call) -> Mark | None:
    """The mark that a call writes: by SQL, `update(sent=True)`, or `save()` after `row.sent =
    True`.
    """
    if _SQL_MARK.search(_read_sql(job, call)):
        return Mark(call, _find_commit_after(job, call))
    method = name_method(call.node)
    if method == "update" and any(_is_done(job, call, n, v) for n, v in call.keywords.items()):
        # Another library's `update` waits for a commit that is not looked for.
        is_django = ".objects." in call.name
    elif method == "save" and _is_assigned_before(call):
        is_django = True
    else:
        return None
    # Django commits each query by itself, unless a transaction is open.
    if is_django and not _is_in_transaction(job, call):
        return Mark(call, call.line)
    return Mark(call, None)


def _find_commit_after(job: Job, call: Call) -> int | None:
    """The line of the first commit below a call, in its own place."""
    lines = []
    for commit in _list_commits(job, call):
        if _same_place(commit, call) and commit.line > call.line:
            lines.append(commit.line)
    return min(lines, default=None)


def _is_in_transaction(job: Job, call: Call) -> bool:
    """Whether a call stands in a `with` that opens a transaction."""
    for name in call.in_with:
        is_said = "begin" in name or "transaction" in name
        if is_said or is_atomic(job.project, name):
            return True
    return False


def _is_done(job: Job, call: Call, name: str, node: ast.expr) -> bool:
    """`status="sent"`, `sent=True`, `sent_at=now()`; not `sent=False`."""
    value = job.project.literal(node, call.module)
    if name in ("status", "state"):
        return isinstance(value, str) and re.fullmatch(_DONE_WORD, value, re.IGNORECASE) is not None
    return _DONE.fullmatch(name) is not None and value is not False and value is not None


def _is_assigned_before(save: Call) -> bool:
    """`row.sent = True` at most three lines above `row.save()`."""
    function = _function_around(save)
    if function is None or not isinstance(save.node.func, ast.Attribute):
        return False
    row = ast.unparse(save.node.func.value)
    for node in find_nodes(function, ast.Assign):
        target = node.targets[0]
        if not isinstance(target, ast.Attribute) or not _DONE.fullmatch(target.attr):
            continue
        is_above = 0 < save.line - node.lineno <= _NEAR_LINES
        # `row.sent_at = None` says that it is still to do.
        is_cleared = isinstance(node.value, ast.Constant) and not node.value.value
        if is_above and not is_cleared and ast.unparse(target.value) == row:
            return True
    return False


def _list_commits(job: Job, near: Call) -> list[Call]:
    """The `.commit()` calls of the same function, in order."""
    found = []
    for call in calls_of(job):
        if call.name.endswith(".commit") and _function_around(call) is _function_around(near):
            found.append(call)
    return found


def _only_after(commits: list[Call], loop: ast.stmt) -> bool:
    """Whether there are commits, and all stand below a loop."""
    end = loop.end_lineno or 0
    return bool(commits) and all(commit.line > end for commit in commits)


def _read_sql(job: Job, call: Call) -> str:
    """The SQL that a call is given, `cursor.execute("...")` or `text("...")`; "" of any other."""
    function = call.node.func
    name = getattr(function, "id", "")
    if isinstance(function, ast.Attribute):
        name = function.attr
    if name not in _EXECUTE or not call.node.args:
        return ""
    sql = job.project.literal(call.node.args[0], call.module)
    if not isinstance(sql, str):
        return ""
    return sql


def _list_undeferred(calls: tuple[Call, ...]) -> Iterator[Call]:
    """The calls that are made where they stand; a deferred one is handed on, to be made later."""
    for call in calls:
        if not call.deferred:
            yield call


def _function_around(call: Call) -> ast.AST | None:
    """The function that a call stands in; None at a module's top level."""
    return call.module.function_of(call.node)


def _find_loop_around(call: Call) -> ast.For | ast.AsyncFor | None:
    """The `for` around a call, within its function."""
    for above in call.module.parents(call.node):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        if isinstance(above, ast.For | ast.AsyncFor):
            return above
    return None


def _same_place(one: Call, other: Call) -> bool:
    """Whether two calls stand in the same function, and in the same loop of it or in none."""
    if _function_around(one) is not _function_around(other):
        return False
    return _find_loop_around(one) is _find_loop_around(other)
