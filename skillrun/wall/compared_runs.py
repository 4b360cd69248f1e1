"""The base's job and HEAD's with the same work: under which key, with what sent, and what each
makes of a receiver's answers.

A proof of HEAD alone says that its keys are stable and distinct, and that some answers are tried
again. Whether they are those of the jobs that are open at the deploy, and what goes out behind a
stand-in, is seen beside the base alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from skillrun.contract.duration import parse_duration
from skillrun.core.errors import SkillrunError
from skillrun.core.tally import count_things
from skillrun.core.verdict import Finding, Severity
from skillrun.probe.replies import LATER_S
from skillrun.proof.history import History
from skillrun.proof.judges.late_back import USUAL_WINDOW_S
from skillrun.proof.schedule import AWAY, SECOND_RUN_S
from skillrun.wall.answers.ways import MAY_PASS
from skillrun.wall.comparing import (
    AGAIN,
    DONE,
    ENDLESS,
    FAILED,
    LETTER,
    add_not_compared,
    explain_not_comparing,
    is_code_changed,
    list_effects,
    name_end,
    read_event,
)
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted
from skillrun.wall.gaming.specs import at, base_file, listed
from skillrun.wall.sent import Parts, read_number
from skillrun.wall.verification import Job, NotCompared

KEY, SENT, ANSWER = "verify.other-key", "verify.sends-otherwise", "verify.answered-otherwise"
BLIND = "verify.not-compared"
HELP = {
    BLIND: (
        "What an effect sends, and what it makes of its receiver's answers, was not compared with the"
        " base: the real call of one side sends nothing in a proof, or its job cannot be run. Both"
        " sides may be alike by having done nothing."
    ),
    KEY: (
        "The same job has another key than at the base. What is open at the deploy, or comes again"
        " after it, is done once under each of them."
    ),
    SENT: (
        "The real call of an effect, made to nobody, sends something else than at the base: another"
        " number, another receiver, a further request, the key in another place, or with each"
        " attempt something else (errors); another text (warning)."
    ),
    ANSWER: (
        "A receiver's answer with which the base's job fails, or is tried again, counts as done, or"
        " is given up."
    ),
}
_BLIND_HINT = (
    "give in proof.env what its client needs before it sends anything: an address, a token, a name"
)
_KEY_HINT = "keep the key of a job as it is; where it has to change, a person sees to what is open"
_SENT_HINT = "send what the base sends; where it is meant, a person has to decide that"
_ANSWER_HINT = "raise an error that counts as transient, or as permanent, as the base does"
# By 409 some say that it was done before. Of 3xx no client follows one without an address.
_CONFLICT = "409"
_STATUSES = (301, 302, 307, 308, 400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 504)
_TAKEN, _OUT_OF_SERVICE = 200, 503
# A proof comes back a tenth of the window later: a limit between the two is met here.
_JUST_AFTER_S = 60
# Answers that have no status, or say more than one; each is a name of `probe/replies.py`. The base
# says what they come to: no rule says that a mailbox that is not there is for ever.
_SAID_OTHERWISE = {
    "refuse": "the receiver is not there",
    "hang-up": "the receiver hangs up",
    "cut-body": "200 and a body that is cut off",
    "cut-chunk": "200 and a body that is cut off in a chunk",
    "garbled-body": "200 and a body that cannot be unpacked",
    "later-date": "429 and a date in Retry-After",
    "later-seconds": "429 and seconds in Retry-After",
    "error-page": "502 and a page of HTML",
    "moved-302": "302 to another place, where nobody knows of the work",
    "moved-303": "303 to another place, where nobody knows of the work",
    "greeting-421": "421 to the connection",
    "mail-451": "451 to the sender",
    "mail-550": "550 to the sender",
    "rcpt-450": "450 to the receiver",
    "rcpt-452": "452 to the receiver",
    "rcpt-550": "550 to the receiver",
    "rcpt-552": "552 to the receiver",
    "letter-452": "452 to the letter",
    "letter-554": "554 to the letter",
    "no-such-host": "the receiver's name is not found",
    "no-resolver": "the resolver does not answer",
    "no-route": "there is no way to the receiver",
}
# Of these a job's last attempt has to come.
_FOR_EVER = ("429", "refuse")
# Whose base tries again has a reason: nothing in them says that they are for good.
_FOR_GOOD = ("mail-550", "rcpt-550", "rcpt-552", "letter-554")
# The work may be done: who goes on without reading the body is not wrong.
_MAYBE_TAKEN = ("cut-body", "cut-chunk", "garbled-body")
ANSWERS = (*map(str, _STATUSES), *_SAID_OTHERWISE)
_MOST_SHOWN = 3
# A date is said in whole seconds, and is some seconds old when it is read.
_TOLERANCE_S = 10
_WHAT = "what its effects send and make of answers"
# Of the examples behind the first: each is a delivery more of each effect, on each side.
_MOST_EXAMPLES = 3
# A header by which a receiver tells that it has the work already: `message-id`, `x-request-key`. It
# counts where the base says the same one with each attempt.
_NAMES_WORK = re.compile(r"^header (?:.*-)?(?:id|key|reference)$")

Observe = Callable[[File, list[str]], list[History] | None]
"""Runs schedules of a spec in a clean checkout of its side; None where nobody agreed that it runs.
Raises SkillrunError where it cannot be run.
"""


class _NotRun(Exception):
    """The job of a side cannot be run."""


@dataclass(frozen=True)
class Further:
    """What an effect is called with for another example of the payload."""

    keys: tuple[str, ...]
    taken: tuple[Parts, ...]


@dataclass(frozen=True)
class Effect:
    """One that is stood in for, and what it sent and came to on one side."""

    name: str
    keys: tuple[str, ...]
    later_keys: tuple[str, ...]
    # With each attempt: a request after the other.
    attempts: tuple[tuple[Parts, ...], ...]
    taken: tuple[Parts, ...]
    # Why nothing was sent to a receiver that takes all; "" where something was.
    unsent: str
    ends: dict[str, str]  # answer -> what the job came to
    waits: dict[str, float]  # answer -> seconds until the next attempt, where there is one
    # The same of those that are answered to each attempt.
    for_ever: dict[str, str]
    # How often it took place where its process died, and the message came back when the receiver
    # had forgotten the key.
    repeats: int
    further: dict[int, Further]  # number of an example, from 1 -> its own
    unended: int  # schedules that did not end within a delivery's time


def judge_runs(
    job: Job, spec: File, diff: Diff, observe_base: Observe, observe_head: Observe
) -> Job:
    """The job, no success where it does otherwise what the base does. Costs nothing where no code
    changed, or the job fails anyway.
    """
    if not is_code_changed(diff):
        return job
    why = explain_not_comparing(job, spec, diff)
    if why is not None or job.proof is None:
        return add_not_compared(job, [NotCompared(_WHAT, why or "")])
    old = base_file(diff, spec)
    before, after = list_effects(old), list_effects(spec)
    shared = [name for name in before if name in after]
    job = add_not_compared(job, _list_one_sided(before, after))
    if not shared:
        return job
    examples = _list_shared_examples(old, spec)
    found: list[Finding] = []
    try:
        every = dict.fromkeys(shared, ANSWERS)
        was = _observe_side(observe_base, old, every, examples, "the base's")
        # What the base did not meet, or takes for done, is not asked of HEAD.
        asked = {effect.name: _list_failing(effect) for effect in was}
        now = _observe_side(observe_head, spec, asked, examples, "HEAD's") if was else []
    except _NotRun as error:
        found.append(_say_blind(str(error), spec, None))
        was = now = []
    for base, head in zip(was, now, strict=False):
        found += _compare_effect(base, head, spec)
    job = add_not_compared(job, (*_list_unended(was, now), *_list_other_examples(old, spec)))
    assert job.proof is not None
    proof = replace(job.proof, findings=(*job.proof.findings, *found))
    if any(finding.severity == Severity.ERROR for finding in found):
        return replace(job, proof=proof, outcome="partial")
    return replace(job, proof=proof)


def _list_one_sided(before: list[str], after: list[str]) -> Iterator[NotCompared]:
    """Yields the effects that one side's spec alone has with a stand-in."""
    for name in before:
        if name not in after:
            yield NotCompared(
                f"the effect {name}", "HEAD's spec has none of this name to stand in for"
            )
    for name in after:
        if name not in before:
            yield NotCompared(f"the effect {name}", "the base's spec has none to stand in for")


def _list_unended(was: list[Effect], now: list[Effect]) -> Iterator[NotCompared]:
    """Yields the effects some of whose schedules did not end."""
    for whose, side in (("the base's", was), ("HEAD's", now)):
        for effect in side:
            # A schedule of which the end is not known says neither that it is alike nor otherwise.
            if effect.unended:
                count = count_things(effect.unended, "schedule")
                what = f"what {effect.name} sends and makes of answers, in {count}"
                yield NotCompared(what, f"{whose} did not end within a delivery's time")


def _list_other_examples(old: File, spec: File) -> Iterator[NotCompared]:
    """Yields the examples of HEAD's spec that were not tried on both sides, if there are any, and
    that there is only one.
    """
    examples = _read_examples(spec)
    tried = _list_shared_examples(old, spec)
    if len(examples) == 1:
        yield NotCompared("further payloads", "payload.examples has one alone")
    # Who adds one shows it to the proof; beside the base it says nothing yet.
    left = [str(number) for number in range(1, len(examples)) if number not in tried]
    if left:
        why = f"the first {_MOST_EXAMPLES + 1} are"
        if len(tried) < _MOST_EXAMPLES:
            why = "the base's spec does not have the same"
        yield NotCompared(f"the job of payload.examples[{', '.join(left)}]", why)


# -- one side


def _read_windows(spec: File) -> dict[str, float]:
    """Effect -> for how long its receiver knows a key, in seconds."""
    document = spec.new_document or spec.old_document
    windows = {}
    for effect in listed(at(document.value if document else None, "effects")):
        said = at(effect, "window")
        windows[str(at(effect, "name"))] = USUAL_WINDOW_S
        if isinstance(said, str):
            windows[str(at(effect, "name"))] = parse_duration(said)
    return windows


def _list_shared_examples(old: File, spec: File) -> tuple[int, ...]:
    """The numbers of the examples behind the first that both sides have, 1 for the second."""
    before, after = _read_examples(old), _read_examples(spec)
    found = []
    for number in range(1, min(len(before), len(after))):
        if before[number] == after[number]:
            found.append(number)
    return tuple(found[:_MOST_EXAMPLES])


def _read_examples(spec: File) -> list[object]:
    document = spec.new_document or spec.old_document
    return list(listed(at(at(document.value if document else None, "payload"), "examples")))


def _list_failing(effect: Effect) -> tuple[str, ...]:
    """The answers with which the job of an effect is not done."""
    return tuple(answer for answer, end in effect.ends.items() if end != DONE)


def _observe_side(
    observe: Observe,
    spec: File,
    answers: Mapping[str, tuple[str, ...]],
    examples: tuple[int, ...],
    whose: str,
) -> list[Effect]:
    """`answers`: of each effect those that its receiver gives. Raises _NotRun."""
    asked = ["once", f"late={SECOND_RUN_S}"]
    windows = _read_windows(spec)
    for name, given in answers.items():
        asked += _list_schedules(name, given, windows[name], examples)
    try:
        histories = observe(spec, asked)
    except SkillrunError as error:
        raise _NotRun(f"{whose} job could not be run beside the other: {error.message}") from error
    if histories is None:
        return []
    once, later, *rest = histories
    found = []
    for name, given in answers.items():
        each = len(_list_schedules(name, given, windows[name], examples))
        found.append(_read_effect(name, (once, later), given, examples, rest[:each]))
        rest = rest[each:]
    return found


def _list_schedules(
    name: str, answers: tuple[str, ...], window_s: float, examples: tuple[int, ...]
) -> list[str]:
    """What the receiver of an effect does, in the order in which `_read_effect` takes it."""
    at = f"before:{name}#1"
    forgotten = int(window_s + _JUST_AFTER_S)
    asked = [f"kill@after:{name}#1 lose wait={forgotten} redeliver"]
    asked += [f"answer={_OUT_OF_SERVICE}@{at}/* listen", f"answer={_TAKEN}@{at} listen"]
    asked += [f"{_spell_fault(answer)}@{at}/* listen" for answer in _FOR_EVER]
    asked += [f"{_spell_fault(answer)}@{at} listen" for answer in answers]
    for number in examples:
        # The first example's delivery comes before it.
        asked += [f"job={number}", f"answer={_TAKEN}@{at}/2 listen job={number}"]
    return asked


def _spell_fault(answer: str) -> str:
    if answer in AWAY:
        return answer
    return f"answer={answer}"


def _read_effect(
    name: str,
    singles: tuple[History, History],
    answers: tuple[str, ...],
    examples: tuple[int, ...],
    answered: list[History],
) -> Effect:
    unended = sum(history.hung is not None for history in (*singles, *answered))
    forgotten, failing, taken, *others = answered
    for_ever = _read_ends(_FOR_EVER, others)
    others = others[len(_FOR_EVER) :]
    ends = _read_ends(answers, others)
    further = others[len(answers) :]
    return Effect(
        name=name,
        keys=_list_keys(singles[0], name),
        later_keys=_list_keys(singles[1], name),
        attempts=tuple(_list_requests(failing)),
        taken=next(_list_requests(taken), ()),
        unsent=_explain_unsent(taken),
        ends=ends,
        waits=_read_waits(answers, others),
        for_ever=for_ever,
        repeats=len(forgotten.performed(name)),
        further=_read_further(name, examples, further),
        unended=unended,
    )


def _read_further(
    name: str, examples: tuple[int, ...], histories: list[History]
) -> dict[int, Further]:
    """Of each example's two histories: the keys of the plain one, and what the other one sent."""
    found = {}
    for place, number in enumerate(examples):
        plain, listened = histories[2 * place : 2 * place + 2]
        keys = []
        for call in plain.performed(name):
            if plain.delivery_of(call).job == number:
                keys.append(str(call["key"]))
        taken: tuple[Parts, ...] = ()
        for event in listened.all("heard"):
            if listened.delivery_of(event).job == number:
                taken = taken or read_event(event)
        found[number] = Further(tuple(keys), taken)
    return found


def _explain_unsent(taken: History) -> str:
    """Why a real call sent nothing to a receiver that takes all; "" where it sent something."""
    if next(_list_requests(taken), ()):
        return ""
    for event in taken.all("away"):
        if event["error"]:
            return f"it fails with {event['error']} before"
    return "it comes to no receiver"


def _read_ends(answers: tuple[str, ...], histories: list[History]) -> dict[str, str]:
    """What each answer came to, where it was met by a call that was really made."""
    ends = {}
    for answer, history in zip(answers, histories, strict=False):
        if any(history.all("away")) and not history.hung:
            ends[answer] = name_end(history)
    return ends


def _read_waits(answers: tuple[str, ...], histories: list[History]) -> dict[str, float]:
    waits = {}
    for answer, history in zip(answers, histories, strict=False):
        if any(history.all("away")) and len(history.runs) > 1:
            waits[answer] = history.runs[1].clock - history.runs[0].clock
    return waits


def _list_keys(history: History, name: str) -> tuple[str, ...]:
    return tuple(str(call["key"]) for call in history.performed(name))


def _list_requests(history: History) -> Iterator[tuple[Parts, ...]]:
    """Those of each attempt that came to a receiver."""
    for event in history.all("heard"):
        yield read_event(event)


# -- both sides


def _compare_effect(base: Effect, head: Effect, spec: File) -> Iterator[Finding]:
    for whose, side in (("the base's", base), ("HEAD's", head)):
        if side.unsent:
            said = (
                f"what {base.name} sends, and what it makes of answers, was not compared:"
                f" {whose} real call sends nothing in a proof, {side.unsent}"
            )
            yield _say_blind(said, spec, _BLIND_HINT)
            break
    yield from _compare_keys(base, head, spec)
    yield from _compare_requests(base, head, spec)
    yield from _compare_further(base, head, spec)
    yield from _compare_ends(base, head, spec)
    if base.repeats == 1 and head.repeats > 1:
        said = (
            f"{base.name} takes place again when its receiver has just forgotten its key, and at"
            " the base it does not"
        )
        yield _say(KEY, said, spec, _KEY_HINT)


def _say(rule: str, said: str, spec: File, hint: str, *, is_error: bool = True) -> Finding:
    severity = Severity.ERROR if is_error else Severity.WARNING
    return Finding(rule, severity, said, spec.path, 1, hint)


def _say_blind(said: str, spec: File, hint: str | None) -> Finding:
    return Finding(BLIND, Severity.WARNING, said, spec.path, 1, hint)


def _compare_keys(base: Effect, head: Effect, spec: File) -> Iterator[Finding]:
    is_drawn = base.keys != base.later_keys or "None" in base.keys
    if is_drawn or not base.keys or not head.keys or base.keys == head.keys:
        return
    said = (
        f"{base.name} of the same job has the key {quoted(head.keys[0])}, and at the base"
        f" {quoted(base.keys[0])}"
    )
    yield _say(KEY, said, spec, _KEY_HINT)


def _compare_further(base: Effect, head: Effect, spec: File) -> Iterator[Finding]:
    """The first example for which HEAD has another key than the base, or sends otherwise what no
    text is, though for the first one of the spec it does neither.
    """
    if base.keys != head.keys:
        return
    is_drawn = base.keys != base.later_keys or "None" in base.keys
    varies = _find_varying(base.attempts)
    for number, was in base.further.items():
        now = head.further.get(number, was)
        of_it = f"of payload.examples[{number}]"
        if not is_drawn and was.keys and now.keys and was.keys != now.keys:
            said = (
                f"{base.name} {of_it} has the key {quoted(now.keys[0])}, and at the base"
                f" {quoted(was.keys[0])}"
            )
            yield _say(KEY, said, spec, _KEY_HINT)
            return
        for old, new in zip(was.taken, now.taken, strict=False):
            for name in sorted(old.keys() - varies):
                why = None
                if old[name] != new.get(name):
                    why = _find_serious(name, old, new, was.keys)
                if why is not None:
                    yield _say(SENT, f"{base.name} {of_it} {why}", spec, _SENT_HINT)
                    return


def _compare_requests(base: Effect, head: Effect, spec: File) -> Iterator[Finding]:
    if not base.attempts or not head.attempts:
        return
    for was, now in ((base.attempts[0], head.attempts[0]), (base.taken, head.taken)):
        if was and len(now) > len(was):
            said = f"{base.name} sends {len(now)} requests, and at the base {len(was)}"
            yield _say(SENT, said, spec, _SENT_HINT)
            return
    varies = _find_varying(base.attempts)
    newly = sorted(filter(_tells_work, _find_varying(head.attempts) - varies))
    if newly and len(base.attempts) > 1:
        said = (
            f"{base.name} sends with each attempt another {quoted(newly[0])}, and the base does not"
        )
        yield _say(SENT, said, spec, _SENT_HINT)
        return
    pairs = [*zip(base.attempts[0], head.attempts[0], strict=False)]
    pairs += zip(base.taken, head.taken, strict=False)
    texts: dict[str, tuple[object, object]] = {}
    for old, new in pairs:
        for name in old.keys() - varies:
            if old[name] == new.get(name):
                continue
            why = _find_serious(name, old, new, base.keys)
            if why is not None:
                yield _say(SENT, f"{base.name} {why}", spec, _SENT_HINT)
                return
            texts.setdefault(name, (old[name], new.get(name)))
    if texts:
        shown = []
        for name, (was_said, is_said) in sorted(texts.items())[:_MOST_SHOWN]:
            shown.append(f"{quoted(name)}: {quoted(str(was_said))} became {quoted(str(is_said))}")
        said = f"{base.name} sends another text than at the base: {'; '.join(shown)}"
        yield _say(SENT, said, spec, _SENT_HINT, is_error=False)


def _tells_work(name: str) -> bool:
    """What a receiver knows the work by, or does: of headers the ids and keys."""
    return "header" not in name or "id" in name or "key" in name


def _find_varying(attempts: tuple[tuple[Parts, ...], ...]) -> set[str]:
    """The parts that differ between two attempts of one side."""
    found: set[str] = set()
    for requests in attempts[1:]:
        for first, later in zip(attempts[0], requests, strict=False):
            for name in first.keys() | later.keys():
                if first.get(name) != later.get(name):
                    found.add(name)
    return found


def _find_serious(name: str, old: Parts, new: Parts, keys: tuple[str, ...]) -> str | None:
    """What is wrong where a part is another one; None where it is a text."""
    was, now = old[name], new.get(name)
    if name in ("to", "header host"):
        return f"goes to {quoted(str(now))}, and at the base to {quoted(str(was))}"
    if str(was) in {key.strip("'\"") for key in keys}:
        return f"no longer has its key as {quoted(name)}, by which its receiver knows it"
    if _NAMES_WORK.search(name) is not None:
        return (
            f"has another {quoted(name)} for the same job, by which its receiver knows it:"
            f" {quoted(str(now))}, and at the base {quoted(str(was))}"
        )
    if name == "method":
        return f"asks with {quoted(str(now))}, and at the base with {quoted(str(was))}"
    before, after = read_number(was), read_number(now)
    if before is not None and after is not None and before != after:
        return f"sends {quoted(name)} {quoted(str(now))}, and at the base {quoted(str(was))}"
    return None


def _compare_ends(base: Effect, head: Effect, spec: File) -> Iterator[Finding]:
    """The first of each kind is enough."""
    for find in (_find_false_done, _find_given_up, _find_endless, _find_hasty):
        found = find(base, head)
        if found is not None:
            said, is_error = found
            yield _say(ANSWER, f"{base.name} {said}", spec, _ANSWER_HINT, is_error=is_error)
            return


def _find_false_done(base: Effect, head: Effect) -> tuple[str, bool] | None:
    """What is wrong with an answer that counts as done at HEAD alone, and whether surely."""
    for answer, was in base.ends.items():
        if answer in _MAYBE_TAKEN:
            continue
        if head.ends.get(answer) == DONE and was != DONE:
            said = f"counts as done with the answer {_tell(answer)}; at the base it is {was}"
            return said, answer != _CONFLICT
    return None


def _find_given_up(base: Effect, head: Effect) -> tuple[str, bool] | None:
    for answer, was in base.ends.items():
        now = head.ends.get(answer)
        if was == AGAIN and now in (LETTER, FAILED) and _may_pass(answer):
            said = f"is given up with the answer {_tell(answer)}, with which the base tries again"
            return said, True
    return None


def _find_endless(base: Effect, head: Effect) -> tuple[str, bool] | None:
    for answer, was in base.for_ever.items():
        if head.for_ever.get(answer) == ENDLESS and was != ENDLESS:
            said = f"is tried without an end where each answer is {_tell(answer)}; the base ends"
            return said, True
    return None


def _find_hasty(base: Effect, head: Effect) -> tuple[str, bool] | None:
    """Only where the base is seen to do as it is told: it waits for less without being told."""
    untold = base.waits.get("429")
    if untold is None or untold >= LATER_S:
        return None
    for answer in ("later-seconds", "later-date"):
        now = head.waits.get(answer)
        if now is not None and now < LATER_S - _TOLERANCE_S <= base.waits.get(answer, 0.0):
            said = (
                f"is tried again before the time that its receiver named ({_tell(answer)}), which"
                " the base waits for"
            )
            return said, True
    return None


def _tell(answer: str) -> str:
    return _SAID_OTHERWISE.get(answer, answer)


def _may_pass(answer: str) -> bool:
    if answer.isdigit():
        return int(answer) in MAY_PASS
    return answer not in _FOR_GOOD
