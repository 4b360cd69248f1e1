"""Something fails: an effect, for a time or for good; the store, at a commit."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.proof.families.family import Planned, family
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import Event, History, ends_with_connection
from skillrun.proof.schedule import EVERY, Fault, Schedule

if TYPE_CHECKING:
    from skillrun.contract.job import JobError


def _why_no_error(situation: Situation) -> str | None:
    failures = situation.spec.failures
    if failures is None or not failures.transient:
        return "no transient error is declared"
    return None


@family("error", "nothing in it can fail", unless=_why_no_error)
def error(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Each transient error before each call, and after it: the effect took place and its answer was
    lost.
    """
    effects = situation.effects
    at_most_once = [effect.name for effect in effects if effect.guarantee == "at_most_once"]
    errors = _number_transient(situation)
    unsent = {(listed.type, index) for listed, index in errors if listed.unsent}
    for name, fault in _errors_before(situation, errors, situation.fallible):
        yield Schedule("error", (fault,))
        if (fault.error, fault.index) in unsent:
            continue
        answer_lost = replace(fault, at=f"after:{name}")
        yield Schedule("error", (answer_lost,))
        if name.rpartition("#")[0] in at_most_once:
            # Also once the job was given up.
            yield Schedule("error", (answer_lost,), ("redeliver",))


@family("exhaustion", "no transient error is declared that an effect could raise")
def exhaustion(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """An error that does not pass: the job must be given up, after as many attempts as declared."""
    retry = situation.spec.retry
    backoff = retry.backoff if retry else None
    # Whether waits are random is asked once: one error is as good as another.
    asks_for_jitter = backoff is not None and backoff.jitter
    errors = _number_transient(situation)
    for _name, fault in _errors_before(situation, errors, _every_call(situation.failing)):
        every = replace(fault, delivery=EVERY)
        yield Schedule("exhaustion", (every,))
        if asks_for_jitter:
            yield Schedule("exhaustion", (every,), low_jitter=True)
            asks_for_jitter = False


def _every_call(names: list[str]) -> list[str]:
    """A piece of work (`email#2!`) is met each time; of an effect, every call is (`email#*`)."""
    every: dict[str, None] = {}
    for name in names:
        if name.endswith("!"):
            every[name] = None
        else:
            every[f"{name.rpartition('#')[0]}#*"] = None
    return list(every)


@family("permanent", "no permanent error is declared that an effect could raise")
def permanent(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Each permanent error before each call, however often that is made: it does not pass."""
    failures = situation.spec.failures
    if failures is None:
        return
    # One class may be named among the transient errors too: those are counted first.
    errors = number_errors(failures.permanent, failures.transient)
    for _name, fault in _errors_before(situation, errors, situation.failing):
        yield Schedule("permanent", (replace(fault, delivery=EVERY),))


def list_ends_in_failure(situation: Situation) -> list[Schedule]:
    """One schedule in which a passing error never passes, and one with an error that stays."""
    found: list[Schedule] = []
    for one in (exhaustion, permanent):
        found += itertools.islice(one.plan(situation, ()), 1)
    return found


Numbered = list[tuple["JobError", int]]
"""(error, which of the entries with its class)."""


@family("success", "no error that means success is declared, or no effect could raise it")
def success(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Each call takes place, and answers with an error that says it had done so before. One that
    says for certain that nothing was sent is an outcome: the call does not take place.
    """
    failures = situation.spec.failures
    if failures is None:
        return
    errors = number_errors(failures.success, (*failures.transient, *failures.permanent))
    unsent = {(error.type, index) for error, index in errors if error.unsent}
    for name, fault in _errors_before(situation, errors, situation.fallible):
        if (fault.error, fault.index) not in unsent:
            fault = replace(fault, at=f"after:{name}")
        yield Schedule("success", (fault,))


def _number_transient(situation: Situation) -> Numbered:
    failures = situation.spec.failures
    if failures:
        return number_errors(failures.transient)
    return []


def number_errors(errors: tuple[JobError, ...], before: tuple[JobError, ...] = ()) -> Numbered:
    """`before`: the entries that are counted first."""
    listed = (*before, *errors)
    names = [error.type for error in listed]
    numbered = [(error, names[:at].count(error.type)) for at, error in enumerate(listed)]
    return numbered[len(before) :]


def _errors_before(
    situation: Situation, errors: Numbered, names: list[str]
) -> Iterator[tuple[str, Fault]]:
    """(name, the first delivery's fault) for each error that can come out of each of the names."""
    for error, index in errors:
        for name in names:
            if situation.can_raise(name, error):
                yield name, Fault("raise", f"before:{name}", 1, error.type, index)


@family("store-error", "the single run commits nothing")
def store_error(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The store is away, or locked, for one commit, or for one write that would have been its own
    commit.
    """
    return plan_store_errors(situation.boundaries)


@family("store-error", "the single run commits nothing")
def bad_status(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The other side answers a call of an HTTP client with 503: no exception, unless the handler
    asks for the status.
    """
    at_most_once = [one.name for one in situation.effects if one.guarantee == "at_most_once"]
    for event in situation.boundaries:
        if event["http"] and event["when"] == "before" and event["effect"] not in at_most_once:
            yield Schedule("store-error", (Fault("fail", f"before:{event['name']}"),))


def plan_store_errors(boundaries: list[Event]) -> Iterator[Schedule]:
    """See `store_error`."""
    for at in find_store_faults(boundaries):
        yield Schedule("store-error", (Fault("fail", at),))


def find_store_faults(boundaries: list[Event]) -> Iterator[str]:
    """Where a store that fails keeps something from being written for good."""
    for event in boundaries:
        if ends_with_connection(str(event["store"])):
            continue
        is_commit = event["kind"] == "commit" and event["when"] == "before"
        # Only after a write is it known that no transaction is open.
        is_write = event["kind"] == "sql" and event["verb"] != "select" and event["when"] == "after"
        commits_alone = is_write and event["open"] is False
        if is_commit or commits_alone:
            yield f"before:{event['name']}"


# Of statements alone, and spread evenly: the commits are tried besides.
_STATEMENTS = 16


@family("store-error", "the single run commits nothing", most=_STATEMENTS)
def statement_error(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """The store is away, or locked, for one statement: a lock may be held when it is asked for, and
    a read fails as well as a write.
    """
    known = {fault.at for one in planned if one.family == "store-error" for fault in one.faults}
    for event in situation.boundaries:
        at = event.boundary
        is_begun = event["kind"] == "sql" and event["when"] == "before"
        if not is_begun or at is None or at in known or ends_with_connection(str(event["store"])):
            continue
        yield Schedule("store-error", (Fault("fail", at),))


# A call that takes its time, well within any limit.
_SLOWLY_S = 2


@family("late-error", "no error is declared that an effect could raise")
def late_error(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """A slow delivery fails when another one has done the job: one transient error of each effect,
    one permanent.
    """
    stalls = {schedule.faults[0].at: schedule for schedule in planned if schedule.family == "stall"}
    seen = set[tuple[str, str]]()
    for schedule in planned:
        if schedule.family not in ("error", "permanent") or not schedule.faults:
            continue
        first = schedule.faults[0]
        at = first.at.rstrip("!")  # a stall has no piece of work of its own
        if at in stalls and (schedule.family, first.at) not in seen:
            seen.add((schedule.family, first.at))
            stall, late = stalls[at], replace(first, at=at, delivery=1)
            slow = replace(stall, family="late-error", faults=(*stall.faults, late))
            yield slow
            # A time limit of the task is over within the hour: it, and no error, ends that wait.
            if schedule.family == "permanent":
                yield replace(slow, moves=(f"wait={_SLOWLY_S}", "redeliver"))


def last_chance(histories: Iterable[History]) -> Iterator[Schedule]:
    """The error passes just in time: the last attempt succeeds, and the job is not given up."""
    for history in histories:
        if history.schedule.family == "exhaustion":
            yield from _pass_in_time(history)


def _pass_in_time(history: History) -> Iterator[Schedule]:
    met = list_met_errors(history)
    if len(met) > 1:
        yield Schedule("error", tuple(met[:-1]))


def list_exhausted(histories: Iterable[History]) -> Iterator[list[Fault]]:
    """For each place at which a job was given up by its errors: these errors in order, the one of
    the last attempt at the end. One attempt alone is no policy.
    """
    seen = set[str]()
    for history in histories:
        if history.schedule.family != "exhaustion":
            continue
        met = list_met_errors(history)
        if len(met) < 2 or met[-1].at in seen:
            continue
        seen.add(met[-1].at)
        yield met


def list_met_errors(history: History) -> list[Fault]:
    """The errors that a job met until it was given up, each with its delivery; none where a death
    was among them, or it divided itself.
    """
    schedule = history.schedule
    met: list[Fault] = []
    every = next((fault for fault in schedule.faults if fault.error), None)
    if schedule.has_crash or schedule.low_jitter or every is None or _has_divided(history):
        return met
    for number, delivery in enumerate(history.runs, 1):
        for event in delivery.all("fault"):
            if event["do"] == "raise":
                met.append(replace(every, at=str(event["at"]), delivery=number))
    return met


def _has_divided(history: History) -> bool:
    """Whether a delivery has published several more: each of them has attempts of its own, and the
    last one of all is the last chance of one alone.
    """
    return any(len(delivery.sent_to_handler) > 1 for delivery in history.runs)
