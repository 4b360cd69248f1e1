"""Why a schedule refutes, in one line: a pure function over the history and what the judge said of
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from skillrun.proof.history import outlasts_process
from skillrun.proof.judges.risks import RISKS

if TYPE_CHECKING:
    from skillrun.proof.history import Delivery, Event, History
    from skillrun.proof.judgement import Judgement

UNKNOWN = "no usual cause fits: read the steps"
_SWALLOWED = "the handler swallows the error"
_NOT_SWEPT = "the message is lost, and no sweep of recovers finds the job that it was for"


def find_cause(history: History, judgement: Judgement) -> str:
    """One sentence; it claims no more than the steps show, and says so where none of the usual
    causes fits.
    """
    if judgement.rule in RISKS:
        return RISKS[judgement.rule].cause
    explain = _TOPICS.get(judgement.rule.partition(".")[0])
    if explain is None:
        return UNKNOWN
    return explain(history, judgement) or UNKNOWN


# -- effects and state


def _explain_effect(history: History, judgement: Judgement) -> str | None:
    exact = {
        "effect.no-key": "the call leaves its key out",
        "effect.key-shared": "the key does not name all that makes two calls different",
        "effect.key-of-two-jobs": "the key leaves out a field in which the two jobs differ",
        "effect.calendar": "a month or a year is added to a day that is not in every month or year",
        "effect.other-arguments": (
            "the delivery that goes on does not know what the one before it had worked out"
        ),
        "effect.others-lost": (
            "what cannot be done stops or takes along what stands beside it in the same run"
        ),
    }
    if judgement.rule == "effect.others-lost" and history.schedule.jobs:
        return "what gives one job up changes rows of others: its condition does not name the job"
    if judgement.rule == "effect.other-arguments" and history.schedule.jobs:
        return (
            "what one job worked out is kept where the other one finds it: the place does not name"
            " the job"
        )
    if judgement.rule in exact:
        return exact[judgement.rule]
    if judgement.rule == "effect.lost":
        return _explain_loss(history, judgement)
    if judgement.rule == "effect.window":
        return (
            "the receiver has forgotten the key by then, and nothing in the job remembers that it"
            " was done"
        )
    if judgement.rule == "effect.other-key":
        return _explain_other_key(history, judgement) or _explain_repetition(history)
    return _explain_repetition(history)


def _explain_other_key(history: History, judgement: Judgement) -> str | None:
    """What a key contains that changed between the two calls."""
    schedule = history.schedule
    # With two deliveries at a time it is the guard that fails, whatever the key contains.
    if schedule.copies > 1 or "stall" in schedule.family:
        return None
    if schedule.fresh:
        return (
            "the key depends on the interpreter: its hash seed, its time zone, or something random"
        )
    if schedule.has_move("wait"):
        return "the key contains the time"
    if "re-enqueue" in schedule.moves or schedule.family == "publish-fault":
        return "the key contains the message's id, or something random"
    return _explain_key_of_run(history, judgement)


def _explain_key_of_run(history: History, judgement: Judgement) -> str:
    """Where nothing but the deliveries themselves can have changed it."""
    calls = history.performed(judgement.effect)
    if calls and calls[0].number in judgement.events:
        # Already the first call has another key.
        return (
            "the key contains something that differs from run to run: a random value, or the time"
        )
    if any(run.retries for run in history.runs):
        return "the key contains the attempt, or something random"
    return "the key contains something that differs from delivery to delivery"


_LOSS_BY_FAMILY = {
    "before-commit": (
        "the job is published before its transaction commits: the delivery does not find what"
        " it needs"
    ),
    "publish-fault": (
        "the application commits without publishing the job, and trying again does not publish"
        " it either (an outbox would: a row in the same transaction, which enqueue.relay"
        " publishes)"
    ),
    "distinct": "the two jobs are taken for one: a field is missing in the key",
}


def _explain_repetition(history: History) -> str | None:
    """Why the second delivery did not see that the first one had done it."""
    schedule = history.schedule
    if schedule.copies > 1:
        return (
            "two deliveries both pass the check before either writes its marker (check, then act)"
        )
    if schedule.family == "stall":
        return "what guards the job is given up, or never taken, while a slow delivery still works"
    if schedule.family == "before-commit":
        return "the job is published before its transaction commits"
    killed = _find_killed(history)
    if killed is not None:
        return _explain_repetition_after_kill(history, killed)
    if schedule.family == "error":
        return "the effect took place and its answer was lost; the retry does it again"
    if schedule.family == "window":
        return "the marker is forgotten too early"
    if schedule.family == "window-swept":
        return "a sweep removes what the job knows duplicates by"
    if schedule.family == "sweep":
        return "the sweep brings back a job that is done"
    if schedule.family in (
        "redeliver",
        "re-enqueue",
        "fresh-interpreter",
        "publish-fault",
        "dst",
        "once",
    ):
        return "nothing that the first delivery leaves behind stops the second one"
    return None


def _explain_repetition_after_kill(history: History, killed: Delivery) -> str | None:
    """What the delivery that was killed left for the next one to see."""
    if not any(killed.all("performed")):
        return None
    if _has_committed(killed):
        return (
            "the effect takes place again although a commit of the first delivery stands: it is not"
            " looked at"
        )
    if _has_commit_later(history, killed):
        return (
            "the effect takes place before its marker is committed, and the redelivery does not"
            " see it"
        )
    return "the effect takes place and nothing is committed that the redelivery could see"


def _explain_loss(history: History, judgement: Judgement) -> str | None:
    """Why nobody does it any more."""
    schedule = history.schedule
    if schedule.family in _LOSS_BY_FAMILY:
        return _LOSS_BY_FAMILY[schedule.family]
    if schedule.emptied is not None:
        return _NOT_SWEPT
    killed = _find_killed(history)
    if killed is not None:
        return _explain_loss_after_kill(history, killed, judgement.effect)
    faults = history.all("fault")
    if any(event["status"] for event in faults):
        return "nobody asks for the status of the answer"
    if _was_raised(faults):
        return _explain_loss_after_error(history)
    if schedule.copies > 1 or schedule.family == "stall":
        return "one delivery takes the other's marker for work that was done"
    return None


def _explain_loss_after_kill(history: History, killed: Delivery, effect: str | None) -> str | None:
    """What became of the message, or what the next delivery found."""
    later = history.runs_after(killed)
    if not later:
        if history.kept:
            return "the library counts a dead worker's job as failed, and nobody runs it again"
        if history.lost or not history.schedule.lose:
            return "the message is acknowledged before the work is done: a death loses it"
        return None
    if not killed.performs(effect) and _has_committed(killed):
        return "the marker is committed before the effect, or a claim that outlives its process"
    if any(run.raised is not None for run in later):
        return "what the first delivery left behind makes the next one fail"
    return None


def _explain_loss_after_error(history: History) -> str | None:
    """An error was met, and the job ended as if there had been none."""
    if not history.runs:
        return (
            "the error while publishing is swallowed: whoever called does not know that nothing was"
            " published"
        )
    *earlier, last = history.runs
    if last.first("returned") is None:
        if history.schedule.family == "error" and not last.retries:
            return "the error is not retried"
        return None
    if "raise" in last.hit_by:
        return _SWALLOWED
    if any(map(_has_committed, earlier)):
        return "the marker is committed before the effect"
    return None


_OF_STATE = {
    "state.undone": (
        "what a failing delivery writes is not made to depend on the job's being still undone"
    ),
    "state.error-swallowed": (
        "the error of the store is swallowed: the job is acknowledged although its work was not"
        " done"
    ),
    "state.lost-update": (
        "one job writes what it worked out from a value that the other has changed since (read,"
        " then write)"
    ),
    "state.set-back": "what remembers that the job was done is overwritten by another one",
    "state.distinct-job": "the two jobs are taken for one: a field is missing in the key",
}


def _explain_state(history: History, judgement: Judgement) -> str | None:
    if judgement.rule in _OF_STATE:
        return _OF_STATE[judgement.rule]
    schedule = history.schedule
    if schedule.emptied is not None and not history.runs:
        return _NOT_SWEPT
    if schedule.copies > 1:
        return "two deliveries both pass the check before either writes (check, then act)"
    if schedule.family == "before-commit" or _has_published_first(history):
        return "the job is published before its transaction commits"
    if schedule.family == "stall":
        return (
            "a slow delivery writes although another one has done the job meanwhile: its write does"
            " not look again"
        )
    if schedule.family == "publish-fault":
        return (
            "the application's own work is committed without the job, and trying again does not put"
            " that right"
        )
    killed = _find_killed(history)
    if killed is not None:
        return _explain_state_after_kill(history, killed)
    return _explain_state_without_kill(history)


def _explain_state_after_kill(history: History, killed: Delivery) -> str | None:
    if not history.runs_after(killed):
        return _explain_loss_after_kill(history, killed, None)
    if _has_committed(killed):
        return (
            "one commit holds only a part of the work, and the redelivery does not complete it or"
            " does it twice"
        )
    return None


def _explain_state_without_kill(history: History) -> str | None:
    faults = history.all("fault")
    if _was_raised(faults):
        return _explain_loss_after_error(history)
    if len(history.runs) > 1 and not faults:
        return (
            "the write is made again by each delivery: it adds instead of setting, or has no"
            " unique key"
        )
    return None


# -- attempts, dead letters, logs


def _explain_attempts(history: History, judgement: Judgement) -> str | None:
    last = history.runs[-1] if history.runs else None
    if judgement.rule == "attempts.too-few" and last is not None:
        if last.first("returned") is not None and not last.retries:
            return _explain_loss_after_error(history)
        return "the error is not among those that are retried, or the limit is lower than declared"
    return {
        "attempts.too-many": (
            "the limit of retries counts otherwise than declared: attempts count the first try"
        ),
        "attempts.unbounded": "nothing counts the attempts",
        "attempts.deaths": "nothing counts the deliveries that end with a death",
        "attempts.success-retried": "the error is among those that are retried",
        "attempts.success-failed": "the error is not told apart from those that fail the job",
        "attempts.permanent-retried": "the error is among those that are retried",
    }.get(judgement.rule)


def _explain_delays(history: History, judgement: Judgement) -> str | None:
    return {
        "delays.flat": "the wait is the same before each retry: no exponential backoff is in force",
        "delays.no-jitter": "nothing random is in the wait",
        "delays.too-long": "the base or the cap is larger than declared",
        "delays.too-short": (
            "the base or the factor is smaller than declared, or there is no backoff"
        ),
    }.get(judgement.rule)


def _explain_dead_letters(history: History, judgement: Judgement) -> str | None:
    own = _find_own_error(history)
    is_early = history.schedule.family == "before-commit" or _has_published_first(history)
    if judgement.rule == "dead-letter.unexpected" and is_early:
        return _LOSS_BY_FAMILY["before-commit"]
    if judgement.rule == "dead-letter.unexpected" and own is not None:
        return (
            f"a delivery fails with {str(own['error']).rpartition(':')[2]} where it should find the"
            " work done"
        )
    if judgement.rule == "dead-letter.missing":
        return _explain_missing_letter(history)
    if judgement.rule == "dead-letter.after-death":
        return "what the dead delivery held, a claim or a lock, outlasts all attempts"
    if judgement.rule == "dead-letter.repeated":
        return "the record of a dead letter has no unique key, or is written at each attempt"
    return "a dead letter is written before the job is really given up"


def _explain_missing_letter(history: History) -> str:
    family = history.schedule.family
    if family in RISKS:
        return RISKS[family].cause
    if family == "last-attempt-lost":
        return "the sweep looks for jobs with attempts left alone, and nobody else ends the others"
    if family == "distinct":
        return "the dead letters of two jobs are kept under one key"
    if any(run.died and run.settled is not None for run in history.runs):
        return "the dead letter is written after the library was told that the job is given up"
    why = _explain_loss_after_error(history) or _find_failed_hook(history)
    if why == _SWALLOWED and history.schedule.family == "permanent":
        # A declined card may be the job's outcome, which its row records.
        return f"{why}; an outcome that a row records belongs to failures.success, `unsent: true`"
    return why or "nothing writes a dead letter on this way out"


def _find_own_error(history: History) -> Event | None:
    """The first error that a handler raised and that the proof had not thrown into it."""
    for run in history.runs:
        if run.raised is not None and not run.raised["injected"]:
            return run.raised
    return None


def _find_failed_hook(history: History) -> str | None:
    """The library logs what its callback or signal handler raised, and goes on."""
    injected = {str(event["text"]) for event in history.all("fault") if event["do"] == "raise"}
    for delivery in reversed(history.deliveries):
        known = set(injected)
        if delivery.raised is not None:
            known.add(str(delivery.raised["text"]))
        for event in delivery.all("log"):
            name, _, text = str(event["error"] or "").partition(": ")
            if name and text not in known and event["level"] == "ERROR":
                return f"what the library calls at the end fails itself with {name}: {text}"
    return None


def _explain_logs(history: History, judgement: Judgement) -> str | None:
    question = judgement.rule.partition(".")[2]
    return {
        "ran": "no record with the key fields is written when the handler begins",
        "succeeded": (
            "no record with the key fields is written at the end, or the same one is written"
            " elsewhere too"
        ),
        "why": "no record with the key fields names the error",
        "lie": (
            "the record is written whatever happened: in a finally, or after an error that was"
            " taken"
        ),
        "retry": "no record with the key fields says that the job will be retried",
    }.get(question)


def _explain_process(history: History, judgement: Judgement) -> str | None:
    return (
        "something in memory outlasts a delivery: a session after an error, a cache, a variable of"
        " a module"
    )


def _explain_poison(history: History, judgement: Judgement) -> str | None:
    return "the payload is not checked before the work begins"


def _explain_dropped(history: History, judgement: Judgement) -> str | None:
    for delivery in history.deliveries:
        refused = delivery.first("caller-raised")
        if refused is not None:
            name = str(refused["error"]).rpartition(":")[2]
            return f"the call ends with {name} while the other job waits, and later too"
    return (
        "the lock or the id under which a job waits does not name all that makes two jobs different"
    )


_TOPICS: dict[str, Callable[[History, Judgement], str | None]] = {
    "effect": _explain_effect,
    "state": _explain_state,
    "attempts": _explain_attempts,
    "delays": _explain_delays,
    "dead-letter": _explain_dead_letters,
    "logs": _explain_logs,
    "poison": _explain_poison,
    "process": _explain_process,
    "publish": _explain_dropped,
}


# -- what a history shows


def _has_published_first(history: History) -> bool:
    """The publisher died when the job was published and nothing of its own was committed."""
    if history.schedule.family != "publish-fault" or not history.deliveries:
        return False
    first = history.deliveries[0]
    return any(first.all("fault")) and any(first.all("published")) and not _has_committed(first)


def _find_killed(history: History) -> Delivery | None:
    """The first delivery that was killed."""
    for run in history.runs:
        if "kill" in run.hit_by:
            return run
    return None


def _was_raised(faults: Iterable[Event]) -> bool:
    return any(event["do"] == "raise" for event in faults)


def _has_committed(delivery: Delivery) -> bool:
    """It made something last: a commit, a statement outside of a transaction, or a write to
    Redis.
    """
    return any(map(outlasts_process, delivery.all("at")))


def _has_commit_later(history: History, killed: Delivery) -> bool:
    """A later delivery shows that a commit belongs to the work."""
    return any(map(_has_committed, history.runs_after(killed)))
