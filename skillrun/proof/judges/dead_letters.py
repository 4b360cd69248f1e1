"""Whether a job that was given up left one dead letter, and a job that was done left none.

`judge` asks in this order, and only the first answer is said, since each would explain the next:
1. Was a job with attempts left given up for a death alone? What the death left behind is in the way
   of the next attempts. This asks for a record of any kind, so it stands apart from the rest.
2. Was a letter written before the job was given up? Then counting letters at the end tells nothing.
3. Is the number excused? A death may repeat or lose a letter, and the library may lose the job.
4. Was the job given up? Then there must be one letter, or one for each of several distinct jobs.
5. Must it have been done? Then there must be none.
6. Of all others: not more than one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History, is_loud
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.met_errors import (
    find_hit_deliveries,
    find_injected_errors,
    has_met_error,
)
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import (
    OF_PUBLISHER,
    Reference,
    count_new_letters,
    gives_up,
    is_kept,
    must_complete,
)


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that a job that was given up has one dead letter, and one that was done has none."""
    yield from _judge_given_up_after_death(history, reference)
    if history.dead_letters is None or not reference.has_dead_letter:
        return
    if history.early and not reference.once.dead_letters:
        yield _refute_early_letter(history.early)
        return
    seen = count_new_letters(history, reference)
    if _is_count_excused(history, reference, seen):
        return
    schedule = history.schedule
    if gives_up(history, reference) and schedule.family == "distinct":
        yield from _judge_letters_of_distinct(history, seen)
    elif gives_up(history, reference) and seen != 1:
        yield from _judge_letters_of_given_up(history, reference, seen)
    elif schedule.family == "window" and _are_letters_messages(reference):
        return  # the library drops what is too old
    elif must_complete(history, reference) and seen > 0 and not schedule.kills_handler:
        yield from _judge_letters_of_done(history, reference, seen)
    elif seen > 1:
        yield _refute_repeated_letter(seen)


def _refute_early_letter(delivery: int) -> Judgement:
    """The refutation of a dead letter that stands there after `delivery`, and the job comes
    again.
    """
    return Judgement(
        Verdict.REFUTED,
        "dead-letter.early",
        f"the job is in the dead letters after delivery {delivery}, and is still tried again",
        expected="none before it is given up",
        seen="1",
    )


def _refute_repeated_letter(seen: int) -> Judgement:
    """The refutation of several dead letters of one job."""
    said = f"one job left {seen} dead letters"
    return Judgement(Verdict.REFUTED, "dead-letter.repeated", said, expected="1", seen=f"{seen}")


def _judge_given_up_after_death(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that a job with attempts left does not end among the dead letters for a death alone:
    then what the death left behind is in the way of the next attempts.
    """
    schedule, most = history.schedule, reference.max_attempts
    if schedule.family != "kill" or schedule.lose or may_be_lost_by_death(history, reference):
        return
    if most is None or schedule.kills >= most:
        return
    further = [run for run in history.runs if not run.died]
    has_succeeded = any(run.outcome == "succeeded" for run in further)
    if further and not has_succeeded and is_kept(history, reference):
        said = f"after one death the job is tried {len(further)} times more, and then given up"
        yield Judgement(Verdict.REFUTED, "dead-letter.after-death", said, expected="0", seen="1")


def may_be_lost_by_death(history: History, reference: Reference) -> bool:
    """Whether a death may lose the job, and with it its dead letter: what is done at most once is
    marked first, and a death may come between. The effects that come before it must have taken
    place by then.
    """
    at_most_once = _name_at_most_once(reference)
    if not at_most_once:
        return False
    done = {call["effect"] for call in history.performed()}
    for call in reference.once.performed():
        if call["effect"] in at_most_once:
            return True
        if call["effect"] not in done:
            return False
    return True


def _name_at_most_once(reference: Reference) -> set[str]:
    """The names of the effects that may take place at most once."""
    return {effect.name for effect in reference.effects if effect.guarantee == "at_most_once"}


def is_outcome_unknown(history: History, reference: Reference) -> bool:
    """Whether an effect failed that may happen at most once, and may have happened: giving it to a
    person is as good as trying again.
    """
    at_most_once = _name_at_most_once(reference)
    for fault in history.schedule.faults:
        # "before:email#1" -> "email"
        effect = fault.at.partition(":")[2].rpartition("#")[0]
        if fault.error and effect in at_most_once:
            return True
    return False


# -- Is the number of letters excused? --


def _is_count_excused(history: History, reference: Reference, seen: int) -> bool:
    """Whether the schedule, a death or the library explains that there are several dead letters,
    or none.
    """
    if history.schedule.waiting > 1:
        # Each copy of a message that waited may be given up by itself.
        return True
    if seen > 1:
        return _are_several_excused(history, reference)
    return seen < 1 and _is_none_excused(history, reference)


def _are_several_excused(history: History, reference: Reference) -> bool:
    """Whether more than one dead letter may be there."""
    if history.schedule.family == "after-failure":
        # What made the first job fail may be in the other one's way; it is recorded.
        return True
    # It died between the publish of a retry and the acknowledgement: nobody can help that.
    return history.schedule.has_crash and _are_letters_messages(reference)


def _is_none_excused(history: History, reference: Reference) -> bool:
    """Whether the job may have left no dead letter."""
    if reference.allows_loss(history):
        # The library lost it while it was given up: that is said and not blamed.
        return True
    # It died while it was given up, and the library's own dead letter has it.
    has_own_letter = history.schedule.has_crash and history.kept > 0
    return has_own_letter and not _died_after_giving_up(history)


def _died_after_giving_up(history: History) -> bool:
    """Whether a process died after it had told the library that the job is given up: the library
    has its record by then, and the job's own could no longer be written.
    """
    for run in history.runs:
        settled = run.settled
        if not run.died or settled is None:
            continue
        if settled["how"] == "dead":
            return True
    return False


def _are_letters_messages(reference: Reference) -> bool:
    """Whether the dead letters are messages, of the library or in a queue: nothing there could
    drop a second one.
    """
    return reference.spec.proof is None or reference.spec.proof.dead_letters is None


# -- The job was given up --


def _judge_letters_of_distinct(history: History, seen: int) -> Iterator[Judgement]:
    """Checks that each of several jobs that were given up has a dead letter of its own."""
    wanted = len({delivery.job for delivery in find_hit_deliveries(history)})
    if wanted <= 1 or seen == wanted:
        return
    rule = "dead-letter.repeated"
    if seen < wanted:
        rule = "dead-letter.missing"
    letters_are = "letters are"
    if seen == 1:
        letters_are = "letter is"
    said = f"{wanted} distinct jobs were given up, and {seen} dead {letters_are} there"
    yield Judgement(Verdict.REFUTED, rule, said, expected=f"{wanted}", seen=f"{seen}")


def _judge_letters_of_given_up(
    history: History, reference: Reference, seen: int
) -> Iterator[Judgement]:
    """Judges a job that was given up and whose dead letters are not one."""
    schedule = history.schedule
    # A fault that the job never reached did not make it give up.
    if schedule.faults and not find_injected_errors(history):
        return
    if seen > 1:
        yield _refute_repeated_letter(seen)
        return
    if schedule.has_crash and may_be_lost_by_death(history, reference):
        return
    if _was_done_after_all(history, reference):
        # After a death, what had been done before it was skipped, and the error with it.
        if not schedule.has_crash:
            yield _refute_retry_until_done()
    elif schedule.poison is not None and reference.is_malformed(schedule.poison):
        # Nobody promised to do it. That an operator can find it is enough.
        yield _name_unrecorded_poison(history)
    else:
        said = "the job was given up without a dead letter"
        yield Judgement(Verdict.REFUTED, "dead-letter.missing", said, expected="1", seen=f"{seen}")


def _was_done_after_all(history: History, reference: Reference) -> bool:
    """Whether the job did not come to the faulty place again: its last delivery met no error, and
    everything has taken place.
    """
    last = history.runs[-1]
    if last.outcome != "succeeded" or has_met_error(last):
        return False
    done = set(map(_identify_effect, history.performed()))
    wanted = set(map(_identify_effect, reference.once.performed()))
    return wanted <= done


def _identify_effect(call: Event) -> tuple[Any, Any, Any]:
    """What tells one effect of a job from its others."""
    return call["effect"], call["key"], call["subject"]


def _refute_retry_until_done() -> Judgement:
    """The refutation of a job that met an error that should have ended it, and was done."""
    return Judgement(
        Verdict.REFUTED,
        "attempts.permanent-retried",
        "the job was tried again after a permanent error, until it was done",
        expected="a dead letter",
        seen="no dead letter",
    )


def _name_unrecorded_poison(history: History) -> Judgement:
    """The risk of a message that breaks the payload's schema, and that no dead letter has."""
    what = "a message that breaks the payload's schema ends without a dead letter"
    if any(map(is_loud, history.events)):
        grade, said = RiskGrade.MINOR, f"{what}: the log alone tells of it"
    else:
        grade, said = RiskGrade.BLIND, f"{what} or an error"
    return name_risk("poison-unrecorded", grade, said, expected="1 dead letter", seen="0")


# -- The job must have been done --


def _judge_letters_of_done(
    history: History, reference: Reference, seen: int
) -> Iterator[Judgement]:
    """Judges a job that must have been done and is in the dead letters: two reasons excuse that."""
    if seen == 1 and is_outcome_unknown(history, reference):
        return
    if _used_its_attempts(history, reference):
        return
    said = "a job that was not given up is in the dead letters"
    yield Judgement(Verdict.REFUTED, "dead-letter.unexpected", said, expected="0", seen=f"{seen}")


def _used_its_attempts(history: History, reference: Reference) -> bool:
    """Whether errors of its own, such as a store that another process holds locked, took all
    attempts of one message: giving it up then is what was declared.
    """
    most = reference.max_attempts
    # What a message finds that was published too early is no error of its own.
    if most is None or find_injected_errors(history) or history.schedule.family in OF_PUBLISHER:
        return False
    if most == 1:
        return any(run.raised is not None for run in history.runs)
    retried = Counter(run.job for run in history.runs if run.outcome == "retried")
    # The last attempt fails for good: it is not tried again.
    return max(retried.values(), default=0) >= most - 1
