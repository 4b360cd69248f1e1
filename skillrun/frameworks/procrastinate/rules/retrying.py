"""Rules about what is retried, how often, and after which wait."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.facts import at, spec_name, tell
from skillrun.frameworks.common.permanent_errors import (
    Answer,
    Rerunning,
    find_permanent_retried,
)
from skillrun.frameworks.common.swallowing import declare_swallowing_rules
from skillrun.frameworks.common.wait_rules import find_flat_waits, find_retries_at_once
from skillrun.frameworks.interface import Job
from skillrun.frameworks.procrastinate.attempts import raised
from skillrun.frameworks.procrastinate.retries import Strategy, read_strategy
from skillrun.frameworks.procrastinate.tasks import read_task
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import is_known
from skillrun.repo.uses import Place

_HINT = "RetryStrategy(max_attempts=4, exponential_wait=2, retry_exceptions=[...])"


def _strategy_of(job: Job) -> Strategy:
    return read_strategy(job.project, read_task(job.project, job.use, job.handler))


def _read_wanted_attempts(job: Job) -> int | None:
    """The attempts of the spec; None where it retries nothing."""
    if job.spec.retry and job.spec.retry.kind is None:
        return job.spec.retry.max_attempts
    return None


@rule(
    "procrastinate.retry-unbounded",
    stage="retry",
    source="RetryStrategy.get_retry_decision in procrastinate/retry.py",
)
def retry_unbounded(job: Job) -> Iterator[Finding]:
    """retry=True, and RetryStrategy with max_attempts left out or 0, retry for ever."""
    strategy = _strategy_of(job)
    bounded = any(bound.last is not None for bound in raised(job.project, job.handler))
    if strategy.custom is None and strategy.retries is None and not bounded:
        message = (
            "nothing bounds these retries: retry=True, and max_attempts left out or 0, are for ever"
        )
        yield tell(job, "retry-unbounded", Severity.ERROR, at(job, strategy.place), message, _HINT)


@rule(
    "procrastinate.attempts-off-by-one",
    stage="retry",
    source=(
        "RetryStrategy.get_retry_decision in procrastinate/retry.py: job.attempts is 0 in the"
        " first run"
    ),
)
def attempts_off_by_one(job: Job) -> Iterator[Finding]:
    """max_attempts, and a number given as retry, count the retries: the job is run once more than
    that.
    """
    strategy, wanted = _strategy_of(job), _read_wanted_attempts(job)
    if (
        wanted is not None
        and wanted > 1
        and is_known(strategy.retries)
        and strategy.retries == wanted
    ):
        message = (
            f"max_attempts counts retries, not runs: this task is run {wanted + 1} times, the spec"
            f" says {wanted}"
        )
        yield tell(
            job,
            "attempts-off-by-one",
            Severity.ERROR,
            at(job, strategy.place),
            message,
            f"{wanted - 1}",
        )


@rule(
    "procrastinate.retry-at-once",
    stage="retry",
    source=(
        "RetryStrategy in procrastinate/retry.py: wait + linear_wait * attempts +"
        " exponential_wait ** (attempts + 1)"
    ),
)
def retry_at_once(job: Job) -> Iterator[Finding]:
    """Retries without a wait are used up before an outage can pass; linear_wait starts with none.

    All attempts are used up within moments.
    """
    strategy = _strategy_of(job)
    if not strategy.tries_again or not strategy.waits_read or not is_known(strategy.retries):
        return
    if not (strategy.wait or strategy.linear or strategy.exponential):
        without = [("the retries have no wait", strategy.place)]
        yield from find_retries_at_once(job, without, "exponential_wait=2")
    elif strategy.linear and not strategy.wait and not strategy.exponential:
        message = (
            f"linear_wait={strategy.linear:g} waits 0 s before the first retry, then"
            f" {strategy.linear:g} s"
        )
        hint = "add wait=..., or exponential_wait"
        yield tell(job, "retry-at-once", Severity.NOTE, at(job, strategy.place), message, hint)


@rule(
    "procrastinate.flat-wait",
    stage="retry",
    source="RetryStrategy in procrastinate/retry.py; PDF-Assistant-RAG#664",
)
def flat_wait(job: Job) -> Iterator[Finding]:
    """A constant wait brings all failed jobs back together and never slows down while the other
    side is down.

    The spec asks for growing waits; exponential_wait=1 does not grow either.
    """
    strategy, waits = _strategy_of(job), []
    grows = strategy.linear or strategy.exponential > 1
    is_flat = not grows and (strategy.wait or strategy.exponential)
    if strategy.tries_again and strategy.waits_read and is_flat:
        why = "wait= is the same each time"
        if strategy.exponential == 1:
            why = "1 to the power of any number is 1"
        waits.append((why, strategy.place))
    return find_flat_waits(job, waits, "exponential_wait=2")


@rule(
    "procrastinate.permanent-retried",
    stage="retry",
    source=(
        "RetryStrategy.retry_exceptions in procrastinate/retry.py; open-wearables#1053: 462"
        " attempts in a week"
    ),
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """Without retry_exceptions every exception is retried, also one that will come back each time.

    A permanent error leaves the handler, and the strategy takes it.
    """
    return find_permanent_retried(job, _RERUNNING)


def _read_left(job: Job, error: str) -> Answer:
    """The task's strategy decides by the class of the error."""
    strategy = _strategy_of(job)
    if not strategy.tries_again:
        return "ends"
    if strategy.exceptions is None or strategy.custom is not None:
        return "unsure"
    bases = ancestors(job.project, error)
    if bases.isdisjoint(map(short, strategy.exceptions)):
        return "ends"
    return "again"


def _list_named(job: Job) -> Iterator[tuple[str, Place]]:
    strategy = _strategy_of(job)
    for name in strategy.exceptions or ():
        if strategy.tries_again:
            yield name, at(job, strategy.place)


_RERUNNING = Rerunning(
    title="Procrastinate",
    read_clause=lambda job, clause: None,
    read_left=_read_left,
    hint="retry_exceptions with the transient errors alone, or a clause of its own",
    find_place=lambda job: at(job, _strategy_of(job).place),
    list_named=_list_named,
)


@rule(
    "procrastinate.transient-not-retried",
    stage="retry",
    source="Task.get_retry_exception in procrastinate/tasks.py",
)
def transient_not_retried(job: Job) -> Iterator[Finding]:
    """A task without retry, or an exception that retry_exceptions lacks, fails its job at once."""
    strategy, wanted = _strategy_of(job), _read_wanted_attempts(job)
    if wanted is None or wanted < 2 or strategy.custom is not None or strategy.exceptions is None:
        return
    if not is_known(strategy.retries):
        return
    if strategy.tries_again:
        taken = frozenset(map(short, strategy.exceptions))
    else:
        taken = frozenset[str]()
    for written in job.spec.list_errors("transient"):
        bases = ancestors(job.project, short(spec_name(job, written)))
        if not taken & bases:
            why = "the task has no retry"
            if strategy.tries_again:
                why = "retry_exceptions does not name it"
            message = (
                f"{written} is transient in the spec, and {why}: the job fails at the first one"
            )
            yield tell(
                job,
                "transient-not-retried",
                Severity.ERROR,
                at(job, strategy.place),
                message,
                _HINT,
            )


SWALLOWING = declare_swallowing_rules(
    "procrastinate",
    says="the job is `succeeded`, and is not retried",
    source="_process_job in procrastinate/worker.py",
)
