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
from skillrun.repo.python import Call, Handler
from skillrun.repo.syntax import find_nodes

_DONE_WORD = r"(?:sent|processed|done|delivered|completed|published|handled|notified|finished|emailed|dispatched)"
_DONE = re.compile(rf"\b(?:is_|was_)?{_DONE_WORD}(?:_at|_on|_flag)?\b", re.IGNORECASE)
_SQL_MARK = re.compile(
    rf"\bUPDATE\s+[\"`\w.]+\s+SET\b.*?(?:{_DONE.pattern}\s*=\s*(?!0\b|FALSE\b|NULL\b)\S"
    rf"|\b(?:status|state)\s*=\s*'{_DONE_WORD}')",
    re.IGNORECASE | re.DOTALL,
)
_OPEN_WORD = r"(?:new|pending|queued|unsent|ready|waiting|todo|unprocessed|open)"
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
_CLAIMS = re.compile(
    r"claim|lease|locked|processing|in_progress|running|picked|worker", re.IGNORECASE
)
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
    opened = next((call for call in calls if _reads_open(job, call)), None)
    effect = next(iter(effect_calls(job)), None)
    if opened is None or effect is None or _may_be_locked(job, calls):
        return
    keyed = all(one.guarantee in ("keyed", "transactional") for one in job.spec.effects or ())
    if keyed or job.use.id != "plain-cron":
        severity = Severity.NOTE
    else:
        severity = Severity.WARNING
    message = (
        "rows that are still to do are read without a lock: two runs at once both work on them"
    )
    hint = (
        "SELECT ... FOR UPDATE SKIP LOCKED inside the transaction, a claim by UPDATE, or a lock"
        " around the run"
    )
    yield tell(job, "unlocked-poll", severity, call_place(opened), message, hint)


def _reads_open(job: Job, call: Call) -> bool:
    sql = _read_sql(job, call)
    if sql:
        return _SQL_OPEN.search(sql) is not None
    word = call.node.func.attr if isinstance(call.node.func, ast.Attribute) else ""
    return word in ("filter", "filter_by", "get", "all") and any(
        _is_open(job, call, name, value) for name, value in call.keywords.items()
    )


def _is_open(job: Job, call: Call, name: str, node: ast.expr) -> bool:
    value = job.project.literal(node, call.module)
    if name.endswith("__isnull"):
        return value is True and _DONE.fullmatch(name.removesuffix("__isnull")) is not None
    if name in ("status", "state"):
        return isinstance(value, str) and re.fullmatch(_OPEN_WORD, value, re.IGNORECASE) is not None
    return (value is False or value is None) and _DONE.fullmatch(name) is not None


def _may_be_locked(job: Job, calls: tuple[Call, ...]) -> bool:
    """Something may keep a second run out: a lock by any name, a claim, an isolation level, flock
    in the crontab.
    """
    reach = reach_of(job.project, job.handler)
    callers = [
        call for function in reach.functions[1:] for call in job.project.calls(function, depth=1)
    ]
    for call in (*calls, *callers):
        words = " ".join(
            (call.origin, call.name, *call.in_with, _read_sql(job, call), *call.keywords)
        )
        texts = [
            value
            for node in find_nodes(call.node, ast.Constant)
            if isinstance(value := node.value, str)
        ]
        if re.search(r"(?<![bc])lock|semaphore|for_update", words, re.IGNORECASE) or _LOCKS.search(
            " ".join((words, *texts))
        ):
            return True
        if re.search(r"\bUPDATE\b", _read_sql(job, call), re.IGNORECASE) and _CLAIMS.search(
            _read_sql(job, call)
        ):
            return True
        if call.name.rpartition(".")[2] == "update" and any(
            _CLAIMS.search(ast.unparse(v)) for v in call.keywords.values()
        ):
            return True
    decorated = any(
        "lock" in ast.unparse(node).lower() for f in reach.functions for node in f.decorators
    )
    starts = starts_of(job.project, reach)
    return decorated or (bool(starts) and all(start.locked for start in starts))


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
        before = []
        for m in marks:
            if _same_place(m.call, effect) and m.settled and m.settled < effect.line:
                before.append(m)
        after = []
        for mark in marks:
            if (
                _function_around(mark.call) is _function_around(effect)
                and mark.call.line > effect.line
            ):
                after.append(mark)
        if before and not after and not effect.in_try:
            message = (
                f"the row is marked as done before {effect.name}: what dies or fails between them"
                " is never done"
            )
            hint = "mark it after the effect, with a key that makes a second try harmless"
            yield tell(
                job,
                "marked-before-effect",
                Severity.WARNING,
                call_place(before[0].call),
                message,
                hint,
            )
            return


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
        if loop:
            marks = [
                mark
                for mark in _find_marks(job)
                if _function_around(mark.call) is _function_around(effect)
            ]
        else:
            marks = []
        if loop is None or not marks:
            continue
        inside = []
        for mark in marks:
            if _find_loop_around(mark.call) is loop:
                inside.append(mark)
        commits = _list_commits(job, effect)
        late = not inside and all(mark.call.line > (loop.end_lineno or 0) for mark in marks)
        late_commit = (
            bool(inside) and not any(mark.settled for mark in inside) and _only_after(commits, loop)
        )
        if late or late_commit:
            what = "marked" if late else "committed"
            message = (
                f"{effect.name} runs for each item, and the items are {what} after the loop: a"
                " failure repeats them all"
            )
            at = call_place(marks[-1].call if late else commits[-1])
            hint = "mark and commit each item after its effect"
            yield tell(job, "marked-after-batch", Severity.WARNING, at, message, hint)
            return


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
        tried = None
        for n in effect.module.parents(effect.node):
            if isinstance(n, ast.Try | ast.FunctionDef):
                tried = n
                break
        if not isinstance(tried, ast.Try) or not any(
            effect.node in ast.walk(s) for s in tried.body
        ):
            continue
        clause = None
        for c in effect.in_try:
            if c.node in tried.handlers and _catches_transient(job, c):
                clause = c
                break
        if clause is None or not _goes_on(job, clause):
            continue
        for mark in _find_marks(job):
            if _follows_try(mark.call, tried):
                message = (
                    f"{effect.name} may have failed, the clause above goes on, and the row is"
                    " marked as done"
                )
                hint = (
                    "leave the row as it is (continue), count the attempt, or record a dead letter"
                )
                yield tell(
                    job, "failed-marked-done", Severity.ERROR, call_place(mark.call), message, hint
                )
                return


def _catches_transient(job: Job, clause: Handler) -> bool:
    """It takes everything, or an error that the spec calls transient."""
    transient = job.spec.failures.transient if job.spec.failures else ()
    return clause.broad or bool(
        {spec_name(job, error.type) for error in transient} & set(clause.exceptions)
    )


def _goes_on(job: Job, clause: Handler) -> bool:
    """It neither leaves the turn nor remembers anything of the failure."""
    remembers = any(
        isinstance(n, ast.Assign | ast.AugAssign | ast.Continue | ast.Break)
        for n in ast.walk(clause.node)
    )
    leaves = clause.reraises or clause.returns or remembers
    return not leaves and first_record(job.project, clause.node.body, clause.module) is None


def _follows_try(call: Call, tried: ast.Try) -> bool:
    """It stands after the `try`, in the same block, unconditionally."""
    block = next(call.module.parents(tried), None)
    body: list[ast.stmt] = next(
        (
            part
            for name in ("body", "orelse", "finalbody")
            if tried in (part := getattr(block, name, []))
        ),
        [],
    )
    after = body[body.index(tried) + 1 :] if body else []
    if any(isinstance(s, ast.If) for s in after[:1]):
        return False
    return any(isinstance(s, ast.Expr) and s.value is call.node for s in after)


def _find_marks(job: Job) -> list[Mark]:
    """The calls of the handler's way that write "done"."""
    return [mark for call in calls_of(job) if (mark := _read_mark(job, call))]


def _read_mark(job: Job, call: Call) -> Mark | None:
    word = call.node.func.attr if isinstance(call.node.func, ast.Attribute) else ""
    if _SQL_MARK.search(_read_sql(job, call)):
        commits = []
        for one in _list_commits(job, call):
            if _same_place(one, call) and one.line > call.line:
                commits.append(one.line)
        return Mark(call, min(commits, default=None))
    atomic = any(
        is_atomic(job.project, name) or "begin" in name or "transaction" in name
        for name in call.in_with
    )
    if word == "update" and any(_is_done(job, call, n, v) for n, v in call.keywords.items()):
        return Mark(call, call.line if ".objects." in call.name and not atomic else None)
    if word == "save" and _is_assigned_before(call):
        return Mark(call, None if atomic else call.line)
    return None


def _is_done(job: Job, call: Call, name: str, node: ast.expr) -> bool:
    value = job.project.literal(node, call.module)
    if name in ("status", "state"):
        return isinstance(value, str) and re.fullmatch(_DONE_WORD, value, re.IGNORECASE) is not None
    return _DONE.fullmatch(name) is not None and value is not False and value is not None


def _is_assigned_before(save: Call) -> bool:
    """`row.sent = True` directly before `row.save()`."""
    row = ""
    if isinstance(save.node.func, ast.Attribute):
        row = ast.unparse(save.node.func.value)
    function = _function_around(save)
    for node in ast.walk(function) if function is not None else ():
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if (
            isinstance(target, ast.Attribute)
            and isinstance(node, ast.Assign)
            and 0 < save.line - node.lineno <= 3
        ):
            done = not (isinstance(node.value, ast.Constant) and not node.value.value)
            if ast.unparse(target.value) == row and _DONE.fullmatch(target.attr) and done:
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
    end = loop.end_lineno or 0
    return bool(commits) and all(commit.line > end for commit in commits)


def _read_sql(job: Job, call: Call) -> str:
    if isinstance(call.node.func, ast.Attribute):
        word = call.node.func.attr
    else:
        word = getattr(call.node.func, "id", "")
    value = None
    if word in _EXECUTE and call.node.args:
        value = job.project.literal(call.node.args[0], call.module)
    if not isinstance(value, str):
        return ""
    return value


def _list_undeferred(calls: tuple[Call, ...]) -> Iterator[Call]:
    for call in calls:
        if not call.deferred:
            yield call


def _function_around(call: Call) -> ast.AST | None:
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
    """In the same function, and in the same loop of it or none."""
    return _function_around(one) is _function_around(other) and _find_loop_around(
        one
    ) is _find_loop_around(other)
