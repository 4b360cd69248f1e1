"""Whether the final state is that of the single run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from skillrun.proof.history import TEMPORARY_TABLE, Delivery, Event, History, ends_with_connection
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.superseding import is_superseded
from skillrun.proof.reference import Reference, ends_as, is_kept, must_complete

_SHOWN = 200  # characters of rows in a message


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that retries are invisible: whatever happened, the state queries answer as after one
    run.
    """
    for name, rows in history.state.items():
        if isinstance(rows, str):
            yield Judgement(
                Verdict.INCOMPLETE,
                "state.unreadable",
                f"proof.state.{name}: {rows.removeprefix('error: ')}",
            )
            return
    if history.schedule.family == "once":
        yield from _judge_commits(history)
    if is_what_was_due(history, reference):
        return
    if history.schedule.family == "late-error":
        yield from _judge_late_error(history, reference)
    if history.schedule.family == "store-error":
        yield from _judge_store_error(history, reference)
    if not must_complete(history, reference) or may_be_lost(history, reference):
        return
    if history.schedule.midnight:
        return  # on another day a date in the state is another one
    if history.schedule.beside is not None:
        yield from _judge_jobs_at_once(history, reference)
        return
    if history.schedule.jobs:
        yield from _judge_distinct_job(history, reference)
        return
    left_out = reference.volatile
    if is_kept(history, reference):
        # What holds the dead letters has one more.
        left_out |= reference.letters
    for name, rows in history.state.items():
        wanted = reference.once.state.get(name)
        if name not in left_out and rows != wanted:
            said = f"the state differs from that after a single run: {name}"
            yield Judgement(
                Verdict.REFUTED,
                "state.differs",
                said,
                expected=_show_rows(wanted),
                seen=_show_rows(rows),
            )


def is_what_was_due(history: History, reference: Reference) -> bool:
    """Whether a job that a clock publishes leaves what it leaves where it runs once, at the time of
    the last delivery: a month may have ended meanwhile, and nothing was done twice. It leaves the
    same without the faults, too: what a tick lost, the next one has made up for.
    """
    if not reference.as_due:
        return False
    return all(_has_same_end(history, other, reference) for other in reference.as_due)


def _has_same_end(history: History, other: History, reference: Reference) -> bool:
    """Whether another history ends well, and with the same state."""
    if other.hung or not other.runs or other.runs[-1].outcome != "succeeded":
        return False
    return ends_as(history, other, reference)


def _judge_late_error(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that the work that one delivery has done stays done when another one fails late; the
    late one may be given up.
    """
    if any(_has_fewer_calls(history, reference, effect.name) for effect in reference.effects):
        return
    if not any(run.outcome == "succeeded" for run in history.runs):
        return
    for name, rows in history.state.items():
        wanted = reference.once.state.get(name)
        if name not in reference.volatile | reference.letters and rows != wanted:
            said = f"a delivery that fails late changes what another one has done: {name}"
            yield Judgement(
                Verdict.REFUTED,
                "state.undone",
                said,
                expected=_show_rows(wanted),
                seen=_show_rows(rows),
            )


def _judge_store_error(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that the work is in the store where the store failed once, and the library takes the
    job for done. A row more than after one run is no refutation: it may be a lease that is held.
    """
    if not history.runs or history.runs[-1].outcome != "succeeded" or history.pending:
        return
    if history.lost or may_be_lost(history, reference):
        return
    for name, rows in history.state.items():
        wanted = reference.once.state.get(name)
        if name in reference.volatile | reference.letters:
            continue
        is_undone = lacks_rows(rows, wanted)
        if is_undone or _keeps_rows(rows, wanted, reference.before.get(name)):
            said = f"the store failed once, and the job counts as done without its work: {name}"
            yield Judgement(
                Verdict.REFUTED,
                "state.error-swallowed",
                said,
                expected=_show_rows(wanted),
                seen=_show_rows(rows),
            )


def lacks_rows(rows: Any, wanted: Any) -> bool:
    """Whether a wanted row is not there; where both answers are a single number, whether the one
    that was seen is smaller.
    """
    if not isinstance(rows, list) or not isinstance(wanted, list):
        return False
    has_one_value = len(rows) == len(wanted) == 1 and len(rows[0]) == len(wanted[0]) == 1
    if has_one_value:
        # `select count(*)`: more than wanted may be a held lease, as above.
        seen, needed = rows[0][0], wanted[0][0]
        if isinstance(seen, int | float) and isinstance(needed, int | float):
            return seen < needed
    return any(row not in rows for row in wanted)


def _keeps_rows(rows: Any, wanted: Any, before: Any) -> bool:
    """Whether a row still stands as it was before the job, which should have removed it."""
    answers = (rows, wanted, before)
    if not all(isinstance(answer, list) for answer in answers) or len(rows) <= len(wanted):
        return False
    return any(row in before and row not in wanted for row in rows)


def _judge_commits(history: History) -> Iterator[Judgement]:
    """Refutes each write that nothing commits: the database forgets it when the connection is
    closed or goes back to its pool.
    """
    for delivery in history.deliveries:
        if delivery.died or delivery.outcome != "succeeded":
            continue
        for event in _find_forgotten_writes(delivery):
            said = f"{event['verb']} {event['table']} is never committed: nothing of it is left"
            yield Judgement(
                Verdict.REFUTED,
                "state.not-committed",
                said,
                None,
                (event.number,),
                "a commit",
                "none",
            )


def _find_forgotten_writes(delivery: Delivery) -> list[Event]:
    """The last write to each table whose transaction was left open, or rolled back although no
    statement of it had failed. No commit is asked of what dies with its connection anyway.
    """
    temporary: set[tuple[str, str]] = set()
    waiting: dict[tuple[str, str], Event] = {}
    # Stores whose last statement has not come back.
    failing: set[str] = set()
    for event in delivery.all("at"):
        store = str(event["store"])
        # A rollback after an error is what the handler meant.
        is_meant = event["kind"] == "rollback" and store in failing
        if event["kind"] == "commit" or is_meant:
            waiting = {key: write for key, write in waiting.items() if key[0] != store}
            failing.discard(store)
        elif event["kind"] == "sql" and event["when"] == "before":
            failing.add(store)
            if TEMPORARY_TABLE.match(str(event["sql"])):
                temporary.add((store, str(event["table"])))
        elif event["kind"] == "sql":
            failing.discard(store)
            written = event["verb"] in ("insert", "update", "delete")
            key = store, str(event["table"])
            fleeting = ends_with_connection(store) or key in temporary
            if event["open"] and written and not fleeting:
                waiting[key] = event
    return list(waiting.values())


def may_be_lost(history: History, reference: Reference) -> bool:
    """Whether the job need not be done: it was given up and kept, or lost where its guarantee or
    its library allows that.
    """
    if reference.allows_loss(history):
        return True
    if is_kept(history, reference) and not was_done(history, reference):
        return True
    if not history.schedule.faults:
        return False
    for effect in reference.effects:
        may_be_skipped = effect.guarantee == "at_most_once"
        if may_be_skipped and _has_fewer_calls(history, reference, effect.name):
            return True
    return False


def was_done(history: History, reference: Reference) -> bool:
    """Whether a delivery that no fault hit, and that had no other beside it, has made all calls of
    the single run and succeeded. Nobody may give the job up after that.
    """
    schedule = history.schedule
    is_of_several = bool(schedule.jobs) or schedule.poison is not None or reference.facts.ticks
    if is_of_several or schedule.crowded or "rival" in schedule.does:
        return False
    wanted = _count_calls(reference.once.performed())
    for run in history.runs:
        is_undisturbed = run.outcome == "succeeded" and not run.hit_by
        if wanted and is_undisturbed and wanted <= _count_calls(run.all("performed")):
            return True
    return False


def _count_calls(calls: Iterable[Event]) -> Counter[tuple[Any, Any, Any]]:
    """How often each effect was called under which key, about what."""
    return Counter((call["effect"], call["key"], call["subject"]) for call in calls)


def _has_fewer_calls(history: History, reference: Reference, effect: str) -> bool:
    """Whether an effect took place less often than in the single run."""
    return len(history.performed(effect)) < len(reference.calls(effect))


def _judge_distinct_job(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that of two distinct jobs the one that comes last has left its own mark, unless it
    leaves none when it runs alone.
    """
    other = reference.jobs.get(history.schedule.jobs[0])
    if other is None or is_superseded(history, reference):
        return
    if "redeliver" in history.schedule.moves:
        yield from _judge_set_back(history, reference)
        return
    earlier, last = reference.once, other
    if history.schedule.first is not None:
        earlier, last = other, reference.once
    for name, rows in history.state.items():
        after_earlier, after_last = earlier.state.get(name), last.state.get(name)
        if name in reference.volatile or _ends_the_same(name, history, reference):
            continue
        if not isinstance(rows, list) or not isinstance(after_last, list):
            continue
        before = reference.before.get(name)
        if not isinstance(before, list):
            before = []
        # A row that was there before anything was delivered is no trace of the job.
        known = rows + before
        missing = [row for row in after_last if row not in known]
        if missing and rows == after_earlier and after_last != after_earlier:
            said = f"a distinct job left no trace in {name}: it was taken for the one before it"
            yield Judgement(
                Verdict.REFUTED,
                "state.distinct-job",
                said,
                expected=_show_rows(missing),
                seen=_show_rows(rows),
            )


def _ends_the_same(name: str, history: History, reference: Reference) -> bool:
    """Whether two distinct jobs leave the same answer to a state query in either order, as where
    the highest number stays: neither stands there in the other's place.
    """
    orders = reference.orders.get(history.schedule.jobs[0])
    if orders is None or len(orders.done) < 2:
        return False
    first, second = orders.done
    return bool(first.state.get(name) == second.state.get(name))


def _judge_set_back(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that a message that comes again changes nothing: it is a duplicate, whatever other
    jobs were done meanwhile.
    """
    orders = reference.orders.get(history.schedule.jobs[0])
    if orders is None or orders.own_first not in orders.done:
        return
    for name, rows in history.state.items():
        wanted = orders.own_first.state.get(name)
        if name not in reference.volatile and rows != wanted:
            said = f"the same message again, after another job's, changes what both left: {name}"
            yield Judgement(
                Verdict.REFUTED,
                "state.set-back",
                said,
                expected=_show_rows(wanted),
                seen=_show_rows(rows),
            )


def _judge_jobs_at_once(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that two jobs at once leave what they leave one after the other, in one of the two
    orders.
    """
    orders = reference.orders.get(history.schedule.jobs[0])
    if orders is None:
        return
    for name, rows in history.state.items():
        wanted = [order.state.get(name) for order in orders.done]
        if not wanted or name in reference.volatile:
            continue
        if not any(_has_same_values(rows, other) for other in wanted):
            said = f"two distinct jobs at once leave what neither order of them does: {name}"
            yield Judgement(
                Verdict.REFUTED,
                "state.lost-update",
                said,
                expected=_show_rows(wanted[0]),
                seen=_show_rows(rows),
            )


def _has_same_values(rows: Any, wanted: Any) -> bool:
    """Whether two answers have the same values in each column: which row got which number may
    differ from order to order.
    """
    if not isinstance(rows, list) or not isinstance(wanted, list) or len(rows) != len(wanted):
        return False
    return _count_values(rows) == _count_values(wanted)


def _count_values(rows: list[Any]) -> list[Counter[str]]:
    """For each column, how often it has which value. Values are counted by their `repr`, since one
    may be a list.
    """
    return [Counter(map(repr, column)) for column in zip(*rows, strict=False)]


def _show_rows(rows: Any) -> str:
    """The answer of a state query as a message shows it, cut off where it is long."""
    text = repr(rows)
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}…"
