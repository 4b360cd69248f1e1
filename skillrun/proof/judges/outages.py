"""The broker, a store or each worker fails: the job is done, or a record says that it is not."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.judges.waits import SHORTEST_SHARE_WITH_JITTER, SLACK_S
from skillrun.proof.reference import Reference, is_kept
from skillrun.proof.schedule import EVERY, SWEEP, Fault
from skillrun.proof.ticks import has_next_tick

_SAID = {
    "retry-lost": "the job's retry could not be published",
    "letter-lost": "the record of a job that was given up could not be written",
    "store-failed": "the store failed once, and the job was let go of",
    "crash-loop": "each delivery of the message kills its worker",
}
# The rules of families that have another name than the rule.
_RULES = {"store-error": "store-failed"}
_EXPECTED = "the job comes again, or a record says that it does not"
# A policy of a few seconds is over soon, copies or not.
_SHORT_POLICY_S = 10.0


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where an outage leaves a job that nobody goes on with and no record tells of.
    `_SAID` has the families that are asked.
    """
    if reference.facts.ticks or reference.facts.is_called:
        return  # without a message nothing is let go of
    family = history.schedule.family
    if family == "copies":
        yield from _judge_copies(history, reference)
    if family == "store-error":
        yield from _judge_early_end(history, reference)
        if not _is_followed(history, reference) and not _can_be_let_go(history, reference):
            return
    if _find_rule(history) not in _SAID or history.hung or not _have_all_been_met(history):
        return
    if family == "crash-loop" and len(history.runs) < 2:
        return  # one death is no loop: what becomes of its message, the schedules of deaths say
    if family == "crash-loop" and history.pending:
        yield _name_endless_loop(history)
    elif not history.pending and not _is_settled(history, reference):
        yield _name_lost_job(history, reference)


def _find_rule(history: History) -> str:
    """The rule that the family of a history is asked for; most have its name."""
    family = history.schedule.family
    return _RULES.get(family, family)


def _judge_early_end(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where a store that failed once ends a job whose effect had taken place, with a
    record or without: what is done and what the database says are two things from then on. Where
    the spec lists that error of the store as transient, its promise is broken.
    """
    if not history.runs or (reference.max_attempts or 1) < 2 or _is_tried_again(history):
        return
    done, showing = history.performed(), find_showing(history, reference)
    if not (done and showing and is_kept(history, reference)):
        return
    error = _find_listed(history, reference)
    if error is not None:
        said = f"{error['error']} is a transient error, and was given up after 1 attempt"
        expected = f"{reference.max_attempts}"
        yield Judgement(
            Verdict.REFUTED,
            "attempts.too-few",
            said,
            events=(error.number,),
            expected=expected,
            seen="1",
        )
        return
    yield _name_early_end(done[0], ", ".join(showing), reference)


def _name_early_end(done: Event, showing: str, reference: Reference) -> Judgement:
    """The risk that an effect is done and the state says otherwise. `showing`: what would tell."""
    return name_risk(
        "store-failed",
        RiskGrade.STUCK,
        f"the store failed once after {done['effect']} had taken place, and the job was given up"
        f" at once: the state ({showing}) does not tell that it was done",
        effect=str(done["effect"]),
        events=(done.number,),
        expected=f"{reference.max_attempts} attempts",
        seen="1 attempt",
    )


def _find_listed(history: History, reference: Reference) -> Event | None:
    """The error of the store as it came out of the first delivery, where the spec lists it as
    transient and not as permanent as well.
    """
    for event in history.runs[0].all("raised"):
        is_permanent = reference.is_listed(event, "permanent")
        if reference.is_listed(event, "transient") and not is_permanent:
            return event
    return None


def _is_tried_again(history: History) -> bool:
    """Whether a later delivery did anything: one that a sweep brought finds the job given up, and
    ends. Who gives a job up may say that it is done, or let its error out.
    """
    first, *later = history.runs
    if first.outcome not in ("failed", "succeeded"):
        return True
    return any(run.performs(None) or run.outcome != "succeeded" for run in later)


def _can_be_let_go(history: History, reference: Reference) -> bool:
    """Whether it can be seen that nobody does the job any more: no record that nobody counts has
    it. Where the library takes it for done, `state.error-swallowed` says so.
    """
    if not history.runs or history.runs[-1].outcome == "succeeded":
        return False
    return not reference.has_dead_letter or history.dead_letters is not None


def _have_all_been_met(history: History) -> bool:
    """Whether a history has met the faults that it is about. Of several failures of a store the
    first is enough.
    """
    met = set(history.list_met())
    failures = [fault for fault in history.schedule.faults if fault.do == "fail"]
    # A store that stays away fails what is tried again, if anything is.
    needed = [fault for fault in history.schedule.faults if fault not in failures[1:]]
    return all(_was_met(fault, met) for fault in needed)


def _was_met(fault: Fault, met: set[str]) -> bool:
    """Whether a fault came about. `met`: the boundaries at which one did."""
    # "before:email#*" and "before:email#1!" stand for any call of that name.
    if not fault.at.endswith(("#*", "!")):
        return fault.at in met
    name = fault.at.rpartition("#")[0]
    return any(at.rpartition("#")[0] == name for at in met)


def _is_followed(history: History, reference: Reference) -> bool:
    """Whether the next tick of a clock comes after a first one that failed."""
    if not has_next_tick(reference.spec, reference.facts) or len(history.runs) < 2:
        return False
    return "re-enqueue" in history.schedule.moves and history.runs[0].outcome == "failed"


def _is_settled(history: History, reference: Reference) -> bool:
    """Whether nothing is lost: the job is done, or was given up with a record, or a sweep that did
    not come may find it, or what is missing is what other schedules blame on the library.
    """
    if is_kept(history, reference) or history.lost:
        return True
    if _is_followed(history, reference):
        # The next tick has done what this one left, or it did another day's work.
        left = _list_deeds(reference.once) - _list_deeds(history)
        return not left and not find_showing(history, reference)
    if reference.spec.recovers and SWEEP not in history.schedule.moves:
        return True
    if not history.runs or history.runs[-1].outcome != "succeeded":
        return False
    return _list_effects(reference.once) <= _list_effects(history)


def _list_effects(history: History) -> set[tuple[str, str]]:
    """(effect, subject) of each effect that took place."""
    return {(str(call["effect"]), str(call["subject"])) for call in history.performed()}


def _list_deeds(history: History) -> set[tuple[str, str]]:
    """The effects that took place, and the messages that went out to other jobs."""
    found = _list_effects(history)
    for event in history.list_of_runs("published"):
        if not event["to_handler"]:
            message = event["message"] or {}
            found.add((str(event["label"]), str(message.get("arguments"))))
    return found


def _name_endless_loop(history: History) -> Judgement:
    """The risk of a message that kills its worker for ever."""
    seen = f"{len(history.runs)}+"
    said = f"a message that kills its worker each time is delivered {seen} times: nothing ends it"
    return name_risk(
        "crash-loop", RiskGrade.STUCK, said, expected="a stated number, and a record", seen=seen
    )


def _name_lost_job(history: History, reference: Reference) -> Judgement:
    """The risk of a job that was let go of. It is one also where a dead letter was promised: nobody
    promised that the store is there to write it.
    """
    rule = _find_rule(history)
    showing = find_showing(history, reference)
    if showing:
        done = history.performed()
        what = _SAID[rule]
        if done:
            # Charged, and still open: whoever does it again goes by the receiver's memory.
            what = f"{what} after {done[0]['effect']} had taken place"
        said = (
            f"{what}: the job is not done until a person sees that"
            f" {', '.join(showing)} still shows it"
        )
        return name_risk(
            rule, RiskGrade.STUCK, said, expected=_EXPECTED, seen="it waits for a person"
        )
    said = f"{_SAID[rule]}, and nothing shows that the job was to be done"
    return name_risk(rule, RiskGrade.LOST, said, expected=_EXPECTED, seen="nothing")


def find_showing(history: History, reference: Reference) -> list[str]:
    """The state queries that do not answer as they do once the job is done."""
    found = []
    for name, rows in history.state.items():
        wanted = reference.once.state.get(name)
        if name not in reference.volatile and isinstance(rows, list) and rows != wanted:
            found.append(name)
    return found


def _judge_copies(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that copies of a message, which come within seconds of each other, do not use up all
    attempts long before the declared waits are over.
    """
    retry = reference.spec.retry
    if retry is None or retry.kind == "none" or history.pending or history.hung:
        return
    fails_each_time = any(fault.delivery == EVERY for fault in history.schedule.faults)
    wanted = sum(retry.delays())
    if not fails_each_time or wanted < _SHORT_POLICY_S:
        return
    tried = [run for run in history.runs if "raise" in run.hit_by]
    if len(tried) < 2 or len(tried) < (retry.max_attempts or 0):
        return
    passed = tried[-1].clock - tried[0].clock
    if passed + SLACK_S * len(tried) < wanted * SHORTEST_SHARE_WITH_JITTER:
        said = (
            f"{history.schedule.waiting} copies of a message that waited use up all"
            f" {retry.max_attempts} attempts within {passed:.0f} s"
        )
        yield name_risk(
            "copies-burn-attempts",
            RiskGrade.STUCK,
            said,
            expected=f"{wanted:.0f} s of backoff",
            seen=f"{passed:.0f} s",
        )
