"""What keeps a history from being judged: it makes the verdict incomplete, and says why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from skillrun.probe.recorder import UNHEARD
from skillrun.proof.history import (
    CALLERS,
    Delivery,
    Event,
    History,
    is_dead_letter,
    name_scratch_file,
)
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.scratch_files import is_like_state
from skillrun.proof.reference import Reference, is_kept

# What the probe raises in place of what it does not let happen.
_REFUSED = ".reach:Refusal"

_SAID = re.compile(
    r"undeclared (?P<kind>[\w ]+): (?P<detail>.*?)(?P<place> \([^()]+:\d+\))?", re.DOTALL
)
_NUMBER = re.compile(r"\d+")
_PLACE = re.compile(r"\([^()]+:\d+\)(?= is in neither)")
# Families in which the error is a driver's or a broker's, so that no list of failures names it; and
# what comes back much too late may be refused by an error of its own.
_OUTSIDE = ("store-error", "retry-lost", "letter-lost", "late-back")


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Says incomplete where a history has undeclared effects, exceptions in neither list, or
    processes that ended themselves or did not end.
    """
    if history.hung:
        yield Judgement(
            Verdict.INCOMPLETE,
            "handler.hangs",
            f"the handler did not end; its last boundary was {history.hung}",
        )
    for note in history.notes:
        yield Judgement(Verdict.INCOMPLETE, "proof.note", note)
    for delivery in history.deliveries:
        if delivery.op in CALLERS:
            continue
        yield from judge_undeclared(delivery, reference, history)
        if history.schedule.family in _OUTSIDE or "fail" in history.schedule.does:
            # What comes out of it is the driver's error, wrapped by whoever is in between.
            continue
        yield from _judge_ends_of_process(history, delivery)
        if history.schedule.poison is None and not _gives_up_by_itself(
            history, delivery, reference
        ):
            yield from _judge_unlisted_errors(history, delivery, reference)


def judge_undeclared(
    delivery: Delivery, reference: Reference, history: History
) -> Iterator[Judgement]:
    """Says incomplete for each thing that a delivery did to the world besides its declared
    effects.
    """
    letter = reference.spec.dead_letter
    queue = None
    if letter is not None and letter.kind == "queue":
        queue = letter.where
    for event in delivery.all("undeclared"):
        name = name_scratch_file(event)
        if name is not None and is_like_state(name, event["given"], history, reference):
            continue
        if event["effect"] and _is_accepted(event, name, history, reference):
            continue
        said = _describe_undeclared(event)
        yield Judgement(Verdict.INCOMPLETE, "effect.undeclared", said, events=(event.number,))
    for event in delivery.all("published"):
        is_the_librarys = event["to_handler"] or event["callback"]
        if is_the_librarys or event["in_effect"] or is_dead_letter(event, queue):
            continue
        said = f"undeclared publish: {event['label']}{_show_place(event)}"
        yield Judgement(Verdict.INCOMPLETE, "effect.undeclared", said, events=(event.number,))


def _describe_undeclared(event: Event) -> str:
    """What a delivery did to the world, as a message says it."""
    if event["effect"]:
        return f"effect {event['effect']} leaves another file than a single run: {event['detail']}"
    return f"undeclared {event['kind']}: {event['detail']}{_show_place(event)}"


def _is_accepted(event: Event, name: str | None, history: History, reference: Reference) -> bool:
    """Whether a file that an effect wrote in the scratch need not be as after a single run: the
    spec accepts a repetition, or the file is gone in the end, as one that is renamed.
    """
    # A log that is read, or what else has no name there, is the effect's own affair.
    if name is None or _accepts_repetition(str(event["effect"]), reference):
        return True
    left = [history.files.get(name), reference.once.files.get(name)]
    left += [single.files.get(name) for single in reference.jobs.values()]
    return not any(left)


def _accepts_repetition(name: str, reference: Reference) -> bool:
    """Whether the guarantee of the effect that is called so says nothing of a second time."""
    found = [effect.promise for effect in reference.effects if effect.name == name]
    return {"keyed", "convergent", "transactional"}.isdisjoint(found)


def merge_undeclared(judgements: Iterable[Judgement]) -> list[Judgement]:
    """One row for all that one line does of one kind: a name with a number in it is another one in
    each job.
    """
    first: dict[str, Judgement] = {}
    more: dict[str, int] = {}
    for judgement in judgements:
        group = _group_of(judgement)
        more[group] = more.get(group, -1) + 1
        first.setdefault(group, judgement)
    merged = []
    for group, judgement in first.items():
        if more[group]:
            said = f"{judgement.message} and {more[group]} more"
            judgement = replace(judgement, message=said)
        merged.append(judgement)
    return merged


def _group_of(judgement: Judgement) -> str:
    """What judgements have in common that one row is enough for."""
    if judgement.rule == "failures.unlisted":
        # One class from one line is one row, whatever ids and numbers its text has.
        name, _, text = judgement.message.partition(": ")
        place = _PLACE.search(text)
        if place is None:
            return f"unlisted {name} "
        return f"unlisted {name} {place[0]}"
    found = _SAID.fullmatch(judgement.message)
    if judgement.rule != "effect.undeclared" or found is None:
        return f"{judgement.rule}: {judgement.message}"
    # What has no line is told apart by what it is called, but for its numbers.
    where = found["place"] or _NUMBER.sub("#", found["detail"])
    return f"undeclared {found['kind']} {where}"


def _show_place(event: Event) -> str:
    """The place of an event in brackets, for the end of a message: " (shop/tasks.py:12)"; "" where
    it is not in the repository.
    """
    if event.place is None:
        return ""
    path, line = event.place
    return f" ({path}:{line})"


def _judge_ends_of_process(history: History, delivery: Delivery) -> Iterator[Judgement]:
    """Says incomplete where the driver failed, or the handler ended its own process."""
    problem = delivery.first("probe-error")
    if problem is not None and not problem["injected"]:
        last = str(problem["text"]).strip().splitlines()[-1:]
        yield Judgement(
            Verdict.INCOMPLETE,
            "proof.driver",
            f"the driver failed: {' '.join(last)}",
            events=(problem.number,),
        )
    died = delivery.first("died")
    if died is None or history.hung or _was_killed(delivery):
        return
    yield Judgement(
        Verdict.INCOMPLETE, "handler.ends-its-process", f"the handler {describe_end(died)}"
    )


def describe_end(died: Event) -> str:
    """What a process did that came to no end of its own, as a message says it."""
    if died["exit"] == UNHEARD:
        return "closed the descriptor on which skillrun hears it"
    if died["signal"]:
        return f"ended its process by signal {died['signal']}"
    return f"ended its process with exit status {died['exit']}"


def _was_killed(delivery: Delivery) -> bool:
    """Whether the proof itself killed the process of a delivery."""
    return "kill" in delivery.hit_by


def _is_exit_status(event: Event, history: History) -> bool:
    """Whether an exception is a script's exit status that tells of a fault: of one that it met
    itself, or that an earlier tick met whose work it gives up.
    """
    if event["error"] != "builtins:SystemExit":
        return False
    for earlier in history.events:
        if earlier.number >= event.number:
            break
        if earlier.kind == "fault" and earlier["do"] in ("raise", "kill"):
            return True
    return False


def _stands_for_listed(event: Event, delivery: Delivery, reference: Reference) -> bool:
    """Whether an error of the application's own ends a delivery that met an injected one: the
    injected one is listed, and says whether the job should be tried again. Some raise theirs when
    they have left the `except` already, for what a traceback would tell.
    """
    if "raise" not in delivery.hit_by:
        return False
    files = {f"/{path}" for path in reference.facts.modules}
    if event.place is not None:
        files.add(f"/{event.place[0]}")
    module = "/" + str(event["error"]).partition(":")[0].replace(".", "/")
    return any(path.endswith((f"{module}.py", f"{module}/__init__.py")) for path in files)


def _is_librarys_end(event: Event, reference: Reference) -> bool:
    """Whether an error is the library's own word that no attempt is left: a job that waited for a
    lock until then.
    """
    exhausted = reference.facts.exhausted_error
    return bool(exhausted) and exhausted in (event["bases"] or (event["error"],))


def _gives_up_by_itself(history: History, delivery: Delivery, reference: Reference) -> bool:
    """Whether the application ends the job by an error of its own, after what earlier deliveries
    went through: nothing failed in this one, its message does not come again, and there is a
    record.
    """
    if not delivery.hit_by <= {"kill"}:
        return False
    if history.schedule.family == "crash-loop":
        return True
    follows_fault = any(run.number < delivery.number and run.hit_by for run in history.runs)
    return follows_fault and not delivery.will_retry and is_kept(history, reference)


def _judge_unlisted_errors(
    history: History, delivery: Delivery, reference: Reference
) -> Iterator[Judgement]:
    """Says incomplete for each exception that the spec lists neither as transient nor as permanent:
    nobody knows whether the job should be tried again after it.
    """
    if history.waits_for_another(delivery):
        # It is tried again, as if the lock or the lease had been waited for.
        return
    for event in delivery.all("raised"):
        if event["control"] or event["injected"] or _is_exit_status(event, history):
            continue
        if str(event["error"]).endswith(_REFUSED) and delivery.first("undeclared") is not None:
            continue  # what was refused is said already
        if reference.is_listed(event, "transient") or reference.is_listed(event, "permanent"):
            continue
        if _stands_for_listed(event, delivery, reference) or _is_librarys_end(event, reference):
            continue
        text = f"{event['error']}: {event['text']}{_show_place(event)}"
        said = f"{text} is in neither list of failures"
        yield Judgement(Verdict.INCOMPLETE, "failures.unlisted", said, events=(event.number,))
